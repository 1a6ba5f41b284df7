"""Seeded random weights of a BART under their published names, and its Hugging Face directory."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from shape import BOS, DECODER_START, EOS, FIRST_FREE, PAD, POSITION_OFFSET, Shape

Weights = dict[str, np.ndarray]

LINEAR_DEVIATION = 0.02
# Wide enough that the distributions of the next token are peaked, as trained ones are: the running
# scores of beams stay small and near ties, which rounding could decide, are rare.
EMBEDDING_DEVIATION = 0.2
NEVER = -1000  # a logit that is no probability


class _Generator:
    """Draws the tensors one after the other."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self.weights: Weights = {}

    def normal(self, name: str, shape: tuple[int, ...], deviation: float, mean: float = 0) -> None:
        values = self._random.standard_normal(shape, dtype=np.float32)
        self.weights[name] = values * np.float32(deviation) + np.float32(mean)

    def linear(self, name: str, outputs: int, inputs: int) -> None:
        self.normal(f"{name}.weight", (outputs, inputs), LINEAR_DEVIATION)
        self.normal(f"{name}.bias", (outputs,), LINEAR_DEVIATION)

    def layer_norm(self, name: str, width: int) -> None:
        self.normal(f"{name}.weight", (width,), LINEAR_DEVIATION, mean=1)
        self.normal(f"{name}.bias", (width,), LINEAR_DEVIATION)

    def attention(self, name: str, width: int) -> None:
        for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
            self.linear(f"{name}.{projection}", width, width)

    def stack(self, side: str, shape: Shape) -> None:
        d = shape.d_model
        self.normal(f"model.{side}.embed_positions.weight",
                    (shape.positions + POSITION_OFFSET, d), EMBEDDING_DEVIATION)
        self.layer_norm(f"model.{side}.layernorm_embedding", d)
        for i in range(shape.layers):
            layer = f"model.{side}.layers.{i}"
            self.attention(f"{layer}.self_attn", d)
            self.layer_norm(f"{layer}.self_attn_layer_norm", d)
            if side == "decoder":
                self.attention(f"{layer}.encoder_attn", d)
                self.layer_norm(f"{layer}.encoder_attn_layer_norm", d)
            self.linear(f"{layer}.fc1", shape.ffn_dim, d)
            self.linear(f"{layer}.fc2", d, shape.ffn_dim)
            self.layer_norm(f"{layer}.final_layer_norm", d)

    def flip_signs(self, name: str) -> None:
        values = self.weights[name]
        values *= self._random.choice(np.array([-1, 1], np.float32), values.shape)


def random_weights(shape: Shape, seed: int = 1) -> Weights:
    """The tensors of a model; the output is tied to `model.shared.weight`.

    The last layer norm has random signs. Without them the residual path would carry each token's
    own embedding to the output table, whose best match it is: all texts would repeat one token.
    The end of the text has no probability at all: engines differ in whether they forbid it before
    or after the softmax, which moves the scores of beams.
    """
    generator = _Generator(seed)
    generator.normal("model.shared.weight", (shape.vocab_size, shape.d_model), EMBEDDING_DEVIATION)
    generator.stack("encoder", shape)
    generator.stack("decoder", shape)
    generator.flip_signs(f"model.decoder.layers.{shape.layers - 1}.final_layer_norm.weight")
    bias = np.zeros((1, shape.vocab_size), np.float32)
    bias[0, EOS] = NEVER
    generator.weights["final_logits_bias"] = bias
    return generator.weights


def random_sources(shape: Shape, batch: int, tokens: int, seed: int) -> list[list[int]]:
    """Source texts: ids that are no special tokens."""
    random = np.random.default_rng([seed, batch, tokens])
    return random.integers(FIRST_FREE, shape.vocab_size, (batch, tokens)).tolist()


def write_safetensors(path: Path, weights: Weights) -> None:
    """Length of the header, header with every tensor's place, the floats one after the other."""
    header, end = {}, 0
    for name, values in weights.items():
        begin, end = end, end + values.nbytes
        header[name] = {"dtype": "F32", "shape": values.shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for values in weights.values():
            file.write(np.ascontiguousarray(values, dtype="<f4").data)


def write_model(directory: Path, shape: Shape, weights: Weights) -> None:
    """A model directory in the Hugging Face layout."""
    config = {
        "model_type": "bart",
        "architectures": ["BartForConditionalGeneration"],
        "d_model": shape.d_model,
        "encoder_layers": shape.layers,
        "decoder_layers": shape.layers,
        "encoder_attention_heads": shape.heads,
        "decoder_attention_heads": shape.heads,
        "encoder_ffn_dim": shape.ffn_dim,
        "decoder_ffn_dim": shape.ffn_dim,
        "vocab_size": shape.vocab_size,
        "max_position_embeddings": shape.positions,
        "activation_function": "gelu",
        "scale_embedding": False,
        "tie_word_embeddings": True,
    }
    tokens = {
        "bos_token_id": BOS,
        "pad_token_id": PAD,
        "eos_token_id": EOS,
        "decoder_start_token_id": DECODER_START,
        "forced_bos_token_id": None,
        "forced_eos_token_id": None,
    }
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps(config | tokens, indent=2))
    (directory / "generation_config.json").write_text(json.dumps(tokens, indent=2))
    write_safetensors(directory / "model.safetensors", weights)
