"""terra-sandbox itself: every endpoint, every fault, the recorder, the embedded Kafka.

    TERRA_SANDBOX=build/asan/bin/terra-sandbox python3 -m pytest tests/sandbox
"""

import email.utils
import http.client
import json
import os
import select
import signal
import socket
import struct
import subprocess
import time

import pytest

PROGRAM = os.environ.get("TERRA_SANDBOX") or os.path.join(
    os.environ.get("BUILD_BIN", "build/asan/bin"), "terra-sandbox")
JSON = {"Content-Type": "application/json"}
KEYS = {"dev-id": "sandbox-dev", "x-api-key": "sandbox-key"}
SESSION = "/api/widget/session"
LEGACY = "/api/v2/auth/generateWidgetSession"
AUTHENTICATE = "/api/v2/auth/authenticateUser"
PROBE = "/api/v2/userInfo?user_id=00000000-0000-0000-0000-000000000000"


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)


class Sandbox:
    def __init__(self, *arguments):
        self.process = subprocess.Popen([PROGRAM, *arguments], stdout=subprocess.PIPE, text=True)
        self.ready = json.loads(self.process.stdout.readline())
        self.port = int(self.ready["terra"].split(":")[2].split("/")[0])

    def connect(self, timeout=10):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def call(self, method, target, body=None, headers=None, connection=None, timeout=10):
        one = connection or self.connect(timeout)
        try:
            payload = body if body is None or isinstance(body, (str, bytes)) else json.dumps(body)
            one.request(method, target, payload, headers if headers is not None else KEYS | JSON)
            return Answer(one.getresponse())
        finally:
            if connection is None:
                one.close()

    def session(self, body, **more):
        return self.call("POST", SESSION, body, **more)

    def control(self, method, path, body=None, status=200):
        answer = self.call(method, "/sandbox" + path, body, headers={})
        assert answer.status == status, answer.body
        return answer.json()

    def fault(self, **script):
        return self.control("POST", "/faults", script)["ids"][0]

    def calls(self, query=""):
        return self.control("GET", "/calls" + query)["calls"]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=20)
        self.process.stdout.close()
        return code


@pytest.fixture(scope="module")
def started():
    one = Sandbox(
        "--credential", "default:sandbox-dev:sandbox-key",
        "--credential", "old:old-dev:old-key",
        "--credential", "retired:retired-dev:retired-key:legacy_retired",
        "--credential", "empty:empty-dev:empty-key:no_sources",
        "--credential", "off:off-dev:off-key:disabled",
        "--credential", "full:full-dev:full-key:user_limit",
        "--topic", "terra.extra:7",
    )
    yield one
    assert one.stop() == 0


@pytest.fixture
def sandbox(started):
    started.control("POST", "/reset")
    return started


