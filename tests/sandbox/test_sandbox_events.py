"""terra-sandbox as Terra's Kafka destination: what it writes, what its pointers lead to, and what makes it do so.

    BUILD_BIN=build/asan/bin python3 -m pytest tests/sandbox/test_sandbox_events.py
"""

import gzip
import http.client
import json
import sys
import time
import urllib.parse
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from support.sandbox import Sandbox  # noqa: E402
from support.topics import SANDBOX_EVENT_TOPICS, TopicReader  # noqa: E402
from local_process import eventually  # noqa: E402

KEYS = {"dev-id": "sandbox-dev", "x-api-key": "sandbox-key", "Content-Type": "application/json"}
POINTER_FULL = {"type", "status", "url", "expires_in", "user_id", "reference_id", "payload_reference"}


@pytest.fixture(scope="module")
def started():
    sandbox = Sandbox()
    with TopicReader(sandbox.bootstrap, SANDBOX_EVENT_TOPICS.raw) as reader:
        sandbox.reader = reader
        yield sandbox
    sandbox.stop()


@pytest.fixture
def sandbox(started):
    started.reset()
    return started


def call(sandbox, method, target, body=None, headers=None):
    """The response, with its body read into .body; no redirect is followed, nothing is unpacked."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(sandbox.ready["pages"]).netloc, timeout=10)
    try:
        connection.request(method, target, None if body is None else json.dumps(body), headers or {})
        response = connection.getresponse()
        response.body = response.read()
        return response
    finally:
        connection.close()


def fetch(sandbox, url, method="GET"):
    assert url.startswith(sandbox.ready["pages"] + "/payloads/")
    return call(sandbox, method, url.removeprefix(sandbox.ready["pages"]))


def records(sandbox, events):
    """The records of these events, in the order of the events."""
    wanted = [(event["partition"], event["offset"]) for event in events]

    def place(record):
        return record.partition, record.offset

    by_place = {place(r): r for r in sandbox.reader.wait_for(lambda r: place(r) in wanted, len(set(wanted)))}
    return [by_place[at] for at in wanted]


def payloads(sandbox, events):
    """What the events say, followed where they are pointers."""
    found = []
    for event, record in zip(events, records(sandbox, events)):
        if event["delivery"] == "inline":
            found.append(record.json)
        else:
            answer = fetch(sandbox, record.json["url"])
            assert answer.status == 200, answer.body
            found.append(json.loads(answer.body))
    return found


def emitted(sandbox, **script):
    """The payload of one event that is emitted inline."""
    (payload,) = payloads(sandbox, sandbox.emit({"delivery": "inline", **script}))
    return payload


def changed(sandbox, change):
    """The payloads of a change's events, as soon as Kafka has them."""
    return payloads(sandbox, sandbox.wait_for_events(change))


# --- records ---

def test_a_pointer_leads_to_the_event(sandbox):
    (event,) = sandbox.emit({"type": "auth", "user_id": "id-1", "reference_id": "u1"})
    (record,) = records(sandbox, [event])
    pointer = record.json
    assert (record.key, record.headers) == (None, ())
    assert set(pointer) == POINTER_FULL
    assert (pointer["type"], pointer["status"], pointer["expires_in"]) == ("s3_payload", "success", 600)
    assert (pointer["user_id"], pointer["reference_id"]) == ("id-1", "u1")
    assert (pointer["url"], pointer["payload_reference"]) == (event["url"], event["payload_reference"])
    answer = fetch(sandbox, pointer["url"])
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.headers["Content-Encoding"] is None
    assert json.loads(answer.body)["user"]["user_id"] == "id-1" and len(answer.body) == event["bytes"]


def test_a_plain_pointer_says_little(sandbox):
    (event,) = sandbox.emit({"pointer": "plain", "expires_in": 300, "reference_id": "u1"})
    (record,) = records(sandbox, [event])
    assert record.json == {"type": "s3_payload", "url": event["url"], "expires_in": 300}


