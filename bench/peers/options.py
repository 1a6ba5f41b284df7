"""The command line of `run`."""

from __future__ import annotations

import argparse
from pathlib import Path

from environment import DEFAULT_DRIVER, DEFAULT_WORK_DIRECTORY, UserError, check_driver
from shape import SHAPES
from work import DEFAULT_WORK, Work, parse_work

# name: what it is; the first ones run unless --peers says otherwise
PEERS = {
    "eckart": "this library, fp32",
    "ctranslate2": "CTranslate2, fp32",
    "onnxruntime": "ONNX Runtime, fp32",
    "ctranslate2-int8": "CTranslate2, int8 weights and products",
    "eckart-int8": "this library, linear layers in 8 bits",
    "ctranslate2-mkl": "CTranslate2, fp32, with CT2_USE_MKL=1 (not measured by default)",
}
DEFAULT_PEERS = tuple(name for name in PEERS if name != "ctranslate2-mkl")


def add_common_options(parser: argparse.ArgumentParser, rounds: int) -> None:
    """Options that all scripts here have."""
    parser.add_argument("--threads", default="1,2", metavar="N,...",
                        help="numbers of threads, one after the other (%(default)s)")
    parser.add_argument("--rounds", type=int, default=rounds, metavar="N",
                        help="timed rounds; one more comes before and is not timed (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    parser.add_argument("--work-directory", type=Path, default=DEFAULT_WORK_DIRECTORY,
                        metavar="DIR", help="environment and models, kept there for the next run "
                        "(build/peers)")
    parser.add_argument("--eckart", type=Path, default=DEFAULT_DRIVER, metavar="PATH",
                        help="eckart's driver (build/release/bench/peers/bench_peers_driver)")


def check_common_options(options: argparse.Namespace) -> None:
    """Replaces texts by what they mean; raises UserError for what means nothing."""
    options.threads = [_positive(n, "--threads") for n in options.threads.split(",")]
    options.rounds = _positive(options.rounds, "--rounds")
    options.eckart = options.eckart.resolve()
    options.work_directory = options.work_directory.resolve()
    check_driver(options.eckart)
    if options.json and not options.json.resolve().parent.is_dir():
        raise UserError(f"--json: {options.json.resolve().parent} is no directory")


def parse(arguments: list[str]) -> argparse.Namespace:
    """Options of `run`; exits with 2 or raises UserError for those that mean nothing."""
    parser = argparse.ArgumentParser(
        prog="run", description="Measures eckart beside other engines on the same random BART.",
        epilog="peers: " + "; ".join(f"{name}: {text}" for name, text in PEERS.items()))
    add_common_options(parser, rounds=5)
    parser.add_argument("--work", default=",".join(DEFAULT_WORK), metavar="ITEM,...",
                        help="encode<tokens>x<batch>, greedy<batch>, beam<batch>, load "
                        "(%(default)s)")
    parser.add_argument("--peers", default=",".join(DEFAULT_PEERS), metavar="NAME,...",
                        help="who is measured (%(default)s)")
    parser.add_argument("--eckart-model", action="append", default=[], metavar="NAME=DIR",
                        help="measure this model directory with eckart, too, as NAME; its answers "
                        "are not compared; can be repeated")
    parser.add_argument("--shape", choices=list(SHAPES), default="bart-base",
                        help="sizes of the model; tiny tests the script itself (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, metavar="N",
                        help="of weights and texts (%(default)s)")
    options = parser.parse_args(arguments)
    check_common_options(options)
    options.shape = SHAPES[options.shape]
    options.work = _work(options.work, options.shape.positions)
    options.peers = _known(options.peers, PEERS, "--peers")
    options.eckart_model = dict(_named_directory(text) for text in options.eckart_model)
    if options.seed < 0:
        raise UserError(f"--seed: {options.seed} is negative")
    return options


def _positive(value: str | int, option: str) -> int:
    try:
        number = int(value)
    except ValueError:
        number = 0
    if number < 1:
        raise UserError(f"{option}: '{value}' is no positive number")
    return number


def _known(text: str, known: dict[str, str], option: str) -> list[str]:
    names = list(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in known:
            raise UserError(f"{option}: '{name}' is none of {', '.join(known)}")
    return names


def _work(text: str, positions: int) -> list[Work]:
    try:
        return [parse_work(name, positions) for name in dict.fromkeys(text.split(","))]
    except ValueError as failure:
        raise UserError(f"--work: {failure}") from failure


def _named_directory(text: str) -> tuple[str, Path]:
    name, separator, directory = text.partition("=")
    if not name or not separator or name in PEERS:
        raise UserError(f"--eckart-model: '{text}' is not NAME=DIR with a new name")
    path = Path(directory).resolve()
    if not (path / "config.json").is_file():
        raise UserError(f"--eckart-model: {path} has no config.json")
    return name, path
