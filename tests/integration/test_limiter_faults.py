"""Redis fails under the shared limit, and workers fail that hold a part of it: the whole worker, under load.

The scenarios wait, mostly, so they all run at the same time; each test then looks at what became of its own.
"""

import re
import signal
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from local_process import eventually
from support.connect import ConnectFlow, is_link, new_id
from support.redis_server import RedisServer
from support.tcp_proxy import TcpProxy

# By LIMIT_WITHOUT_REDIS. Where the limit is to be left, it is so low that this shows.
RATES = {"stop": 40, "share": 40, "unlimited": 10}
BURST = 3
AWAY = "the limit cannot be shared through Redis; asked again every second"
BACK = "the limit is shared through Redis again"
AWAY_TOTAL = "terra_connect_limit_away_total"
FAILED_TOTAL = 'terra_connect_limit_redis_calls_total{environment="default",outcome="failed"}'
MODE = 'terra_connect_limit_mode{environment="default",mode="%s"}'
LATE_TOTAL = 'terra_connect_limit_slots_dropped_total{environment="default",reason="late"}'
# Answers LOADING for so long after a start with data.
LOAD_KEYS, LOAD_KEY_US = 1500, 1000
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Redis:
    """A server behind a proxy, a standby for a failover, and what can happen to them."""

    def __init__(self, stack):
        slow_load = ("--key-load-delay", LOAD_KEY_US, "--loading-process-events-interval-bytes", 1024)
        self.server = stack.enter_context(RedisServer(persistent=True, arguments=slow_load))
        self.standby = stack.enter_context(RedisServer(arguments=("--repl-diskless-sync-delay", 0)))
        self.proxy = TcpProxy(self.server.port)
        stack.callback(self.proxy.stop)
        self.client = self.server.client()
        self.url = f"redis://127.0.0.1:{self.proxy.port}"
        self._starting = None

    def kill(self):
        self.server.kill()

    def restart_empty(self):
        self.server.start()

    def freeze(self):
        self.server.freeze()

    def thaw(self):
        self.server.thaw()

    def run_full(self):
        self.client.config_set("maxmemory", "100kb")  # less than it has already; the policy is noeviction

    def make_room(self):
        self.client.config_set("maxmemory", 0)

    def want_password(self):
        self.client.config_set("requirepass", "other")
        self._cut_clients()

    def want_none(self):
        # This client's connection is from before.
        self.client.config_set("requirepass", "")
        self._cut_clients()

    def _cut_clients(self):
        for kind in ("normal", "pubsub"):
            self.client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    def forbid_scripts(self):
        self.client.execute_command("ACL", "SETUSER", "default", "-@scripting")

    def allow_scripts(self):
        self.client.execute_command("ACL", "SETUSER", "default", "+@all")

    def slow_down(self):
        self.proxy.delay = 0.8

    def speed_up(self):
        self.proxy.delay = 0

    def lose_packets(self):
        self.proxy.silent = True

    def find_packets(self):
        self.proxy.silent = False
        self.proxy.cut()

    def demote(self):
        """The first half of a failover: the server that REDIS_URL leads to is a replica now, and read-only."""
        self.client.execute_command("REPLICAOF", "127.0.0.1", self.standby.port)
        eventually(lambda: self.client.info("replication")["master_link_status"] == "up")

    def promote(self):
        """The other half: REDIS_URL leads to the new one."""
        self.proxy.target = self.standby.port
        self.proxy.cut()

    def undo_failover(self):
        self.client.execute_command("REPLICAOF", "NO", "ONE")
        self.proxy.target = self.server.port
        self.proxy.cut()

    def load_slowly(self):
        """Restarted with much in it."""
        self.client.eval(f"for i = 1, {LOAD_KEYS} do redis.call('SET', 'filler' .. i, '') end", 0)
        self.server.stop()
        self._starting = threading.Thread(target=self.server.start, daemon=True)
        self._starting.start()

    def wait_loaded(self):
        self._starting.join()

    def forget_scripts(self):
        self.client.script_flush()

    def forget_all(self):
        self.client.flushall()
        self.client.script_flush()