def test_a_pointer_may_lead_anywhere(sandbox):
    (event,) = sandbox.emit({"url": "http://169.254.169.254/latest", "payload_reference": "p1"})
    (record,) = records(sandbox, [event])
    assert (record.json["url"], record.json["payload_reference"]) == ("http://169.254.169.254/latest", "p1")


def test_inline(sandbox):
    (event,) = sandbox.emit({"type": "deauth", "delivery": "inline", "partition": 2})
    (record,) = records(sandbox, [event])
    assert (record.json["type"], record.partition, event["url"]) == ("deauth", 2, None)


def test_round_robin_over_the_partitions(sandbox):
    events = sandbox.emit({"count": 8, "delivery": "inline"})
    assert Counter(record.partition for record in records(sandbox, events)) == {0: 2, 1: 2, 2: 2, 3: 2}


def test_many_different_events(sandbox):
    events = sandbox.emit({"count": 300, "delivery": "inline", "user_id": "id-{n}", "reference_id": "u{n}-{n}"})
    users = [payload["user"] for payload in payloads(sandbox, events)]
    assert [(u["user_id"], u["reference_id"]) for u in users] == [(f"id-{n}", f"u{n}-{n}") for n in range(1, 301)]


# --- objects ---

def test_gzip_objects(sandbox):
    (event,) = sandbox.emit({"encoding": "gzip", "type": "sleep", "bytes": 50_000})
    answer = fetch(sandbox, event["url"])
    assert answer.headers["Content-Encoding"] == "gzip" and len(answer.body) < 25_000
    unpacked = gzip.decompress(answer.body)
    assert len(unpacked) == 50_000 and json.loads(unpacked)["type"] == "sleep"


def test_objects_expire(sandbox):
    (event,) = sandbox.emit({"ttl_ms": 0})
    answer = fetch(sandbox, event["url"])
    assert (answer.status, answer.headers["Content-Type"]) == (403, "application/xml")
    assert b"<Code>AccessDenied</Code>" in answer.body
    (event,) = sandbox.emit({"ttl_ms": 200})
    assert fetch(sandbox, event["url"]).status == 200
    eventually(lambda: fetch(sandbox, event["url"]).status == 403, message="an object that has expired")


def test_objects_need_their_address(sandbox):
    (event,) = sandbox.emit({})
    address, query = event["url"].split("?")
    assert b"SignatureDoesNotMatch" in fetch(sandbox, address).body
    assert fetch(sandbox, f"{address}?X-Signature=other").status == 403
    assert fetch(sandbox, event["url"], "POST").status == 405
    answer = fetch(sandbox, f"{address}0?{query}")
    assert answer.status == 404 and b"<Code>NoSuchKey</Code>" in answer.body


def test_fetches_are_counted(sandbox):
    events = sandbox.emit({"count": 2, "reference_id": "u{n}"})
    for _ in range(3):
        fetch(sandbox, events[0]["url"])
    assert [event["fetches"] for event in sandbox.events()] == [3, 0]
    calls = sandbox.calls(endpoint="payload")
    assert [(c["reference_id"], c["status"], c["outcome"]) for c in calls] == [("u1", 200, "sent")] * 3


def test_latency_is_the_apis_alone(sandbox):
    sandbox.set_latency(30_000)
    (event,) = sandbox.emit({})
    assert fetch(sandbox, event["url"]).status == 200


