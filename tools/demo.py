#!/usr/bin/python3
"""Two connect requests become links, and what people do with them becomes events: one worker that runs every flow, a
real Redis, the sandbox's Kafka and its simulated Terra.

With --once it ends by itself, with exit code 0 only when both links, both events and the connection came. Else it stays
up until Ctrl-C and prints every record that goes over the topics.

With TERRA_DEV_ID and TERRA_API_KEY in the environment it is the real Terra that is asked; then nobody completes the
sessions, and it ends with the links.
"""

import os
import secrets
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "tests" / "integration"))

from support.program import binary, run_program  # noqa: E402
from support.redis_server import RedisServer  # noqa: E402
from support.sandbox import Sandbox  # noqa: E402
from support.topics import TopicReader  # noqa: E402
from support.worker import Worker  # noqa: E402

# The first three get a record for every request, in this order.
TOPICS = {
    "terra.connect.requests": "request →",
    "terra.connect.replies": "reply   ←",
    "terra.connect.outcomes": "outcome ·",
    "terra.events.raw": "Terra   →",
    "terra.auth.events": "event   ←",
    "terra.connections": "state   =",
    "terra.dead-letters": "dead    ✗",
}
RECORDS_PER_REQUEST = 3
EVENTS_TOPIC = "terra.auth.events"
CONNECTIONS_TOPIC = "terra.connections"
CREDENTIALS = ("TERRA_DEV_ID", "TERRA_API_KEY")
# What else of the caller's environment concerns the real Terra.
TERRA_SETTINGS = (*CREDENTIALS, "TERRA_BASE_URL", "TERRA_ENVIRONMENT")
REQUEST_TIMEOUT = 60
SHOW_INTERVAL = 0.5


def say(text=""):
    print(text, flush=True)


def show_record(record):
    value = "(nothing: it is over)" if record.value is None else record.value.decode(errors="replace")
    say(f"    {TOPICS[record.topic]} {record.topic}/{record.partition}@{record.offset}  {value}")


def real_terra_settings():
    """The credential of the caller's environment, or {} for the simulated Terra."""
    given = [name for name in CREDENTIALS if os.environ.get(name)]
    if not given:
        return {}
    if len(given) < len(CREDENTIALS):
        sys.exit(f"{given[0]} is set and the other of {' and '.join(CREDENTIALS)} is not. Set both to call the real "
            "Terra, or neither for the simulated one.")
    say("*" * 88)
    say("TERRA_DEV_ID and TERRA_API_KEY are set: this demo calls the REAL Terra with them, and makes")
    say("two real links. Unset them for the simulated Terra.")
    say("*" * 88)
    return {name: os.environ[name] for name in TERRA_SETTINGS if os.environ.get(name)}