def wait_until(condition, what, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def keys_of(environment):
    return {"dev-id": environment + "-dev", "x-api-key": environment + "-key"} | JSON


# --- links ---

def test_widget_session(sandbox):
    answer = sandbox.session({"reference_id": "u1", "providers": "GARMIN,OURA"})
    link = answer.json()
    assert answer.status == 201
    assert link["status"] == "success" and link["expires_in"] == 86400
    assert link["url"].startswith("https://widget.sandbox.invalid/session/")
    assert link["session_id"] not in link["url"]
    assert "warnings" not in link
    assert answer.headers["x-terra-trace-id"]


def test_widget_session_warns_of_providers(sandbox):
    link = sandbox.session({"providers": "GARMIN,ACMEWATCH,HUAWEI,APPLE"}).json()
    assert link["warnings"] == [
        "provider ACMEWATCH is unknown",
        "provider HUAWEI is not enabled",
        "provider APPLE needs a mobile app",
    ]


def test_legacy_widget(sandbox):
    answer = sandbox.call("POST", LEGACY, {"reference_id": "u1"})
    assert (answer.status, answer.json()["expires_in"]) == (200, 900)


def test_legacy_widget_is_retired_for_some(sandbox):
    answer = sandbox.call("POST", LEGACY, {}, headers=keys_of("retired"))
    assert answer.status == 410
    assert answer.headers["Deprecation"].startswith("@")
    assert 'rel="deprecation"' in answer.headers["Link"]
    assert answer.json()["title"] == "gone"
    assert sandbox.session({}, headers=keys_of("retired")).status == 201


@pytest.mark.parametrize("resource", ["GARMIN", "oura", "APPLE_HEALTH"])
def test_authenticate_user(sandbox, resource):
    answer = sandbox.call("POST", f"{AUTHENTICATE}?resource={resource}", {"reference_id": "u1"})
    link = answer.json()
    assert answer.status == 200 and link["user_id"]
    assert link["auth_url"].startswith(
        f"https://widget.sandbox.invalid/oauth/{resource.upper()}?")


def test_authenticate_user_needs_no_body(sandbox):
    assert sandbox.call("POST", f"{AUTHENTICATE}?resource=GARMIN", headers=KEYS).status == 200


@pytest.mark.parametrize("query, status, detail", [
    ("?resource=ACMEWATCH", 404, "unknown resource"),
    ("?resource=SAMSUNG", 400, "SDK"),
    ("?resource=HUAWEI", 400, "not enabled"),
    ("", 400, "resource is missing"),
])
def test_authenticate_user_refuses(sandbox, query, status, detail):
    answer = sandbox.call("POST", AUTHENTICATE + query, {})
    problem = answer.json()
    assert answer.status == status and detail in problem["detail"]
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert problem["type"] == "about:blank" and problem["instance"] == AUTHENTICATE + query


@pytest.mark.parametrize("body", [
    "", "[]", "not json", '{"reference_id":7}', '{"multi_auth":"yes"}',
    '{"connected_uids":"x"}', '{"connected_uids":[1]}', '{"providers":{}}',
])
def test_widget_refuses_bodies(sandbox, body):
    answer = sandbox.session(body)
    assert answer.status == 400 and answer.json()["status"] == "error"


def test_widget_wants_a_content_type(sandbox):
    assert sandbox.session("{}", headers=KEYS).status == 400


def test_providers_as_an_array(sandbox):
    for target in (SESSION, LEGACY):
        answer = sandbox.call("POST", target, {"providers": ["GARMIN"]})
        assert answer.status == 500 and answer.headers["Content-Type"].startswith("text/html")


def test_connected_uids(sandbox):
    sandbox.control("POST", "/users", {"user_id": "known", "reference_id": "u1"})
    answer = sandbox.session({"connected_uids": ["known", "stranger"]})
    assert answer.status == 400 and answer.json()["invalid_user_ids"] == ["stranger"]
    assert sandbox.session({"connected_uids": ["known"]}).status == 201


# --- credentials ---

@pytest.mark.parametrize("headers, v2, widget", [
    ({}, 401, 403),
    ({"dev-id": "sandbox-dev"}, 401, 403),
    ({"dev-id": "sandbox-dev", "x-api-key": "wrong"}, 403, 403),
    ({"dev-id": "nobody", "x-api-key": "sandbox-key"}, 403, 403),
    ({"dev-id": "old-dev", "x-api-key": "sandbox-key"}, 403, 403),
    ({"Dev-Id": "sandbox-dev", "X-Api-Key": "sandbox-key"}, 500, 500),
])
def test_credentials(sandbox, headers, v2, widget):
    assert sandbox.call("GET", PROBE, headers=headers).status == v2
    answer = sandbox.session({}, headers=headers | JSON)
    assert answer.status == widget
    if widget == 403:
        assert set(answer.json()) == {"message", "status"}


@pytest.mark.parametrize("dev_id, key", [("sandbox-key", "sandbox-dev"), ("", "x"), ("x", "")])
def test_swapped_or_empty_credentials(sandbox, dev_id, key):
    for target in (SESSION, LEGACY, AUTHENTICATE + "?resource=GARMIN"):
        answer = sandbox.call("POST", target, {}, headers={"dev-id": dev_id, "x-api-key": key} | JSON)
        assert (answer.status, answer.json()) == (500, {"message": None})


def test_accounts_in_trouble(sandbox):
    answer = sandbox.session({}, headers=keys_of("empty"))
    assert answer.status == 500 and b"<html" in answer.body
    answer = sandbox.call("GET", PROBE, headers=keys_of("off"))
    assert (answer.status, answer.json()["code"]) == (403, "environment_disabled")
    answer = sandbox.session({}, headers=keys_of("full"))
    assert answer.status == 403 and "User Limit Reached" in answer.json()["message"]


def test_key_rotation(sandbox):
    def status(key):
        return sandbox.call("GET", PROBE, headers={"dev-id": "old-dev", "x-api-key": key}).status

    sandbox.control("POST", "/credentials", {"environment": "old", "api_key": "new-key"})
    assert (status("old-key"), status("new-key")) == (403, 404)
    sandbox.control("POST", "/credentials", {"environment": "old", "api_key": "old-key"})
    assert (status("old-key"), status("new-key")) == (404, 403)
    sandbox.control("POST", "/credentials", {"environment": "old", "flags": ["what"]}, status=400)


# --- neutral endpoints ---

def test_user_info(sandbox):
    assert sandbox.call("GET", PROBE).status == 404
    sandbox.control("POST", "/users", {"user_id": "id-1", "provider": "OURA", "reference_id": "u1"})
    one = sandbox.call("GET", "/api/v2/userInfo?user_id=id-1").json()
    assert one["user"]["provider"] == "OURA" and one["is_authenticated"] is True
    assert [u["user_id"] for u in sandbox.call("GET", "/api/v2/userInfo?reference_id=u1").json()] == ["id-1"]
    assert sandbox.call("GET", "/api/v2/userInfo?user_id=id-1", headers=keys_of("old")).status == 404


def test_subscriptions(sandbox):
    for i in range(3):
        sandbox.control("POST", "/users", {"user_id": f"id-{i}"})
    whole = sandbox.call("GET", "/api/v2/subscriptions").json()
    assert [u["user_id"] for u in whole["users"]] == ["id-0", "id-1", "id-2"]
    page = sandbox.call("GET", "/api/v2/subscriptions?page=0&per_page=2").json()
    assert (len(page["results"]), page["max_page"], page["next"]) == (2, 1, 1)
    page = sandbox.call("GET", "/api/v2/subscriptions?page=1&per_page=2").json()
    assert (len(page["results"]), page["next"]) == (1, None)
    assert sandbox.call("GET", "/api/v2/subscriptions?page=x").status == 400


def test_integrations(sandbox):
    plain = sandbox.call("GET", "/api/v2/integrations", headers={}).json()
    assert "GARMIN" in plain["providers"] and "APPLE_HEALTH" in plain["sdk_providers"]

    def enabled(headers, sdk=""):
        rows = sandbox.call("GET", "/api/v2/integrations/detailed" + sdk, headers=headers).json()
        return {row["provider"]: row["enabled"] for row in rows["providers"]}

    assert enabled({})["HUAWEI"] is True
    assert enabled({"dev-id": "sandbox-dev"})["HUAWEI"] is False
    assert not any(enabled({"dev-id": "empty-dev"}).values())
    assert "APPLE" not in enabled({}) and "APPLE" in enabled({}, "?sdk=true")


def test_unknown_paths_and_methods(sandbox):
    assert sandbox.call("GET", "/api/v2/nothing").status == 404
    answer = sandbox.call("GET", SESSION)
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


def test_pages(sandbox):
    redirect = "https://app.example.org/ok?rid=1"
    body = {"reference_id": "<u&1>", "providers": "OURA", "auth_success_redirect_url": redirect}
    link = sandbox.session(body).json()["url"]
    page = sandbox.call("GET", link.removeprefix("https://widget.sandbox.invalid"), headers={})
    text = page.body.decode()
    assert page.status == 200 and "Oura" in text and "Garmin" not in text
    assert "&lt;u&amp;1&gt;" in text and "<u&1>" not in text
    assert "do=complete&amp;provider=OURA" in text and "do=cancel&amp;provider=OURA" in text
    link = sandbox.call("POST", AUTHENTICATE + "?resource=GARMIN", {}).json()["auth_url"]
    page = sandbox.call("GET", link.removeprefix("https://widget.sandbox.invalid"), headers={})
    assert page.status == 200 and "Garmin" in page.body.decode()
    assert sandbox.call("GET", "/session/unknown", headers={}).status == 404


# --- magic reference ids ---

@pytest.mark.parametrize("code, status", [
    ("rejected_by_terra", 400), ("credentials_rejected", 403), ("endpoint_retired", 410),
    ("user_limit_reached", 403), ("terra_unavailable", 503), ("rate_limited", 429),
    ("invalid_request", 400), ("redirect_not_allowed", 400), ("reply_address_rejected", 400),
    ("unknown_environment", 400), ("internal_error", 400),
])
def test_magic_error_codes(sandbox, code, status):
    for target in (SESSION, LEGACY, AUTHENTICATE + "?resource=GARMIN"):
        for tail in ("", "-17"):
            answer = sandbox.call("POST", target, {"reference_id": f"sandbox-{code}{tail}"})
            assert answer.status == status
            assert answer.headers["Retry-After"] == ("1" if status == 429 else None)


def test_magic_slow(sandbox):
    started = time.monotonic()
    assert sandbox.session({"reference_id": "sandbox-slow-120-x"}).status == 201
    assert 0.115 < time.monotonic() - started < 5


def test_magic_flaky(sandbox):
    body = {"reference_id": "sandbox-flaky-2-x"}
    assert [sandbox.session(body).status for _ in range(6)] == [503, 503, 201, 503, 503, 201]


def test_magic_deadline_exceeded(sandbox):
    with pytest.raises(TimeoutError):
        sandbox.session({"reference_id": "sandbox-deadline_exceeded-1"}, timeout=0.3)
    wait_until(lambda: sandbox.calls()[0]["outcome"] == "client_gone", "the sandbox never noticed")
    assert sandbox.calls()[0]["status"] is None


def test_magic_that_means_nothing(sandbox):
    assert "sandbox-" in sandbox.session({"reference_id": "sandbox-ratelimited-1"}).json()["warnings"][0]
    assert "warnings" not in sandbox.session({"reference_id": "sandboxes"}).json()


# --- scripted faults ---

def test_fault_status_body_headers(sandbox):
    sandbox.fault(status=429, body={"detail": "slow down"}, headers={"X-Rule": "r2"}, retry_after=7)
    answer = sandbox.session({})
    assert (answer.status, answer.json()) == (429, {"detail": "slow down"})
    assert (answer.headers["X-Rule"], answer.headers["Retry-After"]) == ("r2", "7")
    assert sandbox.session({}).status == 201


def test_fault_retry_after_as_a_date(sandbox):
    sandbox.fault(status=503, retry_after_date=30)
    before = time.time()
    at = email.utils.parsedate_to_datetime(sandbox.session({}).headers["Retry-After"]).timestamp()
    assert before + 29.9 <= at <= time.time() + 31.1


def test_fault_without_a_body_is_terras(sandbox):
    sandbox.fault(status=403, count=2)
    assert set(sandbox.session({}).json()) == {"message", "status"}
    assert sandbox.call("GET", PROBE).json()["title"] == "forbidden"


def test_fault_matching(sandbox):
    sandbox.control("POST", "/faults", [
        {"endpoint": "legacy_widget", "status": 404, "count": 0},
        {"reference_id_prefix": "vip-", "status": 502},
        {"environment": "old", "status": 504, "skip": 1},
    ])
    assert sandbox.session({}).status == 201
    assert [sandbox.call("POST", LEGACY, {}).status for _ in range(3)] == [404] * 3
    assert [sandbox.session({"reference_id": "vip-1"}).status for _ in range(2)] == [502, 201]
    assert [sandbox.session({}, headers=keys_of("old")).status for _ in range(3)] == [201, 504, 201]
    left = {f["id"]: f["left"] for f in sandbox.control("GET", "/faults")["faults"]}
    assert sorted(left.values(), key=str) == [0, 0, None]
    sandbox.control("DELETE", f"/faults?id={min(left)}")
    assert sandbox.call("POST", LEGACY, {}).status == 200
    sandbox.control("DELETE", "/faults")
    assert sandbox.control("GET", "/faults")["faults"] == []


@pytest.mark.parametrize("script", [
    {"kind": "melt"}, {"endpoint": "x"}, {"status": 99}, {"count": 1.5}, {"headers": {"a": 1}},
    {"delay_ms": -1}, {"stauts": 500}, [{"status": 500}, {"status": "500"}], 7, None,
])
def test_fault_scripts_with_mistakes(sandbox, script):
    assert "error" in sandbox.control("POST", "/faults", script, status=400)
    assert sandbox.control("GET", "/faults")["faults"] == []


@pytest.mark.parametrize("kind, status, part", [
    ("html", 500, b"<!doctype html>"), ("empty", 500, b""), ("null_message", 500, b'{"message": null}'),
])
def test_fault_contents(sandbox, kind, status, part):
    sandbox.fault(kind=kind)
    answer = sandbox.session({})
    assert answer.status == status and answer.body.startswith(part)
    assert part or answer.body == b""


def test_fault_truncated(sandbox):
    sandbox.fault(kind="truncated")
    answer = sandbox.session({})
    assert answer.status == 201 and answer.body.startswith(b'{"status"')
    with pytest.raises(ValueError):
        answer.json()


@pytest.mark.parametrize("chunked", [False, True])
def test_fault_huge(sandbox, chunked):
    sandbox.fault(kind="huge", bytes=3_000_000, chunked=chunked)
    answer = sandbox.session({})
    assert len(answer.body) == 3_000_000 and answer.json()["status"] == "success"
    assert (answer.headers["Content-Length"] is None) == chunked


def test_fault_delay(sandbox):
    sandbox.fault(delay_ms=150)
    started = time.monotonic()
    assert sandbox.session({}).status == 201
    assert time.monotonic() - started > 0.145


def test_fault_stall(sandbox):
    sandbox.fault(kind="stall")
    with pytest.raises(TimeoutError):
        sandbox.session({}, timeout=0.3)
    wait_until(lambda: sandbox.calls()[0]["outcome"] == "client_gone", "the sandbox never noticed")


def test_fault_stall_mid_body(sandbox):
    sandbox.fault(kind="stall_mid_body")
    connection = sandbox.connect(timeout=0.5)
    connection.request("POST", SESSION, "{}", KEYS | JSON)
    response = connection.getresponse()
    half = response.read(20)
    assert response.status == 201 and half.startswith(b'{"status"')
    with pytest.raises(TimeoutError):
        response.read()
    connection.close()
    wait_until(lambda: sandbox.calls()[0]["outcome"] == "client_gone", "the sandbox never noticed")


def raw_exchange(sandbox):
    """What comes back on a socket of its own, and how it ended."""
    body = b"{}"
    head = "".join(f"{name}: {value}\r\n" for name, value in (KEYS | JSON).items())
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=10) as one:
        one.sendall(f"POST {SESSION} HTTP/1.1\r\nHost: x\r\n{head}Content-Length: 2\r\n\r\n".encode() + body)
        received = b""
        try:
            while part := one.recv(65536):
                received += part
        except ConnectionResetError:
            return received, "reset"
        return received, "closed"


