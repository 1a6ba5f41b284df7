"""SVDs by NumPy or PyTorch: svd_worker.py numpy|torch THREADS."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import protocol


def numpys_blas() -> str:
    """What the BLAS in NumPy's wheel says of itself; it chooses its kernels when it is loaded."""
    folder = Path(np.__file__).parent.parent / "numpy.libs"
    for path in folder.glob("libscipy_openblas*"):
        library = ctypes.CDLL(str(path))
        suffix = "64_" if "openblas64" in path.name else ""
        texts = []
        for name in ("config", "corename"):
            function = getattr(library, f"scipy_openblas_get_{name}{suffix}")
            function.restype = ctypes.c_char_p
            texts.append(function().decode())
        return f"{texts[0]}, runs {texts[1]}"
    return "unknown"


def numpys_svd(threads: int) -> tuple[Callable, dict]:
    del threads  # set by the environment
    return (lambda a: np.linalg.svd(a, full_matrices=False),
            {"version": np.__version__, "blas": numpys_blas()})


def torchs_svd(threads: int) -> tuple[Callable, dict]:
    import torch

    torch.set_num_threads(threads)
    blas = "MKL" if torch.backends.mkl.is_available() else torch.__config__.show()

    def svd(a: np.ndarray) -> list[np.ndarray]:
        return [x.numpy() for x in torch.linalg.svd(torch.from_numpy(a), full_matrices=False)]

    return svd, {"version": torch.__version__, "blas": " ".join(blas.split())}


def main() -> None:
    say = protocol.open_channel()
    svd, facts = {"numpy": numpys_svd, "torch": torchs_svd}[sys.argv[1]](int(sys.argv[2]))

    def answer(request: dict) -> dict:
        a = np.fromfile(request["matrix"], np.float32).reshape(request["rows"], request["cols"])
        start = time.perf_counter()
        s = svd(a)[1]
        return {"ms": (time.perf_counter() - start) * 1e3, "singular_values": s.tolist()}

    say(facts)
    protocol.answer_requests(say, answer)


if __name__ == "__main__":
    main()
