"""Workers of one group come and go on a real Kafka, in good order or not, while requests come in."""

import time

import pytest

from local_process import eventually
from support.fleet import given_up, owned
from support.topics import TopicWriter

RATE = 400
IN_FLIGHT_MAX = 256
COMMIT_EVERY_MS = 1000
# Who goes without a word to the group is missed after the session's time: so long here that it cannot be overlooked, on
# a slow machine either.
LONG_SESSION = {"KAFKA_SESSION_TIMEOUT_MS": 30_000}
GOOD_ORDER_MS = 15_000  # any request, and any end, while workers come and go in good order
TAKEN_OVER_MS = 15_000  # ten seconds are promised, of a machine that has time


def now_ms():
    """The broker's clock is this machine's."""
    return int(time.time() * 1000)


def test_rolling_restart(make_fleet):
    # Few calls at once, so that there are always requests that wait for a turn.
    fleet = make_fleet(REQUESTS_IN_FLIGHT_MAX=IN_FLIGHT_MAX, TERRA_CALLS_IN_FLIGHT_MAX=10, **LONG_SESSION)
    fleet.start(3)
    with fleet.load(1_000_000, RATE * 3 / 4) as load:
        load.wait_answered(RATE)
        for worker in list(fleet.workers):
            fleet.stop(worker)
            fleet.start()
        load.stop()
        load.wait_answered()
    fleet.stop_all()

    ledger = fleet.ledger()
    ledger.check()
    assert not ledger.failures
    assert ledger.repeats == 0
    assert ledger.slowest_ms() < GOOD_ORDER_MS
    assert sum(ledger.committed.values()) == len(ledger.requests)


def test_a_third_worker_joins_and_leaves(make_fleet):
    fleet = make_fleet(partitions=6, **LONG_SESSION)
    fleet.start(2)
    begin = [len(worker.log) for worker in fleet.workers]
    with fleet.load(1_000_000, RATE) as load:
        load.wait_answered(RATE)
        third = fleet.start()
        load.wait_answered(load.sent + RATE)
        fleet.stop(third)
        fleet.wait_owned()
        load.wait_answered(load.sent + RATE)
        left = [given_up(worker, since) for worker, since in zip(fleet.workers, begin)]
        load.stop()
        load.wait_answered()
    fleet.stop_all()

    ledger = fleet.ledger()
    ledger.check()
    # Two went to the third and came back; the others did not stand still for them.
    assert [len(partitions) for partitions in left] == [1, 1]
    assert not ledger.failures
    assert ledger.repeats == 0
    assert ledger.slowest_ms() < GOOD_ORDER_MS


def test_a_killed_workers_partitions_are_served_soon(make_fleet):
    fleet = make_fleet()
    victim = fleet.start(2)
    orphans = owned(victim)
    with fleet.load(1_000_000, RATE) as load:
        load.wait_answered(RATE)
        killed, begin = now_ms(), len(fleet.workers[0].log)
        fleet.kill(victim)
        eventually(lambda: owned(fleet.workers[0]) == set(range(fleet.partitions)), 30, "taken over")
        load.wait_answered(load.sent + RATE)
        left = given_up(fleet.workers[0], begin)
        load.stop()
        load.wait_answered()
    fleet.stop_all()

    ledger = fleet.ledger()
    ledger.check()
    assert len(orphans) == 2
    for partition in orphans:
        served = min(time for time in ledger.first_answers({partition}) if time > killed + 1000)
        assert served - killed < TAKEN_OVER_MS
    assert not left


def test_two_copies_at_two_workers_get_one_link(make_fleet, read_topic):
    fleet = make_fleet(latency_ms=200, jitter_ms=150)
    fleet.start(2)
    partitions = [min(owned(worker)) for worker in fleet.workers]
    replies = read_topic(fleet.bootstrap, fleet.topics.replies)
    writer = TopicWriter(fleet.bootstrap)
    count = 100
    for number in range(count):
        for partition in partitions:
            writer.post(fleet.topics.requests, {"reference_id": f"r{number}", "request_id": f"q{number}"},
                partition=partition)
    writer.flush()

    links = {}
    for record in replies.wait_for(count=2 * count):
        links.setdefault(record.json["request_id"], []).append(record.json["link"])
    assert sorted(links) == sorted(f"q{number}" for number in range(count))
    assert all(len(pair) == 2 and pair[0] == pair[1] for pair in links.values())
    # Some of the copies met at Terra; else this has tried nothing.
    assert count < fleet.terra.call_counts(endpoint="widget_session")["count"] <= 2 * count


@pytest.mark.parametrize("wait", (0.3, 2.5))
def test_sigterm_during_a_rebalance(make_fleet, wait):
    """The group waits for a killed worker, and another is told to end meanwhile.

    The coordinator answers a member's join only when the group is complete, and nothing else on that connection
    before it: no commit gets through, not even the last one. So all that was answered meanwhile comes again.
    """
    fleet = make_fleet(REQUESTS_IN_FLIGHT_MAX=IN_FLIGHT_MAX)
    fleet.start(3)
    with fleet.load(1_000_000, RATE) as load:
        load.wait_answered(RATE)
        killed, ended, _ = fleet.workers
        begin = now_ms()
        fleet.kill(killed)
        fleet.launch()  # begins the rebalance
        time.sleep(wait)  # how far it has come when the signal is given
        told = now_ms()
        fleet.stop(ended)
        end = now_ms()
        fleet.wait_owned()
        load.stop()
        load.wait_answered()
    fleet.stop_all()

    ledger = fleet.ledger()
    ledger.check()
    assert not ledger.failures
    assert end - told < GOOD_ORDER_MS
    answered_meanwhile = sum(begin - COMMIT_EVERY_MS < time < end for time in ledger.first_answers())
    assert ledger.repeats <= answered_meanwhile + IN_FLIGHT_MAX
    assert sum(ledger.committed.values()) == len(ledger.requests)


def test_a_call_that_outlasts_the_revoke_gives_its_link_to_the_new_owner(make_fleet):
    fleet = make_fleet(REVOKE_TIMEOUT="200ms")
    first = fleet.start()
    count = 40
    page = "https://widget.sandbox.invalid/session/first"
    fleet.terra.add_fault(endpoint="widget_session", count=count, delay_ms=4000,
        body={"status": "success", "url": page, "session_id": "first", "expires_in": 900})
    # Whoever calls later gets a link of its own, too late.
    fleet.terra.add_fault(endpoint="widget_session", count=0, delay_ms=4000)
    with fleet.load(count, 10_000) as load:
        load.wait_sent()
        eventually(lambda: fleet.terra.call_counts(endpoint="widget_session")["count"] == count, 10, "all are called")
        second = fleet.start()
        moved = owned(second)
        load.wait_answered()
    unfinished = first.wait_for_log(lambda line: "unfinished" in line)
    fleet.stop_all()

    ledger = fleet.ledger()
    ledger.check()
    assert len(moved) == 2 and unfinished["unfinished"] == len(moved) * count // fleet.partitions
    assert {answer.link for answers in ledger.answers.values() for answer in answers} == {page}
    assert ledger.repeats == 0
    # The new owner had called too, and took the link of the first.
    assert fleet.terra.call_counts(endpoint="widget_session")["count"] > count
