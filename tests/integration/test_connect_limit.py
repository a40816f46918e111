"""The limit of calls to Terra, counted where they arrive, and the ceilings of one worker."""

import json
import tempfile
import time
from pathlib import Path

import pytest

from support.connect import ConnectFlow, is_link, new_id

RATE, BURST = 20, 5


@pytest.fixture(scope="module")
def flow():
    with tempfile.TemporaryDirectory(prefix="terra-connect-test-") as folder:
        environments = Path(folder, "environments.json")
        environments.write_text(json.dumps({
            "slow": {"dev_id": "slow-dev", "api_key": "slow-key", "rate_limit": "120/m", "rate_burst": 1}}))
        accounts = ("--credential", "default:sandbox-dev:sandbox-key", "--credential", "slow:slow-dev:slow-key")
        with ConnectFlow({"TERRA_RATE_LIMIT": f"{RATE}/s", "TERRA_RATE_BURST": BURST,
                "TERRA_ENVIRONMENTS_FILE": environments}, accounts) as flow:
            flow.ask_for_link()
            yield flow


@pytest.fixture(autouse=True)
def rested(request):
    """Each test begins with a full burst."""
    if "flow" in request.fixturenames:
        request.getfixturevalue("flow").sandbox.reset()
        time.sleep(BURST / RATE)


def ask_for_many(flow, count, **fields):
    """Their reference ids, in order, and places; all in one partition, so that they arrive in this order."""
    users = [new_id() for _ in range(count)]
    return users, flow.send_all([{"reference_id": user, **fields} for user in users], partition=0)


def most_at_once(calls):
    """How many calls were open at the same time."""
    edges = sorted([(call["monotonic_us"], 1) for call in calls] + [(call["finished_us"], -1) for call in calls],
        key=lambda edge: (edge[0], edge[1]))
    open_now = most = 0
    for _, change in edges:
        open_now += change
        most = max(most, open_now)
    return most


def test_never_more_than_limit_and_burst_and_little_less(flow):
    users, places = ask_for_many(flow, 80)
    assert all(is_link(flow.reply(place).json["link"]) for place in places)
    counts = flow.sandbox.call_counts()
    assert counts["count"] == 80
    assert counts["busiest_second"] <= RATE + BURST
    seconds = (counts["last_us"] - counts["first_us"]) / 1e6
    assert (80 - BURST) / RATE - 0.05 <= seconds <= 1.2 * (80 - BURST) / RATE
    # Who came first is served first.
    assert [call["reference_id"] for call in flow.sandbox.calls()] == users


def test_retries_count_against_the_limit(flow):
    users = [new_id("again") for _ in range(30)]
    for user in users:
        flow.sandbox.add_fault(status=503, reference_id_prefix=user)
    places = flow.send_all([{"reference_id": user} for user in users])
    assert all(flow.reply(place).json["attempts"] == 2 for place in places)
    # Without the neutral GET by which a row of failures is looked into.
    counts = flow.sandbox.call_counts(endpoint="widget_session")
    assert counts["count"] == 60 and counts["busiest_second"] <= RATE + BURST


def test_who_cannot_be_served_in_time_is_told_at_once(flow):
    _, places = ask_for_many(flow, 100, timeout_seconds=2)
    replies = [flow.reply(place).json for place in places]
    refused = [(reply, flow.outcome(place).json) for place, reply in zip(places, replies) if reply["status"] == "error"]
    served = len(replies) - len(refused)
    # In two seconds there is room for the burst and two seconds of the limit.
    assert 0.7 * (BURST + 2 * RATE) <= served <= BURST + 2 * RATE + 1
    assert flow.sandbox.call_counts()["count"] == served
    for reply, outcome in refused:
        error = reply["error"]
        assert error["code"] == "rate_limited" and error["retryable"] is True and error["http_status"] is None
        assert reply["attempts"] == 0
        assert 1 <= error["retry_after_seconds"] <= 3
        assert outcome["seconds_total"] < 1.5


