"""A real redis-server in a folder of its own, on a free port or on a unix socket."""

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from local_process import end, free_port, spawn

START_TIMEOUT = 15
START_TRIES = 5


class RedisServer:
    """start() … stop() or kill() … start() again at the same address … remove().

    Its data is gone after kill(), and after stop() too unless persistent=True.
    """

    def __init__(self, unix_socket=False, persistent=False, arguments=()):
        self._folder = Path(tempfile.mkdtemp(prefix="terra-connect-redis-"))
        self._unix_socket = self._folder / "redis.sock" if unix_socket else None
        self._persistent = persistent
        self._arguments = arguments
        self._process = None
        self.port = None

    @property
    def url(self):
        return f"unix://{self._unix_socket}" if self._unix_socket else f"redis://127.0.0.1:{self.port}"

    @property
    def pid(self):
        return self._process.pid

    def start(self):
        """Returns when it answers PING."""
        for attempt in range(START_TRIES):
            chosen = self.port is None and not self._unix_socket
            if chosen:
                self.port = free_port()
            if self._launch():
                return self
            if not chosen or attempt == START_TRIES - 1:
                raise RuntimeError("redis-server did not start:\n" + self._log_path.read_text()[-2000:])
            self.port = None  # another process was faster
        raise AssertionError("unreachable")

    @property
    def _log_path(self):
        return self._folder / "redis.log"

    def _launch(self):
        address = ["--port", "0", "--unixsocket", self._unix_socket] if self._unix_socket else \
            ["--port", self.port, "--bind", "127.0.0.1"]
        with open(self._log_path, "w") as log:
            self._process = spawn(
                ["redis-server", *address, "--dir", self._folder, "--save", "3600 1" if self._persistent else "",
                 "--appendonly", "no", "--daemonize", "no", "--enable-debug-command", "yes", *self._arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._answers():
                return True
            time.sleep(0.01)
        self.kill()
        return False

    def _answers(self):
        family = socket.AF_UNIX if self._unix_socket else socket.AF_INET
        address = str(self._unix_socket) if self._unix_socket else ("127.0.0.1", self.port)
        with socket.socket(family) as probe:
            probe.settimeout(1)
            try:
                probe.connect(address)
                probe.sendall(b"PING\r\n")
                # A reply of any other kind (a password wanted, still loading) is another server's or comes too early.
                return probe.recv(64).startswith(b"+PONG")
            except OSError:
                return False

    def client(self):
        """A redis.Redis for looking inside."""
        import redis  # only the suites need this package

        return redis.Redis.from_url(self.url, decode_responses=True)

    def stop(self):
        end(self._process)

    def kill(self):
        self._process.kill()
        self._process.wait()

    def freeze(self):
        """SIGSTOP: connections stay open and nothing answers; thaw() ends it."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self._process.send_signal(signal.SIGCONT)

    def remove(self):
        """Ends it and takes its folder away."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.remove()
            raise

    def __exit__(self, *_):
        self.remove()
