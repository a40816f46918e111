"""Topics, records in and records out, by confluent_kafka; 1.7 and 2.x alike."""

import json
import threading
import time
import uuid
from dataclasses import dataclass

from confluent_kafka import (
    OFFSET_BEGINNING, TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaError, KafkaException, Producer, TopicPartition)
from confluent_kafka.admin import AdminClient, NewTopic

from local_process import eventually

READ_BATCH = 500
# Brokers come and go in these tests; the library's word on each of that is of no interest.
LOG_LEVEL = 2


@dataclass(frozen=True)
class Record:
    topic: str
    partition: int
    offset: int
    timestamp_ms: int  # None: it has none
    key: bytes
    value: bytes
    headers: tuple  # of (name, bytes or None), in their order

    @property
    def json(self):
        return json.loads(self.value)

    @property
    def reference_id(self):
        """From the value, else None; never fails."""
        try:
            return self.json.get("reference_id")
        except (TypeError, ValueError, AttributeError):
            return None

    def header(self, name):
        """The last header of that name, as bytes; None when there is none."""
        found = [value for header, value in self.headers if header == name]
        return found[-1] if found else None


@dataclass(frozen=True)
class ConnectTopics:
    """The connect flow's topics under names of their own, so that tests share a broker and not their records."""

    requests: str
    replies: str
    outcomes: str
    dead_letters: str
    group: str

    @property
    def settings(self):
        """What a worker needs to be told."""
        return {
            "KAFKA_GROUP_ID": self.group,
            "CONNECT_REQUESTS_TOPIC": self.requests,
            "CONNECT_REPLIES_TOPIC": self.replies,
            "CONNECT_OUTCOMES_TOPIC": self.outcomes,
            "DEAD_LETTERS_TOPIC": self.dead_letters,
            "REPLY_TOPICS_ALLOWED": self.replies + ".*",
        }

    @property
    def names(self):
        return [self.requests, self.replies, self.outcomes, self.dead_letters]


def connect_topics():
    """New names; create_topics() makes them."""
    prefix = f"t{uuid.uuid4().hex[:10]}"
    return ConnectTopics(f"{prefix}.requests", f"{prefix}.replies", f"{prefix}.outcomes", f"{prefix}.dead-letters",
        f"{prefix}-group")


@dataclass(frozen=True)
class EventTopics:
    """The topics of the event and connection flows, under names of their own."""

    raw: str
    auth_events: str
    connections: str
    dead_letters: str
    group: str

    @property
    def settings(self):
        """What a worker needs to be told."""
        return {
            "KAFKA_GROUP_ID": self.group,
            "RAW_EVENTS_TOPIC": self.raw,
            "AUTH_EVENTS_TOPIC": self.auth_events,
            "CONNECTIONS_TOPIC": self.connections,
            "DEAD_LETTERS_TOPIC": self.dead_letters,
        }

    def create(self, bootstrap, partitions=4):
        """On a real broker; a sandbox with --raw-events-topic writes to `raw`."""
        create_topics(bootstrap, [self.raw, self.auth_events, self.dead_letters], partitions)
        create_topics(bootstrap, [self.connections], partitions, {"cleanup.policy": "compact"})


# Those that a sandbox without options makes, and a worker without settings uses.
SANDBOX_EVENT_TOPICS = EventTopics("terra.events.raw", "terra.auth.events", "terra.connections", "terra.dead-letters",
    "terra-connect")


def event_topics():
    """New names; EventTopics.create() makes them."""
    prefix = f"t{uuid.uuid4().hex[:10]}"
    return EventTopics(f"{prefix}.raw", f"{prefix}.auth.events", f"{prefix}.connections", f"{prefix}.dead-letters",
        f"{prefix}-group")


def latest_by_key(records):
    """{key as text: its latest record}, as a compacted topic is read: a key whose latest is a tombstone is left out."""
    latest = {record.key.decode(): record for record in records}
    return {key: record for key, record in latest.items() if record.value is not None}


def create_topics(bootstrap, names, partitions=4, config=None):
    """On a real broker; the mock cluster has no such call. Whoever asks for them afterwards sees them."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": LOG_LEVEL})
    wanted = [NewTopic(name, partitions, 1, config=config or {}) for name in names]
    for done in admin.create_topics(wanted, operation_timeout=30).values():
        done.result(30)
    eventually(lambda: set(names) <= set(admin.list_topics(timeout=15).topics), 30, f"{names} to be seen")


def committed_offsets(bootstrap, group, topic):
    """{partition: offset} of what the group has committed; a partition without a commit is left out."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "log_level": LOG_LEVEL})
    try:
        wanted = [TopicPartition(topic, partition) for partition in _partitions(consumer, topic)]
        return {at.partition: at.offset for at in consumer.committed(wanted, timeout=60) if at.offset >= 0}
    finally:
        consumer.close()


