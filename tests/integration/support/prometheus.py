"""A real Prometheus with the configuration and the alerts of docker/prometheus, but quick, on a free port."""

import json
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from local_process import end, free_port, spawn

from . import TOP

START_TIMEOUT = 15
START_TRIES = 5
INTERVAL = "100ms"
DISCOVERY = re.compile(r"^    dns_sd_configs:\n(?:      .*\n)+", re.MULTILINE)
# Loopback, whatever proxy the developer's shell names.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Prometheus:
    """`with Prometheus(addresses) as prometheus`: when entered it has scraped each of them twice."""

    def __init__(self, addresses):
        self._addresses = addresses
        self._folder = Path(tempfile.mkdtemp(prefix="terra-connect-prometheus-"))
        self._process = None
        self._url = None

    @staticmethod
    def installed():
        return shutil.which("prometheus") is not None

    def __enter__(self):
        try:
            self._configure()
            self._start()
            if not self._wait_until(self._scraped):
                raise RuntimeError(f"prometheus does not get at {self._addresses}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self._process is not None:
            end(self._process)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _configure(self):
        shutil.copytree(TOP / "docker" / "prometheus", self._folder, dirs_exist_ok=True)
        config = self._folder / "prometheus.yaml"
        text = re.sub(r"_interval: 10s$", f"_interval: {INTERVAL}", config.read_text(), flags=re.MULTILINE)
        text, found = DISCOVERY.subn(f"    static_configs: [targets: {json.dumps(self._addresses)}]\n", text)
        assert found == 1, text
        config.write_text(text)

    def _start(self):
        log_path = self._folder / "prometheus.log"
        for _ in range(START_TRIES):
            port = free_port()
            self._url = f"http://127.0.0.1:{port}"
            with open(log_path, "w") as log:
                self._process = spawn(
                    ["prometheus", f"--config.file={self._folder}/prometheus.yaml",
                     f"--storage.tsdb.path={self._folder}/data", f"--web.listen-address=127.0.0.1:{port}"],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
            if self._wait_until(self._ready):
                return
            end(self._process)  # another process was faster at that port
        raise RuntimeError("prometheus did not start:\n" + log_path.read_text()[-2000:])

    def _wait_until(self, condition):
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and self._process.poll() is None:
            if condition():
                return True
            time.sleep(0.02)
        return False

    def _ready(self):
        try:
            with _opener.open(f"{self._url}/-/ready", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def _scraped(self):
        return len(self.ask("count_over_time(up[1m]) > 1")) == len(self._addresses)

    def ask(self, query):
        """What the query gives now: [(labels, value)]. One that cannot be answered is an AssertionError."""
        url = f"{self._url}/api/v1/query?" + urllib.parse.urlencode({"query": query})
        try:
            with _opener.open(url, timeout=10) as answer:
                found = json.loads(answer.read())["data"]["result"]
        except urllib.error.HTTPError as refusal:
            raise AssertionError(f"{query}: {json.loads(refusal.read())['error']}") from None
        return [(series["metric"], float(series["value"][1])) for series in found]
