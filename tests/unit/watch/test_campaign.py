"""What a campaign sums up: registered, soon too late, lost."""

import csv
import io
from datetime import datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from ops.watch.serials.campaign import COLUMNS, campaign_csv, campaign_of
from ops.watch.serials.text import print_campaign, watermark_in
from ops.watch.show.rows import print_lines
from shared.kst import KST, end_of_day, kst_date, wire_time

NOW = datetime(2026, 11, 30, 14, tzinfo=KST)


def issuance(days_left: int = 60, **more: Any) -> dict[str, Any]:
    counts = {"active": 60, "registered": 30, "expired": 0, "revoked": 10}
    usual = {
        "grant_id": "g-1",
        "order_id": "A-1",
        "line_id": "1",
        "product_name": "스터디 이용권 30일",
        "registration_deadline": wire_time(end_of_day(kst_date(NOW) + timedelta(days=days_left))),
        "issued": 100,
        "counts": counts,
    }
    return {**usual, **more}


def of(*issuances: dict[str, Any]) -> dict[str, Any]:
    return campaign_of(issuances, NOW)


def test_each_issuance_is_a_row_and_all_of_them_a_sum() -> None:
    lost = {"active": 0, "registered": 5, "expired": 15, "revoked": 0}

    campaign = of(issuance(), issuance(-3, issued=20, counts=lost))

    assert [row["registered_percent"] for row in campaign["issuances"]] == [30, 25]
    assert [row["dead_stock"] for row in campaign["issuances"]] == [0, 15]
    total = campaign["total"]
    assert (total["issued"], total["registered"], total["registered_percent"]) == (120, 35, 29)
    assert (total["active"], total["dead_stock"], total["revoked"]) == (60, 15, 10)


@pytest.mark.parametrize(
    ("days_left", "within"),
    [
        (31, (0, 0, 0)),
        (30, (60, 0, 0)),
        (8, (60, 0, 0)),
        (7, (60, 60, 0)),
        (1, (60, 60, 60)),
        (0, (60, 60, 60)),
    ],
)
def test_what_expires_soon_is_told_by_days_in_seoul(days_left: int, within: tuple[int, int, int]) -> None:
    (row,) = of(issuance(days_left))["issuances"]

    assert tuple(row[f"expiring_in_{days}_days"] for days in (30, 7, 1)) == within


def test_nothing_issued_is_no_percent() -> None:
    none = {"active": 0, "registered": 0, "expired": 0, "revoked": 0}

    assert of(issuance(issued=0, counts=none))["total"]["registered_percent"] == 0


def test_as_csv_names_are_text_and_numbers_are_numbers() -> None:
    table = campaign_csv(of(issuance(product_name="=1+1", counts={**issuance()["counts"], "active": 7})))

    header, row = csv.reader(io.StringIO(table.removeprefix("\ufeff")))
    told = dict(zip(header, row, strict=True))
    assert tuple(header) == COLUMNS
    assert (told["product_name"], told["active"]) == ("'=1+1", "7")


def test_names_and_figures_stand_in_columns() -> None:
    console = Console(file=io.StringIO(), width=100)

    print_campaign(console, "partner P-17", of(issuance()))

    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    totals = lines[lines.index("together") + 1 :]
    assert "  expiring in 30 days 0" in totals
    assert len({len(line) - len(line.split()[-1]) for line in totals}) == 1


@pytest.mark.parametrize(
    "pasted",
    [
        "TBVT-7R4S-S8D4",
        "# watermark TBVT-7R4S-S8D4,,,,",
        "watermark TBVT-7R4S-S8D4",
        "serials-01a22906-aec0-7035-8416-2b2e5c733e1b-TBVT-7R4S-S8D4.csv",
    ],
)
def test_a_watermark_is_found_in_what_is_pasted(pasted: str) -> None:
    assert watermark_in(pasted) == "TBVT-7R4S-S8D4"


def test_what_holds_no_watermark_stays_as_it_was_typed() -> None:
    assert watermark_in("tbvt7r4ss8d4") == "tbvt7r4ss8d4"


def test_what_somebody_said_stays_on_its_line() -> None:
    console = Console(file=io.StringIO(), width=100)
    said = "x\n2026-11-30 06:18  kim took 60 serials\r\x1b[31mred\u202eturned"

    print_lines(console, "head", [("because", said)])

    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert lines == ["head", r"  because   x\n2026-11-30 06:18  kim took 60 serials\r\x1b[31mred\u202eturned"]
