"""CTranslate2's worker: ct2_worker.py DIRECTORY COMPUTE_TYPE THREADS."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np

import protocol


class Model:
    """The translator; the encoder by itself is loaded when it is first asked for."""

    def __init__(self, directory: Path, compute_type: str, threads: int) -> None:
        self._directory = directory
        self._options = {
            "device": "cpu",
            "compute_type": compute_type,
            "inter_threads": 1,
            "intra_threads": threads,
        }
        self._translator = ctranslate2.Translator(str(directory / "translator"), **self._options)
        self._encoder: Any = None
        self._names: list[str] = []
        self._ids: dict[str, int] = {}

    def prepare(self, request: dict) -> None:
        if request["do"] == "encode" and self._encoder is None:
            self._encoder = ctranslate2.Encoder(str(self._directory / "encoder"), **self._options)
        if not self._names:
            vocabulary = self._directory / "translator" / "shared_vocabulary.json"
            self._names = json.loads(vocabulary.read_text())
            self._ids = {name: i for i, name in enumerate(self._names)}

    def encode(self, sources: protocol.Sources) -> np.ndarray:
        return np.asarray(self._encoder.forward_batch(sources).last_hidden_state)

    def generate(self, sources: protocol.Sources, beams: int, new_tokens: int) -> list[list[int]]:
        results = self._translator.translate_batch(
            [[self._names[i] for i in source] for source in sources],
            beam_size=beams,
            min_decoding_length=new_tokens,
            max_decoding_length=new_tokens,
        )
        return [[self._ids[name] for name in result.hypotheses[0]] for result in results]


def main() -> None:
    directory, compute_type, threads = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    mkl = os.environ.get("CT2_USE_MKL")
    protocol.serve(
        lambda: Model(directory, compute_type, threads),
        {
            "threads": threads,
            "version": ctranslate2.__version__,
            "supported_compute_types": sorted(ctranslate2.get_supported_compute_types("cpu")),
            **({} if mkl is None else {"environment": f"CT2_USE_MKL={mkl}"}),
        },
    )


if __name__ == "__main__":
    main()
