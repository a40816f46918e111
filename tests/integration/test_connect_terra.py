"""What Terra may answer, and what becomes of it: the table of outcomes.

All rows are asked at once, each under a reference id of its own that a scripted fault is waiting for.
"""

import pytest

from support.connect import ConnectFlow, is_link, new_id

ATTEMPTS_MAX = 4
ATTEMPTS_FEW = 3  # of answers that seldom pass later

LINK = "https://widget.sandbox.invalid/session/9c1f8f5e-0000-4000-8000-1b2c3d4e5f60"
DIRECT = {"provider": "GARMIN"}
BAD_GATEWAY = "<html><body>Bad Gateway</body></html>"


def answer(status, body=None, **more):
    return {"status": status, **({} if body is None else {"body": body}), **more}


def problem(status, **fields):
    return answer(status, {"type": "about:blank", "title": "Refused", **fields})


# name: (what Terra does each time, fields of the request, error code, HTTP status, attempts)
REFUSALS = {
    # A null message is a matter of credentials under any status.
    "null message 200": ({"kind": "null_message", "status": 200}, {}, "credentials_rejected", 200, 1),
    "null message 403": ({"kind": "null_message", "status": 403}, {}, "credentials_rejected", 403, 1),
    "null message 404": ({"kind": "null_message", "status": 404}, {}, "credentials_rejected", 404, 1),
    "null message 429": ({"kind": "null_message", "status": 429}, {}, "credentials_rejected", 429, 1),
    "null message 500": ({"kind": "null_message", "status": 500}, {}, "credentials_rejected", 500, 1),
    "null message 500 direct": ({"kind": "null_message", "status": 500}, DIRECT, "credentials_rejected", 500, 1),
    # Redirects would take the key along.
    **{f"redirect {status}": (answer(status, "", headers={"Location": "/api/v2/auth/generateWidgetSession"}), {},
        "endpoint_retired", status, 1) for status in (301, 302, 303, 307, 308)},
    "redirect without a place": (answer(302, ""), {}, "endpoint_retired", 302, 1),
    "304": (answer(304, ""), {}, "endpoint_retired", 304, 1),
    # A success that is none.
    "error within 200": (answer(200, {"status": "error", "message": "no"}), {}, "rejected_by_terra", 200, 1),
    "error with a link": (answer(201, {"status": "error", "url": LINK}), {}, "rejected_by_terra", 201, 1),
    "200 without a link": (answer(200, {"status": "success"}), {}, "rejected_by_terra", 200, 1),
    "direct with the widget's field": (answer(200, {"url": LINK}), DIRECT, "rejected_by_terra", 200, 1),
    "http link": (answer(201, {"url": "http://widget.sandbox.invalid/s"}), {}, "rejected_by_terra", 201, 1),
    "script link": (answer(201, {"url": "javascript:alert(1)"}), {}, "rejected_by_terra", 201, 1),
    "link with user info": (answer(201, {"url": "https://me@evil.example/"}), {}, "rejected_by_terra", 201, 1),
    "link with a blank": (answer(201, {"url": LINK + " x"}), {}, "rejected_by_terra", 201, 1),
    "link that is no text": (answer(201, {"url": 7}), {}, "rejected_by_terra", 201, 1),
    "empty link": (answer(201, {"url": ""}), {}, "rejected_by_terra", 201, 1),
    "html 200": ({"kind": "html", "status": 200}, {}, "rejected_by_terra", 200, 1),
    "empty 201": ({"kind": "empty", "status": 201}, {}, "rejected_by_terra", 201, 1),
    "204": (answer(204, ""), {}, "rejected_by_terra", 204, 1),
    "truncated JSON": ({"kind": "truncated"}, {}, "rejected_by_terra", 201, 1),
    "an array": (answer(200, [LINK]), {}, "rejected_by_terra", 200, 1),
    "deep JSON": (answer(200, "[" * 5000), {}, "rejected_by_terra", 200, 1),
    # The request's own fault.
    **{f"{status}": (answer(status), {}, "rejected_by_terra", status, 1) for status in (400, 413, 415, 422)},
    "400 html": ({"kind": "html", "status": 400}, {}, "rejected_by_terra", 400, 1),
    "400 direct": (answer(400), DIRECT, "rejected_by_terra", 400, 1),
    "404 direct": (answer(404), DIRECT, "rejected_by_terra", 404, 1),
    "unknown users": (answer(400, {"message": "unknown", "invalid_user_ids": ["a", "b"]}), {}, "rejected_by_terra",
        400, 1),
    # The operator's.
    "401": (answer(401), {}, "credentials_rejected", 401, 1),
    "403": (answer(403), {}, "credentials_rejected", 403, 1),
    "403 direct": (problem(403, detail="Invalid API key"), DIRECT, "credentials_rejected", 403, 1),
    "403 entitlement": (problem(403, code="entitlement_required", product="teams"), {}, "rejected_by_terra", 403, 1),
    "403 user limit": (answer(403, {"message": "User Limit Reached"}), {}, "user_limit_reached", 403, 1),
    "400 user limit": (problem(400, detail="user limit reached"), DIRECT, "user_limit_reached", 400, 1),
    # Both widget endpoints are asked; the direct one has no other.
    "404": (answer(404), {}, "endpoint_retired", 404, 2),
    "405": (answer(405), {}, "endpoint_retired", 405, 2),
    "410": (answer(410), {}, "endpoint_retired", 410, 2),
    "405 direct": (answer(405), DIRECT, "endpoint_retired", 405, 1),
    "410 direct": (answer(410), DIRECT, "endpoint_retired", 410, 1),
    # Terra's: a few attempts where it seldom passes, all of them where it may.
    "500": (answer(500), {}, "terra_unavailable", 500, ATTEMPTS_FEW),
    "500 html": ({"kind": "html"}, {}, "terra_unavailable", 500, ATTEMPTS_FEW),
    "500 empty direct": ({"kind": "empty"}, DIRECT, "terra_unavailable", 500, ATTEMPTS_FEW),
    "501": (answer(501), {}, "terra_unavailable", 501, ATTEMPTS_FEW),
    "huge": ({"kind": "huge"}, {}, "terra_unavailable", None, ATTEMPTS_FEW),
    "huge chunked": ({"kind": "huge", "chunked": True}, {}, "terra_unavailable", None, ATTEMPTS_FEW),
    **{f"{status}": (answer(status), {}, "terra_unavailable", status, ATTEMPTS_MAX)
        for status in (408, 424, 425, 502, 503, 504)},
    "503 html": ({"kind": "html", "status": 503, "body": BAD_GATEWAY}, {}, "terra_unavailable", 503, ATTEMPTS_MAX),
    "429": (answer(429), {}, "rate_limited", 429, ATTEMPTS_MAX),
    "drop": ({"kind": "drop"}, {}, "terra_unavailable", None, ATTEMPTS_MAX),
    "reset": ({"kind": "reset"}, DIRECT, "terra_unavailable", None, ATTEMPTS_MAX),
    "reset mid-body": ({"kind": "reset_mid_body"}, {}, "terra_unavailable", None, ATTEMPTS_MAX),
    "no HTTP": ({"kind": "raw", "body": "SSH-2.0-OpenSSH_9.2\r\n"}, {}, "terra_unavailable", None, ATTEMPTS_MAX),
    "stall": ({"kind": "stall"}, {}, "terra_unavailable", None, ATTEMPTS_MAX),
    "stall mid-body": ({"kind": "stall_mid_body"}, DIRECT, "terra_unavailable", None, ATTEMPTS_MAX),
}
RETRYABLE = {"terra_unavailable", "rate_limited", "credentials_rejected"}

