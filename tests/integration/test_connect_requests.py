"""Requests and replies: what reaches Terra, what comes back, and how a request is told from another."""

import json
import tempfile
import time
import uuid
from datetime import datetime
from pathlib import Path

import pytest

from support.connect import ConnectFlow, check, is_link, new_id

STAGING = {"dev_id": "staging-dev", "api_key": "staging-key-5d1f"}
EU = {"dev_id": "eu-dev", "api_key": "eu-key-77aa"}


@pytest.fixture(scope="module")
def flow():
    with tempfile.TemporaryDirectory(prefix="terra-connect-test-") as folder:
        key_file = Path(folder, "eu-key")
        key_file.write_text(EU["api_key"] + "\n")
        environments = Path(folder, "environments.json")
        environments.write_text(json.dumps({
            "staging": {**STAGING, "request_defaults": {
                "language": "de", "show_disconnect": True, "providers": ["OURA"],
                "auth_failure_redirect_url": "https://staging.example/failed"}},
            "eu": {"dev_id": EU["dev_id"], "api_key_file": str(key_file), "rate_limit": "0"},
        }))
        accounts = ["default:sandbox-dev:sandbox-key", f"staging:{STAGING['dev_id']}:{STAGING['api_key']}",
            f"eu:{EU['dev_id']}:{EU['api_key']}"]
        arguments = [part for account in accounts for part in ("--credential", account)]
        with ConnectFlow({"TERRA_ENVIRONMENTS_FILE": environments}, arguments) as flow:
            flow.worker.secrets |= {STAGING["api_key"], EU["api_key"]}
            yield flow


def the_call(flow, reference_id):
    """The only call that was made for it."""
    calls = flow.calls_for(reference_id)
    assert len(calls) == 1, calls
    return calls[0]


def body_of(flow, reference_id):
    return json.loads(the_call(flow, reference_id)["body"])


# ---- what a link request is ----

def test_a_reference_id_is_a_whole_request(flow):
    user = new_id()
    before = time.time()
    reply = flow.ask({"reference_id": user}, key=user)
    value = reply.json
    assert set(value) == {"status", "request_id", "reference_id", "environment", "attempts", "link", "url",
        "session_id", "link_expires_at", "warnings"}
    assert value["status"] == "success" and value["reference_id"] == user and value["environment"] == "default"
    assert value["attempts"] == 1 and value["warnings"] == []
    assert is_link(value["link"]) and value["url"] == value["link"]
    assert uuid.UUID(value["session_id"]) and value["session_id"] not in value["link"]
    expires = datetime.fromisoformat(value["link_expires_at"].replace("Z", "+00:00")).timestamp()
    assert before + 86400 - 1 <= expires <= time.time() + 86400
    assert reply.key == user.encode()
    call = the_call(flow, user)
    assert call["endpoint"] == "widget_session" and call["method"] == "POST"
    assert call["body"] == json.dumps({"reference_id": user}, separators=(",", ":"))


def test_the_call_has_these_headers_and_no_other(flow):
    user = new_id()
    flow.ask({"reference_id": user})
    headers = the_call(flow, user)["headers"]
    assert sorted(name for name, _ in headers) == sorted(
        ["Host", "User-Agent", "Accept", "Content-Type", "Content-Length", "dev-id", "x-api-key"])
    values = dict(map(tuple, headers))
    assert values["dev-id"] == "sandbox-dev" and values["x-api-key"] == "sandbox-key"
    assert values["Content-Type"] == "application/json"
    assert values["User-Agent"].startswith("terra-connect/")


@pytest.mark.parametrize("given", ["GARMIN", "garmin", "Garmin"])
def test_a_provider_gets_a_direct_link(flow, given):
    user = new_id()
    value = flow.ask({"reference_id": user, "provider": given}).json
    assert set(value) == {"status", "request_id", "reference_id", "environment", "attempts", "link", "auth_url",
        "user_id", "link_expires_at", "warnings"}
    assert value["status"] == "success" and is_link(value["link"]) and value["auth_url"] == value["link"]
    assert uuid.UUID(value["user_id"])
    assert value["link_expires_at"] is None
    call = the_call(flow, user)
    assert call["endpoint"] == "authenticate_user"
    assert call["target"] == "/api/v2/auth/authenticateUser?resource=GARMIN"
    assert json.loads(call["body"]) == {"reference_id": user}


