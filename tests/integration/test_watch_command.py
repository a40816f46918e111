"""terra-connect watch: the real command over the embedded Kafka."""

import array
import fcntl
import json
import signal
import subprocess
import termios
import time

import pytest

from local_process import eventually, spawn
from support.program import binary, check_sanitizers, program_environment, run_program
from support.sandbox import Sandbox
from support.topics import TopicWriter, connect_topics

OK, FAILED, USAGE, CONFIG = 0, 1, 2, 78
LINK = "https://widget.example.org/session/1f0c"


@pytest.fixture(scope="module")
def sandbox():
    sandbox = Sandbox()
    yield sandbox
    sandbox.stop()


@pytest.fixture
def topics(sandbox):
    topics = connect_topics()
    sandbox.create_topics(topics.names, 2)
    return topics


@pytest.fixture
def writer(sandbox, topics):
    writer = TopicWriter(sandbox.bootstrap)
    writer.meet(*topics.names)
    return writer


@pytest.fixture
def settings(sandbox, topics):
    """The events' topics do not exist."""
    prefix = topics.requests.split(".")[0]
    return {"KAFKA_BOOTSTRAP_SERVERS": sandbox.bootstrap, "KAFKA_FETCH_WAIT_MAX_MS": 10, **topics.settings,
        "RAW_EVENTS_TOPIC": f"{prefix}.raw", "AUTH_EVENTS_TOPIC": f"{prefix}.events",
        "CONNECTIONS_TOPIC": f"{prefix}.connections"}


def watch(settings, *arguments):
    return run_program("watch", *arguments, settings=settings)


def watch_all(settings, *arguments):
    """Everything that is there, as (topic's short name, line)."""
    result = watch(settings, "--since", "beginning", "--until-end", *arguments)
    assert result.returncode == OK, result.stderr
    return sorted((line.split()[1], line) for line in result.stdout.splitlines())


class Watching:
    """The command while it follows."""

    def __init__(self, settings, *arguments, stdout=subprocess.PIPE):
        self.process = spawn([binary("terra-connect"), "watch", *arguments], env=program_environment(settings),
            text=True, bufsize=1, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE)
        self.said = []
        while not self.said or "reading" not in self.said[-1]:
            line = self.process.stderr.readline()
            assert line, self.said
            self.said.append(line)

    def hear(self):
        return self.process.stdout.readline()

    def end(self, number=None):
        """Its exit code, and what else it said."""
        if number:
            self.process.send_signal(number)
        code = self.process.wait(30)
        stderr = self.process.stderr.read()
        for stream in (self.process.stdout, self.process.stderr):
            if stream and not stream.closed:
                stream.close()
        check_sanitizers("the command", code, stderr)
        return code, stderr


def test_a_line_for_each_record_of_every_topic(settings, topics, writer):
    writer.post(topics.requests, {"reference_id": "u1", "provider": "OURA"}, key="u1", partition=0)
    writer.post(topics.replies, {"status": "success", "request_id": "r1", "reference_id": "u1", "link": LINK,
        "url": LINK}, key="u1", partition=1)
    writer.post(topics.outcomes, {"status": "error", "reference_id": "u1", "error": {"code": "rate_limited"}}, key="u1")
    writer.post(topics.dead_letters, b'{"link": "' + LINK.encode(), partition=1, headers={
        "error-code": "invalid_request", "__dlq.errors.topic": topics.requests, "__dlq.errors.partition": "0",
        "__dlq.errors.offset": "7"})
    writer.flush()
    result = watch(settings, "--since", "beginning", "--until-end")
    assert result.returncode == OK
    assert result.stderr.count("does not exist; left out") == 3
    lines = sorted((line.split()[1], line) for line in result.stdout.splitlines())
    assert [name for name, _ in lines] == ["dead-letters", "outcomes", "replies", "requests"]
    letter, outcome, reply, request = (line for _, line in lines)
    assert letter.endswith(f" 1/0 - error-code=invalid_request from={topics.requests}/0/7 (49 bytes, no JSON)")
    assert outcome.endswith(" u1 status=error error.code=rate_limited")
    assert reply.endswith(" replies 1/0 u1 status=success request_id=r1 link=https://widget.example.org/***")
    assert request.endswith(" requests 0/0 u1 provider=OURA")
    assert request.startswith("20") and request.split()[0].endswith("Z")


def test_json(settings, topics, writer):
    writer.send(topics.replies, {"status": "success", "link": LINK, "auth_url": f"{LINK}?a=b", "x": [1, {"token": "t"}]},
        key="u1", headers=[("correlation-id", b"c1"), ("kafka_replyPartition", b"\0\0\0\3"), ("empty", None)])
    writer.send(topics.replies, f"see {LINK}", partition=0)
    writer.send(topics.replies, b"\xff\xfe", partition=0)
    writer.send(topics.replies, None, key="gone")
    result = watch(settings, "--json", "--since", "beginning", "--until-end", "replies")
    assert (result.returncode, result.stderr) == (OK, "")
    assert LINK not in result.stdout
    records = [json.loads(line) for line in result.stdout.splitlines()]
    by_key = {record["key"]: record for record in records if record["key"]}
    reply = by_key["u1"]
    assert set(reply) == {"topic", "name", "partition", "offset", "timestamp", "key", "headers", "value", "value_size"}
    assert (reply["topic"], reply["name"]) == (topics.replies, "replies")
    assert reply["headers"] == {"correlation-id": "c1", "kafka_replyPartition": "0x00000003", "empty": None}
    masked = "https://widget.example.org/***"
    assert reply["value"] == {"status": "success", "link": masked, "auth_url": masked, "x": [1, {"token": "***"}]}
    assert (by_key["gone"]["value"], by_key["gone"]["value_size"]) == (None, None)
    text, raw = (record for record in sorted(records, key=lambda r: r["offset"]) if record["key"] is None)
    assert (text["value"], text["value_text"]) == (None, f"see {masked}")
    assert (raw["value"], raw["value_base64"]) == (None, "//4=")


