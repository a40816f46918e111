"""terra-connect check: what it says of Redis, Terra, settings, and of a Kafka that tells little."""

import re
import time
from email.utils import formatdate

import pytest

from local_process import free_port
from support.check import check
from support.program import run_program
from support.redis_server import RedisServer
from support.sandbox import Sandbox


@pytest.fixture(scope="module")
def sandbox():
    sandbox = Sandbox(["--credential", "default:sandbox-dev:sandbox-key", "--credential",
        "bare:bare-dev:bare-key:no_sources"])
    yield sandbox
    sandbox.stop()


@pytest.fixture(autouse=True)
def as_at_the_start(sandbox):
    yield
    sandbox.reset()


@pytest.fixture(scope="module")
def redis_url():
    with RedisServer() as server:
        yield server.url


@pytest.fixture
def settings(sandbox, redis_url):
    return {**sandbox.settings, "REDIS_URL": redis_url}


def one(found, verdict, area):
    (item,) = [item for item in found.find(verdict) if item["area"] == area]
    return item


# What is well


def test_nothing_fails_and_what_the_embedded_kafka_cannot_tell_is_said(settings, sandbox):
    found = check(settings)
    assert found.returncode == 0 and found.acls == []
    assert found.find("ok", "can be used") and found.find("ok", "librdkafka")
    untold = {item["subject"] for item in found.find("warn", "settings cannot be told")}
    assert "topic terra.connections" in untold and len(untold) == 7
    assert found.about("reply topics")[0]["message"].endswith("there are: terra.connect.replies")
    (sources,) = found.find("ok", "sources enabled")
    assert "GARMIN" in sources["message"]
    assert not sandbox.calls(endpoint="widget_session") and not sandbox.calls(endpoint="legacy_widget")
    (sources_call,) = sandbox.calls(endpoint="integrations_detailed")
    sent = dict(sources_call["headers"])
    assert sent["dev-id"] == "sandbox-dev" and "x-api-key" not in sent


def test_lines_are_for_people(settings):
    done = run_program("check", settings=settings)
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert "ok    redis     role: master" in lines
    assert all(line.split(" ")[0] in ("ok", "warn") for line in lines[:lines.index("")])
    assert lines[-1].endswith(" 0 failed")


def test_a_flow_is_checked_alone(settings):
    found = check({**settings, "TERRA_DEV_ID": "", "TERRA_API_KEY": ""}, "--flow", "connections", "--acls")
    assert found.returncode == 0
    assert not [item for item in found.report["checks"] if item["area"] == "terra"]
    topics = {item["subject"] for item in found.report["checks"] if item["subject"].startswith("topic ")}
    assert topics == {"topic terra.auth.events", "topic terra.connections", "topic terra.dead-letters"}
    assert len(found.acls) == 4 and all(command.startswith("kafka-acls --bootstrap-server ") for command in found.acls)


@pytest.mark.parametrize("area", ["kafka", "redis", "terra"])
def test_an_area_is_checked_alone(settings, area):
    found = check({**settings, **({} if area == "terra" else {"TERRA_DEV_ID": "", "TERRA_API_KEY": ""})},
        "--only", area)
    assert found.returncode == 0
    assert {item["area"] for item in found.report["checks"]} == {"settings", area}


def test_the_widget_endpoint_is_tried_only_when_asked(settings, sandbox):
    sandbox.add_fault(endpoint="widget_session", status=404)
    found = check(settings, "--flow", "connect", "--widget")
    assert found.returncode == 0
    assert found.find("warn", "the widget endpoint that serves it is legacy_widget")
    assert len(sandbox.calls(endpoint="legacy_widget")) == 1


# Settings


def test_wrong_settings_end_it_before_anything_is_tried(settings):
    found = check({**settings, "TERRA_TIMEOUT": "soon", "REPLY_TOPICS_ALLOWED": "terra.*"})
    assert found.returncode == 78 and found.find("fail", "TERRA_TIMEOUT")
    assert {item["area"] for item in found.report["checks"]} == {"settings"}
    found = check({**settings, "REPLY_TOPICS_ALLOWED": "terra.*"})
    assert found.returncode == 78 and found.find("fail", "read as requests")


@pytest.mark.parametrize("arguments", [("--flow", "nothing"), ("--only", "nothing"),
    ("--only", "redis", "--create-topics"), ("--partitions", "0"), ("--timeout", "1"), ("that",)])
def test_wrong_usage(arguments):
    done = run_program("check", *arguments, settings={})
    assert done.returncode == 2 and "terra-connect check" in done.stderr and done.stdout == ""