def test_faults_of_objects(sandbox):
    (event,) = sandbox.emit({"reference_id": "bad-1", "encoding": "gzip", "type": "daily", "bytes": 20_000})
    (other,) = sandbox.emit({"reference_id": "good-1"})

    def faulty(**script):
        sandbox.clear_faults()
        sandbox.add_fault(endpoint="payload", reference_id_prefix="bad-", **script)
        assert fetch(sandbox, other["url"]).status == 200
        return fetch(sandbox, event["url"])

    answer = faulty(status=503)
    assert answer.status == 503 and b"<Code>SlowDown</Code>" in answer.body
    answer = faulty(status=302, headers={"Location": "http://127.0.0.1:1/"})
    assert (answer.status, answer.headers["Location"]) == (302, "http://127.0.0.1:1/")
    with pytest.raises(EOFError):
        gzip.decompress(faulty(kind="truncated").body)
    bomb = faulty(kind="gzip_bomb", bytes=20_000_000)
    assert len(bomb.body) < 200_000 and len(gzip.decompress(bomb.body)) == 20_000_000
    with pytest.raises(http.client.IncompleteRead):
        faulty(kind="wrong_length", bytes=30_000)
    assert len(faulty(kind="wrong_length", bytes=10).body) == 10
    with pytest.raises(ConnectionResetError):
        faulty(kind="reset")
    started = time.monotonic()
    assert faulty(delay_ms=150).status == 200 and time.monotonic() - started > 0.145
    assert faulty(body="not json").body == b"not json"


def test_faults_of_the_api_spare_objects(sandbox):
    sandbox.add_fault(status=500, count=0)
    (event,) = sandbox.emit({})
    assert fetch(sandbox, event["url"]).status == 200


# --- content ---

@pytest.mark.parametrize("type_, status", [
    ("auth", "success"), ("deauth", "success"), ("access_revoked", "warning"), ("connection_error", "warning"),
    ("google_no_datasource", "warning"), ("permission_change", "warning"),
])
def test_types_about_a_user(sandbox, type_, status):
    given = {"type": type_, "user_id": "id-1", "reference_id": "u1", "provider": "OURA", "scopes": "daily"}
    new, old, oldest = (emitted(sandbox, shape=shape, **given) for shape in ("new", "old", "oldest"))
    for payload in (new, old, oldest):
        assert next(iter(payload)) == "type"
        assert (payload["type"], payload["status"]) == (type_, status) and payload["message"]
    assert new["user"] == old["user"] | {"created_at": new["user"]["created_at"]}
    assert (new["user"]["provider"], new["user"]["scopes"], new["user"]["active"]) == ("OURA", "daily", True)
    assert oldest["user"] == [old["user"] | {"active": "true"}]
    assert old["version"] == oldest["version"] == "2022-03-16"
    assert ("version" in new) == (type_ == "permission_change")


def test_auth(sandbox):
    given = {"reference_id": "u1", "widget_session_id": "s1", "flow_id": "f1"}
    new, old = emitted(sandbox, **given), emitted(sandbox, shape="old", **given)
    assert (new["widget_session_id"], new["flow_id"]) == ("s1", "f1") and "reference_id" not in new
    assert (old["widget_session_id"], old["reference_id"]) == ("s1", "u1") and "flow_id" not in old


def test_both_shapes_of_a_failure(sandbox):
    new = emitted(sandbox, type="auth_cancelled", reference_id="u1", flow_id="f1")
    assert new == {"type": "auth_cancelled", "status": "error", "flow_id": "f1", "reason": "access_denied",
        "reference_id": "u1"}
    old = emitted(sandbox, type="auth", status="error", shape="old", reference_id="u1", reason="rate_limited")
    assert (old["reason"], old["reference_id"], old["user"]["active"]) == ("rate_limited", "u1", False)
    assert old["widget_session_id"] is None and old["user"]["scopes"] is None


def test_user_reauth(sandbox):
    payload = emitted(sandbox, type="user_reauth", user_id="id-2", old_user_id="id-1", reference_id="u1")
    assert payload["status"] == "warning" and "user" not in payload
    assert (payload["old_user"]["user_id"], payload["new_user"]["user_id"]) == ("id-1", "id-2")
    assert (payload["old_user"]["active"], payload["new_user"]["active"]) == (False, True)
    oldest = emitted(sandbox, type="user_reauth", shape="oldest", old_user_id="id-1")
    assert oldest["old_user"][0]["user_id"] == "id-1" and oldest["new_user"][0]["active"] == "true"