@pytest.mark.parametrize("kind, end", [("drop", "closed"), ("reset", "reset")])
def test_fault_no_byte(sandbox, kind, end):
    sandbox.fault(kind=kind)
    assert raw_exchange(sandbox) == (b"", end)
    assert sandbox.calls()[0]["outcome"] == "broken" and sandbox.calls()[0]["status"] is None


def test_fault_reset_mid_body(sandbox):
    sandbox.fault(kind="reset_mid_body")
    received, end = raw_exchange(sandbox)
    assert end == "reset" and received.startswith(b"HTTP/1.1 201 ") and b'{"status"' in received


def test_fault_raw(sandbox):
    sandbox.fault(kind="raw", body="SSH-2.0-OpenSSH\r\n")
    assert raw_exchange(sandbox) == (b"SSH-2.0-OpenSSH\r\n", "closed")


def test_fault_close(sandbox):
    sandbox.fault(kind="close")
    connection = sandbox.connect()
    answer = sandbox.session({}, connection=connection)
    assert answer.status == 201 and answer.headers["Connection"] is None
    assert select.select([connection.sock], [], [], 10)[0] and connection.sock.recv(1) == b""


def test_fault_on_kept_connections_only(sandbox):
    sandbox.fault(kind="drop", kept_connection=True)
    assert sandbox.session({}).status == 201
    connection = sandbox.connect()
    assert sandbox.session({}, connection=connection).status == 201
    with pytest.raises(http.client.RemoteDisconnected):
        sandbox.session({}, connection=connection)