# Kafka


def test_brokers_that_are_away_are_told_within_the_time(settings):
    started = time.monotonic()
    found = check({**settings, "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}"}, "--timeout", "1s")
    assert time.monotonic() - started < 8
    fault = one(found, "fail", "kafka")
    assert fault["subject"] == "brokers" and "KAFKA_BOOTSTRAP_SERVERS" in fault["advice"]


def test_a_broker_that_hangs_does_not_hang_the_check(settings, sandbox):
    sandbox.set_broker(rtt_ms=60000)
    started = time.monotonic()
    found = check(settings, "--flow", "connections", "--timeout", "1s")
    assert found.returncode == 1 and time.monotonic() - started < 8


def test_a_missing_topic(settings):
    found = check({**settings, "DEAD_LETTERS_TOPIC": "not.there"}, "--flow", "connections")
    assert one(found, "fail", "kafka")["message"] == "it does not exist"


# Redis


def test_redis_that_throws_keys_away(settings):
    with RedisServer(arguments=["--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"]) as server:
        found = check({**settings, "REDIS_URL": server.url}, "--flow", "connections")
    warning = one(found, "warn", "redis")
    assert warning["subject"] == "maxmemory-policy" and "noeviction" in warning["advice"]


def test_a_wrong_password(settings):
    with RedisServer() as server:
        server.client().config_set("requirepass", "right-secret")
        url = f"redis://:{{}}@127.0.0.1:{server.port}"
        found = check({**settings, "REDIS_URL": url.format("wrong-secret")}, "--flow", "connections")
        assert check({**settings, "REDIS_URL": url.format("right-secret")}, "--flow", "connections").returncode == 0
    assert found.returncode == 1
    assert "refused AUTH" in one(found, "fail", "redis")["message"]
    assert "wrong-secret" not in found.output


def test_a_replica(settings, redis_url):
    with RedisServer() as server:
        server.client().replicaof("127.0.0.1", redis_url.rpartition(":")[2])
        found = check({**settings, "REDIS_URL": server.url}, "--flow", "connections")
    assert {item["subject"] for item in found.failures} == {"role", "script"}


def test_no_redis(settings):
    away = check({**settings, "REDIS_URL": f"redis://127.0.0.1:{free_port()}"}, "--flow", "connections")
    assert away.returncode == 1 and one(away, "fail", "redis")["subject"] == "server"
    none = check({**settings, "REDIS_URL": ""}, "--flow", "connections")
    assert none.returncode == 0 and "run one worker only" in one(none, "warn", "redis")["advice"]


# Terra


def test_a_wrong_key(settings):
    found = check({**settings, "TERRA_API_KEY": "wrong-secret"}, "--flow", "connect")
    assert found.returncode == 1
    assert "refuses" in one(found, "fail", "terra")["message"] and "wrong-secret" not in found.output


def test_no_source_is_enabled(settings):
    found = check({**settings, "TERRA_DEV_ID": "bare-dev", "TERRA_API_KEY": "bare-key"}, "--flow", "connect")
    assert found.returncode == 0
    assert "no source is enabled" in one(found, "warn", "terra")["message"]


def test_every_environment(settings, tmp_path):
    environments = tmp_path / "environments.json"
    environments.write_text('{"bare": {"dev_id": "bare-dev", "api_key": "bare-key"}, '
        '"wrong": {"dev_id": "bare-dev", "api_key": "wrong-secret"}}')
    found = check({**settings, "TERRA_ENVIRONMENTS_FILE": environments}, "--flow", "connect")
    assert one(found, "fail", "terra")["subject"] == "environment wrong"
    taken = {item["subject"] for item in found.find("ok", "Terra takes")}
    assert taken == {"environment default", "environment bare"}


def test_clocks_that_differ(settings, sandbox):
    sandbox.add_fault(endpoint="integrations_detailed",
        headers={"Date": formatdate(time.time() - 60, usegmt=True)})
    found = check(settings, "--flow", "connect")
    assert found.returncode == 0
    assert re.search(r"-(59|60|61) s from ours", one(found, "warn", "terra")["message"])


def test_terra_is_down(settings, sandbox):
    sandbox.add_fault(endpoint="user_info", kind="drop", count=10)
    sandbox.add_fault(endpoint="integrations_detailed", kind="drop", count=10)
    found = check(settings, "--flow", "connect")
    assert found.returncode == 1 and "TERRA_BASE_URL" in one(found, "fail", "terra")["advice"]
