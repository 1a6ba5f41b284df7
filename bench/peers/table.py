"""Figures as text and as JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

from environment import note
from measure import Measurements
from process import Peer

_RELEVANT_VARIABLES = ("OMP_", "GOMP_", "OPENBLAS_", "MKL_", "CT2_", "ORT_", "DNNL_", "ONEDNN_")


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they must be; the first one to the left, the others to the right."""
    widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0])] + [t.rjust(w) for t, w in zip(row[1:], widths[1:])])
        for row in rows)


def format_spread(samples: Sequence[float]) -> str:
    """`median (least..largest)`, three digits."""
    def number(x: float) -> str:
        return f"{x:.0f}" if x >= 100 else f"{x:.3g}"
    return f"{number(statistics.median(samples))} ({number(min(samples))}..{number(max(samples))})"


def processor() -> str:
    """The processor's name, by Linux."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def environment_variables() -> dict[str, str]:
    """Those that change what the libraries do."""
    return {k: v for k, v in sorted(os.environ.items()) if k.startswith(_RELEVANT_VARIABLES)}


def machine() -> dict:
    """Where and when."""
    return {
        "processor": processor(),
        "processors": os.cpu_count(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "environment": environment_variables(),
    }


def write_json(path: Path, content: dict) -> None:
    """Complete or not at all."""
    with tempfile.NamedTemporaryFile("w", dir=path.resolve().parent, prefix=f".{path.name}.",
                                     delete=False) as file:
        try:
            json.dump(content, file, indent=1)
            file.write("\n")
            file.close()
            Path(file.name).chmod(0o644)
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink()
            raise


class Report:
    """Tables over the samples: rows are quantities, columns are peers."""

    def __init__(self, found: Measurements, peers: Sequence[Peer], titles: dict[str, str],
                 threads: Sequence[int]) -> None:
        self._found = found
        self._peers = peers
        self._titles = titles  # of the quantities, in order
        self._threads = threads

    def text(self) -> str:
        parts = [self._header()]
        for n in self._threads:
            plural = "thread" if n == 1 else "threads"
            parts.append(f"{n} {plural}: median (least..largest)\n" + format_table(self._times(n)))
            for own in self._peers:
                rows = self._ratios(n, own)
                if own.own and len(rows[0]) > 1:
                    parts.append(f"{n} {plural}: time of {own.name} over that of\n"
                                 + format_table(rows))
        return "\n\n".join(parts)

    def finish(self, json_file: Path | None, **more: object) -> int:
        """Prints everything, writes the file if one is given, and answers the exit status: 1 where
        answers that must agree do not."""
        print(self.text())
        print("\nanswers")
        for check in self._found.checks:
            print(f"{check.work}, threads: {check.threads}, {check.peer} beside {check.reference}: "
                  f"{check.text}")
        if json_file:
            write_json(json_file, self.content(**more))
        wrong = [check for check in self._found.checks if check.exact and not check.agrees]
        for check in wrong:
            note(f"WRONG: {check.work}, threads: {check.threads}, {check.peer}: {check.text}")
        return 1 if wrong else 0

    def content(self, **more: object) -> dict:
        """What goes into the JSON file."""
        return machine() | more | {
            "peers": self._found.peers,
            "foreign_processors": self._found.foreign_processors(),
            "checks": [asdict(check) for check in self._found.checks],
            "samples": [
                {"threads": threads, "quantity": quantity, "peer": peer, "values": values,
                 "median": statistics.median(values)}
                for (threads, quantity, peer), values in self._found.samples.items()],
        }

    def _header(self) -> str:
        lines = [f"{processor()}, {os.cpu_count()} processors"]
        for name, facts in self._found.peers.items():
            lines.append(f"{name}: " + ", ".join(
                f"{key.replace('_', ' ')} {' '.join(value) if isinstance(value, list) else value}"
                for key, value in facts.items()))
        lines += [f"{k}={v}" for k, v in environment_variables().items()]
        lines.append("processors that other programs kept busy meanwhile: "
                     f"{self._found.foreign_processors():.2f} on average")
        return "\n".join(lines)

    def _samples(self, threads: int, quantity: str, peer: Peer) -> list[float]:
        return self._found.samples.get((threads, quantity, peer.name), [])

    def _quantities(self, threads: int) -> list[str]:
        return [q for q in self._titles
                if any(self._samples(threads, q, peer) for peer in self._peers)]

    def _times(self, threads: int) -> list[list[str]]:
        rows = [["", *(peer.name for peer in self._peers)]]
        for q in self._quantities(threads):
            rows.append([self._titles[q]] + [format_spread(self._samples(threads, q, peer))
                                             for peer in self._peers])
        return rows

    def _ratios(self, threads: int, own: Peer) -> list[list[str]]:
        others = [peer for peer in self._peers if peer is not own]
        exact = [peer for peer in others if peer.exact and not peer.own]
        rows = [["", *(peer.name for peer in others), *(["best fp32 peer"] if exact else [])]]
        for q in self._quantities(threads):
            def median(peer: Peer, quantity: str = q) -> float:
                return statistics.median(self._samples(threads, quantity, peer))
            mine = median(own)
            row = [self._titles[q], *(f"{mine / median(peer):.2f}" for peer in others)]
            if exact:
                row.append(f"{mine / min(median(peer) for peer in exact):.2f}")
            rows.append(row)
        return rows
