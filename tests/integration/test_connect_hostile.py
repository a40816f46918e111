"""Requests that nobody should send: each is answered or becomes a dead letter, and the next good one is served."""

import hashlib
import json
import random
import time

import pytest

from support.connect import ConnectFlow, check, is_link, new_id

MEBIBYTE = 1024 * 1024


def with_field(**fields):
    return json.dumps({"reference_id": "u1", **fields}).encode()


# Nobody can be told from the value who asked: name: (value, what the message says).
UNREADABLE = {
    "null": (None, "no value (null)"),
    "empty": (b"", "an empty value"),
    "a blank": (b" ", "no JSON value"),
    "text": (b"connect u1 please", "not JSON"),
    "truncated": (b'{"reference_id":"u1"', "ends too early"),
    "a string": (b'"u1"', "must be a JSON object"),
    "a number": (b"17", "must be a JSON object"),
    "the word null": (b"null", "must be a JSON object"),
    "an array": (b'[{"reference_id":"u1"}]', "must be a JSON object"),
    "an empty object": (b"{}", 'field "reference_id"'),
    "two values": (b'{"reference_id":"u1"}{"reference_id":"u2"}', "nothing is expected behind"),
    "trailing bytes": (b'{"reference_id":"u1"}\x00', "NUL byte"),
    "a byte order mark": (b'\xef\xbb\xbf{"reference_id":"u1"}', "byte order mark"),
    "UTF-16": ('{"reference_id":"u1"}'.encode("utf-16"), "UTF-8"),
    "a NUL byte": (b'{"reference_id":"u\x001"}', "NUL byte"),
    "an escaped NUL": (b'{"reference_id":"u\\u00001"}', "escaped NUL"),
    "a NUL in a key": (b'{"reference_id":"u1","\\u0000":1}', "escaped NUL"),
    "a raw control character": (b'{"reference_id":"u\n1"}', "control character"),
    "broken UTF-8": (b'{"reference_id":"\xff\xfe"}', "broken UTF-8"),
    "overlong UTF-8": (b'{"reference_id":"\xc0\xaf"}', "broken UTF-8"),
    "UTF-8 surrogate": (b'{"reference_id":"\xed\xa0\x80"}', "broken UTF-8"),
    "half a surrogate pair": (b'{"reference_id":"\\ud800"}', "surrogate"),
    "a key twice": (b'{"reference_id":"u1","reference_id":"u2"}', "twice"),
    "a key twice, once escaped": (b'{"reference_id":"u1","reference\\u005fid":"u2"}', "twice"),
    "single quotes": (b"{'reference_id':'u1'}", "not JSON"),
    "a trailing comma": (b'{"reference_id":"u1",}', "not JSON"),
    "NaN": (b'{"reference_id":"u1","timeout_seconds":NaN}', "not JSON"),
    "an endless number": (b'{"reference_id":"u1","timeout_seconds":' + b"9" * 5000 + b"}", "number"),
    "a depth bomb of arrays": (b"[" * 60_000, "nested more than"),
    "a depth bomb of objects": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "nested more than"),
    "too many values": (b'{"reference_id":"u1","x":[' + b"1," * 3000 + b"1]}", "more than"),
    "too many bytes": (b'{"reference_id":"u1","x":"' + b"x" * 65_536 + b'"}', "more than the 65536"),
    "half a mebibyte": (b"x" * (MEBIBYTE // 2), "more than the 65536"),
    "protobuf": (bytes([10, 2, 117, 49, 24, 150, 1]), "not JSON"),
    "Avro with a schema id": (b"\x00\x00\x00\x00\x07\x04u1", "NUL byte"),
    "a reference_id of the wrong type": (b'{"reference_id":5}', '"reference_id"'),
    "a reference_id that is empty": (b'{"reference_id":""}', '"reference_id"'),
    "a reference_id of objects": (b'{"reference_id":{"a":[]}}', '"reference_id"'),
    "a reference_id that is null": (b'{"reference_id":null}', '"reference_id"'),
    "a reference_id that is too long": (json.dumps({"reference_id": "x" * 257}).encode(), '"reference_id"'),
    "a reference_id too long in bytes": (json.dumps({"reference_id": "é" * 129}).encode(), '"reference_id"'),
    "a reference_id with a line break": (json.dumps({"reference_id": "u\n1"}).encode(), '"reference_id"'),
    "another case": (b'{"Reference_ID":"u1"}', '"reference_id"'),
}

# The reference_id says who asked: field: values that it cannot have.
WRONG_FIELDS = {
    "request_id": [7, "", "x" * 257, "tab\there", [], {}],
    "environment": [1, "", "two words", "x" * 65, ["default"]],
    "action": ["disconnect", 1, "", "CONNECT"],
    "timeout_seconds": ["30", 0, -1, 3601, 1e300, True, [30]],
    "provider": [1, "", "G", "A-B", "x" * 41, "GARMIN ", "GARMIN,OURA", ["GARMIN"], "GÀRMIN"],
    "providers": ["GARMIN,OURA", [], ["GARMIN", 1], ["GARMIN", ""], ["GARMIN", None], ["X" * 41], ["A"] * 101, {}],
    "language": [1, "", "english", "f", "fr-", "fr_France_x"],
    "auth_success_redirect_url": [1, "", "/relative", "x" * 2049, "https://a b/", "https://", "www.example.com"],
    "auth_failure_redirect_url": [1, "", "/relative", "multi-auth", "https://app.example/" + "x" * 2048],
    "show_disconnect": [1, 0, "true", "", []],
    "multi_auth": ["false", 1],
    "bypass_feedback": ["false", {}],
    "use_terra_avengers_app": ["true", 1.5],
    "connected_uids": ["uid", [], [1], [""], ["x"] * 101, ["x" * 257], {}],
    "apple_app_url": [1, "", "relative", "x" * 2049],
    "samsung_app_url": [7, "javascript:alert(1)"],
    "sdk_app": ["other", 1, ""],
}
WRONG = [(field, value) for field, values in WRONG_FIELDS.items() for value in values]

FORBIDDEN_REDIRECTS = ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "intent://x#Intent;end",
    "http://plain.example/", "https://user:pass@app.example/", "JaVaScRiPt:alert(1)"]


