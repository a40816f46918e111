"""The events flow on a real Apache Kafka: exactly once under fire, at least once, and the way from link to connection."""

import signal
import threading
import time

import pytest

from local_process import eventually
from support.connect import new_id
from support.fleet import owned
from support.topics import TopicWriter, committed_offsets, end_offsets, event_topics, latest_by_key, read_to_end

PARTITIONS = 4
KEYS = 200


@pytest.fixture
def event_flow(kafka, redis, start_worker):
    """event_flow(flow="events", NAME=value): the topics, and a function that starts one more worker."""

    def make(flow="events", **settings):
        topics = event_topics()
        topics.create(kafka.bootstrap, PARTITIONS)
        everything = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, "REDIS_URL": redis.url, **topics.settings, **settings}
        return topics, lambda: start_worker(everything, flow=flow)

    return make


class Load:
    """Failed attempts, each another event, spread over keys; one key stays in one raw partition."""

    def __init__(self, bootstrap, topic, count, per_second):
        self.count = count
        self._writer = TopicWriter(bootstrap)
        self._topic = topic
        self._per_second = per_second
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        begin = time.monotonic()
        for number in range(self.count):
            key = number % KEYS
            self._writer.post(self._topic, {"type": "auth_cancelled", "status": "error", "reason": "access_denied",
                "reference_id": f"r{key}", "flow_id": str(number)}, partition=key % PARTITIONS)
            if number % 50 == 0:
                time.sleep(max(0, begin + number / self._per_second - time.monotonic()))
        self._writer.flush()

    def running(self):
        return self._thread.is_alive()

    def wait(self):
        self._thread.join()


def wait_until_done(bootstrap, topics, timeout=90):
    """Until the group has committed all there is."""
    ends = {partition: end for partition, end in end_offsets(bootstrap, topics.raw).items() if end > 0}
    eventually(lambda: committed_offsets(bootstrap, topics.group + "-events", topics.raw) == ends, timeout,
        lambda: f"{ends} committed, not {committed_offsets(bootstrap, topics.group + '-events', topics.raw)}")


def assert_in_order(records):
    """The events of one key are in the order of their source records."""
    last = {}
    for record in sorted(records, key=lambda record: (record.partition, record.offset)):
        number = int(record.json["flow_id"])
        assert last.get(record.key, -1) < number, f"{record.key}: {number} behind {last[record.key]}"
        last[record.key] = number


def test_exactly_once_under_fire(kafka, event_flow):
    """20,000 records, two workers, one of them killed every few seconds, one frozen until its partitions have moved: a
    reader of committed records sees each event once, in the order of its key."""
    topics, start = event_flow(EVENTS_DELIVERY="exactly_once")
    workers = [start(), start()]
    eventually(lambda: all(owned(worker) for worker in workers), 40, "partitions for both workers")
    load = Load(kafka.bootstrap, topics.raw, 20_000, 700)

    kills = 0
    frozen = None
    while load.running():
        time.sleep(2.5)  # the fire's own rhythm; nothing is concluded from it
        if kills == 2 and not frozen:
            frozen = workers[0]
            frozen.signal(signal.SIGSTOP)
            eventually(lambda: len(owned(workers[1])) == PARTITIONS, 30, "the frozen worker's partitions moved")
            frozen.signal(signal.SIGCONT)
        victim = workers.pop(0)
        victim.sigkill()
        workers.append(start())
        kills += 1
    load.wait()
    assert kills >= 5 and frozen
    wait_until_done(kafka.bootstrap, topics)

    # A transaction that a killed worker left open hides what is behind it until its timeout.
    eventually(lambda: len(read_to_end(kafka.bootstrap, topics.auth_events)) >= load.count, 30, "all events")
    records = read_to_end(kafka.bootstrap, topics.auth_events)
    ids = [record.header("ce_id") for record in records]
    assert len(ids) == len(set(ids)), f"{len(ids) - len(set(ids))} events were seen twice"
    assert len(ids) == load.count
    assert_in_order(records)
    assert not read_to_end(kafka.bootstrap, topics.dead_letters)