# name: (what Terra does, how often, fields of the request, attempts until the link)
RECOVERIES = {
    **{f"{status} once": (answer(status), 1, {}, 2) for status in (408, 424, 425, 429, 502, 503, 504)},
    "500 twice": ({"kind": "html"}, 2, {}, 3),
    "503 three times": (answer(503), 3, DIRECT, 4),
    "stall once": ({"kind": "stall"}, 1, {}, 2),
    "stall mid-body once": ({"kind": "stall_mid_body"}, 1, {}, 2),
    "reset mid-body once": ({"kind": "reset_mid_body"}, 1, DIRECT, 2),
    "huge once": ({"kind": "huge"}, 1, {}, 2),
    "slow": ({"delay_ms": 600}, 1, {}, 1),
}

# name: (what Terra answers, fields of the request, fields of the reply)
ODDITIES = {
    "200": (answer(200, {"url": LINK}), {}, {"link": LINK, "url": LINK, "session_id": None, "link_expires_at": None}),
    "no status": (answer(201, {"url": LINK, "session_id": "s"}), {}, {"session_id": "s"}),
    "as text": (answer(201, f'{{"url": "{LINK}"}}', headers={"Content-Type": "text/html"}), {}, {"link": LINK}),
    "odd expiry": (answer(201, {"url": LINK, "expires_in": "soon"}), {}, {"link_expires_at": None}),
    "negative expiry": (answer(201, {"url": LINK, "expires_in": -5}), {}, {"link_expires_at": None}),
    "odd warnings": (answer(201, {"url": LINK, "warnings": ["one", 2, None, {"a": 1}]}), {}, {"warnings": ["one"]}),
    "secret warnings": (answer(201, {"url": LINK, "warnings": [f"open {LINK}"]}), {},
        {"warnings": ["open [removed]"]}),
    "custom domain": (answer(201, {"url": "https://connect.acme.example/s/1?a=b#c"}), {},
        {"link": "https://connect.acme.example/s/1?a=b#c"}),
    "direct": (answer(200, {"auth_url": LINK, "user_id": "u"}), DIRECT,
        {"link": LINK, "auth_url": LINK, "user_id": "u", "link_expires_at": None}),
    "unknown fields": (answer(201, {"url": LINK, "extra": {"deep": [1, 2, {}]}}), {}, {"link": LINK}),
}