@pytest.fixture(scope="module")
def flow():
    with ConnectFlow({"KAFKA_MESSAGE_MAX_BYTES": 1_000_000}) as flow:
        yield flow
        # One worker has served it all.
        assert flow.worker.running() and len(flow.workers) == 1
        assert flow.ask_for_link()


@pytest.fixture(scope="module")
def unreadable(flow):
    """{(name, correlated): place}, all on their way together."""
    places = {}
    for name, (value, _) in UNREADABLE.items():
        places[name, False] = flow.send(value, key=name)
        places[name, True] = flow.send(value, key=name, headers={"correlation-id": name})
    return places


def reason_of(letter):
    return letter.header("__dlq.errors.message").decode()


@pytest.mark.parametrize("name", UNREADABLE)
def test_unreadable_with_nobody_to_answer(flow, unreadable, name):
    place = unreadable[name, False]
    value, says = UNREADABLE[name]
    letter = flow.dead_letter(place)
    assert letter.value == value and letter.key == name.encode()
    topic, partition, offset = place.split("/")
    headers = dict(letter.headers)
    source = [headers[f"__dlq.errors.{part}"].decode() for part in ("topic", "partition", "offset", "group")]
    assert source == [topic, partition, offset, flow.topics.group]
    assert headers["error-code"] == b"invalid_request"
    assert headers["ce_type"] == b"terra-connect.dead-letter.v1" and headers["ce_id"] == f"{place}/dead-letter".encode()
    assert says in reason_of(letter), reason_of(letter)
    assert flow.answers(place) == 1


