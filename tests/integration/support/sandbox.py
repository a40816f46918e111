"""One terra-sandbox process: the embedded Kafka, the simulated Terra, and its control endpoint."""

import json
import signal
import subprocess
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request

from local_process import end, eventually, spawn

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
            "KAFKA_SESSION_TIMEOUT_MS": 4000, **self.terra_settings, **self.payload_settings}

    @property
    def terra_settings(self):
        """Only Terra: for a worker whose Kafka is another one."""
        return {"TERRA_BASE_URL": self.ready["terra"], "TERRA_DEV_ID": self.ready["dev_id"],
            "TERRA_API_KEY": self.ready["api_key"]}

    @property
    def payload_settings(self):
        """For a worker that is to follow this Terra's pointers: they are plain http, and lead to loopback."""
        host = urllib.parse.urlsplit(self.ready["pages"]).netloc
        return {"EVENT_PAYLOAD_HOSTS_ALLOWED": host, "EVENT_PAYLOAD_ALLOW_HTTP": 1}

    @property
    def raw_events_topic(self):
        return self.ready["raw_events_topic"]

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

    # Terra's events. `fields` of all of these: tests/sandbox/event_script.h (shape, delivery, pointer, encoding,
    # ttl_ms, partition, fields, without, …). Those about a session or a user answer {"user_id", "old_user_id",
    # "first", "last"}: who it is now, and the sequence numbers of the events, for events().

    def complete(self, session_id=None, *, user_id=None, reference_id=None, **fields):
        """A link that was handed out leads to a connection: `auth`. With `provider`, else the first offered."""
        return self._change("/sessions/complete", session_id, user_id, reference_id, fields)

    def cancel(self, session_id=None, *, user_id=None, reference_id=None, **fields):
        """`auth_cancelled`; with shape="old" `auth` with status "error". With `reason`."""
        return self._change("/sessions/cancel", session_id, user_id, reference_id, fields)

    def reconnect(self, user_id=None, *, reference_id=None, **fields):
        """The user comes back under a new id: `user_reauth` and `auth`, in the `order` "reauth_first" (default),
        "auth_first" or "auth_only"."""
        return self._change("/users/reconnect", None, user_id, reference_id, fields)

    def disconnect(self, user_id=None, *, reference_id=None, **fields):
        """`deauth`; the user is gone."""
        return self._change("/users/disconnect", None, user_id, reference_id, fields)

    def revoke(self, user_id=None, *, reference_id=None, **fields):
        """`access_revoked`"""
        return self._change("/users/revoke", None, user_id, reference_id, fields)

    def degrade(self, user_id=None, *, reference_id=None, **fields):
        """`connection_error`"""
        return self._change("/users/degrade", None, user_id, reference_id, fields)

    def change_permissions(self, user_id=None, *, reference_id=None, **fields):
        """`permission_change`, with scopes_added and scopes_removed, comma-separated."""
        return self._change("/users/permissions", None, user_id, reference_id, fields)

    def no_datasource(self, user_id=None, *, reference_id=None, **fields):
        """`google_no_datasource`"""
        return self._change("/users/no_datasource", None, user_id, reference_id, fields)

    def _change(self, path, session_id, user_id, reference_id, fields):
        chosen = {"session_id": session_id, "user_id": user_id, "reference_id": reference_id}
        chosen = {name: value for name, value in chosen.items() if value is not None}
        return self.control("POST", path, {**chosen, **fields})

    def connect_user(self, user_id, reference_id=None, provider="GARMIN", **fields):
        """A user who is connected already; no event is written."""
        self.control("POST", "/users", {"user_id": user_id, "reference_id": reference_id, "provider": provider,
            **fields})

    def emit(self, *events, shuffle=None, per_second=None):
        """Any events onto the raw topic: emit({"type": "auth", "count": 100, "user_id": "u{n}"}, …). Returns them as
        events() does, as soon as Kafka has them all; with per_second at once, as they are then."""
        order = {"shuffle": shuffle, "per_second": per_second}
        order = {name: value for name, value in order.items() if value is not None}
        placed = self.control("POST", "/events", {"events": list(events), **order})
        if per_second is None:
            return self.wait_for_events(placed)
        return self.events(first=placed["first"], last=placed["last"])

    def wait_for_events(self, placed, timeout=30):
        """The events of {"first", "last"}, as soon as Kafka has them all."""
        def settled():
            return self.control("GET", "/events", since=placed["first"] - 1, limit=0)["waiting"] == 0

        eventually(settled, timeout, f"events {placed['first']} to {placed['last']} in Kafka")
        found = self.events(first=placed["first"], last=placed["last"])
        for event in found:
            if event["state"] != "delivered":
                raise AssertionError(f"Kafka does not have an event: {event}")
        return found

    def events(self, first=1, last=None, **filters):
        """What was emitted, in the order of going out: type, delivery, state, partition, offset, url, fetches (how
        often the object behind it was asked for), …; filters: type, reference_id, user_id. See destination.h."""
        found, since = [], first - 1
        while True:
            page = self.control("GET", "/events", since=since, limit=10000, **filters)
            found += [event for event in page["events"] if last is None or event["sequence"] <= last]
            since = page["last"]
            if not page["more"] or (last is not None and since >= last):
                return found

    def forget_events(self):
        """And their objects; what still waits for its time is not written."""
        self.control("DELETE", "/events")

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
        """As at the start: no faults, no calls, no users, no events, no latency, the broker up."""
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
