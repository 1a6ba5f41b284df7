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


def open_channel() -> Callable[[dict], None]:
    """The function that sends a reply. Whatever else is printed goes to standard error."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return lambda reply: print(json.dumps(reply), file=replies, flush=True)


def answer_requests(say: Callable[[dict], None], answer: Callable[[dict], dict]) -> None:
    """Until the input ends."""
    for line in sys.stdin:
        try:
            say(answer(json.loads(line)))
        except Exception as failure:  # noqa: BLE001  # told to whoever asked
            say({"error": f"{type(failure).__name__}: {failure}"})


def serve(load: Callable[[], Model], description: dict) -> None:
    """Loads the model, says so, and answers for it. The peer's library is imported before, so that
    its memory is in the figure from before."""
    say = open_channel()
    before = resident_mib()
    start = time.perf_counter()
    model = load()
    ms = (time.perf_counter() - start) * 1e3
    loaded = {"load_ms": ms, "resident_mib": resident_mib(), "resident_mib_before": before}
    say(loaded | description)
    answer_requests(say, lambda request: _answer(model, request))