def test_latency(sandbox):
    sandbox.control("POST", "/latency", {"milliseconds": 100, "jitter_milliseconds": 20})
    started = time.monotonic()
    assert sandbox.session({}).status == 201
    assert time.monotonic() - started > 0.095
    sandbox.control("POST", "/latency", {"milliseconds": "x"}, status=400)


def test_many_delayed_answers_at_once(sandbox):
    sandbox.control("POST", "/latency", {"milliseconds": 400})
    connections = [sandbox.connect() for _ in range(200)]
    started = time.monotonic()
    for connection in connections:
        connection.request("POST", SESSION, "{}", KEYS | JSON)
    for connection in connections:
        assert Answer(connection.getresponse()).status == 201
        connection.close()
    assert time.monotonic() - started < 10


# --- records ---

def test_record(sandbox):
    before = time.time() * 1e6, time.monotonic() * 1e6
    body = '{"reference_id": "u-é"}'
    headers = KEYS | JSON | {"X-Odd-CASE": "Value"}
    sandbox.session(body.encode(), headers=headers)
    (call,) = sandbox.calls()
    assert (call["endpoint"], call["method"], call["target"]) == ("widget_session", "POST", SESSION)
    assert (call["environment"], call["reference_id"], call["body"]) == ("default", "u-é", body)
    assert (call["status"], call["outcome"]) == (201, "sent")
    assert [n for n, _ in call["headers"]][-4:] == ["dev-id", "x-api-key", "Content-Type", "X-Odd-CASE"]
    assert ["x-api-key", "sandbox-key"] in call["headers"]
    assert before[0] <= call["wall_us"] <= time.time() * 1e6
    assert before[1] <= call["monotonic_us"] <= call["finished_us"] <= time.monotonic() * 1e6


