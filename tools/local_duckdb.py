#!/usr/bin/python3
"""DuckDB for the tests: Debian has no package of it, so it comes from PyPI, into build/venv.

Used by the test of docs/analytics.md; `./dev test` fetches it beforehand. Needs python3-venv, and PyPI the first time.
"""

import argparse
import fcntl
import importlib
import subprocess
import sys
from pathlib import Path

VERSION = "2.0.1"
BUILD = Path(__file__).resolve().parents[1] / "build"
VENV = BUILD / "venv"
PIP_TIMEOUT = 300


class DuckdbUnavailable(Exception):
    """It is neither in build/venv nor to be had from PyPI."""


def fetch():
    """The folder to import it from, filled first if need be. Two at once are fine: the second one waits."""
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = VENV / "lib" / python / "site-packages"
    # Written last, so that an interrupted installation is never taken for a complete one.
    complete = VENV / f"duckdb-{VERSION}-{python}"
    if not complete.exists():
        BUILD.mkdir(exist_ok=True)
        with open(BUILD / "venv.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not complete.exists():
                _run([sys.executable, "-m", "venv", "--clear", VENV])
                _run([VENV / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                    "--retries", "1", "--only-binary", ":all:", f"duckdb=={VERSION}"])
                complete.touch()
    return packages


def _run(command):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=PIP_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        raise DuckdbUnavailable(f"DuckDB {VERSION} did not come from PyPI within {PIP_TIMEOUT} s") from None
    if done.returncode != 0:
        last_line = done.stdout.strip().rpartition("\n")[2]
        raise DuckdbUnavailable(f"DuckDB {VERSION} could not be installed: {last_line}")


def load():
    """The module `duckdb`."""
    folder = str(fetch())
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module("duckdb")


def main():
    parser = argparse.ArgumentParser(description="Puts DuckDB into build/venv.")
    parser.add_argument("--fetch", action="store_true", help="that is all it does")
    parser.parse_args()
    try:
        print(f"DuckDB {VERSION}: {fetch()}")
    except DuckdbUnavailable as reason:
        sys.exit(str(reason))


if __name__ == "__main__":
    main()
