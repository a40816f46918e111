"""Workers die and come again under load, on a real Kafka; no request is lost, and none gets two links.

CHAOS_REQUESTS=200000 makes a soak of it.
"""

import os
import random
import time

from local_process import eventually
from support.connect_ledger import Ledger, ledger_topics
from support.connect_load import ConnectLoad

REQUESTS = int(os.environ.get("CHAOS_REQUESTS", "20000"))
RATE = 600  # a second
PARTITIONS = 4
IN_FLIGHT_MAX = 256
TERRA_LATENCY_MS = 60
TERRA_JITTER_MS = 40


def test_killed_workers_lose_nothing(kafka, start_sandbox, redis, start_worker):
    topics = ledger_topics(kafka.bootstrap, PARTITIONS)
    sandbox = start_sandbox("--no-kafka", "--records", "0")
    sandbox.set_latency(TERRA_LATENCY_MS, TERRA_JITTER_MS)
    settings = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, "REDIS_URL": redis.url, "TERRA_RATE_LIMIT": 0,
        "REQUESTS_IN_FLIGHT_MAX": IN_FLIGHT_MAX, "REQUEST_DEADLINE": "5m", "KAFKA_AUTO_COMMIT_INTERVAL_MS": 100,
        **topics.settings, **sandbox.terra_settings}
    chance = random.Random(3)
    workers = [start_worker(settings) for _ in range(2)]
    for worker in workers:
        worker.wait_for_log("partition assigned")
    kills = 0
    with ConnectLoad(kafka.bootstrap, topics, REQUESTS, RATE, PARTITIONS) as load:
        while load.sending:
            before = load.answered
            eventually(lambda: load.answered >= before + IN_FLIGHT_MAX or not load.sending, 30, "work going on")
            # At any moment of what follows: at work, while the group waits for the dead one, while it joins.
            time.sleep(chance.uniform(0, 5))
            if not load.sending:
                break
            victim = chance.randrange(len(workers))
            workers[victim].sigkill()
            workers[victim] = start_worker(settings)
            kills += 1
        load.wait_sent()
        load.wait_answered(timeout=60)
    for worker in workers:
        worker.stop()

    ledger = Ledger.read(kafka.bootstrap, topics)
    print(f"{kills} kills, {ledger.repeats} repeats, slowest {ledger.slowest_ms()} ms")
    ledger.check()
    assert len(ledger.requests) == REQUESTS
    assert kills >= 3
    assert ledger.repeats <= kills * IN_FLIGHT_MAX
    assert sum(ledger.committed.values()) == REQUESTS