def test_record_of_faults_and_broken_input(sandbox):
    fault = sandbox.fault(status=500)
    sandbox.session({})
    sandbox.session({"reference_id": "sandbox-flaky-1"})
    sandbox.session(b"\xff\x00", headers=JSON)
    first, second, third = sandbox.calls()
    assert (first["fault"], first["magic"]) == (fault, False)
    assert (second["fault"], second["magic"]) == (None, True)
    assert (third["environment"], third["reference_id"], third["body_size"]) == (None, None, 2)


def test_record_filters(sandbox):
    for i in range(6):
        sandbox.session({"reference_id": f"u{i % 2}"}, headers=keys_of("old" if i < 2 else "sandbox"))
    sandbox.call("GET", PROBE)
    assert len(sandbox.calls("?reference_id=u1")) == 3
    assert len(sandbox.calls("?reference_id_prefix=u&environment=old")) == 2
    assert [c["status"] for c in sandbox.calls("?endpoint=user_info")] == [404]
    assert len(sandbox.calls("?status=201")) == 6
    page = sandbox.control("GET", "/calls?limit=4")
    assert len(page["calls"]) == 4 and page["more"] is True
    rest = sandbox.control("GET", f"/calls?since={page['last']}")
    assert len(rest["calls"]) == 3 and rest["more"] is False
    sandbox.control("GET", "/calls?limit=x", status=400)
    sandbox.control("DELETE", "/calls")
    assert sandbox.calls() == []


