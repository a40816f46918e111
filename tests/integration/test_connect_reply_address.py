"""Where a reply goes: the topic and partition that a request names, the allow-list, and what a bad address costs."""

import struct

import pytest

from support.connect import ConnectFlow, check, is_link, new_id
from local_process import eventually


@pytest.fixture(scope="module")
def flow():
    with ConnectFlow() as flow:
        yield flow


@pytest.fixture(scope="module")
def team(flow):
    """A team's own reply topic, with three partitions."""
    return flow.create_topic("team", partitions=3)


def partition_header(number):
    return struct.pack(">i", number)


def assert_rejected(flow, place, user, says=""):
    """On the default topic, without the link, and without a call to Terra."""
    reply = flow.reply(place).json
    assert reply["status"] == "error" and reply["error"]["code"] == "reply_address_rejected"
    message = reply["error"]["message"]
    assert says in message and message.startswith(("caller: ", "operator: ", "caller or operator: "))
    assert reply["error"]["retryable"] is False and reply["attempts"] == 0
    assert "link" not in reply and reply["reference_id"] == user
    assert flow.outcome(place).json["error"] == reply["error"]
    assert flow.calls_for(user) == []


@pytest.mark.parametrize("header", ["kafka_replyTopic", "reply-to"])
def test_a_named_topic_gets_the_reply_and_the_default_one_nothing(flow, team, header):
    user = new_id()
    place = flow.send({"reference_id": user}, headers={header: team.topic, "kafka_correlationId": b"\x00\x07"})
    reply = flow.reply(place, team)
    assert is_link(check(reply, "connect-reply")["link"]) and reply.key == user.encode()
    assert reply.header("kafka_correlationId") == b"\x00\x07"
    assert flow.outcome(place).topic == flow.topics.outcomes
    flow.ask({"reference_id": user})  # went the same way later: so nothing is still to come
    assert flow.answers(place) == 0


def test_both_headers_with_the_same_name(flow, team):
    place = flow.send({"reference_id": new_id()}, headers={"kafka_replyTopic": team.topic, "reply-to": team.topic})
    assert is_link(flow.reply(place, team).json["link"])


def test_the_default_topic_may_be_named(flow):
    assert is_link(flow.ask({"reference_id": new_id()}, headers={"reply-to": flow.topics.replies}).json["link"])


@pytest.mark.parametrize("partition", [0, 1, 2])
def test_a_named_partition(flow, team, partition):
    for _ in range(2):
        place = flow.send({"reference_id": new_id()},
            headers={"kafka_replyTopic": team.topic, "kafka_replyPartition": partition_header(partition)})
        assert flow.reply(place, team).partition == partition


def test_a_partition_alone_is_one_of_the_default_topic(flow):
    reply = flow.ask({"reference_id": new_id()}, headers={"kafka_replyPartition": partition_header(3)})
    assert reply.partition == 3 and is_link(reply.json["link"])


def test_errors_go_to_the_named_topic_too(flow, team):
    for value in (b"garbage", {"reference_id": 5}, {"reference_id": new_id(), "provider": "NO_SUCH_ONE"}):
        place = flow.send(value, headers={"reply-to": team.topic})
        assert check(flow.reply(place, team), "connect-reply")["status"] == "error"


@pytest.mark.parametrize("topic", ["terra.connect.requests", "__consumer_offsets", "elsewhere", "*"])
def test_a_topic_that_is_not_allowed(flow, topic):
    user = new_id()
    place = flow.send({"reference_id": user}, headers={"kafka_replyTopic": topic})
    assert_rejected(flow, place, user, "kafka_replyTopic")


def test_a_topic_that_is_not_there_and_later_is(flow):
    missing = f"{flow.topics.replies}.missing"
    for _ in range(2):
        user = new_id()
        place = flow.send({"reference_id": user}, headers={"reply-to": missing})
        assert_rejected(flow, place, user, "does not exist")
    team = flow.create_topic("missing")  # it has not been made by being asked for
    # That it was not there is remembered for a moment.
    eventually(lambda: flow.reply_from_any(
        flow.send({"reference_id": new_id()}, headers={"reply-to": missing}), team).topic == missing)


@pytest.mark.parametrize("topic", [b"", b"a b", b"\x00\x01", b"x" * 250, "é".encode(), b"..", b"a/b"])
def test_what_is_no_topic_name(flow, topic):
    user = new_id()
    assert_rejected(flow, flow.send({"reference_id": user}, headers={"reply-to": topic}), user, "reply-to")


