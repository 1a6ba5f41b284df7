"""Do the peers compute the same?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from process import Peer
from work import Work

BOUND = 1e-4  # of numbers, in parts of the largest one if that is above 1


@dataclass(frozen=True)
class Check:
    """One peer's answer beside the reference's."""

    work: str
    threads: int
    peer: str
    reference: str
    exact: bool  # whether the answers must agree
    agrees: bool
    text: str


def compare_numbers(expected: np.ndarray, other: np.ndarray) -> tuple[bool, str]:
    """Whether they agree up to rounding, and what to say about it."""
    if expected.shape != other.shape:
        return False, f"{other.size} numbers, not {expected.size}"
    difference = float(np.abs(other - expected).max())
    scale = float(np.abs(expected).max())
    return (difference <= BOUND * max(1.0, scale),  # false for NaN
            f"largest difference {difference:.1e} of {scale:.3g}")


def _compare_states(reference: Path, other: Path) -> tuple[bool, str]:
    return compare_numbers(np.fromfile(reference, np.float32), np.fromfile(other, np.float32))


def _compare_ids(expected: list[list[int]], ids: list[list[int]]) -> tuple[bool, str]:
    if [len(row) for row in ids] != [len(row) for row in expected]:
        return False, "numbers of tokens differ"
    unequal = [r for r, (a, b) in enumerate(zip(expected, ids)) if a != b]
    if not unequal:
        return True, "same tokens"
    row = unequal[0]
    at = next(i for i, (a, b) in enumerate(zip(expected[row], ids[row])) if a != b)
    return False, (f"{len(unequal)} of {len(ids)} texts differ, the first one (text {row}) from "
                   f"token {at} on: {ids[row][at]}, not {expected[row][at]}")


def compare(work: Work, threads: int, peers: list[Peer], answers: Mapping[str, Path | list]
            ) -> list[Check]:
    """Every peer's answer beside that of the first exact peer: a file of states or lists of ids."""
    reference = next((peer.name for peer in peers if peer.exact), peers[0].name)
    function: Callable[[Any, Any], tuple[bool, str]] = (
        _compare_states if work.kind == "encode" else _compare_ids)
    checks = []
    for peer in peers:
        if peer.name != reference:
            agrees, text = function(answers[reference], answers[peer.name])
            checks.append(Check(work.name, threads, peer.name, reference, peer.exact, agrees, text))
    return checks
