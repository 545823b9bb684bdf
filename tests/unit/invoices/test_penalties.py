"""What is late, and what that costs, by its kind."""

from datetime import date

import pytest

from services.invoices.penalties import Issue, Penalty, penalty_of
from tests.unit.invoices.test_golden_cases import expected, given, ids

OCTOBER = Issue("2026-10", 1_000_000)
AFTER_THE_RETURN = date(2027, 1, 26)


@pytest.mark.parametrize("case", ids("L", but=["L13"]))
def test_what_is_issued_late_costs_what_the_golden_cases_say(case: str) -> None:
    told = given(case)
    day = date.fromisoformat(told["issued_on"])
    penalty = penalty_of(Issue(told["month"], told["supply"], day, day), day)
    assert (penalty and penalty.won) == expected(case)["estimated_penalty"]
    assert (penalty is not None) is expected(case)["late"]


def test_what_is_transmitted_late_or_never_costs_less_than_its_issue_would() -> None:
    issued = Issue("2026-10", given("L13")["supply"], date(2026, 11, 5))
    late = Penalty("transmitted_late", expected("L13")["late_transmission"])
    never = Penalty("not_transmitted", expected("L13")["no_transmission"])
    assert penalty_of(issued, date(2026, 11, 6)) is None
    assert penalty_of(issued, date(2026, 11, 7)) == late
    assert penalty_of(issued, AFTER_THE_RETURN) == never
    assert penalty_of(issued._replace(transmitted_on=date(2026, 11, 6)), AFTER_THE_RETURN) is None
    assert penalty_of(issued._replace(transmitted_on=date(2026, 11, 9)), AFTER_THE_RETURN) == late


def test_what_is_not_issued_yet_costs_as_of_today() -> None:
    assert penalty_of(OCTOBER, date(2026, 11, 10)) is None
    assert penalty_of(OCTOBER, date(2026, 11, 11)) == Penalty("issued_late", 10_000)
    assert penalty_of(OCTOBER, AFTER_THE_RETURN) == Penalty("not_issued", 20_000)


def test_only_one_of_both_is_asked_for() -> None:
    late = Issue("2026-10", 1_000_000, date(2026, 11, 11))
    assert penalty_of(late, date(2026, 12, 1)) == Penalty("issued_late", 10_000)


def test_a_change_of_value_has_a_deadline_and_a_correction_has_none() -> None:
    lowered = Issue("2026-10", -64_000, date(2026, 11, 11), date(2026, 11, 11), "supply_value_changed")
    assert penalty_of(lowered, AFTER_THE_RETURN) == Penalty("issued_late", 640)
    for modification in ("correction", "issued_twice"):
        assert penalty_of(lowered._replace(modification=modification), AFTER_THE_RETURN) is None


def test_what_is_issued_on_the_day_of_the_return_may_be_transmitted_the_day_after() -> None:
    issued = Issue("2026-10", 1_000_000, date(2027, 1, 25), date(2027, 1, 26), "correction")
    assert penalty_of(issued, date(2027, 6, 1)) is None