def test_permission_change(sandbox):
    payload = emitted(sandbox, type="permission_change", scopes_added="sleep")
    assert (payload["scopes_added"], payload["scopes_removed"]) == ("sleep", "")


@pytest.mark.parametrize("type_", ["activity", "athlete", "body", "daily", "menstruation", "nutrition", "sleep"])
def test_data(sandbox, type_):
    (event,) = sandbox.emit({"type": type_, "bytes": 3000, "delivery": "inline"})
    (record,) = records(sandbox, [event])
    assert len(record.value) == event["bytes"] == 3000
    assert record.json["type"] == type_ and len(record.json["data"]) > 30


def test_large_data_with_its_type_at_the_end(sandbox):
    (event,) = sandbox.emit({"type": "sleep", "bytes": 10_000_000, "type_last": True})
    body = fetch(sandbox, event["url"]).body
    assert len(body) == 10_000_000 and body.startswith(b'{"user":') and body.endswith(b'"type":"sleep"}')
    assert json.loads(body)["type"] == "sleep"


def test_other_types(sandbox):
    assert set(emitted(sandbox, type="healthcheck")) == {
        "type", "status", "creation_timestamp", "trend_percentage", "sent_webhooks_last_hour"}
    assert "user" not in emitted(sandbox, type="lab_report.completed")
    assert emitted(sandbox, type="s3_payload")["url"].startswith("https://")
    assert set(emitted(sandbox, type="from_the_future")) == {"type", "status", "user"}


def test_any_content(sandbox):
    payload = emitted(sandbox, type="auth", fields={"user": None, "extra": [1]}, without=["message", "status"])
    assert payload["user"] is None and payload["extra"] == [1] and not {"message", "status"} & set(payload)
    assert emitted(sandbox, body=["not", "an", "event"]) == ["not", "an", "event"]
    (event,) = sandbox.emit({"body": '{"type":"auth",', "delivery": "inline"})
    assert records(sandbox, [event])[0].value == b'{"type":"auth",'
    (event,) = sandbox.emit({"body": "", "encoding": "gzip"})
    assert gzip.decompress(fetch(sandbox, event["url"]).body) == b""


# --- repeats, order, rate ---

@pytest.mark.parametrize("repeat_as, references, urls", [("record", 1, 1), ("payload", 1, 3), ("event", 3, 3)])
def test_repeats(sandbox, repeat_as, references, urls):
    events = sandbox.emit({"repeat": 2, "repeat_as": repeat_as})
    pointers = [record.json for record in records(sandbox, events)]
    assert len({pointer["payload_reference"] for pointer in pointers}) == references
    assert len({pointer["url"] for pointer in pointers}) == urls
    assert len({json.dumps(payload) for payload in payloads(sandbox, events)}) == 1


def test_a_shuffled_batch(sandbox):
    batch = {"count": 20, "user_id": "id-{n}", "delivery": "inline"}, {"type": "deauth", "delivery": "inline"}

    def order(**how):
        return [event["user_id"] for event in sandbox.emit(*batch, **how)][:-1]

    plain = [f"id-{n}" for n in range(1, 21)]
    first, again, other = order(shuffle=7), order(shuffle=7), order(shuffle=8)
    assert order() == plain
    assert [i for i in first if i in plain] == [i for i in again if i in plain] != plain
    assert [i for i in first if i in plain] != [i for i in other if i in plain]


def test_rate(sandbox):
    sandbox.emit({"count": 11, "delivery": "inline"}, per_second=50)
    events = eventually(lambda: [e for e in sandbox.events() if e["state"] == "delivered"][10:] and sandbox.events())
    times = [event["sent_us"] for event in events]
    assert times == sorted(times)
    assert times[5] - times[0] > 0.09e6 and times[10] - times[0] > 0.19e6


