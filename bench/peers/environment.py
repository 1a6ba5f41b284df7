"""The throw-away Python environment that the peers live in."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
REQUIREMENTS = HERE / "requirements.txt"
DEFAULT_WORK_DIRECTORY = PROJECT / "build" / "peers"
DEFAULT_DRIVER = PROJECT / "build" / "release" / "bench" / "peers" / "bench_peers_driver"


class UserError(Exception):
    """A mistake of whoever runs the script; its text is the message."""


def note(text: str) -> None:
    """Progress, which is no part of the result."""
    print(f"== {text}", file=sys.stderr, flush=True)


def install(directory: Path, *packages: str) -> None:
    """Installs packages into the environment; raises UserError where pip cannot."""
    command = [str(directory / "bin" / "python"), "-m", "pip", "install", "--quiet",
               "--disable-pip-version-check", *packages]
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode != 0:
        raise UserError(f"pip could not install {' '.join(packages)} into {directory}")


def enter(work_directory: Path) -> None:
    """Goes on in the environment, which is made or brought up to date first.

    Replaces the process by the same command in the environment's interpreter; returns only there.
    """
    directory = work_directory / "venv"
    if Path(sys.prefix).resolve() == directory.resolve():
        return
    stamp = directory / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != REQUIREMENTS.read_text():
        note(f"installing the peers into {directory}")
        venv.create(directory, clear=True, symlinks=True, with_pip=True)
        install(directory, "-r", str(REQUIREMENTS))
        stamp.write_text(REQUIREMENTS.read_text())
    python = str(directory / "bin" / "python")
    os.execv(python, [python, *sys.argv])


def check_driver(driver: Path) -> None:
    """Raises UserError if eckart's driver is not there."""
    if not os.access(driver, os.X_OK) or driver.is_dir():
        raise UserError(
            f"{driver} is no program; build it with\n"
            "  cmake --preset release -DECKART_BUILD_TESTS=OFF\n"
            "  cmake --build --preset release --target bench_peers_driver\n"
            "or give its place with --eckart"
        )
