"""A small history through the real system: what the services answer, twice the same."""

from pathlib import Path
from typing import Any

from ops.local.running import RunningSystem
from ops.replay.run import replay_file
from ops.watch.order import read_order
from tests.support.history import STORY, history

OUTCOMES = {
    "cancel_without_order": 1,
    "issued": 1,
    "issued_and_refunded": 1,
    "order_quantity_not_positive": 1,
    "order_worth_nothing": 1,
    "refund_completed": 3,
    "refund_rejected_issued": 1,
    "refunded": 2,
    "unreadable": 1,
}


def show_nothing(progress: Any) -> None:
    """Nobody watches."""


async def replayed(file: Path, running: RunningSystem) -> dict[str, Any]:
    """The result without what the clock and the other orders of the system have in it."""
    result = await replay_file(file, running.system, close_months=True, show=show_nothing)
    document = dict(result.summary.document)
    rates = ("orders_per_second", "events_per_second", "units_per_second")
    for name in ("seconds", *rates, "check", "months"):
        document.pop(name)
    return document


async def test_a_history_ends_as_told_and_a_second_replay_changes_nothing(
    tmp_path: Path, running: RunningSystem, admin: Any
) -> None:
    file = history(tmp_path, *STORY)
    first = await replayed(file, running)
    assert first["outcomes"] == OUTCOMES
    assert first["lines"] == len(STORY)
    assert first["units"] == {"paid": 28, "issued": 18, "refunded": 10, "open": 0}
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
    """How many events each service has said."""
    services = ("orders", "serials", "refunds", "invoices")
    return [await admin.fetchval(f"SELECT count(*) FROM {name}.outbox") for name in services]