@pytest.mark.parametrize("name", UNREADABLE)
def test_unreadable_with_a_correlation(flow, unreadable, name):
    place = unreadable[name, True]
    _, says = UNREADABLE[name]
    reply = flow.reply(place)
    value = check(reply, "connect-reply")
    assert value["error"]["code"] == "invalid_request" and value["error"]["retryable"] is False
    assert says in value["error"]["message"], value
    assert value["error"]["message"].isprintable()
    assert value["request_id"] == name and value["reference_id"] is None and value["attempts"] == 0
    assert reply.header("correlation-id") == name.encode() and reply.key == name.encode()
    assert flow.outcome(place).json["error"] == value["error"]
    assert flow.answers(place) == 1


@pytest.fixture(scope="module")
def wrong(flow):
    """[(reference id, place)] in the order of WRONG."""
    users = [new_id() for _ in WRONG]
    values = [{"reference_id": user, field: value} for user, (field, value) in zip(users, WRONG)]
    return list(zip(users, flow.send_all(values)))


@pytest.mark.parametrize("number", range(len(WRONG)),
    ids=[f"{field}={json.dumps(value):.24}" for field, value in WRONG])
def test_a_wrong_field_is_named(flow, wrong, number):
    field, _ = WRONG[number]
    user, place = wrong[number]
    reply = flow.reply(place).json
    assert reply["error"]["code"] == "invalid_request", reply
    message = reply["error"]["message"]
    assert f'"{field}"' in message and "must be" in message
    assert reply["reference_id"] == user and flow.reply(place).key == user.encode()
    assert flow.calls_for(user) == []


@pytest.mark.parametrize("url", FORBIDDEN_REDIRECTS)
@pytest.mark.parametrize("field", ["auth_success_redirect_url", "auth_failure_redirect_url"])
def test_redirects_that_are_never_allowed(flow, field, url):
    user = new_id()
    error = flow.ask({"reference_id": user, field: url}).json["error"]
    assert error["code"] == "redirect_not_allowed" and field in error["message"]
    assert flow.calls_for(user) == []


def test_provider_and_providers_exclude_each_other(flow):
    error = flow.ask({"reference_id": new_id(), "provider": "OURA", "providers": ["GARMIN"]}).json["error"]
    assert error["code"] == "invalid_request" and "exclude each other" in error["message"]


def test_of_several_faults_the_first_is_told(flow):
    error = flow.ask({"reference_id": new_id(), "language": 1, "provider": 2, "sdk_app": 3}).json["error"]
    assert '"provider"' in error["message"]


def test_a_request_id_alone_is_enough_to_be_answered(flow):
    place = flow.send({"request_id": "r-1"})
    assert flow.reply(place).json["request_id"] == "r-1"
    assert '"reference_id"' in flow.reply(place).json["error"]["message"]


# ---- dead letters too large to be written; each in a partition of its own, the embedded broker keeps 5 MB in one ----

@pytest.mark.parametrize("partition, size", enumerate([999_900, 1_000_001, 3 * MEBIBYTE]))
def test_a_dead_letter_that_is_too_large_goes_without_its_value(flow, partition, size):
    value = random.Random(size).randbytes(size)
    place = flow.send(value, key="large", partition=partition)
    letter = flow.dead_letter(place)
    assert letter.value is None and letter.key == b"large"
    assert letter.header("payload-size") == str(size).encode()
    assert letter.header("payload-sha256") == hashlib.sha256(value).hexdigest().encode()
    assert letter.header("__dlq.errors.offset") == place.split("/")[2].encode()
    assert letter.header("error-code") == b"invalid_request"


def test_a_dead_letter_that_the_broker_refuses_for_its_size_goes_without_its_value(flow):
    # The first is for the request itself, the second for the letter.
    flow.sandbox.fail_kafka_requests("Produce", "NO_ERROR")
    flow.sandbox.fail_kafka_requests("Produce", "MSG_SIZE_TOO_LARGE")
    letter = flow.dead_letter(flow.send(b"garbage"))
    assert letter.value is None and letter.header("payload-size") == b"7"


