"""Several workers of one group on a real broker, on topics that a ledger can be made of."""

from local_process import eventually

from .connect_ledger import Ledger, ledger_topics
from .connect_load import ConnectLoad

JOIN_TIMEOUT = 30


class Fleet:
    """start(), stop(worker), kill(worker) in any order; `settings` are those of every worker."""

    def __init__(self, start_worker, bootstrap, terra, redis, partitions=4, **settings):
        self.bootstrap = bootstrap
        self.terra = terra
        self.partitions = partitions
        self.topics = ledger_topics(bootstrap, partitions)
        self.workers = []
        self._start_worker = start_worker
        # The deadline is not the matter here: a broker on a busy machine may take half a minute to come back.
        self.settings = {"KAFKA_BOOTSTRAP_SERVERS": bootstrap, "REDIS_URL": redis.url, "TERRA_RATE_LIMIT": 0,
            "REQUEST_DEADLINE": "5m", **self.topics.settings, **terra.terra_settings, **settings}

    def launch(self, count=1, **settings):
        """Returns the last one, which may not have joined yet."""
        for _ in range(count):
            self.workers.append(self._start_worker(self.settings, settings))
        return self.workers[-1]

    def start(self, count=1, **settings):
        """Returns the last one, as soon as all have work."""
        worker = self.launch(count, **settings)
        self.wait_owned()
        return worker

    def stop(self, worker):
        """SIGTERM; the exit code must be 0."""
        self.workers.remove(worker)
        worker.sigterm()
        worker.expect_exit(0)

    def stop_all(self):
        while self.workers:
            self.stop(self.workers[-1])

    def kill(self, worker):
        self.workers.remove(worker)
        worker.sigkill()

    def wait_owned(self, timeout=JOIN_TIMEOUT):
        """Until every worker has partitions, and every partition one worker."""
        def shared_out():
            owners = [owned(worker) for worker in self.workers]
            return all(owners) and sum(map(len, owners)) == len(set().union(*owners)) == self.partitions

        eventually(shared_out, timeout, lambda: f"partitions shared out, not {[owned(w) for w in self.workers]}")

    def load(self, count, rate):
        return ConnectLoad(self.bootstrap, self.topics, count, rate, self.partitions)

    def ledger(self):
        return Ledger.read(self.bootstrap, self.topics)


GIVEN_UP = ("partition revoked", "partition lost")


def owned(worker):
    """The partitions that the worker has by its log."""
    partitions = set()
    for line in worker.log:
        if line.get("message") == "partition assigned":
            partitions.add(line["partition"])
        elif line.get("message") in GIVEN_UP:
            partitions.discard(line["partition"])
    return partitions


def given_up(worker, since):
    """The partitions that left it, be it for a moment, after its log had `since` lines."""
    return {line["partition"] for line in worker.log[since:] if line.get("message") in GIVEN_UP}
