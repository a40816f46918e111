"""One request, one link: repeats, copies in flight, two workers racing, and Redis going away."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.connect import ConnectFlow, is_link, new_id
from local_process import eventually


@pytest.fixture(scope="module")
def flow():
    with ConnectFlow() as flow:
        yield flow


@pytest.fixture(scope="module")
def local():
    """The same without Redis."""
    with ConnectFlow(redis=False) as flow:
        yield flow


@pytest.fixture(params=["redis", "in-process"])
def either(request):
    return request.getfixturevalue("flow" if request.param == "redis" else "local")


def a_request(**fields):
    return {"reference_id": new_id(), "request_id": new_id("r"), **fields}


def calls_for(flow, value):
    return flow.calls_for(value["reference_id"])


def links_of(flow, places):
    replies = [flow.reply(place).json for place in places]
    assert all(reply["status"] == "success" for reply in replies), replies
    return [reply["link"] for reply in replies]


# ---- repeats ----

@pytest.mark.parametrize("fields", [{}, {"provider": "GARMIN"}, {"providers": ["GARMIN", "ACME"]}],
    ids=["widget", "direct", "with warnings"])
def test_a_repeat_gets_the_same_reply_and_costs_no_call(either, fields):
    value = a_request(**fields)
    first, second = either.send(value), either.send(value)
    either.reply(first)
    third = either.send(value)
    replies = [either.reply(place).json for place in (first, second, third)]
    for reply in replies:
        reply.pop("attempts")
    assert replies[0] == replies[1] == replies[2] and is_link(replies[0]["link"])
    assert len(calls_for(either, value)) == 1
    outcome = either.outcome(third).json
    assert outcome["cached"] is True and outcome["attempts"] == 0 and outcome["seconds_calling"] == 0


def test_a_repeat_is_known_by_its_correlation_too(either):
    value = {"reference_id": new_id()}
    places = [either.send(value, headers={"correlation-id": new_id("c") if i == 2 else b"same"}) for i in range(3)]
    links = links_of(either, places)
    assert links[0] == links[1] != links[2] and len(calls_for(either, value)) == 2


def test_without_an_id_each_record_is_a_request_of_its_own(either):
    value = {"reference_id": new_id()}
    links = links_of(either, [either.send(value) for _ in range(3)])
    assert len(set(links)) == 3 == len(calls_for(either, value))


@pytest.mark.parametrize("changed", [
    {"reference_id": "someone else"}, {"provider": "GARMIN"}, {"providers": ["GARMIN"]}, {"language": "fr"},
    {"auth_success_redirect_url": "https://app.example/ok"}, {"auth_failure_redirect_url": "https://app.example/no"},
    {"show_disconnect": True}, {"show_disconnect": False}, {"multi_auth": False}, {"bypass_feedback": True},
    {"use_terra_avengers_app": False}, {"apple_app_url": "https://app.example/"},
    {"samsung_app_url": "https://app.example/"}, {"request_id": "another"},
], ids=lambda changed: "-".join(map(str, next(iter(changed.items())))))
def test_other_content_under_the_same_id_is_another_request(flow, changed):
    value = a_request()
    other = {**value, **changed}
    links = links_of(flow, [flow.send(value), flow.send(other), flow.send(value), flow.send(other)])
    assert links[0] == links[2] != links[1] == links[3]


def test_what_does_not_shape_the_call_makes_no_other_request(flow):
    value = a_request(provider="GARMIN")
    links = links_of(flow, [flow.send(value), flow.send({**value, "timeout_seconds": 9}),
        flow.send({**value, "provider": "garmin", "language": None}), flow.send({**value, "unknown": 1})])
    assert len(set(links)) == 1 == len(calls_for(flow, value))


def test_a_failed_request_may_be_sent_again(either):
    value = a_request()
    either.sandbox.add_fault(status=400, reference_id_prefix=value["reference_id"])
    assert either.ask(value).json["error"]["code"] == "rejected_by_terra"
    assert is_link(either.ask(value).json["link"])
    assert len(calls_for(either, value)) == 2


def test_a_link_is_not_kept_past_its_life(either):
    """Of 61 seconds all but one are kept back: the repeat after that is a new request."""
    value = a_request()
    fault = {"status": 201, "reference_id_prefix": value["reference_id"]}
    for number in (1, 2):
        either.sandbox.add_fault(**fault, body={"url": f"https://widget.sandbox.invalid/session/{number}",
            "session_id": "s", "expires_in": 61})
    first = links_of(either, [either.send(value)])[0]
    assert links_of(either, [either.send(value)]) == [first]
    assert eventually(lambda: links_of(either, [either.send(value)])[0] != first, timeout=5)
    assert len(calls_for(either, value)) == 2


def test_keys_in_redis_expire_and_have_our_prefix(flow):
    flow.redis.client().flushall()
    value = a_request()
    flow.ask(value)
    keys = flow.redis.client().keys("*")
    replies = [key for key in keys if ":reply:" in key]
    assert len(replies) == 1
    assert 590_000 < flow.redis.client().pttl(replies[0]) <= 600_000
    for key in keys:
        assert key.startswith("terra-connect:")
        assert value["request_id"] not in key and value["reference_id"] not in key
        assert flow.redis.client().pttl(key) > 0


def test_a_script_that_redis_forgot_is_sent_again(flow):
    flow.ask(a_request())
    flow.redis.client().script_flush()
    value = a_request()
    assert len(set(links_of(flow, [flow.send(value)]) + links_of(flow, [flow.send(value)]))) == 1


@pytest.mark.parametrize("kept",
    ["", "garbage", "[]", '{"widget":true}', '{"widget":1,"link":"x","expires_wall_us":0}'])
def test_what_cannot_be_read_in_redis_counts_as_nothing(flow, kept):
    flow.redis.client().flushall()
    value = a_request()
    flow.ask(value)
    key = flow.redis.client().keys("*:reply:*")[0]
    flow.redis.client().set(key, kept)
    assert is_link(flow.ask(value).json["link"])
    assert len(calls_for(flow, value)) == 2


# ---- copies in flight ----

def test_copies_in_flight_share_one_call(either):
    value = a_request()
    either.sandbox.add_fault(delay_ms=1000, reference_id_prefix=value["reference_id"])
    places = [either.send(value, partition=number % 4) for number in range(8)]
    links = links_of(either, places)
    assert len(set(links)) == 1 == len(calls_for(either, value))
    outcomes = [either.outcome(place).json for place in places]
    assert sorted(outcome["cached"] for outcome in outcomes) == [False] + [True] * 7
    assert sorted(outcome["attempts"] for outcome in outcomes) == [0] * 7 + [1]


def test_copies_in_flight_share_a_refusal(either):
    value = a_request()
    either.sandbox.add_fault(status=400, delay_ms=500, reference_id_prefix=value["reference_id"], count=0)
    replies = [either.reply(place).json for place in [either.send(value) for _ in range(4)]]
    assert {reply["error"]["code"] for reply in replies} == {"rejected_by_terra"}
    assert len(calls_for(either, value)) == 1


def test_each_copy_has_its_own_deadline_and_address(either):
    value = a_request()
    team = either.create_topic(new_id("team"))
    either.sandbox.add_fault(delay_ms=1500, reference_id_prefix=value["reference_id"])
    before = time.monotonic()
    patient = either.send({**value, "timeout_seconds": 20}, headers={"reply-to": team.topic})
    eventually(lambda: calls_for(either, value))
    hurried = either.send({**value, "timeout_seconds": 0.5})
    assert either.reply(hurried).json["error"]["code"] == "deadline_exceeded"
    assert time.monotonic() - before < 1.4
    assert is_link(either.reply(patient, team).json["link"])
    assert len(calls_for(either, value)) == 1


def test_a_patient_copy_is_not_bound_by_a_hurried_one(either):
    value = a_request()
    either.sandbox.add_fault(kind="stall", reference_id_prefix=value["reference_id"])
    hurried = either.send({**value, "timeout_seconds": 0.7})
    eventually(lambda: calls_for(either, value))
    patient = either.send({**value, "timeout_seconds": 20})
    assert either.reply(hurried).json["error"]["code"] == "deadline_exceeded"
    assert is_link(either.reply(patient).json["link"])
    assert len(calls_for(either, value)) == 2


# ---- Redis goes away and comes back ----

def answered_while_away(flow):
    """Requests are served, a repeat too, if at the price of a second call."""
    value = a_request()
    before = time.monotonic()
    for _ in range(2):
        assert is_link(flow.ask(value).json["link"])
    # Half a second for each question that is not answered, twice per request, and some.
    assert time.monotonic() - before < 5


def healed(flow):
    value = a_request()
    return len(set(links_of(flow, [flow.send(value)]) + links_of(flow, [flow.send(value)]))) == 1


def test_redis_killed_and_back(flow):
    flow.redis.kill()
    answered_while_away(flow)
    flow.redis.start()
    eventually(lambda: healed(flow), timeout=15)


def test_redis_frozen_and_thawed(flow):
    flow.redis.freeze()
    try:
        answered_while_away(flow)
    finally:
        flow.redis.thaw()
    eventually(lambda: healed(flow), timeout=15)


def test_redis_stopped_while_a_call_is_out(flow):
    value = a_request()
    flow.sandbox.add_fault(delay_ms=500, reference_id_prefix=value["reference_id"])
    place = flow.send(value)
    eventually(lambda: calls_for(flow, value))
    flow.redis.stop()
    try:
        assert is_link(flow.reply(place).json["link"])
    finally:
        flow.redis.start()
    eventually(lambda: healed(flow), timeout=15)


def test_redis_that_refuses_to_write(flow):
    """Full, or a replica: answers errors while it is there."""
    flow.redis.client().config_set("maxmemory", "1")
    try:
        answered_while_away(flow)
    finally:
        flow.redis.client().config_set("maxmemory", "0")
    assert healed(flow)


def test_redis_not_there_at_start():
    with ConnectFlow(workers=0) as flow:
        flow.redis.stop()
        flow.start_worker()
        answered_while_away(flow)
        flow.redis.start()
        eventually(lambda: healed(flow), timeout=15)


# ---- two workers ----

def test_two_workers_racing_give_one_link():
    """Copies of each request in two partitions, of which each worker has some; Terra takes its time, so that both call.

    The group of the embedded broker forms anew for the second worker, so both are there before the first request.
    """
    with ConnectFlow(workers=2, partitions=4) as flow:
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda worker: worker.wait_for_log("partition assigned"), flow.workers))
        flow.sandbox.set_latency(300, 200)
        values = [a_request() for _ in range(40)]
        places = [[flow.send_all([value], partition=partition)[0] for partition in range(4)] for value in values]
        for value, copies in zip(values, places):
            assert len(set(links_of(flow, copies))) == 1
            assert len(calls_for(flow, value)) <= 2  # each worker once
        assert sum(len(calls_for(flow, value)) for value in values) > len(values)  # there was something to settle
