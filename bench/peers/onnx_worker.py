"""ONNX Runtime's worker: onnx_worker.py DIRECTORY THREADS."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime import OrtValue

import protocol
from shape import DECODER_START, POSITION_OFFSET


def _value(array: np.ndarray) -> OrtValue:
    return OrtValue.ortvalue_from_numpy(array)


class Graph:
    """A session whose inputs and outputs stay ONNX Runtime's own values."""

    def __init__(self, path: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"])
        self._outputs = [output.name for output in self._session.get_outputs()]

    def __call__(self, inputs: dict[str, OrtValue]) -> dict[str, OrtValue]:
        results = self._session.run_with_ort_values(self._outputs, inputs)
        return dict(zip(self._outputs, results))

    def cache_shapes(self) -> dict[str, tuple[int, int]]:
        """(heads, head size) of each input that holds past keys or values."""
        return {i.name: (i.shape[1], i.shape[3]) for i in self._session.get_inputs()
                if "_past_" in i.name}


class Model:
    """Encoder, the keys and values of its output, and the greedy decoder; the decoder with beams
    is loaded when it is first asked for."""

    def __init__(self, directory: Path, threads: int) -> None:
        self._directory = directory
        self._threads = threads
        self._graphs = {name: self._load(name) for name in ("encoder", "memory", "greedy")}

    def _load(self, name: str) -> Graph:
        return Graph(self._directory / f"{name}.onnx", self._threads)

    def prepare(self, request: dict) -> None:
        has_beams = request["do"] == "generate" and request["beams"] > 1
        if has_beams and "beam" not in self._graphs:
            self._graphs["beam"] = self._load("beam")

    def _states(self, sources: protocol.Sources) -> OrtValue:
        return self._graphs["encoder"]({"ids": _value(np.asarray(sources, np.int64))})["states"]

    def encode(self, sources: protocol.Sources) -> np.ndarray:
        return self._states(sources).numpy()

    def generate(self, sources: protocol.Sources, beams: int, new_tokens: int) -> list[list[int]]:
        graph = self._graphs["greedy" if beams == 1 else "beam"]
        rows = len(sources) * beams
        inputs = self._graphs["memory"]({"states": self._states(sources)})
        for name, (heads, size) in graph.cache_shapes().items():
            inputs[name] = _value(np.empty((rows, heads, 0, size), np.float32))
        inputs["tokens"] = _value(np.full((rows, 1), DECODER_START, np.int64))
        if beams == 1:
            return self._search_greedily(graph, inputs, new_tokens)
        return self._search_beams(graph, inputs, (len(sources), beams), new_tokens)

    def _step(self, graph: Graph, inputs: dict[str, OrtValue], position: int
              ) -> dict[str, OrtValue]:
        """Runs the graph; its new caches and tokens become inputs of the next step."""
        inputs["position_row"] = _value(np.array([position + POSITION_OFFSET]))
        outputs = graph(inputs)
        inputs["tokens"] = outputs["next_tokens"]
        for name, value in outputs.items():
            if "_present_" in name:
                inputs[name.replace("_present_", "_past_")] = value
        return outputs

    def _search_greedily(self, graph: Graph, inputs: dict[str, OrtValue], new_tokens: int
                         ) -> list[list[int]]:
        tokens = [self._step(graph, inputs, i)["next_tokens"] for i in range(new_tokens)]
        return np.concatenate([t.numpy() for t in tokens], axis=1).tolist()

    def _search_beams(self, graph: Graph, inputs: dict[str, OrtValue], shape: tuple[int, int],
                      new_tokens: int) -> list[list[int]]:
        sentences, beams = shape
        # All rows begin alike: only the first may count, or all would stay alike.
        scores = np.full((sentences, beams), -1e9, np.float32)
        scores[:, 0] = 0
        inputs["scores"] = _value(scores)
        first_row = np.arange(sentences)[:, None] * beams
        parents = np.arange(sentences * beams)
        history = np.empty((sentences * beams, 0), np.int64)
        for i in range(new_tokens):
            inputs["parents"] = _value(parents)
            outputs = self._step(graph, inputs, i)
            inputs["scores"] = outputs["next_scores"]
            parents = (outputs["next_beams"].numpy() + first_row).reshape(-1)
            history = np.hstack([history[parents], outputs["next_tokens"].numpy()])
        return history[::beams].tolist()


def main() -> None:
    directory, threads = Path(sys.argv[1]), int(sys.argv[2])
    protocol.serve(
        lambda: Model(directory, threads),
        {"threads": threads, "version": onnxruntime.__version__, "blas": "MLAS"},
    )


if __name__ == "__main__":
    main()
