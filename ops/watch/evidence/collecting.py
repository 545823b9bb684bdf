"""Reads what the four services know of an order, as of one moment, and links it into one document."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import services.invoices.exhibits
import services.orders.exhibits
import services.refunds.exhibits
import services.serials.exhibits
from ops.shell.databases import Where, one_moment, urls_of
from ops.shell.problem import Exit, Problem
from ops.watch.evidence.summary import summary_of
from shared import __version__
from shared.clock import now
from shared.evidence.chain import FORM, chained
from shared.evidence.entries import Entry, Evidence, in_order
from shared.evidence.reading import read_evidence
from shared.kst import wire_time
from shared.queries import load

EVIDENCE: Final[Mapping[str, Evidence]] = {
    "orders": services.orders.exhibits.EVIDENCE,
    "serials": services.serials.exhibits.EVIDENCE,
    "refunds": services.refunds.exhibits.EVIDENCE,
    "invoices": services.invoices.exhibits.EVIDENCE,
}
"""What each service tells of an order."""


async def take_evidence(where: Where, order_id: str) -> dict[str, Any]:
    """The document of everything that is known of an order. Raises Problem, also where nothing is known.

    Every service has to be readable: evidence that lacks one of them would look whole.
    """
    told: list[tuple[str, Entry]] = []
    async with one_moment(urls_of(where)) as (connections, at_once):
        for service, connection in connections.items():
            entries = await read_evidence(
                connection, load(f"services.{service}"), EVIDENCE[service], order_id.replace("\0", "")
            )
            told += [(service, entry) for entry in entries]
    if not told:
        raise Problem(
            f"No service knows an order {order_id!r}: there is nothing to tell of it.",
            "Is it a payment, a refund, a partner? See: pawl find WORD",
            Exit.NOTHING_MATCHED,
        )
    return document_of(order_id, told, now(), at_once=at_once)


def document_of(
    order_id: str, told: Sequence[tuple[str, Entry]], taken_at: datetime, *, at_once: bool
) -> dict[str, Any]:
    """The document of what services told, linked; the summary is its first entry.

    `at_once`: all of it is as of one moment. Services with databases of their own are each as of their own.
    """
    entries = in_order(told)
    head = {
        "form": FORM,
        "order_id": order_id,
        "taken_at": wire_time(taken_at),
        "services": sorted({service for service, _ in told}),
        "as_of_one_moment": at_once,
        "made_by": f"pawl {__version__}",
    }
    summary = summary_of(order_id, [entry for _, entry in entries]).content("pawl")
    return chained(head, [summary, *(entry.content(service) for service, entry in entries)])
