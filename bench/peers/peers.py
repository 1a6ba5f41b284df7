"""How the workers of `run` are started."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from environment import HERE
from process import Peer


def peers_of(options: argparse.Namespace, models: Path) -> list[Peer]:
    """How each of the chosen peers is started."""
    python = [sys.executable, "-B"]

    def ct2(name: str, directory: str, compute_type: str, exact: bool = True,
            **environment: str) -> Peer:
        command = [*python, str(HERE / "ct2_worker.py"), str(models / directory), compute_type]
        return Peer(name, command, exact=exact, environment={"CT2_VERBOSE": "1"} | environment,
                    told_by_log=("Selected ISA", "Use Intel MKL", "SGEMM backend",
                                 "GEMM_S8 backend"))

    def eckart(name: str, directory: Path, exact: bool) -> Peer:
        command = [str(options.eckart), "--model", str(directory), "--threads"]
        return Peer(name, command, exact=exact, own=True)

    known = {
        "eckart": eckart("eckart", models / "eckart", exact=True),
        "eckart-int8": eckart("eckart-int8", models / "eckart-int8", exact=False),
        "ctranslate2": ct2("ctranslate2", "ctranslate2", "float32"),
        "onnxruntime": Peer("onnxruntime", [*python, str(HERE / "onnx_worker.py"),
                                            str(models / "onnxruntime")]),
        "ctranslate2-int8": ct2("ctranslate2-int8", "ctranslate2-int8", "int8", exact=False),
        "ctranslate2-mkl": ct2("ctranslate2-mkl", "ctranslate2", "float32",
                               CT2_USE_MKL="1"),
    }
    more = [eckart(name, path, exact=False) for name, path in options.eckart_model.items()]
    return [known[name] for name in options.peers] + more
