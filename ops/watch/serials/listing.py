"""The newest issuances of serials, over all partners, with how many of them are registered."""

from typing import Any

from ops.shell.databases import Where, connected, urls_of
from shared.queries import load

SQL = load("ops.watch.serials")


async def read_issuances(
    where: Where, partner_id: str | None, order_id: str | None, most: int
) -> list[dict[str, Any]]:
    """The newest so many, of one partner or one order where it is given. Raises Problem."""
    async with connected({"serials": urls_of(where)["serials"]}) as connections:
        rows = await connections["serials"].fetch(SQL.newest_grants, partner_id, order_id, most)
    return [dict(row) for row in rows]
