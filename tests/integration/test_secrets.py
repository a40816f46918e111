"""Keys, passwords, links, pointers and payloads stay where they belong, whatever happens to them.

One worker with all flows, at debug level, goes through every path with marked secrets; then all that it and the
commands have written is searched for the marks, and its log for lines that do not say whose they are. A dead letter's value and its copies of the record's headers are the
source's own. A link belongs into one place, the value of its reply. What an error says about a field of few words, such
as language, quotes it; about any other it does not.
"""

import json
import re
import tempfile
import uuid
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from local_process import eventually
from support.connect import new_id
from support.events import EventFlows
from support.program import run_program
from support.redis_server import RedisServer
from support.topics import connect_topics
from support.worker import Worker

OK, FAILED, CONFIG = 0, 1, 78
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACED = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
UNREADABLE_EVENTS = ("{broken %s", '{"type":"auth","note":"%s"}', '{"type":"s3_payload","token":"%s"}',
    '{"type":"s3_payload","url":"no url %s"}',
    '{"type":"auth","user":[{"user_id":"a"},{"user_id":"b"}],"note":"%s"}')
FORBIDDEN_URLS = ("https://evil.example/%s?signature=%s", "http://169.254.169.254/%s?token=%s",
    "https://%s:%s@storage.googleapis.com/x", "file:///etc/%s/%s")

# Whose lines are about one job, and whose about the worker and what it stands on.
JOB_AREAS = {"connect_flow", "connect_outbox", "reply_cache", "terra_call", "publisher", "event_flow", "event_outbox",
    "payload_fetch", "event_memory", "link_memory", "connection_flow", "connection_memory"}
OTHER_AREAS = {"admission", "intake", "kafka", "redis", "status", "terra_health", "worker"}
# The job that left a note has ended by then.
ABOUT_NO_JOB = {"Redis did not take what was to be remembered"}


def mark():
    """As long as Terra's keys, and as unlikely to come about by itself."""
    return f"mark{uuid.uuid4().hex}"


class Marks:
    """Everything that must not be found, by what it is."""

    def __init__(self):
        self.api_key, self.other_key, self.wrong_key = mark(), mark(), mark()
        self.redis_password, self.wrong_password, self.sasl_password, self.proxy_password = (mark() for _ in range(4))
        self.told_by_terra, self.pointer, self.redirect = mark(), mark(), mark()
        self.payload = mark()
        self.links, self.pointers = set(), set()

    @property
    def secrets(self):
        """Nobody may be shown these."""
        texts = {text for name, text in vars(self).items() if isinstance(text, str) and name != "payload"}
        return texts | self.links | self.pointers


