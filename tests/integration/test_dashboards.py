"""Alerts and dashboards ask for what workers tell, say what to do about it, and the documents say the same."""

import functools
import json
import re
import shutil
import subprocess

import pytest
import yaml

from support import TOP
from support.connect import new_id
from support.events import EventFlows
from support.program import run_program
from support.prometheus import Prometheus
from support.topics import TopicWriter

DOCKER = TOP / "docker"
METRICS_PAGE = TOP / "docs" / "metrics.md"
OPERATIONS_PAGE = TOP / "docs" / "operations.md"

METRIC = re.compile(r"\bterra_connect_[a-z_]+")
HISTOGRAM_SUFFIX = re.compile(r"_(bucket|sum|count)$")
SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? \S+$", re.MULTILINE)
# Of PromQL what our queries have: no brace and no bracket stands in a text.
SELECTOR = re.compile(r"\b(terra_connect_\w+|up|ALERTS)\b(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
GROUPING = re.compile(r"\b(?:by|on|group_left) \(([^)]*)\)")
WINDOW = re.compile(r"\b(?:rate|increase)\([^[]*\[(\d+)m\]")
PLACEHOLDER = re.compile(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}")
# What Prometheus adds to each series.
SCRAPED = {"job", "instance"}


@functools.cache
def alert_rules():
    groups = yaml.safe_load((DOCKER / "prometheus" / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@functools.cache
def dashboards():
    return {path.name: json.loads(path.read_text()) for path in (DOCKER / "grafana" / "dashboards").glob("*.json")}


def panels():
    """(where, panel) of all that show something."""
    return [(f"{name}: {panel['title']}", panel) for name, dashboard in dashboards().items()
        for panel in dashboard["panels"] if panel["type"] != "row"]


def scaler_queries():
    """(where, PromQL) of what scales the workers."""
    for path in (DOCKER / "kubernetes" / "autoscaled").glob("*.yaml"):
        for trigger in yaml.safe_load(path.read_text()).get("spec", {}).get("triggers", ()):
            if trigger["type"] == "prometheus":
                yield f"{path.name}: {trigger['name']}", trigger["metadata"]["query"]


def queries():
    """(where, PromQL, the text that its labels are put into) of everything that asks Prometheus."""
    for rule in alert_rules():
        yield rule["alert"], rule["expr"], " ".join(rule["annotations"].values())
    for where, panel in panels():
        yield from ((where, target["expr"], target["legendFormat"]) for target in panel["targets"])
    for name, dashboard in dashboards().items():
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                yield f"{name}: {variable['name']}", variable["query"]["query"], ""
    yield from ((where, query, "") for where, query in scaler_queries())


@pytest.fixture(scope="module")
def workers():
    """Two with all flows, of either kind of delivery, that have had something to do. Each for itself: so neither
    waits for a rebalance."""
    with EventFlows(workers=0) as flows:
        for delivery in ("at_least_once", "exactly_once"):
            flows.start_worker(EVENTS_DELIVERY=delivery, KAFKA_GROUP_ID=new_id("group"), REDIS_KEY_PREFIX=new_id("key"))
        reference = new_id()
        flows.sandbox.emit({"type": "auth", "reference_id": reference})
        TopicWriter(flows.sandbox.bootstrap).send("terra.connect.requests", {"reference_id": new_id()})
        replies = flows.read("terra.connect.replies")
        flows.events_of(reference, count=2)
        replies.wait_for(count=2)
        yield flows.workers


@pytest.fixture(scope="module")
def pages(workers):
    return [worker.page("/metrics") for worker in workers]


@pytest.fixture(scope="module")
def exposed(pages):
    """{name: help} of all metrics."""
    return {name: text for page in pages for name, text in re.findall(r"^# HELP (\S+) (.*)$", page, re.MULTILINE)}


@pytest.fixture(scope="module")
def told(pages):
    """{series: {label: values}} of all that can be asked for."""
    series = {"up": {}, "ALERTS": {"alertname": {rule["alert"] for rule in alert_rules()}, "alertstate": {"firing"}}}
    for page in pages:
        for name, labels in SAMPLE.findall(page):
            known = series.setdefault(name, {})
            for label, value in re.findall(r'(\w+)="([^"]*)"', labels):
                known.setdefault(label, set()).add(value)
    return series


@pytest.fixture(scope="module")
def settings():
    table = json.loads(run_program("config", "--json", settings={}).stdout)["settings"]
    return {setting["name"] for setting in table}


def metrics_of(query):
    return {HISTOGRAM_SUFFIX.sub("", name) for name in METRIC.findall(query)}


# ---- what is asked for ----


def unheard_of(query, template, told):
    """What the query or the template names and no worker tells."""
    asked = SELECTOR.findall(query)
    for name, matchers in asked:
        if name not in told:
            yield name
            continue
        for label, operator, text in MATCHER.findall(matchers):
            values = told[name].get(label, set())
            for wanted in text.split("|") if "~" in operator else [re.escape(text)]:
                if label not in SCRAPED and not any(re.fullmatch(wanted, value) for value in values):
                    yield f'{name}{{{label}="{wanted}"}}'
    grouped = {label for labels in GROUPING.findall(query) for label in labels.split(", ") if label}
    known = SCRAPED.union(*(told.get(name, ()) for name, _ in asked))
    yield from grouped - known
    aggregated = re.search(r"\b(sum|max|min|count|quantile)\b", query)
    yield from set(PLACEHOLDER.findall(template)) - (grouped if aggregated else known)
    values = re.search(r"^label_values\(.*, (\w+)\)$", query)
    yield from {values.group(1)} - known if values else ()


def test_queries_name_what_workers_tell(told):
    assert told["terra_connect_replies_total"]["code"] >= {"success", "terra_unavailable"}
    missing = {(where, name) for where, query, template in queries() for name in unheard_of(query, template, told)}
    assert not missing


@pytest.mark.parametrize("query, template, wrong", [
    ('sum by (code) (terra_connect_replies_total{job=~"$job",code!="success"})', "{{code}}", []),
    ('sum(terra_connect_replies_total{code="succes"})', "", ['terra_connect_replies_total{code="succes"}']),
    ('sum(terra_connect_jobs{state=~"calling|dialling"})', "", ['terra_connect_jobs{state="dialling"}']),
    ('sum(terra_connect_jobs{status="calling"})', "", ['terra_connect_jobs{status="calling"}']),
    ("sum(terra_connect_reply_seconds)", "", ["terra_connect_reply_seconds"]),
    ("sum by (state) (terra_connect_replies_total)", "", ["state"]),
    ("sum by (code) (terra_connect_replies_total)", "{{environment}}", ["environment"]),
    ("sum(terra_connect_replies_total)", "{{code}}", ["code"]),
    ("up == 0", "{{ $labels.instance }}", []),
])
def test_a_wrong_query_is_seen(told, query, template, wrong):
    assert list(unheard_of(query, template, told)) == wrong


def fill_in(query):
    return query.replace("$__rate_interval", "1m").replace("$job", ".*").replace("$instance", ".*")


def test_prometheus_answers_every_query(workers):
    if not Prometheus.installed():
        pytest.skip("no prometheus here (Debian: prometheus)")
    addresses = [worker.wait_for_log("metrics and health are served")["address"] for worker in workers]
    with Prometheus(addresses) as prometheus:
        for where, panel in panels():
            names = []
            for target in panel["targets"]:
                found = prometheus.ask(fill_in(target["expr"]))
                assert found, f"{where} has nothing to show: {target['expr']}"
                assert not any(value < 0 for _, value in found), f"{where}: {found}"
                names += [PLACEHOLDER.sub(lambda label, series=series: series[label.group(1)], target["legendFormat"])
                    for series, _ in found]
            assert len(names) == len(set(names)), f"{where} has a legend twice: {names}"
        for rule in alert_rules():
            prometheus.ask(rule["expr"])
        for where, query in scaler_queries():
            assert len(prometheus.ask(query)) == 1, where


# ---- metrics ----


def metrics_table(exposed):
    """As docs/metrics.md has it: name, meaning, and the alerts that look at it."""
    lines = ["| Metric | Meaning | Alerts |", "|---|---|---|"]
    for name in sorted(exposed):
        alerts = [f"`{rule['alert']}`" for rule in alert_rules() if name in metrics_of(rule["expr"])]
        lines.append(f"| `{name}` | {exposed[name]} | {', '.join(alerts)} |")
    return "\n".join(lines) + "\n"


def test_metrics_are_explained(exposed):
    assert "terra_connect_replies_total" in exposed
    table = re.search(r"<!-- metrics -->\n(.*?)<!-- /metrics -->", METRICS_PAGE.read_text(), re.DOTALL).group(1)
    if table != metrics_table(exposed):
        pytest.fail(f"put this table into {METRICS_PAGE}:\n{metrics_table(exposed)}")


def promtool(*arguments, **options):
    if shutil.which("promtool") is None:
        pytest.skip("no promtool here (Debian: prometheus)")
    done = subprocess.run(["promtool", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        **options)
    assert done.returncode == 0, done.stdout


def test_metrics_are_clean(pages):
    for page in pages:
        promtool("check", "metrics", input=page)


# ---- alerts ----


@pytest.mark.parametrize("arguments", [
    ("check", "rules", "alerts.yaml"), ("check", "config", "prometheus.yaml"), ("test", "rules", "alerts_test.yaml")],
    ids=" ".join)
def test_alerts_fire_when_they_should(arguments):
    promtool(*arguments, cwd=DOCKER / "prometheus")


def test_alerts_say_what_to_do():
    names = [rule["alert"] for rule in alert_rules()]
    assert len(names) == len(set(names))
    for rule in alert_rules():
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}, rule["alert"]


def test_nobody_is_woken_for_what_is_over():
    for rule in alert_rules():
        if "for" in rule and rule["for"].endswith("m"):
            lasting = int(rule["for"].removesuffix("m"))
            assert all(2 * int(window) <= lasting for window in WINDOW.findall(rule["expr"])), rule["alert"]


# ---- dashboards ----


def test_dashboards_are_whole():
    found = dashboards()
    assert set(found) == {"requests.json", "events.json"}
    assert len({dashboard["uid"] for dashboard in found.values()}) == len(found)
    for name, dashboard in found.items():
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert len(ids) == len(set(ids)), name
        cells = set()
        for panel in dashboard["panels"]:
            place = panel["gridPos"]
            taken = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])}
            assert place["x"] + place["w"] <= 24 and not taken & cells, f"{name}: {panel['title']} overlaps"
            cells |= taken


