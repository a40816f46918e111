"""Going on while something else is broken, and what is written to the log meanwhile."""

import pytest

from support.connect import ConnectFlow, is_link, new_id
from local_process import eventually, free_port


@pytest.fixture(scope="module")
def flow():
    with ConnectFlow() as flow:
        yield flow


def a_request(**fields):
    return {"reference_id": new_id(), "request_id": new_id("r"), **fields}


def test_brokers_away_for_a_while(flow):
    flow.ask_for_link()
    value = a_request()
    flow.sandbox.add_fault(delay_ms=500, reference_id_prefix=value["reference_id"])
    place = flow.send(value)
    eventually(lambda: flow.calls_for(value["reference_id"]))
    said = len(flow.worker.log)
    flow.sandbox.set_broker(up=False)
    flow.worker.wait_for_log(lambda line: line.get("level") in ("warn", "error"), since=said)
    flow.sandbox.set_broker(up=True)
    assert is_link(flow.reply(place, timeout=40).json["link"])
    assert flow.ask_for_link()
    assert len(flow.calls_for(value["reference_id"])) == 1


@pytest.mark.parametrize("error", ["NOT_LEADER_FOR_PARTITION", "REQUEST_TIMED_OUT", "NOT_ENOUGH_REPLICAS",
    "UNKNOWN_TOPIC_OR_PART", "TOPIC_AUTHORIZATION_FAILED", "INVALID_REQUIRED_ACKS"])
def test_a_reply_that_the_broker_refuses_is_published_again(flow, error):
    value = a_request()
    flow.sandbox.add_fault(delay_ms=300, reference_id_prefix=value["reference_id"])
    place = flow.send(value)
    flow.sandbox.fail_kafka_requests("Produce", error, count=2)
    assert is_link(flow.reply(place).json["link"])
    flow.outcome(place)
    assert flow.ask_for_link()
    assert len(flow.calls_for(value["reference_id"])) == 1


def test_terra_that_cannot_be_reached():
    with ConnectFlow({"TERRA_BASE_URL": f"http://127.0.0.1:{free_port()}", "TERRA_ATTEMPTS_MAX": 2}) as flow:
        for _ in range(2):
            reply = flow.ask({"reference_id": new_id()}).json
            assert reply["error"]["code"] == "terra_unavailable" and reply["error"]["http_status"] is None
            assert reply["attempts"] == 2 and reply["error"]["retry_after_seconds"] is not None


def test_a_log_at_its_most_talkative_holds_no_payload():
    """Keys and links are searched for in every log of every suite; here the level is debug."""
    with ConnectFlow({"LOG_LEVEL": "debug"}, redis=False) as flow:
        marks = [new_id("MARK") for _ in range(6)]
        flow.ask({"reference_id": marks[0], "auth_success_redirect_url": f"https://{marks[1]}.example/".lower()})
        flow.ask({"reference_id": new_id(), "provider": "OURA", "connected_uids": [marks[2]]})
        flow.sandbox.add_fault(status=400, body={"message": f"see https://x.example/{marks[3]}"})
        flow.ask({"reference_id": new_id()})
        flow.dead_letter(flow.send(marks[4].encode()))
        flow.ask({"reference_id": new_id(), "language": marks[5]})
        flow.worker.stop()
        log = flow.worker.stderr.lower()
        assert '"level":"debug"' in log
        assert not [mark for mark in marks if mark.lower() in log]
