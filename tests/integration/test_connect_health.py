"""Known trouble is answered early: refused keys, keys that are replaced, Terra down, a crowded environment."""

import json
import os
import tempfile
import time
from pathlib import Path

import pytest

from support.connect import ConnectFlow, is_link, new_id
from local_process import eventually

OTHER = "other:other-dev:other-key"
JOINING = "joining the group"


def write_over(path, key):
    path.write_text(key + "\n")


def swap_links(path, key):
    """As Kubernetes replaces a secret: key -> ..data/key, ..data -> one folder per version."""
    version = path.parent / new_id("..v")
    version.mkdir()
    (version / "key").write_text(key)
    (path.parent / "..new").symlink_to(version.name)
    os.rename(path.parent / "..new", path.parent / "..data")
    if not path.is_symlink():
        path.symlink_to("..data/key")


def two_environments(folder, **settings):
    """A flow with the environments `default` and `other`, whose key is in a file."""
    (folder / "other-key").write_text("other-key")
    environments = folder / "environments.json"
    environments.write_text(json.dumps({"other": {"dev_id": "other-dev", "api_key_file": str(folder / "other-key")}}))
    return ConnectFlow({"TERRA_ENVIRONMENTS_FILE": environments, "TERRA_ATTEMPTS_MAX": 2, **settings},
        ("--credential", "default:sandbox-dev:sandbox-key", "--credential", OTHER), redis=False, workers=0)


@pytest.fixture(scope="module")
def one_worker():
    with tempfile.TemporaryDirectory(prefix="terra-connect-test-") as folder:
        with two_environments(Path(folder)) as flow:
            flow.start_worker()
            flow.ask_for_link()
            yield flow


@pytest.fixture
def flow(one_worker):
    """Two environments, and a worker that knows of no trouble with either; so it leaves them, too."""
    one_worker.seen = len(one_worker.worker.log)
    yield one_worker
    one_worker.sandbox.reset()
    assert one_worker.ask_for_link() and one_worker.ask_for_link(environment="other")


def has_logged(flow, words):
    return any(words in line["message"] for line in flow.worker.log[flow.seen:])


def wait_for_log(flow, words):
    flow.worker.wait_for_log(lambda line: words in line["message"], since=flow.seen)


def start_sending(flow, count, **fields):
    return flow.send_all([{"reference_id": new_id(), **fields} for _ in range(count)])


def probes(flow, **filters):
    return flow.sandbox.calls(endpoint="user_info", **filters)


# ---- keys ----

@pytest.mark.parametrize("replace", [write_over, swap_links])
def test_a_key_replaced_under_load_loses_nothing(tmp_path, replace):
    path = tmp_path / "key"
    with ConnectFlow({"TERRA_RATE_LIMIT": "200/s"}, workers=0, redis=False) as flow:
        replace(path, flow.sandbox.ready["api_key"])
        worker = flow.start_worker(TERRA_API_KEY=None, TERRA_API_KEY_FILE=path)
        flow.ask_for_link()
        places = []
        for number in range(2):
            key = f"replaced-key-{number}"
            worker.secrets.add(key)
            places += start_sending(flow, 50)
            # Terra takes the old key back first: whoever calls now is refused.
            flow.sandbox.set_credential(api_key=key)
            places += start_sending(flow, 50)
            eventually(lambda: flow.sandbox.calls(status=403))
            replace(path, key)
            places += start_sending(flow, 50)
            replies = [flow.reply(place).json for place in places]
            assert all(reply["status"] == "success" for reply in replies), replies
            flow.sandbox.forget_calls()


def test_a_key_replaced_before_the_old_one_ends_is_taken_without_a_refusal(tmp_path):
    path = tmp_path / "key"
    with ConnectFlow(workers=0, redis=False) as flow:
        write_over(path, flow.sandbox.ready["api_key"])
        worker = flow.start_worker(TERRA_API_KEY=None, TERRA_API_KEY_FILE=path)
        flow.ask_for_link()
        write_over(path, "announced-key")
        worker.wait_for_log("the API key was read again and is another one now")
        flow.sandbox.set_credential(api_key="announced-key")
        assert flow.ask_for_link()["attempts"] == 1


def test_a_refused_environment_leaves_the_other_alone(flow):
    def slowest_of_others():
        places = start_sending(flow, 20)
        return max(flow.outcome(place).json["seconds_total"] for place in places)

    usual = slowest_of_others()
    flow.sandbox.set_credential("other", api_key="another-key")
    # Those that find it out, and those that it is known to, which are told without a call.
    found = start_sending(flow, 2, environment="other")
    wait_for_log(flow, "refuses the credential")
    calls = len(flow.sandbox.calls(environment="other"))
    known = start_sending(flow, 30, environment="other")
    short = flow.send({"reference_id": new_id(), "environment": "other", "timeout_seconds": 1})
    assert slowest_of_others() < usual + 0.5
    for place in [*found, *known, short]:
        reply = flow.reply(place).json
        assert reply["error"]["code"] == "credentials_rejected" and reply["error"]["retryable"], reply
        if place not in found:
            assert reply["attempts"] == 0 and reply["error"]["http_status"] is None
            assert reply["error"]["retry_after_seconds"] >= 1
    assert flow.outcome(short).json["seconds_total"] < 1.5
    assert all(3 < flow.outcome(place).json["seconds_total"] < 8 for place in known)
    assert len(flow.sandbox.calls(environment="other")) == calls
    assert 2 <= len(probes(flow, environment="other", status=403)) <= 20
    # It heals without a restart, and who waits meanwhile is served.
    waiting = flow.send({"reference_id": new_id(), "environment": "other"})
    flow.sandbox.set_credential("other", api_key="other-key")
    assert is_link(flow.reply(waiting).json["link"])


