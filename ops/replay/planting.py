"""Plants the troubles of the demonstration in a running system, and tells what waits there."""

import asyncio

from ops.replay.driver import Topics
from ops.replay.troubles import BANK, MEND, MENDED, ORDERS, PROOF, first_events, later_events
from ops.shell.databases import urls_of
from ops.shell.problem import Problem
from ops.shell.system import System
from ops.shell.ways import way_of
from ops.watch.dead.listing import list_to_replay
from ops.watch.dead.names import Filter
from ops.watch.order import read_order
from ops.watch.todo.listing import read_everything
from shared.clock import monotonic, now
from shared.operators.todo import Group, Moment

SECONDS = 60.0
LOOK_EVERY = 0.1
ON_ITS_WAY = ("accepted", "granted")
"""States of a refund that the services leave by themselves."""
REFUND, LETTER, MONTH = "overdue", "refused", "to close"
"""What can be mended in the console: a refund, a dead letter, a month. Short, before a long address."""


async def plant(topics: Topics, system: System) -> None:
    """Publishes them; returns when every service has handled all of it. Safe to repeat. Raises Problem."""
    await topics.publish(first_events())
    refunds = {order_id: await _refund_of(system, order_id) for order_id in (BANK, PROOF)}
    await topics.publish(later_events(refunds))
    for _ in range(2):  # what was published, then what followed from it
        if not await topics.caught_up(SECONDS):
            raise too_slow()


async def read_waits(system: System) -> dict[str, str]:
    """What each order in trouble waits for, as `pawl order` says it; one that waits no more is left out."""
    waits = {}
    for order_id in ORDERS:
        story = await read_order(system, order_id)
        if story is not None and story.waits_for:
            waits[order_id] = story.waits_for[0].partition(";")[0].partition(" (")[0]
    return waits


async def read_mend(system: System) -> list[str]:
    """The commands that mend one of them; none when that is done."""
    found = await list_to_replay(urls_of(system), Filter("refunds", None, None, MENDED))
    return [part.format(order_id=MENDED, dead_letter=found[0]["name"]) for part in MEND] if found else []


async def read_places(system: System) -> dict[str, str]:
    """What can be mended in the console: the most urgent of three kinds, as its page by what it is.

    A kind of which nothing waits is left out. Raises Problem.
    """
    todo = await read_everything(system, Moment(now()))
    urgent: dict[str, str] = {}
    for group in todo.groups:
        what, path = _place_of(group)
        if what:
            urgent.setdefault(what, path)
    return {what: urgent[what] for what in (REFUND, LETTER, MONTH) if what in urgent}


def _place_of(group: Group) -> tuple[str, str]:
    """What a group is and the page on which to begin; twice empty for all but the three kinds."""
    match group.code:
        case "dead_letter":
            what = LETTER
        case "month_not_closed":
            what = MONTH
        case code if code.startswith("refund_") and group.overdue:
            what = REFUND
        case _:
            return "", ""
    return what, way_of(group.command)


async def _refund_of(system: System, order_id: str) -> str:
    """The id of the order's refund, once the services leave it to somebody."""
    deadline = monotonic() + SECONDS
    while monotonic() < deadline:
        story = await read_order(system, order_id)
        if story is not None and story.refunds and story.refunds[0].state not in ON_ITS_WAY:
            return story.refunds[0].refund_id
        await asyncio.sleep(LOOK_EVERY)
    raise too_slow()


def too_slow() -> Problem:
    """The services did not come to rest in time."""
    return Problem(
        f"The services did not handle the planted troubles within {SECONDS:.0f} s.",
        "Ask `pawl lag` which one stands still; the same command again goes on from here.",
    )