def test_each_environment_has_its_own_limit(flow):
    before = time.monotonic()
    _, slow = ask_for_many(flow, 4, environment="slow")
    _, quick = ask_for_many(flow, 10)
    assert all(is_link(flow.reply(place).json["link"]) for place in quick)
    assert time.monotonic() - before < 1.4
    assert all(is_link(flow.reply(place).json["link"]) for place in slow)
    counts = flow.sandbox.call_counts(environment="slow")
    assert counts["count"] == 4 and counts["last_us"] - counts["first_us"] >= 1_450_000


def test_workers_share_one_limit():
    with ConnectFlow({"TERRA_RATE_LIMIT": f"{2 * RATE}/s", "TERRA_RATE_BURST": BURST}, workers=2) as flow:
        for worker in flow.workers:
            worker.wait_for_log("partition assigned")
        flow.sandbox.reset()
        places = [place for partition in range(4)
                  for place in flow.send_all([{"reference_id": new_id()} for _ in range(30)], partition=partition)]
        assert all(is_link(flow.reply(place).json["link"]) for place in places)
        counts = flow.sandbox.call_counts()
        assert counts["count"] == 120 and counts["busiest_second"] <= 2 * RATE + BURST
        seconds = (counts["last_us"] - counts["first_us"]) / 1e6
        assert seconds <= 1.2 * (120 - BURST) / (2 * RATE)

        # What Terra says to one of them both obey.
        hit = new_id("hit")
        flow.sandbox.reset()
        flow.sandbox.add_fault(reference_id_prefix=hit, status=429, retry_after=1)
        first = flow.send({"reference_id": hit}, partition=0)
        others = [place for partition in range(4)
                  for place in flow.send_all([{"reference_id": new_id()} for _ in range(20)], partition=partition)]
        assert all(is_link(flow.reply(place).json["link"]) for place in [first, *others])
        calls = flow.sandbox.calls()
        refused_us = next(call["monotonic_us"] for call in calls if call["reference_id"] == hit)
        # Those that were on their way when the first worker heard it, or until the other one did.
        quick = [call for call in calls if 100_000 < call["monotonic_us"] - refused_us < 950_000]
        assert not quick and len(calls) == 82


def test_a_request_that_leaves_the_queue_leaves_its_slot(flow):
    """A slot belongs to the queue: links from the cache and late requests cost none."""
    value = {"reference_id": new_id(), "request_id": new_id("r")}
    flow.ask(value)
    flow.sandbox.reset()
    before = time.monotonic()
    repeats = flow.send_all([value] * 100)
    late = flow.send_all([{"reference_id": new_id()} for _ in range(100)], timestamp_ms=int(time.time() - 60) * 1000)
    for place in repeats + late:
        flow.reply(place)
    assert time.monotonic() - before < 3
    assert flow.ask_for_link()["attempts"] == 1
    assert flow.sandbox.call_counts()["count"] == 1


def test_calls_in_flight_have_a_ceiling():
    with ConnectFlow({"TERRA_CALLS_IN_FLIGHT_MAX": 3}, redis=False) as flow:
        flow.sandbox.set_latency(100)
        _, places = ask_for_many(flow, 20)
        assert all(is_link(flow.reply(place).json["link"]) for place in places)
        assert most_at_once(flow.sandbox.calls()) == 3


def test_requests_in_flight_have_a_ceiling():
    """A full house pauses its partitions and goes on; nothing is lost, nothing is asked twice."""
    with ConnectFlow({"REQUESTS_IN_FLIGHT_MAX": 4}, redis=False) as flow:
        flow.sandbox.set_latency(50)
        users = [new_id() for _ in range(80)]
        places = flow.send_all([{"reference_id": user} for user in users])
        assert all(is_link(flow.reply(place).json["link"]) for place in places)
        calls = flow.sandbox.calls()
        assert sorted(call["reference_id"] for call in calls) == sorted(users)
        assert most_at_once(calls) <= 4
        # One that takes long does not keep the others out.
        stuck = new_id()
        flow.sandbox.add_fault(kind="stall", reference_id_prefix=stuck, count=0)
        late = flow.send({"reference_id": stuck, "timeout_seconds": 3})
        _, places = ask_for_many(flow, 20)
        before = time.monotonic()
        assert all(is_link(flow.reply(place).json["link"]) for place in places)
        assert time.monotonic() - before < 2.5
        assert flow.reply(late).json["error"]["code"] == "deadline_exceeded"