class Everything:
    """The flows, and what was written by whom: {where: [texts]}."""

    def __init__(self, stack, folder):
        self.marks, self.texts = Marks(), {}
        self.traced = set()  # places of records that belong to the trace
        self._stack, self._folder = stack, folder
        self.redis = stack.enter_context(
            RedisServer(arguments=["--user", "worker", "on", f">{self.marks.redis_password}", "~*", "&*", "+@all"]))
        self.connect = connect_topics()
        accounts = (f"default:dev:{self.marks.api_key}", f"other:other-dev:{self.marks.other_key}")
        self.flows = stack.enter_context(EventFlows({**self._settings(), "LOG_LEVEL": "debug"}, redis=False, workers=0,
            sandbox=[part for account in accounts for part in ("--credential", account)]))
        self.flows.sandbox.create_topics([self.connect.requests, self.connect.replies, self.connect.outcomes])
        self.replies, self.outcomes = self.flows.read(self.connect.replies), self.flows.read(self.connect.outcomes)
        self.worker = self.flows.start_worker()
        self.worker.secrets |= self.marks.secrets

    def _settings(self):
        environments = self._folder / "environments.json"
        environments.write_text(json.dumps({"other": {"dev_id": "other-dev", "api_key": self.marks.other_key}}))
        shared = ("KAFKA_GROUP_ID", "DEAD_LETTERS_TOPIC")  # with the flows of events
        own = {name: value for name, value in self.connect.settings.items() if name not in shared}
        return {**own, "TERRA_ENVIRONMENTS_FILE": environments, "TERRA_ATTEMPTS_MAX": 2, "REDIRECT_URLS_ALLOWED":
            "https://app.example/", "KAFKA_SASL_PASSWORD": self.marks.sasl_password,
            "REDIS_URL": f"redis://worker:{self.marks.redis_password}@127.0.0.1:{self.redis.port}"}

    @property
    def settings(self):
        return self.flows.settings

    def keep(self, where, text):
        self.texts.setdefault(where, []).append(text)

    # ---- requests ----

    def send(self, value, **headers):
        partition, offset = self.flows.writer.send(self.connect.requests, value,
            headers={"x-secret": self.marks.payload, "authorization": self.marks.payload, **TRACED, **headers})
        return self.note_traced(f"{self.connect.requests}/{partition}/{offset}")

    def note_traced(self, place):
        self.traced.add(place)
        return place

    def wait_for_line(self, area, words):
        self.worker.wait_for_log(lambda line: line.get("area") == area and words in line["message"])

    def request(self, **fields):
        redirect = f"https://app.example/?code={self.marks.redirect}"
        return {"reference_id": new_id(), "auth_success_redirect_url": redirect, "note": self.marks.payload,
            "timeout_seconds": 10, **fields}

    def reply(self, place):
        found = self.replies.wait_for(lambda record: record.header("ce_id") == f"{place}/connect-reply".encode())
        return found[0].json

    def code(self, place):
        return self.reply(place).get("error", {}).get("code", "success")

    def link(self, **fields):
        """A request that is answered with a link: its reply."""
        return self.take_link(self.reply(self.send(self.request(**fields))))

    def take_link(self, reply):
        assert reply["status"] == "success", reply
        self.marks.links |= {reply["link"], re.split(r"[/=]", reply["link"])[-1]}
        return reply

    # ---- events ----

    def send_raw(self, value):
        return self.note_traced(self.flows.send_raw(value, headers=TRACED))

    def send_event(self, value):
        return self.note_traced(self.flows.send_event(value, headers=TRACED))

    def letter_code(self, place):
        return self.flows.dead_letter(place).header("error-code").decode()

    def emit(self, **event):
        """By pointer, unless it says otherwise; its place on the raw topic."""
        event = {"type": "auth", "reference_id": new_id(), "fields": {"note": self.marks.payload}, **event}
        placed = self.flows.sandbox.emit(event)[0]
        self.marks.pointers |= {placed["url"]} - {None, ""}
        return f"{self.flows.topics.raw}/{placed['partition']}/{placed['offset']}"

    # ---- commands ----

    def run(self, *arguments, exit_code=OK, **changed):
        settings = {name: value for name, value in {**self.settings, **changed}.items() if value is not None}
        done = run_program(*arguments, settings=settings)
        assert done.returncode == exit_code, done
        self.keep(" ".join(arguments), done.stdout + done.stderr)
        return done.stdout


def links_are_given(everything):
    direct = everything.link(provider="OURA")
    widget = everything.link(environment="other")
    again = everything.request(request_id=new_id("r"))
    first, second = (everything.take_link(everything.reply(everything.send(again))) for _ in range(2))
    assert first["link"] == second["link"]
    retried = everything.link(reference_id=new_id("sandbox-flaky-1"))
    assert retried["attempts"] == 2
    for reply, delivery in ((direct, "inline"), (widget, "pointer")):
        everything.flows.sandbox.complete(reference_id=reply["reference_id"], delivery=delivery,
            fields={"note": everything.marks.payload, "auth_url": reply["link"]})
        event = everything.flows.events_of(reply["reference_id"])[0]
        assert event["kind"] == "connected" and event["request_id"] == reply["request_id"]
        everything.flows.wait_for_connection(event["user_id"], lambda state: state["status"] == "connected")