# name: (it begins, it ends, what the workers say the reason is)
OUTAGES = {
    "killed": (Redis.kill, Redis.restart_empty, "not connected|no answer in time"),
    "frozen": (Redis.freeze, Redis.thaw, "no answer in time|not connected"),
    "out of memory": (Redis.run_full, Redis.make_room, "OOM"),
    "wrong password": (Redis.want_password, Redis.want_none, "NOAUTH|not connected"),
    "no permission": (Redis.forbid_scripts, Redis.allow_scripts, "NOPERM"),
    "slow": (Redis.slow_down, Redis.speed_up, "no answer in time|not connected"),
    "unreachable": (Redis.lose_packets, Redis.find_packets, "no answer in time|not connected"),
    "loading": (Redis.load_slowly, Redis.wait_loaded, "LOADING|not connected|no answer in time"),
    "failed over": (Redis.demote, Redis.promote, "READONLY"),
}
ENDS_BY_ITSELF = (Redis.load_slowly,)
# What nobody is to notice.
HICCUPS = {
    "scripts forgotten": Redis.forget_scripts,
    "all forgotten": Redis.forget_all,
}


class Faults:
    """Workers with one LIMIT_WITHOUT_REDIS, and one fault after the other."""

    def __init__(self, stack, mode):
        self.mode = mode
        self.rate = RATES[mode]
        self.redis = Redis(stack)
        settings = {"TERRA_RATE_LIMIT": f"{self.rate}/s", "TERRA_RATE_BURST": BURST, "LIMIT_WITHOUT_REDIS": mode,
            "REDIS_URL": self.redis.url}
        # The part of the limit is that of the partitions: it takes two to add up.
        workers = 2 if mode == "share" else 1
        self.flow = stack.enter_context(ConnectFlow(settings, redis=False, workers=workers))
        for worker in self.flow.workers:
            worker.wait_for_log("partition assigned")
        self.links = set()

    def send(self, count):
        """Evenly over the partitions."""
        return [place for partition in range(4) for place in self.flow.send_all(
            [{"reference_id": new_id()} for _ in range(count // 4)], partition=partition)]

    def check(self, places):
        """Each was answered, once, with a link of its own, at the first attempt; and the limit held."""
        for place in places:
            reply = self.flow.reply(place).json
            assert reply["status"] == "success" and reply["attempts"] == 1, reply
            assert is_link(reply["link"]) and reply["link"] not in self.links
            self.links.add(reply["link"])
            assert self.flow.answers(place) == 1
        counts = call_counts(self.flow)
        assert counts["count"] == len(places)
        if self.mode != "unlimited":
            assert counts["busiest_second"] <= self.rate + BURST + len(self.flow.workers), counts

    def logged(self, message):
        """How often the workers did, one number for each, since begin()."""
        return [sum(line.get("message") == message for line in worker.log[mark:])
                for worker, mark in zip(self.flow.workers, self._marks)]

    def metrics(self, name):
        """The sum over the workers."""
        return sum(metric(worker, name) for worker in self.flow.workers)

    def begin(self):
        self.flow.sandbox.forget_calls()
        self._marks = [len(worker.log) for worker in self.flow.workers]

    def outage(self, begin, end, reason):
        everyone = [1] * len(self.flow.workers)
        self.begin()
        outages, failed = self.metrics(AWAY_TOTAL), self.metrics(FAILED_TOTAL)
        places = self.send(12)
        begin(self.redis)
        places += self.send(12)
        for worker, mark in zip(self.flow.workers, self._marks):
            line = worker.wait_for_log(AWAY, since=mark)
            assert re.search(reason, line["reason"]), line
        assert self.metrics(MODE % self.mode) == sum(everyone)

        meanwhile = self.send(24)
        if begin not in ENDS_BY_ITSELF:
            self.check_meanwhile(meanwhile)
        places += meanwhile
        end(self.redis)
        # Redis is asked again when somebody waits for a turn.
        while self.logged(BACK) != everyone:
            assert len(places) < 400, "it was not healed"
            places += self.send(4)
            time.sleep(0.2)
        self.check(places)
        assert self.logged(AWAY) == self.logged(BACK) == everyone
        assert self.metrics(AWAY_TOTAL) == outages + sum(everyone)
        assert self.metrics(FAILED_TOTAL) > failed
        assert self.metrics(MODE % "redis") == sum(everyone)

    def check_meanwhile(self, places):
        begun = time.monotonic()
        if self.mode == "stop":
            time.sleep(0.3)
            assert not any(self.flow.answers(place) for place in places)
            return
        for place in places:
            self.flow.reply(place)
        seconds = time.monotonic() - begun
        if self.mode == "unlimited":
            assert seconds < 0.8 * len(places) / self.rate, "there is a limit"
        assert self.logged(BACK) == [0] * len(self.flow.workers), "it was over too early to see anything"

    def hiccup(self, happen):
        self.begin()
        places = self.send(12)
        happen(self.redis)
        places += self.send(12)
        self.check(places)
        assert self.logged(AWAY) == [0] * len(self.flow.workers)


def metric(worker, name):
    """One number of the worker's status server."""
    address = worker.wait_for_log("metrics and health are served")["address"]
    with _opener.open(f"http://{address}/metrics", timeout=10) as response:
        text = response.read().decode()
    return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE).group(1))


def run_faults(mode):
    """{fault: None, or the failure}"""
    results = {}
    with ExitStack() as stack:
        faults = Faults(stack, mode)
        for name, fault in [*HICCUPS.items(), *OUTAGES.items()]:
            try:
                faults.hiccup(fault) if name in HICCUPS else faults.outage(*fault)
                results[name] = None
            except Exception as failure:
                results[name] = failure
                break  # what comes after it would fail for no reason of its own
    return results


# So low that a lease is half of a second's calls, and that a late one is still counted where it belongs.
SLOW_RATE, SLOW_BURST = 8, 1
# What a worker holds at most: one lease and a half of the next.
HELD = 6


def two_slow_workers(**settings):
    return ConnectFlow({"TERRA_RATE_LIMIT": f"{SLOW_RATE}/s", "TERRA_RATE_BURST": SLOW_BURST, **settings}, workers=2)


def send_evenly(flow, count):
    for worker in flow.workers:
        worker.wait_for_log("partition assigned")
    return [place for partition in range(4)
            for place in flow.send_all([{"reference_id": new_id()} for _ in range(count // 4)], partition=partition)]


def call_counts(flow):
    """Without the neutral GETs by which workers try their credentials."""
    return flow.sandbox.call_counts(endpoint="widget_session")


def arrivals(flow, begin, end):
    """Calls between two points of time.monotonic(); the second has passed by then."""
    time.sleep(max(0, end - time.monotonic()))
    return sum(begin <= call["monotonic_us"] / 1e6 < end for call in flow.sandbox.calls())


def run_killed_worker():
    """One worker is killed while it holds slots; the other has enough to do for itself."""
    with two_slow_workers() as flow:
        places = send_evenly(flow, 80)
        eventually(lambda: call_counts(flow)["count"] > SLOW_RATE)
        flow.workers[0].sigkill()
        killed = time.monotonic()
        assert arrivals(flow, killed, killed + 3) >= 0.97 * 3 * SLOW_RATE - HELD - 1
        assert all(is_link(flow.reply(place).json["link"]) for place in places)
        counts = call_counts(flow)
        assert counts["busiest_second"] <= SLOW_RATE + SLOW_BURST, counts
        assert counts["count"] <= len(places) + SLOW_RATE, "what was answered is not called for again"


def run_stopped_worker():
    """One worker stands still for three seconds and goes on."""
    with two_slow_workers(KAFKA_HEARTBEAT_INTERVAL_MS=200) as flow:
        places = send_evenly(flow, 64)
        eventually(lambda: call_counts(flow)["count"] > SLOW_RATE)
        worker = flow.workers[0]
        worker.signal(signal.SIGSTOP)
        stopped = time.monotonic()
        assert arrivals(flow, stopped, stopped + 3) >= 0.97 * 3 * SLOW_RATE - HELD - 1, "the other one goes on"
        worker.signal(signal.SIGCONT)
        assert all(is_link(flow.reply(place).json["link"]) for place in places)
        # A call may have begun and not left when it was stopped.
        counts = call_counts(flow)
        assert counts["busiest_second"] <= SLOW_RATE + SLOW_BURST + 1, counts
        assert metric(worker, LATE_TOTAL) > 0


@pytest.fixture(scope="module")
def runs():
    """Everything at once; a future for each."""
    with ThreadPoolExecutor() as executor:
        yield {
            **{mode: executor.submit(run_faults, mode) for mode in RATES},
            "killed worker": executor.submit(run_killed_worker),
            "stopped worker": executor.submit(run_stopped_worker),
        }


@pytest.mark.parametrize("mode", RATES)
@pytest.mark.parametrize("fault", [*HICCUPS, *OUTAGES])
def test_no_request_is_lost_and_the_limit_heals(runs, mode, fault):
    results = runs[mode].result()
    if fault not in results:
        pytest.skip("a fault before it went wrong")
    if results[fault]:
        raise results[fault]


def test_a_killed_worker_takes_a_lease_at_most(runs):
    runs["killed worker"].result()


def test_a_worker_that_stood_still_makes_no_burst(runs):
    runs["stopped worker"].result()
