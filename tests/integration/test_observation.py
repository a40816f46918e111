"""What operators see of a worker that runs: gauges that tell how far behind it is, and log lines that tell of whom."""

import pytest

from local_process import eventually
from support.connect import ConnectFlow, new_id
from support.events import EventFlows

LAG = 'terra_connect_consumer_lag{flow="connect"}'
OLDEST = "terra_connect_oldest_waiting_seconds"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
STAGES = {"waiting": "", "terra_call": "", "publish": '{output="replies"}', "reply": ""}
TIMED = {"at_least_once": 'terra_connect_publish_seconds_count{output="events"}',
    "exactly_once": "terra_connect_transaction_seconds_count"}
QUICK_STATISTICS = {"KAFKA_STATISTICS_INTERVAL_MS": 100}


@pytest.fixture(scope="module")
def flow():
    with ConnectFlow({**QUICK_STATISTICS, "REQUESTS_IN_FLIGHT_MAX": 8, "LOG_LEVEL": "debug"}) as running:
        running.ask_for_link()
        yield running


def wait_for_metric(worker, name, wanted, timeout=20):
    eventually(lambda: wanted(worker.metric(name)), timeout, lambda: f"{name}, which is {worker.metric(name)}")


def lines_of(worker, **fields):
    return [line for line in worker.log if all(line.get(name) == value for name, value in fields.items())]


def test_how_far_behind_a_worker_is(flow):
    wait_for_metric(flow.worker, LAG, lambda lag: lag == 0)
    assert flow.worker.metric(OLDEST) == 0

    # Terra answers nobody: what is in flight counts, and what still lies in the topic.
    flow.sandbox.add_fault(kind="stall")
    places = flow.send_all([{"reference_id": new_id(), "timeout_seconds": 2} for _ in range(40)])
    wait_for_metric(flow.worker, LAG, lambda lag: lag == 40)
    wait_for_metric(flow.worker, OLDEST, lambda age: 0.5 < age < 30)

    flow.sandbox.clear_faults()
    for place in places:
        flow.reply(place)
    wait_for_metric(flow.worker, LAG, lambda lag: lag == 0)
    assert flow.worker.metric(OLDEST) == 0


def test_each_stage_of_a_request_is_timed(flow):
    count = {stage: flow.worker.metric(f"terra_connect_{stage}_seconds_count{label}") for stage, label in STAGES.items()}
    flow.outcome(flow.send({"reference_id": new_id()}))
    for stage, label in STAGES.items():
        wait_for_metric(flow.worker, f"terra_connect_{stage}_seconds_count{label}", lambda now: now == count[stage] + 1)


def test_lines_about_a_request_name_it_and_its_trace(flow):
    traced = flow.send({"reference_id": new_id(), "request_id": "r-traced"}, headers={"traceparent": PARENT})
    other = flow.send({"reference_id": new_id(), "request_id": "r-other"}, headers={"traceparent": "00-nonsense"})
    unread = flow.send({"request_id": "r-unread"}, headers={"traceparent": PARENT})
    for place in (traced, other, unread):
        flow.outcome(place)
    steps = lines_of(flow.worker, request_id="r-traced", message="step")
    assert {line["state"] for line in steps} >= {"calling", "replying", "reporting"}
    assert {line["trace_id"] for line in steps} == {TRACE}
    assert lines_of(flow.worker, request_id="r-unread", trace_id=TRACE, message="a request cannot be read")
    others = lines_of(flow.worker, request_id="r-other")
    assert others and not any("trace_id" in line for line in others)


def test_whether_a_worker_is_ready_and_reaches_redis(flow, start_worker):
    assert flow.worker.metric("terra_connect_ready") == 1
    wait_for_metric(flow.worker, "terra_connect_redis_connected", lambda connected: connected == 1)
    flow.redis.kill()
    wait_for_metric(flow.worker, "terra_connect_redis_connected", lambda connected: connected == 0)
    flow.redis.start()
    wait_for_metric(flow.worker, "terra_connect_redis_connected", lambda connected: connected == 1)

    # Nobody is at the brokers' address, so no group is joined.
    lost = start_worker({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "TERRA_DEV_ID": "dev", "TERRA_API_KEY": "a-key"})
    assert lost.metric("terra_connect_ready") == 0
    assert "terra_connect_redis_connected" not in lost.page("/metrics")


@pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
def test_how_events_are_delivered_how_far_they_lag_and_their_traces(delivery):
    lag = 'terra_connect_consumer_lag{flow="events"}'
    with EventFlows({**QUICK_STATISTICS, "EVENTS_DELIVERY": delivery, "EVENTS_IN_FLIGHT_MAX": 8},
            workers=0) as flows:
        references = [new_id() for _ in range(20)]
        flows.sandbox.add_fault(endpoint="payload", reference_id_prefix=references[0], delay_ms=1500)
        flows.sandbox.emit(*({"type": "auth", "reference_id": reference, "user_id": new_id("user"), "partition": 0}
            for reference in references))
        worker = flows.start_worker()
        wait_for_metric(worker, lag, lambda value: value > 0)
        flows.events_of(references[-1])
        wait_for_metric(worker, lag, lambda value: value == 0)
        assert worker.metric(f'terra_connect_events_delivery_info{{mode="{delivery}"}}') == 1
        assert worker.metric(TIMED[delivery]) > 0

        flows.dead_letter(flows.send_raw(b"{not json", headers={"traceparent": PARENT}))
        assert lines_of(worker, trace_id=TRACE, message="a record becomes a dead letter")
        flows.dead_letter(flows.send_event(b"{not json", headers={"traceparent": PARENT}))
        assert lines_of(worker, trace_id=TRACE, area="connection_flow")
