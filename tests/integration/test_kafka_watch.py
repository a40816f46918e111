"""terra-connect watch and redrive on a real Kafka: times, and what was never committed. The embedded one knows neither."""

import json
import time
from datetime import datetime, timezone

from confluent_kafka import Producer

from support.program import run_program
from support.topics import LOG_LEVEL, read_to_end

OLD_MS = 3_600_000


def settings_of(kafka, topics):
    return {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, **topics.settings}


def watch(kafka, topics, *arguments):
    result = run_program("watch", "--json", "--until-end", *arguments, settings=settings_of(kafka, topics))
    assert (result.returncode, result.stderr) == (0, ""), result
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_since(kafka, topics, writer):
    now_ms = int(time.time() * 1000)
    for partition in range(4):
        for age_ms in (3 * OLD_MS, OLD_MS, 0):
            writer.post(topics.outcomes, {"age": age_ms}, partition=partition, timestamp_ms=now_ms - age_ms)
    writer.flush()
    ages = lambda *arguments: sorted(record["value"]["age"] for record in watch(kafka, topics, *arguments, "outcomes"))
    assert ages("--since", "10m") == [0] * 4
    assert ages("--since", "2h") == [0] * 4 + [OLD_MS] * 4
    instant = datetime.fromtimestamp(now_ms / 1000 - 7200, timezone.utc).isoformat()
    assert ages("--since", instant) == [0] * 4 + [OLD_MS] * 4
    assert len(ages("--since", "beginning")) == 12
    assert ages("--since", "2100-01-01T00:00:00Z") == ages() == []


def test_only_what_was_committed(kafka, topics):
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "log_level": LOG_LEVEL,
        "transactional.id": topics.outcomes})
    producer.init_transactions(30)
    for number, end in enumerate([producer.commit_transaction, producer.abort_transaction, producer.commit_transaction,
                                  producer.abort_transaction]):
        producer.begin_transaction()
        for partition in range(4):
            producer.produce(topics.outcomes, json.dumps({"n": number}), partition=partition)
        producer.flush(30)
        end(30)
    # The log of each partition ends in what was taken back and in the mark that says so.
    assert sorted(record["value"]["n"] for record in watch(kafka, topics, "--since", "beginning", "outcomes")) == \
        [0] * 4 + [2] * 4

    producer.begin_transaction()  # and one that is open does not keep it waiting
    producer.produce(topics.outcomes, "{}", partition=0)
    producer.flush(30)
    assert len(watch(kafka, topics, "--since", "beginning", "outcomes")) == 8
    producer.abort_transaction(30)


def test_redrive_since(kafka, topics, writer):
    now_ms = int(time.time() * 1000)
    for age_ms in (3 * OLD_MS, OLD_MS, 0):
        writer.post(topics.dead_letters, f"{age_ms}", key="k", timestamp_ms=now_ms - age_ms,
            headers={"error-code": "invalid_request", "__dlq.errors.topic": topics.requests})
    writer.flush()
    result = run_program("redrive", "--since", "2h", "--until", "10m", settings=settings_of(kafka, topics))
    assert (result.returncode, result.stderr) == (0, ""), result
    assert "1 put back, 0 failed, 0 skipped" in result.stdout
    record, = read_to_end(kafka.bootstrap, topics.requests)
    assert (record.key, record.value) == (b"k", f"{OLD_MS}".encode())
