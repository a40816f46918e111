"""The connect flow under test: one terra-sandbox, one redis-server, workers, and readers of all that they write."""

import json
import uuid
from contextlib import ExitStack

from jsonschema import Draft202012Validator

from local_process import eventually

from . import TOP
from .redis_server import RedisServer
from .sandbox import Sandbox
from .topics import TopicReader, TopicWriter, connect_topics
from .worker import Worker

# Nothing waits for a limit or a full fetch unless a test says so.
QUICK = {"TERRA_RATE_LIMIT": "0", "KAFKA_FETCH_WAIT_MAX_MS": 5}


def new_id(prefix="u"):
    """A reference id that no other test has."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def is_link(text):
    """A link of the sandbox, of either kind."""
    return text.startswith("https://widget.sandbox.invalid/")


class ConnectFlow:
    """`with ConnectFlow({"NAME": value}) as flow`: running when entered; all of it ends with the block.

    Leaving fails when a worker ended badly or logged a secret (worker.py), when a reply or an outcome is not what
    its schema says, or when a link stands where it must not.

    sandbox: arguments of terra-sandbox. redis: False for none. workers: how many start at once.
    """

    def __init__(self, settings=None, sandbox=(), redis=True, workers=1, partitions=4):
        self._stack = ExitStack()
        self._settings = settings or {}
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
        self.sandbox = Sandbox(self._sandbox_arguments)
        self._stack.callback(self.sandbox.stop)
        self.redis = self._stack.enter_context(RedisServer()) if self._wants_redis else None
        self.topics = connect_topics()
        self.sandbox.create_topics(self.topics.names, self._partitions)
        self.writer = TopicWriter(self.sandbox.bootstrap, message_max_bytes=4_000_000)
        self.replies = self.read(self.topics.replies)
        self.outcomes = self.read(self.topics.outcomes)
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
        redis = {"REDIS_URL": self.redis.url} if self.redis else {}
        return {**self.sandbox.settings, **self.topics.settings, **redis, **QUICK, **self._settings}

    @property
    def worker(self):
        return self.workers[-1]

    def start_worker(self, **settings):
        worker = Worker({**self.settings, **settings})
        self._stack.callback(worker.stop)
        self.workers.append(worker)
        return worker

    def read(self, topic):
        reader = TopicReader(self.sandbox.bootstrap, topic)
        self._stack.callback(reader.close)
        return reader

    def create_topic(self, suffix, partitions=4):
        """A further reply topic that the allow-list covers; returns its reader."""
        name = f"{self.topics.replies}.{suffix}"
        self.sandbox.create_topic(name, partitions)
        return self.read(name)

    # Requests are known by their place, topic/partition/offset, which every answer carries in its ce_id.

    def send(self, value, **where):
        """One request, acknowledged; returns its place. Takes what TopicWriter.post() takes."""
        partition, offset = self.writer.send(self.topics.requests, value, **where)
        return f"{self.topics.requests}/{partition}/{offset}"

    def send_all(self, values, **where):
        """Many, handed over together; returns their places in that order."""
        placed = {}
        for number, value in enumerate(values):
            self.writer.post(self.topics.requests, value, **where, on_delivery=lambda error, message, number=number:
                placed.__setitem__(number, f"{message.topic()}/{message.partition()}/{message.offset()}"))
        self.writer.flush()
        return [placed[number] for number in range(len(placed))]

    def reply(self, place, reader=None, timeout=20):
        """From the default reply topic, or the one of that reader."""
        return _find(reader or self.replies, f"{place}/connect-reply", timeout)

    def reply_from_any(self, place, reader, timeout=20):
        """From that reader's topic or the default one."""
        return eventually(lambda: next((record for known in (reader, self.replies) for record in known.records
            if record.header("ce_id") == f"{place}/connect-reply".encode()), None), timeout, f"a reply to {place}")

    def outcome(self, place, timeout=20):
        return _find(self.outcomes, f"{place}/connect-outcome", timeout)

    def dead_letter(self, place, timeout=20):
        return _find(self.dead_letters, f"{place}/dead-letter", timeout)

    def answers(self, place):
        """How many replies and dead letters there are by now."""
        ids = [f"{place}/{kind}".encode() for kind in ("connect-reply", "dead-letter")]
        return sum(record.header("ce_id") in ids for reader in (self.replies, self.dead_letters)
            for record in reader.records)

    def ask(self, value, **where):
        """Sends one request and returns the record of its reply."""
        return self.reply(self.send(value, **where))

    def ask_for_link(self, **fields):
        """A request that is answered with a link, as the reply's JSON."""
        reply = self.ask({"reference_id": new_id(), **fields}).json
        assert reply["status"] == "success", reply
        return reply

    def calls_for(self, reference_id):
        return self.sandbox.calls(reference_id=reference_id)

    def _check_records(self):
        links = set()
        for record in self.replies.records:
            reply = check(record, "connect-reply")
            links.update({reply.get("link")} - {None})
        for record in self.outcomes.records:
            check(record, "connect-outcome")
            assert not any(link.encode() in record.value for link in links), f"a link among the outcomes: {record}"
        for worker in self.workers:
            assert not any(link in worker.stderr for link in links), "a link in the log of a worker"


def check(record, schema_name):
    """The record's JSON, held against its schema."""
    value = record.json
    if schema_name not in _validators:
        schema = json.loads((TOP / "schemas" / f"{schema_name}.json").read_text())
        _validators[schema_name] = Draft202012Validator(schema)
    _validators[schema_name].validate(value)
    return value


_validators = {}


def _find(reader, event_id, timeout):
    return reader.wait_for(lambda record: record.header("ce_id") == event_id.encode(), timeout=timeout)[0]