def test_record_count(sandbox):
    assert sandbox.control("GET", "/calls/count")["count"] == 0
    connection = sandbox.connect()
    for _ in range(5):
        sandbox.session({}, connection=connection)
    sandbox.fault(delay_ms=1100)
    sandbox.session({}, connection=connection)
    sandbox.call("GET", PROBE, connection=connection)
    count = sandbox.control("GET", "/calls/count")
    assert count["count"] == 7 and count["new_connections"] == 1
    assert count["by_status"] == {"201": 6, "404": 1}
    assert count["by_endpoint"] == {"widget_session": 6, "user_info": 1}
    assert count["by_outcome"] == {"sent": 7}
    assert count["busiest_second"] == 6
    assert count["last_us"] - count["first_us"] > 1_100_000
    assert sandbox.control("GET", "/calls/count?endpoint=user_info")["busiest_second"] == 1


def test_record_of_a_call_under_way(sandbox):
    sandbox.fault(delay_ms=60_000)
    connection = sandbox.connect()
    connection.request("POST", SESSION, "{}", KEYS | JSON)
    wait_until(lambda: len(sandbox.calls()) == 1, "no call arrived")
    assert sandbox.calls()[0]["outcome"] == "waiting"
    connection.close()
    wait_until(lambda: sandbox.calls()[0]["outcome"] == "client_gone", "the sandbox never noticed")


