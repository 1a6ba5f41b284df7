#!/usr/bin/env python3
"""Times products by eckart and by PyTorch on one GPU, in turns.

  python3 bench/gpu/products.py build/release/bench/gpu/products --json products.json

y = x W^T is dense (F.linear) or goes through two factors (two F.linear); with --layers it is a
layer with a bias and GELU, GELU(x W^T + b). Both engines run copies of
the weights in turn, more than the L2 cache holds, as one CUDA graph, and are timed by CUDA events:
the device alone. Each figure is the median over the rounds; a ratio is that of two medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

import torch
from torch.nn.functional import gelu, linear

SHAPES = [(768, 768), (1024, 1024), (3072, 768), (768, 3072), (4096, 4096)]
NUMBERS = {"fp16": torch.float16, "fp32": torch.float32}


@dataclass
class Work:
    """x (rows, inputs) times a matrix (outputs, inputs); rank 0: dense."""

    number: str
    outputs: int
    inputs: int
    rank: int
    rows: int
    layer: bool

    def parameters(self) -> int:
        if self.rank == 0:
            return self.outputs * self.inputs
        return self.rank * (self.outputs + self.inputs)

    def request(self) -> str:
        form = "two-factor" if self.rank else "dense"
        command = "layer" if self.layer else "product"
        return f"{command} {self.number} {form} {self.outputs} {self.inputs} {self.rank} {self.rows}"


@dataclass
class Result:
    work: Work
    eckart: float  # microseconds
    torch: float


class Eckart:
    """bench_gpu_products --serve."""

    def __init__(self, program: str) -> None:
        self.process = subprocess.Popen([program, "--serve"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.description = self.answer()

    def answer(self) -> str:
        line = self.process.stdout.readline()
        if not line:
            sys.exit("products.py: eckart's program ended")
        return line.strip()

    def ask(self, request: str) -> float:
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        return float(self.answer())


def torch_pass(work: Work, copies: int) -> Callable[[], float]:
    """A function that answers the microseconds of one product."""
    def numbers(rows: int, cols: int) -> torch.Tensor:
        return torch.rand(rows, cols, device="cuda", dtype=NUMBERS[work.number]) * 0.25 - 0.125

    x = numbers(work.rows, work.inputs)
    if work.rank == 0:
        weights = [(numbers(work.outputs, work.inputs),) for _ in range(copies)]
    else:
        weights = [(numbers(work.rank, work.inputs), numbers(work.outputs, work.rank))
                   for _ in range(copies)]

    bias = numbers(1, work.outputs)[0]

    def multiply(factors: tuple[torch.Tensor, ...]) -> torch.Tensor:
        y = x
        for factor in factors[:-1]:
            y = linear(y, factor)
        if work.layer:
            return gelu(linear(y, factors[-1], bias))
        return linear(y, factors[-1])

    with torch.cuda.stream(torch.cuda.Stream()):
        multiply(weights[0])
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for factors in weights:
            multiply(factors)

    def run(replays: int) -> float:
        first = torch.cuda.Event(enable_timing=True)
        last = torch.cuda.Event(enable_timing=True)
        first.record()
        for _ in range(replays):
            graph.replay()
        last.record()
        torch.cuda.synchronize()
        return 1000 * first.elapsed_time(last) / (replays * copies)

    run(1)
    replays = max(1, int(1000 / (run(1) * copies)))  # a millisecond
    return lambda: run(replays)


def measure(eckart: Eckart, work: Work, rounds: int) -> Result:
    copies = int(eckart.ask(work.request()))
    ours, theirs = [], []
    torch_time = torch_pass(work, copies)
    for turn in range(rounds + 1):
        pair = eckart.ask("time"), torch_time()
        if turn > 0:
            ours.append(pair[0])
            theirs.append(pair[1])
    torch.cuda.empty_cache()
    return Result(work, statistics.median(ours), statistics.median(theirs))


def works(numbers: list[str], rows: list[int], ranks: list[int], layer: bool) -> list[Work]:
    return [Work(number, m, n, rank, count, layer)
            for number in numbers for m, n in SHAPES for count in rows
            for rank in [0] + [k for k in ranks if k < min(m, n)]]


def print_line(result: Result, dense: Result, peak: dict[str, float]) -> None:
    work = result.work
    line = (f"{work.number} {f'{work.outputs} x {work.inputs}':>12} {work.rows:>5} "
            f"{work.rank or 'dense':>5} {result.eckart:>9.2f} {result.torch:>9.2f} "
            f"{result.torch / result.eckart:>6.2f}")
    if work.rank:
        by_flops = dense.eckart * work.parameters() / (work.outputs * work.inputs)
        size = torch.finfo(NUMBERS[work.number]).bits // 8
        moved = size * (work.rows * (work.inputs + work.outputs) + work.parameters())
        limit = max(by_flops, moved / peak["bytes_a_microsecond"])
        line += (f" {dense.eckart / result.eckart:>6.2f} {result.eckart / by_flops:>8.2f} "
                 f"{result.eckart / limit:>8.2f}")
    else:
        rate = 2e-6 * work.rows * work.outputs * work.inputs / result.eckart
        line += f"   {rate:.1f} TFLOP/s"
    print(line, flush=True)


def memory_rate() -> float:
    """Bytes a microsecond that a copy of 2 GB reads and writes."""
    source = torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    times = []
    for _ in range(6):
        first = torch.cuda.Event(enable_timing=True)
        last = torch.cuda.Event(enable_timing=True)
        first.record()
        target.copy_(source)
        last.record()
        torch.cuda.synchronize()
        times.append(1000 * first.elapsed_time(last))
    return 2 * source.numel() / statistics.median(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="eckart's side, bench_gpu_products")
    parser.add_argument("--numbers", nargs="+", choices=sorted(NUMBERS), default=list(NUMBERS))
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8, 64, 512, 2048, 8192])
    parser.add_argument("--ranks", type=int, nargs="+", default=[64, 128, 192, 256, 384, 512, 1024])
    parser.add_argument("--layers", action="store_true", help="with a bias and GELU")
    parser.add_argument("--rounds", type=int, default=5, help="timed turns of each")
    parser.add_argument("--json", type=Path, help="write everything to this file")
    options = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    eckart = Eckart(options.program)
    peak = {"bytes_a_microsecond": memory_rate()}
    versions = f"PyTorch {torch.__version__}, CUDA {torch.version.cuda}"
    print(f"eckart: {eckart.description}; {versions}; memory {peak['bytes_a_microsecond'] / 1e6:.2f} "
          f"TB/s; {datetime.now(timezone.utc):%Y-%m-%d}")
    print("microseconds; ratio: PyTorch's time to eckart's; gain: dense to factors; of FLOPs, of "
          "limit: to what FLOPs, and FLOPs or memory, predict from the dense product")
    print("                W  rows  rank    eckart   PyTorch  ratio   gain of FLOPs of limit")
    results, dense = [], None
    for work in works(options.numbers, options.rows, options.ranks, options.layers):
        result = measure(eckart, work, options.rounds)
        dense = result if work.rank == 0 else dense
        print_line(result, dense, peak)
        results.append(asdict(result))
    if options.json:
        options.json.write_text(json.dumps({"eckart": eckart.description, "pytorch": versions,
                                            **peak, "results": results}, indent=1))


if __name__ == "__main__":
    main()