def requests_fail(everything):
    """Every error code that a request, or Terra's answer to it, can bring about."""
    marks, sent = everything.marks, {}
    for code in ("rejected_by_terra", "credentials_rejected", "endpoint_retired", "user_limit_reached",
            "terra_unavailable", "rate_limited"):
        # A 429 makes all calls of its environment wait.
        environment = "other" if code == "rate_limited" else "default"
        request = everything.request(reference_id=new_id(f"sandbox-{code}"), environment=environment)
        sent[everything.send(request)] = code
    # Terra's own words may hold what we sent, and links.
    url = f"https://widget.example/session/{marks.told_by_terra}?token={marks.told_by_terra}"
    body = {"status": "error", "message": f"the key {marks.api_key} of {url} is bad", "url": url}
    for status, code in ((400, "rejected_by_terra"), (500, "terra_unavailable")):
        reference = new_id()
        everything.flows.sandbox.add_fault(endpoint="widget_session", reference_id_prefix=reference, status=status,
            count=0, body=body)
        sent[everything.send(everything.request(reference_id=reference))] = code
    sent[everything.send(everything.request(reference_id=new_id("sandbox-deadline_exceeded"), timeout_seconds=1))] = \
        "deadline_exceeded"
    for fields, code in (
            ({"reference_id": [marks.payload]}, "invalid_request"),
            ({"connected_uids": [marks.payload, {"token": marks.payload}]}, "invalid_request"),
            ({"apple_app_url": f"relative?code={marks.payload}", "provider": "APPLE_HEALTH"}, "invalid_request"),
            ({"auth_success_redirect_url": f"relative?code={marks.payload}"}, "invalid_request"),
            ({"auth_success_redirect_url": f"https://u:{marks.redirect}@app.example/"}, "redirect_not_allowed"),
            ({"auth_failure_redirect_url": f"https://evil.example/?code={marks.redirect}"}, "redirect_not_allowed"),
            ({"environment": "nowhere"}, "unknown_environment")):
        sent[everything.send(everything.request(request_id=new_id("r"), **fields))] = code
    sent[everything.send(everything.request(), **{"reply-to": "some.other.topic"})] = "reply_address_rejected"
    for place, code in sent.items():
        assert everything.code(place) == code, (place, code, everything.reply(place))
    for broken in (f'{{"reference_id": "{marks.payload}', marks.payload, f'["{marks.payload}"]'):
        assert everything.letter_code(everything.send(broken.encode())) == "invalid_request"


def events_go_wrong(everything):
    marks, sent = everything.marks, {}
    for text in UNREADABLE_EVENTS:
        sent[everything.send_raw((text % marks.payload).encode())] = "invalid_event"
    for url in FORBIDDEN_URLS:
        pointer = {"type": "s3_payload", "url": url % (marks.pointer, marks.pointer), "expires_in": 600}
        sent[everything.send_raw(pointer)] = "payload_forbidden"
    body = UNREADABLE_EVENTS[-1] % marks.payload
    sent[everything.emit(body=body)] = "invalid_event"
    sent[everything.emit(expires_in=600, ttl_ms=0)] = "payload_expired"
    elsewhere = f"http://127.0.0.1:1/?token={marks.pointer}"
    for fault, code in (({"status": 404, "body": marks.payload}, "payload_expired"),
            ({"status": 302, "headers": {"Location": elsewhere}}, "payload_forbidden"),
            ({"kind": "gzip_bomb", "bytes": 64 << 20}, "payload_unreadable")):
        reference = new_id()
        everything.flows.sandbox.add_fault(endpoint="payload", reference_id_prefix=reference, **fault)
        sent[everything.emit(reference_id=reference)] = code
    tried_again = new_id()
    everything.flows.sandbox.add_fault(endpoint="payload", reference_id_prefix=tried_again, status=503,
        body=marks.payload)
    everything.flows.event(everything.emit(reference_id=tried_again))
    everything.emit(type="daily")
    everything.emit(type="brand_new_type", delivery="inline")
    undated = {"kind": "connected", "user_id": "u", "request_id": "r", "provider": marks.payload}
    for value in (f"{{broken {marks.payload}".encode(), undated):
        sent[everything.send_event(value)] = "invalid_event"
    for place, code in sent.items():
        assert everything.letter_code(place) == code, (place, code)


def redis_fails(everything):
    """First what lies there is another's, then it is away."""
    redis, broken = everything.redis, f"{{broken {everything.marks.payload}"
    request = everything.request(request_id=new_id("r"))
    user = {"user_id": new_id("user"), "reference_id": request["reference_id"], "provider": "GARMIN"}

    def ask():
        everything.take_link(everything.reply(everything.send(request)))

    def tell(kind, status=None):
        everything.send_raw({"type": kind, "status": "warning", "user": user, "message": broken})
        if status:
            everything.flows.wait_for_connection(user["user_id"], lambda state: state["status"] == status)

    def spoil(kind, put=lambda client, key: client.set(key, broken)):
        with redis.client() as client:
            for key in client.keys(f"*:{kind}:*"):
                put(client, key)

    ask()
    tell("user_reauth", "connected")
    spoil("reply")
    ask()
    spoil("link")
    spoil("connection")
    tell("connection_error", "degraded")
    spoil("connection", lambda client, key: client.delete(key) and client.lpush(key, broken))
    tell("access_revoked", "revoked")
    for area, words in (("reply_cache", "cannot be read"), ("link_memory", "cannot be read"),
            ("connection_flow", "cannot be read"), ("connection_memory", "is none")):
        everything.wait_for_line(area, words)

    redis.kill()
    everything.link()
    tell("user_reauth")
    for area in ("reply_cache", "event_memory", "link_memory", "connection_memory"):
        everything.wait_for_line(area, "Redis did not answer")
    redis.start()
    everything.flows.wait_for_connection(user["user_id"], lambda state: state["status"] == "connected")