def test_record_is_a_ring():
    sandbox = Sandbox("--no-kafka", "--records", "10")
    try:
        for i in range(25):
            sandbox.session({"reference_id": f"u{i}"})
        page = sandbox.control("GET", "/calls")
        assert [c["reference_id"] for c in page["calls"]] == [f"u{i}" for i in range(15, 25)]
        assert (page["recorded"], page["dropped"]) == (25, 15)
    finally:
        assert sandbox.stop() == 0


def test_control_answers_mistakes(sandbox):
    sandbox.control("GET", "/nothing", status=404)
    sandbox.control("PUT", "/calls", status=405)
    sandbox.control("POST", "/faults", "{", status=400)
    assert b"/sandbox/calls/count" in sandbox.call("GET", "/sandbox").body


# --- the embedded Kafka ---

def text(value):
    return struct.pack(">h", len(value)) + value.encode()


def kafka_topics(address, timeout=10):
    """Partitions by topic, from a Metadata request of version 1."""
    host, port = address.split(":")
    request = struct.pack(">hhi", 3, 1, 1) + text("test") + struct.pack(">i", -1)
    with socket.create_connection((host, int(port)), timeout=timeout) as one:
        one.sendall(struct.pack(">i", len(request)) + request)
        stream = one.makefile("rb")
        size = stream.read(4)
        if len(size) < 4:
            raise ConnectionError("closed")
        answer = stream.read(struct.unpack(">i", size)[0])
    place = 4

    def take(form):
        nonlocal place
        values = struct.unpack_from(">" + form, answer, place)
        place += struct.calcsize(">" + form)
        return values[0]

    def take_text():
        nonlocal place
        size = max(take("h"), 0)
        place += size
        return answer[place - size:place].decode()

    for _ in range(take("i")):
        take("i"), take_text(), take("i"), take_text()
    take("i")
    topics = {}
    for _ in range(take("i")):
        take("h")
        name = take_text()
        take("b")
        topics[name] = take("i")
        for _ in range(topics[name]):
            take("h"), take("i"), take("i")
            for _ in range(take("i")):
                take("i")
            for _ in range(take("i")):
                take("i")
    return topics


def kafka_handshake(address):
    """The error code of an ApiVersion request of version 0; None when the broker hangs up."""
    host, port = address.split(":")
    request = struct.pack(">hhi", 18, 0, 1) + text("test")
    with socket.create_connection((host, int(port)), timeout=10) as one:
        one.sendall(struct.pack(">i", len(request)) + request)
        answer = one.makefile("rb").read(10)
    return struct.unpack(">h", answer[8:])[0] if answer else None


def test_kafka_topics(sandbox):
    topics = kafka_topics(sandbox.ready["kafka"])
    assert topics["terra.connect.requests"] == 4 and topics["terra.extra"] == 7
    sandbox.control("POST", "/kafka/topics", {"name": "terra.later", "partitions": 3})
    assert kafka_topics(sandbox.ready["kafka"])["terra.later"] == 3


def test_kafka_broker_down(sandbox):
    sandbox.control("POST", "/kafka/broker", {"up": False})
    with pytest.raises(OSError):
        kafka_topics(sandbox.ready["kafka"], timeout=2)
    sandbox.control("POST", "/kafka/broker", {"up": True})
    assert kafka_topics(sandbox.ready["kafka"])


def test_kafka_rtt(sandbox):
    sandbox.control("POST", "/kafka/broker", {"rtt_ms": 200})
    started = time.monotonic()
    kafka_topics(sandbox.ready["kafka"])
    assert time.monotonic() - started > 0.19


