"""The products that sell most: what counts, since when, and when the list is rebuilt."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from services.orders.decisions.ranking import next_night, sales_of, window_start
from services.orders.state import Sale
from shared.kst import KST
from tests.support.guides import ROOT
from tests.unit.orders.builders import AT, cancelled, line, payment, pending
from tests.unit.orders.shop import Shop

CASES: dict[str, Any] = {
    case["id"]: case for case in orjson.loads((ROOT / "tests/golden/refunds.json").read_bytes())
}


def test_x3_the_window_begins_on_the_last_day_of_a_month_without_that_day() -> None:
    case = CASES["X3"]

    at = datetime.fromisoformat(case["given"]["now"])

    assert window_start(at, 3).isoformat() == case["expect"]["from"]


@pytest.mark.parametrize(
    ("at", "months", "since"),
    [
        ("2028-05-31T10:00:00+09:00", 3, "2028-02-29T00:00:00+09:00"),
        ("2026-03-01T00:00:00+09:00", 3, "2025-12-01T00:00:00+09:00"),
        ("2026-02-28T14:59:59Z", 3, "2025-11-28T00:00:00+09:00"),
        ("2026-02-28T15:00:00Z", 3, "2025-12-01T00:00:00+09:00"),
        ("2026-12-31T23:59:59+09:00", 12, "2025-12-31T00:00:00+09:00"),
    ],
)
def test_the_window_begins_at_midnight_in_seoul_of_the_same_day(at: str, months: int, since: str) -> None:
    assert window_start(datetime.fromisoformat(at), months).isoformat() == since


def test_an_order_counts_once_for_each_product_whatever_its_lines_and_units() -> None:
    shop = Shop()
    lines = (line("1"), line("2", 10), line("3", 1, product_id="study-1"))
    shop.take(payment(*lines, amount=195_360))

    assert sales_of(shop.order) == (Sale("A-1", "study-1", AT), Sale("A-1", "study-2", AT))


def test_an_order_without_its_money_does_not_count() -> None:
    shop = Shop()
    shop.take(pending())
    assert sales_of(shop.order) == ()

    shop.hear(payment(), cancelled())

    assert shop.order.state == "cancelled"
    assert sales_of(shop.order) == ()


@pytest.mark.parametrize(
    ("at", "night"),
    [
        ("2026-10-21T03:59:59+09:00", "2026-10-21T04:00:00+09:00"),
        ("2026-10-21T04:00:00+09:00", "2026-10-22T04:00:00+09:00"),
        ("2026-10-21T23:00:00+09:00", "2026-10-22T04:00:00+09:00"),
    ],
)
def test_the_list_is_rebuilt_every_night(at: str, night: str) -> None:
    instant = datetime.fromisoformat(at)

    assert next_night(instant) == next_night(instant.astimezone(UTC)) == datetime.fromisoformat(night)
    assert next_night(instant).tzinfo == KST
