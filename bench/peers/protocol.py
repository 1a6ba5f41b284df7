"""A worker's side of the protocol: JSON lines on standard input and output."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

Sources = list[list[int]]


class Model(Protocol):
    """What a peer can do. The clock runs while these functions do."""

    def encode(self, sources: Sources) -> Any:
        """States (batch, tokens, width), as something that numpy can read."""

    def generate(self, sources: Sources, beams: int, new_tokens: int) -> list[list[int]]:
        """So many new tokens for each source, the end not allowed before."""

    def prepare(self, request: dict) -> None:
        """Loads what this request needs and the model does not have yet; not timed."""


def resident_mib() -> float:
    """The process's resident memory, by Linux."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    return 0


def _answer(model: Model, request: dict) -> dict:
    import numpy as np

    model.prepare(request)
    what, sources = request["do"], request["sources"]
    start = time.perf_counter()
    if what == "encode":
        states = model.encode(sources)
        ms = (time.perf_counter() - start) * 1e3
        if "output" in request:
            np.ascontiguousarray(np.asarray(states), dtype=np.float32).tofile(request["output"])
        return {"ms": ms}
    if what == "generate":
        ids = model.generate(sources, request["beams"], request["new_tokens"])
        return {"ms": (time.perf_counter() - start) * 1e3, "ids": ids}
    raise ValueError(f"unknown request '{what}'")


def serve(load: Callable[[], Model], description: dict) -> None:
    """Says what was loaded, then answers until the input ends. The peer's library is imported
    before, so that its memory does not count as the model's."""
    # The libraries may write to standard output, which the protocol needs for itself.
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(reply: dict) -> None:
        print(json.dumps(reply), file=replies, flush=True)

    before = resident_mib()
    start = time.perf_counter()
    model = load()
    ms = (time.perf_counter() - start) * 1e3
    say({"load_ms": ms, "resident_mib": resident_mib(), "resident_mib_before": before}
        | description)
    for line in sys.stdin:
        try:
            say(_answer(model, json.loads(line)))
        except Exception as failure:  # noqa: BLE001  # told to whoever asked
            say({"error": f"{type(failure).__name__}: {failure}"})