def test_what_waits_can_be_called_off(sandbox):
    sandbox.emit({"count": 100, "reference_id": "late"}, per_second=1)
    (first, *rest) = sandbox.events()
    assert {event["state"] for event in rest} == {"waiting"} and len(rest) == 99
    eventually(lambda: sandbox.events()[0]["state"] == "delivered")
    url = sandbox.events()[0]["url"]
    sandbox.forget_events()
    assert sandbox.events() == [] and fetch(sandbox, url).status == 404
    (event,) = sandbox.emit({})
    assert event["sequence"] == first["sequence"] + 100


def test_events_are_filtered_and_paged(sandbox):
    sandbox.emit({"count": 3, "reference_id": "u{n}"}, {"type": "sleep", "user_id": "id-1"})
    assert [e["type"] for e in sandbox.events(user_id="id-1")] == ["sleep"]
    assert len(sandbox.events(type="auth")) == 3 and len(sandbox.events(reference_id="u2")) == 1
    page = sandbox.control("GET", "/events", limit=2)
    assert (len(page["events"]), page["more"], page["waiting"]) == (2, True, 0)
    page = sandbox.control("GET", "/events", since=page["last"])
    assert (len(page["events"]), page["more"]) == (2, False)


@pytest.mark.parametrize("body", [
    7, {"tipe": "auth"}, {"type": 1}, {"shape": "square"}, {"delivery": "post"}, {"count": 1.5}, {"count": 100_001},
    {"count": 1000, "repeat": 1000}, {"bytes": 1e9}, {"fields": []}, {"without": {}}, {"user_id": "x" * 9000},
    [{"type": "auth"}, {"repeat": -1}], {"events": [], "shuffle": "x"}, {"events": [], "per_second": -1},
    {"events": [], "rate": 1}, {"events": {"partition": -2}}, None,
])
def test_mistakes_write_nothing(sandbox, body):
    with pytest.raises(AssertionError, match=": 400 "):
        sandbox.control("POST", "/events", body)
    assert sandbox.events() == []


def test_a_partition_that_is_not_there(sandbox):
    with pytest.raises(AssertionError, match="no_such_topic"):
        sandbox.emit({"partition": 99})


# --- sessions and users ---

def widget_session(sandbox, **fields):
    answer = call(sandbox, "POST", "/api/widget/session", fields, KEYS)
    assert answer.status == 201
    return json.loads(answer.body)


def direct_link(sandbox, provider, **fields):
    answer = call(sandbox, "POST", f"/api/v2/auth/authenticateUser?resource={provider}", fields, KEYS)
    assert answer.status == 200
    return json.loads(answer.body)


def connected(sandbox):
    """{user_id: TerraUser}, as Terra's API shows them."""
    answer = call(sandbox, "GET", "/api/v2/subscriptions", headers=KEYS)
    return {user["user_id"]: user for user in json.loads(answer.body)["users"]}


def test_a_widget_session_is_completed(sandbox):
    session = widget_session(sandbox, reference_id="u1", providers="GARMIN,OURA")
    change = sandbox.complete(session["session_id"], provider="OURA", scopes="daily")
    (payload,) = changed(sandbox, change)
    assert (payload["type"], payload["status"]) == ("auth", "success")
    assert payload["widget_session_id"] == session["session_id"]
    user = payload["user"]
    assert (user["user_id"], user["provider"], user["reference_id"]) == (change["user_id"], "OURA", "u1")
    assert connected(sandbox)[change["user_id"]]["scopes"] == "daily"
    again = sandbox.complete(reference_id="u1", delivery="inline", shape="old")
    assert again["user_id"] != change["user_id"] and len(connected(sandbox)) == 2
    (payload,) = changed(sandbox, again)
    assert (payload["user"]["provider"], payload["reference_id"]) == ("GARMIN", "u1")


def test_a_direct_link_is_completed(sandbox):
    link = direct_link(sandbox, "GARMIN", reference_id="u1")
    change = sandbox.complete(user_id=link["user_id"])
    (payload,) = changed(sandbox, change)
    assert (change["user_id"], payload["user"]["user_id"]) == (link["user_id"], link["user_id"])
    assert (payload["user"]["provider"], payload["widget_session_id"]) == ("GARMIN", None)