def test_a_request_that_is_refused_alone_changes_nothing(flow):
    user = new_id()
    flow.sandbox.add_fault(status=403, reference_id_prefix=user, count=0)
    reply = flow.ask({"reference_id": user, "environment": "other"})
    assert reply.json["error"]["code"] == "credentials_rejected" and reply.json["attempts"] == 1
    assert flow.ask_for_link(environment="other")["attempts"] == 1
    assert not has_logged(flow, "refuses the credential")


# ---- Terra down ----

def test_terra_down_and_up_again(flow):
    flow.sandbox.add_fault(status=503, count=0)
    places = start_sending(flow, 5)
    wait_for_log(flow, "Terra is down")
    for place in places:
        flow.reply(place)
    before = time.monotonic()
    calls = len(flow.sandbox.calls())
    places = start_sending(flow, 20)
    for place in places:
        reply = flow.reply(place).json
        assert reply["error"]["code"] == "terra_unavailable" and reply["attempts"] == 0, reply
        assert reply["error"]["retry_after_seconds"] >= 1
    assert time.monotonic() - before < 8
    assert len(flow.sandbox.calls()) == calls
    waiting = start_sending(flow, 20)
    flow.sandbox.clear_faults()
    assert all(is_link(flow.reply(place).json["link"]) for place in waiting)
    assert flow.ask_for_link()["attempts"] == 1


def test_an_endpoint_that_fails_alone_is_not_terra_down(flow):
    flow.sandbox.add_fault(status=503, count=0, endpoint="authenticate_user")
    places = start_sending(flow, 10, provider="GARMIN")
    assert {flow.reply(place).json["attempts"] for place in places} == {2}
    assert flow.ask_for_link()["attempts"] == 1
    assert not has_logged(flow, "Terra is down")


# ---- the start ----

def test_a_wrong_key_at_start_keeps_the_worker_out_until_it_is_mended(tmp_path):
    path = tmp_path / "key"
    write_over(path, "wrong-key")
    with ConnectFlow(workers=0, redis=False) as flow:
        place = flow.send({"reference_id": new_id()})
        worker = flow.start_worker(TERRA_API_KEY=None, TERRA_API_KEY_FILE=path)
        worker.secrets |= {"wrong-key", "sandbox-key"}
        eventually(lambda: len(probes(flow, status=403)) >= 2)
        assert not any(line["message"] == JOINING for line in worker.log)
        assert flow.answers(place) == 0
        write_over(path, flow.sandbox.ready["api_key"])
        assert is_link(flow.reply(place).json["link"])
        assert any(line["message"] == JOINING for line in worker.log)


def test_a_worker_that_is_kept_out_can_be_stopped(start_sandbox, start_worker):
    sandbox = start_sandbox()
    worker = start_worker(sandbox.settings, {"TERRA_API_KEY": "wrong-key"})
    worker.wait_for_log(lambda line: "refuses the credential" in line["message"])
    worker.sigterm()
    worker.expect_exit(0, timeout=15)


def test_one_refused_environment_at_start_does_not_keep_the_others_out(tmp_path):
    with two_environments(tmp_path) as flow:
        flow.sandbox.set_credential("other", api_key="another-key")
        flow.start_worker()
        refused = flow.send({"reference_id": new_id(), "environment": "other", "timeout_seconds": 5})
        flow.ask_for_link()
        reply = flow.reply(refused).json
        assert reply["error"]["code"] == "credentials_rejected" and reply["attempts"] == 0


# ---- ceilings ----

def test_no_environment_takes_more_than_half_of_the_house(tmp_path):
    with two_environments(tmp_path, REQUESTS_IN_FLIGHT_MAX=8) as flow:
        flow.start_worker()
        flow.ask_for_link()
        stuck = new_id("stuck")
        flow.sandbox.add_fault(delay_ms=3000, reference_id_prefix=stuck, count=0)
        places = flow.send_all([{"reference_id": f"{stuck}-{i}", "environment": "other"} for i in range(20)],
            partition=0)
        before = time.monotonic()
        assert flow.ask_for_link() and time.monotonic() - before < 2
        replies = [flow.reply(place).json for place in places]
        crowded = [reply["error"] for reply in replies if reply["status"] == "error"]
        assert len(crowded) == 16 and {error["code"] for error in crowded} == {"rate_limited"}
        assert all(error["retry_after_seconds"] >= 1 for error in crowded)
