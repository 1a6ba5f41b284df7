"""The same model for ONNX Runtime: four graphs over one file of weights.

The graphs are what an export with past keys and values gives after fusion: one product for queries,
keys and values, attention, residual sum with layer norm, and bias with GELU as one node each. The
search's own work (the largest logit, the best beams, the caches' new order) is in the graph, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from shape import EPSILON, POSITION_OFFSET, Shape
from weights import Weights

FUSED = "com.microsoft"  # the domain of ONNX Runtime's fused nodes
WEIGHTS_FILE = "weights.bin"
_ALIGNMENT = 4096  # of each tensor in the file, so that it can be mapped


class WeightFile:
    """Tensors that lie one after the other in one file, for any number of graphs."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._tensors: dict[str, onnx.TensorProto] = {}

    def add(self, name: str, values: np.ndarray) -> onnx.TensorProto:
        """The reference to a tensor, which is written when it is first asked for."""
        if name not in self._tensors:
            self._file.write(b"\0" * (-self._file.tell() % _ALIGNMENT))
            tensor = TensorProto(name=name, dims=values.shape, data_type=TensorProto.FLOAT,
                                 data_location=TensorProto.EXTERNAL)
            place = {"location": WEIGHTS_FILE, "offset": self._file.tell(),
                     "length": values.nbytes}
            for key, value in place.items():
                tensor.external_data.add(key=key, value=str(value))
            self._file.write(np.ascontiguousarray(values, dtype="<f4").data)
            self._tensors[name] = tensor
        return self._tensors[name]

    def close(self) -> None:
        self._file.close()


