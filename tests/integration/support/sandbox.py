"""One terra-sandbox process: the embedded Kafka, the simulated Terra, and its control endpoint."""

import json
import signal
import subprocess
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request

from local_process import end, spawn

from .program import binary, check_sanitizers, program_environment

START_TIMEOUT = 30
CONTROL_TIMEOUT = 20
# Loopback, whatever proxy the developer's shell names.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Sandbox:
    """Ready when the constructor returns. Arguments are terra-sandbox's own: see its --help.

    Its calls below are what tests/sandbox/control.h describes; a mistake is an AssertionError with the
    sandbox's own words.
    """

    def __init__(self, arguments=()):
        self._stderr = tempfile.TemporaryFile("w+", errors="replace")
        self._process = spawn([binary("terra-sandbox"), *arguments], env=program_environment({}), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._stderr)
        self.ready = self._read_ready()

    def _read_ready(self):
        slow = threading.Timer(START_TIMEOUT, self._process.kill)
        slow.start()
        line = self._process.stdout.readline()
        slow.cancel()
        try:
            return json.loads(line)
        except ValueError:
            code = end(self._process)
            raise AssertionError(f"terra-sandbox did not start (exit code {code}): {self.stderr}") from None

    @property
    def stderr(self):
        self._stderr.seek(0)
        return self._stderr.read()

    @property
    def pid(self):
        return self._process.pid

    @property
    def bootstrap(self):
        return self.ready["kafka"]

    @property
    def settings(self):
        """What a worker needs to be told to use the embedded Kafka and this Terra."""
        # That broker holds an empty fetch back for the whole wait, and rebalances by the session's length.
        return {"KAFKA_BOOTSTRAP_SERVERS": self.bootstrap, "KAFKA_FETCH_WAIT_MAX_MS": 10,
            "KAFKA_SESSION_TIMEOUT_MS": 4000, **self.terra_settings}

    @property
    def terra_settings(self):
        """Only Terra: for a worker whose Kafka is another one."""
        return {"TERRA_BASE_URL": self.ready["terra"], "TERRA_DEV_ID": self.ready["dev_id"],
            "TERRA_API_KEY": self.ready["api_key"]}

    def control(self, method, path, body=None, **query):
        """One call of the control endpoint: control("POST", "/faults", {…})."""
        query = {name: value for name, value in query.items() if value is not None}
        url = self.ready["control"] + path + ("?" + urllib.parse.urlencode(query) if query else "")
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
        try:
            with _opener.open(request, timeout=CONTROL_TIMEOUT) as response:
                return json.loads(response.read())
        except urllib.error.HTTPError as refusal:
            raise AssertionError(f"{method} {url}: {refusal.code} {refusal.read().decode(errors='replace')}") from None

    def calls(self, **filters):
        """Recorded calls, oldest first; filters as in control.h (endpoint, reference_id, status, …).

        The neutral GETs by which workers try their credentials are left out, unless endpoint="user_info".
        """
        found, since = [], filters.pop("since", 0)
        while True:
            page = self.control("GET", "/calls", since=since, limit=10000, **filters)
            found += [call for call in page["calls"] if "endpoint" in filters or call["endpoint"] != "user_info"]
            since = page["last"]
            if not page["more"]:
                return found

    def call_counts(self, **filters):
        """{"count", "busiest_second", "new_connections", "by_status", …}"""
        return self.control("GET", "/calls/count", **filters)

    def forget_calls(self):
        self.control("DELETE", "/calls")

    def add_fault(self, **script):
        """For example add_fault(kind="stall", endpoint="widget_session", count=2); returns its id. See fault.h."""
        return self.control("POST", "/faults", script)["ids"][0]

    def clear_faults(self):
        self.control("DELETE", "/faults")

    def set_latency(self, milliseconds, jitter_milliseconds=0):
        self.control("POST", "/latency", {"milliseconds": milliseconds, "jitter_milliseconds": jitter_milliseconds})

    def set_credential(self, environment="default", **fields):
        self.control("POST", "/credentials", {"environment": environment, **fields})

    def fail_kafka_requests(self, request, error, count=1):
        """For example ("Produce", "NOT_LEADER_FOR_PARTITION"), on the embedded Kafka."""
        self.control("POST", "/kafka/errors", {"request": request, "error": error, "count": count})

    def set_broker(self, up=None, rtt_ms=None):
        given = {"up": up, "rtt_ms": rtt_ms}
        self.control("POST", "/kafka/broker", {name: value for name, value in given.items() if value is not None})

    def create_topic(self, name, partitions=4):
        self.control("POST", "/kafka/topics", {"name": name, "partitions": partitions})

    def create_topics(self, names, partitions=4):
        for name in names:
            self.create_topic(name, partitions)

    def reset(self):
        """As at the start: no faults, no calls, no latency, the broker up."""
        self.control("POST", "/reset")

    def running(self):
        return self._process.poll() is None

    def freeze(self):
        """SIGSTOP: connections stay open and nothing answers; thaw() ends it."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self._process.send_signal(signal.SIGCONT)

    def stop(self):
        """Fails when a sanitizer spoke up, or it had ended by itself. May be called again."""
        if self.running():
            self.thaw()
        code = end(self._process)
        self._process.stdout.close()
        if self._stderr.closed:
            return
        stderr = self.stderr
        self._stderr.close()
        check_sanitizers("terra-sandbox", code, stderr)
        if code != 0:
            raise AssertionError(f"terra-sandbox ended with exit code {code}:\n{stderr[-4000:]}")
