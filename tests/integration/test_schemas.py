"""The schemas, their examples, asyncapi.yaml, and what the worker's own code reads and writes.

The published schemas are open; here closed copies of them, which allow no field and no code that they do not name, are
held against what our encoders write. replay_schema and replay_event are the decoders and the encoders in programs.
"""

import base64
import copy
import json
import os
import re
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

import pytest
from jsonschema import Draft7Validator, Draft202012Validator, RefResolver

TREE = Path(__file__).resolve().parents[2]
SCHEMAS = TREE / "schemas"
NAMES = ["connect-request", "connect-reply", "connect-outcome", "dead-letter-headers", "terra-raw-event", "auth-event",
         "connection-state"]
ASYNCAPI_PARSER = "@asyncapi/parser@3.6.3"

# What Terra knows of each call; anything else must not be sent.
WIDGET_FIELDS = {
    "reference_id", "providers", "language", "auth_success_redirect_url", "auth_failure_redirect_url",
    "show_disconnect", "connected_uids", "multi_auth", "bypass_feedback", "use_terra_avengers_app",
    "apple_app_url", "samsung_app_url",
}
DIRECT_FIELDS = {
    "reference_id", "language", "auth_success_redirect_url", "auth_failure_redirect_url", "sdk_app",
}

# Examples with fields that their schema does not name.
WITH_UNKNOWN_FIELDS = {"connect-request-unknown-fields", "terra-raw-event-auth-numbers-and-unknown-fields",
                       "terra-raw-event-daily", "terra-raw-event-healthcheck"}

# What a raw event is that is no auth event.
OTHER_EVENTS = {"pointer": "pointer", "pointer-smallest": "pointer", "daily": "data", "healthcheck": "other"}

# How many warnings the reply to an example carries; all others have none.
WARNINGS = {"connect-request-unknown-fields": 2, "connect-request-unused-fields": 2}


def load(path):
    return json.loads(path.read_text(encoding="utf-8"))


@lru_cache(maxsize=None)
def schema(name):
    return load(SCHEMAS / f"{name}.json")


def examples(prefix):
    return sorted((SCHEMAS / "examples").glob(f"{prefix}-*.json"))


def schema_name(example):
    return next(name for name in NAMES if example.stem.startswith(name))


def name_of(path):
    return path.stem


def close(node):
    """Allows only what is named: fields, and where the values so far are given as examples of a word, those."""
    for keyword in ("properties", "$defs"):
        for name, child in node.get(keyword, {}).items():
            if name in ("code", "kind", "status", "matched_by", "error-code") and "examples" in child:
                child["enum"] = schema("connect-reply")["$defs"]["code"]["examples"] if "code" in name \
                    else child["examples"]
            close(child)
    for keyword in ("oneOf", "anyOf", "allOf"):
        for child in node.get(keyword, []):
            close(child)
    if "items" in node:
        close(node["items"])
    if "properties" in node:
        node["additionalProperties"] = False


def validator(name, closed=False, kind=Draft202012Validator):
    loaded = copy.deepcopy(schema(name))
    if closed:
        close(loaded)
    # A URN is no base that "#/…" could be joined to, so that references would be looked for elsewhere.
    del loaded["$id"], loaded["$schema"]
    return kind(loaded, resolver=RefResolver("", loaded))


@lru_cache(maxsize=None)
def cached_validator(name, closed):
    return validator(name, closed)


def assert_valid(value, name, closed=False):
    faults = [f"{'/'.join(map(str, fault.path))}: {fault.message}" for fault in
              cached_validator(name, closed).iter_errors(value)]
    assert not faults, faults


