"""`pawl refund ID`: a refund with its units, its won, its two dates, every step, and what may be decided."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console

from ops.shell.databases import Where, connected, urls_of
from ops.shell.options import Directory, Json, PostgresUrl
from ops.shell.output import print_json
from ops.shell.problem import Exit, Problem
from ops.shell.system import find_system
from ops.watch.show.rows import minute, print_lines, won, words
from shared.business_days import legal_refund_day
from shared.clock import now
from shared.documents import as_json
from shared.kst import kst_date
from shared.late_interest import lateness
from shared.operators.commands import pawl
from shared.operators.deciding import of_refund
from shared.queries import load

SQL = load("ops.watch.show")


async def read_refunds(where: Where, name: str) -> list[dict[str, Any]]:
    """The refunds of this id or this request, as JSON; each order has its own. Raises Problem."""
    async with connected({"refunds": urls_of(where)["refunds"]}) as connections:
        return await refunds_of(connections["refunds"], name)


async def refunds_of(connection: Any, name: str) -> list[dict[str, Any]]:
    """The same over a connection that is there."""
    refund_id = None
    with suppress(ValueError):
        refund_id = UUID(name)
    rows = await connection.fetch(SQL.refunds_named, refund_id, name.replace("\0", ""))
    return [await _whole(connection, row) for row in rows]


async def _whole(connection: Any, row: Any) -> dict[str, Any]:
    refund_id = row["refund_id"]
    legal_on = legal_refund_day(kst_date(row["returned_at"] or row["requested_at"]))
    completed_on = kst_date(row["completed_at"]) if row["completed_at"] else None
    late = lateness(row["amount"], row["state"], legal_on, completed_on, kst_date(now()))
    return {
        **as_json(row),
        "decisions": list(of_refund(row["state"], row["why"])),
        "overdue": row["deadline"] is not None and row["deadline"] < now(),
        "legal_on": legal_on.isoformat(),
        "late": None if late is None else {"days": late.days, "interest": late.won},
        "lines": [as_json(line) for line in await connection.fetch(SQL.lines_of_refund, refund_id)],
        "steps": [as_json(step) for step in await connection.fetch(SQL.steps_of_refund, refund_id)],
        "payouts": [as_json(payout) for payout in await connection.fetch(SQL.payouts_of_refund, refund_id)],
    }


def require_refunds(where: Where, name: str) -> list[dict[str, Any]]:
    """The refunds of this id or this request. Raises Problem (exit code 4) when there is none."""
    found = asyncio.run(read_refunds(where, name))
    if not found:
        raise Problem(
            f"There is no refund {name!r} and none of a request of that id.",
            "Of an order: pawl order ID. Refused? See: pawl dead ls --service refunds",
            Exit.NOTHING_MATCHED,
        )
    return found


def show(
    name: Annotated[str, typer.Argument(help="The id of the refund, or of its request.")],
    postgres: PostgresUrl = None,
    directory: Directory = None,
    as_document: Json = False,
) -> None:
    """Show a refund: units, won, destination (masked), both days, every step, and what may be decided.

    A request id is one of its order: several refunds may have it. Ends with exit code 4 when none has.

    Example: [bold]pawl refund show rr-77[/bold]
    """
    found = require_refunds(find_system(None, postgres, directory), name)
    if as_document:
        print_json({"refunds": found})
        return
    for each in found:
        head = f"refund {each['refund_id']}  {words(each['state'])}  {won(each['amount'])}"
        print_lines(Console(), head, _lines(each))


def _lines(refund: dict[str, Any]) -> Iterator[tuple[str, str]]:
    asked = f"{refund['refund_request_id']} by {refund['requested_by']}"
    yield "request", f"{asked}: {words(refund['reason'])}"
    yield "order", f"{refund['order_id']}  {pawl('order', refund['order_id'])}"
    if refund["why"]:
        differs = f": {words(refund['mismatch'])}" if refund["mismatch"] else ""
        yield "because", f"{refund['why']}{differs}, since {minute(refund['steps'][-1]['at'])}"
    if refund["deadline"]:
        yield "until", f"{minute(refund['deadline'])}{', which is over' if refund['overdue'] else ''}"
    if refund["approved_by"]:
        first = f"{won(refund['approved_won'])} by {refund['approved_by']}"
        yield "approved", f"{first}; somebody else has to approve it too"
    for line in refund["lines"]:
        yield "units", f"{line['quantity']:,} of line {line['line_id']}"
    if refund["supply"] is not None:
        fee = f" less a fee of {won(refund['fee'])}" if refund["fee"] else ""
        yield "won", f"{won(refund['supply'])} supply and {won(refund['vat'])} VAT{fee}"
    yield "to", f"{words(refund['destination_kind'])} {refund['destination_masked'] or ''}".rstrip()
    expected = f"expected on {refund['expected_on']}, " if refund["expected_on"] else ""
    yield "dates", f"{expected}by law until {refund['legal_on']}"
    if refund["late"]:
        days, interest = refund["late"]["days"], won(refund["late"]["interest"])
        yield "late", f"{days:,} days after it; {interest} of interest, if the buyer is a consumer"
    for payout in refund["payouts"]:
        yield "payout", f"{payout['payout_id']}  {payout['state']}  {won(payout['amount'])}"
    for step in refund["steps"]:
        note = f"  {step['note']}" if step["note"] else ""
        yield (
            "",
            f"{minute(step['at'])}  {words(step['state'])}  {step['actor']}  {words(step['reason'])}{note}",
        )
    for place, decision in enumerate(refund["decisions"]):
        yield "" if place else "decide", pawl("refund", decision, refund["refund_id"])
