"""Asks the database what a service knows of an order, with the statements of the service."""

from typing import Any

from shared.evidence.entries import Entry, Evidence
from shared.evidence.every_service import EVERY_SERVICE
from shared.queries import Queries, load

SQL = load(__file__)


async def read_evidence(connection: Any, sql: Queries, evidence: Evidence, order_id: str) -> list[Entry]:
    """Everything that one service has about an order; empty where it knows nothing of it.

    `connection` has the service's schema in front, and any role that reads it; what it reads belongs together
    when it is in one snapshot. `sql` is the service's catalogue.
    """
    entries: list[Entry] = []
    for exhibit in (*evidence.exhibits, *EVERY_SERVICE):
        statement = getattr(SQL if exhibit.query in SQL else sql, exhibit.query)
        entries += [exhibit.entry(row) for row in await connection.fetch(statement, order_id)]
    return entries if any(entry.kind != "forgotten" for entry in entries) else []
