"""Our own programs: where they are, and how one is run to its end."""

import os
import subprocess
from pathlib import Path

from local_process import spawn

from . import TOP

# A code of its own, so that it is not taken for an exit code of the program.
SANITIZER_EXIT_CODE = 99
SANITIZER_MARKS = ("AddressSanitizer", "LeakSanitizer", "UndefinedBehaviorSanitizer", "runtime error:")
# Variables of the caller that a program may see; everything else a test gives by name.
PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR")


def binary(name):
    """The program from $BUILD_BIN, which ctest sets, else from the build that is newest."""
    if "BUILD_BIN" in os.environ:
        return Path(os.environ["BUILD_BIN"]) / name
    built = sorted(TOP.glob(f"build/*/bin/{name}"), key=lambda path: path.stat().st_mtime)
    if not built:
        raise FileNotFoundError(f"{name} is not built; run ./dev build")
    return built[-1]


def program_environment(settings):
    """Only what is named: a TERRA_API_KEY of the developer's shell must not reach a test."""
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environment["ASAN_OPTIONS"] = f"exitcode={SANITIZER_EXIT_CODE}:detect_stack_use_after_return=1"
    environment["UBSAN_OPTIONS"] = f"exitcode={SANITIZER_EXIT_CODE}:print_stacktrace=1"
    environment.update({name: str(value) for name, value in settings.items()})
    return environment


def check_sanitizers(name, exit_code, output):
    """Fails when a sanitizer spoke up in this program."""
    if exit_code == SANITIZER_EXIT_CODE or any(mark in output for mark in SANITIZER_MARKS):
        raise AssertionError(f"a sanitizer spoke up in {name} (exit code {exit_code}):\n{output[-8000:]}")


def run_program(*arguments, settings, program="terra-connect", stdin=None, timeout=60):
    """Runs it to its end; the result has returncode, stdout and stderr as text."""
    process = spawn([binary(program), *arguments], env=program_environment(settings), text=True,
        stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        stdout, stderr = process.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        stdout, stderr = process.communicate()
        raise AssertionError(f"{program} {arguments} did not end within {timeout} s:\n{stderr[-4000:]}") from None
    check_sanitizers(program, process.returncode, stderr)
    return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)
