"""terra-connect check on a real Apache Kafka: topics made, compared and refused; login and permissions."""

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource

from support.check import check
from support.guarded_kafka import login, plain_users
from support.sandbox import Sandbox
from support.topics import TopicWriter, connect_topics, create_topics, event_topics

DAY_MS = 24 * 3600 * 1000


@pytest.fixture(scope="module")
def guarded(make_kafka):
    """One broker that asks for a login on a second port. Whoever comes without one may do everything; `guest`, whose
    password is `guest-secret`, nothing."""
    with make_kafka(listeners={"LOGIN": "SASL_PLAINTEXT"}, properties={
        **plain_users("LOGIN", guest="guest-secret"),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }) as server:
        yield server


def as_guest(guarded, password="guest-secret"):
    return login(guarded, "LOGIN", password, "sasl_plaintext", user="guest")


@pytest.fixture
def settings(guarded):
    """Topics of names of their own, none of which exists; no Redis."""
    return {"KAFKA_BOOTSTRAP_SERVERS": guarded.bootstrap, **connect_topics().settings, **event_topics().settings}


@pytest.fixture(scope="module")
def sandbox_terra():
    sandbox = Sandbox(["--no-kafka"])
    yield sandbox.terra_settings
    sandbox.stop()


def event_check(settings, *arguments):
    """Without the connect flow, and so without Terra."""
    return check(settings, "--flow", "connections", *arguments)


def settings_of(guarded, topic):
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    admin = AdminClient({"bootstrap.servers": guarded.bootstrap, "log_level": 2})
    return {name: entry.value for name, entry in admin.describe_configs([resource])[resource].result(15).items()}


def test_missing_topics_are_told_and_made_as_they_should_be(guarded, settings, sandbox_terra):
    before = check({**settings, **sandbox_terra})
    assert before.returncode == 1
    absent = before.find("fail", "does not exist")
    assert len(absent) == 7 and all("--create-topics" in item["advice"] for item in absent)

    made = check({**settings, **sandbox_terra}, "--create-topics", "--partitions", "3", "--replication", "1")
    assert made.returncode == 0 and len(made.find("ok", "created")) == 7
    after = check({**settings, **sandbox_terra}, "--create-topics")
    assert after.returncode == 0 and not after.find("ok", "created")
    assert not [item for item in after.warnings if item["subject"].startswith("topic ")]
    assert len(after.find("ok", "3 partitions, replication 1")) == 7

    requests = settings_of(guarded, settings["CONNECT_REQUESTS_TOPIC"])
    assert requests["message.timestamp.type"] == "LogAppendTime" and requests["retention.ms"] == str(DAY_MS)
    connections = settings_of(guarded, settings["CONNECTIONS_TOPIC"])
    assert connections["cleanup.policy"] == "compact" and connections["delete.retention.ms"] == str(7 * DAY_MS)
    assert settings_of(guarded, settings["CONNECT_REPLIES_TOPIC"])["retention.ms"] == "3600000"
    assert settings_of(guarded, settings["CONNECT_OUTCOMES_TOPIC"])["retention.ms"] == str(90 * DAY_MS)


def test_a_connections_topic_that_is_not_compacted_is_refused(guarded, settings):
    create_topics(guarded.bootstrap, [settings["CONNECTIONS_TOPIC"]])
    found = event_check(settings, "--create-topics")
    assert found.returncode == 1
    (fault,) = found.failures
    assert fault["subject"] == f"topic {settings['CONNECTIONS_TOPIC']}" and "not compacted" in fault["message"]
    assert fault["advice"] == (f"kafka-configs --bootstrap-server {guarded.bootstrap} --alter "
        f"--topic {settings['CONNECTIONS_TOPIC']} --add-config cleanup.policy=compact")