def kafka_refuses(everything):
    """A record, for its size or otherwise, and then what is sent in its place."""
    sandbox, worker = everything.flows.sandbox, everything.worker

    def nothing_is_sent():
        return all(worker.metric(f'terra_connect_records_in_flight{{flow="{flow}"}}') == 0
            for flow in ("connect", "events", "connections"))

    def refuse(send, error, count=1):
        """Terra takes a second, so it is what comes of the record that meets the refusals."""
        eventually(nothing_is_sent)
        reference = new_id()
        for endpoint in ("widget_session", "payload"):
            sandbox.add_fault(endpoint=endpoint, reference_id_prefix=reference, delay_ms=1000)
        place = send(reference)
        sandbox.fail_kafka_requests("Produce", error, count)
        return place

    def ask(reference):
        return everything.send(everything.request(reference_id=reference))

    def emit(reference):
        return everything.emit(reference_id=reference)

    everything.take_link(everything.reply(refuse(ask, "POLICY_VIOLATION")))
    everything.wait_for_line("publisher", "will be tried again")
    assert everything.letter_code(refuse(emit, "MSG_SIZE_TOO_LARGE")) == "event_too_large"
    assert everything.code(refuse(ask, "MSG_SIZE_TOO_LARGE")) == "internal_error"
    assert everything.letter_code(refuse(ask, "MSG_SIZE_TOO_LARGE", count=2)) == "internal_error"
    # Nor its dead letter, with and without its value: the request stays in Kafka, so this is the last one.
    refuse(ask, "MSG_SIZE_TOO_LARGE", count=4)
    everything.wait_for_line("publisher", "a dead letter cannot be written")


def commands_are_run(everything):
    worker, marks = everything.worker, everything.marks
    here = {"HTTP_LISTEN": worker.wait_for_log("metrics and health are served")["address"]}
    proxy = {"TERRA_PROXY": f"http://proxy:{marks.proxy_password}@127.0.0.1:1"}
    for form in ((), ("--json",), ("--markdown",)):
        everything.run("config", *form, **proxy)
    for form in ((), ("--json",), ("--acls",)):
        everything.run("check", "--timeout", "10s", *form)
    for arguments in (("health",), ("health", "--ready")):
        everything.run(*arguments, **here)
    everything.run("health", exit_code=FAILED, HTTP_LISTEN="127.0.0.1:1")
    for arguments in (("limit",), ("limit", "--json"), ("limit", "set", "1000/s"), ("limit", "unset")):
        everything.run(*arguments)
    wrong = f"redis://worker:{marks.wrong_password}@127.0.0.1:{everything.redis.port}"
    everything.run("limit", exit_code=FAILED, REDIS_URL=wrong)
    for url in (f"redis://worker:{marks.wrong_password}@127.0.0.1:port", f"http://worker:{marks.wrong_password}@host"):
        everything.run("worker", exit_code=CONFIG, REDIS_URL=url)
    for form in ((), ("--json",)):
        shown = everything.run("watch", "--since", "beginning", "--until-end", *form)
        assert "https://widget.sandbox.invalid/***" in shown
        everything.run("redrive", "--dry-run", *form)
    everything.run("redrive", "--code", "invalid_event", "--rate", "0")


