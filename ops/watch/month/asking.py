"""How a month stands: what invoices says of it, and what waits in other services."""

from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from ops.shell.asking import look
from ops.shell.problem import Exit, Problem
from ops.shell.system import System
from ops.watch.todo.listing import read_everything
from shared.kst import wire_time
from shared.operators.todo import Moment

SCOPE: Final = "invoices:read"
PREVIEW_SECONDS: Final = 600.0
"""A preview takes no longer than a close, which may take that long."""
ELSEWHERE: Final = frozenset(
    {"event_blocked", "event_gap", "event_waiting", "quarantine", "refund_held", "refund_in_review"}
)
"""What may still change a month and is not known to invoices yet, as `pawl todo` names it."""
INVOICES: Final = "invoices"


async def read_month(
    invoices_url: str, month: str, at: datetime | None, limit: int, token: str
) -> dict[str, Any]:
    """What is issued of a month, what a close would issue, and what stands against it. Raises Problem."""
    asked: dict[str, str | int] = {"limit": limit}
    if at is not None:
        asked["at"] = wire_time(at)
    url = f"{invoices_url}/v1/months/{month}/preview?{urlencode(asked)}"
    found: dict[str, Any] = await look(
        url, token, SCOPE, "Is this the invoices service?", timeout=PREVIEW_SECONDS
    )
    return found


async def read_elsewhere(system: System | None, moment: Moment) -> dict[str, Any]:
    """What waits in the other services and may concern any month, and which of them could not be read.

    `system` is None where its database is not known.
    """
    try:
        if system is None:
            raise Problem("their database is not known")
        todo = await read_everything(system, moment)
    except Problem as problem:
        return {"elsewhere": [], "unreadable": {"the other services": problem.message}}
    groups = [
        group.to_document(moment.now)
        for group in todo.groups
        if group.service != INVOICES and group.code in ELSEWHERE
    ]
    unreadable = {service: why for service, why in todo.unreadable.items() if service != INVOICES}
    return {"elsewhere": groups, "unreadable": unreadable}


def exit_code_of(month: dict[str, Any], *, despite_open_refunds: bool = False) -> Exit:
    """What the answer is for a script: nothing is in the month, something blocks its close, or neither."""
    if is_empty(month):
        return Exit.NOTHING_MATCHED
    told = {"open_refund"} if despite_open_refunds else set()
    return Exit.SOMETHING_WAITS if {each["code"] for each in month["blockers"]} - told else Exit.OK


def is_empty(month: dict[str, Any]) -> bool:
    """Whether the month has no document, issued or to be, and was not closed."""
    documents = (month["issued"]["documents"], month["to_be"]["documents"], month["to_be"]["failed"])
    return not any(documents) and month["closed_at"] is None
