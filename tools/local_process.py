"""Child processes and ports for the tools and the integration tests.

Every child dies with the process that started it, also when that one is killed: nothing is left behind.
"""

import random
import shutil
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PORT_FIRST = 10000
PORT_TRIES = 200

# The kernel counts a child as orphaned when the *thread* that started it ends, so one thread that lives as
# long as this process starts them all.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


def spawn(command, **options):
    """subprocess.Popen, in a session of its own, so that a Ctrl-C in the terminal reaches only us."""
    program = shutil.which(str(command[0]))
    if program is None:
        raise FileNotFoundError(f"{command[0]} is not there or not executable")
    tied = ["setpriv", "--pdeathsig", "KILL", "--", program, *map(str, command[1:])]
    return _spawner.submit(subprocess.Popen, tied, start_new_session=True, **options).result()


def end(process, timeout=10):
    """SIGTERM, then SIGKILL when it does not listen; returns the exit code."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


def free_port():
    """A port that nobody listens on now; the caller tries again when another was faster.

    It lies below the range of outgoing connections where there is room: one of those could take the port while
    its server is being restarted.
    """
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(PORT_TRIES):
        port = random.randrange(PORT_FIRST, first_outgoing) if first_outgoing > 2 * PORT_FIRST else 0
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise RuntimeError("found no free port")


def eventually(condition, timeout=10, message="condition", interval=0.02):
    """Waits until condition() is true and returns its value; else fails, saying what was waited for."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {timeout} s: {message() if callable(message) else message}")
        time.sleep(interval)