def test_settings_that_differ_are_warnings_with_the_value_to_set(guarded, settings, sandbox_terra):
    """The broker's own defaults: seven days, the sender's clock, tombstones kept for one day."""
    plain = [settings[f"{name}_TOPIC"] for name in ("CONNECT_REQUESTS", "CONNECT_REPLIES", "CONNECT_OUTCOMES",
        "RAW_EVENTS", "AUTH_EVENTS", "DEAD_LETTERS")]
    create_topics(guarded.bootstrap, plain)
    create_topics(guarded.bootstrap, [settings["CONNECTIONS_TOPIC"]], config={"cleanup.policy": "compact"})
    found = check({**settings, **sandbox_terra})
    assert not found.failures
    advice = {(item["subject"].removeprefix("topic "), item["advice"].rpartition(" ")[2])
        for item in found.warnings if item["subject"].startswith("topic ")}
    assert advice == {
        (settings["CONNECT_REQUESTS_TOPIC"], "message.timestamp.type=LogAppendTime"),
        (settings["CONNECT_REPLIES_TOPIC"], "retention.ms=3600000"),
        (settings["CONNECT_OUTCOMES_TOPIC"], f"retention.ms={90 * DAY_MS}"),
        (settings["AUTH_EVENTS_TOPIC"], f"retention.ms={90 * DAY_MS}"),
        (settings["CONNECTIONS_TOPIC"], f"delete.retention.ms={7 * DAY_MS}"),
    }


def test_a_wrong_password_is_told_from_a_broker_that_is_away(guarded, settings):
    found = event_check({**settings, **as_guest(guarded, "wrong-secret")})
    assert found.returncode == 1
    (fault,) = found.failures
    assert fault["subject"] == "login" and "KAFKA_SASL_PASSWORD" in fault["advice"]
    assert "wrong-secret" not in found.output


def test_tls_with_a_broker_that_has_none(settings):
    found = event_check({**settings, "KAFKA_SECURITY_PROTOCOL": "ssl"})
    assert found.returncode == 1
    (fault,) = found.failures
    assert fault["subject"] == "TLS" and "KAFKA_SECURITY_PROTOCOL" in fault["advice"]


def test_what_is_denied_is_told_with_the_commands_that_permit_it(guarded, settings):
    create_topics(guarded.bootstrap, [settings["CONNECTIONS_TOPIC"]], config={"cleanup.policy": "compact"})
    found = event_check({**settings, **as_guest(guarded)})
    assert found.returncode == 1
    denied = {item["subject"] for item in found.failures}
    group = settings["KAFKA_GROUP_ID"] + "-connections"
    assert {f"topic {settings['CONNECTIONS_TOPIC']}", f"group {group}"} <= denied
    begin = f"kafka-acls --bootstrap-server {guarded.address('LOGIN')} --add --allow-principal User:guest"
    assert f"{begin} --operation Read --group {group}" in found.acls
    assert f"{begin} --operation Write --operation DescribeConfigs --topic {settings['CONNECTIONS_TOPIC']}" in found.acls
    assert "guest-secret" not in found.output


def test_transactional_ids_are_tried_where_events_are_written_exactly_once(guarded, settings):
    exactly_once = {**settings, "EVENTS_DELIVERY": "exactly_once"}
    may = check(exactly_once, "--flow", "events", "--create-topics")
    assert may.find("ok", f"transactional ids that begin with {settings['KAFKA_GROUP_ID']}-events-")
    may_not = check({**exactly_once, **as_guest(guarded)}, "--flow", "events")
    assert "transactions" in {item["subject"] for item in may_not.failures}
    assert any("--transactional-id" in command for command in may_not.acls)


def test_a_raw_topic_full_of_data_asks_for_a_filter(guarded, settings):
    check(settings, "--flow", "events", "--create-topics")
    writer = TopicWriter(guarded.bootstrap)
    for _ in range(30):
        writer.post(settings["RAW_EVENTS_TOPIC"], {"type": "daily", "user": {"user_id": "u"}, "data": []})
    writer.post(settings["RAW_EVENTS_TOPIC"], {"type": "auth", "status": "success", "user": {"user_id": "u"}})
    writer.flush()
    found = check(settings, "--flow", "events")
    (warning,) = [item for item in found.warnings if "are data" in item["message"]]
    assert "31 records 30 are data" in warning["message"] and "event types" in warning["advice"]
