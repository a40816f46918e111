"""Workers are killed and come again under load, on a real Kafka: no request is lost, and none gets two links.

CHAOS_REQUESTS=200000 makes a soak of it.
"""

import os
import random
import time

import pytest

from local_process import eventually

REQUESTS = int(os.environ.get("CHAOS_REQUESTS", "20000"))
IN_FLIGHT_MAX = 256
# What a worker answers within a second lies below IN_FLIGHT_MAX: offsets are committed once a second, so a killed
# worker's repeats are its jobs in flight and the answers since its last commit.
RATE = 450


@pytest.fixture
def fleet(make_fleet):
    fleet = make_fleet(REQUESTS_IN_FLIGHT_MAX=IN_FLIGHT_MAX, REQUEST_DEADLINE="5m")
    fleet.start(2)
    return fleet


def wait_caught_up(load):
    eventually(lambda: load.sent - load.answered < IN_FLIGHT_MAX // 2, 30, "the work that waited is done")


def test_killed_workers_lose_nothing(fleet):
    chance = random.Random(3)
    kills = 0
    with fleet.load(REQUESTS, RATE) as load:
        load.wait_answered(RATE)
        while load.sending:
            time.sleep(chance.uniform(0.5, 1.5))  # so that it may be any moment between two commits
            fleet.kill(chance.choice(fleet.workers))
            fleet.start()
            wait_caught_up(load)
            kills += 1
        load.wait_sent()
        load.wait_answered()
    fleet.stop_all()

    ledger = fleet.ledger()
    # Seen with pytest -s, or when something below fails.
    print(f"{kills} kills, {ledger.repeats} repeats, slowest {ledger.slowest_ms()} ms")
    ledger.check()
    assert len(ledger.requests) == REQUESTS
    assert kills >= 3
    assert ledger.repeats <= kills * IN_FLIGHT_MAX
    assert sum(ledger.committed.values()) == REQUESTS


def test_killed_while_the_group_waits_for_a_killed_one(fleet):
    """The second one dies in the midst of the rebalance; nothing is committed during one, so more is repeated."""
    with fleet.load(1_000_000, RATE) as load:
        load.wait_answered(RATE)
        first, second = fleet.workers
        fleet.kill(first)
        fleet.launch()
        time.sleep(2.5)  # the second one has been told, and waits for the first one's session to end
        fleet.kill(second)
        fleet.start()
        wait_caught_up(load)
        load.stop()
        load.wait_answered()
    fleet.stop_all()

    ledger = fleet.ledger()
    ledger.check()
    assert not ledger.failures
    assert sum(ledger.committed.values()) == len(ledger.requests)
