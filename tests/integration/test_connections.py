"""The connections flow: normalised events become the latest state of each connection, on a compacted topic."""

import json
from datetime import datetime, timezone

import pytest

from support.connect import new_id
from support.events import EventFlows


TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(scope="module")
def flows():
    with EventFlows(flow="connections") as running:
        yield running


def event(kind, user_id, reference_id, **fields):
    """As the events flow writes it."""
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"kind": kind, "user_id": user_id, "old_user_id": None, "reference_id": reference_id,
        "environment": "default", "provider": "OURA", "reason": None, "scopes": None, "scopes_added": None,
        "scopes_removed": None, "widget_session_id": None, "flow_id": None, "occurred_at": None, "published_at": now,
        "request_id": None, "seconds_since_link": None, "matched_by": None, "terra_type": "auth",
        "terra_status": "success", **fields}


def send(flows, kind, user_id, reference_id, **fields):
    return flows.send_event(event(kind, user_id, reference_id, **fields), key=reference_id,
        headers={"traceparent": TRACE})


def test_life_of_a_connection(flows):
    reference, user = new_id(), new_id("user")
    send(flows, "connected", user, reference, scopes=["daily", "sleep"])
    state = flows.wait_for_connection(user, lambda state: state["status"] == "connected")
    assert state["reference_id"] == reference and state["provider"] == "OURA" and state["environment"] == "default"
    assert state["scopes"] == ["daily", "sleep"]

    send(flows, "degraded", user, reference)
    degraded = flows.wait_for_connection(user, lambda state: state["status"] == "degraded")
    assert degraded["since"] == state["since"] and degraded["last_event"]["kind"] == "degraded"

    place = send(flows, "disconnected", user, reference)
    flows.wait_for_connection(user, lambda state: state is None)
    tombstone = [record for record in flows.connections.records if record.key == user.encode()][-1]
    assert tombstone.header("reference_id") == reference.encode()
    assert tombstone.header("provider") == b"OURA"
    assert tombstone.header("kind") == b"disconnected"
    assert tombstone.header("ce_id") == f"{place}/connection-ended".encode()
    assert tombstone.header("ce_type") == b"terra-connect.connection-ended.v1"
    assert tombstone.header("ce_dataschema") == b"urn:terra-connect:schema:connection-ended:1"
    assert tombstone.header("traceparent") == TRACE

    # What is over stays over: a late repeat does not revive it; the next connection is another user_id.
    send(flows, "connected", user, reference)
    following = new_id("user")
    send(flows, "connected", following, reference)
    flows.wait_for_connection(following, lambda state: state["status"] == "connected")
    assert flows.connection(user) is None


@pytest.mark.parametrize("order", [("reauthenticated", "connected"), ("connected", "reauthenticated"),
    ("connected", "reauthenticated", "connected", "reauthenticated")])
def test_reauthentication_in_any_order_and_repeated(flows, order):
    reference, old, new = new_id(), new_id("old"), new_id("new")
    send(flows, "connected", old, reference)
    flows.wait_for_connection(old, lambda state: state["status"] == "connected")
    for kind in order:
        send(flows, kind, new, reference, **({"old_user_id": old} if kind == "reauthenticated" else {}))
    flows.wait_for_connection(new, lambda state: state["status"] == "connected")
    flows.wait_for_connection(old, lambda state: state is None)
    # A repeat of the old one's first event changes nothing any more.
    send(flows, "connected", old, reference)
    last = send(flows, "degraded", new, reference)
    flows.wait_for_connection(new, lambda state: state["status"] == "degraded")
    assert flows.connection(old) is None
    assert flows.connections.records[-1].header("ce_id") == f"{last}/connection-state".encode()


def test_what_is_no_event_becomes_a_dead_letter(flows):
    place = flows.send_event(b"{not json", key="k", headers={"traceparent": "00-1-2-03"})
    letter = flows.dead_letter(place)
    assert letter.value == b"{not json" and letter.key == b"k"
    assert letter.header("error-code") == b"invalid_event"
    assert letter.header("__dlq.header.traceparent") == b"00-1-2-03"


def test_unknown_kinds_and_failed_attempts_change_nothing(flows):
    reference, user = new_id(), new_id("user")
    send(flows, "enlightened", user, reference)
    send(flows, "connect_failed", user, reference)
    send(flows, "connect_failed", None, reference)
    send(flows, "connected", user, reference)
    flows.wait_for_connection(user, lambda state: state["status"] == "connected")
    assert len([record for record in flows.connections.records if record.key == user.encode()]) == 1


def test_waits_for_redis_instead_of_guessing(flows):
    """A state made up while nothing is known could revive a connection that is over."""
    reference, user = new_id(), new_id("user")
    send(flows, "connected", user, reference)
    flows.wait_for_connection(user, lambda state: state["status"] == "connected")
    send(flows, "disconnected", user, reference)
    flows.wait_for_connection(user, lambda state: state is None)

    seen = len(flows.worker.log)
    flows.redis.freeze()
    send(flows, "connected", user, reference)
    flows.worker.wait_for_log(lambda line: "Redis" in line.get("message", ""), since=seen)
    flows.redis.thaw()
    following = new_id("user")
    send(flows, "connected", following, reference)
    flows.wait_for_connection(following, lambda state: state["status"] == "connected")
    assert flows.connection(user) is None


def test_another_worker_knows_what_is_over(flows):
    reference, user = new_id(), new_id("user")
    send(flows, "connected", user, reference)
    send(flows, "disconnected", user, reference)
    flows.wait_for_connection(user, lambda state: state is None)
    flows.workers[0].stop()
    del flows.workers[0]
    flows.start_worker()
    send(flows, "connected", user, reference)
    following = new_id("user")
    send(flows, "connected", following, reference)
    flows.wait_for_connection(following, lambda state: state["status"] == "connected", timeout=30)
    assert flows.connection(user) is None


def test_what_has_user_u1_connected(flows):
    """The documented question: the latest record of each user_id, those of one reference id."""
    reference = new_id()
    users = [new_id("user") for _ in range(3)]
    for user, provider in zip(users, ("OURA", "GARMIN", "WHOOP")):
        send(flows, "connected", user, reference, provider=provider)
    send(flows, "disconnected", users[1], reference)
    flows.wait_for_connection(users[1], lambda state: state is None)
    flows.wait_for_connection(users[2], lambda state: state is not None)
    latest = {record.key: record.value for record in flows.connections.records}
    states = [json.loads(value) for value in latest.values() if value]
    assert sorted(state["provider"] for state in states if state["reference_id"] == reference) == ["OURA", "WHOOP"]
