"""A real PostgreSQL in a folder of its own, reached through a unix socket only."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from local_process import end, eventually, spawn

START_TIMEOUT = 30
# It refuses to run as root.
UNPRIVILEGED = "nobody"
QUICK = ("fsync=off", "full_page_writes=off", "listen_addresses=", "autovacuum=off")


class PostgresUnavailable(Exception):
    """There is no Debian package postgresql on this machine."""


def _programs():
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if not found or not shutil.which("psql"):
        raise PostgresUnavailable("there is no PostgreSQL; Debian's package is postgresql")
    return found[-1].parent


class PostgresServer:
    """`with PostgresServer() as server`: empty, answering; `settings` are the variables that psql needs."""

    def __init__(self):
        self._programs = _programs()
        self._folder = Path(tempfile.mkdtemp(prefix="terra-connect-postgres-"))
        self._data = self._folder / "data"
        self._as = {}
        if os.geteuid() == 0:
            account = pwd.getpwnam(UNPRIVILEGED)
            os.chown(self._folder, account.pw_uid, account.pw_gid)
            self._as = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        self._process = None

    @property
    def settings(self):
        return {"PGHOST": str(self._folder), "PGUSER": "postgres", "PGDATABASE": "postgres"}

    def __enter__(self):
        try:
            self._run("initdb", "--pgdata", self._data, "--username=postgres", "--auth=trust", "--no-sync",
                "--encoding=UTF8", "--locale=C")
            options = [part for option in QUICK for part in ("-c", option)]
            self._process = spawn([self._programs / "postgres", "-D", self._data, "-k", self._folder, *options],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **self._as)
            eventually(lambda: self._run("pg_isready", "--quiet", "--host", self._folder, check=False) == 0,
                START_TIMEOUT, "PostgreSQL")
            return self
        except BaseException:
            self.__exit__()
            raise

    def _run(self, program, *arguments, check=True):
        done = subprocess.run([self._programs / program, *arguments], stdin=subprocess.DEVNULL, cwd="/", text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **self._as)
        if check and done.returncode != 0:
            raise RuntimeError(f"{program} failed:\n{done.stdout[-2000:]}")
        return done.returncode

    def __exit__(self, *_):
        if self._process is not None:
            end(self._process)
        shutil.rmtree(self._folder, ignore_errors=True)
