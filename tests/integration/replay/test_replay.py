"""A small history through the real system: what the services answer, twice the same."""

from pathlib import Path
from typing import Any

from ops.order import read_order
from ops.replay.run import replay_file
from ops.running import RunningSystem

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
STORY = (
    "R9001,22728,ALARM CLOCK,10,3/1/2011 10:00,3.75,812583,France",
    "R9001,POST,POSTAGE,1,3/1/2011 10:00,18,812583,France",
    "R9002,21724,STICKERS,12,3/2/2011 10:00,0.85,812583,France",
    "CR9003,22728,ALARM CLOCK,-4,3/4/2011 10:00,3.75,812583,France",
    "CR9004,22728,ALARM CLOCK,-6,3/7/2011 10:00,3.75,812583,France",
    "CR9004,POST,POSTAGE,-1,3/7/2011 10:00,18,812583,France",
    "CR9004,99999,NEVER BOUGHT,-1,3/7/2011 10:00,1,812583,France",
    "R9005,22728,ALARM CLOCK,5,4/2/2011 10:00,3.75,812584,Spain",
    "CR9006,22728,ALARM CLOCK,-5,4/3/2011 10:00,3.75,812584,Spain",
    "R9007,22728,FREE,5,4/3/2011 11:00,0,812584,Spain",
    "R9008,22728,ALARM CLOCK,-5,4/3/2011 12:00,3.75,812584,Spain",
    "R9009,not enough",
)
OUTCOMES = {
    "cancel_without_order": 1,
    "charge_paid": 1,
    "issued": 1,
    "issued_and_refunded": 1,
    "order_quantity_not_positive": 1,
    "order_worth_nothing": 1,
    "refund_completed": 2,
    "refund_not_supported": 1,
    "refund_rejected_issued": 1,
    "refunded": 1,
    "unreadable": 1,
}


def show_nothing(progress: Any) -> None:
    """Nobody watches."""


async def replayed(file: Path, running: RunningSystem) -> dict[str, Any]:
    """The result without what the clock and the other orders of the system have in it."""
    result = await replay_file(file, running.system, close_months=True, show=show_nothing)
    document = dict(result.summary.document)
    for name in ("seconds", "orders_per_second", "check", "months"):
        document.pop(name)
    return document


def history(folder: Path, *lines: str) -> Path:
    path = folder / "history.csv"
    path.write_text("\n".join((HEADER, *lines)))
    return path


async def test_a_history_ends_as_told_and_a_second_replay_changes_nothing(
    tmp_path: Path, running: RunningSystem, admin: Any
) -> None:
    file = history(tmp_path, *STORY)
    first = await replayed(file, running)
    assert first["outcomes"] == OUTCOMES
    assert first["lines"] == len(STORY)
    assert first["units"] == {"paid": 28, "issued": 18, "refunded": 9, "open": 1}
    assert first["won"]["paid"] - first["won"]["refunded"] == first["won"]["invoiced"]

    said = await outboxes(admin)
    assert await replayed(file, running) == first
    assert await outboxes(admin) == said


async def test_an_order_of_the_replay_can_be_explained(tmp_path: Path, running: RunningSystem) -> None:
    await replayed(history(tmp_path, *STORY), running)
    story = await read_order(running.system, "R9001")
    assert story is not None
    [line, _] = story.to_document()["lines"]
    assert (line["paid"], line["issued"], line["refunded"]) == (10, 6, 4)


async def outboxes(admin: Any) -> list[int]:
    """How many facts each service has said."""
    services = ("orders", "serials", "refunds", "invoices")
    return [await admin.fetchval(f"SELECT count(*) FROM {name}.outbox") for name in services]
