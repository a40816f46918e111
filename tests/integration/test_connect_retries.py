"""When Terra is asked again, when it no longer is, and which of its endpoints."""

import json
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.connect import ConnectFlow, is_link, new_id

ENVIRONMENTS = ("falls-back", "gone", "revived", "steady", "direct")


@pytest.fixture(scope="module")
def flow():
    with tempfile.TemporaryDirectory(prefix="terra-connect-test-") as folder:
        credentials = {name: {"dev_id": f"{name}-dev", "api_key": f"{name}-key"} for name in ENVIRONMENTS}
        environments = Path(folder, "environments.json")
        environments.write_text(json.dumps(credentials))
        accounts = ["default:sandbox-dev:sandbox-key",
            *(f"{name}:{given['dev_id']}:{given['api_key']}" for name, given in credentials.items())]
        arguments = [part for account in accounts for part in ("--credential", account)]
        # What Terra says to one test's request holds back all requests, so not for long.
        with ConnectFlow({"TERRA_ENVIRONMENTS_FILE": environments, "TERRA_ATTEMPTS_MAX": 20,
                "TERRA_COOLDOWN_MAX": "1s"}, arguments) as flow:
            yield flow


@pytest.fixture
def fault(flow):
    """fault(user, …): a script for that user's calls."""
    def add(user, **script):
        return flow.sandbox.add_fault(reference_id_prefix=user, **script)
    yield add
    flow.sandbox.clear_faults()


# ---- Retry-After ----

def test_retry_after_in_seconds(flow, fault):
    user = new_id()
    fault(user, status=429, retry_after=1)
    assert is_link(flow.ask({"reference_id": user}).json["link"])
    refused, served = flow.calls_for(user)
    assert served["monotonic_us"] - refused["finished_us"] >= 1_000_000


def test_retry_after_as_a_date(flow, fault):
    """A date has whole seconds: of three of them at least two are left when it arrives."""
    user = new_id()
    fault(user, status=503, retry_after_date=3)
    assert is_link(flow.ask({"reference_id": user}).json["link"])
    refused, served = flow.calls_for(user)
    assert served["monotonic_us"] - refused["finished_us"] >= 2_000_000


@pytest.mark.parametrize("retry_after", ["soon", "-5", "", "Wed, 99 Foo 2026 99:99:99 GMT"])
def test_a_retry_after_that_says_nothing(flow, fault, retry_after):
    user = new_id()
    fault(user, status=503, headers={"Retry-After": retry_after})
    reply = flow.ask({"reference_id": user}).json
    assert is_link(reply["link"]) and reply["attempts"] == 2


@pytest.mark.parametrize("status, code", [(429, "rate_limited"), (503, "terra_unavailable")])
def test_a_retry_after_past_the_deadline_is_told_at_once(flow, fault, status, code):
    user = new_id()
    fault(user, status=status, retry_after=77, count=0)
    before = time.monotonic()
    reply = flow.ask({"reference_id": user, "timeout_seconds": 20}).json
    assert time.monotonic() - before < 10
    assert reply["error"]["code"] == code and reply["attempts"] == 1 and reply["error"]["http_status"] == status
    assert 76 <= reply["error"]["retry_after_seconds"] <= 77


def test_an_absurd_retry_after_has_a_ceiling(flow, fault):
    user = new_id()
    fault(user, status=429, headers={"Retry-After": "99999999999999999999"}, count=0)
    assert 0 < flow.ask({"reference_id": user}).json["error"]["retry_after_seconds"] <= 7 * 86400


# ---- the deadline ----

def test_no_call_is_begun_after_the_deadline(flow, fault):
    user = new_id()
    fault(user, status=503, count=0)
    before = time.monotonic()
    place = flow.send({"reference_id": user, "timeout_seconds": 1.5})
    reply = flow.reply(place).json
    assert time.monotonic() - before < 4
    # Given up because the next pause would end too late, or because it did.
    assert reply["error"]["code"] in ("terra_unavailable", "deadline_exceeded")
    assert reply["error"]["retryable"] is True
    assert flow.ask_for_link()  # whatever was still to come has had time
    calls = flow.calls_for(user)
    assert len(calls) == reply["attempts"] >= 1
    assert (calls[-1]["monotonic_us"] - calls[0]["monotonic_us"]) < 1_500_000


