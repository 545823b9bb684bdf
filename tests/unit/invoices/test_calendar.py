"""When invoices are dated, due, and no longer mergeable."""

from datetime import date, datetime

import pytest

from services.invoices.calendar import (
    cut_off,
    ends_at,
    estimated_penalty,
    is_late,
    written_date,
    written_date_of_merge,
)
from shared.tax_documents import due_on


@pytest.mark.parametrize(
    ("month", "due"),
    [
        ("2026-10", date(2026, 11, 10)),
        ("2026-09", date(2026, 10, 12)),  # the 10th is a Saturday
        ("2026-12", date(2027, 1, 11)),  # the 10th is a Sunday
        ("2022-09", date(2022, 10, 11)),  # the 10th is the substitute day of Hangul Day
        ("2024-01", date(2024, 2, 13)),  # a Saturday, then Lunar New Year with its substitute day
    ],
)
def test_invoices_are_due_on_the_tenth_or_the_next_business_day(month: str, due: date) -> None:
    assert due_on(month) == due


@pytest.mark.parametrize(("month", "last"), [("2026-10", 31), ("2026-02", 28), ("2028-02", 29)])
def test_a_merged_invoice_is_dated_the_last_day_of_its_month(month: str, last: int) -> None:
    assert written_date_of_merge(month).day == last


def test_an_invoice_of_one_payment_is_dated_on_its_day_in_seoul() -> None:
    assert written_date(datetime.fromisoformat("2026-10-01T15:00:00+00:00")) == date(2026, 10, 2)


@pytest.mark.parametrize(
    ("issued_at", "penalty"),
    [
        ("2026-11-10T23:59:59.999999+09:00", None),
        ("2026-11-10T15:00:00+00:00", 1_600),  # the 11th in Seoul
        ("2027-01-25T23:59:59+09:00", 1_600),
        ("2027-01-26T00:00:00+09:00", 3_200),
    ],
)
def test_the_penalty_follows_the_day_of_issue_in_seoul(issued_at: str, penalty: int | None) -> None:
    issued = datetime.fromisoformat(issued_at)
    assert estimated_penalty("2026-10", issued, 160_000) == penalty
    assert is_late("2026-10", issued) is (penalty is not None)


def test_a_month_ends_at_midnight_in_seoul() -> None:
    assert ends_at("2026-12") == datetime.fromisoformat("2026-12-31T15:00:00+00:00")


def test_merges_are_asked_for_until_the_fifth_at_six_in_the_evening() -> None:
    assert cut_off("2026-10", 5, 18) == datetime.fromisoformat("2026-11-05T18:00:00+09:00")
