"""`pawl partner ID`: who it is, its orders and money, what is open, its documents and wishes."""

import asyncio
from collections.abc import Iterator
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from ops.shell.databases import Connections, Where, connected, urls_of
from ops.shell.options import Directory, Json, PostgresUrl
from ops.shell.output import print_json
from ops.shell.problem import Exit, Problem
from ops.shell.system import find_system
from ops.watch.show.rows import day, print_lines, won, words
from shared.documents import as_json
from shared.operators.commands import pawl
from shared.queries import load

SQL = load("ops.watch.show")
NAMES: Final = ("name", "business_number", "invoice_email")
SHOWN: Final = 10
"""So many orders, cases, refunds and documents are shown, the latest (of what waits the oldest) first."""


async def read_partner(where: Where, partner_id: str) -> dict[str, Any] | None:
    """The partner as JSON; None when no service knows it. Raises Problem."""
    if "\0" in partner_id:
        return None
    async with connected(urls_of(where)) as connections:
        return await partner_of(connections, partner_id)


async def partner_of(connections: Connections, partner_id: str) -> dict[str, Any] | None:
    """The same over connections that are there; each service is read beside the others."""
    some = (partner_id, SHOWN)
    (
        (named, leaving, money, orders, cases),
        (refunds,),
        (told, numbers, documents, wishes),
        (issuances,),
    ) = await asyncio.gather(
        _read(
            connections["orders"],
            (SQL.name_of_partner, partner_id),
            (SQL.leaving_of_partner, partner_id),
            (SQL.money_of_partner, partner_id),
            (SQL.orders_of_partner, *some),
            (SQL.cases_of_partner, *some),
        ),
        _read(connections["refunds"], (SQL.refunds_of_partner, *some)),
        _read(
            connections["invoices"],
            (SQL.told_of_partner, partner_id),
            (SQL.numbers_of_partner, *some),
            (SQL.documents_of_partner, *some),
            (SQL.wishes_of_partner, *some),
        ),
        _read(connections["serials"], (SQL.issuances_of_partner, *some)),
    )
    if not (named or told or leaving):
        return None
    names = (told or named or [{}])[0]
    return {
        "partner_id": partner_id,
        **{name: names.get(name) for name in NAMES},
        "is_told": bool(told),
        "money": money,
        "orders": orders,
        "cases": cases,
        "refunds": refunds,
        "numbers": numbers,
        "issuances": issuances,
        "documents": documents,
        "wishes": {
            "merges_every_month": bool(told) and told[0]["always_merge"],
            "since": told[0]["always_merge_since"] if told else None,
            "wants_to_leave": bool(leaving) and leaving[0]["withdrawn_at"] is None,
            "left_at": leaving[0]["withdrawn_at"] if leaving else None,
            "purged_at": leaving[0]["purged_at"] if leaving else None,
            "merges": wishes,
        },
    }


async def _read(connection: Any, *asked: tuple[Any, ...]) -> list[list[dict[str, Any]]]:
    """The rows of each statement, one after the other: a connection does one at a time."""
    return [[as_json(row) for row in await connection.fetch(*each)] for each in asked]


def partner(
    partner_id: Annotated[str, typer.Argument(metavar="ID", help="The id of the partner.")],
    postgres: PostgresUrl = None,
    directory: Directory = None,
    as_document: Json = False,
) -> None:
    """Show a partner: its orders and money, open refunds and cases, its documents and wishes.

    Ends with exit code 4 when no service knows it.

    Example: [bold]pawl partner P-17[/bold]
    """
    found = asyncio.run(read_partner(find_system(None, postgres, directory), partner_id))
    if found is None:
        raise Problem(
            f"No service knows a partner {partner_id!r}.",
            "Look for its name, number or address: pawl find WORD",
            Exit.NOTHING_MATCHED,
        )
    if as_document:
        print_json(found)
    else:
        head = "  ".join(
            str(found[name]) for name in ("partner_id", "name", "business_number") if found[name]
        )
        print_lines(Console(), f"partner {head}", _lines(found))


def _lines(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if found["invoice_email"]:
        yield "e-mail", found["invoice_email"]
    for row in found["money"]:
        sums = f"{won(row['paid'])} paid"
        if row["state"] == "pending_deposit":
            sums = f"{won(row['expected'])} expected"
        elif row["state"] == "paid":
            sums += f", {won(row['remaining'])} of it left"
        yield "money", f"{row['count']:,} {words(row['state'])}: {sums}"
    for row in found["numbers"]:
        yield "number", f"{row['business_number']}  since {day(row['since'])}"
    yield from (("wishes", text) for text in _wishes(found["wishes"]))
    yield from _of_late(found)


def _of_late(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for row in found["cases"]:
        case = f"{won(row['amount'])}  {words(row['reason'])}  {row['order_id']}"
        yield "case", f"{case}  since {day(row['opened_at'])}"
    for row in found["refunds"]:
        why = f" ({row['why']})" if row["why"] else ""
        yield "refund", f"{won(row['amount'])}  {words(row['state'])}{why}  {row['order_id']}"
        yield "", pawl("refund", "show", row["refund_id"])
    for row in found["orders"]:
        yield "order", f"{row['order_id']}  {words(row['state'])}  {won(row['won'])}  {day(row['at'])}"
    for row in found["issuances"]:
        yield "serials", f"{row['issued']:,} of {row['quantity']:,}  {row['product_name']}"
        yield "", pawl("serials", "status", row["grant_id"])
    for row in found["documents"]:
        name = row["document_key"] or row["invoice_id"]
        yield "document", f"{row['month']}  {words(row['state'])}  {won(row['total'])}  {name}"


def _wishes(wishes: dict[str, Any]) -> Iterator[str]:
    if wishes["left_at"]:
        purged = f", purged on {day(wishes['purged_at'])}" if wishes["purged_at"] else ""
        yield f"left on {day(wishes['left_at'])}{purged}"
    if wishes["wants_to_leave"]:
        yield "wants to leave, and has something unfinished"
    if wishes["merges_every_month"]:
        yield "one invoice for each month"
    for row in wishes["merges"]:
        wish = f"{'no ' if row['undo'] else ''}merge of {row['month']}"
        yield f"{wish}  {row['request_id']}  {day(row['requested_at'])}"
