#!/usr/bin/python3
"""A real Apache Kafka on this machine: one KRaft node on loopback in a folder of its own.

Used by `./dev kafka` (see main) and by the integration tests (class Kafka). Needs Java 17 or newer, and Maven
the first time, when the jars are not in the cache yet: ${XDG_CACHE_HOME:-~/.cache}/terra-connect/kafka-<version>.
"""

import argparse
import fcntl
import os
import shutil
import signal
import socket
import string
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree
from pathlib import Path

from local_process import end, free_port, spawn

FILES = Path(__file__).resolve().parent / "kafka"
CLUSTER_ID = "dGVycmEtY29ubmVjdC0wMQ"
START_TIMEOUT = 90
START_TRIES = 3
STARTED = "Kafka Server started"
PORT_TAKEN = "Address already in use"
# Small and quick to start; a long benchmark of the broker itself would want other flags.
JVM_FLAGS = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class KafkaUnavailable(Exception):
    """There is no Java, or the jars can be had neither from the cache nor through Maven."""


def pom_version():
    name = "{http://maven.apache.org/POM/4.0.0}"
    pom = xml.etree.ElementTree.parse(FILES / "pom.xml")
    return pom.find(f"{name}properties/{name}kafka.version").text


def fetch_jars():
    """The folder with Kafka's jars, filled first if need be. Two at once are fine: the second one waits."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "terra-connect"
    jars = cache / f"kafka-{pom_version()}"
    if jars.is_dir():
        return jars
    if not shutil.which("mvn"):
        raise KafkaUnavailable(f"{jars} is not there, nor is Maven, which would fill it")
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "kafka.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if jars.is_dir():
            return jars
        # Renamed only when complete, so that an interrupted download is never taken for a cache.
        unfinished = Path(tempfile.mkdtemp(prefix="kafka-unfinished-", dir=cache))
        try:
            copy = subprocess.run(
                ["mvn", "--batch-mode", "--file", FILES / "pom.xml", "dependency:copy-dependencies",
                 f"-DoutputDirectory={unfinished}"],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, check=False)
            if copy.returncode != 0:
                errors = [line for line in copy.stdout.splitlines() if "ERROR" in line]
                raise KafkaUnavailable("Maven could not fetch Kafka: " + "; ".join(errors[:3]))
            unfinished.chmod(0o755)
            unfinished.rename(jars)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return jars


class Kafka:
    """start() … stop() or kill() … start() again on the same ports with the same data … remove()."""

    def __init__(self, port=None, properties=None, jvm_flags=JVM_FLAGS, listeners=None, scram_users=None):
        """`properties` are added to server.properties and win over it.

        listeners: {name: protocol} of listeners beside the plain one; address(name) is where they are.
        scram_users: {name: password} of those who may log in by SCRAM-SHA-512.
        """
        if not shutil.which("java"):
            raise KafkaUnavailable("there is no java; it needs version 17 or newer")
        self._java = ["java", *jvm_flags, "-XX:-UsePerfData", "-cp", f"{fetch_jars()}/*"]
        self._properties = properties or {}
        self._listeners = listeners or {}
        self._scram_users = scram_users or {}
        self._folder = Path(tempfile.mkdtemp(prefix="terra-connect-kafka-"))
        self._given_port = port
        self._formatted = False
        self._process = None
        self._ports = {}
        self.port = port

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.port}"

    def address(self, listener):
        return f"127.0.0.1:{self._ports[listener]}"

    @property
    def pid(self):
        return self._process.pid

    @property
    def log_path(self):
        return self._folder / "broker.log"

    def running(self):
        return self._process is not None and self._process.poll() is None

    def start(self, timeout=START_TIMEOUT):
        """Returns when clients are served. Ports are chosen by the first start and kept by later ones."""
        first = not self._formatted
        for attempt in range(START_TRIES):
            if first:
                self._configure()
            try:
                self._launch(timeout)
                return self
            except RuntimeError as failure:
                taken = PORT_TAKEN in str(failure) or PORT_TAKEN in self._log()
                if not (first and taken) or self._given_port or attempt == START_TRIES - 1:
                    raise
        raise AssertionError("unreachable")

    def _configure(self):
        ports = [self._given_port] if self._given_port else []
        while len(ports) < 2 + len(self._listeners):
            ports += {free_port()} - set(ports)
        self.port, controller_port, *others = ports
        self._ports = dict(zip(self._listeners, others))
        template = string.Template((FILES / "server.properties").read_text())
        text = template.substitute(port=self.port, controller_port=controller_port, folder=self._folder,
            listeners="".join(f",{name}://{self.address(name)}" for name in self._listeners),
            protocols="".join(f",{name}:{protocol}" for name, protocol in self._listeners.items()))
        added = "".join(f"{name}={value}\n" for name, value in self._properties.items())
        (self._folder / "server.properties").write_text(text + added)
        if not self._formatted:
            self._format()

    def _format(self):
        users = [argument for name, password in self._scram_users.items()
            for argument in ("--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]")]
        done = subprocess.run(
            [*self._java, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c",
             self._folder / "server.properties", *users],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"Kafka's storage could not be formatted:\n{done.stdout}")
        self._formatted = True

    def _launch(self, timeout):
        with open(self.log_path, "w") as log:
            self._process = spawn(
                [*self._java[:-2], f"-Dlog4j2.configurationFile={FILES / 'log4j2.properties'}",
                 f"-Djava.io.tmpdir={self._folder}", *self._java[-2:],
                 "kafka.Kafka", self._folder / "server.properties"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + timeout
        while STARTED not in self._log():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                tail = "\n".join(self._log().splitlines()[-30:])
                raise RuntimeError(f"Kafka did not start within {timeout} s:\n{tail}")
            time.sleep(0.05)

    def _log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def stop(self, timeout=30):
        """SIGTERM: clients are sent away in good order."""
        if self._process is not None:
            end(self._process, timeout)

    def kill(self):
        """SIGKILL: what clients see when the machine goes."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self):
        """SIGSTOP: connections stay open and nothing answers; thaw() ends it."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self._process.send_signal(signal.SIGCONT)

    def remove(self):
        """Ends it and takes its folder away."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.remove()
            raise

    def __exit__(self, *_):
        self.remove()


