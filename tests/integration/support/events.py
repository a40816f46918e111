"""The event flows under test: one terra-sandbox that is Terra's destination too, one redis-server, workers, and readers
of all that they write."""

import json
from contextlib import ExitStack

from local_process import eventually

from .connect import QUICK, check
from .redis_server import RedisServer
from .sandbox import Sandbox
from .topics import TopicReader, TopicWriter, event_topics
from .worker import Worker


class EventFlows:
    """`with EventFlows({"NAME": value}) as flows`: running when entered; all of it ends with the block.

    Leaving fails when a worker ended badly or logged a secret, or when a record is not what its schema says.

    flow: what each worker runs. redis: False for none. workers: how many start at once.
    """

    def __init__(self, settings=None, flow="all", sandbox=(), redis=True, workers=1, partitions=4):
        self._stack = ExitStack()
        self._settings = settings or {}
        self._flow = flow
        self._sandbox_arguments = sandbox
        self._wants_redis = redis
        self._workers_wanted = workers
        self._partitions = partitions
        self.workers = []

    def __enter__(self):
        with self._stack:
            self._start()
            self._stack = self._stack.pop_all()
        return self

    def _start(self):
        self.topics = event_topics()
        self.sandbox = Sandbox(("--raw-events-topic", self.topics.raw, *self._sandbox_arguments))
        self._stack.callback(self.sandbox.stop)
        self.redis = self._stack.enter_context(RedisServer()) if self._wants_redis else None
        self.sandbox.create_topics(
            [self.topics.raw, self.topics.auth_events, self.topics.connections, self.topics.dead_letters], self._partitions)
        self.writer = TopicWriter(self.sandbox.bootstrap, message_max_bytes=12_000_000)
        self.raw = self.read(self.topics.raw)
        self.events = self.read(self.topics.auth_events)
        self.connections = self.read(self.topics.connections)
        self.dead_letters = self.read(self.topics.dead_letters)
        for _ in range(self._workers_wanted):
            self.start_worker()

    def __exit__(self, *failure):
        try:
            self._stack.__exit__(*failure)
        finally:
            self._check_records()

    @property
    def settings(self):
        """What each worker is told, unless start_worker says otherwise."""
        return {**QUICK, **self.sandbox.settings, **self.sandbox.payload_settings, **self.topics.settings,
            "REDIS_URL": self.redis.url if self.redis else None, **self._settings}

    def start_worker(self, **settings):
        self.workers.append(Worker({**self.settings, **settings}, self._flow))
        self._stack.callback(self.workers[-1].stop)
        return self.workers[-1]

    @property
    def worker(self):
        return self.workers[0]

    def read(self, topic, **options):
        reader = TopicReader(self.sandbox.bootstrap, topic, **options)
        self._stack.callback(reader.close)
        return reader

    # Records go by their place, topic/partition/offset, which every output carries in its ce_id.

    def send_raw(self, value, **where):
        """One record on the raw topic, acknowledged; returns its place."""
        return self._send(self.topics.raw, value, **where)

    def send_event(self, value, **where):
        """One record on the auth events topic, as if the events flow had written it."""
        return self._send(self.topics.auth_events, value, **where)

    def _send(self, topic, value, **where):
        partition, offset = self.writer.send(topic, value, **where)
        return f"{topic}/{partition}/{offset}"

    def event(self, place, timeout=20):
        """The record that the raw record of that place became."""
        return _find(self.events, f"{place}/auth-event", timeout)

    def events_of(self, reference_id, count=1, timeout=20):
        """The events of that reference as JSON, as soon as there are `count`."""
        found = self.events.wait_for(lambda record: record.reference_id == reference_id, count, timeout)
        return [record.json for record in found]

    def dead_letter(self, place, timeout=20):
        return _find(self.dead_letters, f"{place}/dead-letter", timeout)

    def connection(self, user_id):
        """The latest state of the connection: its JSON; None for a tombstone, KeyError without any record."""
        found = [record for record in self.connections.records if record.key == user_id.encode()]
        if not found:
            raise KeyError(user_id)
        return found[-1].json if found[-1].value is not None else None

    def wait_for_connection(self, user_id, wanted, timeout=20):
        """Until wanted(connection(user_id)) is true; gives it back."""
        found = []

        def reached():
            try:
                found[:] = [self.connection(user_id)]
            except KeyError:
                return False
            return wanted(found[0])

        eventually(reached, timeout, lambda: f"the connection of {user_id}, which is {found}")
        return found[0]

    def _check_records(self):
        urls = {json.loads(record.value).get("url") for record in self.raw.records if record.value
            and record.value.startswith(b'{"type":"s3_payload"')} - {None}
        for record in self.events.records:
            if record.header("ce_id"):  # not a test's own
                check(record, "auth-event")
        for record in self.connections.records:
            if record.value is not None:
                check(record, "connection-state")
        for worker in self.workers:
            assert not any(url in worker.stderr for url in urls), "a pointer's URL in the log of a worker"
        for record in [*self.events.records, *self.connections.records]:
            for _, value in record.headers:
                assert not any(url.encode() in (value or b"") for url in urls), f"a pointer's URL in {record}"


def _find(reader, event_id, timeout):
    return reader.wait_for(lambda record: record.header("ce_id") == event_id.encode(), timeout=timeout)[0]
