"""A real redis-server in a folder of its own, on a free port or on a unix socket."""

import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path

from local_process import end, free_port, spawn

START_TIMEOUT = 15
START_TRIES = 5


class RedisServer:
    """start() … stop() or kill() … start() again at the same address … remove().

    Its data is gone after kill(), and after stop() too unless persistent=True. With `tls`, a certificate of
    certificates.py, it speaks nothing else.
    """

    def __init__(self, unix_socket=False, persistent=False, arguments=(), tls=None):
        self._folder = Path(tempfile.mkdtemp(prefix="terra-connect-redis-"))
        self._unix_socket = self._folder / "redis.sock" if unix_socket else None
        self._persistent = persistent
        self._arguments = arguments
        self._tls = tls
        self._process = None
        self.port = None

    @property
    def url(self):
        if self._unix_socket:
            return f"unix://{self._unix_socket}"
        return f"rediss://localhost:{self.port}" if self._tls else f"redis://127.0.0.1:{self.port}"

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
        if self._unix_socket:
            address = ["--port", "0", "--unixsocket", self._unix_socket]
        elif self._tls:
            address = ["--port", "0", "--tls-port", self.port, "--bind", "127.0.0.1", "--tls-auth-clients", "no",
                "--tls-cert-file", self._tls.chain, "--tls-key-file", self._tls.key]
        else:
            address = ["--port", self.port, "--bind", "127.0.0.1"]
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
        with socket.socket(family) as plain:
            plain.settimeout(1)
            try:
                plain.connect(address)
                probe = _without_doubts().wrap_socket(plain) if self._tls else plain
                probe.sendall(b"PING\r\n")
                # A reply of any other kind (a password wanted, still loading) is another server's or comes too early.
                return probe.recv(64).startswith(b"+PONG")
            except OSError:
                return False

    def client(self):
        """A redis.Redis for looking inside."""
        import redis  # only the suites need this package

        doubts = {"ssl_cert_reqs": "none", "ssl_check_hostname": False} if self._tls else {}
        return redis.Redis.from_url(self.url, decode_responses=True, **doubts)

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


def _without_doubts():
    """For us, who started it; which certificate it shows is the test's matter."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