def test_a_session_is_cancelled(sandbox):
    session = widget_session(sandbox, reference_id="u1")
    (payload,) = changed(sandbox, sandbox.cancel(session["session_id"], reason="access_denied"))
    assert payload == {"type": "auth_cancelled", "status": "error", "flow_id": None, "reason": "access_denied",
        "reference_id": "u1"}
    (payload,) = changed(sandbox, sandbox.cancel(session["session_id"], shape="old"))
    assert (payload["type"], payload["status"], payload["reason"]) == ("auth", "error", "auth_cancelled")
    assert (payload["reference_id"], payload["widget_session_id"]) == ("u1", session["session_id"])
    assert connected(sandbox) == {}


@pytest.mark.parametrize("order, types", [
    ("reauth_first", ["user_reauth", "auth"]), ("auth_first", ["auth", "user_reauth"]), ("auth_only", ["auth"]),
])
def test_a_user_reconnects(sandbox, order, types):
    sandbox.connect_user("id-1", "u1", "OURA", scopes="daily,sleep")
    change = sandbox.reconnect(reference_id="u1", order=order)
    found = changed(sandbox, change)
    assert [payload["type"] for payload in found] == types
    assert change["old_user_id"] == "id-1" and list(connected(sandbox)) == [change["user_id"]]
    by_type = dict(zip(types, found))
    assert by_type["auth"]["user"]["user_id"] == change["user_id"]
    if "user_reauth" in by_type:
        assert by_type["user_reauth"]["old_user"]["user_id"] == "id-1"
        assert by_type["user_reauth"]["new_user"]["user_id"] == change["user_id"]


@pytest.mark.parametrize("call_, type_, active", [
    ("disconnect", "deauth", None), ("revoke", "access_revoked", False), ("degrade", "connection_error", True),
    ("no_datasource", "google_no_datasource", True),
])
def test_a_user_is_lost(sandbox, call_, type_, active):
    sandbox.connect_user("id-1", "u1", "OURA")
    (payload,) = changed(sandbox, getattr(sandbox, call_)("id-1"))
    assert (payload["type"], payload["user"]["user_id"], payload["user"]["provider"]) == (type_, "id-1", "OURA")
    assert [user["active"] for user in connected(sandbox).values()] == ([] if active is None else [active])


def test_permissions_change(sandbox):
    sandbox.connect_user("id-1", "u1", scopes="daily,sleep")
    (payload,) = changed(sandbox, sandbox.change_permissions("id-1", scopes_added="body,daily", scopes_removed="sleep"))
    assert (payload["scopes_added"], payload["scopes_removed"]) == ("body,daily", "sleep")
    assert payload["user"]["scopes"] == connected(sandbox)["id-1"]["scopes"] == "daily,body"


def test_a_change_may_be_repeated(sandbox):
    sandbox.connect_user("id-1", "u1")
    change = sandbox.disconnect("id-1", repeat=2, repeat_as="payload")
    assert change["last"] - change["first"] == 2
    assert [payload["type"] for payload in changed(sandbox, change)] == ["deauth"] * 3


@pytest.mark.parametrize("path, body, status", [
    ("/sessions/complete", {}, 400), ("/sessions/complete", {"session_id": "x"}, 404),
    ("/sessions/complete", {"reference_id": "u1", "provider": "OURA"}, 400),
    ("/sessions/complete", {"reference_id": "u1", "provder": "GARMIN"}, 400),
    ("/users/disconnect", {"user_id": "nobody"}, 404), ("/users/reconnect", {"user_id": "id-1", "order": "x"}, 400),
    ("/users/permissions", {"user_id": "id-1", "scopes_added": "x" * 300}, 400),
])
def test_changes_with_mistakes(sandbox, path, body, status):
    widget_session(sandbox, reference_id="u1", providers="GARMIN")
    sandbox.connect_user("id-1")
    with pytest.raises(AssertionError, match=f": {status} "):
        sandbox.control("POST", path, body)
    assert sandbox.events() == [] and list(connected(sandbox)) == ["id-1"]


