"""What has drifted since a business was approved: which documents, by how much, and by which events.

Invoices knows the documents; what moved them was said by orders, refunds or invoices itself, and stands in
their outboxes.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from ops.shell.databases import Connections, Where, connected, urls_of
from shared.documents import as_json
from shared.queries import load

SQL = load("ops.watch.month")
MOST: Final = 100
"""So many documents are named."""
MOVING: Final[Mapping[str, Sequence[str]]] = {
    "orders": ("order.paid.v1", "order.cancelled.v1"),
    "refunds": ("refund.completed.v1",),
    "invoices": ("invoice.merged.v1", "invoice.unmerged.v1"),
}
"""What may make an approved document a draft again, or bring a new one, by who says it."""


async def read_drift(where: Where, month: str, number: str) -> list[dict[str, Any]]:
    """The drifted documents of a business, each with the events that moved it. Raises Problem.

    A change of the business number has no event of ours: it shows as a document that is gone, and a new one.
    """
    urls = urls_of(where)
    async with connected({service: urls[service] for service in MOVING}) as connections:
        return await drift_of(connections, month, number)


async def drift_of(connections: Connections, month: str, number: str) -> list[dict[str, Any]]:
    """The same over connections that are there."""
    rows = await connections["invoices"].fetch(SQL.drifted_documents, month, number, MOST)
    if not rows:
        return []
    since: datetime = min(row["since"] for row in rows)
    keys = sorted({order for row in rows for order in row["order_ids"]} | {row["partner_id"] for row in rows})
    said = [
        {"service": service, **event}
        for service, types in MOVING.items()
        for event in await connections[service].fetch(SQL.events_since, keys, list(types), since)
    ]
    return [{**as_json(row), "events": [as_json(event) for event in _of(row, said)]} for row in rows]


def _of(row: Mapping[str, Any], said: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """What was said of a document's orders since its approval, or of the document itself."""
    for event in sorted(said, key=lambda event: (event["at"], str(event["event_id"]))):
        is_about = event["key"] in row["order_ids"] or event["subject"] == str(row["invoice_id"])
        if is_about and event["at"] > row["since"]:
            yield event
