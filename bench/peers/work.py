"""What is measured: the work items, by name."""

from __future__ import annotations

import re
from dataclasses import dataclass

SOURCE_TOKENS = 128  # of each text that is generated from
NEW_TOKENS = 64
BEAMS = 4


@dataclass(frozen=True)
class Work:
    """`encode512x8`: encoder, 512 tokens, batch of 8; `greedy8`, `beam1`: new tokens for 8 texts
    or 1; `load`: a fresh process loads the model."""

    name: str
    kind: str  # load, encode, greedy or beam
    tokens: int = SOURCE_TOKENS
    batch: int = 1

    @property
    def beams(self) -> int:
        return BEAMS if self.kind == "beam" else 1

    @property
    def title(self) -> str:
        if self.kind == "load":
            return "load"
        if self.kind == "encode":
            return f"encoder, {self.tokens} tokens, batch {self.batch}"
        search = "greedy" if self.kind == "greedy" else f"{BEAMS} beams"
        return f"{NEW_TOKENS} new tokens, {search}, batch {self.batch}"


DEFAULT_WORK = ("load", "encode512x1", "encode512x8", "encode128x1", "encode128x8",
                "greedy1", "greedy8", "beam1", "beam8")
_LARGEST_BATCH = 64


def parse_work(name: str, positions: int) -> Work:
    """Raises ValueError for what is no work item or too long for the model."""
    if name == "load":
        return Work(name, "load")
    match = re.fullmatch(r"encode(\d+)x(\d+)|(greedy|beam)(\d+)", name)
    if not match:
        raise ValueError(f"'{name}' is no work item; examples: {', '.join(DEFAULT_WORK)}")
    if match[1]:
        work = Work(name, "encode", int(match[1]), int(match[2]))
    else:
        work = Work(name, match[3], batch=int(match[4]))
    if not 1 <= work.tokens <= positions:
        raise ValueError(f"'{name}': not within 1 to {positions} tokens")
    if not 1 <= work.batch <= _LARGEST_BATCH:
        raise ValueError(f"'{name}': not within a batch of 1 to {_LARGEST_BATCH}")
    return work