def replay(value, *arguments, program="replay_schema"):
    done = subprocess.run([Path(os.environ["BUILD_BIN"]) / program, *arguments], input=value, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return json.loads(done.stdout)


def defined(header, name):
    """The number that a header #defines."""
    text = (TREE / header).read_text(encoding="utf-8")
    return int(re.search(rf"#define {name} (\d+)", text).group(1))


# The schemas.


@pytest.mark.parametrize("name", NAMES)
def test_schema_is_valid(name):
    Draft202012Validator.check_schema(schema(name))
    assert schema(name)["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    kind = name.removesuffix("-headers")
    assert schema(name)["$id"] == f"urn:terra-connect:schema:{kind}:1"
    assert schema(name)["title"] and schema(name)["description"]


def fields(node):
    """All properties anywhere below, but not those of conditions."""
    for name, child in node.get("properties", {}).items():
        yield name, child
        yield from fields(child)
    for child in node.get("$defs", {}).values():
        yield from fields(child)


@pytest.mark.parametrize("name", NAMES)
def test_schema_is_open_and_describes_every_field(name):
    assert "additionalProperties" not in json.dumps(schema(name))
    for field, child in fields(schema(name)):
        reference = child.get("$ref")
        if reference:
            child = schema(name)["$defs"][reference.removeprefix("#/$defs/")]
        assert len(child.get("description", "")) > 10, field


def test_reply_and_outcome_share_their_definitions():
    shared = schema("connect-outcome")["$defs"]
    assert {name: schema("connect-reply")["$defs"][name] for name in shared} == shared


def test_limits_are_the_code_s():
    request = schema("connect-request")
    reply = schema("connect-reply")["$defs"]
    outcome = schema("connect-outcome")["properties"]
    limits = "worker/request_field.h"
    identifier = defined(limits, "REQUEST_ID_BYTES_MAX")
    terra_id = defined("worker/terra_link.h", "TERRA_ID_BYTES_MAX")
    link = defined("worker/terra_link.h", "TERRA_LINK_BYTES_MAX")
    providers = defined(limits, "PROVIDERS_MAX")
    assert request["$defs"]["id"]["maxLength"] == identifier
    assert request["$defs"]["url"]["maxLength"] == defined("common/url.h", "URL_BYTES_MAX")
    provider = defined(limits, "PROVIDER_BYTES_MAX")
    environment = defined(limits, "ENVIRONMENT_NAME_BYTES_MAX")
    assert f"{{2,{provider}}}" in request["$defs"]["provider"]["pattern"]
    assert f"{{1,{environment}}}" in request["properties"]["environment"]["pattern"]
    assert request["properties"]["providers"]["maxItems"] == outcome["providers"]["maxItems"] == providers
    assert request["properties"]["timeout_seconds"]["maximum"] == defined(limits, "TIMEOUT_SECONDS_MAX")
    assert reply["warnings"]["items"]["maxLength"] == defined("worker/text_list.h", "TEXT_LIST_TEXT_BYTES_MAX")
    assert reply["warnings"]["maxItems"] == 2 * defined("worker/text_list.h", "TEXT_LIST_MAX")
    message = defined("worker/connect_error.h", "CONNECT_MESSAGE_SIZE") - 1
    assert reply["error"]["properties"]["message"]["maxLength"] == message
    assert schema("dead-letter-headers")["properties"]["__dlq.errors.message"]["maxLength"] == message
    for kind, field, id_field in (("widget", "url", "session_id"), ("direct", "auth_url", "user_id")):
        properties = reply[kind]["properties"]
        assert properties["link"]["maxLength"] == properties[field]["maxLength"] == link
        assert properties[id_field]["maxLength"] == outcome[id_field]["maxLength"] == terra_id
        assert properties["reference_id"]["maxLength"] == identifier


def test_event_limits_are_the_code_s():
    event = schema("auth-event")["properties"]
    connection = schema("connection-state")["properties"]
    raw = schema("terra-raw-event")
    identifier = defined("worker/event_text.h", "EVENT_ID_BYTES_MAX")
    for name in ("user_id", "old_user_id", "reference_id", "widget_session_id", "flow_id"):
        assert event[name]["maxLength"] == identifier
    assert connection["user_id"]["maxLength"] == connection["reference_id"]["maxLength"] == identifier
    assert raw["$defs"]["id"]["anyOf"][0]["maxLength"] == identifier
    assert event["reason"]["maxLength"] == defined("worker/auth_event.h", "AUTH_EVENT_REASON_BYTES_MAX")
    assert event["terra_status"]["maxLength"] == defined("worker/auth_event.h", "AUTH_EVENT_STATUS_BYTES_MAX")
    provider = defined("worker/auth_event.h", "AUTH_EVENT_PROVIDER_BYTES_MAX")
    assert event["provider"]["maxLength"] == connection["provider"]["maxLength"] == provider
    for scopes in (event["scopes"], event["scopes_added"], event["scopes_removed"], connection["scopes"]):
        assert scopes["maxItems"] == defined("worker/scope_set.h", "SCOPE_SET_MAX")
        assert scopes["items"]["maxLength"] == defined("worker/scope_set.h", "SCOPE_BYTES_MAX")
    assert f'nested at most {defined("worker/auth_event.h", "AUTH_EVENT_DEPTH_MAX")} deep' in raw["description"]


def test_event_words_are_the_code_s():
    source = (TREE / "worker/auth_event.c").read_text(encoding="utf-8")
    event = schema("auth-event")["properties"]
    assert event["kind"]["examples"] == re.findall(r'\[AUTH_EVENT_\w+\] = "(\w+)"', source)
    types = re.findall(r'\{"(\w+)", AUTH_EVENT_\w+\}', source)
    assert set(event["terra_type"]["examples"]) == set(types)
    assert set(schema("terra-raw-event")["properties"]["type"]["examples"]) == {*types, "s3_payload"}
    source = (TREE / "worker/connection_state.c").read_text(encoding="utf-8")
    statuses = re.findall(r'\[CONNECTION_\w+\] = "(\w+)"', source)
    assert schema("connection-state")["properties"]["status"]["examples"] == statuses[1:-1]


def test_request_fields_are_the_decoder_s():
    source = (TREE / "worker/request_field.c").read_text(encoding="utf-8")
    known = re.findall(r'\[FIELD_\w+\] = \{"(\w+)"', source)
    assert list(schema("connect-request")["properties"]) == known


# The examples.


@pytest.mark.parametrize("path", examples("*"), ids=name_of)
def test_example_is_valid(path):
    name = schema_name(path)
    assert_valid(load(path), name)
    if path.stem not in WITH_UNKNOWN_FIELDS:
        assert_valid(load(path), name, closed=True)
    # Tools that know only draft 7, as AsyncAPI's do, read the schemas alike.
    validator(name, kind=Draft7Validator).validate(load(path))


@pytest.mark.parametrize("name", NAMES)
def test_example_within_the_schema_is_valid(name):
    for example in schema(name)["examples"]:
        assert_valid(example, name, closed=True)


def test_closed_copies_refuse_what_they_do_not_name():
    reply = load(SCHEMAS / "examples/connect-reply-error.json")
    for change in ({"extra": 1}, {"error": {**reply["error"], "extra": 1}},
                   {"error": {**reply["error"], "code": "new_code"}}):
        changed = {**reply, **change}
        assert_valid(changed, "connect-reply")
        assert not validator("connect-reply", closed=True).is_valid(changed)


def test_examples_use_every_field():
    used = set()
    for path in examples("connect-request"):
        used |= {name for name, value in load(path).items() if value is not None}
    assert set(schema("connect-request")["properties"]) <= used


# The worker's own code.


def assert_records(seen, reference_id):
    """Everything that could be published keeps to the closed schemas, and no outcome holds a link."""
    assert seen["records"]
    for record in seen["records"]:
        headers = record["headers"]
        assert headers["ce_id"] == f"terra.connect.requests/3/42/{record['kind']}"
        assert headers["ce_type"] == f"terra-connect.{record['kind']}.v1"
        if record["kind"] == "dead-letter":
            assert headers["ce_dataschema"] == schema("dead-letter-headers")["$id"]
            assert_valid(headers, "dead-letter-headers", closed=True)
            continue
        assert headers["ce_dataschema"] == schema(record["kind"])["$id"]
        assert headers.get("ce_subject") == record["key"] == reference_id
        value = json.loads(record["value"])
        assert_valid(value, record["kind"], closed=True)
        assert value["reference_id"] == reference_id
        assert headers.get("error-code") == (value.get("error") or {}).get("code")
        if record["kind"] == "connect-outcome":
            assert "://" not in record["value"]


def assert_call(call, request):
    body = json.loads(call["body"])
    provider = request.get("provider")
    if provider:
        assert call["url"].endswith(f"/v2/auth/authenticateUser?resource={provider.upper()}")
    else:
        assert call["url"].endswith("/widget/session")
    assert set(body) <= (DIRECT_FIELDS if provider else WIDGET_FIELDS)
    assert all(value not in (None, "", []) for value in body.values())
    assert body["reference_id"] == request["reference_id"]
    for name, value in request.items():
        if name in body and name not in ("providers", "language"):
            assert body[name] == value
    if request.get("providers"):
        assert body["providers"] == ",".join(request["providers"]).upper()


@pytest.mark.parametrize("path", examples("connect-request"), ids=name_of)
def test_request_replayed(path):
    request = load(path)
    seen = replay(path.read_bytes())
    assert seen["accepted"], seen["error"]
    assert len(seen["warnings"]) == WARNINGS.get(path.stem, 0), seen["warnings"]
    assert_call(seen["terra"], request)
    assert_records(seen, request["reference_id"])
    codes = {record["headers"].get("error-code") for record in seen["records"]} - {None}
    assert codes == set(schema("connect-reply")["$defs"]["code"]["examples"])


def test_every_field_reaches_terra():
    reached = set()
    for path in examples("connect-request"):
        reached |= set(json.loads(replay(path.read_bytes())["terra"]["body"]))
    assert reached == WIDGET_FIELDS | DIRECT_FIELDS


def readable_reference_id(value):
    reference_id = value.get("reference_id") if isinstance(value, dict) else None
    good = isinstance(reference_id, str) and 1 <= len(reference_id.encode()) <= 256 and reference_id.isprintable()
    return reference_id if good else None


@pytest.mark.parametrize("path", sorted((SCHEMAS / "examples/invalid").glob("*.json")), ids=name_of)
def test_invalid_request_replayed(path):
    case = load(path)
    if "base64" in case:
        value = base64.b64decode(case["base64"])
    elif "text" in case:
        value = case["text"].encode()
    else:
        value = json.dumps(case["value"]).encode()
        assert cached_validator("connect-request", False).is_valid(case["value"]) != case["schema_refuses"]
    seen = replay(value)
    assert not seen["accepted"]
    assert seen["error"]["code"] == case["error"]["code"]
    if case["error"]["field"]:
        assert re.search(rf'\b(fields?|environment) .*{case["error"]["field"]}', f'field {seen["error"]["message"]}')
    else:
        assert "field" not in seen["error"]["message"]
    assert_records(seen, readable_reference_id(case.get("value")))


def replay_event(value):
    return replay(value, program="replay_event")


def assert_event_records(seen):
    """Everything that could be published of an auth event keeps to the closed schemas."""
    for record in seen["records"]:
        headers = record["headers"]
        assert headers["ce_id"] == f"terra.events.raw/3/42/{record['kind']}"
        assert headers["ce_dataschema"] == schema(record["kind"])["$id"]
        if record["value"] is None:
            continue
        value = json.loads(record["value"])
        assert_valid(value, record["kind"], closed=True)
        if record["kind"] == "connection-state":
            assert record["key"] == value["user_id"]
        else:
            assert record["key"] == (value["reference_id"] or value["user_id"] or value["old_user_id"])


def values(seen, kind):
    return [record["value"] and json.loads(record["value"]) for record in seen["records"] if record["kind"] == kind]


@pytest.mark.parametrize("path", examples("terra-raw-event"), ids=name_of)
def test_event_replayed(path):
    seen = replay_event(path.read_bytes())
    name = path.stem.removeprefix("terra-raw-event-")
    if name in OTHER_EVENTS:
        assert (seen["class"], seen["verdict"], seen["records"]) == (OTHER_EVENTS[name], "not_auth", [])
        return
    assert (seen["class"], seen["verdict"]) == ("auth", "read"), seen["error"]
    assert_event_records(seen)
    golden = load(SCHEMAS / f"examples/auth-event-{name}.json")
    assert values(seen, "auth-event")[0] == golden
    connections = values(seen, "connection-state")[: len(values(seen, "connection-state")) // 2]
    if golden["kind"] == "connect_failed":
        assert connections == []
    elif golden["kind"] == "disconnected":
        assert connections == [None]
    else:
        assert connections[0]["user_id"] == golden["user_id"] and connections[0]["scopes"] == golden["scopes"]
        assert connections[0]["last_event"] == {"kind": golden["kind"], "at": golden["published_at"]}
        assert connections[1:] == ([None] if golden["old_user_id"] else [])


def test_every_auth_event_example_has_its_raw_event():
    golden = {path.stem.removeprefix("auth-event-") for path in examples("auth-event")}
    raw = {path.stem.removeprefix("terra-raw-event-") for path in examples("terra-raw-event")}
    assert golden == (raw - OTHER_EVENTS.keys()) | {"matched"}
    kinds = {load(path)["kind"] for path in examples("auth-event")}
    assert kinds == set(schema("auth-event")["properties"]["kind"]["examples"])


def test_event_of_a_known_link_replayed():
    seen = replay_event((SCHEMAS / "examples/terra-raw-event-auth-error-session-only.json").read_bytes())
    assert values(seen, "auth-event")[1] == load(SCHEMAS / "examples/auth-event-matched.json")


def test_repeats_in_another_shape_are_the_same_event():
    event = load(SCHEMAS / "examples/terra-raw-event-auth-success.json")
    identity = replay_event(json.dumps(event).encode())["identity"]
    other = {**event, "user": [{**event["user"], "active": "true", "last_webhook_update": "2026-11-19T00:00:00+00:00"}],
             "message": "Connected", "version": "2022-03-16"}
    assert replay_event(json.dumps(other).encode())["identity"] == identity
    assert replay_event(json.dumps({**event, "status": "error"}).encode())["identity"] != identity


@pytest.mark.parametrize("path", sorted((SCHEMAS / "examples/invalid-events").glob("*.json")), ids=name_of)
def test_invalid_event_replayed(path):
    case = load(path)
    if "base64" in case:
        value = base64.b64decode(case["base64"])
    elif "text" in case:
        value = case["text"].encode()
    else:
        value = json.dumps(case["value"]).encode()
        assert cached_validator("terra-raw-event", False).is_valid(case["value"]) != case["schema_refuses"]
    seen = replay_event(value)
    assert seen["verdict"] == "bad" and seen["records"] == []
    assert case["error"] in seen["error"]


def test_event_size_limit_is_the_schema_s():
    limit = int(re.search(r"At most (\d+) bytes", schema("terra-raw-event")["description"]).group(1))
    event = b'{"type":"deauth","user":{"user_id":"x"}}'
    assert replay_event(event + b" " * (limit - len(event)))["verdict"] == "read"
    assert replay_event(event + b" " * (limit + 1 - len(event)))["verdict"] == "bad"


def test_null_value_replayed():
    seen = replay(b"", "null")
    assert seen["error"]["code"] == "invalid_request"
    assert_records(seen, None)


def test_size_limit_is_the_schema_s():
    limit = int(re.search(r"at most (\d+) bytes", schema("connect-request")["description"]).group(1))
    request = b'{"reference_id":"u1"}'
    assert replay(request + b" " * (limit - len(request)))["accepted"]
    assert replay(request + b" " * (limit + 1 - len(request)))["error"]["code"] == "invalid_request"


# asyncapi.yaml.


def unavailable(reason):
    """The suite that has to be complete says so by REQUIRE_KAFKA; elsewhere what cannot be had is skipped."""
    if os.environ.get("REQUIRE_KAFKA", "0") not in ("", "0"):
        pytest.fail(f"REQUIRE_KAFKA is set: {reason}")
    pytest.skip(reason)


def install_parser(folder):
    """Installs it beside the place where it belongs and then moves it there, so that it is there whole or not."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".installing-") as temporary:
        done = subprocess.run(
            ["npm", "install", "--prefix", temporary, "--no-audit", "--no-fund", "--ignore-scripts",
             "--loglevel=error", ASYNCAPI_PARSER],
            capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            unavailable(f"npm cannot install {ASYNCAPI_PARSER}: {done.stderr.strip()[-500:]}")
        try:
            Path(temporary, "node_modules").rename(folder / "node_modules")
        except OSError:
            # Another run was quicker.
            assert (folder / "node_modules").is_dir()


@pytest.fixture(scope="module")
def asyncapi():
    """asyncapi.yaml as the official parser reads it, every reference resolved."""
    for program in ("node", "npm"):
        if not shutil.which(program):
            unavailable(f"{program} is not installed")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "terra-connect" / "asyncapi-parser" / ASYNCAPI_PARSER.rpartition("@")[2]
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "node_modules").is_dir():
        install_parser(folder)
    program = Path(__file__).with_name("parse_asyncapi.mjs")
    done = subprocess.run(["node", program, folder, SCHEMAS / "asyncapi.yaml"],
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_asyncapi_is_valid(asyncapi):
    assert asyncapi["document"]
    # A newer minor version of AsyncAPI may exist; that is no fault.
    assert [fault for fault in asyncapi["diagnostics"] if fault["code"] != "asyncapi-latest-version"] == []
    assert '"$ref"' not in json.dumps(asyncapi["document"])


def test_asyncapi_holds_the_schemas(asyncapi):
    messages = asyncapi["document"]["components"]["messages"]
    held = {message["name"]: (message.get("payload") or message["headers"]).get("$id") for message in messages.values()}
    assert held.pop("connection-tombstone") is None
    assert held == {name.removesuffix("-headers"): schema(name)["$id"] for name in NAMES}


def test_asyncapi_describes_the_topics(asyncapi):
    channels = asyncapi["document"]["channels"]
    topics = {channel["address"]: channel["bindings"]["kafka"]["topicConfiguration"]
              for channel in channels.values() if channel["address"]}
    assert topics["terra.connections"] == {"cleanup.policy": ["compact"], "delete.retention.ms": 7 * 86400000}
    days = {address: topic["retention.ms"] / 86400000 for address, topic in topics.items() if "retention.ms" in topic}
    assert days == {"terra.connect.requests": 1, "terra.connect.replies": 1 / 24, "terra.connect.outcomes": 90,
                    "terra.events.raw": 1, "terra.auth.events": 90, "terra.dead-letters": 14}
    used = [operation["channel"]["address"] for operation in asyncapi["document"]["operations"].values()]
    assert set(used) == set(topics)


def test_records_have_the_headers_of_asyncapi(asyncapi):
    messages = {message["name"]: message for message in asyncapi["document"]["components"]["messages"].values()}
    event = (SCHEMAS / "examples/terra-raw-event-auth-success.json").read_bytes()
    for record in [*replay(b'{"reference_id":"u1"}')["records"], *replay_event(event)["records"]]:
        headers = {**messages[record["kind"]]["headers"], "additionalProperties": False}
        headers.pop("$id", None)
        Draft202012Validator(headers).validate(record["headers"])
