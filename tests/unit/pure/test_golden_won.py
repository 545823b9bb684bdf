"""The golden cases of won and VAT: `tests/golden` holds them as the domain's experts worked them out."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.money import Money, payment_money, refund_money

GOLDEN = Path(__file__).parents[2] / "golden"
INVOICES = {case["id"]: case for case in json.loads((GOLDEN / "invoices.json").read_text("utf-8"))}


def case(case_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    return INVOICES[case_id]["given"], INVOICES[case_id]["expect"]


def test_v1_vat_of_whole_lines() -> None:
    given, expect = case("V1")
    money = payment_money(given["vat_mode"], sum(price * units for price, units in given["lines"]))
    assert (money.supply, money.vat, money.total) == (expect["supply"], expect["vat"], expect["total"])


def test_v2_vat_is_rounded_down() -> None:
    given, expect = case("V2")
    assert [payment_money(given["vat_mode"], supply).vat for supply in given["supply"]] == expect["vat"]


def test_v3_vat_inside_a_gross_price() -> None:
    given, expect = case("V3")
    assert payment_money(given["vat_mode"], given["gross"]) == (expect["supply"], expect["vat"])


@pytest.mark.parametrize("case_id", ["V4", "V5", "V7"])
def test_partial_refunds_give_back_all_vat(case_id: str) -> None:
    given, expect = case(case_id)
    remaining = payment_money(given["vat_mode"], given.get("gross") or given["supply"])
    vats = []
    for price in given["refunds"]:
        back = refund_money(given["vat_mode"], remaining, price)
        remaining = remaining.minus(back)
        vats.append(back.vat)
    assert vats == expect["vat"]
    assert sum(vats) == expect["sum"]
    assert remaining == (0, 0)


def test_v6_the_vat_of_a_merge_is_the_sum_of_its_payments() -> None:
    given, expect = case("V6")
    merged = Money(0, 0)
    for gross in given["payments_gross"]:
        merged = merged.plus(payment_money(given["vat_mode"], gross))
    assert (merged.supply, merged.vat, merged.total) == (expect["supply"], expect["vat"], expect["total"])