# --- pages ---

def press(sandbox, page, label):
    """Presses the first button of that label, as a browser would."""
    text = call(sandbox, "GET", page).body.decode()
    before = text[:text.index(f"<button>{label}</button>")]
    action = before[before.rindex('action="') + len('action="'):].split('"')[0]
    return call(sandbox, "POST", action.replace("&amp;", "&"))


def page_of(sandbox, link):
    return link.removeprefix(sandbox.ready["links"])


def test_a_person_completes_a_session(sandbox):
    session = widget_session(sandbox, reference_id="u 1", providers="OURA",
        auth_success_redirect_url="https://app.example.org/ok?rid=1")
    answer = press(sandbox, page_of(sandbox, session["url"]), "Connect")
    (event,) = sandbox.events()
    assert answer.status == 303
    assert answer.headers["Location"] == (
        f"https://app.example.org/ok?rid=1&user_id={event['user_id']}&reference_id=u%201&resource=OURA")
    (payload,) = payloads(sandbox, sandbox.wait_for_events({"first": 1, "last": event["sequence"]}))
    assert (payload["type"], payload["widget_session_id"]) == ("auth", session["session_id"])


def test_a_person_cancels_a_direct_link(sandbox):
    link = direct_link(sandbox, "GARMIN", reference_id="u1")
    answer = press(sandbox, page_of(sandbox, link["auth_url"]), "Cancel")
    assert answer.status == 200 and b"Cancelled" in answer.body
    assert [event["type"] for event in sandbox.events()] == ["auth_cancelled"]


def test_pages_have_no_other_buttons(sandbox):
    session = widget_session(sandbox, providers="OURA")
    page = page_of(sandbox, session["url"])
    for query in ("", "?do=complete", "?do=melt&provider=OURA", "?do=complete&provider=GARMIN"):
        assert call(sandbox, "POST", page + query).status == 400
    assert call(sandbox, "PUT", page).status == 405
    assert sandbox.events() == []


# --- the program ---

def test_another_raw_topic():
    sandbox = Sandbox(["--raw-events-topic", "elsewhere", "--topic", "elsewhere:2"])
    try:
        assert sandbox.raw_events_topic == "elsewhere"
        events = sandbox.emit({"count": 4, "delivery": "inline"})
        assert sorted(event["partition"] for event in events) == [0, 0, 1, 1]
        with TopicReader(sandbox.bootstrap, "elsewhere") as reader:
            assert len(reader.wait_for(count=4)) == 4
    finally:
        sandbox.stop()


def test_on_another_kafka(started):
    """Its topics are its operator's; one that comes later is found."""
    sandbox = Sandbox(["--brokers", started.bootstrap, "--raw-events-topic", "operators.topic"])
    try:
        placed = sandbox.control("POST", "/events", {"type": "auth", "delivery": "inline"})
        started.create_topic("operators.topic", 1)
        sandbox.wait_for_events(placed)
    finally:
        sandbox.stop()


def test_without_kafka():
    sandbox = Sandbox(["--no-kafka"])
    try:
        with pytest.raises(AssertionError, match="without Kafka"):
            sandbox.emit({})
        session = widget_session(sandbox, reference_id="u1")
        change = sandbox.complete(session["session_id"])
        assert change["last"] < change["first"] and list(connected(sandbox)) == [change["user_id"]]
    finally:
        sandbox.stop()


def test_ends_while_events_wait():
    sandbox = Sandbox()
    sandbox.emit({"count": 50, "type": "sleep", "bytes": 100_000}, per_second=10)
    sandbox.set_broker(up=False)
    sandbox.emit({"count": 50}, per_second=1000)
    sandbox.stop()
