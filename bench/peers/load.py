"""How busy the machine is beside the worker that is measured."""

from __future__ import annotations

import os
import time
from pathlib import Path

from process import Worker


def busy_seconds() -> float:
    """Processor time of everything since the start of the machine."""
    user, nice, system, idle, iowait, irq, softirq, *_ = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


class ForeignLoad:
    """Seconds that a context lasted, and processor seconds of others in that time. The system
    counts hundredths of seconds: only sums over many turns, or long ones, mean something."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.elapsed = 0.0
        self.busy = 0.0

    def _others(self) -> float:
        return busy_seconds() - self._worker.cpu_seconds()

    def __enter__(self) -> ForeignLoad:
        self._start, self._before = time.perf_counter(), self._others()
        return self

    def __exit__(self, *_: object) -> None:
        self.elapsed = time.perf_counter() - self._start
        self.busy = self._others() - self._before