def end_offsets(bootstrap, topic):
    """{partition: offset of the next record}."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "end-offsets", "log_level": LOG_LEVEL})
    try:
        return {partition: _watermarks(consumer, topic, partition)[1] for partition in _partitions(consumer, topic)}
    finally:
        consumer.close()


def read_to_end(bootstrap, topic, timeout=60):
    """Every committed record that the topic holds now; in order within a partition."""
    ended, records = set(), []
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "read-to-end", "enable.auto.commit": False,
        "enable.partition.eof": True, "isolation.level": "read_committed", "fetch.wait.max.ms": 10,
        "log_level": LOG_LEVEL})
    try:
        partitions = _partitions(consumer, topic)
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
        deadline = time.monotonic() + timeout
        while len(ended) < len(partitions):
            if time.monotonic() > deadline:
                raise AssertionError(f"{topic} could not be read within {timeout} s")
            for message in consumer.consume(READ_BATCH, 0.5):
                if message.error() is None:
                    records.append(_record(message))
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    ended.add(message.partition())
    finally:
        consumer.close()
    return records


def _partitions(consumer, topic, timeout=15):
    """A topic that was made a moment ago may not be known yet."""
    deadline = time.monotonic() + timeout
    while True:
        known = consumer.list_topics(topic, timeout=timeout).topics[topic]
        if known.error is None and known.partitions:
            return sorted(known.partitions)
        if time.monotonic() > deadline:
            raise AssertionError(f"topic {topic}: {known.error or 'no partitions'}")
        time.sleep(0.05)


def _watermarks(consumer, topic, partition, timeout=15):
    """Where a partition begins and ends; its leader may still be on its way up."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            return consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=5, cached=False)
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


class TopicWriter:
    """Produces records. A value may be bytes, text, None, or anything else that becomes JSON."""

    def __init__(self, bootstrap, **properties):
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0, "log_level": LOG_LEVEL,
            **{name.replace("_", "."): value for name, value in properties.items()}})

    def meet(self, *topics):
        """Looks existing topics up; else the library takes a second over the first record to each of them."""
        for topic in topics:
            self._producer.list_topics(topic, timeout=15)

    def send(self, topic, value, timeout=30, **where):
        """One record, acknowledged on return: (partition, offset). Takes what post() takes."""
        placed = []
        self.post(topic, value, on_delivery=lambda error, message: placed.append((error, message)), **where)
        self.flush(timeout)
        error, message = placed[0]
        if error is not None:
            raise AssertionError(f"producing to {topic}: {error}")
        return message.partition(), message.offset()

    def post(self, topic, value, key=None, headers=None, partition=None, timestamp_ms=None, on_delivery=None):
        """Hands one record over without waiting; flush() waits for all of them. Headers: dict or list of pairs."""
        if value is not None and not isinstance(value, (bytes, str)):
            value = json.dumps(value)
        given = {"key": key, "partition": partition, "timestamp": timestamp_ms, "on_delivery": on_delivery,
            "headers": list(headers.items()) if isinstance(headers, dict) else headers}
        given = {name: argument for name, argument in given.items() if argument is not None}
        while True:
            try:
                self._producer.produce(topic, value, **given)
                break
            except BufferError:
                self._producer.poll(0.1)
        self._producer.poll(0)

    def flush(self, timeout=60):
        left = self._producer.flush(timeout)
        if left:
            raise AssertionError(f"{left} records were not acknowledged within {timeout} s")


class TopicReader:
    """Reads every partition of a topic in a thread, without a group, and keeps the records.

    from_end: only what is written after the constructor has returned. Partitions added later are not seen.
    """

    def __init__(self, bootstrap, topic, from_end=False, isolation="read_committed", on_record=None):
        self.topic = topic
        self._records = []
        self._changed = threading.Condition()
        self._ending = False
        self._failure = None
        self._on_record = on_record
        self._consumer = Consumer({
            "bootstrap.servers": bootstrap, "group.id": f"reader-{uuid.uuid4().hex}", "enable.auto.commit": False,
            "auto.offset.reset": "earliest", "isolation.level": isolation, "fetch.wait.max.ms": 10,
            "log_level": LOG_LEVEL})
        self._consumer.assign([
            TopicPartition(topic, partition,
                _watermarks(self._consumer, topic, partition)[1] if from_end else OFFSET_BEGINNING)
            for partition in _partitions(self._consumer, topic)])
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        try:
            while not self._ending:
                # A broker that is away for a while is no failure here: the library goes on trying.
                messages = [message for message in self._consumer.consume(READ_BATCH, 0.05) if not message.error()]
                records = [_record(message) for message in messages]
                if self._on_record:
                    for record in records:
                        self._on_record(record)
                if records:
                    with self._changed:
                        self._records.extend(records)
                        self._changed.notify_all()
        except Exception as failure:  # it is raised again where somebody waits
            with self._changed:
                self._failure = failure
                self._changed.notify_all()

    @property
    def records(self):
        with self._changed:
            return list(self._records)

    def wait_for(self, predicate=None, count=1, timeout=20):
        """The records so far that satisfy predicate (default: all), as soon as there are `count` of them."""
        found, seen = [], 0
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                found += [r for r in self._records[seen:] if predicate is None or predicate(r)]
                seen = len(self._records)
                if len(found) >= count:
                    return found
                if self._failure:
                    raise self._failure
                left = deadline - time.monotonic()
                if left <= 0:
                    tail = "\n".join(f"  {r.partition}/{r.offset} {r.value!r:.200}" for r in self._records[-5:])
                    raise AssertionError(f"{self.topic}: {len(found)} of {count} records within {timeout} s; "
                        f"{seen} in all, the last:\n{tail}")
                self._changed.wait(left)

    def wait_for_reference(self, reference_id, count=1, timeout=20):
        """The record (with count > 1: the records) whose value has this reference id."""
        found = self.wait_for(lambda record: record.reference_id == reference_id, count, timeout)
        return found[0] if count == 1 else found

    def close(self):
        self._ending = True
        self._thread.join()
        self._consumer.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _record(message):
    kind, timestamp = message.timestamp()
    return Record(message.topic(), message.partition(), message.offset(),
        None if kind == TIMESTAMP_NOT_AVAILABLE else timestamp,
        message.key(), message.value(), tuple(message.headers() or ()))
