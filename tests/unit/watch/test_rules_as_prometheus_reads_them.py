"""Alerts and panels as Prometheus reads them: metrics and labels that there are, and an answer to each.

`promtool` is asked too, where it is installed; tests/containers asks that of the image.
"""

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from services.serials.alarm import AttemptGauges
from shared.runtime.refusing import behind_gauge
from shared.runtime.signals import Metrics
from shared.web.access import HttpMetrics
from tests.support.promql import DURATION, Labels, NotPromql, labels_of
from tests.unit.watch.test_alerts_and_dashboards import ROOT, RULES, alerts, panels

SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


def metrics() -> dict[str, Labels]:
    """The labels of each metric that a process tells, by the name of its samples, and of Prometheus' `up`."""
    registry = CollectorRegistry()
    Metrics(registry)
    HttpMetrics(registry)
    AttemptGauges(registry)
    behind_gauge(registry)
    told: dict[str, Labels] = {"up": frozenset()}
    for collector in set(registry._collector_to_names):
        labels = frozenset(collector._labelnames)  # type: ignore[attr-defined]
        for family in collector.collect():
            for suffix in SUFFIXES[family.type]:
                told[family.name + suffix] = labels | ({"le"} if suffix == "_bucket" else set())
    return told


METRICS = metrics()


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_is_read_and_names_labels_that_its_answer_has(alert: dict[str, Any]) -> None:
    labels = labels_of(alert["expr"], METRICS)

    assert labels is not None, "an alert is about something"
    named = set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["summary"]))
    assert named <= labels
    assert "who" in labels.union(alert["labels"])
    assert DURATION.fullmatch(alert.get("for", "0s"))
    assert set(alert) <= {"alert", "expr", "for", "labels", "annotations"}
    assert set(alert["annotations"]) == {"summary", "runbook"}


def test_no_alert_is_named_twice() -> None:
    names = [alert["alert"] for alert in alerts()]
    assert len(set(names)) == len(names) > 20


@pytest.mark.parametrize(
    "panel", [pytest.param(panel, id=f"{name}-{panel['id']}") for name, panel in panels()]
)
def test_a_panel_is_read_and_its_legend_names_labels_of_its_answer(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        labels = labels_of(target["expr"], METRICS) or frozenset()
        assert set(re.findall(r"{{\s*(\w+)\s*}}", target.get("legendFormat", ""))) <= labels


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("max by (service) (pawl_todo_thing) > 0", "nobody tells"),
        ("pawl_batch_records > 0", "nobody tells"),
        ('max by (service) (pawl_todo_things{reason="x"}) > 0', "no label reason"),
        ("max by (service, cause) (pawl_lag_events) > 0", "nothing inside has"),
        ("max by (service) (pawl_lag_events > 0", "missing"),
        ("max by (service) (rate(pawl_lag_events)) > 0", "no function"),
        ("rate(pawl_retries_total[5x])", "no duration"),
        ("pawl_lag_events[5m]", "comes to a range"),
        ('pawl_todo_things{cause=~"refund_("}', "refund_("),
        ("pawl_lag_events and pawl_todo_things", "no pairs"),
        ("pawl_lag_events # 1", "no PromQL"),
    ],
)
def test_what_prometheus_refuses_or_never_answers_is_refused(text: str, why: str) -> None:
    with pytest.raises(NotPromql) as refused:
        labels_of(text, METRICS)
    assert why in str(refused.value)


def test_the_rules_are_read_by_promtool_too_where_it_is() -> None:
    """Without it this says that the file has the form of rules, which the tests above read."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    assert all(set(group) == {"name", "rules"} for group in groups)
    if program := shutil.which("promtool"):
        for asked in (
            ("check", "rules", str(RULES)),
            ("test", "rules", str(RULES.with_name("pawl.test.yml"))),
        ):
            done = subprocess.run(
                [program, *asked], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
