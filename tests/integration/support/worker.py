"""One `terra-connect worker` process and its log."""

import json
import re
import subprocess
import threading
import time
import urllib.error
import urllib.request

from local_process import spawn

from .program import SANITIZER_EXIT_CODE, binary, check_sanitizers, program_environment

STOP_TIMEOUT = 40
# What every link of the sandbox holds; see tests/sandbox/terra.h.
LINK = re.compile(r"session/[0-9a-f]{8}-|/oauth/")


class Worker:
    """Starts at once. The log is read all the time by a thread, so the worker never waits for us.

    `settings` are environment variables; None as a value takes one of the defaults away. Once it has ended, its log
    is searched for links of the sandbox and for `secrets`: the API key, and what a test adds.
    """

    def __init__(self, settings, flow="connect", arguments=()):
        defaults = {"LOG_FORMAT": "json", "HTTP_LISTEN": "127.0.0.1:0"}
        settings = {name: value for name, value in {**defaults, **settings}.items() if value is not None}
        self._lines = []
        self._changed = threading.Condition()
        self._closed = False
        self._expected_codes = {0}
        self.settings = settings
        self.secrets = {settings["TERRA_API_KEY"]} if settings.get("TERRA_API_KEY") else set()
        self._process = spawn([binary("terra-connect"), "worker", "--flow", flow, *arguments],
            env=program_environment(settings), text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stderr:
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def pid(self):
        return self._process.pid

    @property
    def stderr(self):
        with self._changed:
            return "\n".join(self._lines)

    @property
    def log(self):
        """The log lines as dicts; a line that is not JSON is {"raw": line}."""
        with self._changed:
            return [_parse(line) for line in self._lines]

    def running(self):
        return self._process.poll() is None

    def wait_for_log(self, wanted, timeout=20, since=0):
        """The first line for which wanted(line) is true, or whose message is `wanted`.

        `since` is a number of lines (len(worker.log) from before) that are not looked at.
        """
        matches = wanted if callable(wanted) else lambda line: line.get("message") == wanted
        deadline = time.monotonic() + timeout
        seen = since
        with self._changed:
            while True:
                for text in self._lines[seen:]:
                    seen += 1
                    line = _parse(text)
                    if matches(line):
                        return line
                left = deadline - time.monotonic()
                if self._closed or left <= 0:
                    tail = "\n".join(self._lines[-20:])
                    how = "before it ended" if self._closed else f"within {timeout} s"
                    raise AssertionError(f"the worker did not log {wanted!r} {how}; its last lines:\n{tail}")
                self._changed.wait(left)

    def page(self, path):
        """What it answers over HTTP there, whatever the status: /metrics, say."""
        address = self.wait_for_log("metrics and health are served")["address"]
        # Loopback, whatever proxy the developer's shell names.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://{address}{path}", timeout=10) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as unready:
            return unready.read().decode()

    def metric(self, name):
        """The value of one line of /metrics; with its labels, as they stand there."""
        values = [line.rsplit(" ", 1)[1] for line in self.page("/metrics").splitlines() if line.startswith(name + " ")]
        if not values:
            raise AssertionError(f"there is no metric {name}")
        return float(values[0])

    def _wait_for_first_line(self, timeout=10):
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._closed, timeout)

    def signal(self, number):
        self._process.send_signal(number)

    def sigterm(self):
        self._process.terminate()

    def sigkill(self):
        """Returns when it is gone. The sanitizers' leak check does not run in this case."""
        self._expected_codes.add(-9)
        self._process.kill()
        self._process.wait()

    def wait(self, timeout=STOP_TIMEOUT):
        """Its exit code, once it has ended by itself or by a signal; fails when it lives on, or a sanitizer spoke."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            tail = self.stderr[-4000:]
            raise AssertionError(f"the worker still runs after {timeout} s; its last lines:\n{tail}") from None
        self._reader.join()
        check_sanitizers("the worker", code, self.stderr)
        self._check_secrets()
        return code

    def _check_secrets(self):
        for line in self.stderr.splitlines():
            if LINK.search(line) or any(secret in line for secret in self.secrets):
                raise AssertionError(f"the worker logged a secret: {line}")

    def expect_exit(self, code, timeout=STOP_TIMEOUT):
        """For a test in which the worker gives up: waits for that."""
        self._expected_codes.add(code)
        actual = self.wait(timeout)
        if actual != code:
            raise AssertionError(f"the worker's exit code is {actual}, not {code}:\n{self.stderr[-4000:]}")

    def stop(self, timeout=STOP_TIMEOUT):
        """SIGTERM unless it has ended; fails unless it ended as it should. May be called again."""
        if self.running():
            # Before its first line it may not have come as far as to listen to signals.
            self._wait_for_first_line()
            self.sigterm()
        try:
            code = self.wait(timeout)
        finally:
            if self.running():
                self._process.kill()
                self._process.wait()
        if code not in self._expected_codes or code == SANITIZER_EXIT_CODE:
            raise AssertionError(f"the worker ended with exit code {code}:\n{self.stderr[-4000:]}")


def _parse(line):
    try:
        value = json.loads(line)
    except ValueError:
        return {"raw": line}
    return value if isinstance(value, dict) else {"raw": line}