def test_every_widget_field_reaches_terra(flow):
    uids = [str(uuid.uuid4()) for _ in range(2)]
    for uid in uids:
        flow.sandbox.control("POST", "/users", {"user_id": uid})
    user = new_id("Zoë ✓ \"q\" \\")
    fields = {
        "language": "zh-CN",
        "auth_success_redirect_url": "https://app.example/ok?rid=7f3a&x=%C3%A9",
        "auth_failure_redirect_url": "myapp://failed/here",
        "show_disconnect": False,
        "connected_uids": uids,
        "multi_auth": True,
        "bypass_feedback": False,
        "use_terra_avengers_app": True,
        "apple_app_url": "https://app.example/ios",
        "samsung_app_url": "samsungapp://open",
    }
    value = flow.ask({"reference_id": user, "providers": ["garmin", "OURA", "Garmin", "FREESTYLELIBRE"], **fields}).json
    assert value["status"] == "success", value
    assert body_of(flow, user) == {"reference_id": user, "providers": "GARMIN,OURA,FREESTYLELIBRE",
        **fields, "language": "zh_cn"}


def test_every_direct_field_reaches_terra(flow):
    user = new_id()
    fields = {"language": "fr", "auth_success_redirect_url": "https://app.example/ok",
        "auth_failure_redirect_url": "https://app.example/no", "sdk_app": "avengers"}
    value = flow.ask({"reference_id": user, "provider": "APPLE_HEALTH", **fields}).json
    assert value["status"] == "success", value
    assert body_of(flow, user) == {"reference_id": user, **fields}


def test_multi_auth_in_place_of_a_url(flow):
    user = new_id()
    assert flow.ask({"reference_id": user, "auth_success_redirect_url": "multi-auth"}).json["status"] == "success"
    assert body_of(flow, user) == {"reference_id": user, "auth_success_redirect_url": "multi-auth"}


def test_null_is_the_same_as_left_out(flow):
    user = new_id()
    names = ("request_id", "environment", "action", "timeout_seconds", "provider", "providers", "language",
        "auth_success_redirect_url", "auth_failure_redirect_url", "show_disconnect", "multi_auth",
        "bypass_feedback", "use_terra_avengers_app", "connected_uids", "apple_app_url", "samsung_app_url", "sdk_app")
    value = flow.ask({"reference_id": user, **dict.fromkeys(names)}).json
    assert value["status"] == "success" and value["warnings"] == []
    assert body_of(flow, user) == {"reference_id": user}


def test_unknown_and_unused_fields_are_warnings_and_not_sent(flow):
    user = new_id()
    value = flow.ask({"reference_id": user, "langage": "fr", "sdk_app": "grip", "shoe_size": 42}).json
    assert value["status"] == "success"
    assert body_of(flow, user) == {"reference_id": user}
    warnings = "\n".join(value["warnings"])
    assert len(value["warnings"]) == 3
    assert '"langage"' in warnings and 'did you mean "language"?' in warnings
    assert '"sdk_app"' in warnings and '"shoe_size"' in warnings


def test_warnings_of_terra_come_with_the_link(flow):
    value = flow.ask({"reference_id": new_id(), "providers": ["GARMIN", "ACME"]}).json
    assert value["status"] == "success" and value["warnings"] == ["provider ACME is unknown"]


# ---- environments ----

def test_each_environment_has_its_credential_and_defaults(flow):
    users = {name: new_id() for name in ("default", "staging", "eu")}
    for name, user in users.items():
        value = flow.ask({"reference_id": user, "environment": name}).json
        assert value["status"] == "success" and value["environment"] == name
        assert the_call(flow, user)["environment"] == name
    assert body_of(flow, users["default"]) == {"reference_id": users["default"]}
    assert body_of(flow, users["eu"]) == {"reference_id": users["eu"]}
    assert body_of(flow, users["staging"]) == {"reference_id": users["staging"], "language": "de",
        "show_disconnect": True, "providers": "OURA", "auth_failure_redirect_url": "https://staging.example/failed"}


