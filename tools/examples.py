#!/usr/bin/python3
"""./dev examples [name …]: every example against a real Kafka, one worker and a simulated Terra of their own.

An example whose language this machine lacks is left out, and said so. Each runs in a copy of its folder, so that what
its package manager leaves behind does not lie in the tree.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP / "tests" / "integration"), str(TOP / "tools")]

from local_kafka import Kafka  # noqa: E402
from support.redis_server import RedisServer  # noqa: E402
from support.sandbox import Sandbox  # noqa: E402
from support.topics import create_topics  # noqa: E402
from support.worker import Worker  # noqa: E402

# name: the program without which its language is not there, and the commands that run it. Maven comes with the broker,
# for which a Java without a compiler is enough.
EXAMPLES = {
    "python": ("/usr/bin/python3", ["/usr/bin/python3 request_link.py {id}"]),
    "node": ("npm", ["npm install --no-fund --no-audit --silent", "node request_link.js {id}"]),
    "java": ("javac", ["mvn -q compile exec:java -Dexec.args={id}"]),
    "spring": ("javac", ["mvn -q spring-boot:run -Dspring-boot.run.arguments={id}"]),
    "go": ("go", ["go mod tidy", "go run . {id}"]),
}
TOPICS = ("terra.connect.requests", "terra.connect.replies", "terra.connect.outcomes", "terra.dead-letters")
TIMEOUT = 300


def run_example(name, bootstrap):
    """True when it printed a link."""
    environment = {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": bootstrap}
    with tempfile.TemporaryDirectory(prefix="terra-connect-example-") as folder:
        copy = shutil.copytree(TOP / "examples" / name, Path(folder) / name)
        for command in EXAMPLES[name][1]:
            done = subprocess.run(command.format(id=f"example-{name}").split(), cwd=copy, env=environment, text=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=TIMEOUT, check=False)
            if done.returncode != 0:
                print(f"{name:8} FAILED: {command}\n{done.stdout[-3000:]}", flush=True)
                return False
        lines = [line for line in done.stdout.splitlines() if "https://" in line]
        print(f"{name:8} ok: {lines[-1][:120]}" if lines else f"{name:8} FAILED:\n{done.stdout[-3000:]}", flush=True)
        return bool(lines)


def main():
    names = sys.argv[1:] or list(EXAMPLES)
    unknown = [name for name in names if name not in EXAMPLES]
    if unknown:
        sys.exit(f"no such example: {', '.join(unknown)}; there are: {', '.join(EXAMPLES)}")
    failed = []
    with ExitStack() as stack:
        kafka = stack.enter_context(Kafka())
        create_topics(kafka.bootstrap, TOPICS)
        sandbox = Sandbox(["--no-kafka"])
        stack.callback(sandbox.stop)
        redis = stack.enter_context(RedisServer())
        settings = {**sandbox.terra_settings, "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, "REDIS_URL": redis.url,
                    "LOG_LEVEL": "info"}
        worker = Worker(settings)
        stack.callback(worker.stop)
        for name in names:
            if not shutil.which(EXAMPLES[name][0]):
                print(f"{name:8} left out: this machine has no {EXAMPLES[name][0]}", flush=True)
            elif not run_example(name, kafka.bootstrap):
                failed.append(name)
        if failed:
            print("The worker's last lines:\n" + "\n".join(worker.stderr.splitlines()[-20:]))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
