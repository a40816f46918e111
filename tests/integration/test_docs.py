"""The documents lead where they say, and name what there is."""

import re

import pytest
import yaml

from support import TOP

PAGES = sorted([*TOP.glob("*.md"), *TOP.glob("docs/*.md"), *TOP.glob("examples/*.md")])
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
OURS = re.compile(r"`((?:common|worker|tests|tools|docker|schemas|examples|systemd)/[\w./-]+\.\w+)`")


def anchors(page):
    """What GitHub calls the page's headings."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(text)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_links_lead_somewhere(page):
    for link in LINK.findall(CODE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_named_files_exist(page):
    for name in OURS.findall(page.read_text()):
        assert (TOP / name).exists(), name


def test_operations_names_every_alert():
    page = (TOP / "docs" / "operations.md").read_text()
    groups = yaml.safe_load((TOP / "docker" / "prometheus" / "alerts.yaml").read_text())["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"]}
    assert alerts and alerts == set(re.findall(r"`(TerraConnect\w+)`", page))


def test_operations_explains_every_dead_letter():
    page = (TOP / "docs" / "operations.md").read_text()
    source = (TOP / "worker" / "event_outbox.c").read_text()
    codes = set(re.findall(r'"(\w+)"', re.search(r"codes\[\] = \{(.*?)\}", source, re.DOTALL).group(1)))
    explained = set(re.findall(r"^\| `(\w+)` \| (?:connect|events|connections) \|", page, re.MULTILINE))
    assert len(codes) > 1 and explained == codes | {"invalid_request", "internal_error"}


def test_events_explains_every_kind():
    page = (TOP / "docs" / "events.md").read_text()
    source = (TOP / "worker" / "auth_event.c").read_text() + (TOP / "worker" / "auth_event_json.c").read_text()
    kinds = set(re.findall(r'\[AUTH_EVENT_[A-Z_]+\] = "(\w+)"', source))
    assert len(kinds) > 1 and kinds <= set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)), kinds
