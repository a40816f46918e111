"""Transactions on a real Kafka, step by step: intake and transactor in carry_over, which copies a topic onto another.

What no mock cluster shows: that readers see a batch and its offsets together or not at all, and who is refused.
"""

import os
import queue
import signal
import subprocess
import threading
import uuid

import pytest

from local_process import spawn
from support.program import SANITIZER_EXIT_CODE, binary, check_sanitizers, program_environment
from support.topics import committed_offsets, create_topics, read_to_end

ANSWER_TIMEOUT = 30
LARGE = 30_000
# A transaction with a record for a topic that is not there stays open for so long.
HOLD_OPEN = {"topic.metadata.propagation.max.ms": "60000", "message.timeout.ms": "10000"}


class Carrier:
    """A carry_over process: tell() a command, then take its answer()."""

    def __init__(self, lane, transactional_id=None, properties=None):
        properties = {"session.timeout.ms": "6000", "fetch.wait.max.ms": "10", **(properties or {})}
        self._process = spawn(
            [binary("carry_over"), lane.bootstrap, lane.group, lane.source, lane.target,
             transactional_id or f"{lane.group}-{uuid.uuid4().hex[:8]}",
             *(part for pair in properties.items() for part in pair)],
            env=program_environment({"LOG_FORMAT": "json"}), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._answers = queue.Queue()
        self.log = []
        self._threads = [threading.Thread(target=self._read, args=arguments, daemon=True) for arguments in (
            (self._process.stdout, self._answers.put), (self._process.stderr, self.log.append))]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _read(stream, keep):
        for line in stream:
            keep(line.rstrip("\n"))

    def tell(self, command):
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

    def answer(self):
        try:
            return self._answers.get(timeout=ANSWER_TIMEOUT)
        except queue.Empty:
            raise AssertionError("carry_over does not answer:\n" + "\n".join(self.log[-20:])) from None

    def ask(self, command):
        self.tell(command)
        return self.answer()

    def begin(self, count):
        """A commit of so many records, when they have come."""
        assert self.ask(f"begin {count}") == "begun"

    def signal(self, number):
        os.kill(self._process.pid, number)

    def kill(self):
        self._process.kill()
        self._process.wait()

    def end(self):
        """Its input ends, and so does it; what a sanitizer has to say counts."""
        if self._process.returncode == -signal.SIGKILL:
            return
        self._process.stdin.close()
        try:
            code = self._process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("carry_over does not end:\n" + "\n".join(self.log[-20:])) from None
        for thread in self._threads:
            thread.join()
        check_sanitizers("carry_over", code if code == SANITIZER_EXIT_CODE else 0, "\n".join(self.log))
        assert code == 0, self.log[-20:]


class Lane:
    """A source topic of one partition, so that it has one owner, a target, and nowhere, which is not there."""

    def __init__(self, bootstrap, writer):
        name = f"t{uuid.uuid4().hex[:10]}"
        self.bootstrap, self.group = bootstrap, f"{name}-group"
        self.source, self.target, self.nowhere = f"{name}.source", f"{name}.target", f"{name}.nowhere"
        self._writer = writer
        create_topics(bootstrap, [self.source], partitions=1)
        create_topics(bootstrap, [self.target], partitions=1, config={"max.message.bytes": str(LARGE // 2)})

    def send(self, *values):
        """In one batch, so that a reader has all of them at once."""
        for value in values:
            self._writer.post(self.source, value, key="k")
        self._writer.flush()

    def carried(self):
        return [record.value.decode() for record in read_to_end(self.bootstrap, self.target)]

    def committed(self):
        return committed_offsets(self.bootstrap, self.group, self.source).get(0)


@pytest.fixture
def make_lane(kafka, writer):
    return lambda: Lane(kafka.bootstrap, writer)


@pytest.fixture
def lane(make_lane):
    return make_lane()


@pytest.fixture
def start_carrier():
    started = []

    def start(*arguments, **options):
        started.append(Carrier(*arguments, **options))
        return started[-1]

    yield start
    for carrier in started:
        carrier.end()


def hold_open(carrier, lane, read_topic, count):
    """A transaction whose records the broker has, and which goes on until it is ended otherwise."""
    carrier.tell(f"run {lane.nowhere}")
    read_topic(lane.bootstrap, lane.target, isolation="read_uncommitted").wait_for(count=count)


def test_a_batch_and_its_offsets_are_seen_together(lane, start_carrier):
    values = [f"v{number}" for number in range(20)]
    lane.send(*values)
    carrier = start_carrier(lane)
    carrier.begin(20)
    assert lane.committed() is None
    assert carrier.ask("run") == "ended committed 20"
    assert lane.carried() == values
    assert lane.committed() == 20
    assert carrier.ask("begin 0") == "nothing"

    lane.send("v20")
    carrier.begin(1)
    assert carrier.ask("run") == "ended committed 1"
    assert lane.carried() == [*values, "v20"]
    assert lane.committed() == 21


def test_an_aborted_batch_is_seen_by_nobody_and_can_be_run_again(lane, start_carrier, read_topic):
    lane.send("a", "b", "c")
    carrier = start_carrier(lane, properties=HOLD_OPEN)
    carrier.begin(3)
    hold_open(carrier, lane, read_topic, 3)
    assert carrier.ask("cancel") == "ended aborted 4"
    assert lane.carried() == []
    assert lane.committed() is None

    carrier.begin(3)
    assert carrier.ask("run") == "ended committed 3"
    assert lane.carried() == ["a", "b", "c"]
    assert lane.committed() == 3


def test_what_the_broker_refuses_is_named(lane, start_carrier):
    lane.send("small", "x" * LARGE, "small too")
    carrier = start_carrier(lane)
    carrier.begin(3)
    assert carrier.ask("run") == "ended too_large_record 1"
    assert carrier.ask("replace") == "replacing"
    # The library has left a gap in its sequence numbers, and aborts once more before it closes it.
    carrier.begin(3)
    assert carrier.ask(f"run {lane.nowhere}") == "ended aborted 4"
    carrier.begin(3)
    assert carrier.ask(f"run {lane.nowhere}") == "ended no_such_topic 3"
    assert lane.committed() is None

    create_topics(lane.bootstrap, [lane.nowhere])
    carrier.begin(3)
    assert carrier.ask(f"run {lane.nowhere}") == "ended committed 4"
    assert lane.carried() == ["small", "replaced", "small too"]
    assert lane.committed() == 3


def test_a_worker_that_slept_through_a_rebalance_adds_nothing(lane, start_carrier):
    """It began its batch before; its metadata tells the broker so."""
    lane.send("a", "b", "c")
    sleeper = start_carrier(lane)
    sleeper.begin(3)
    sleeper.signal(signal.SIGSTOP)
    successor = start_carrier(lane)
    successor.begin(3)
    assert successor.ask("run") == "ended committed 3"
    sleeper.signal(signal.SIGCONT)
    assert sleeper.ask("run") == "ended aborted 3"
    assert lane.carried() == ["a", "b", "c"]
    assert lane.committed() == 3


def test_the_former_owner_of_a_transactional_id_is_fenced(lane, make_lane, start_carrier, read_topic):
    lane.send("a", "b")
    former = start_carrier(lane, "shared", HOLD_OPEN)
    former.begin(2)
    hold_open(former, lane, read_topic, 2)
    other = make_lane()
    other.send("c")
    present = start_carrier(other, "shared")
    present.begin(1)
    assert present.ask("run") == "ended committed 1"
    former.tell("cancel")
    assert {former.answer(), former.answer()} == {"fatal", "ended fatal 3"}
    assert former.ask("begin 2") == "begun"
    assert former.ask("run") == "ended fatal 2"
    assert lane.carried() == []
    assert lane.committed() is None


def test_a_worker_that_is_killed_in_a_transaction_leaves_nothing(lane, start_carrier, read_topic):
    """Its successor, under the same id, ends what it left open, and readers do not wait for the broker's timeout."""
    lane.send("a", "b", "c")
    static = {"group.instance.id": "one"}  # so that the successor need not wait for the session's end
    killed = start_carrier(lane, lane.group, {**HOLD_OPEN, **static})
    killed.begin(3)
    hold_open(killed, lane, read_topic, 3)
    killed.kill()
    assert lane.carried() == []
    successor = start_carrier(lane, lane.group, static)
    successor.begin(3)
    assert successor.ask("run") == "ended committed 3"
    assert lane.carried() == ["a", "b", "c"]
    assert lane.committed() == 3
