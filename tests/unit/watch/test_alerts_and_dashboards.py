"""Alerts, their pages and the dashboards: they name metrics and causes that there are, and each other."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
RUNBOOKS = ROOT / "docs" / "runbooks"
RULES = ROOT / "deploy" / "alerts" / "pawl.rules.yml"
DASHBOARDS = sorted((ROOT / "deploy" / "dashboards").glob("*.json"))
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())

WITHOUT_AN_ALERT = {"deposit_expires", "partner_wants_to_leave", "document_late_penalty"}
"""Causes that are the business of others until they are overdue, or that an alert makes no better."""


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in DASHBOARDS:
        for panel in json.loads(file.read_text())["panels"]:
            yield file.stem, panel


def expressions() -> list[str]:
    asked = [target["expr"] for _, panel in panels() for target in panel["targets"]]
    return asked + [alert["expr"] for alert in alerts()]


def causes() -> set[str]:
    """The causes that docs/operating.md lists, as another test compares them with those that there are."""
    table = (ROOT / "docs" / "operating.md").read_text().split("| cause | what it is |")[1].split("\n\n")[0]
    return {name for row in table.splitlines()[2:] for name in re.findall(r"`([a-z_]+)`", row.split("|")[1])}


def test_every_cause_of_the_list_has_its_alert() -> None:
    wanted = {each for alert in alerts() for each in re.findall(r'cause=~?"([^"]+)"', alert["expr"])}
    patterns = [re.compile(part) for each in wanted for part in each.split("|")]

    told = {cause for cause in causes() if any(pattern.fullmatch(cause) for pattern in patterns)}

    assert causes() - told <= WITHOUT_AN_ALERT
    assert all(any(pattern.fullmatch(cause) for cause in causes()) for pattern in patterns)


def test_every_alert_has_a_page_that_says_what_to_do_and_every_page_its_alert() -> None:
    pages = {RUNBOOKS / "README.md"}
    for alert in alerts():
        page = ROOT / alert["annotations"]["runbook"]
        text = page.read_text()
        assert f"`{alert['alert']}`" in text
        assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == [
            "What it means",
            "Look",
            "Do",
        ]
        assert alert["labels"]["severity"] in ("page", "ticket")
        pages.add(page)

    assert pages == set(RUNBOOKS.glob("*.md"))


def test_the_list_of_pages_is_the_list_of_alerts() -> None:
    listed = [line for line in (RUNBOOKS / "README.md").read_text().splitlines() if line.startswith("| `")]

    assert listed == [
        f"| `{alert['alert']}` | [{_title(alert)}]({Path(alert['annotations']['runbook']).name}) "
        f"| {alert['labels']['severity']} |"
        for alert in alerts()
    ]


def _title(alert: dict[str, Any]) -> str:
    return (ROOT / alert["annotations"]["runbook"]).read_text().splitlines()[0].removeprefix("# ")


def test_every_alert_is_tested_with_what_makes_it_fire() -> None:
    cases = yaml.safe_load(RULES.with_name("pawl.test.yml").read_text())["tests"]

    fired = {
        test["alertname"] for case in cases for test in case["alert_rule_test"] if test.get("exp_alerts")
    }

    assert fired == {alert["alert"] for alert in alerts()}


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_a_dashboard_is_whole(file: Path) -> None:
    dashboard = json.loads(file.read_text())

    assert dashboard["uid"] == file.stem
    assert dashboard["timezone"] == "Asia/Seoul"
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in dashboard["panels"]:
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_no_panel_covers_another(file: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(file.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken
        taken |= cells


def test_what_several_processes_tell_alike_is_never_added_up() -> None:
    """A sum over the gauges of the list is only made over what a maximum or a minimum has left."""
    for text in expressions():
        bare = re.sub(r"(max|min) by \([a-z, ]+\) \((pawl_todo|\s*pawl_todo)", "(alike", text)
        assert not re.search(r"sum by \([a-z, ]+\) \(\s*pawl_todo", bare)


def test_prometheus_of_compose_scrapes_every_service_under_its_name() -> None:
    scraped = yaml.safe_load((ROOT / "deploy" / "watch" / "prometheus.yml").read_text())
    (job,) = scraped["scrape_configs"]

    targets = {part["labels"]["service"]: part["targets"] for part in job["static_configs"]}

    assert targets == {name: [f"{name}:8080"] for name in ("orders", "serials", "refunds", "invoices")}
    for name in targets:
        assert COMPOSE["services"][f"{name}-secure"]["networks"]["default"]["aliases"] == [name]
    assert scraped["rule_files"] == ["alerts/pawl.rules.yml"]
    assert "./deploy/alerts:/etc/prometheus/alerts:ro" in COMPOSE["services"]["prometheus"]["volumes"]


def test_grafana_finds_the_dashboards_where_they_are_mounted() -> None:
    grafana = COMPOSE["services"]["grafana"]
    provider = yaml.safe_load((ROOT / "deploy" / "watch" / "grafana" / "dashboards" / "pawl.yml").read_text())

    path = provider["providers"][0]["options"]["path"]

    assert f"./deploy/dashboards:{path}:ro" in grafana["volumes"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (ROOT / "deploy" / "dashboards" / Path(home).name).exists()