def test_two_different_names(flow, team):
    user = new_id()
    place = flow.send({"reference_id": user}, headers={"kafka_replyTopic": team.topic, "reply-to": flow.topics.replies})
    assert_rejected(flow, place, user, "different topics")


@pytest.mark.parametrize("partition", [3, 4, 2**31 - 1])
def test_a_partition_that_is_not_there(flow, team, partition):
    user = new_id()
    place = flow.send({"reference_id": user},
        headers={"kafka_replyTopic": team.topic, "kafka_replyPartition": partition_header(partition)})
    assert_rejected(flow, place, user, "partition")


@pytest.mark.parametrize("partition", [b"", b"1", b"\x01\x00", b"\x00" * 8, partition_header(-1)],
    ids=["empty", "text", "two bytes", "eight bytes", "negative"])
def test_what_is_no_partition(flow, team, partition):
    user = new_id()
    place = flow.send({"reference_id": user},
        headers={"kafka_replyTopic": team.topic, "kafka_replyPartition": partition})
    assert_rejected(flow, place, user, "kafka_replyPartition")


def test_an_address_that_fails_only_when_published_to(flow):
    """The link goes nowhere then; it is kept, and the same request with a good address gets it without another call."""
    value = {"reference_id": new_id(), "request_id": new_id("r")}
    refusing = flow.create_topic("refusing")
    flow.sandbox.add_fault(delay_ms=500, reference_id_prefix=value["reference_id"])
    place = flow.send(value, headers={"reply-to": refusing.topic})
    # Only now, so that it is the reply which meets it, and not the request.
    flow.sandbox.fail_kafka_requests("Produce", "TOPIC_AUTHORIZATION_FAILED")
    reply = flow.reply(place).json
    assert reply["error"]["code"] == "reply_address_rejected" and "link" not in reply
    assert refusing.records == []
    assert is_link(flow.ask(value).json["link"])
    assert len(flow.calls_for(value["reference_id"])) == 1


def test_a_reply_that_is_too_large_for_its_topic(flow):
    """The link goes nowhere; it is kept, as above. Where not even the error goes there, it is a dead letter."""
    for refused in (1, 2):
        # Nothing else may go out meanwhile, and it only when it has been told to be refused.
        eventually(lambda: flow.worker.metric('terra_connect_records_in_flight{flow="connect"}') == 0)
        value = {"reference_id": new_id(), "request_id": new_id("r")}
        flow.sandbox.add_fault(delay_ms=1000, reference_id_prefix=value["reference_id"])
        place = flow.send(value)
        flow.sandbox.fail_kafka_requests("Produce", "MSG_SIZE_TOO_LARGE", refused)
        if refused == 1:
            reply = flow.reply(place).json
            assert reply["error"]["code"] == "internal_error" and "link" not in reply
            assert "max.message.bytes" in reply["error"]["message"]
            assert flow.outcome(place).json["error"]["code"] == "internal_error"
        else:
            assert flow.dead_letter(place).header("error-code") == b"internal_error"
        assert flow.answers(place) == 1
        assert is_link(flow.ask(value).json["link"])
        assert len(flow.calls_for(value["reference_id"])) == 1


def test_an_unreadable_request_with_a_bad_address_is_answered_by_default(flow):
    """It named an address, so somebody waits, though not where it said."""
    place = flow.send(b"garbage", headers={"reply-to": "elsewhere"})
    assert flow.reply(place).json["error"]["code"] == "invalid_request"


def test_a_bad_address_is_answered_again_under_the_same_id(flow, team):
    """Nothing was kept of the refusal: with its address mended, the request gets its link."""
    value = {"reference_id": new_id(), "request_id": new_id("r")}
    assert flow.ask(value, headers={"reply-to": "elsewhere"}).json["error"]["code"] == "reply_address_rejected"
    place = flow.send(value, headers={"reply-to": team.topic})
    assert is_link(flow.reply(place, team).json["link"])


def test_the_same_link_goes_to_every_address_that_asks(flow, team):
    value = {"reference_id": new_id(), "request_id": new_id("r")}
    first = flow.ask(value).json
    second = flow.reply(flow.send(value, headers={"reply-to": team.topic}), team).json
    assert first["link"] == second["link"] and len(flow.calls_for(value["reference_id"])) == 1
