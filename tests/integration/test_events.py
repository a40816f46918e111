"""The events flow: what Terra's destination writes becomes clean, keyed events, or dead letters, or is passed over."""

import json
import subprocess
import urllib.request

import pytest

from local_process import eventually
from support import TOP
from support.connect import new_id
from support.events import EventFlows
from support.program import program_environment


@pytest.fixture(scope="module")
def flows():
    with EventFlows(flow="events") as running:
        yield running


def metric(worker, name):
    """The value of one line of /metrics."""
    address = worker.wait_for_log("metrics and health are served")["address"]
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith(name + " "):
                return float(line.rsplit(" ", 1)[1])
    raise AssertionError(f"there is no metric {name}")


@pytest.mark.parametrize("delivery", ["pointer", "inline"])
def test_an_event_comes_clean_and_keyed(flows, delivery):
    reference, user = new_id(), new_id("user")
    placed = flows.sandbox.emit({"type": "auth", "user_id": user, "reference_id": reference, "provider": "OURA",
        "delivery": delivery})[0]
    record = flows.event(f"{flows.topics.raw}/{placed['partition']}/{placed['offset']}")
    assert record.key == reference.encode()
    assert record.json["kind"] == "connected" and record.json["user_id"] == user
    assert record.json["environment"] == "default" and record.json["occurred_at"] is None
    assert record.header("ce_type") == b"terra-connect.auth-event.v1"
    assert record.header("ce_source") == f"/terra-connect/{flows.topics.group}-events".encode()
    assert record.header("ce_subject") == reference.encode()


def test_every_type_both_ways(flows):
    kinds = {"auth": "connected", "deauth": "disconnected", "access_revoked": "revoked",
        "connection_error": "degraded", "user_reauth": "reauthenticated", "permission_change": "permissions_changed",
        "google_no_datasource": "no_data_source", "auth_cancelled": "connect_failed"}
    for shape in ("new", "old"):
        for delivery in ("pointer", "inline"):
            references = {kind: new_id() for kind in kinds}
            flows.sandbox.emit(*({"type": kind, "reference_id": reference, "user_id": new_id("user"), "shape": shape,
                "delivery": delivery} for kind, reference in references.items()))
            for kind, reference in references.items():
                assert flows.events_of(reference)[0]["kind"] == kinds[kind], (shape, delivery, kind)


def test_events_of_one_user_keep_their_order(flows):
    """In one partition, although the objects of the earlier ones are slow."""
    reference, user = new_id(), new_id("user")
    flows.sandbox.add_fault(endpoint="payload", reference_id_prefix=reference, count=1, delay_ms=400)
    flows.sandbox.emit(*({"type": kind, "reference_id": reference, "user_id": user, "partition": 1}
        for kind in ("auth", "connection_error", "permission_change", "deauth")))
    kinds = [event["kind"] for event in flows.events_of(reference, count=4)]
    assert kinds == ["connected", "degraded", "permissions_changed", "disconnected"]


def test_repeats_are_dropped_only_while_they_are_the_last(flows):
    reference, user = new_id(), new_id("user")
    event = {"reference_id": reference, "user_id": user, "partition": 2, "delivery": "inline"}
    flows.sandbox.emit({"type": "auth", **event, "repeat": 3}, {"type": "deauth", **event, "repeat": 2},
        {"type": "auth", **event}, {"type": "connection_error", **event})
    kinds = [found["kind"] for found in flows.events_of(reference, count=4)]
    assert kinds == ["connected", "disconnected", "connected", "degraded"]


def test_a_repeated_pointer_to_the_same_payload(flows):
    reference = new_id()
    flows.sandbox.emit({"type": "auth", "reference_id": reference, "user_id": new_id("user"), "repeat": 3},
        {"type": "auth", "reference_id": reference + "-end", "user_id": new_id("user")})
    flows.events_of(reference + "-end")
    eventually(lambda: len(flows.events_of(reference)) >= 1)
    assert metric(flows.worker, "terra_connect_event_repeats_total") > 0


