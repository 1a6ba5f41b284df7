"""Turns of all peers, round by round."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from compare import Check, compare
from environment import note
from load import ForeignLoad
from process import Peer, Worker
from shape import Shape
from weights import random_sources
from work import NEW_TOKENS, Work

# Between turns. The threads of a library that has just worked spin for a while (OpenMP and ONNX
# Runtime: a few milliseconds at most) and must not take a processor from the next one. Nobody's
# spinning is switched off, which would slow him down where it matters.
PAUSE = 0.05

_FACTS = ("version", "blas", "supported_compute_types", "environment")


@dataclass
class Measurements:
    """Everything that was found out. Samples are listed by (threads, quantity, peer), where a
    quantity is a work item's name, in milliseconds, or `memory`, in MiB."""

    samples: dict[tuple[int, str, str], list[float]] = field(default_factory=dict)
    turns: list[ForeignLoad] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    peers: dict[str, dict] = field(default_factory=dict)

    def add(self, threads: int, quantity: str, peer: str, value: float) -> None:
        self.samples.setdefault((threads, quantity, peer), []).append(value)

    def foreign_processors(self) -> float:
        """Processors that were busy beside the worker that was measured, on average."""
        elapsed = sum(turn.elapsed for turn in self.turns)
        return max(0.0, sum(turn.busy for turn in self.turns) / elapsed) if elapsed else 0.0

    def start(self, peer: Peer, threads: int, scratch: Path) -> Worker:
        """A worker; what it says of itself is kept."""
        worker = Worker(peer, threads, scratch / f"{peer.name}.log")
        facts = {key: worker.loaded[key] for key in _FACTS if key in worker.loaded}
        self.peers[peer.name] = facts | worker.facts()
        return worker

    def ask(self, worker: Worker, request: dict) -> dict:
        """The worker's answer, after a pause."""
        time.sleep(PAUSE)
        with ForeignLoad(worker) as turn:
            reply = worker.ask(request)
        self.turns.append(turn)
        return reply


def turns(all_: list, round_: int) -> list:
    """Every round begins with another one, so that nobody always follows the same."""
    first = round_ % len(all_)
    return all_[first:] + all_[:first]


class Measurer:
    """Measures the peers with one number of threads after the other."""

    def __init__(self, peers: list[Peer], shape: Shape, seed: int, rounds: int,
                 scratch: Path) -> None:
        self.found = Measurements()
        self._peers = peers
        self._shape = shape
        self._seed = seed
        self._rounds = rounds
        self._scratch = scratch

    def run(self, threads: int, work: list[Work]) -> None:
        for item in work:
            if item.kind == "load":
                note(f"threads: {threads}, {item.title}")
                self._measure_loading(threads, item)
        others = [item for item in work if item.kind != "load"]
        if not others:
            return
        with ExitStack() as stack:
            workers = [stack.enter_context(self.found.start(peer, threads, self._scratch))
                       for peer in self._peers]
            for item in others:
                note(f"threads: {threads}, {item.title}")
                self._measure(threads, item, workers)

    def _measure_loading(self, threads: int, item: Work) -> None:
        """Round 0 brings the files into the page cache."""
        for round_ in range(self._rounds + 1):
            for peer in turns(self._peers, round_):
                time.sleep(PAUSE)
                with self.found.start(peer, threads, self._scratch) as worker:
                    if round_ > 0:
                        loaded = worker.loaded
                        self.found.add(threads, item.name, peer.name, loaded["load_ms"])
                        self.found.add(threads, "memory", peer.name, loaded["resident_mib"])

    def _measure(self, threads: int, item: Work, workers: list[Worker]) -> None:
        """Round 0 warms up, and its answers are compared."""
        sources = random_sources(self._shape, item.batch, item.tokens, self._seed)
        answers: dict[str, Path | list] = {}
        for round_ in range(self._rounds + 1):
            for worker in turns(workers, round_):
                request = self._request(item, sources)
                name = worker.peer.name
                if round_ == 0 and item.kind == "encode":
                    answers[name] = self._scratch / f"{name}.states"
                    request["output"] = str(answers[name])
                reply = self.found.ask(worker, request)
                if round_ == 0:
                    answers.setdefault(name, reply.get("ids", []))
                else:
                    self.found.add(threads, item.name, name, reply["ms"])
        self.found.checks += compare(item, threads, self._peers, answers)

    @staticmethod
    def _request(item: Work, sources: list[list[int]]) -> dict:
        if item.kind == "encode":
            return {"do": "encode", "sources": sources}
        return {"do": "generate", "sources": sources, "beams": item.beams,
                "new_tokens": NEW_TOKENS}