def test_a_request_overrides_the_defaults_of_its_environment(flow):
    widget, direct = new_id(), new_id()
    own = {"language": "it", "show_disconnect": False, "providers": ["GARMIN"]}
    assert flow.ask({"reference_id": widget, "environment": "staging", **own}).json["warnings"] == []
    assert body_of(flow, widget) == {"reference_id": widget, "language": "it", "show_disconnect": False,
        "providers": "GARMIN", "auth_failure_redirect_url": "https://staging.example/failed"}
    # A direct link has no use for some of them; nobody asked for those here, so nothing is said about them.
    value = flow.ask({"reference_id": direct, "environment": "staging", "provider": "OURA"}).json
    assert value["status"] == "success" and value["warnings"] == []
    assert body_of(flow, direct) == {"reference_id": direct, "language": "de",
        "auth_failure_redirect_url": "https://staging.example/failed"}


def test_an_unknown_environment(flow):
    user = new_id()
    value = flow.ask({"reference_id": user, "environment": "prod"}).json
    assert value["error"]["code"] == "unknown_environment" and value["environment"] == "prod"
    assert "staging" in value["error"]["message"] and value["error"]["retryable"] is False
    assert flow.calls_for(user) == []


def test_one_key_wrong_does_not_concern_the_others(flow):
    flow.sandbox.set_credential("eu", api_key="changed")
    try:
        refused = flow.ask({"reference_id": new_id(), "environment": "eu"}).json
        served = flow.ask({"reference_id": new_id(), "environment": "staging"}).json
    finally:
        flow.sandbox.set_credential("eu", api_key=EU["api_key"])
    assert refused["error"]["code"] == "credentials_rejected"
    assert served["status"] == "success"


# ---- headers ----

CORRELATIONS = [b"r-17", b"\x00\x01\xfe\xff" * 4, "é✓".encode(), b"", b"x" * 3000]


@pytest.mark.parametrize("name", ["kafka_correlationId", "correlation-id"])
@pytest.mark.parametrize("correlation", CORRELATIONS, ids=["text", "binary", "utf8", "empty", "long"])
def test_correlation_is_echoed_byte_for_byte(flow, name, correlation):
    for value in ({"reference_id": new_id()}, {"reference_id": 5}):
        reply = flow.ask(value, headers={name: correlation})
        assert reply.header(name) == correlation
        assert [header for header, _ in reply.headers].count(name) == 1


def test_trace_headers_pass_through(flow):
    trace = {"traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": b"a=1,b=2",
        "kafka_correlationId": b"\x01\x02", "correlation-id": b"both"}
    place = flow.send({"reference_id": new_id()}, headers={**trace, "cookie": b"not echoed"})
    for record in (flow.reply(place), flow.outcome(place)):
        assert {name: record.header(name) for name in trace} == trace
        assert record.header("cookie") is None


def test_echoed_headers_are_bounded(flow):
    reply = flow.ask({"reference_id": new_id()},
        headers={"correlation-id": b"c" * 5000, "traceparent": b"t" * 5000})
    assert reply.json["status"] == "success"
    assert reply.header("correlation-id") == b"c" * 5000 and reply.header("traceparent") is None


def test_cloud_event_headers(flow):
    user = new_id()
    place = flow.send({"reference_id": user})
    for record, kind in ((flow.reply(place), "connect-reply"), (flow.outcome(place), "connect-outcome")):
        headers = dict(record.headers)
        assert len(headers) == len(record.headers)
        moment = datetime.fromisoformat(headers.pop("ce_time").decode().replace("Z", "+00:00"))
        assert abs(moment.timestamp() - time.time()) < 60
        assert headers == {
            "ce_specversion": b"1.0",
            "ce_id": f"{place}/{kind}".encode(),
            "ce_source": f"/terra-connect/{flow.topics.group}".encode(),
            "ce_type": f"terra-connect.{kind}.v1".encode(),
            "ce_subject": user.encode(),
            "ce_dataschema": f"urn:terra-connect:schema:{kind}:1".encode(),
            "content-type": b"application/json",
        }


def test_an_error_reply_says_its_code_in_a_header(flow):
    reply = flow.ask({"reference_id": new_id(), "provider": "NO_SUCH_ONE"})
    assert reply.json["error"]["code"] == "rejected_by_terra"
    assert reply.header("error-code") == b"rejected_by_terra"
    assert flow.ask({"reference_id": new_id()}).header("error-code") is None