def serve(port):
    """What `./dev kafka` does: until Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if port:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as reason:
                sys.exit(f"port {port} cannot be had: {reason.strerror}")
    try:
        # A person's first produce should work without a word about topics.
        with Kafka(port, {"auto.create.topics.enable": "true"}) as kafka:
            print(f"Apache Kafka {pom_version()} listens on {kafka.bootstrap}", flush=True)
            print(f"  export KAFKA_BOOTSTRAP_SERVERS={kafka.bootstrap}")
            print(f"  its log: {kafka.log_path}")
            print("It keeps running until Ctrl-C; then its data is removed.", flush=True)
            while kafka.running():
                time.sleep(0.2)
            print("Kafka ended by itself; the end of its log:", file=sys.stderr)
            sys.exit("\n".join(kafka.log_path.read_text(errors="replace").splitlines()[-20:]))
    except KeyboardInterrupt:
        print("\nstopped")


def main():
    parser = argparse.ArgumentParser(prog="./dev kafka", description="Starts a real Apache Kafka on this machine.")
    parser.add_argument("--port", type=int, help="default: any free port")
    parser.add_argument("--fetch", action="store_true", help="only put its jars into the cache")
    arguments = parser.parse_args()
    try:
        if arguments.fetch:
            print(f"Kafka's jars: {fetch_jars()}")
        else:
            serve(arguments.port)
    except (KafkaUnavailable, RuntimeError) as reason:
        sys.exit(str(reason))


if __name__ == "__main__":
    main()