def test_data_and_other_types_are_passed_over(flows):
    before = {kind: metric(flows.worker, f'terra_connect_raw_records_total{{class="{kind}"}}')
        for kind in ("data", "other")}
    reference = new_id()
    flows.sandbox.emit({"type": "sleep", "count": 20, "delivery": "inline"},
        {"type": "activity", "count": 5, "bytes": 200_000, "type_last": True},
        {"type": "healthcheck", "count": 3, "delivery": "inline"}, {"type": "brand_new_type", "count": 2},
        {"type": "auth", "reference_id": reference, "user_id": new_id("user")})
    flows.events_of(reference)
    eventually(lambda: metric(flows.worker, 'terra_connect_raw_records_total{class="data"}') == before["data"] + 25)
    eventually(lambda: metric(flows.worker, 'terra_connect_raw_records_total{class="other"}') == before["other"] + 5)


@pytest.mark.parametrize("value, code", [
    (b"{not json", b"invalid_event"),
    (b"\xff\xfe\x00", b"invalid_event"),
    (b'{"type":"auth","status":"success"}', b"invalid_event"),
    (b'{"type":"auth","user":[{"user_id":"a"},{"user_id":"b"}]}', b"invalid_event"),
    (b'{"type":"s3_payload"}', b"invalid_event"),
    (b'{"type":"s3_payload","url":"http://169.254.169.254/latest/meta-data"}', b"payload_forbidden"),
    (b'{"type":"s3_payload","url":"https://evil.example/x"}', b"payload_forbidden"),
    (b'{"type":"s3_payload","url":"https://user@storage.googleapis.com/x"}', b"payload_forbidden"),
    (b'{"type":"s3_payload","url":"file:///etc/passwd"}', b"payload_forbidden"),
])
def test_what_cannot_be_understood_becomes_a_dead_letter(flows, value, code):
    place = flows.send_raw(value, key=b"k", headers={"x": "y"})
    letter = flows.dead_letter(place)
    assert letter.header("error-code") == code
    assert letter.value == value and letter.key == b"k"
    assert letter.header("__dlq.header.x") == b"y"


def test_a_tombstone_says_nothing(flows):
    before = metric(flows.worker, 'terra_connect_raw_records_total{class="other"}')
    flows.send_raw(None)
    eventually(lambda: metric(flows.worker, 'terra_connect_raw_records_total{class="other"}') == before + 1)


def test_an_expired_pointer(flows):
    reference = new_id()
    placed = flows.sandbox.emit({"type": "auth", "reference_id": reference, "user_id": new_id("user"),
        "expires_in": 600, "ttl_ms": 0})[0]
    letter = flows.dead_letter(f"{flows.topics.raw}/{placed['partition']}/{placed['offset']}")
    assert letter.header("error-code") == b"payload_expired"
    assert json.loads(letter.value)["type"] == "s3_payload"
    # Counted when the broker has said so, which is after a reader may have seen it.
    eventually(lambda: metric(flows.worker, 'terra_connect_event_dead_letters_total{code="payload_expired"}') >= 1)


def test_a_payload_that_is_no_event_is_kept_instead_of_its_pointer(flows):
    reference = new_id()
    body = {"type": "auth", "user": [{"user_id": "a"}, {"user_id": "b"}], "reference_id": reference}
    placed = flows.sandbox.emit({"type": "auth", "body": json.dumps(body), "reference_id": reference})[0]
    letter = flows.dead_letter(f"{flows.topics.raw}/{placed['partition']}/{placed['offset']}")
    assert letter.header("error-code") == b"invalid_event"
    assert letter.header("payload-source") == b"fetched"
    assert json.loads(letter.value) == body


@pytest.mark.parametrize("fault, code", [
    ({"kind": "gzip_bomb", "bytes": 64 << 20}, b"payload_unreadable"),
    ({"status": 302, "headers": {"Location": "http://127.0.0.1:1/"}}, b"payload_forbidden"),
    ({"status": 404}, b"payload_expired"),
])
def test_objects_that_go_wrong(flows, fault, code):
    reference = new_id()
    flows.sandbox.add_fault(endpoint="payload", reference_id_prefix=reference, **fault)
    placed = flows.sandbox.emit({"type": "auth", "reference_id": reference, "user_id": new_id("user")})[0]
    letter = flows.dead_letter(f"{flows.topics.raw}/{placed['partition']}/{placed['offset']}")
    assert letter.header("error-code") == code


