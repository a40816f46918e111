"""Stopping: what is finished, what is let go, and what the next worker finds.

Rebalances under load are a matter of the real broker (test_kafka_*.py).
"""

import signal
import time

import pytest

from support.connect import ConnectFlow, is_link, new_id
from support.topics import committed_offsets
from local_process import eventually, free_port

EXIT_AT_ONCE = 1


@pytest.fixture
def flow():
    with ConnectFlow() as flow:
        yield flow


def a_request(**fields):
    return {"reference_id": new_id(), "request_id": new_id("r"), **fields}


def links_of(flow, places):
    replies = [flow.reply(place).json for place in places]
    assert all(reply["status"] == "success" for reply in replies), replies
    return [reply["link"] for reply in replies]


def committed(flow):
    return committed_offsets(flow.sandbox.bootstrap, flow.topics.group, flow.topics.requests)


def test_sigterm_awaits_the_calls_in_flight_and_lets_go_of_the_rest():
    with ConnectFlow({"TERRA_CALLS_IN_FLIGHT_MAX": 2}) as flow:
        flow.sandbox.set_latency(1200)
        values = [a_request() for _ in range(6)]
        places = flow.send_all(values, partition=1)
        eventually(lambda: len(flow.sandbox.calls()) == 2)
        flow.worker.sigterm()
        flow.worker.expect_exit(0)
        links = links_of(flow, places[:2])
        assert len(flow.sandbox.calls()) == 2
        assert [flow.answers(place) for place in places] == [1, 1, 0, 0, 0, 0]
        assert committed(flow) == {1: 2}

        flow.sandbox.set_latency(0)
        flow.start_worker()
        links += links_of(flow, places[2:])
        assert len(set(links)) == 6 == len(flow.sandbox.calls())
        flow.worker.stop()
        assert [flow.answers(place) for place in places] == [1] * 6
        assert committed(flow) == {1: 6}


def test_nothing_is_committed_past_an_unanswered_request(flow):
    """The first of them waits for its second attempt when the worker stops; those behind it are answered."""
    values = [a_request() for _ in range(4)]
    flow.sandbox.add_fault(status=503, retry_after=20, reference_id_prefix=values[0]["reference_id"])
    places = flow.send_all(values, partition=2)
    links = links_of(flow, places[1:])
    eventually(lambda: flow.calls_for(values[0]["reference_id"]))
    for place in places[1:]:
        flow.outcome(place)
    before = time.monotonic()
    flow.worker.stop()
    assert time.monotonic() - before < 5
    assert flow.answers(places[0]) == 0 and 2 not in committed(flow)

    flow.start_worker()
    flow.reply(places[0])
    flow.worker.stop()
    assert committed(flow) == {2: 4}
    # Those behind it came again: the same links, without another call.
    for place, link, value in zip(places[1:], links, values[1:]):
        again = flow.replies.wait_for(lambda record, place=place: record.header("ce_id") ==
            f"{place}/connect-reply".encode(), count=2)
        assert {record.json["link"] for record in again} == {link}
        assert len(flow.calls_for(value["reference_id"])) == 1


def test_everything_answered_is_committed(flow):
    places = flow.send_all([a_request() for _ in range(60)] + [b"garbage"] * 20 + [{"request_id": "r"}] * 20)
    for place in places:
        eventually(lambda: flow.answers(place) == 1)
    flow.worker.stop()
    ends = {}
    for place in places:
        _, partition, offset = place.split("/")
        ends[int(partition)] = max(ends.get(int(partition), 0), int(offset) + 1)
    assert committed(flow) == ends
    assert all(flow.answers(place) == 1 for place in places)


def test_a_second_sigterm_exits_at_once(flow):
    value = a_request()
    flow.sandbox.add_fault(kind="stall", reference_id_prefix=value["reference_id"], count=0)
    flow.send(value)
    eventually(lambda: flow.calls_for(value["reference_id"]))
    flow.worker.sigterm()
    flow.worker.wait_for_log("stopping")
    assert flow.worker.running()
    flow.worker.sigterm()
    flow.worker.expect_exit(EXIT_AT_ONCE, timeout=5)


def test_sigint_stops_as_well(flow):
    assert flow.ask_for_link()
    flow.worker.signal(signal.SIGINT)
    flow.worker.expect_exit(0)


def test_the_shutdown_has_a_time_limit():
    with ConnectFlow({"SHUTDOWN_TIMEOUT": "1s"}) as flow:
        value = a_request()
        flow.sandbox.add_fault(kind="stall", reference_id_prefix=value["reference_id"])
        place = flow.send(value)
        eventually(lambda: flow.calls_for(value["reference_id"]))
        before = time.monotonic()
        flow.worker.sigterm()
        flow.worker.expect_exit(0)
        assert 0.9 < time.monotonic() - before < 6
        assert flow.answers(place) == 0 and committed(flow) == {}
        flow.start_worker()
        assert is_link(flow.reply(place).json["link"])


def test_sigterm_before_the_group_is_joined(flow):
    worker = flow.start_worker(KAFKA_GROUP_ID=new_id("group"))
    worker.wait_for_log("started")
    worker.sigterm()
    worker.expect_exit(0, timeout=15)


def test_sigterm_without_any_broker(start_worker):
    worker = start_worker({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9", "TERRA_DEV_ID": "dev", "TERRA_API_KEY": "a-key-1",
        "TERRA_BASE_URL": f"http://127.0.0.1:{free_port()}/api"})
    worker.wait_for_log("started")
    worker.sigterm()
    worker.expect_exit(0, timeout=15)


def test_a_killed_worker_leaves_nothing_behind(flow):
    """Its requests are answered by the next one: those with a link with the same, without another call."""
    answered, lost = a_request(), a_request()
    first = flow.send(answered, partition=0)
    links = links_of(flow, [first])
    flow.sandbox.add_fault(delay_ms=3000, reference_id_prefix=lost["reference_id"])
    second = flow.send(lost, partition=0)
    eventually(lambda: flow.calls_for(lost["reference_id"]))
    flow.worker.sigkill()
    flow.start_worker()
    assert is_link(flow.reply(second).json["link"])
    assert links_of(flow, [flow.send(answered)]) == links
    assert len(flow.calls_for(answered["reference_id"])) == 1