@pytest.fixture(scope="module")
def flow():
    with ConnectFlow({"TERRA_TIMEOUT": "1s", "TERRA_ATTEMPTS_MAX": ATTEMPTS_MAX}) as flow:
        yield flow


@pytest.fixture(scope="module")
def asked(flow):
    """{(table, name): (reference id, place)}, all of them on their way."""
    users, values = {}, []

    def add(row, fields, fault, count):
        users[row] = new_id()
        flow.sandbox.add_fault(**fault, count=count, reference_id_prefix=users[row])
        values.append({"reference_id": users[row], **fields})

    for name, (fault, fields, *_) in REFUSALS.items():
        add(("refusal", name), fields, fault, 0)
    for name, (fault, count, fields, _) in RECOVERIES.items():
        add(("recovery", name), fields, fault, count)
    for name, (fault, fields, _) in ODDITIES.items():
        add(("oddity", name), fields, fault, 1)
    places = flow.send_all(values)
    return {row: (user, place) for (row, user), place in zip(users.items(), places)}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusal(flow, asked, name):
    _, _, code, status, attempts = REFUSALS[name]
    user, place = asked["refusal", name]
    reply = flow.reply(place, timeout=30).json
    assert reply["status"] == "error", reply
    error = reply["error"]
    assert (error["code"], error["http_status"], reply["attempts"]) == (code, status, attempts), reply
    assert error["retryable"] == (code in RETRYABLE)
    # What may pass later says when, but for a refused key: that is for the operator to mend.
    assert (error["retry_after_seconds"] is not None) == (code in RETRYABLE - {"credentials_rejected"})
    assert "link" not in reply and LINK not in error["message"]
    assert any(who in error["message"] for who in ("caller", "operator", "Terra", "nobody"))
    calls = flow.calls_for(user)
    # An attempt is over when a connection of its own failed it; kept ones that die under it do not count.
    on_kept = sum(call["connection_request"] > 1 for call in calls) if name in ("drop", "reset") else 0
    assert len(calls) - on_kept == attempts
    assert {call["endpoint"] for call in calls} <= {"widget_session", "legacy_widget", "authenticate_user"}


@pytest.mark.parametrize("name", RECOVERIES)
def test_recovery(flow, asked, name):
    _, _, _, attempts = RECOVERIES[name]
    user, place = asked["recovery", name]
    reply = flow.reply(place, timeout=30).json
    assert reply["status"] == "success" and is_link(reply["link"]), reply
    assert reply["attempts"] == attempts == len(flow.calls_for(user))
    assert flow.outcome(place).json["attempts"] == attempts


@pytest.mark.parametrize("name", ODDITIES)
def test_oddity(flow, asked, name):
    _, place = asked["oddity", name]
    reply = flow.reply(place).json
    assert reply["status"] == "success", reply
    expected = ODDITIES[name][2]
    assert {field: reply.get(field, "missing") for field in expected} == expected


def test_what_terra_says_is_passed_on_without_secrets(flow):
    user = new_id()
    flow.sandbox.add_fault(reference_id_prefix=user, status=400, body={
        "message": f"provider\t \u202eACME is unknown, see {LINK} or key sandboxkeysandboxkey0123456789abcdef"})
    message = flow.ask({"reference_id": user}).json["error"]["message"]
    assert "ACME is unknown" in message and LINK not in message and "sandboxkeysandboxkey" not in message
    assert message.isascii() and message.isprintable()


def test_unknown_users_are_counted(flow, asked):
    _, place = asked["refusal", "unknown users"]
    assert "2 of the connected_uids" in flow.reply(place).json["error"]["message"]


@pytest.mark.parametrize("code, retry", [("rejected_by_terra", False), ("endpoint_retired", False),
    ("user_limit_reached", False), ("credentials_rejected", True)])
def test_magic_reference_ids_give_their_code(flow, code, retry):
    error = flow.ask({"reference_id": new_id(f"sandbox-{code}-")}).json["error"]
    assert error["code"] == code and error["retryable"] == retry


# ---- connections ----

def test_a_kept_connection_that_the_server_closed_costs_no_attempt(flow):
    for _ in range(5):
        user = new_id()
        flow.sandbox.add_fault(kind="close", reference_id_prefix=user)
        for _ in range(2):
            reply = flow.ask({"reference_id": user}).json
            assert reply["status"] == "success" and reply["attempts"] == 1


def test_a_kept_connection_that_dies_under_the_call_costs_no_attempt(flow):
    user = new_id()
    assert flow.ask_for_link()  # so that there is one to keep
    flow.sandbox.add_fault(kind="drop", kept_connection=True, reference_id_prefix=user, count=0)
    reply = flow.ask({"reference_id": user}).json
    assert reply["status"] == "success" and reply["attempts"] == 1, reply
    dropped, served = flow.calls_for(user)
    assert dropped["connection_request"] > 1 and served["connection_request"] == 1


def test_connections_are_kept(flow):
    # The first may open one; the others find it.
    users = [new_id() for _ in range(5)]
    for user in users:
        flow.ask({"reference_id": user})
    assert sum(call["connection_request"] == 1 for user in users for call in flow.calls_for(user)) <= 1
