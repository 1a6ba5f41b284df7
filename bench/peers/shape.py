"""The sizes of the models that are measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """Sizes of a BART; the names are those of its config.json."""

    name: str
    d_model: int
    layers: int  # of the encoder, and as many of the decoder
    heads: int
    ffn_dim: int
    vocab_size: int
    positions: int = 1024

    @property
    def head_size(self) -> int:
        return self.d_model // self.heads


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("bart-base", d_model=768, layers=6, heads=12, ffn_dim=3072, vocab_size=50265),
        Shape("tiny", d_model=64, layers=2, heads=4, ffn_dim=128, vocab_size=1000),
    )
}

# Special tokens, and the first id that is none.
BOS, PAD, EOS, UNK, FIRST_FREE = 0, 1, 2, 3, 5
DECODER_START = EOS
POSITION_OFFSET = 2  # position p stands in row p + 2 of a position table
EPSILON = 1e-5  # of the layer norms
