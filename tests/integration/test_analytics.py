"""docs/analytics.md: every block of it is run on a small known data set, and the tables in it are what came out."""

import csv
import importlib.util
import os
import re
import subprocess
import tempfile
from pathlib import Path

import pytest

import local_duckdb
from support import TOP
from support.journeys import Journeys
from support.postgres_server import PostgresServer, PostgresUnavailable
from support.program import binary, check_sanitizers, program_environment
from support.topics import TopicWriter

PAGE = (TOP / "docs" / "analytics.md").read_text()
BLOCK = re.compile(r"^```(\w+)(?: (\w+))?\n(.*?)^```\n(?:\n((?:\|[^\n]*\n)+))?", re.MULTILINE | re.DOTALL)
EXAMPLE = TOP / "examples" / "python" / "connections.py"
TIMEOUT = 60


class Block:
    """language: sh or sql. Where: None, or postgresql. Table: rows of texts, the column names first; None without."""

    def __init__(self, language, where, text, table):
        self.language, self.where, self.text = language, where, text
        lines = table.splitlines() if table else []
        self.table = [_cells(line) for number, line in enumerate(lines) if number != 1] or None

    @property
    def is_query(self):
        return self.language == "sql" and self.text.startswith(("SELECT", "WITH"))

    def check(self, rows):
        """rows: as Block.table, of what came out."""
        printed = "\n".join("| " + " | ".join(row) + " |" for row in rows)
        assert self.table == rows, f"the table below this block should be\n{printed}\n\n{self.text}"


def _cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


BLOCKS = [Block(*match.groups()) for match in BLOCK.finditer(PAGE)]


def section(title):
    """Where the blocks of a section stand in BLOCKS."""
    start = PAGE.index(f"{title}\n")
    end = re.compile(r"^##", re.MULTILINE).search(PAGE, start + len(title))
    before = len(BLOCK.findall(PAGE[:start]))
    return BLOCKS[before:before + len(BLOCK.findall(PAGE[start:end.start() if end else None]))]


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory(prefix="terra-connect-test-") as path:
        yield Path(path)


@pytest.fixture(scope="module")
def journeys(folder):
    with Journeys(folder) as journeys:
        yield journeys


@pytest.fixture(scope="module")
def run_shell(journeys, folder):
    """Runs a block, with terra-connect and Debian's python3 found first; returns what it prints.

    As it stands, but for --since: the embedded Kafka cannot find records by their time.
    """
    (folder / "examples").symlink_to(TOP / "examples")

    def run(block, **settings):
        environment = program_environment({**journeys.settings, **settings})
        environment["PATH"] = f"{binary('terra-connect').parent}:/usr/bin:/bin"
        script = re.sub(r"--since \d+d\b", "--since beginning", block.text)
        done = subprocess.run(["bash", "-euc", script], cwd=folder, env=environment, text=True, timeout=TIMEOUT,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        check_sanitizers("a block", done.returncode, done.stderr)
        assert done.returncode == 0, f"{script}\n{done.stderr}"
        return done.stdout

    return run


@pytest.fixture(scope="module")
def duckdb():
    try:
        return local_duckdb.load()
    except local_duckdb.DuckdbUnavailable as reason:
        if os.environ.get("REQUIRE_DUCKDB", "0") not in ("", "0"):
            pytest.fail(f"REQUIRE_DUCKDB is set: {reason}")
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def postgres():
    try:
        server = PostgresServer()
    except PostgresUnavailable as reason:
        pytest.skip(str(reason))
    with server:
        yield server


def test_every_block_is_run_by_a_test_here():
    assert {(block.language, block.where) for block in BLOCKS} == {("sh", None), ("sql", None), ("sql", "postgresql")}
    for block in BLOCKS:
        assert block.is_query == (block.table is not None), f"a query has a table below it: {block.text}"


def test_duckdb(duckdb, run_shell, folder, monkeypatch):
    monkeypatch.chdir(folder)
    for block in section("## Get the records"):
        if block.language == "sh":
            run_shell(block)
    with duckdb.connect() as database:
        queries = 0
        for block in BLOCKS:
            if (block.language, block.where) == ("sql", None):
                result = database.execute(block.text)
                rows = result.fetchall()  # a COPY, too, is only done when it is read
                if block.is_query:
                    queries += 1
                    block.check([[column[0] for column in result.description],
                        *(["" if cell is None else str(cell) for cell in row] for row in rows)])
    assert queries > 10


def test_postgresql(postgres, run_shell):
    blocks = section("### PostgreSQL")
    loads = 0
    for block in blocks:
        if block.language == "sh":
            for _ in range(2):  # the second one brings nothing new but the link of an answer that was an error
                run_shell(block, **postgres.settings)
                loads += 1
                assert _psql(postgres, "SELECT count(*) FROM terra_record")[1:] == [["38"]]
                if loads == 1:
                    _psql(postgres, "UPDATE terra_record SET value = jsonb_set(value, '{status}', '\"error\"') "
                        "WHERE name = 'outcomes' AND value->>'request_id' = 'r1'")
        else:
            rows = _psql(postgres, block.text)
            if block.is_query:
                block.check(rows)
    assert loads == 2


def _psql(postgres, statements):
    done = subprocess.run(["psql", "--no-psqlrc", "--quiet", "--csv", "--set", "ON_ERROR_STOP=1", "--command",
        statements], env={**os.environ, **postgres.settings}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, f"{statements}\n{done.stderr}"
    return list(csv.reader(done.stdout.splitlines()))


def test_the_example_answers_what_a_user_has_connected(journeys, run_shell):
    block = next(block for block in section("## What has user u1 connected?") if block.language == "sh")
    assert block.text.startswith(f"python3 {EXAMPLE.relative_to(TOP)} u1")
    lines = sorted(run_shell(block, CONNECTIONS_TOPIC=journeys.connections_topic).splitlines())
    assert [line.partition(" since ")[0] for line in lines] == ["GARMIN: connected", "OURA: connected"]


def test_the_example_follows_what_changes(journeys, monkeypatch):
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", journeys.settings["KAFKA_BOOTSTRAP_SERVERS"])
    monkeypatch.setenv("CONNECTIONS_TOPIC", journeys.connections_topic)
    specification = importlib.util.spec_from_file_location("connections", EXAMPLE)
    example = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(example)
    connections = example.Connections()
    assert connections.of("u99") == []

    def follow_until(wanted):
        for _ in range(100):
            connections.follow(0.1)
            if connections.of("u99") == wanted:
                return True
        return False

    writer = TopicWriter(journeys.settings["KAFKA_BOOTSTRAP_SERVERS"])
    state = {"user_id": "user-99", "reference_id": "u99", "provider": "OURA", "status": "connected"}
    writer.send(journeys.connections_topic, state, key="user-99")
    assert follow_until([state])
    writer.send(journeys.connections_topic, None, key="user-99")
    assert follow_until([])


def test_every_field_that_is_read_is_one_of_a_schema():
    known = set()
    for name in ("connect-outcome", "auth-event", "connection-state"):
        schema = (TOP / "schemas" / f"{name}.json").read_text()
        known |= set(re.findall(r'"(\w+)": \{', schema))
    for field in re.findall(r"value->>?'(\w+)'", PAGE):
        assert field in known, field