def test_an_attempt_ends_with_the_deadline(flow, fault):
    """TERRA_TIMEOUT is 15 s here; the request gives less."""
    user = new_id()
    fault(user, kind="stall", count=0)
    before = time.monotonic()
    places = flow.send_all([{"reference_id": user + str(i), "timeout_seconds": 0.7} for i in range(20)])
    replies = [flow.reply(place).json for place in places]
    assert 0.65 < time.monotonic() - before < 5
    assert {reply["error"]["code"] for reply in replies} == {"deadline_exceeded"}
    assert {reply["attempts"] for reply in replies} == {1}


def seconds_ago(seconds):
    return int((time.time() - seconds) * 1000)


def test_a_late_request_costs_no_call(flow):
    user = new_id()
    place = flow.send({"reference_id": user}, timestamp_ms=seconds_ago(31))
    reply = flow.reply(place).json
    assert reply["error"]["code"] == "deadline_exceeded" and reply["attempts"] == 0
    assert reply["error"]["http_status"] is None
    assert flow.calls_for(user) == []
    assert flow.outcome(place).json["seconds_total"] >= 31


def test_a_request_decides_for_itself_when_it_is_late(flow):
    assert flow.ask({"reference_id": new_id(), "timeout_seconds": 60}, timestamp_ms=seconds_ago(31)).json["link"]
    reply = flow.ask({"reference_id": new_id(), "timeout_seconds": 5}, timestamp_ms=seconds_ago(6)).json
    assert reply["error"]["code"] == "deadline_exceeded"


def test_a_late_repeat_gets_its_link(flow):
    value = {"reference_id": new_id(), "request_id": new_id("r")}
    first = flow.ask(value).json
    late = flow.ask(value, timestamp_ms=seconds_ago(300)).json
    assert late["link"] == first["link"] and late["attempts"] == 0
    assert len(flow.calls_for(value["reference_id"])) == 1


def test_a_timestamp_in_the_future_counts_as_arrival(flow, fault):
    user = new_id()
    fault(user, kind="stall", count=0)
    before = time.monotonic()
    place = flow.send({"reference_id": user, "timeout_seconds": 0.5}, timestamp_ms=seconds_ago(-3600))
    assert flow.reply(place).json["error"]["code"] == "deadline_exceeded"
    assert 0.45 < time.monotonic() - before < 5


def test_retries_back_off(flow, fault):
    """Full jitter: no two requests wait alike, and none for longer than its attempt allows."""
    users = [new_id() for _ in range(8)]
    for user in users:
        fault(user, status=503, count=2)
    places = flow.send_all([{"reference_id": user} for user in users])
    assert all(flow.reply(place).json["attempts"] == 3 for place in places)
    pauses = []
    for user in users:
        calls = flow.calls_for(user)
        gaps = [(later["monotonic_us"] - earlier["finished_us"]) / 1e6 for earlier, later in zip(calls, calls[1:])]
        assert gaps[0] < 0.5 + 0.5 and gaps[1] < 1.0 + 0.5
        pauses += gaps
    assert len({round(pause, 2) for pause in pauses}) > len(pauses) / 2


def test_a_retry_does_not_hold_up_the_others(flow, fault):
    user = new_id()
    fault(user, status=503, retry_after=2)
    place = flow.send({"reference_id": user}, partition=0)
    before = time.monotonic()
    other = flow.send({"reference_id": new_id()}, partition=0)
    assert flow.reply(other).json["link"] and time.monotonic() - before < 2
    assert flow.reply(place).json["attempts"] == 2


# ---- which widget endpoint ----

def ask(flow, environment, **fields):
    user = new_id()
    reply = flow.ask({"reference_id": user, "environment": environment, **fields}).json
    return reply, [call["endpoint"] for call in flow.calls_for(user)]


def test_auto_falls_back_and_remembers(flow):
    gone = flow.sandbox.add_fault(environment="falls-back", endpoint="widget_session", status=404, count=0)
    reply, endpoints = ask(flow, "falls-back")
    assert is_link(reply["link"]) and endpoints == ["widget_session", "legacy_widget"] and reply["attempts"] == 2
    for _ in range(2):
        reply, endpoints = ask(flow, "falls-back")
        assert is_link(reply["link"]) and endpoints == ["legacy_widget"] and reply["attempts"] == 1
    # Per credential: another account has its own.
    assert ask(flow, "default")[1] == ["widget_session"]
    flow.sandbox.control("DELETE", "/faults", id=gone)