class Graph:
    """One graph in the making. Values are known by their names."""

    def __init__(self, shape: Shape, weights: Weights, file: WeightFile) -> None:
        self.shape = shape
        self._weights = weights
        self._file = file
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    # --- building blocks ---

    def input(self, name: str, dims: Sequence[int | str], kind: int = TensorProto.FLOAT) -> str:
        self._inputs.append(helper.make_tensor_value_info(name, kind, dims))
        return name

    def output(self, value: str, name: str, dims: Sequence[int | str],
               kind: int = TensorProto.FLOAT) -> None:
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, kind, dims))

    def nodes(self, kind: str, inputs: Sequence[str], outputs: int, domain: str = "",
              **attributes: Any) -> list[str]:
        """A node with several outputs."""
        names = [f"{kind}_{len(self._nodes)}_{i}" for i in range(outputs)]
        self._nodes.append(helper.make_node(kind, inputs, names, domain=domain, **attributes))
        return names

    def node(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        return self.nodes(kind, inputs, 1, domain, **attributes)[0]

    def integers(self, *values: int) -> str:
        """A constant vector."""
        name = "integers_" + "_".join(map(str, values))
        self._initializers[name] = helper.make_tensor(
            name, TensorProto.INT64, [len(values)], values)
        return name

    def tensor(self, name: str, values: np.ndarray | None = None) -> str:
        """A tensor of the model, or one that is made of several."""
        self._initializers[name] = self._file.add(
            name, self._weights[name] if values is None else values)
        return name

    def save(self, path: Path) -> None:
        graph = helper.make_graph(self._nodes, path.stem, self._inputs, self._outputs,
                                  list(self._initializers.values()))
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid(FUSED, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        path.write_bytes(model.SerializeToString())

    # --- layers ---

    def joint_weight(self, *names: str) -> str:
        """W^T for the weights W below each other."""
        joint = "+".join(f"{name}.weight" for name in names)
        values = np.concatenate([self._weights[f"{name}.weight"] for name in names]).T
        return self.tensor(f"{joint}.T", values)

    def product(self, x: str, *names: str) -> str:
        """x W^T without the bias."""
        return self.node("MatMul", x, self.joint_weight(*names))

    def bias(self, *names: str) -> str:
        joint = "+".join(f"{name}.bias" for name in names)
        return self.tensor(joint, np.concatenate([self._weights[f"{n}.bias"] for n in names]))

    def linear(self, x: str, *names: str) -> str:
        return self.node("Add", self.product(x, *names), self.bias(*names))

    def embedding(self, ids: str, positions: str, side: str) -> str:
        """positions: the rows of the position table."""
        table = self.tensor(f"model.{side}.embed_positions.weight")
        sum_ = self.node("Add", self.node("Gather", self.tensor("model.shared.weight"), ids),
                         self.node("Gather", table, positions))
        name = f"model.{side}.layernorm_embedding"
        return self.node("LayerNormalization", sum_, self.tensor(f"{name}.weight"),
                         self.tensor(f"{name}.bias"), axis=-1, epsilon=EPSILON)

    def add_and_normalize(self, x: str, update: str, bias: str, name: str) -> str:
        """LayerNorm(x + update + bias)."""
        return self.node("SkipLayerNormalization", update, x, self.tensor(f"{name}.weight"),
                         self.tensor(f"{name}.bias"), bias, domain=FUSED, epsilon=EPSILON)

    def attention(self, inputs: Sequence[str], outputs: int = 1) -> list[str]:
        return self.nodes("MultiHeadAttention", inputs, outputs, FUSED, num_heads=self.shape.heads)

    def after_attention(self, x: str, update: str, name: str) -> str:
        out = f"{name}.out_proj"
        return self.add_and_normalize(x, self.product(update, out), self.bias(out),
                                      f"{name}_layer_norm")

    def self_attention(self, x: str, layer: str) -> str:
        """All tokens see each other. One node with the product in it: of 512 tokens 1 to 5 % faster
        than product, split and MultiHeadAttention."""
        name = f"{layer}.self_attn"
        names = [f"{name}.{p}_proj" for p in "qkv"]
        update = self.node("Attention", x, self.joint_weight(*names), self.bias(*names),
                           domain=FUSED, num_heads=self.shape.heads)
        return self.after_attention(x, update, name)

    def cached_self_attention(self, x: str, layer: str, past: Sequence[str]) -> list[str]:
        """The layer's states after it, and the present keys and values."""
        name = f"{layer}.self_attn"
        names = [f"{name}.{p}_proj" for p in "qkv"]
        qkv = self.nodes("Split", [self.product(x, *names)], 3, axis=-1)
        update, *present = self.attention([*qkv, self.bias(*names), "", "", *past], 3)
        return [self.after_attention(x, update, name), *present]

    def cross_attention(self, x: str, layer: str, keys: str, values: str) -> str:
        """x (sentences, beams, width): the beams of a sentence share its keys and values."""
        name = f"{layer}.encoder_attn"
        queries = self.linear(x, f"{name}.q_proj")
        (update,) = self.attention([queries, keys, values])
        return self.after_attention(x, update, name)

    def feed_forward(self, x: str, layer: str) -> str:
        inner = self.node("BiasGelu", self.product(x, f"{layer}.fc1"), self.bias(f"{layer}.fc1"),
                          domain=FUSED)
        return self.add_and_normalize(x, self.product(inner, f"{layer}.fc2"),
                                      self.bias(f"{layer}.fc2"), f"{layer}.final_layer_norm")

    def logits(self, x: str) -> str:
        """(rows, vocabulary)."""
        rows = self.node("Reshape", x, self.integers(-1, self.shape.d_model))
        return self.node("Gemm", rows, self.tensor("model.shared.weight"),
                         self.tensor("final_logits_bias"), transB=1)


def encoder_graph(graph: Graph) -> None:
    """ids (batch, tokens) -> states (batch, tokens, width)."""
    ids = graph.input("ids", ["batch", "tokens"], TensorProto.INT64)
    positions = graph.node("CumSum", graph.node("ConstantOfShape", graph.node(
        "Slice", graph.node("Shape", ids), graph.integers(1), graph.integers(2)),
        value=helper.make_tensor("one", TensorProto.INT64, [1], [1])), graph.integers(0))
    first = graph.integers(POSITION_OFFSET - 1)  # the sums start at 1
    x = graph.embedding(ids, graph.node("Add", positions, first), "encoder")
    for i in range(graph.shape.layers):
        layer = f"model.encoder.layers.{i}"
        x = graph.self_attention(x, layer)
        x = graph.feed_forward(x, layer)
    graph.output(x, "states", ["batch", "tokens", graph.shape.d_model])


def memory_graph(graph: Graph) -> None:
    """states -> every decoder layer's keys and values of them, (batch, heads, tokens, head)."""
    heads, size = graph.shape.heads, graph.shape.head_size
    states = graph.input("states", ["batch", "tokens", graph.shape.d_model])
    names = [f"model.decoder.layers.{i}.encoder_attn.{p}_proj"
             for i in range(graph.shape.layers) for p in "kv"]
    all_ = graph.node("Transpose", graph.node(
        "Reshape", graph.linear(states, *names), graph.integers(0, 0, len(names), heads, size)),
        perm=[2, 0, 3, 1, 4])
    for i, value in enumerate(graph.nodes("Split", [all_], len(names), axis=0)):
        part = graph.node("Squeeze", value, graph.integers(0))
        graph.output(part, f"{'kv'[i % 2]}_memory_{i // 2}", ["batch", heads, "tokens", size])


def _decoder_step(graph: Graph, beams: int) -> str:
    """Logits of the next token of every row; the caches are the graph's inputs and outputs. With
    beams, row r continues what was row parents[r]."""
    heads, size, width = graph.shape.heads, graph.shape.head_size, graph.shape.d_model
    tokens = graph.input("tokens", ["rows", 1], TensorProto.INT64)
    row = graph.input("position_row", [1], TensorProto.INT64)
    parents = graph.input("parents", ["rows"], TensorProto.INT64) if beams > 1 else None
    x = graph.embedding(tokens, row, "decoder")
    for i in range(graph.shape.layers):
        layer = f"model.decoder.layers.{i}"
        past = [graph.input(f"{p}_past_{i}", ["rows", heads, "length", size]) for p in "kv"]
        if parents:
            past = [graph.node("Gather", cache, parents, axis=0) for cache in past]
        x, *present = graph.cached_self_attention(x, layer, past)
        for p, cache in zip("kv", present):
            graph.output(cache, f"{p}_present_{i}", ["rows", heads, "length + 1", size])
        memory = [graph.input(f"{p}_memory_{i}", ["batch", heads, "tokens", size]) for p in "kv"]
        x = graph.node("Reshape", x, graph.integers(-1, beams, width))
        x = graph.cross_attention(x, layer, *memory)
        x = graph.node("Reshape", x, graph.integers(-1, 1, width))
        x = graph.feed_forward(x, layer)
    return graph.logits(x)


def greedy_graph(graph: Graph) -> None:
    """One token more for every row, the likeliest."""
    best = graph.node("ArgMax", _decoder_step(graph, beams=1), axis=1)
    graph.output(best, "next_tokens", ["rows", 1], TensorProto.INT64)


def beam_graph(graph: Graph, beams: int) -> None:
    """The best `beams` continuations of each sentence's rows. The best of a row are enough, and
    only they need their log-probabilities."""
    logits = _decoder_step(graph, beams)
    k = graph.integers(beams)
    best, tokens = graph.nodes("TopK", [logits, k], 2, axis=1)
    log_p = graph.node("Sub", best, graph.node("ReduceLogSumExp", logits, axes=[1]))
    running = graph.input("scores", ["batch", beams])
    sums = graph.node("Add", graph.node("Reshape", log_p, graph.integers(-1, beams, beams)),
                      graph.node("Unsqueeze", running, graph.integers(2)))
    flat = graph.integers(-1, beams * beams)
    scores, chosen = graph.nodes("TopK", [graph.node("Reshape", sums, flat), k], 2, axis=1)
    next_ = graph.node("GatherElements", graph.node("Reshape", tokens, flat), chosen, axis=1)
    graph.output(scores, "next_scores", ["batch", beams])
    graph.output(graph.node("Reshape", next_, graph.integers(-1, 1)), "next_tokens",
                 ["rows", 1], TensorProto.INT64)
    beam = graph.node("Div", chosen, graph.integers(beams))
    graph.output(beam, "next_beams", ["batch", beams], TensorProto.INT64)


def write_model(directory: Path, shape: Shape, weights: Weights, beams: int) -> None:
    """The graphs encoder, memory, greedy and beam."""
    directory.mkdir(parents=True)
    file = WeightFile(directory / WEIGHTS_FILE)
    for name, build in (("encoder", encoder_graph), ("memory", memory_graph),
                        ("greedy", greedy_graph), ("beam", lambda g: beam_graph(g, beams))):
        graph = Graph(shape, weights, file)
        build(graph)
        graph.save(directory / f"{name}.onnx")
    file.close()
