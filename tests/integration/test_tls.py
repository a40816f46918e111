"""TLS to Terra and to the payloads of events, end to end: certificates that are good, that are not, that are mended.

TLS to Kafka: test_kafka_tls.py; to Redis: test_redis_tls.py.
"""

import json
import tempfile
import urllib.parse
from pathlib import Path

import pytest

from local_process import eventually
from support.certificates import Authority
from support.check import check
from support.connect import ConnectFlow, new_id
from support.events import EventFlows
from support.tls_proxy import TlsProxy

BAD = ("expired", "another host's", "a stranger's")
DOWN = 'terra_connect_terra_down{environment="default"}'
FORBIDDEN = 'terra_connect_payload_fetches_total{outcome="forbidden"}'


def terra_at(proxy, sandbox):
    """The base URL of that sandbox' Terra, behind the proxy."""
    return proxy.url + urllib.parse.urlsplit(sandbox.ready["terra"]).path


def port_of(sandbox):
    return urllib.parse.urlsplit(sandbox.ready["terra"]).port


# ---- Terra ----


class TlsFlow:
    """A connect flow without a worker, whose Terra is behind TLS."""

    def __init__(self, flow, authority):
        self.flow = flow
        self.good = authority.issue()
        self.proxy = TlsProxy(port_of(flow.sandbox), self.good)
        self.settings = {"TERRA_BASE_URL": terra_at(self.proxy, flow.sandbox), "TERRA_CA_FILE": authority.ca_file}

    def use(self, certificate):
        """From now on nobody who looks at it may call Terra, unless it is the good one."""
        self.flow.sandbox.forget_calls()
        self.proxy.use(certificate)

    def nobody_called(self):
        """Not even the neutral call, which has the key in a header."""
        return self.flow.sandbox.call_counts()["count"] == 0

    def fail(self, count=1):
        """The errors of so many requests."""
        places = self.flow.send_all([{"reference_id": new_id()} for _ in range(count)])
        replies = [self.flow.reply(place).json for place in places]
        assert all(reply["status"] == "error" for reply in replies), replies
        return [reply["error"] for reply in replies]


@pytest.fixture(scope="module")
def tls_flow(authority):
    with ConnectFlow({"TERRA_ATTEMPTS_MAX": 1}, redis=False, workers=0) as flow:
        tls = TlsFlow(flow, authority)
        with tls.proxy:
            flow.start_worker(**tls.settings)
            yield tls


@pytest.fixture
def terra(tls_flow):
    """With the good certificate, before and after."""
    assert tls_flow.flow.ask_for_link()
    yield tls_flow
    tls_flow.use(tls_flow.good)
    eventually(lambda: tls_flow.flow.worker.metric(DOWN) == 0)
    assert tls_flow.flow.ask_for_link()


@pytest.mark.parametrize("bad", BAD)
def test_terras_certificate_is_no_good(terra, bad_certificates, bad):
    certificate, problem = bad_certificates[bad]
    terra.use(certificate)
    for error in terra.fail(2):
        assert error["code"] == "terra_unavailable" and error["retryable"]
        assert error["message"].startswith(f"operator: Terra's certificate was refused ({problem}")
        assert "TERRA_CA_FILE" in error["message"]
    found = check({**terra.flow.settings, **terra.settings}, "--only", "terra")
    assert found.returncode == 1 and found.find("fail", f"certificate was refused ({problem}")
    assert terra.nobody_called()


def test_a_certificate_that_stays_bad_is_known_trouble_until_it_is_mended(terra, bad_certificates):
    certificate, problem = bad_certificates["expired"]
    worker = terra.flow.worker
    terra.use(certificate)
    terra.fail(6)
    eventually(lambda: worker.metric(DOWN) == 1)
    worker.wait_for_log(lambda line: line["message"].startswith("Terra is down") and problem in line["reason"])
    (early,) = terra.fail()
    assert early["code"] == "terra_unavailable" and early["retry_after_seconds"]
    assert problem in early["message"] and "the request was not sent" in early["message"]
    assert json.loads(worker.page("/readyz"))["ready"]  # no restart would mend it
    assert terra.nobody_called()
    terra.use(terra.good)
    worker.wait_for_log("Terra or the credential is well again")


def test_a_worker_starts_with_a_bad_certificate(tls_flow, bad_certificates):
    """It says so at once, before anybody asks for a link."""
    certificate, problem = bad_certificates["a stranger's"]
    tls_flow.use(certificate)
    second = tls_flow.flow.start_worker(**tls_flow.settings)
    line = second.wait_for_log("the credential could not be tried at Terra; going on without")
    assert problem in line["reason"] and line["level"] == "warn"
    assert tls_flow.nobody_called()
    second.stop()
    tls_flow.flow.workers.remove(second)
    tls_flow.use(tls_flow.good)


# ---- payloads ----


@pytest.fixture(scope="module")
def payloads(authority):
    """The events flow, whose payloads are behind TLS. Two authorities are trusted, as by who trusts the system's too."""
    with tempfile.TemporaryDirectory(prefix="terra-connect-test-") as folder, \
            EventFlows(flow="events", sandbox=("--raw-events-topic", "not.read"), redis=False, workers=0) as flows:
        both = Path(folder, "both.pem")
        both.write_text(Authority(folder).ca_file.read_text() + authority.ca_file.read_text())
        good = authority.issue()
        with TlsProxy(port_of(flows.sandbox), good) as proxy:
            flows.start_worker(EVENT_PAYLOAD_HOSTS_ALLOWED=f"localhost:{proxy.port}", EVENT_PAYLOAD_CA_FILE=both)
            flows.proxy, flows.good = proxy, good
            yield flows


def send_pointer(flows, reference_id):
    """To an event of the object store, behind the proxy. Its place."""
    (placed,) = flows.sandbox.emit({"type": "auth", "reference_id": reference_id})
    there = urllib.parse.urlsplit(placed["url"])._replace(scheme="https", netloc=f"localhost:{flows.proxy.port}")
    pointer = {"type": "s3_payload", "url": there.geturl(), "expires_in": 600}
    return flows.send_raw(json.dumps(pointer, separators=(",", ":")))


def test_a_payload_is_fetched_by_tls(payloads):
    reference_id = new_id()
    assert payloads.event(send_pointer(payloads, reference_id)).json["reference_id"] == reference_id


@pytest.mark.parametrize("bad", BAD)
def test_a_payloads_certificate_is_no_good(payloads, bad_certificates, bad):
    certificate, problem = bad_certificates[bad]
    before = payloads.worker.metric(FORBIDDEN)
    payloads.proxy.use(certificate)
    letter = payloads.dead_letter(send_pointer(payloads, new_id()))
    assert letter.header("error-code") == b"payload_forbidden"
    assert problem in letter.header("__dlq.errors.message").decode()
    assert payloads.worker.metric(FORBIDDEN) == before + 1
    payloads.proxy.use(payloads.good)
    mended = new_id()
    assert payloads.event(send_pointer(payloads, mended)).json["reference_id"] == mended
