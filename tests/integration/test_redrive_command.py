"""terra-connect redrive: the real command over the embedded Kafka."""

import json
import signal
import subprocess
import time

import pytest

from local_process import spawn
from support.connect import ConnectFlow
from support.program import binary, check_sanitizers, program_environment, run_program
from support.sandbox import Sandbox
from support.topics import TopicWriter, connect_topics, read_to_end

OK, FAILED, USAGE, CONFIG = 0, 1, 2, 78


@pytest.fixture(scope="module")
def sandbox():
    sandbox = Sandbox()
    yield sandbox
    sandbox.stop()


@pytest.fixture(scope="module")
def writer(sandbox):
    return TopicWriter(sandbox.bootstrap)


class Letters:
    """A letters topic of its own, and the topics that letters may go back to."""

    def __init__(self, sandbox, writer):
        self.bootstrap = sandbox.bootstrap
        self.topics = connect_topics()
        prefix = self.topics.requests.split(".")[0]
        self.raw, self.events = f"{prefix}.raw", f"{prefix}.events"
        sandbox.create_topics([*self.topics.names, self.raw], 2)
        self.settings = {"KAFKA_BOOTSTRAP_SERVERS": sandbox.bootstrap, "KAFKA_FETCH_WAIT_MAX_MS": 10,
            **self.topics.settings, "RAW_EVENTS_TOPIC": self.raw, "AUTH_EVENTS_TOPIC": self.events}
        self._writer = writer
        writer.meet(self.topics.dead_letters)

    def write(self, value, code="invalid_request", key=None, source=None, **headers):
        """As a worker does it; header names with _ for -, and `original` for headers of the record."""
        original = headers.pop("original", [])
        known = {"__dlq.errors.topic": source or self.topics.requests, "error-code": code, "ce_id": "ours",
            **{name.replace("_", "-"): text for name, text in headers.items()}}
        self._writer.post(self.topics.dead_letters, value, key=key, partition=0, headers=
            [*((name, text) for name, text in known.items() if text is not None),
             *((f"__dlq.header.{name}", text) for name, text in original)])

    def redrive(self, *arguments):
        self._writer.flush()
        return run_program("redrive", *arguments, settings=self.settings)

    def redrive_json(self, *arguments):
        """The lines about letters, and the summary."""
        result = self.redrive("--json", *arguments)
        *lines, summary = (json.loads(line) for line in result.stdout.splitlines())
        assert summary["result"] == "summary"
        return result, lines, summary

    def put_back(self, topic=None):
        return read_to_end(self.bootstrap, topic or self.topics.requests)


@pytest.fixture
def letters(sandbox, writer):
    return Letters(sandbox, writer)


def test_a_letter_goes_back_as_it_came(letters):
    letters.write(b'{"broken', key="u1", original=[
        ("reply-to", b"r"), ("kafka_replyPartition", b"\0\0\0\3"), ("reply-to", b"again"), ("null", None),
        ("ce_id", b"theirs"), ("redriven-from", b"an earlier one")])
    result = letters.redrive()
    assert (result.returncode, result.stderr) == (OK, "")
    letter = f"{letters.topics.dead_letters}/0/0"
    assert f" {letter} invalid_request -> {letters.topics.requests} key=u1 (8 bytes): put back\n" in result.stdout
    assert "1 put back, 0 failed, 0 skipped\n  invalid_request: 1 put back\n" in result.stdout
    assert "--since 20" in result.stdout.splitlines()[-1]
    record, = letters.put_back()
    assert (record.key, record.value) == (b"u1", b'{"broken')
    assert record.headers == (("reply-to", b"r"), ("kafka_replyPartition", b"\0\0\0\3"), ("reply-to", b"again"),
        ("null", None), ("ce_id", b"theirs"), ("redriven-from", letter.encode()))


def test_without_key_value_and_headers(letters):
    letters.write(None)
    assert letters.redrive().returncode == OK
    record, = letters.put_back()
    assert (record.key, record.value, [name for name, _ in record.headers]) == (None, None, ["redriven-from"])


def test_what_stays_and_why(letters):
    letters.write(b"large", payload_size="2000000", payload_sha256="0" * 64)
    letters.write(b"foreign", source="somebody.elses")
    letters.write(b"ours, but not to be written to", source=letters.topics.replies)
    letters.write(b"no source", **{"code": None})
    letters.write(b"pointer", code="payload_expired", source=letters.raw)
    letters.write(b"event", code="payload_expired", source=letters.raw, payload_source="fetched")
    result, lines, summary = letters.redrive_json()
    assert (result.returncode, result.stderr) == (OK, "")
    assert [(line["result"], line["topic"], line["letter"][-4:]) for line in lines] == [("put_back", letters.raw, "/0/5")]
    assert (summary["put_back"], summary["failed"], summary["skipped"], summary["complete"]) == (1, 0, 5, True)
    skipped = {code["code"]: {why: count for why, count in code["skipped"].items() if count} for code in summary["codes"]}
    assert skipped == {"invalid_request": {"without_value": 1, "foreign_topic": 2}, "(none)": {"unreadable": 1},
        "payload_expired": {"expired": 1}}
    assert [record.value for record in letters.put_back(letters.raw)] == [b"event"]
    assert letters.put_back() == []

    result = letters.redrive("--expired", "--code", "payload_expired")
    assert "payload_expired: 2 put back\n" in result.stdout


