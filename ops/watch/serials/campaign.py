"""What became of the serials of a campaign: registered, soon too late, lost. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from shared.kst import kst_date
from shared.spreadsheets import BOM, as_text, csv_line

SOON: Final = (30, 7, 1)
"""Active serials are told apart by whether their window ends within so many days."""
COLUMNS: Final = (
    "grant_id",
    "order_id",
    "line_id",
    "product_name",
    "registration_deadline",
    "issued",
    "registered",
    "registered_percent",
    "active",
    *(f"expiring_in_{days}_days" for days in SOON),
    "dead_stock",
    "revoked",
)


def campaign_of(issuances: Iterable[dict[str, Any]], at: datetime) -> dict[str, Any]:
    """Each issuance, and all of them together.

    `dead_stock` are serials that nobody registered before their window ended: sold, and of no use any more.
    A serial that expires today is counted with each of the days.
    """
    rows = [_row(issuance, at) for issuance in issuances]
    counted = [name for name in COLUMNS[5:] if name != "registered_percent"]
    total = {name: sum(row[name] for row in rows) for name in counted}
    total["registered_percent"] = _percent(total["registered"], total["issued"])
    return {"issuances": rows, "total": total}


def campaign_csv(campaign: dict[str, Any]) -> str:
    """The issuances as CSV for a spreadsheet, a row each; their numbers are numbers."""
    rows = [csv_line(_cell(row[name]) for name in COLUMNS) for row in campaign["issuances"]]
    return BOM.decode() + csv_line(COLUMNS) + "".join(rows)


def _row(issuance: dict[str, Any], at: datetime) -> dict[str, Any]:
    counts, deadline = issuance["counts"], datetime.fromisoformat(issuance["registration_deadline"])
    days_left = (kst_date(deadline) - kst_date(at)).days
    soon = {f"expiring_in_{days}_days": counts["active"] if days_left <= days else 0 for days in SOON}
    return {
        **{name: issuance[name] for name in (*COLUMNS[:5], "issued")},
        "registered": counts["registered"],
        "registered_percent": _percent(counts["registered"], issuance["issued"]),
        "active": counts["active"],
        **soon,
        "dead_stock": counts["expired"],
        "revoked": counts["revoked"],
    }


def _percent(part: int, whole: int) -> int:
    return part * 100 // whole if whole else 0


def _cell(value: Any) -> str:
    return str(value) if isinstance(value, int) else as_text(value)