def a_worker_is_refused(everything):
    """By Kafka, by Redis and by Terra."""
    marks = everything.marks
    worker = Worker({**everything.settings, "LOG_LEVEL": "debug", "TERRA_API_KEY": marks.wrong_key,
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SASL_MECHANISM": "PLAIN", "KAFKA_SASL_USERNAME": "worker",
        "REDIS_URL": f"redis://worker:{marks.wrong_password}@127.0.0.1:{everything.redis.port}"})
    everything._stack.callback(worker.stop)
    worker.secrets |= marks.secrets
    for area in ("kafka", "redis"):
        worker.wait_for_log(lambda line: line.get("area") == area and line["level"] in ("warn", "error"))
    eventually(lambda: worker.metric('terra_connect_credential_refused{environment="default"}') == 1)
    pages_are_read(everything, worker)
    worker.stop()
    everything.keep("log of the refused worker", worker.stderr)


def pages_are_read(everything, worker):
    for path in ("/metrics", "/readyz", "/healthz"):
        everything.keep(path, worker.page(path))


def headers_of(record):
    return " ".join(f"{name}={value}" for name, value in record.headers if not name.startswith("__dlq.header."))


def records_are_kept(everything):
    for record in everything.replies.records:
        reply = {name: value for name, value in record.json.items() if name not in ("link", "url", "auth_url")}
        everything.keep("replies", f"{record.key} {headers_of(record)} {json.dumps(reply)}")
    for reader in (everything.outcomes, everything.flows.events, everything.flows.connections):
        for record in reader.records:
            if record.header("ce_id"):  # not the test's own
                everything.keep(record.topic, f"{record.key} {headers_of(record)} {record.value}")
    for record in everything.flows.dead_letters.records:
        everything.keep("dead letters, but their values", headers_of(record))


@pytest.fixture(scope="module")
def written():
    """All of it, when everything has been through: {"marks", "texts"}"""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="terra-connect-test-"))
        everything = Everything(stack, Path(folder))
        links_are_given(everything)
        requests_fail(everything)
        events_go_wrong(everything)
        redis_fails(everything)
        kafka_refuses(everything)
        pages_are_read(everything, everything.worker)
        commands_are_run(everything)
        a_worker_is_refused(everything)
        everything.worker.stop()
        everything.keep("log", everything.worker.stderr)
        records_are_kept(everything)
        yield SimpleNamespace(marks=everything.marks, texts=everything.texts, log=everything.worker.log,
            traced=everything.traced, requests=everything.connect.requests)


def shown_in(written, marks, texts):
    return {(where, name_of(written.marks, text)) for where, found in texts.items() for part in found for text in marks
        if text in part}


def name_of(marks, text):
    """So that a failure says which one it was, without a search."""
    known = {value: name for name, value in vars(marks).items() if isinstance(value, str)}
    return known.get(text, text)


def test_secrets_and_links_are_nowhere(written):
    assert len(written.marks.links) >= 8 and len(written.marks.pointers) >= 5
    assert shown_in(written, written.marks.secrets, written.texts) == set()


def test_payloads_are_nowhere_but_in_what_shows_records(written):
    texts = {where: found for where, found in written.texts.items() if not where.startswith("watch ")}
    assert len(texts) >= 20
    assert shown_in(written, {written.marks.payload}, texts) == set()


def test_lines_about_a_job_say_whose_they_are(written):
    """Its place in Kafka, its trace where it has one, and its request where that is known."""
    lines = [line for line in written.log if line["area"] in JOB_AREAS and line["message"] not in ABOUT_NO_JOB]
    assert {line["area"] for line in lines} == JOB_AREAS
    for line in lines:
        place = f"{line.get('topic')}/{line.get('partition')}/{line.get('offset')}"
        assert re.fullmatch(r"t[0-9a-f]+\..+/[0-9]+/[0-9]+", place), line
        assert line.get("trace_id") == TRACE or place not in written.traced, line
        assert "request_id" in line or line["topic"] != written.requests, line
    areas = {line["area"] for line in lines if line.get("trace_id") == TRACE}
    assert JOB_AREAS - areas <= {"payload_fetch", "event_outbox"}, "Terra's own records belong to no trace"


def test_lines_about_an_event_name_its_request(written):
    lines = [line for line in written.log if line["area"] == "event_flow" and line["message"] == "step"]
    assert any(line.get("request_id") for line in lines)


def test_lines_are_whole(written):
    """Each is of a known area, and has no field twice, of which readers of JSON would take one."""
    assert {line["area"] for line in written.log} <= JOB_AREAS | OTHER_AREAS
    for line in written.texts["log"][0].splitlines():
        names = [name for name, _ in json.loads(line, object_pairs_hook=list)]
        assert len(names) == len(set(names)), line
