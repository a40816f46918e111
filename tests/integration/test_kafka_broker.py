"""What an operator can do wrong with a real Kafka, and what becomes of a broker: the worker says so, and goes on."""

import time
from dataclasses import replace

import pytest
from confluent_kafka.admin import AdminClient

from support.connect_ledger import BROKER_TIME, Ledger
from support.fleet import Fleet
from support.guarded_kafka import login, plain_users
from support.topics import LOG_LEVEL, TopicReader, TopicWriter, create_topics

RATE = 300
WORD = "open sesame"


def says(text, **fields):
    """A log line of which the message, or one of the given fields, holds the text."""
    def matches(line):
        return text in line.get("message", "") and all(wanted in str(line.get(name)) for name, wanted in fields.items())

    return matches


def topic_names(bootstrap):
    return set(AdminClient({"bootstrap.servers": bootstrap, "log_level": LOG_LEVEL}).list_topics(timeout=15).topics)


def test_a_broker_that_comes_up_later(make_fleet, kafka):
    fleet = make_fleet()
    kafka.stop()
    worker = fleet.launch()
    line = worker.wait_for_log(says("no Kafka broker can be reached"))
    assert line["level"] == "error" and kafka.bootstrap in line["reason"]
    kafka.start()
    fleet.wait_owned()
    with fleet.load(100, RATE) as load:
        load.wait_sent()
        load.wait_answered()
    # Each of the worker's three clients says it once, not at each try.
    assert sum("no Kafka broker can be reached" in line.get("message", "") for line in worker.log) <= 3
    fleet.stop_all()
    fleet.ledger().check()


@pytest.mark.parametrize("away", ("restarted", "killed", "frozen"))
def test_a_broker_that_goes_away_under_load(make_fleet, kafka, away):
    fleet = make_fleet()
    fleet.start(2)
    workers = list(fleet.workers)
    with fleet.load(1_000_000, RATE) as load:
        load.wait_answered(RATE)
        if away == "frozen":
            kafka.freeze()
            time.sleep(8)  # longer than the group's sessions last
            kafka.thaw()
        else:
            kafka.stop() if away == "restarted" else kafka.kill()
            kafka.start()
        back = load.answered
        load.wait_answered(back + RATE)
        fleet.wait_owned()
        load.wait_answered(load.sent + RATE)
        load.stop()
        load.wait_answered()
    assert fleet.workers == workers and all(worker.running() for worker in workers)
    fleet.stop_all()

    ledger = fleet.ledger()
    ledger.check()
    assert not ledger.failures
    assert sum(ledger.committed.values()) == len(ledger.requests)


def test_a_requests_topic_that_is_made_later(make_fleet, read_topic):
    fleet = make_fleet()
    missing = fleet.topics.requests + ".later"
    worker = fleet.launch(CONNECT_REQUESTS_TOPIC=missing)
    line = worker.wait_for_log(says("a topic does not exist; create it", reason=missing))
    assert line["level"] == "error"
    create_topics(fleet.bootstrap, [missing])
    TopicWriter(fleet.bootstrap).send(missing, {"reference_id": "u1"})
    assert read_topic(fleet.bootstrap, fleet.topics.replies).wait_for_reference("u1").json["link"]
    fleet.stop_all()


def test_a_replies_topic_that_is_made_later(make_fleet):
    """Requests are not given up, nor committed, until their replies can be written."""
    fleet = make_fleet()
    later = replace(fleet.topics, replies=fleet.topics.replies + ".later")
    worker = fleet.start(CONNECT_REPLIES_TOPIC=later.replies)
    writer = TopicWriter(fleet.bootstrap)
    for number in range(40):
        writer.post(later.requests, {"reference_id": f"r{number}"}, partition=number % fleet.partitions)
    writer.flush()
    line = worker.wait_for_log(says("make sure that the topic exists", to=later.replies))
    assert line["level"] == "error"
    create_topics(fleet.bootstrap, [later.replies], config=BROKER_TIME)
    with TopicReader(fleet.bootstrap, later.replies) as replies:
        replies.wait_for(count=40, timeout=30)
    fleet.stop_all()
    ledger = Ledger.read(fleet.bootstrap, later)
    ledger.check()
    assert ledger.repeats == 0
    assert sum(ledger.committed.values()) == 40


def test_a_reply_topic_that_takes_small_records_only(make_fleet, read_topic):
    fleet = make_fleet()
    small = fleet.topics.replies + ".small"
    create_topics(fleet.bootstrap, [small], config={"max.message.bytes": "300"})
    worker = fleet.start()
    TopicWriter(fleet.bootstrap).send(fleet.topics.requests, {"reference_id": "u1"}, headers={"reply-to": small})
    reply = read_topic(fleet.bootstrap, fleet.topics.replies).wait_for_reference("u1").json
    assert reply["error"]["code"] == "internal_error" and "link" not in reply
    assert worker.wait_for_log("a reply is too large for its topic")["topic"] == fleet.topics.requests
    fleet.stop_all()


@pytest.fixture(scope="module")
def guarded_kafka(make_kafka):
    """A broker that makes topics on demand, with a second door for those who know the word."""
    with make_kafka(listeners={"GUARDED": "SASL_PLAINTEXT"},
            properties={"auto.create.topics.enable": "true", **plain_users("GUARDED", worker=WORD)}) as server:
        yield server


@pytest.fixture
def guarded_fleet(guarded_kafka, start_sandbox, redis, start_worker):
    return Fleet(start_worker, guarded_kafka.bootstrap, start_sandbox("--no-kafka"), redis)


def test_a_named_reply_topic_is_not_made(guarded_fleet, guarded_kafka, read_topic):
    fleet = guarded_fleet
    fleet.start()
    named = fleet.topics.replies + ".nobody"
    TopicWriter(fleet.bootstrap).send(fleet.topics.requests, {"reference_id": "u1"}, headers={"reply-to": named})
    reply = read_topic(fleet.bootstrap, fleet.topics.replies).wait_for_reference("u1").json
    assert reply["error"]["code"] == "reply_address_rejected" and "link" not in reply
    fleet.stop_all()
    assert named not in topic_names(fleet.bootstrap)
    # This broker does make topics for those who ask without care.
    TopicWriter(fleet.bootstrap).send(named, "hello")
    assert named in topic_names(fleet.bootstrap)


@pytest.mark.parametrize("word", (WORD, "guess"))
def test_credentials_for_the_broker(guarded_fleet, guarded_kafka, word):
    fleet = guarded_fleet
    fleet.settings |= login(guarded_kafka, "GUARDED", word, "SASL_PLAINTEXT")
    if word == WORD:
        worker = fleet.start()
        with fleet.load(40, 1000) as load:
            load.wait_sent()
            load.wait_answered()
        fleet.stop_all()
        fleet.ledger().check()
    else:
        worker = fleet.launch()
        line = worker.wait_for_log(says("Kafka refuses this client's credentials"))
        assert line["level"] == "error" and "sasl" in line["message"]
        fleet.stop_all()
    assert word not in worker.stderr
