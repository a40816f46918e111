"""A real Kafka that wants TLS and a login: every flow by it; what is said when one of them is wrong; how that heals."""

import json

import confluent_kafka
import pytest

from local_process import eventually
from support.certificates import HERE, Authority
from support.check import check
from support.connect import new_id
from support.guarded_kafka import (
    change_certificate, login, plain_users, scram_users, shown_certificate, wanted_certificate)
from support.sandbox import Sandbox
from support.topics import TopicWriter, committed_offsets, connect_topics, create_topics, event_topics, latest_by_key

PASSWORD, WRONG_PASSWORD = "open sesame", "shut sesame"
ELSEWHERE = "elsewhere.example"
TLS_FAILS, LOGIN_FAILS = "TLS with Kafka fails", "Kafka refuses this client's credentials"


@pytest.fixture(scope="module")
def secured(make_kafka, authority):
    """LOGIN is as it should be; ELSEWHERE shows another host's certificate; MUTUAL wants one of its clients, too."""
    good = authority.issue()
    listeners = {"LOGIN": "SASL_SSL", "ELSEWHERE": "SASL_SSL", "SCRAM": "SASL_SSL", "MUTUAL": "SSL"}
    shown = {**dict.fromkeys(listeners, good), "ELSEWHERE": authority.issue(ELSEWHERE)}
    properties = {name: value for listener in listeners
        for name, value in shown_certificate(listener, shown[listener]).items()}
    with make_kafka(listeners=listeners, scram_users={"worker": PASSWORD}, properties={**properties,
            **plain_users("LOGIN", worker=PASSWORD), **plain_users("ELSEWHERE", worker=PASSWORD),
            **scram_users("SCRAM"), **wanted_certificate("MUTUAL", authority)}) as kafka:
        yield kafka


@pytest.fixture(scope="module")
def terra(secured):
    sandbox = Sandbox(["--brokers", secured.bootstrap])
    yield sandbox
    sandbox.stop()


@pytest.fixture
def settings(secured, authority):
    """As it should be."""
    return {**login(secured, "LOGIN", PASSWORD, "SASL_SSL"), "KAFKA_SSL_CA_LOCATION": authority.ca_file}


@pytest.fixture
def connect(secured):
    topics = connect_topics()
    create_topics(secured.bootstrap, topics.names, 1)
    return topics


def check_kafka(settings, *arguments):
    found = check(settings, "--only", "kafka", *arguments)
    assert "sesame" not in found.output
    return found


@pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
def test_every_flow(secured, settings, connect, start_sandbox, start_worker, read_topic, tmp_path, delivery):
    events = event_topics()
    events.create(secured.bootstrap, 1)
    terra = start_sandbox("--brokers", secured.bootstrap, "--raw-events-topic", events.raw)
    settings |= {**connect.settings, **events.settings, **terra.terra_settings, **terra.payload_settings,
        "TERRA_RATE_LIMIT": 0, "EVENTS_DELIVERY": delivery, "KAFKA_SASL_PASSWORD_FILE": tmp_path / "password"}
    (tmp_path / "password").write_text(settings.pop("KAFKA_SASL_PASSWORD") + "\n")
    worker = start_worker(settings, flow="all")
    worker.secrets.add(PASSWORD)
    assert check_kafka(settings).returncode == 0

    reference_id = new_id()
    TopicWriter(secured.bootstrap).send(connect.requests, {"reference_id": reference_id})
    reply = read_topic(secured.bootstrap, connect.replies).wait_for_reference(reference_id).json
    terra.complete(reply["session_id"])
    event = read_topic(secured.bootstrap, events.auth_events).wait_for_reference(reference_id).json
    assert event["kind"] == "connected"
    connections = read_topic(secured.bootstrap, events.connections)
    eventually(lambda: event["user_id"] in latest_by_key(connections.records), 20, "the connection")
    assert json.loads(worker.page("/readyz"))["ready"]