def test_a_store_that_fails_for_a_while(flows):
    reference = new_id()
    flows.sandbox.add_fault(endpoint="payload", reference_id_prefix=reference, status=503, count=2)
    flows.sandbox.emit({"type": "auth", "reference_id": reference, "user_id": new_id("user")})
    assert flows.events_of(reference)[0]["kind"] == "connected"


def test_gzip(flows):
    reference = new_id()
    flows.sandbox.emit({"type": "auth", "reference_id": reference, "user_id": new_id("user"), "encoding": "gzip"})
    assert flows.events_of(reference)[0]["kind"] == "connected"


def test_traces_pass_through(flows):
    reference = new_id()
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    place = flows.send_raw({"type": "auth", "status": "success", "user": {"user_id": "u", "reference_id": reference}},
        headers={"traceparent": trace, "tracestate": "a=b"})
    event = flows.event(place)
    assert event.header("traceparent") == trace.encode() and event.header("tracestate") == b"a=b"


def test_the_share_of_data_is_known_from_the_first_record_on():
    with EventFlows(flow="events", redis=False) as flows:
        flows.sandbox.emit({"type": "daily"}, {"type": "auth", "user_id": new_id("user"), "count": 2},
            {"type": "auth", "user_id": new_id("user"), "delivery": "inline"})
        flows.events.wait_for(count=3)
        eventually(lambda: metric(flows.worker, "terra_connect_raw_data_ratio") == 0.25)


def test_most_records_are_data():
    with EventFlows(flow="events", redis=False) as flows:
        flows.sandbox.emit({"type": "daily", "count": 1100, "delivery": "inline"})
        line = flows.worker.wait_for_log(lambda line: "most records are data" in line.get("message", ""))
        assert line["data_percent"] == 100
        assert metric(flows.worker, "terra_connect_raw_data_ratio") == 1


def test_a_missing_topic_holds_up_no_other_flow():
    with EventFlows(flow="all", settings={"RAW_EVENTS_TOPIC": "not.there.yet"}) as flows:
        flows.send_event({"kind": "connected", "user_id": "u1", "reference_id": "r1",
            "published_at": "2026-11-21T07:04:32.123Z"}, key="r1")
        flows.wait_for_connection("u1", lambda state: state["status"] == "connected")
        flows.worker.wait_for_log(lambda line: "not.there.yet" in json.dumps(line) and line["level"] == "error")


def test_all_that_was_taken_in_is_done_after_a_restart():
    """SIGTERM in the middle: nothing is lost, and what comes twice has the same ce_id."""
    with EventFlows(flow="events") as flows:
        reference = new_id()
        flows.sandbox.emit({"type": "auth", "reference_id": reference + "-{n}", "user_id": "u{n}", "count": 400})
        flows.events.wait_for(count=50)
        flows.workers[0].stop()
        flows.start_worker()

        def all_there():
            return len({record.reference_id for record in flows.events.records}) == 400

        eventually(all_there, 40, lambda: f"{len(flows.events.records)} events")
        ids = {}
        for record in flows.events.records:
            assert ids.setdefault(record.header("ce_id"), record.reference_id) == record.reference_id


def test_the_example_reads_them(flows):
    reference = new_id()
    flows.sandbox.emit({"type": "auth", "reference_id": reference, "user_id": f"{reference}-user", "provider": "OURA"})
    flows.events_of(reference)
    count = len({record.header("ce_id") for record in flows.events.records})
    done = subprocess.run(["/usr/bin/python3", "-B", TOP / "examples" / "python" / "events.py", str(count)],
        env=program_environment({"KAFKA_BOOTSTRAP_SERVERS": flows.sandbox.bootstrap, "EVENTS_GROUP": new_id("group"),
            "AUTH_EVENTS_TOPIC": flows.topics.auth_events}),
        stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    assert f"{reference} connected OURA (user_id {reference}-user)" in done.stdout.splitlines()
    assert len(done.stdout.splitlines()) == count