def test_grafana_knows_how_often_prometheus_asks():
    config = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yaml").read_text())
    source = yaml.safe_load((DOCKER / "grafana" / "provisioning" / "datasources" / "prometheus.yaml").read_text())
    assert source["datasources"][0]["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]


def test_panels_say_what_is_normal():
    for where, panel in panels():
        assert "Normal: " in panel["description"], where
        assert panel["fieldConfig"]["defaults"]["unit"], where
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"]), where


def test_texts_name_what_there_is(exposed, settings):
    commands = re.findall(r"^  ([a-z][a-z-]*) +\S", run_program("--help", settings={}).stdout, re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", OPERATIONS_PAGE.read_text(), re.MULTILINE)
    known = {rule["alert"] for rule in alert_rules()} | settings | set(exposed)
    texts = [(where, panel["description"]) for where, panel in panels()]
    texts += [(rule["alert"], text) for rule in alert_rules() for text in rule["annotations"].values()]
    for where, text in texts:
        named = re.findall(r"\bTerraConnect\w+|\bterra_connect_\w+|\b[A-Z]{2,}(?:_[A-Z]+)+\b", text)
        assert set(named) <= known, f"{where}: {set(named) - known}"
        assert set(re.findall(r"`terra-connect ([a-z-]+)", text)) <= set(commands), f"{where}: {text}"
        assert set(re.findall(r"docs/operations\.md, ([\w ]+)", text)) <= set(headings), f"{where}: {text}"


def test_operations_names_panels_that_exist():
    section = re.search(r"## Reading the dashboards\n(.*?)\n## ", OPERATIONS_PAGE.read_text(), re.DOTALL).group(1)
    named = re.findall(r"\*([A-Z][^*]+)\*", section.replace("\n", " "))
    assert len(named) > 10 and set(named) <= {panel["title"] for _, panel in panels()}