def test_kafka_errors(sandbox):
    address = sandbox.ready["kafka"]
    sandbox.control("POST", "/kafka/errors", {"request": "ApiVersion", "error": "_TRANSPORT"})
    sandbox.control("POST", "/kafka/errors", {"request": "18", "error": "5"})
    assert [kafka_handshake(address) for _ in range(3)] == [None, 5, 0]
    sandbox.control("POST", "/kafka/errors", {"request": "ApiVersion", "error": "5", "count": 9})
    assert kafka_handshake(address) == 5
    sandbox.control("DELETE", "/kafka/errors")
    assert kafka_handshake(address) == 0
    sandbox.control("POST", "/kafka/errors", {"request": "Melt", "error": "1"}, status=400)
    sandbox.control("POST", "/kafka/errors", {"request": "Fetch", "error": "MELT"}, status=400)


# --- the program ---

def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_chosen_ports_and_restart():
    kafka_port, http_port = free_port(), free_port()
    for _ in range(2):
        sandbox = Sandbox("--kafka-port", str(kafka_port), "--http-port", str(http_port))
        try:
            assert sandbox.ready["kafka"] == f"127.0.0.1:{kafka_port}"
            assert sandbox.port == http_port
            assert kafka_topics(sandbox.ready["kafka"])
            second = subprocess.run([PROGRAM, "--kafka-port", str(kafka_port)], capture_output=True, text=True)
            assert second.returncode == 1 and "cannot listen" in second.stderr
            second = subprocess.run([PROGRAM, "--no-kafka", "--http-port", str(http_port)],
                                    capture_output=True, text=True)
            assert second.returncode == 1 and "cannot listen" in second.stderr
        finally:
            assert sandbox.stop() == 0


def test_ends_while_answers_wait():
    sandbox = Sandbox("--no-kafka", "--latency-ms", "60000")
    connections = [sandbox.connect() for _ in range(20)]
    for connection in connections:
        connection.request("POST", SESSION, "{}", KEYS | JSON)
    wait_until(lambda: sandbox.control("GET", "/calls/count")["count"] == 20, "calls did not arrive")
    assert sandbox.stop() == 0
    for connection in connections:
        connection.close()


def test_links_to_itself_and_retired_for_all():
    sandbox = Sandbox("--no-kafka", "--public-url", "self", "--legacy-retired")
    try:
        link = sandbox.session({}).json()["url"]
        assert link.startswith(f"http://127.0.0.1:{sandbox.port}/session/")
        assert sandbox.call("GET", link.split(str(sandbox.port))[1], headers={}).status == 200
        assert sandbox.call("POST", LEGACY, {}).status == 410
        assert sandbox.ready["kafka"] is None
        sandbox.control("POST", "/kafka/broker", {"up": False}, status=400)
    finally:
        assert sandbox.stop() == 0


def test_ends_with_its_parent():
    script = f"{PROGRAM} --no-kafka --exit-with-parent & read _"
    parent = subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    pid = json.loads(parent.stdout.readline())["pid"]
    parent.kill()
    parent.wait()

    def gone():
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
                return stat.read().split()[2] == "Z"
        except FileNotFoundError:
            return True

    wait_until(gone, "it outlived its parent")
    parent.stdin.close()
    parent.stdout.close()


@pytest.mark.parametrize("arguments", [
    ["--http-port", "70000"], ["--topic", "x"], ["--topic", ":4"], ["--topic", "x:0"], ["--credential", "a:b"],
    ["--credential", "a:b:c:what"],
    ["--credential", "a:b:" + "c" * 300], ["--public-url", "ftp://x"], ["--listen", "localhost"],
    ["--raw-events-topic", ""], ["stray"], ["--what"],
])
def test_wrong_options(arguments):
    result = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True)
    assert result.returncode == 2 and result.stdout == "" and result.stderr


def test_help():
    result = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True)
    assert result.returncode == 0
    for word in ("--kafka-port", "sandbox-flaky-<n>", "/sandbox/faults", "sandbox-dev", "--raw-events-topic",
                 "/sandbox/events"):
        assert word in result.stdout