def test_exactly_once_with_letters_repeats_and_data(kafka, event_flow):
    """What goes into one transaction: events, dead letters, and the offsets of what is passed over."""
    topics, start = event_flow(EVENTS_DELIVERY="exactly_once")
    worker = start()
    writer = TopicWriter(kafka.bootstrap)
    event = {"type": "auth", "status": "success", "user": {"user_id": "u1", "reference_id": "r1", "provider": "OURA"}}
    for value in (event, event, {"type": "sleep", "data": []}, "{broken", {"type": "healthcheck"},
            {**event, "type": "deauth"}):
        writer.send(topics.raw, value, partition=0)
    wait_until_done(kafka.bootstrap, topics, 40)
    assert [record.json["kind"] for record in read_to_end(kafka.bootstrap, topics.auth_events)] \
        == ["connected", "disconnected"]
    letters = read_to_end(kafka.bootstrap, topics.dead_letters)
    assert [record.header("error-code") for record in letters] == [b"invalid_event"]

    # Offsets alone, of data, are committed too.
    for _ in range(3):
        writer.send(topics.raw, {"type": "sleep", "data": []}, partition=1)
    wait_until_done(kafka.bootstrap, topics, 20)
    worker.sigterm()
    worker.expect_exit(0)


def test_at_least_once_after_a_kill(kafka, event_flow):
    topics, start = event_flow()
    workers = [start(), start()]
    eventually(lambda: all(owned(worker) for worker in workers), 40, "partitions for both workers")
    load = Load(kafka.bootstrap, topics.raw, 3_000, 1_500)
    eventually(lambda: sum(committed_offsets(kafka.bootstrap, topics.group + "-events", topics.raw).values()) > 500, 20)
    workers[0].sigkill()
    load.wait()
    wait_until_done(kafka.bootstrap, topics)
    records = read_to_end(kafka.bootstrap, topics.auth_events)
    first = {}
    for record in records:
        assert first.setdefault(record.header("ce_id"), record.json["flow_id"]) == record.json["flow_id"]
    assert len(first) == load.count


def test_from_link_to_connection(kafka, redis, start_sandbox, start_worker):
    """One worker runs every flow: the event says whose link it was, and the connection is there."""
    from support.topics import connect_topics, create_topics

    connect, events = connect_topics(), event_topics()
    create_topics(kafka.bootstrap, connect.names)
    events.create(kafka.bootstrap, PARTITIONS)
    sandbox = start_sandbox("--brokers", kafka.bootstrap, "--raw-events-topic", events.raw)
    start_worker({"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, "REDIS_URL": redis.url, "TERRA_RATE_LIMIT": 0,
        **connect.settings, **events.settings, **sandbox.terra_settings, **sandbox.payload_settings}, flow="all")
    reference, other = new_id(), new_id()
    writer = TopicWriter(kafka.bootstrap)
    writer.send(connect.requests, {"reference_id": reference, "request_id": "q1", "providers": ["OURA"]})
    writer.send(connect.requests, {"reference_id": other, "request_id": "q2"})

    def replies():
        return {record.reference_id: record.json for record in read_to_end(kafka.bootstrap, connect.replies)}

    eventually(lambda: len(replies()) == 2, 40, "both links")
    sandbox.complete(replies()[reference]["session_id"])
    sandbox.cancel(replies()[other]["session_id"])

    def seen():
        return {record.reference_id: record.json for record in read_to_end(kafka.bootstrap, events.auth_events)}

    eventually(lambda: len(seen()) == 2, 40, "both events")
    connected, cancelled = seen()[reference], seen()[other]
    assert connected["kind"] == "connected" and connected["request_id"] == "q1"
    assert connected["matched_by"] == "session" and connected["provider"] == "OURA"
    assert 0 <= connected["seconds_since_link"] < 60
    assert cancelled["kind"] == "connect_failed" and cancelled["request_id"] == "q2"
    assert cancelled["matched_by"] == "reference"
    eventually(lambda: connected["user_id"] in latest_by_key(read_to_end(kafka.bootstrap, events.connections)), 30,
        "the connection")
