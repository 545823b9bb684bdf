"""A tabletop of the four services for each test, and a small history on it."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ops.provision import Database
from tests.integration.ops_tools.tabletop import Tabletop, tabletop


@pytest.fixture
async def table(database: Database, clean_schemas: None) -> AsyncIterator[Tabletop]:
    async with tabletop(database) as table:
        yield table


async def refund_id_of(table: Tabletop, order_id: str) -> str:
    """The id of the order's only refund."""
    row = await table.pools["refunds"].fetchrow("SELECT refund_id FROM refunds WHERE order_id = $1", order_id)
    return str(row["refund_id"])


async def buy(table: Tabletop, order_id: str, **data: Any) -> None:
    """An order of 100 units for 176,000 won is paid."""
    table.say("payment.completed.v1", order_id, payment_id=f"pay-{order_id}", **data)
    await table.drain()


async def refund_and_issue(table: Tabletop, order_id: str) -> None:
    """40 units are paid back, the other 60 issued."""
    table.say("refund.requested.v1", order_id)
    await table.drain()
    refund_id = await refund_id_of(table, order_id)
    table.say("refund.paid_out.v1", order_id, refund_id=refund_id)
    table.say("issuance.requested.v1", order_id, lines=[{"line_id": "1", "quantity": 60}])
    await table.drain()


@pytest.fixture
async def history(table: Tabletop) -> Tabletop:
    """A-1: 60 issued, 40 paid back. A-2: all issued, cancelled afterwards. A-3: by card. A-4: pending.

    A-5: paid twice. A-6: 40 paid back after its invoice was issued. Months are closed up to 2026-10.
    """
    await buy(table, "A-1")
    await refund_and_issue(table, "A-1")
    await buy(table, "A-2", issue_policy="automatic")
    table.say("payment.cancelled.v1", "A-2", payment_id="pay-A-2")
    await buy(table, "A-3", payment_method="card")
    table.say("payment.pending.v1", "A-4")
    await buy(table, "A-5")
    table.say("payment.completed.v1", "A-5", payment_id="pay-again")
    await buy(table, "A-6")
    await table.close("2026-10", "2026-11-05T18:00:00+09:00")
    await refund_and_issue(table, "A-6")
    return table


def example(name: str) -> dict[str, Any]:
    """The data of a golden example."""
    from tests.integration.ops_tools.tabletop import EXAMPLES

    document: dict[str, Any] = json.loads((EXAMPLES / "checkout.events" / f"{name}.json").read_text())
    data: dict[str, Any] = document["data"]
    return data