def test_which_letters(letters):
    for number in range(3):
        letters.write(f"{number}", key="u1")
        letters.write(f"{number}", key="u2", code="internal_error")
    letters.write("raw", key="u1", code="other", source=letters.raw)
    cases = [([], 7), (["--code", "internal_error"], 3), (["--code", "internal_error", "--code", "other"], 4),
        (["--key", "u1"], 4), (["--key", "u1", "--code", "invalid_request"], 3), (["--topic", letters.raw], 1),
        (["--limit", "2"], 2), (["--limit", "2", "--key", "u2"], 2), (["--code", "none"], 0),
        (["--until", "1h"], 0), (["--until", "2100-01-01T00:00:00Z"], 7)]
    for arguments, count in cases:
        result, lines, summary = letters.redrive_json("--dry-run", *arguments)
        assert result.returncode == OK
        assert (len(lines), summary["put_back"]) == (count, count), arguments
        assert summary["complete"] == ("--limit" not in arguments)
        assert {line["result"] for line in lines} <= {"would_be_put_back"}
    assert letters.put_back() == [] and letters.put_back(letters.raw) == []


def test_a_dry_run_for_people(letters):
    letters.write("x", key="\x1b[2J u1", original=[("a", b"b")], **{"code": "a_code"})
    result = letters.redrive("--dry-run")
    assert ' a_code -> ' in result.stdout and 'key="?[2J u1" (1 bytes): would be put back\n' in result.stdout
    assert result.stdout.endswith("1 would be put back, 0 failed, 0 skipped\n  a_code: 1 would be put back\n"
        "Nothing was done.\n")


def test_more_than_are_in_flight_at_once(letters):
    for number in range(300):
        letters.write(f"{number}")
    result, lines, summary = letters.redrive_json("--rate", "0")
    assert result.returncode == OK and len(lines) == summary["put_back"] == 300
    assert sorted(int(record.value) for record in letters.put_back()) == list(range(300))


def test_the_rate_is_kept(letters):
    for number in range(30):
        letters.write(f"{number}")
    began = time.monotonic()
    assert letters.redrive("--rate", "20/s").returncode == OK
    took = time.monotonic() - began
    assert 29 / 20 - 0.1 < took < 15
    assert len(letters.put_back()) == 30


def test_it_stops_where_kafka_does_not_take_a_record(letters):
    letters.write("1")
    letters.write("2", source=letters.events)  # which nobody has made
    for _ in range(20):
        letters.write("3")
    result, lines, summary = letters.redrive_json("--rate", "1/s")
    assert result.returncode == FAILED
    assert "stopped, since Kafka did not take a record" in result.stderr
    assert summary["failed"] == 1 and not summary["complete"]
    failed, = (line for line in lines if line["result"] == "failed")
    assert failed["topic"] == letters.events and failed["reason"]
    assert 1 <= summary["put_back"] < 10 and len(letters.put_back()) == summary["put_back"]


def test_interrupted(letters):
    for _ in range(50):
        letters.write("1")
    letters._writer.flush()
    process = spawn([binary("terra-connect"), "redrive", "--rate", "2/s"], env=program_environment(letters.settings),
        text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert "put back" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    check_sanitizers("the command", process.returncode, stderr)
    assert process.returncode == FAILED and "interrupted" in stderr
    assert "put back, 0 failed" in stdout and "Not all letters were looked at." in stdout


def test_what_a_worker_could_not_read():
    """From the worker's letter to the next one."""
    with ConnectFlow(redis=False) as flow:
        place = flow.send(b"garbage", key="k", headers={"traceparent": "t1", "x-mine": "1"})
        letter = flow.dead_letter(place)
        assert letter.header("__dlq.header.x-mine") == b"1"
        reader = flow.read(flow.topics.requests)
        result = run_program("redrive", "--code", "invalid_request",
            settings={name: value for name, value in flow.settings.items() if not name.startswith("TERRA_")})
        assert result.returncode == OK, result
        again = reader.wait_for(lambda record: record.header("redriven-from"))[0]
        assert (again.key, again.value, again.header("x-mine")) == (b"k", b"garbage", b"1")
        second = flow.dead_letter(f"{again.topic}/{again.partition}/{again.offset}")
        assert second.header("__dlq.header.redriven-from") == again.header("redriven-from")


def test_no_letters_and_no_topic(letters):
    result, lines, summary = letters.redrive_json()
    assert (result.returncode, result.stderr, lines, summary["codes"]) == (OK, "", [], [])
    letters.settings["DEAD_LETTERS_TOPIC"] = "nobody.made.it"
    result = letters.redrive()
    assert (result.returncode, result.stdout) == (FAILED, "") and "nobody.made.it does not exist" in result.stderr


def test_settings_that_cannot_be_used(letters):
    assert run_program("redrive", settings={}).returncode == CONFIG
    for wrong in [{"KAFKA_ENABLE_PARTITION_EOF": "false"}, {"KAFKA_DELIVERY_REPORT_ONLY_ERROR": "true"}]:
        letters.settings.update(wrong)
        result = letters.redrive()
        assert (result.returncode, result.stdout) == (CONFIG, ""), result
        assert "cannot be used" in result.stderr


@pytest.mark.parametrize("arguments", [
    ["all"], ["--code"], ["--since", "beginning"], ["--until", "soon"], ["--limit", "0"], ["--rate", "fast"],
    ["--rate", "0/s"], ["--dry-run=1"], ["-n"], ["--code", "x"] * 33])
def test_wrong_usage(arguments):
    result = run_program("redrive", *arguments, settings={})
    assert (result.returncode, result.stdout) == (USAGE, "")
    assert result.stderr.startswith("terra-connect redrive: ") and "--help" in result.stderr


def test_help_names_the_exit_codes():
    result = run_program("redrive", "--help", settings={})
    assert (result.returncode, result.stderr) == (OK, "")
    for code in (OK, FAILED, USAGE, CONFIG):
        assert f"\n  {code:2}  " in result.stdout
