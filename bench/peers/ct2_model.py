"""The same model for CTranslate2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs import common_spec, transformer_spec

from shape import EPSILON, POSITION_OFFSET, Shape
from weights import Weights


def token_names(shape: Shape) -> list[str]:
    """CTranslate2 reads and writes tokens as text."""
    return ["<s>", "<pad>", "</s>", "<unk>"] + [f"t{i}" for i in range(4, shape.vocab_size)]


class _Filler:
    """Puts the tensors where one specification wants them."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._tokens = weights["model.shared.weight"].copy()  # quantization works in place

    def linear(self, spec: common_spec.LinearSpec, *names: str) -> None:
        """One layer that answers the outputs of all the named ones."""
        spec.weight = np.concatenate([self._weights[f"{name}.weight"] for name in names])
        spec.bias = np.concatenate([self._weights[f"{name}.bias"] for name in names])

    def layer_norm(self, spec: common_spec.LayerNormSpec, name: str) -> None:
        spec.gamma = self._weights[f"{name}.weight"]
        spec.beta = self._weights[f"{name}.bias"]

    def feed_forward(self, spec: transformer_spec.FeedForwardSpec, layer: str) -> None:
        self.linear(spec.linear_0, f"{layer}.fc1")
        self.linear(spec.linear_1, f"{layer}.fc2")
        self.layer_norm(spec.layer_norm, f"{layer}.final_layer_norm")

    def self_attention(self, spec: Any, name: str) -> None:
        self.linear(spec.linear[0], *(f"{name}.{p}_proj" for p in "qkv"))
        self.linear(spec.linear[1], f"{name}.out_proj")
        self.layer_norm(spec.layer_norm, f"{name}_layer_norm")

    def cross_attention(self, spec: Any, name: str) -> None:
        self.linear(spec.linear[0], f"{name}.q_proj")
        self.linear(spec.linear[1], f"{name}.k_proj", f"{name}.v_proj")
        self.linear(spec.linear[2], f"{name}.out_proj")
        self.layer_norm(spec.layer_norm, f"{name}_layer_norm")

    def embeddings(self, spec: Any, tokens: common_spec.EmbeddingsSpec, side: str) -> None:
        spec.scale_embeddings = 1.0
        tokens.weight = self._tokens
        positions = self._weights[f"model.{side}.embed_positions.weight"]
        spec.position_encodings.encodings = positions[POSITION_OFFSET:]
        self.layer_norm(spec.layernorm_embedding, f"model.{side}.layernorm_embedding")

    def encoder(self, spec: transformer_spec.TransformerEncoderSpec) -> None:
        self.embeddings(spec, spec.embeddings[0], "encoder")
        for i, layer in enumerate(spec.layer):
            name = f"model.encoder.layers.{i}"
            self.self_attention(layer.self_attention, f"{name}.self_attn")
            self.feed_forward(layer.ffn, name)

    def decoder(self, spec: transformer_spec.TransformerDecoderSpec) -> None:
        self.embeddings(spec, spec.embeddings, "decoder")
        for i, layer in enumerate(spec.layer):
            name = f"model.decoder.layers.{i}"
            self.self_attention(layer.self_attention, f"{name}.self_attn")
            self.cross_attention(layer.attention, f"{name}.encoder_attn")
            self.feed_forward(layer.ffn, name)
        spec.projection.weight = self._tokens
        spec.projection.bias = self._weights["final_logits_bias"].reshape(-1)


def _save(spec: Any, directory: Path, quantization: str | None) -> None:
    spec.config.layer_norm_epsilon = EPSILON
    spec.validate()
    spec.optimize(quantization=quantization)
    directory.mkdir(parents=True)
    spec.save(str(directory))


def write_model(directory: Path, shape: Shape, weights: Weights, quantization: str | None) -> None:
    """`translator`, the whole model, and `encoder`, a model of its own: only of such a one does
    CTranslate2 show the encoder's output. Quantization: None or "int8"."""
    sizes = {
        "pre_norm": False,
        "activation": common_spec.Activation.GELU,
        "layernorm_embedding": True,
    }
    names = token_names(shape)

    whole = transformer_spec.TransformerSpec.from_config(shape.layers, shape.heads, **sizes)
    fill = _Filler(weights)
    fill.encoder(whole.encoder)
    fill.decoder(whole.decoder)
    whole.register_source_vocabulary(names)
    whole.register_target_vocabulary(names)
    whole.config.decoder_start_token = "</s>"
    _save(whole, directory / "translator", quantization)

    stack = transformer_spec.TransformerEncoderSpec(shape.layers, shape.heads, **sizes)
    _Filler(weights).encoder(stack)
    encoder = transformer_spec.TransformerEncoderModelSpec(stack)
    encoder.register_vocabulary(names)
    _save(encoder, directory / "encoder", quantization)