class Trouble:
    """A worker that was started with the wrong settings, and a request that waits for it."""

    def __init__(self, secured, connect, terra, start_worker, settings):
        self.secured, self.connect = secured, connect
        self._start_worker = start_worker
        self._settings = {**settings, **connect.settings, **terra.terra_settings, "TERRA_RATE_LIMIT": 0}
        self.reference_id = new_id()
        TopicWriter(secured.bootstrap).send(connect.requests, {"reference_id": self.reference_id})
        self.start()

    def start(self, **settings):
        self._settings |= settings
        self.worker = self._start_worker(self._settings)
        self.worker.secrets |= {PASSWORD, WRONG_PASSWORD}

    def is_told(self, message, reason, subject):
        """By the log, by /readyz and by check."""
        line = self.worker.wait_for_log(lambda line: line["message"].startswith(message))
        assert line["level"] == "error" and reason in line["reason"], line
        ready = json.loads(self.worker.page("/readyz"))
        assert not ready["ready"] and ready["reasons"][0]["code"] == "group_not_joined"
        found = check_kafka(self._settings, "--flow", "connect")
        assert found.returncode == 1 and found.about(subject)[0]["verdict"] == "fail"
        assert reason in found.about(subject)[0]["message"]

    def is_over(self, read_topic):
        """What waited is answered, once, and committed."""
        replies = read_topic(self.secured.bootstrap, self.connect.replies)
        assert replies.wait_for_reference(self.reference_id).json["status"] == "success"
        eventually(lambda: json.loads(self.worker.page("/readyz"))["ready"])
        self.worker.stop()
        assert committed_offsets(self.secured.bootstrap, self.connect.group, self.connect.requests) == {0: 1}
        assert len(replies.records) == 1


@pytest.fixture
def trouble(secured, connect, terra, start_worker, settings):
    return lambda **wrong: Trouble(secured, connect, terra, start_worker, {**settings, **wrong})


def test_an_authority_that_does_not_vouch_for_the_broker(trouble, settings, tmp_path, read_topic):
    wrong = trouble(KAFKA_SSL_CA_LOCATION=Authority(tmp_path).ca_file)
    wrong.is_told(TLS_FAILS, "certificate refused: unable to get local issuer certificate", "TLS")
    wrong.worker.stop()
    wrong.start(KAFKA_SSL_CA_LOCATION=settings["KAFKA_SSL_CA_LOCATION"])
    wrong.is_over(read_topic)


def test_a_wrong_password(trouble, read_topic):
    wrong = trouble(KAFKA_SASL_PASSWORD=WRONG_PASSWORD)
    wrong.is_told(LOGIN_FAILS, "Invalid username or password", "login")
    wrong.worker.stop()
    wrong.start(KAFKA_SASL_PASSWORD=PASSWORD)
    wrong.is_over(read_topic)


def test_a_certificate_of_another_host_until_the_broker_has_a_good_one(trouble, secured, authority, read_topic):
    wrong = trouble(KAFKA_BOOTSTRAP_SERVERS=secured.address("ELSEWHERE"))
    wrong.is_told(TLS_FAILS, "certificate refused: IP address mismatch", "TLS")
    change_certificate(secured, "ELSEWHERE", authority.issue(ELSEWHERE, *HERE))
    wrong.is_over(read_topic)


def test_scram(secured, settings):
    """librdkafka before 2.6.1 cannot log in to Kafka 4 by it, and does not know why."""
    found = check_kafka({**settings, **login(secured, "SCRAM", PASSWORD, "SASL_SSL", mechanism="SCRAM-SHA-512")},
        "--flow", "connect")
    (said,) = found.about("login") or found.about("brokers")
    if confluent_kafka.libversion()[1] >= 0x02060100:
        assert said["verdict"] == "ok"
    else:
        assert said["verdict"] == "fail" and "older than 2.6.1" in said["message"]


def test_a_broker_that_wants_a_certificate_of_us(secured, settings, authority):
    settings = {"KAFKA_BOOTSTRAP_SERVERS": secured.address("MUTUAL"), "KAFKA_SECURITY_PROTOCOL": "SSL",
        "KAFKA_SSL_CA_LOCATION": settings["KAFKA_SSL_CA_LOCATION"]}
    ours = authority.issue("worker.example")
    (refusal,) = check_kafka(settings, "--flow", "connect").about("TLS")
    assert refusal["verdict"] == "fail" and "KAFKA_SSL_CERTIFICATE_LOCATION" in refusal["advice"]
    found = check_kafka({**settings, "KAFKA_SSL_CERTIFICATE_LOCATION": ours.chain, "KAFKA_SSL_KEY_LOCATION": ours.key},
        "--flow", "connect")
    assert found.about("brokers")[0]["verdict"] == "ok"
