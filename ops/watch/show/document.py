"""`pawl document KEY`: a document, whose it is, which payments stand on it, and what modified it."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Any, Final
from uuid import UUID

import typer
from rich.console import Console

from ops.shell.databases import Where, connected, urls_of
from ops.shell.options import Directory, Json, PostgresUrl
from ops.shell.output import print_json
from ops.shell.problem import Exit, Problem
from ops.shell.system import find_system
from ops.watch.show.rows import minute, print_lines, won, words
from shared.documents import as_json
from shared.operators.commands import pawl
from shared.queries import load

SQL = load("ops.watch.show")
SHOWN: Final = 50
"""So many payments of a document are shown."""


async def read_document(where: Where, name: str) -> dict[str, Any] | None:
    """The document of this key or id, as JSON; None when there is none. Raises Problem."""
    async with connected({"invoices": urls_of(where)["invoices"]}) as connections:
        return await document_of(connections["invoices"], name)


async def document_of(connection: Any, name: str) -> dict[str, Any] | None:
    """The same over a connection that is there."""
    invoice_id = None
    with suppress(ValueError):
        invoice_id = UUID(name)
    row = await connection.fetchrow(SQL.document_named, name.replace("\0", ""), invoice_id)
    if row is None:
        return None
    related = await connection.fetch(SQL.related_documents, row["invoice_id"], row["original_id"])
    return {
        **as_json(row),
        "on_it": [as_json(each) for each in await _won_on(connection, row)],
        "related": [as_json(each) for each in related],
    }


async def _won_on(connection: Any, document: Any) -> list[dict[str, Any]]:
    """The won of each payment on it; what a refund modified concerns the one payment of its order."""
    if document["order_id"] is not None:
        return [{name: document[name] for name in ("order_id", "supply", "vat")}]
    taken_back = document["kind"] == "modified"
    of = document["original_id"] if taken_back else document["invoice_id"]
    rows = await connection.fetch(SQL.payments_on_document, of, SHOWN)
    sign = -1 if taken_back else 1
    return [{**row, "supply": sign * row["supply"], "vat": sign * row["vat"]} for row in rows]


def document(
    name: Annotated[str, typer.Argument(metavar="KEY", help="The key of the document, or its id.")],
    postgres: PostgresUrl = None,
    directory: Directory = None,
    as_document: Json = False,
) -> None:
    """Show a document: whose it is, its won, the payments on it, and what modified it.

    Ends with exit code 4 when there is none. Line by line: pawl close MONTH status KEY.

    Example: [bold]pawl document 2026-10-1168200276-000002[/bold]
    """
    found = asyncio.run(read_document(find_system(None, postgres, directory), name))
    if found is None:
        raise Problem(
            f"There is no document {name!r}.",
            "Of a month: pawl close 2026-10 status; of a partner: pawl partner ID",
            Exit.NOTHING_MATCHED,
        )
    if as_document:
        print_json(found)
    else:
        key = found["document_key"] or found["invoice_id"]
        print_lines(
            Console(), f"document {key}  {words(found['state'])}  {won(found['total'])}", _lines(found)
        )


def _lines(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    late = "  late" if found["late"] else ""
    why = f", {words(found['modification'])}" if found["modification"] else ""
    yield "kind", f"{found['kind']}{why}, {found['month']}{late}"
    partners = ", ".join([found["partner_id"], *found["also"]])
    yield "of", f"{found['business_number']}, partner {partners}"
    yield "won", f"{won(found['supply'])} supply and {won(found['vat'])} VAT"
    if found["issued_at"]:
        yield "issued", f"{minute(found['issued_at'])}, written date {found['written_date']}"
    for row in found["on_it"]:
        payment = f"  payment {row['payment_id']}" if "payment_id" in row else ""
        yield "payment", f"{won(row['supply'] + row['vat'])}  {pawl('order', row['order_id'])}{payment}"
    if len(found["on_it"]) < found["payments"] and found["state"] == "issued":
        yield "", f"and {found['payments'] - len(found['on_it']):,} more"
    for row in found["related"]:
        name = row["document_key"] or row["invoice_id"]
        yield (
            "see",
            f"{words(row['modification'] or row['kind'])}  {won(row['total'])}  {pawl('document', name)}",
        )
