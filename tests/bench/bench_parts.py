"""What the benchmarks share: servers on the second core, the program under test on the first, and figures from /proc."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "integration")]
sys.dont_write_bytecode = True

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition  # noqa: E402
from confluent_kafka.admin import AdminClient, NewTopic  # noqa: E402

from local_kafka import Kafka  # noqa: E402
from local_process import end, eventually, free_port, spawn  # noqa: E402

BIN = Path(os.environ["BUILD_BIN"])
WORKER_CORE, SERVER_CORE = 0, 1
REQUESTS, REPLIES = "terra.connect.requests", "terra.connect.replies"
OUTCOMES, DEAD_LETTERS = "terra.connect.outcomes", "terra.dead-letters"
TICK = os.sysconf("SC_CLK_TCK")


def pinned(core, command):
    return ["taskset", "--cpu-list", str(core), *map(str, command)]


def cpu_seconds(pid):
    """User and system time of a process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory_mib(pid, what="VmRSS"):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) / 1024
    return 0.0


class Servers:
    """Kafka, Redis and the stand-in for Terra, on the second core, gone at the end of the block."""

    def __init__(self, delay_ms=0, partitions=4):
        self._delay_ms, self._partitions, self._processes = delay_ms, partitions, []

    def __enter__(self):
        os.sched_setaffinity(0, {SERVER_CORE})  # children inherit it
        self.kafka = Kafka().start()
        self.redis_port = free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="terra-connect-bench-")
        self._start(["redis-server", "--port", self.redis_port, "--bind", "127.0.0.1", "--save", "",
                     "--dir", self._folder.name])
        self.terra_port = self.stand_in(self._delay_ms)
        admin = AdminClient({"bootstrap.servers": self.kafka.bootstrap})
        wanted = [NewTopic(name, self._partitions, 1) for name in (REQUESTS, REPLIES, OUTCOMES, DEAD_LETTERS)]
        for done in admin.create_topics(wanted).values():
            done.result(30)
        for topic in (REQUESTS, REPLIES, OUTCOMES, DEAD_LETTERS):  # each partition has its leader a moment later
            eventually(lambda name=topic: self._leads(name), 30, f"leaders of {topic}")
        return self

    def _leads(self, topic):
        try:
            return self.records_in(topic) == 0
        except KafkaException:
            return False

    def stand_in(self, delay_ms):
        process = self._start([BIN / "stand_in", "--delay-ms", delay_ms], stdout=subprocess.PIPE, text=True)
        return int(process.stdout.readline())

    def _start(self, command, **options):
        options.setdefault("stdout", subprocess.DEVNULL)
        process = spawn([str(part) for part in command], stdin=subprocess.DEVNULL, **options)
        self._processes.append(process)
        return process

    def unpin(self):
        """Everything started so far may run anywhere from now on."""
        for process in [self.kafka, *self._processes]:
            for thread in os.listdir(f"/proc/{process.pid}/task"):
                os.sched_setaffinity(int(thread), range(os.cpu_count()))

    def output(self, command):
        return subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True, check=True).stdout

    def worker(self, pinned_to=WORKER_CORE, **settings):
        """A worker, by default on the first core, its log in a file that is shown when it dies."""
        self.worker_log = Path(self._folder.name) / "worker.log"
        environment = {
            "PATH": os.environ["PATH"],
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap,
            "REDIS_URL": f"redis://127.0.0.1:{self.redis_port}",
            "TERRA_DEV_ID": "bench", "TERRA_API_KEY": "bench",
            "TERRA_BASE_URL": f"http://127.0.0.1:{self.terra_port}/api",
            "TERRA_WIDGET_ENDPOINT": "session",
            "TERRA_RATE_LIMIT": "0",
            **settings,
        }
        with open(self.worker_log, "w") as log:
            command = [str(BIN / "terra-connect"), "worker"]
            process = spawn(command if pinned_to is None else pinned(pinned_to, command), env=environment,
                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._processes.append(process)
        return process

    def records_in(self, topic):
        consumer = Consumer({"bootstrap.servers": self.kafka.bootstrap, "group.id": "bench-watermarks"})
        try:
            return sum(consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)[1]
                       for partition in range(self._partitions))
        finally:
            consumer.close()

    def backlog(self, count):
        producer = Producer({"bootstrap.servers": self.kafka.bootstrap, "linger.ms": 20, "acks": 1,
                             "queue.buffering.max.messages": 500000})
        for number in range(count):
            producer.produce(REQUESTS, f'{{"reference_id":"patient-{number:07d}"}}', key=f"patient-{number:07d}")
            producer.poll(0)
        producer.flush()

    def __exit__(self, *_):
        for process in reversed(self._processes):
            end(process, 20)
        self.kafka.remove()
        self._folder.cleanup()


def run(core, command):
    done = subprocess.run(pinned(core, command), stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout
