"""The model directories of all peers, written once and kept."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from environment import HERE, note
from shape import Shape
from work import BEAMS

_WRITERS = ("models.py", "shape.py", "weights.py", "ct2_model.py", "onnx_model.py")


def _fingerprint() -> str:
    """Of the code that writes models: other code may write others."""
    code = b"".join((HERE / name).read_bytes() for name in _WRITERS)
    return hashlib.sha256(code).hexdigest()[:12]


def prepare_models(work_directory: Path, shape: Shape, seed: int, driver: Path) -> Path:
    """The directory with `eckart`, `eckart-int8`, `ctranslate2`, `ctranslate2-int8` and
    `onnxruntime`; the second is written by eckart's driver."""
    directory = work_directory / f"{shape.name}-{seed}"
    stamp = directory / "complete"
    if stamp.exists() and stamp.read_text() == _fingerprint():
        return directory
    import ct2_model
    import onnx_model
    import weights

    note(f"writing the models to {directory}")
    shutil.rmtree(directory, ignore_errors=True)
    tensors = weights.random_weights(shape, seed)
    weights.write_model(directory / "eckart", shape, tensors)
    subprocess.run([driver, "--model", directory / "eckart", "--write-int8",
                    directory / "eckart-int8"], check=True)
    ct2_model.write_model(directory / "ctranslate2", shape, tensors, None)
    ct2_model.write_model(directory / "ctranslate2-int8", shape, tensors, "int8")
    onnx_model.write_model(directory / "onnxruntime", shape, tensors, BEAMS)
    stamp.write_text(_fingerprint())
    return directory