def test_auto_asks_the_other_way_round_when_what_worked_goes(flow):
    gone = flow.sandbox.add_fault(environment="revived", endpoint="widget_session", status=405, count=0)
    assert ask(flow, "revived")[1] == ["widget_session", "legacy_widget"]
    flow.sandbox.control("DELETE", "/faults", id=gone)
    gone = flow.sandbox.add_fault(environment="revived", endpoint="legacy_widget", status=410, count=0)
    assert ask(flow, "revived")[1] == ["legacy_widget", "widget_session"]
    assert ask(flow, "revived")[1] == ["widget_session"]
    flow.sandbox.control("DELETE", "/faults", id=gone)


def test_auto_gives_up_when_both_are_gone(flow):
    gone = flow.sandbox.add_fault(environment="gone", status=410, count=0)
    for _ in range(2):
        reply, endpoints = ask(flow, "gone")
        assert reply["error"]["code"] == "endpoint_retired" and reply["error"]["http_status"] == 410
        assert sorted(endpoints) == ["legacy_widget", "widget_session"] and reply["attempts"] == 2
    flow.sandbox.control("DELETE", "/faults", id=gone)
    assert ask(flow, "gone")[0]["status"] == "success"


def test_a_repeat_asks_the_same_endpoint(flow):
    """A passing failure is no sign that the endpoint has gone, be it the current one or the older one behind it."""
    flow.sandbox.add_fault(environment="steady", status=503, count=2)
    assert ask(flow, "steady")[1] == ["widget_session"] * 3
    flow.sandbox.add_fault(environment="steady", endpoint="widget_session", status=404)
    flow.sandbox.add_fault(environment="steady", endpoint="legacy_widget", status=503)
    reply, endpoints = ask(flow, "steady")
    assert is_link(reply["link"]) and endpoints == ["widget_session", "legacy_widget", "legacy_widget"]


def test_a_direct_link_has_no_other_endpoint(flow):
    gone = flow.sandbox.add_fault(environment="direct", endpoint="authenticate_user", status=410, count=0)
    reply, endpoints = ask(flow, "direct", provider="OURA")
    assert reply["error"]["code"] == "endpoint_retired" and endpoints == ["authenticate_user"]
    assert ask(flow, "direct")[1] == ["widget_session"]
    flow.sandbox.control("DELETE", "/faults", id=gone)


def test_pinned_endpoints():
    """Each pinned endpoint is asked alone, and each can have a whole URL of its own."""
    with ExitStack() as stack:
        flows = {choice: stack.enter_context(ConnectFlow({"TERRA_WIDGET_ENDPOINT": choice}, redis=False))
            for choice in ("session", "legacy")}
        for choice, endpoint in (("session", "widget_session"), ("legacy", "legacy_widget")):
            flow = flows[choice]
            reply, endpoints = ask(flow, "default")
            assert is_link(reply["link"]) and endpoints == [endpoint]
            flow.sandbox.add_fault(endpoint=endpoint, status=404, count=0)
            reply, endpoints = ask(flow, "default")
            assert reply["error"]["code"] == "endpoint_retired" and endpoints == [endpoint]


def test_endpoints_can_be_moved():
    with ConnectFlow(redis=False, workers=0) as flow:
        base = flow.sandbox.ready["terra"]
        # Widgets from the older endpoint under the newer one's name, and a base that leads nowhere.
        flow.start_worker(TERRA_BASE_URL="http://127.0.0.1:9/nowhere", TERRA_WIDGET_ENDPOINT="session",
            TERRA_WIDGET_SESSION_URL=f"{base}/v2/auth/generateWidgetSession",
            TERRA_AUTHENTICATE_USER_URL=f"{base}/v2/auth/authenticateUser")
        assert ask(flow, "default")[1] == ["legacy_widget"]
        assert ask(flow, "default", provider="OURA")[1] == ["authenticate_user"]
