"""`pawl ranking`: the products that sell most, by the number of their orders."""

import asyncio
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from ops.shell.databases import Where, connected, urls_of
from ops.shell.options import Directory, Json, PostgresUrl
from ops.shell.output import print_json
from ops.shell.problem import Exit, Problem
from ops.shell.system import find_system
from ops.watch.show.rows import day, print_lines
from shared.clock import now
from shared.documents import as_json
from shared.kst import kst_date, months_before, start_of_day, wire_time
from shared.queries import load

SQL = load("services.orders")
MOST: Final = 100

_WINDOW: Final = re.compile(r"([1-9]|1[0-2])m", re.ASCII)


def ranking(
    window: Annotated[str, typer.Option(metavar="MONTHS", help="Months up to now, 1m to 12m.")] = "3m",
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="How many products at most.")] = 10,
    postgres: PostgresUrl = None,
    directory: Directory = None,
    as_document: Json = False,
) -> None:
    """List the products with most orders since the same day three months ago; ties by the latest sale.

    Orders whose money is back do not count. Exit code 4: nothing was sold.

    Example: [bold]pawl ranking[/bold]

    Example: [bold]pawl ranking --window 1m --limit 3[/bold]
    """
    since = start_of_day(months_before(kst_date(now()), _months(window)))
    items = asyncio.run(read_ranking(find_system(None, postgres, directory), since, limit))
    if as_document:
        print_json({"window": window, "since": wire_time(since), "items": items})
    elif items:
        print_lines(Console(), f"sold since {kst_date(since)}", map(_line, items))
    if items:
        return
    if as_document:
        raise typer.Exit(Exit.NOTHING_MATCHED)
    raise Problem(
        f"Nothing was sold since {kst_date(since)}.", "A longer window: --window 12m", Exit.NOTHING_MATCHED
    )


async def read_ranking(where: Where, since: datetime, limit: int) -> list[dict[str, Any]]:
    """The products with most orders since an instant, as JSON. Raises Problem."""
    async with connected({"orders": urls_of(where)["orders"]}) as connections:
        rows = await connections["orders"].fetch(SQL.ranking, since, limit)
    return [{"rank": number, **as_json(row)} for number, row in enumerate(rows, start=1)]


def _months(window: str) -> int:
    match = _WINDOW.fullmatch(window)
    if match is None:
        raise Problem(f"{window!r} is no window.", "For example: --window 3m", Exit.USAGE)
    return int(match[1])


def _line(item: Mapping[str, Any]) -> tuple[str, str]:
    orders = f"{item['orders']:,} orders, the latest on {day(item['last_sold_at'])}"
    return f"{item['rank']}", f"{item['product_name']}  {item['product_id']}  {orders}"