def test_a_large_one_that_fits_keeps_its_value(flow):
    value = random.Random(1).randbytes(900_000)
    letter = flow.dead_letter(flow.send(value, partition=0))
    assert letter.value == value and letter.header("payload-size") is None


def test_a_large_request_with_a_correlation_is_answered(flow):
    reply = flow.ask(b"x" * (2 * MEBIBYTE), partition=3, headers={"kafka_correlationId": b"\x07"})
    assert reply.json["error"]["code"] == "invalid_request" and reply.header("kafka_correlationId") == b"\x07"


# ---- keys and headers ----

@pytest.mark.parametrize("key", [None, b"", b"\x00\xff", b"k" * 10_000])
def test_any_key(flow, key):
    assert is_link(flow.ask({"reference_id": new_id()}, key=key).json["link"])
    letter = flow.dead_letter(flow.send(b"garbage", key=key))
    assert letter.key == key


@pytest.mark.parametrize("headers", [
    [("correlation-id", None)],
    [("kafka_replyTopic", None), ("reply-to", None), ("kafka_replyPartition", None)],
    [("traceparent", b"\xff\x00")] * 30,
    [(f"header-{number}", b"x" * 100) for number in range(1000)],
    [("", b"no name"), ("é", b"not ASCII")],
    [("ce_id", b"mine"), ("error-code", b"none"), ("content-type", b"text/html")],
], ids=["null correlation", "null address", "one many times", "a thousand", "odd names", "ours"])
def test_odd_headers(flow, headers):
    reply = flow.ask({"reference_id": new_id()}, headers=headers)
    assert is_link(reply.json["link"]) and reply.header("content-type") == b"application/json"
    assert len(reply.headers) < 20


def test_a_null_correlation_answers_nobody(flow):
    flow.dead_letter(flow.send(b"garbage", headers={"correlation-id": None}))


def test_a_repeated_correlation_is_echoed_once(flow):
    reply = flow.ask({"reference_id": new_id()}, headers=[("correlation-id", b"1"), ("correlation-id", b"2")])
    echoed = [value for name, value in reply.headers if name == "correlation-id"]
    assert len(echoed) == 1 and echoed[0].decode() == reply.json["request_id"]


# ---- chance ----

def test_random_bytes(flow):
    chance = random.Random(7)
    values = [chance.randbytes(chance.randrange(1, 400)) for _ in range(100)]
    for value, place in zip(values, flow.send_all(values)):
        assert flow.dead_letter(place).value == value


def test_good_requests_with_a_random_fault(flow):
    """Whatever it makes of them, each gets exactly one answer."""
    chance = random.Random(11)
    good = with_field(request_id="r", providers=["GARMIN", "OURA"], language="fr", timeout_seconds=12.5,
        auth_success_redirect_url="https://app.example/ok", show_disconnect=True)
    values = []
    for _ in range(300):
        value = bytearray(good)
        for _ in range(chance.randrange(1, 4)):
            place = chance.randrange(len(value))
            chance.choice([
                lambda: value.__setitem__(place, chance.randrange(256)),
                lambda: value.__delitem__(place),
                lambda: value.insert(place, chance.choice(b'{}[]",:\\0\x00')),
            ])()
        values.append(bytes(value))
    places = flow.send_all(values)
    ids = [{f"{place}/{kind}".encode() for kind in ("connect-reply", "dead-letter")} for place in places]
    deadline = time.monotonic() + 20
    while True:
        seen = [record.header("ce_id") for reader in (flow.replies, flow.dead_letters) for record in reader.records]
        counts = [sum(event_id in wanted for event_id in seen) for wanted in ids]
        if all(counts) or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    assert set(counts) == {1}, [value for value, count in zip(values, counts) if count != 1]
