"""The other side of the protocol: a worker as its user sees it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path


class WorkerError(Exception):
    """A worker died or refused; the text says which and why."""


@dataclass(frozen=True)
class Peer:
    """How a worker is started."""

    name: str
    command: Sequence[str]
    exact: bool = True  # its answers must be those of the other exact ones
    own: bool = False  # it is eckart
    environment: dict[str, str] = field(default_factory=dict)
    told_by_log: tuple[str, ...] = ()  # what its log says of itself, as `NAME: VALUE`


class Worker:
    """A running worker, idle unless it is asked. Use it as a context."""

    def __init__(self, peer: Peer, threads: int, log: Path) -> None:
        self.peer = peer
        self.log = log
        with log.open("wb") as errors:
            # OMP_NUM_THREADS is for libraries that fix their pool when they are loaded.
            self._process = subprocess.Popen(
                [*peer.command, str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=errors, text=True, cwd=log.parent,
                env=os.environ | {"OMP_NUM_THREADS": str(threads)} | peer.environment)
        try:
            self.loaded = self._reply()
        except BaseException:
            self.close()
            raise

    def ask(self, request: dict) -> dict:
        with suppress(BrokenPipeError):  # the missing reply tells
            print(json.dumps(request), file=self._process.stdin, flush=True)
        return self._reply()

    def facts(self) -> dict[str, str]:
        """What the log tells, see Peer."""
        found = {}
        for line in self.log.read_text(errors="replace").splitlines():
            for name in self.peer.told_by_log:
                if f"{name}: " in line:
                    found[name] = line.partition(f"{name}: ")[2]
        return found

    def cpu_seconds(self) -> float:
        """Processor time so far, of all threads."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """Ends the worker, which stops at the end of its input."""
        assert self._process.stdin and self._process.stdout  # they are pipes
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _reply(self) -> dict:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            last = self.log.read_text(errors="replace").strip().splitlines()[-3:]
            raise WorkerError(f"{self.peer.name} ended with status {status}: {' / '.join(last)}")
        reply = json.loads(line)
        if "error" in reply:
            raise WorkerError(f"{self.peer.name}: {reply['error']}")
        return reply
