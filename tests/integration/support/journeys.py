"""A small, known data set for those who read the topics: what became of eleven people who were to connect a wearable.

The connect flow and the connections flow are the real ones, against the sandbox. The auth events are written here, as
the events flow writes them, so that every figure in them is known.
"""

import json
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path

from .connect import ConnectFlow
from .topics import event_topics
from .worker import Worker

STAGING = {"dev_id": "staging-dev", "api_key": "staging-key-3c9e"}
ACCOUNTS = ("default:sandbox-dev:sandbox-key", f"staging:{STAGING['dev_id']}:{STAGING['api_key']}")
SEVERAL = ["GARMIN", "OURA"]
# (request_id, reference_id, further fields of the request)
REQUESTS = (
    ("r1", "u1", {"provider": "OURA"}),
    ("r2", "u2", {"providers": SEVERAL}),
    ("r3", "u3", {"providers": ["GARMIN"]}),
    ("r4", "u4", {"providers": SEVERAL}),
    ("r5", "u5", {"provider": "GARMIN", "environment": "staging"}),
    ("r6", "u6", {"providers": ["GARMIN"], "environment": "staging"}),
    ("r7", "sandbox-user_limit_reached-7", {"provider": "OURA"}),
    ("r8", "u8", {"provider": "no such thing"}),
    ("r9", "u1", {"provider": "OURA"}),
    ("r10", "u10", {"providers": ["GARMIN"]}),
    ("r11", "u1", {"provider": "GARMIN"}),
)


class Journeys:
    """`with Journeys(folder) as journeys`: every topic holds what the data set says; all of it ends with the block.

    folder: for a file of settings.
    """

    def __init__(self, folder):
        self._folder = Path(folder)
        self._stack = ExitStack()
        self._events = 0
        self._began = datetime.now(timezone.utc)

    def __enter__(self):
        with self._stack:
            self._start()
            self._request()
            self._connect()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *failure):
        self._stack.__exit__(*failure)

    @property
    def settings(self):
        """What a program needs to be told to read these topics."""
        return {"KAFKA_BOOTSTRAP_SERVERS": self._flow.sandbox.bootstrap, "KAFKA_FETCH_WAIT_MAX_MS": 10,
            **self._topics.settings, **self._flow.topics.settings}

    @property
    def connections_topic(self):
        return self._topics.connections

    def _start(self):
        environments = self._folder / "environments.json"
        environments.write_text(json.dumps({"staging": STAGING}))
        arguments = [part for account in ACCOUNTS for part in ("--credential", account)]
        self._flow = self._stack.enter_context(ConnectFlow({"TERRA_ENVIRONMENTS_FILE": environments}, arguments))
        self._topics = event_topics()
        self._flow.sandbox.create_topics([self._topics.raw, self._topics.auth_events, self._topics.connections])
        self._connections = self._flow.read(self._topics.connections)
        worker = Worker({**self._flow.settings, **self._topics.settings, **self._flow.topics.settings}, "connections")
        self._stack.callback(worker.stop)

    def _request(self):
        """Every request has its reply; the second and the ninth came twice, and one record is no request."""
        wanted = [{"request_id": request_id, "reference_id": reference_id, **fields}
            for request_id, reference_id, fields in REQUESTS]
        self._replies = {}
        for request in wanted:
            reply = self._flow.ask(request, key=request["reference_id"]).json
            self._replies[request["request_id"]] = reply
        for number in (1, 8):
            self._flow.outcome(self._flow.send(wanted[number], key=wanted[number]["reference_id"]))
        self._flow.dead_letter(self._flow.send(b"{not a request"))
        self._flow.outcomes.wait_for(count=len(wanted) + 2)

    def _connect(self):
        """What Terra had to say, one event after the other."""
        first, second, garmin, staging = (self._replies[name]["user_id"] for name in ("r1", "r9", "r11", "r5"))
        connected = self._happen("connected", "r1", 30, "user", user_id=first, provider="OURA")
        self._send(connected)  # a worker died before it could note that it had written this
        self._happen("connected", "r2", 60, "session", user_id="user-2", provider="GARMIN")
        self._happen("connect_failed", "r3", 15, "session", provider="GARMIN", reason="access_denied")
        self._happen("connected", "r5", 20, "user", user_id=staging, provider="GARMIN")
        self._happen("connect_failed", "r6", 25, "reference", provider="GARMIN")
        self._happen("reauthenticated", "r9", 45, "reference", user_id=second, old_user_id=first, provider="OURA")
        self._happen("connected", "r9", 45.5, "user", user_id=second, provider="OURA")
        self._happen("connect_failed", "r10", 10, "session", provider="GARMIN", reason="auth_cancelled")
        self._happen("connected", "r10", 90, "session", user_id="user-10", provider="GARMIN")
        self._happen("connected", "r11", 40, "user", user_id=garmin, provider="GARMIN")
        self._happen("connected", user_id="user-12", reference_id="u12", provider="WHOOP")  # not by a link of ours
        self._happen("disconnected", "r2", 600, "reference", user_id="user-2", provider="GARMIN")
        self._happen("degraded", user_id=staging, reference_id="u5", provider="GARMIN")
        self._flow.dead_letter(self._send((b"{not an event", "u1", "raw/0/999")))
        for user, over in ((first, True), ("user-2", True), (second, False), (garmin, False), ("user-10", False),
                ("user-12", False)):
            self._connections.wait_for(lambda record: record.key == user.encode() and (record.value is None) == over)
        self._connections.wait_for(lambda record: record.key == staging.encode() and b'"degraded"' in record.value)

    def _happen(self, kind, request_id=None, seconds=None, matched_by=None, **fields):
        """One event as the events flow writes it; with a request when its link is known."""
        reply = self._replies.get(request_id, {})
        self._events += 1
        # One after the other: an event of the same millisecond is no change of a connection's state.
        at = self._began + timedelta(milliseconds=self._events)
        event = {"kind": kind, "user_id": None, "old_user_id": None, "reference_id": reply.get("reference_id"),
            "environment": reply.get("environment"), "provider": None, "reason": None, "scopes": None,
            "scopes_added": None, "scopes_removed": None, "widget_session_id": reply.get("session_id"),
            "flow_id": None, "occurred_at": None,
            "published_at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"), "request_id": request_id,
            "seconds_since_link": seconds, "matched_by": matched_by, "terra_type": "auth", "terra_status": "success",
            **fields}
        record = (event, event["reference_id"], f"{self._topics.raw}/0/{self._events}")
        self._send(record)
        return record

    def _send(self, record):
        """The place of what is written."""
        event, key, source = record
        headers = {"ce_specversion": "1.0", "ce_id": f"{source}/auth-event", "ce_type": "terra-connect.auth-event.v1"}
        topic = self._topics.auth_events
        partition, offset = self._flow.writer.send(topic, event, key=key, headers=headers)
        return f"{topic}/{partition}/{offset}"
