"""One run of `terra-connect check --json`, taken apart."""

import json
from dataclasses import dataclass

from .program import run_program


@dataclass(frozen=True)
class Checked:
    returncode: int
    output: str  # all that was printed
    report: dict

    @property
    def failures(self):
        return self.find("fail")

    @property
    def warnings(self):
        return self.find("warn")

    @property
    def acls(self):
        return self.report["acls"]

    def find(self, verdict, words=""):
        """The checks of that verdict whose message holds the words."""
        return [item for item in self.report["checks"] if item["verdict"] == verdict and words in item["message"]]

    def about(self, subject):
        return [item for item in self.report["checks"] if item["subject"] == subject]


def check(settings, *arguments):
    """Fails when what it printed contradicts itself."""
    done = run_program("check", "--json", *arguments, settings=settings)
    report = json.loads(done.stdout)
    for verdict in ("ok", "warn", "fail"):
        assert report[verdict] == sum(item["verdict"] == verdict for item in report["checks"])
    if done.returncode in (0, 1):
        assert done.returncode == (report["fail"] > 0)
    return Checked(done.returncode, done.stdout + done.stderr, report)
