"""terra-connect limit, on workers that run: what it says, and what arrives at Terra after it."""

import hashlib
import json
import re
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest

from local_process import eventually
from support import TOP
from support.connect import ConnectFlow, is_link, new_id
from support.program import run_program

OK, FAILED, USAGE, CONFIG = 0, 1, 2, 78
RATE, BURST = 40, 5
# Who changes the limit needs neither Kafka nor a key.
NO_KEYS = ("KAFKA_", "TERRA_API_KEY")


class Limits:
    """Two workers and two environments, default and other, with the same limit each."""

    def __init__(self, folder):
        environments = Path(folder, "environments.json")
        environments.write_text(json.dumps({"other": {"dev_id": "other-dev", "api_key": "other-key"}}))
        accounts = ("--credential", "default:sandbox-dev:sandbox-key", "--credential", "other:other-dev:other-key")
        self.flow = ConnectFlow({"TERRA_RATE_LIMIT": f"{RATE}/s", "TERRA_RATE_BURST": BURST,
            "TERRA_ENVIRONMENTS_FILE": environments}, accounts, workers=2)

    def __enter__(self):
        self.flow.__enter__()
        for worker in self.flow.workers:
            worker.wait_for_log("partition assigned")
        return self

    def __exit__(self, *failure):
        self.flow.__exit__(*failure)

    def run(self, *arguments, **changed):
        settings = {name: value for name, value in self.flow.settings.items() if not name.startswith(NO_KEYS)}
        settings = {name: value for name, value in {**settings, **changed}.items() if value is not None}
        return run_program("limit", *arguments, settings=settings)

    def __call__(self, *arguments):
        """Runs it; what it shows, one dict, or one for each environment in a list."""
        done = self.run("--json", *arguments)
        assert done.returncode == OK and done.stderr == "", done
        shown = [json.loads(line) for line in done.stdout.splitlines()]
        return shown[0] if len(shown) == 1 else shown

    def send(self, count, environment="default"):
        """So many requests, evenly over the partitions and so over the workers; returns their places."""
        return [place for partition in range(4) for place in self.flow.send_all(
            [{"reference_id": new_id(), "environment": environment} for _ in range(count // 4)], partition=partition)]

    def call_counts(self, environment="default"):
        """Without the neutral GETs by which workers try their credentials."""
        return self.flow.sandbox.call_counts(environment=environment, endpoint="widget_session")

    def wait_begun(self, environment="default"):
        eventually(lambda: self.call_counts(environment)["count"] > BURST)

    def arrivals(self, begin, end, environment="default"):
        """How many calls came between two points of time.monotonic(), once the second has passed."""
        time.sleep(max(0, end - time.monotonic()))
        return sum(begin <= call["monotonic_us"] / 1e6 < end
            for call in self.flow.sandbox.calls(environment=environment))

    def settle(self, places):
        """The rest of a backlog, quickly; nothing was lost on the way."""
        for environment in ("default", "other"):
            self("set", "1000/s", "--environment", environment)
        assert all(is_link(self.flow.reply(place).json["link"]) for place in places)
        for environment in ("default", "other"):
            self("unset", "--environment", environment)


@pytest.fixture(scope="module")
def limits():
    with tempfile.TemporaryDirectory(prefix="terra-connect-test-") as folder, Limits(folder) as limits:
        yield limits


@pytest.fixture(autouse=True)
def forgotten(request):
    if "limits" in request.fixturenames:
        request.getfixturevalue("limits").flow.sandbox.reset()


def test_set_counts_at_once_and_for_one_environment(limits):
    places = limits.send(240) + limits.send(240, "other")
    for environment in ("default", "other"):
        limits.wait_begun(environment)
    shown = limits("set", "8/s", "--burst", "1", "--for", "2h")
    now = time.monotonic()
    assert shown["environment"] == "default" and shown["setting"] == {"rate": f"{RATE}/s", "burst": BURST}
    assert shown["override"].pop("ends_in_seconds") == pytest.approx(7200, abs=5)
    assert shown["override"] == {"rate": "8/s", "burst": 1}
    assert shown["in_force"] == {"calls_per_second": 8, "burst": 1}

    # Any second from then on has no more than the new limit and its burst; the calls on their way are a few.
    assert 5 <= limits.arrivals(now + 0.2, now + 1.2) <= 9
    assert limits.arrivals(now + 0.2, now + 1.2, "other") >= 0.7 * RATE

    default, other = limits()
    assert default["environment"] == "default" and other["environment"] == "other"
    assert default["waiting"] > 100 and default["workers"] == 2 and not default["paused"]
    assert 0 < default["reserved_ahead_seconds"] < 10 and default["cooldown_left_seconds"] == 0
    assert other["override"] is None and other["in_force"] == {"calls_per_second": RATE, "burst": BURST}

    shown = limits("unset")
    now = time.monotonic()
    assert shown["override"] is None
    assert 0.6 * RATE <= limits.arrivals(now + 0.3, now + 1.3) <= RATE + BURST
    limits.settle(places)


def test_a_limit_for_some_time_ends_by_itself(limits):
    places = limits.send(80)
    shown = limits("set", "2/s", "--for", "1s")
    begun = time.monotonic()
    assert shown["override"]["burst"] == 2, "no more than the new limit has in a second"
    assert 0 < shown["override"]["ends_in_seconds"] <= 1
    # 80 requests are 40 seconds at 2/s.
    assert all(is_link(limits.flow.reply(place).json["link"]) for place in places)
    assert 1.9 < time.monotonic() - begun < 10
    assert limits("show", "--environment", "default")["override"] is None


def test_pause_stops_and_resume_goes_on(limits):
    places = limits.send(120) + limits.send(40, "other")
    limits.wait_begun()
    assert limits("pause")["paused"] is True
    now = time.monotonic()
    assert limits.arrivals(now + 0.1, now + 0.9) == 0
    shown = limits("show", "--environment", "default")
    assert shown["paused"] is True and shown["waiting"] > 20
    assert all(is_link(limits.flow.reply(place).json["link"]) for place in places[120:]), "the other one goes on"

    assert limits("resume")["paused"] is False
    now = time.monotonic()
    assert limits.arrivals(now, now + 1) <= RATE + BURST
    assert all(is_link(limits.flow.reply(place).json["link"]) for place in places)
    assert limits.call_counts()["busiest_second"] <= RATE + BURST


def test_use_is_that_of_the_last_full_ten_seconds(limits):
    limits.flow.ask_for_link()
    redis = limits.flow.redis.client()
    digest = hashlib.sha256(limits.flow.settings["TERRA_DEV_ID"].encode()).hexdigest()[:16]
    # As if they had passed.
    redis.hset(f"terra-connect:{{limit:{digest}}}:state",
        mapping={"granted": RATE * 5, "window": redis.time()[0] // 10 - 1})
    assert limits("show", "--environment", "default")["use_percent"] == pytest.approx(50, abs=2)


def test_workers_at_rest_tell_of_it_too(limits):
    """Nobody calls: the gauges are asked for, and Redis with them."""
    assert limits.flow.worker.metric("terra_connect_admission_waiting") == 0
    for arguments, overridden, paused, calls in ((("set", "7/s"), 1, 0, 7), (("pause",), 1, 1, 7),
            (("resume",), 1, 0, 7), (("unset",), 0, 0, RATE)):
        limits(*arguments)
        for name, value in (("overridden", overridden), ("paused", paused),
                ("calls_per_second", pytest.approx(calls, rel=0.02))):
            gauge = f'terra_connect_limit_{name}{{environment="default"}}'
            for worker in limits.flow.workers:
                eventually(lambda: worker.metric(gauge) == value, message=lambda: f"{gauge} after limit {arguments}")


def test_people_can_read_it(limits):
    done = limits.run("set", "600/m", "--for", "2h", "--environment", "other")
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert lines[0] == "other" and done.returncode == OK and done.stderr == ""
    assert re.search(rf"limit in force   600/m, burst {BURST}, set for another (1 h 59|2 h 0) min\n", done.stdout)
    assert f"setting          {RATE}/s, burst {BURST}" in lines
    done = limits.run("unset", "--environment", "other")
    assert f"limit in force   {RATE}/s, burst {BURST}, the setting" in done.stdout
    # Somebody with other settings than the workers sees theirs.
    done = limits.run(TERRA_RATE_LIMIT="0")
    assert f"limit in force   {RATE}/s, burst {BURST}, the setting of the worker that asked last" in done.stdout
    assert "setting          no limit; workers with this setting do not look at a shared one" in done.stdout


@pytest.mark.parametrize("arguments, words", [
    (["set"], "the limit is missing"),
    (["set", "0"], "to stop all calls: pause"),
    (["set", "0/s"], "0/s is no limit"),
    (["set", "5"], "such as 5/s, 600/m or 5000/h"),
    (["set", "1000001/s"], "up to 1000000"),
    (["set", "5/s", "--burst", "0"], "--burst must be"),
    (["set", "5/s", "--for", "31d"], "--for must be from 1s to 30d"),
    (["set", "5/s", "5/s"], "5/s: what is that?"),
    (["pause", "--for", "2h"], "--burst and --for belong to set"),
    (["stop"], "show, set, unset, pause or resume"),
    (["--environment", "nope"], "there is no environment nope; there are: default, other"),
])
def test_what_cannot_be_understood(limits, arguments, words):
    done = limits.run(*arguments)
    assert done.returncode == USAGE and words in done.stderr and done.stdout == ""


def test_what_is_needed(limits):
    done = limits.run(REDIS_URL=None)
    assert done.returncode == CONFIG and "REDIS_URL is not set, so there is no shared limit" in done.stderr
    done = limits.run(TERRA_DEV_ID=None, TERRA_ENVIRONMENTS_FILE=None)
    assert done.returncode == CONFIG and "TERRA_DEV_ID is required" in done.stderr
    done = limits.run("pause", REDIS_URL="redis://127.0.0.1:1")
    assert done.returncode == FAILED and "Redis cannot be reached" in done.stderr
    assert "Connection refused" in done.stderr and "look with show" in done.stderr


def test_the_page_names_metrics_that_there_are(limits):
    page = (TOP / "docs" / "limiter.md").read_text()
    address = limits.flow.worker.wait_for_log("metrics and health are served")["address"]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{address}/metrics", timeout=10) as response:
        there_are = set(re.findall(r"^# TYPE (\S+)", response.read().decode(), re.MULTILINE))
    named = set(re.findall(r"terra_connect_[a-z_]+", page))
    assert len(named) > 10 and named <= there_are, named - there_are
    assert {name for name in there_are if name.startswith("terra_connect_limit_")} <= named
