"""docs/reliability.md and docs/simulation.md: promises have tests, tables are those of the code."""

import re
from datetime import date

import pytest

from shared.crash_points import CrashPoint
from tests.simulation.bugs import PLANTED
from tests.simulation.exhaustive import SCENARIOS
from tests.support.guides import ROOT, codes, headings, section, table

RELIABILITY = ROOT / "docs" / "reliability.md"
SIMULATION = ROOT / "docs" / "simulation.md"
PROMISES = [heading for heading in headings(RELIABILITY) if re.match(r"R\d+\. ", heading)]


def test_the_promises_are_numbered_without_gaps() -> None:
    assert [int(heading[1:].partition(".")[0]) for heading in PROMISES] == list(range(1, len(PROMISES) + 1))
    assert len(PROMISES) >= 13


@pytest.mark.parametrize("heading", PROMISES)
def test_a_promise_says_how_it_is_kept_and_names_its_tests(heading: str) -> None:
    before, _, tests = section(RELIABILITY, heading).partition("**Tests**")
    assert "**How**: " in before
    assert [name for name in codes(tests) if name.startswith("tests/")], "no test can break it"


def test_the_crash_points_are_those_of_the_runtime() -> None:
    said = [codes(row[0])[0] for row in table(section(RELIABILITY, "Crash points"))]
    assert said == [point.value for point in CrashPoint]


def test_the_last_green_run_of_everything_has_commit_date_and_minutes() -> None:
    told = dict(table(section(RELIABILITY, "The last green run of everything")))
    assert codes(told["command"]) == ["make test-all"]
    assert re.fullmatch(r"`(?!0+`)[0-9a-f]{7,40}`", told["commit"])
    assert date.fromisoformat(told["date"]) > date(2026, 1, 1)
    assert int(told["minutes"]) > 0


def test_the_planted_bugs_are_those_of_the_simulation() -> None:
    said = [row[0] for row in table(section(SIMULATION, "Bugs on purpose"))]
    assert said == [bug.name for bug in PLANTED]


def test_the_purchases_are_those_of_the_simulation() -> None:
    said = [row[0] for row in table(section(SIMULATION, "Every interleaving"))]
    assert said == [scenario.name for scenario in SCENARIOS]
