"""The fixtures of the integration suites. Ask for start_worker last: what is asked for last is ended first.

A suite that needs the real Apache Kafka is called test_kafka_*.py and asks for `kafka`. Where there is none it is
skipped, and counted as such; with REQUIRE_KAFKA=1 that is a failure.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from support.certificates import Authority
from support.fleet import Fleet
from support.redis_server import RedisServer
from support.sandbox import Sandbox
from support.topics import TopicReader, TopicWriter, connect_topics, create_topics
from support.worker import Worker
from local_kafka import Kafka, KafkaUnavailable  # the support package has made tools/ known


@pytest.fixture(scope="session")
def make_kafka():
    """make_kafka(…): a real broker that is not started; takes what local_kafka.Kafka takes."""

    def make(**options):
        try:
            return Kafka(**options)
        except KafkaUnavailable as reason:
            if os.environ.get("REQUIRE_KAFKA", "0") not in ("", "0"):
                pytest.fail(f"REQUIRE_KAFKA is set: {reason}")
            pytest.skip(f"no real Kafka: {reason}")

    return make


@pytest.fixture(scope="session")
def kafka_server(make_kafka):
    """One real broker for the whole program; a test that breaks it starts it again."""
    with make_kafka() as server:
        yield server


@pytest.fixture
def kafka(kafka_server):
    """The real broker, running."""
    if not kafka_server.running():
        kafka_server.start()
    return kafka_server


@pytest.fixture
def topics(kafka):
    """The connect flow's topics on the real broker, new for each test, four partitions each."""
    names = connect_topics()
    create_topics(kafka.bootstrap, names.names)
    return names


@pytest.fixture
def writer(kafka):
    return TopicWriter(kafka.bootstrap)


@pytest.fixture
def redis():
    """A real redis-server, empty, new for each test."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def start_sandbox():
    """start_sandbox("--option", …): a terra-sandbox that ends with the test."""
    started = []

    def start(*arguments):
        started.append(Sandbox(arguments))
        return started[-1]

    yield start
    _end_all(started, Sandbox.stop)


@pytest.fixture
def sandbox(start_sandbox):
    return start_sandbox()


@pytest.fixture
def start_worker():
    """start_worker({"NAME": value, …}): a worker that is stopped after the test, which fails if it then ends badly."""
    started = []

    def start(*settings, flow="connect"):
        merged = {name: value for part in settings for name, value in part.items()}
        started.append(Worker(merged, flow))
        return started[-1]

    yield start
    _end_all(started, Worker.stop)


@pytest.fixture
def make_fleet(kafka, start_sandbox, redis, start_worker):
    """make_fleet(latency_ms=60, jitter_ms=40, NAME=value, …): a Fleet on the real broker, no worker started yet."""

    def make(latency_ms=60, jitter_ms=40, **settings):
        terra = start_sandbox("--no-kafka")
        terra.set_latency(latency_ms, jitter_ms)
        return Fleet(start_worker, kafka.bootstrap, terra, redis, **settings)

    return make


@pytest.fixture
def read_topic():
    """read_topic(bootstrap, topic, from_end=False): a TopicReader that is closed after the test."""
    started = []

    def start(*arguments, **options):
        started.append(TopicReader(*arguments, **options))
        return started[-1]

    yield start
    _end_all(started, TopicReader.close)


@pytest.fixture(scope="session")
def authority():
    """Vouches for the servers of a test; nobody else knows it."""
    with tempfile.TemporaryDirectory(prefix="terra-connect-test-") as folder:
        yield Authority(folder)


@pytest.fixture(scope="session")
def bad_certificates(authority):
    """{what is wrong: (a certificate that is no good on this machine, what is said of it)}"""
    with tempfile.TemporaryDirectory(prefix="terra-connect-test-") as folder:
        yield {
            "expired": (authority.issue(expired=True), "certificate has expired"),
            "another host's": (authority.issue("elsewhere.example"), "certificate is not for this host"),
            "a stranger's": (Authority(folder).issue(), "unable to get local issuer certificate"),
        }


@pytest.fixture
def tmp_path():
    """In place of pytest's own, which keeps the folders of the last runs."""
    folder = Path(tempfile.mkdtemp(prefix="terra-connect-test-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _end_all(things, end):
    """Ends every one, also when an earlier one fails at it; then the first failure counts."""
    failures = []
    for thing in reversed(things):
        try:
            end(thing)
        except Exception as failure:
            failures.append(failure)
    if failures:
        raise failures[0]