# ---- request_id ----

def test_a_request_is_known_by_its_own_id_first(flow):
    value = flow.ask({"reference_id": new_id(), "request_id": "mine-1 ✓"}, headers={"correlation-id": b"other"}).json
    assert value["request_id"] == "mine-1 ✓"


@pytest.mark.parametrize("correlation, request_id", [
    (b"r-17", "r-17"),
    ("é✓".encode(), "é✓"),
    (b"\x00\xff\x10", "00ff10"),
    (b"tab\there", b"tab\there".hex()),
    (b"y" * 256, "y" * 256),
    (b"y" * 257, (b"y" * 128).hex()),
])
def test_else_by_the_correlation_header(flow, correlation, request_id):
    value = flow.ask({"reference_id": new_id()}, headers={"correlation-id": correlation}).json
    assert value["request_id"] == request_id


def test_of_two_correlation_headers_springs_counts(flow):
    value = flow.ask({"reference_id": new_id()},
        headers={"correlation-id": b"other", "kafka_correlationId": b"springs"}).json
    assert value["request_id"] == "springs"


def test_else_by_its_place(flow):
    place = flow.send({"reference_id": new_id()}, partition=2)
    assert flow.reply(place).json["request_id"] == place.replace("/", "-")


# ---- the key ----

def test_replies_and_outcomes_are_keyed_by_reference_id(flow):
    user = new_id()
    place = flow.send({"reference_id": user}, key="something else")
    assert flow.reply(place).key == user.encode() == flow.outcome(place).key
    # The same key goes to the same partition, whoever asked.
    assert flow.ask({"reference_id": user}).partition == flow.reply(place).partition


def test_without_a_reference_id_the_key_of_the_request_is_kept(flow):
    place = flow.send({"request_id": new_id("r")}, key=b"\x00key")
    assert flow.reply(place).json["reference_id"] is None
    assert flow.reply(place).key == b"\x00key"
    place = flow.send({"request_id": new_id("r")})
    assert flow.reply(place).key is None


# ---- outcomes ----

def test_an_outcome_tells_all_but_the_link(flow):
    user = new_id()
    asked_at = time.time()
    place = flow.send({"reference_id": user, "providers": ["GARMIN", "OURA"], "request_id": "r-9"})
    reply, outcome = flow.reply(place).json, check(flow.outcome(place), "connect-outcome")
    for name in ("status", "request_id", "reference_id", "environment", "attempts", "session_id", "link_expires_at",
            "warnings"):
        assert outcome[name] == reply[name]
    assert outcome["kind"] == "widget" and outcome["providers"] == ["GARMIN", "OURA"] and outcome["provider"] is None
    assert outcome["cached"] is False and outcome["error"] is None
    assert not {"link", "url", "auth_url"} & set(outcome)
    requested = datetime.fromisoformat(outcome["requested_at"].replace("Z", "+00:00")).timestamp()
    assert abs(requested - asked_at) < 5
    assert 0 < outcome["seconds_calling"] <= outcome["seconds_total"] < 20


def test_the_outcome_of_an_error(flow):
    place = flow.send({"reference_id": new_id(), "provider": "NO_SUCH_ONE"})
    reply, outcome = flow.reply(place).json, flow.outcome(place).json
    assert outcome["error"] == reply["error"] and outcome["kind"] == "provider"
    assert outcome["provider"] == "NO_SUCH_ONE" and outcome["user_id"] is None
    assert flow.outcome(place).header("error-code") == b"rejected_by_terra"


def test_outcomes_can_be_turned_off(flow):
    """Another group of workers on the same requests: what it answers comes without an outcome."""
    place = flow.send({"reference_id": new_id()})
    flow.outcome(place)
    worker = flow.start_worker(KAFKA_GROUP_ID=new_id("group"), CONNECT_OUTCOMES_TOPIC="")
    try:
        source = f"/terra-connect/{worker.settings['KAFKA_GROUP_ID']}".encode()
        flow.replies.wait_for(lambda record: record.header("ce_source") == source
            and record.header("ce_id") == f"{place}/connect-reply".encode())
    finally:
        worker.stop()  # everything it began is finished now
    assert not [record for record in flow.outcomes.records if record.header("ce_source") == source]