def test_only_who_is_asked_for_and_no_more_than_asked_for(settings, topics, writer):
    for number in range(3):
        writer.send(topics.outcomes, {"reference_id": "u1", "n": number}, partition=0)
        writer.send(topics.outcomes, {"reference_id": "u2"}, key="u2", partition=0)
    writer.send(topics.outcomes, b"x", key="u1", partition=1)
    assert len(watch_all(settings, "--reference-id", "u1", "outcomes")) == 4
    assert len(watch_all(settings, "outcomes")) == 7
    result = watch(settings, "--since", "beginning", "--limit", "2", "--reference-id", "u2", "outcomes")
    assert result.returncode == OK and result.stdout.count(" u2") == 2 and result.stdout.count("\n") == 2


def test_follows_from_now_on_and_a_topic_that_is_made_later(settings, topics, writer, sandbox):
    writer.send(topics.requests, {"reference_id": "before"})
    watching = Watching(settings, "requests", "events")
    assert any("does not exist; it is read as soon as it can be" in line for line in watching.said)
    assert "reading 1 topics" in watching.said[-1]
    writer.send(topics.requests, {"reference_id": "after"})
    assert "reference_id=after" in watching.hear()
    sandbox.create_topic(settings["AUTH_EVENTS_TOPIC"], 1)
    writer.send(settings["AUTH_EVENTS_TOPIC"], {"kind": "connected", "user_id": "i1"}, key="u1")
    assert watching.hear().endswith("events 0/0 u1 kind=connected user_id=i1\n")
    assert watching.end(signal.SIGTERM) == (OK, "")


def test_nobody_reads_the_output_any_more(settings, topics, writer):
    watching = Watching(settings, "requests")
    watching.process.stdout.close()
    assert watching.end() == (OK, "")  # though nothing was written

    watching = Watching(settings, "--since", "beginning", "requests")
    watching.process.stdout.close()
    writer.send(topics.requests, {"reference_id": "u1"})
    assert watching.end() == (OK, "")


def test_a_slow_reader_is_waited_for(settings, topics, writer, sandbox):
    """There is more than the command could keep if it read on (LINE_WRITER_LINE_BYTES_MAX, where it would end)."""
    topic = f"{topics.requests}.large"
    sandbox.create_topic(topic, 8)
    writer.meet(topic)
    for number in range(8 * 50):
        writer.post(topic, {"n": number, "message": "x" * 95_000}, partition=number % 8)
    writer.flush()
    watching = Watching({**settings, "CONNECT_REQUESTS_TOPIC": topic}, "--json", "--since", "beginning", "requests")
    readable = watching.process.stdout.fileno()
    eventually(lambda: _unread(readable) > 60_000, message="the pipe is full")
    eventually(lambda: _is_idle(watching.process.pid), message="the command waits")
    numbers = {json.loads(watching.hear())["value"]["n"] for _ in range(8 * 50)}
    assert numbers == set(range(8 * 50))
    assert watching.end(signal.SIGTERM) == (OK, "")


def test_ctrl_c_while_nobody_reads(settings, topics, writer):
    for number in range(20):
        writer.post(topics.requests, {"message": "x" * 20_000}, partition=number % 2)
    writer.flush()
    watching = Watching(settings, "--json", "--since", "beginning", "requests")
    eventually(lambda: _unread(watching.process.stdout.fileno()) > 60_000, message="the pipe is full")
    assert watching.end(signal.SIGINT) == (OK, "")


def _is_idle(pid):
    """It took no processor time for a moment."""
    def ticks():
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[11:13]
    before = ticks()
    time.sleep(0.2)
    return ticks() == before


def _unread(descriptor):
    count = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return count[0]


def test_output_that_cannot_be_written(settings, topics, writer):
    writer.send(topics.requests, {"reference_id": "u1"})
    with open("/dev/full", "w", encoding="utf-8") as full:
        watching = Watching(settings, "--since", "beginning", "requests", stdout=full)
        code, stderr = watching.end()
    assert code == FAILED and "standard output cannot be written: No space left" in stderr


def test_no_topic_at_all(settings):
    result = watch(settings, "--until-end", "raw", "events")
    assert (result.returncode, result.stdout) == (FAILED, "")
    assert result.stderr.count("does not exist; left out") == 2


def test_kafka_out_of_reach_and_settings_that_cannot_be_used(settings):
    assert watch({}).returncode == CONFIG
    result = watch({**settings, "KAFKA_ENABLE_PARTITION_EOF": "false"})
    assert result.returncode == CONFIG and "cannot be used" in result.stderr
    result = watch({**settings, "CONNECT_OUTCOMES_TOPIC": ""}, "outcomes")
    assert result.returncode == CONFIG and "name no such topic" in result.stderr


@pytest.mark.parametrize("arguments", [
    ["reply"], ["requests", "-"], ["--since"], ["--since", "yesterday"], ["--since", "10"], ["--limit", "0"],
    ["--limit", "-1"], ["--limit", "1x"], ["--json=1"], ["-x"], ["--nonsense"]])
def test_wrong_usage(arguments):
    result = watch({}, *arguments)
    assert (result.returncode, result.stdout) == (USAGE, "")
    assert result.stderr.startswith("terra-connect watch: ") and "--help" in result.stderr


def test_help_names_the_exit_codes():
    result = watch({}, "--help")
    assert (result.returncode, result.stderr) == (OK, "")
    for code in (OK, FAILED, USAGE, CONFIG):
        assert f"\n  {code:2}  " in result.stdout
