"""Starting: brokers and topics that come later, and settings that cannot be used."""

import pytest

from support.connect import ConnectFlow, is_link, new_id
from support.topics import TopicReader, TopicWriter, connect_topics
from support.worker import Worker
from local_process import free_port

EXIT_CONFIG = 78


def test_brokers_that_come_later(start_sandbox, start_worker):
    kafka_port, http_port = free_port(), free_port()
    topics = connect_topics()
    settings = {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{kafka_port}", "KAFKA_FETCH_WAIT_MAX_MS": 5,
        "TERRA_BASE_URL": f"http://127.0.0.1:{http_port}/api", "TERRA_DEV_ID": "sandbox-dev",
        "TERRA_API_KEY": "sandbox-key", **topics.settings}
    worker = start_worker(settings)
    line = worker.wait_for_log(lambda line: line.get("level") in ("warn", "error") and "broker" in line["message"])
    assert f"127.0.0.1:{kafka_port}" in str(line)
    sandbox = start_sandbox("--kafka-port", kafka_port, "--http-port", http_port,
        *(part for name in topics.names for part in ("--topic", f"{name}:4")))
    user = new_id()
    TopicWriter(sandbox.bootstrap).send(topics.requests, {"reference_id": user})
    with TopicReader(sandbox.bootstrap, topics.replies) as replies:
        assert is_link(replies.wait_for_reference(user).json["link"])
    # It waits for its brokers in few words.
    assert len(worker.log) < 60, worker.stderr


def test_a_requests_topic_that_comes_later(start_sandbox, read_topic, start_worker):
    sandbox = start_sandbox()
    topics = connect_topics()
    sandbox.create_topics(set(topics.names) - {topics.requests})
    worker = start_worker(sandbox.settings, topics.settings)
    line = worker.wait_for_log(lambda line: line["level"] == "error" and topics.requests in str(line))
    assert "create it" in line["message"]
    sandbox.create_topic(topics.requests)
    user = new_id()
    TopicWriter(sandbox.bootstrap).send(topics.requests, {"reference_id": user})
    assert is_link(read_topic(sandbox.bootstrap, topics.replies).wait_for_reference(user, timeout=30).json["link"])


def test_topics_to_write_to_that_come_later():
    """Nothing is lost meanwhile and nothing is asked twice; the log says what to do."""
    with ConnectFlow(workers=0) as flow:
        topics = {name: f"{flow.topics.replies}.later-{name}" for name in ("replies", "outcomes", "dead-letters")}
        worker = flow.start_worker(CONNECT_REPLIES_TOPIC=topics["replies"],
            CONNECT_OUTCOMES_TOPIC=topics["outcomes"], DEAD_LETTERS_TOPIC=topics["dead-letters"])
        user = new_id()
        flow.send({"reference_id": user})
        flow.send(b"garbage")
        worker.wait_for_log(lambda line: "make sure that the topic exists" in line["message"])
        for name in topics.values():
            flow.sandbox.create_topic(name)
        for name in ("replies", "outcomes"):
            assert flow.read(topics[name]).wait_for_reference(user, timeout=40)
        assert flow.read(topics["dead-letters"]).wait_for()[0].value == b"garbage"
        assert len(flow.calls_for(user)) == 1


GOOD = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9", "TERRA_DEV_ID": "dev", "TERRA_API_KEY": "a-secret-key-1234"}


@pytest.mark.parametrize("settings, says", [
    ({"KAFKA_BOOTSTRAP_SERVERS": None}, ["KAFKA_BOOTSTRAP_SERVERS"]),
    ({"TERRA_API_KEY": None}, ["TERRA_API_KEY"]),
    ({"TERRA_API_KEY": None, "TERRA_DEV_ID": None}, ["TERRA_DEV_ID"]),
    ({"TERRA_RATE_LIMIT": "fast", "REQUEST_DEADLINE": "0s", "TERRA_TIMOUT": "3s", "TERRA_ATTEMPTS_MAX": "many"},
        ["TERRA_RATE_LIMIT", "REQUEST_DEADLINE", "did you mean TERRA_TIMEOUT?", "TERRA_ATTEMPTS_MAX"]),
    ({"KAFKA_ENABLE_AUTO_COMMIT": "true"}, ["KAFKA_ENABLE_AUTO_COMMIT"]),
    ({"KAFKA_NO_SUCH_PROPERTY": "1"}, ["no.such.property"]),
    ({"KAFKA_SESSION_TIMEOUT_MS": "soon"}, ["session.timeout.ms"]),
    ({"TERRA_BASE_URL": "http://terra.example/api"}, ["http"]),
    ({"TERRA_BASE_URL": "not a URL"}, ["URL"]),
    ({"REDIS_URL": "http://127.0.0.1"}, ["REDIS_URL", "redis://"]),
    ({"REPLY_TOPICS_ALLOWED": "a b"}, ["REPLY_TOPICS_ALLOWED", "a b"]),
    ({"REPLY_TOPICS_ALLOWED": "*"}, ["REPLY_TOPICS_ALLOWED"]),
    ({"REDIRECT_URLS_ALLOWED": "https://a.example,"}, ["REDIRECT_URLS_ALLOWED"]),
    ({"TERRA_ENVIRONMENTS_FILE": "/nowhere/at-all.json"}, ["/nowhere/at-all.json"]),
    ({"TERRA_API_KEY": None, "TERRA_API_KEY_FILE": "/nowhere/key"}, ["TERRA_API_KEY_FILE", "/nowhere/key"]),
    ({"CONNECT_REPLIES_TOPIC": "terra.connect.requests"}, ["CONNECT_REQUESTS_TOPIC"]),
], ids=lambda value: "-".join(value) if isinstance(value, dict) else "")
def test_wrong_settings_are_all_told_at_once(settings, says):
    worker = Worker({**GOOD, **settings})
    worker.expect_exit(EXIT_CONFIG, timeout=10)
    lines = worker.stderr.splitlines()
    for words in says:
        assert any(words in line for line in lines), worker.stderr


@pytest.mark.parametrize("content, says", [
    ("{", "JSON"), ("[]", "object"), ('{"a b": {}}', "name"), ('{"staging": {"dev_id": "d"}}', "staging"),
    ('{"staging": {"dev_id": "d", "api_key": "another-secret", "rate_limt": "1/s"}}', "rate_limt"),
    ('{"staging": {"dev_id": "d", "api_key": "another-secret", "request_defaults": {"language": 1}}}', "language"),
    ('{"default": {"dev_id": "d", "api_key": "another-secret"}}', "default"),
])
def test_a_wrong_environments_file(tmp_path, content, says):
    path = tmp_path / "environments.json"
    path.write_text(content)
    worker = Worker({**GOOD, "TERRA_ENVIRONMENTS_FILE": path})
    worker.secrets.add("another-secret")
    worker.expect_exit(EXIT_CONFIG, timeout=10)
    assert says in worker.stderr


def test_a_key_from_a_file(tmp_path):
    path = tmp_path / "key"
    path.write_text("sandbox-key\n")
    with ConnectFlow(workers=0, redis=False) as flow:
        worker = flow.start_worker(TERRA_API_KEY=None, TERRA_API_KEY_FILE=path)
        worker.secrets.add("sandbox-key")
        assert flow.ask_for_link()