class Demo:
    def __init__(self, stack):
        self._terra = real_terra_settings()
        self._sandbox = Sandbox()
        stack.callback(self._sandbox.stop)
        redis = stack.enter_context(RedisServer())
        settings = {**self._sandbox.settings, **self._terra, "REDIS_URL": redis.url, "LOG_LEVEL": "info"}
        if self._terra and "TERRA_BASE_URL" not in self._terra:
            del settings["TERRA_BASE_URL"]
        self.simulated = not self._terra
        self._readers = [TopicReader(self._sandbox.bootstrap, topic) for topic in TOPICS]
        for reader in self._readers:
            stack.callback(reader.close)
        settings.update(self._sandbox.payload_settings)
        self.worker = Worker(settings, flow="all")
        stack.callback(self.worker.stop)
        say("Running on this machine:")
        say(f"  Kafka    {self._sandbox.bootstrap}  (embedded in terra-sandbox)")
        say(f"  Terra    {settings.get('TERRA_BASE_URL', 'the real one')}{'' if self._terra else '  (simulated)'}")
        say(f"  Redis    {redis.url}")
        say(f"  worker   pid {self.worker.pid}; it joins its consumer groups in a few seconds")

    def _reader(self, topic):
        return next(reader for reader in self._readers if reader.topic == topic)

    def request(self, title, reference_id, *arguments):
        """Sends one with terra-connect request, shows what it caused; True when a link came back."""
        command = ["request", "--reference-id", reference_id, *arguments]
        say(f"\n{title}\n    $ terra-connect {' '.join(command)}")
        done = run_program(*command, settings={"KAFKA_BOOTSTRAP_SERVERS": self._sandbox.bootstrap},
            timeout=REQUEST_TIMEOUT)
        for reader in self._readers[:RECORDS_PER_REQUEST]:
            show_record(reader.wait_for_reference(reference_id))
        link = done.stdout.strip()
        if done.returncode != 0 or not link:
            say(f"    no link (exit code {done.returncode}): {done.stderr.strip()}")
            return False
        say(f"    link: {link}")
        nowhere = self._sandbox.ready["links"]
        if link.startswith(nowhere):
            say(f"    (simulated, so it leads nowhere; its page: {self._sandbox.ready['pages']}{link[len(nowhere):]})")
        return True

    def complete(self, title, reference_id):
        """The person connects; True when the event and the connection's state came."""
        say(f"\n{title}")
        self._sandbox.complete(reference_id=reference_id)
        event = self._reader(EVENTS_TOPIC).wait_for_reference(reference_id)
        show_record(event)
        user_id = event.json["user_id"]
        state = self._reader(CONNECTIONS_TOPIC).wait_for(lambda record: record.key == user_id.encode())[0]
        show_record(state)
        return event.json["kind"] == "connected" and state.json["status"] == "connected"

    def cancel(self, title, reference_id):
        """The person gives up; True when the event came."""
        say(f"\n{title}")
        self._sandbox.cancel(reference_id=reference_id)
        event = self._reader(EVENTS_TOPIC).wait_for_reference(reference_id)
        show_record(event)
        return event.json["kind"] == "connect_failed"

    def say_how_to_go_on(self):
        program = os.path.relpath(binary("terra-connect"))
        say("\nEverything stays up until Ctrl-C. From another terminal:")
        say(f"  export KAFKA_BOOTSTRAP_SERVERS={self._sandbox.bootstrap}")
        say(f"  {program} request --reference-id you")
        say(f"  {program} request --reference-id you --provider OURA")
        if self._terra:
            say(f"  xdg-open \"$({program} request --reference-id you)\"")
        else:
            say(f"  {program} request --reference-id sandbox-rejected_by_terra-1")
            say("      (other failures to try: terra-sandbox --help)")
            say(f"  curl {self._sandbox.ready['control']}/calls   # what Terra was asked")
            say(f"  {program} watch   # every record, links masked; open a link's page to connect or cancel")
        say("or from your own service: write to terra.connect.requests, read terra.connect.replies.\n")

    def stay(self):
        """Until something ends by itself, which is a failure; shows every record meanwhile."""
        shown = {reader: len(reader.records) for reader in self._readers}
        while self.worker.running() and self._sandbox.running():
            time.sleep(SHOW_INTERVAL)
            fresh = []
            for reader in self._readers:
                records = reader.records[shown[reader]:]
                shown[reader] += len(records)
                fresh += records
            # Each topic has a reader of its own; a request is shown before its reply all the same.
            for record in sorted(fresh, key=lambda record: record.timestamp_ms):
                show_record(record)
        raise RuntimeError("a program ended by itself")


def run(once):
    with ExitStack() as stack:
        demo = Demo(stack)
        try:
            first, second = (f"demo-{secrets.token_hex(4)}" for _ in range(2))
            links = demo.request("1. A widget session, in which the person chooses a provider", first)
            links &= demo.request("2. A link straight to one provider", second, "--provider", "GARMIN")
            events = True
            if links and demo.simulated:
                events = demo.complete("3. The first person connects: the event, and the connection", first)
                events &= demo.cancel("4. The second person gives up", second)
            if once:
                say("\nBoth links came back." if links else "\nNot both links came back.")
                if demo.simulated:
                    say("Both events came." if events else "Not both events came.")
            else:
                demo.say_how_to_go_on()
                demo.stay()
        except Exception:
            say("The worker's last lines:\n" + "\n".join(demo.worker.stderr.splitlines()[-20:]))
            raise
        links &= events
        if not links:
            say("The worker's last lines:\n" + "\n".join(demo.worker.stderr.splitlines()[-20:]))
    return 0 if links else 1


def main():
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(run("--once" in sys.argv[1:]))
    except KeyboardInterrupt:
        say("\nstopped")
    except (AssertionError, RuntimeError, FileNotFoundError) as failure:
        sys.exit(f"the demo failed: {failure}")


if __name__ == "__main__":
    main()
