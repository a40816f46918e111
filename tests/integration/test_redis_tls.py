"""TLS and a password to Redis, end to end. Where the build has no TLS to Redis it says so, and the rest is skipped."""

import json
from urllib.parse import quote

import pytest

from local_process import eventually
from support.check import check
from support.connect import ConnectFlow, new_id
from support.program import run_program
from support.redis_server import RedisServer

OK, FAILED, CONFIG = 0, 1, 78
PASSWORD, OTHER_PASSWORD = "open sesame/%", "shut sesame/%"
CONNECTED = "terra_connect_redis_connected"
OVERRIDDEN = 'terra_connect_limit_overridden{environment="default"}'
NOT_IN_THIS_BUILD = "rediss:// (TLS to Redis) is not in this build: it needs hiredis 1.0 or newer with its TLS library"
REFUSED = "Redis refuses this client; will be tried again"


def url_for(password, port):
    return f"rediss://worker:{quote(password, safe='')}@localhost:{port}"


def check_redis(settings):
    return check({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", **settings}, "--only", "redis", "--flow", "connections")


@pytest.fixture(scope="module")
def in_this_build():
    return not check_redis({"REDIS_URL": url_for(PASSWORD, 1)}).find("fail", NOT_IN_THIS_BUILD)


def test_a_build_without_it_says_so(in_this_build):
    if in_this_build:
        pytest.skip("this build has TLS to Redis")
    settings = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "TERRA_DEV_ID": "dev", "TERRA_API_KEY": "key",
        "REDIS_URL": url_for(PASSWORD, 1)}
    for command in ("worker", "limit"):
        done = run_program(command, settings=settings)
        assert done.returncode == CONFIG and NOT_IN_THIS_BUILD in done.stderr
        assert "sesame" not in done.stderr


class Redis:
    """A server that wants TLS, and a user `worker` who has a password. Whoever comes without a name, we do, may do
    everything."""

    def __init__(self, authority):
        self.good = authority.issue()
        self.server = RedisServer(tls=self.good,
            arguments=["--user", "worker", "on", f">{PASSWORD}", "~*", "&*", "+@all"])

    def ask(self, *command):
        return self.server.client().execute_command(*command)

    def _send_away(self):
        self.ask("CLIENT", "KILL", "USER", "worker")

    def use(self, certificate):
        self.ask("CONFIG", "SET", "tls-cert-file", str(certificate.chain), "tls-key-file", str(certificate.key))
        self._send_away()

    def set_password(self, password):
        self.ask("ACL", "SETUSER", "worker", "resetpass", f">{password}")
        self._send_away()

    def mend(self):
        self.use(self.good)
        self.set_password(PASSWORD)


@pytest.fixture(scope="module")
def redis(in_this_build, authority):
    if not in_this_build:
        pytest.skip(NOT_IN_THIS_BUILD)
    redis = Redis(authority)
    with redis.server:
        yield redis


@pytest.fixture(scope="module")
def flow(redis, authority):
    settings = {"REDIS_URL": url_for(PASSWORD, redis.server.port), "REDIS_CA_FILE": authority.ca_file,
        "TERRA_RATE_LIMIT": "100/s"}
    with ConnectFlow(settings, redis=False) as flow:
        eventually(lambda: flow.worker.metric(CONNECTED) == 1)
        yield flow
        assert not any("sesame" in worker.stderr for worker in flow.workers)


def test_links_and_the_limit_are_shared(flow, redis):
    request = {"reference_id": new_id(), "request_id": new_id()}
    link = flow.ask(request).json["link"]
    assert len(redis.ask("KEYS", "terra-connect:reply:*")) == 1
    flow.worker.stop()
    flow.start_worker()
    assert flow.ask(request).json["link"] == link and len(flow.calls_for(request["reference_id"])) == 1

    for action, overridden in ((("set", "7/s"), 1), (("unset",), 0)):
        done = run_program("limit", *action, "--json", settings=flow.settings)
        assert done.returncode == OK and bool(json.loads(done.stdout)["override"]) == bool(overridden), done
        flow.ask_for_link()  # for which the worker asks Redis
        assert flow.worker.metric(OVERRIDDEN) == overridden
    assert check_redis(flow.settings).returncode == OK


TROUBLES = {
    "expired": "certificate has expired",
    "another host's": "hostname mismatch",
    "a stranger's": "unable to get local issuer certificate",
    "password": "WRONGPASS",
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_is_told_and_heals(flow, redis, bad_certificates, trouble):
    worker, said = flow.worker, TROUBLES[trouble]
    since = len(worker.log)
    if trouble == "password":
        redis.set_password(OTHER_PASSWORD)
    else:
        redis.use(bad_certificates[trouble][0])
    line = worker.wait_for_log(REFUSED, since=since)
    assert said in line["reason"] and line["level"] == "error"
    assert ("password" if trouble == "password" else "certificate") in line["advice"]
    eventually(lambda: worker.metric(CONNECTED) == 0)
    flow.ask_for_link()

    found = check_redis(flow.settings)
    assert found.returncode == FAILED and found.find("fail", said)
    limit = run_program("limit", settings=flow.settings)
    assert limit.returncode == FAILED and said in limit.stderr
    assert "sesame" not in found.output + limit.stdout + limit.stderr

    redis.mend()
    worker.wait_for_log("Redis is back", since=since)
    eventually(lambda: worker.metric(CONNECTED) == 1)
