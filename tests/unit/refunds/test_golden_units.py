"""The golden cases of units: what of 1,000 units is refundable when 300 are issued."""

import json
from pathlib import Path
from typing import Any

from tests.unit.refunds.desk import Desk, line

CASES = {
    case["id"]: case
    for case in json.loads((Path(__file__).parents[2] / "golden" / "refunds.json").read_text("utf-8"))
}


def asked(given: dict[str, Any]) -> Desk:
    desk = Desk()
    desk.paid(line("1", given["paid"], given.get("unit_price", 1_600)))
    desk.issuance_granted(given["issued"])
    desk.asked(given["asked"])
    return desk


def test_s1_what_is_not_issued_is_refunded() -> None:
    expect = CASES["S1"]["expect"]
    desk = asked(CASES["S1"]["given"])
    desk.granted()
    desk.paid_out()
    done = desk.last.data
    assert (done["supply"], done["vat"], done["amount"]) == (
        expect["supply"],
        expect["vat"],
        expect["amount"],
    )
    assert done["lines"] == [{"line_id": "1", "quantity": expect["granted"]}]


def test_s2_one_unit_more_is_issued() -> None:
    expect = CASES["S2"]["expect"]
    desk = asked(CASES["S2"]["given"])
    assert desk.last.type == "refund.rejected.v1"
    assert desk.last.data["reason"] == expect["rejected"]
    assert [row["left"] for row in desk.last.data["lines"]] == [expect["left"]]
