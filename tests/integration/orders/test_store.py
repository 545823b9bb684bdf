"""What each step of an order of two lines writes, column by column, and what Postgres refuses to keep.

Beside it stands another order of the same partner with the same line ids, in the middle of everything: no
step may change anything of it.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from shared.events.checkout import PaymentCompleted
from shared.events.fields import Data
from shared.events.invoices import InvoiceIssued
from shared.events.refunds import RefundAccepted, RefundCompleted, RefundReleased
from shared.events.serials import SerialsIssued
from tests.integration.orders.conftest import StoredDesk, content_of
from tests.unit.orders.builders import AT, DEADLINE, cancelled, line, payment, pending, request, withdrawal

GOODS = (line("1"), line("2", 10))
PRICE = 193_600
HOUR = timedelta(hours=1)
REFUND, OTHER_REFUND = UUID(int=0x77), UUID(int=0x88)
PARTNER = {
    "partner_id": "P-17",
    "business_number": "1168200276",
    "name": "Ganada",
    "invoice_email": "tax@ganada.example",
}


def paid(*lines: dict[str, Any], amount: int = PRICE, **more: Any) -> PaymentCompleted:
    return payment(*(lines or GOODS), amount=amount, **more)


def of(order_id: str, document: Data) -> Any:
    """The same document about another order."""
    return document.model_copy(update={"order_id": order_id})


def issued(grant_id: UUID, line_id: str, quantity: int) -> SerialsIssued:
    """What serials publishes when all units of a grant exist."""
    return SerialsIssued.model_construct(
        order_id="A-1", grant_id=str(grant_id), line_id=line_id, quantity=quantity, issued_at=AT + HOUR
    )


def refund(*units: tuple[str, int], refund_id: UUID = REFUND) -> RefundAccepted:
    """What refunds publishes when it asks for units."""
    lines = [{"line_id": line_id, "quantity": quantity} for line_id, quantity in units]
    return RefundAccepted.model_validate(
        {"order_id": "A-1", "refund_id": str(refund_id), "refund_request_id": "rr-1", "lines": lines}
    )


def completed(refund_id: UUID = REFUND) -> RefundCompleted:
    """What refunds publishes when the money of a refund is out."""
    return RefundCompleted.model_construct(
        order_id="A-1", refund_id=str(refund_id), completed_at=AT + 3 * HOUR
    )


def released(refund_id: UUID = REFUND) -> RefundReleased:
    """What refunds publishes when a refund will not be paid out."""
    return RefundReleased.model_construct(order_id="A-1", refund_id=str(refund_id))


def invoiced(*payment_ids: str) -> InvoiceIssued:
    """What invoices publishes when a tax invoice exists."""
    return InvoiceIssued.model_construct(partner_id="P-17", month="2026-10", payment_ids=[*payment_ids])


@pytest.fixture
async def desk(desk: StoredDesk) -> StoredDesk:
    """The other order has units in every state, a request, claims and money in quarantine."""
    await desk.take(
        of("A-2", paid(payment_id="pay-A-2")),
        of("A-2", request(("1", 30), ("2", 3))),
        of("A-2", refund(("1", 20), ("2", 2), refund_id=OTHER_REFUND)),
        of("A-2", paid(payment_id="pay-twice")),
        at=AT - HOUR,
    )
    return desk


def new_line(line_id: str, position: int, quantity: int, **changes: Any) -> dict[str, Any]:
    """A row of `order_lines` as an order that is registered writes it."""
    return {
        "order_id": "A-1",
        "line_id": line_id,
        "position": position,
        "kind": "serials",
        "product_id": f"study-{line_id}",
        "product_name": "Study pass",
        "unit_price": 1600,
        "usage_days": 30,
        "quantity": quantity,
        "discount": 0,
        "paid": 0,
        "issuing": 0,
        "issued": 0,
        "refunding": 0,
        "refunded": 0,
        "issue_claimed_at": None,
        "refund_claimed_at": None,
        **changes,
    }


def new_claim(claim_id: UUID, line_id: str, **changes: Any) -> dict[str, Any]:
    """A row of `claims` as it is when the units are claimed."""
    return {
        "claim_id": claim_id,
        "line_id": line_id,
        "order_id": "A-1",
        "position": 0,
        "state": "claimed",
        "supply": 0,
        "vat": 0,
        "settled_at": None,
        **changes,
    }


async def test_a_registered_order_is_kept_with_its_lines(desk: StoredDesk) -> None:
    assert await desk.take(pending(*GOODS)) == {
        "orders A-1": {
            "order_id": "A-1",
            "partner_id": "P-17",
            "state": "pending_deposit",
            "payment_method": "bank_transfer",
            "evidence": "tax_invoice",
            "issue_policy": "on_request",
            "vat_mode": "exclusive",
            "partner": PARTNER,
            "expected": PRICE,
            "registered_by": "evt-payment.pending.v1",
            "registered_at": AT,
            "deposit_deadline": DEADLINE,
            "payment_id": None,
            "paid_at": None,
            "closed_at": None,
            "amount": 0,
            "supply": 0,
            "vat": 0,
            "remaining_supply": 0,
            "remaining_vat": 0,
            "sequence": 1,
            "cancelled_payments": [],
        },
        "order_lines A-1 1": new_line("1", 0, 100),
        "order_lines A-1 2": new_line("2", 1, 10),
    }


async def test_a_discount_is_kept_and_counts_after_a_reload(desk: StoredDesk) -> None:
    goods = (line("1", 3, 1_000, discount=10), line("2", 10, 0))

    rows = await desk.take(pending(*goods, vat_mode="inclusive"))
    assert [rows[f"order_lines A-1 {line_id}"]["discount"] for line_id in "12"] == [10, 0]
    await desk.take(paid(*goods, amount=2_990, vat_mode="inclusive"))

    rows = await desk.take(refund(("1", 1)))
    assert rows["orders A-1"]["remaining_supply"] + rows["orders A-1"]["remaining_vat"] == 2_990 - 997


async def test_open_free_units_are_claimed_and_refunded_with_the_last_priced_ones(desk: StoredDesk) -> None:
    await desk.take(paid(line("1"), line("2", 10, 0), amount=176_000))

    claimed = await desk.take(refund(("1", 100)), at=AT + HOUR)
    assert claimed["order_lines A-1 2"] == {"refunding": 10, "refund_claimed_at": AT + HOUR}
    assert claimed[f"claims {REFUND} 2"]["quantity"] == 10

    done = await desk.take(completed())
    assert done["orders A-1"]["state"] == "refunded"
    assert done["order_lines A-1 2"] == {"refunding": 0, "refunded": 10}


async def test_a_payment_pays_the_units_of_every_line(desk: StoredDesk) -> None:
    await desk.take(pending(*GOODS))

    assert await desk.take(paid(at=AT + HOUR)) == {
        "orders A-1": {
            "state": "paid",
            "payment_id": "pay-1",
            "paid_at": AT + HOUR,
            "amount": PRICE,
            "supply": 176_000,
            "vat": 17_600,
            "remaining_supply": 176_000,
            "remaining_vat": 17_600,
            "sequence": 2,
        },
        "order_lines A-1 1": {"paid": 100},
        "order_lines A-1 2": {"paid": 10},
    }


async def test_units_of_one_line_are_claimed_to_issue_and_then_issued(desk: StoredDesk) -> None:
    await desk.take(paid())
    asked = request(("1", 60))

    claimed = await desk.take(asked, at=AT + HOUR)
    grant_id = desk.last["grant_id"]

    assert claimed == {
        "orders A-1": {"sequence": 2},
        "order_lines A-1 1": {"issuing": 60, "issue_claimed_at": AT + HOUR},
        f"claims {grant_id} 1": new_claim(
            grant_id, "1", purpose="issue", quantity=60, request_id="iss-1", claimed_at=AT + HOUR
        ),
        "issue_requests A-1 iss-1": {
            "order_id": "A-1",
            "request_id": "iss-1",
            "content": content_of(asked),
        },
    }

    assert await desk.take(issued(grant_id, "1", 60)) == {
        "order_lines A-1 1": {"issuing": 0, "issued": 60},
        f"claims {grant_id} 1": {"state": "confirmed", "settled_at": AT + HOUR},
    }


async def test_units_of_the_other_line_are_claimed_for_a_refund_and_then_refunded(desk: StoredDesk) -> None:
    await desk.take(paid(), request(("1", 60)))

    assert await desk.take(refund(("2", 4)), at=AT + 2 * HOUR) == {
        "orders A-1": {"remaining_supply": 169_600, "remaining_vat": 16_960, "sequence": 3},
        "order_lines A-1 2": {"refunding": 4, "refund_claimed_at": AT + 2 * HOUR},
        f"claims {REFUND} 2": new_claim(
            REFUND,
            "2",
            purpose="refund",
            quantity=4,
            request_id="rr-1",
            supply=6_400,
            vat=640,
            claimed_at=AT + 2 * HOUR,
        ),
    }

    assert await desk.take(completed()) == {
        "order_lines A-1 2": {"refunding": 0, "refunded": 4},
        f"claims {REFUND} 2": {"state": "confirmed", "settled_at": AT + 3 * HOUR},
    }


async def test_a_refund_of_both_lines_that_is_released_gives_units_and_won_back(desk: StoredDesk) -> None:
    await desk.take(paid())
    claimed = await desk.take(refund(("2", 4), ("1", 10)), at=AT + 2 * HOUR)
    assert {name: row["position"] for name, row in claimed.items() if name.startswith("claims")} == {
        f"claims {REFUND} 2": 0,
        f"claims {REFUND} 1": 1,
    }

    assert await desk.take(released(), at=AT + 4 * HOUR) == {
        "orders A-1": {"remaining_supply": 176_000, "remaining_vat": 17_600},
        "order_lines A-1 1": {"refunding": 0},
        "order_lines A-1 2": {"refunding": 0},
        f"claims {REFUND} 1": {"state": "void", "settled_at": AT + 4 * HOUR},
        f"claims {REFUND} 2": {"state": "void", "settled_at": AT + 4 * HOUR},
    }


async def test_a_cancelled_payment_takes_the_open_units_of_both_lines_back(desk: StoredDesk) -> None:
    await desk.take(paid(), request(("1", 60)))

    assert await desk.take(cancelled(at=AT + 5 * HOUR)) == {
        "orders A-1": {
            "state": "cancelled",
            "closed_at": AT + 5 * HOUR,
            "remaining_supply": 96_000,
            "remaining_vat": 9_600,
            "sequence": 4,
            "cancelled_payments": ["pay-1"],
        },
        "order_lines A-1 1": {"refunded": 40, "refund_claimed_at": AT + 5 * HOUR},
        "order_lines A-1 2": {"refunded": 10, "refund_claimed_at": AT + 5 * HOUR},
        "quarantine A-1 0": {
            "order_id": "A-1",
            "number": 0,
            "payment_id": "pay-1",
            "reason": "cancelled_after_issue",
            "amount": -105_600,
            "opened_at": AT + 5 * HOUR,
            "taken_back": False,
        },
    }


async def test_units_released_after_the_cancellation_follow_the_payment(desk: StoredDesk) -> None:
    await desk.take(paid(), refund(("2", 4)), cancelled())

    assert await desk.take(released(), at=AT + 4 * HOUR) == {
        "orders A-1": {"sequence": 6},
        "order_lines A-1 2": {"refunding": 0, "refunded": 10, "refund_claimed_at": AT + 4 * HOUR},
        f"claims {REFUND} 2": {"state": "void", "settled_at": AT + 4 * HOUR},
        "quarantine A-1 1": {
            "order_id": "A-1",
            "number": 1,
            "payment_id": "pay-1",
            "reason": "cancelled_after_issue",
            "amount": 7_040,
            "opened_at": AT + 4 * HOUR,
            "taken_back": False,
        },
    }


async def test_an_order_is_refunded_when_the_last_unit_of_its_last_line_is(desk: StoredDesk) -> None:
    second = UUID(int=0x79)
    await desk.take(paid(), refund(("1", 100)), refund(("2", 10), refund_id=second))

    first_line = await desk.take(completed())
    assert "orders A-1" not in first_line

    assert await desk.take(completed(second)) == {
        "orders A-1": {"state": "refunded", "closed_at": AT + 3 * HOUR},
        "order_lines A-1 2": {"refunding": 0, "refunded": 10},
        f"claims {second} 2": {"state": "confirmed", "settled_at": AT + 3 * HOUR},
    }


async def test_a_quarantined_payment_that_is_taken_back_closes_its_own_case_only(desk: StoredDesk) -> None:
    await desk.take(paid(), paid(payment_id="pay-2"))
    assert await desk.take(paid(payment_id="pay-3", amount=5, at=AT + HOUR)) == {
        "orders A-1": {"sequence": 3},
        "quarantine A-1 1": {
            "order_id": "A-1",
            "number": 1,
            "payment_id": "pay-3",
            "reason": "second_payment",
            "amount": 5,
            "opened_at": AT + HOUR,
            "taken_back": False,
        },
    }

    assert await desk.take(cancelled("pay-2")) == {
        "orders A-1": {"cancelled_payments": ["pay-2"]},
        "quarantine A-1 0": {"taken_back": True},
    }
    assert await desk.take(cancelled("pay-3")) == {
        "orders A-1": {"cancelled_payments": ["pay-2", "pay-3"]},
        "quarantine A-1 1": {"taken_back": True},
    }


async def test_the_right_payment_replaces_the_lines_of_one_that_did_not_fit(desk: StoredDesk) -> None:
    await desk.take(paid(payment_id="pay-wrong", amount=1))

    changed = await desk.take(paid(line("1", 50), line("3", 10), amount=105_600, issue_policy="automatic"))

    grants = {event.data["line_id"]: event.data["grant_id"] for event in desk.events[1:]}
    assert changed.keys() == {
        "orders A-1",
        "order_lines A-1 1",
        "order_lines A-1 2",
        "order_lines A-1 3",
        f"claims {grants['1']} 1",
        f"claims {grants['3']} 3",
    }
    assert changed["order_lines A-1 1"] == {
        "quantity": 50,
        "paid": 50,
        "issuing": 50,
        "issue_claimed_at": AT,
    }
    assert changed["order_lines A-1 2"] == {}
    assert changed["order_lines A-1 3"] == new_line("3", 1, 10, paid=10, issuing=10, issue_claimed_at=AT)
    assert changed["orders A-1"] == {
        "state": "paid",
        "issue_policy": "automatic",
        "expected": 105_600,
        "payment_id": "pay-1",
        "paid_at": AT,
        "amount": 105_600,
        "supply": 96_000,
        "vat": 9_600,
        "remaining_supply": 96_000,
        "remaining_vat": 9_600,
        "sequence": 4,
    }


async def test_a_payment_taken_back_before_it_came_is_remembered_and_its_order_closed(
    desk: StoredDesk,
) -> None:
    await desk.take(pending(*GOODS))

    assert await desk.take(cancelled(at=AT + HOUR)) == {
        "orders A-1": {
            "state": "cancelled",
            "closed_at": AT + HOUR,
            "sequence": 2,
            "cancelled_payments": ["pay-1"],
        }
    }
    assert await desk.take(paid()) == {}


async def test_the_expirer_ends_only_orders_whose_deadline_has_passed(desk: StoredDesk) -> None:
    await desk.take(
        pending(*GOODS, deadline=AT),
        of("A-3", pending(*GOODS, deadline=AT + HOUR)),
        of("A-4", pending(*GOODS, deadline=AT + timedelta(days=36_500))),
    )
    assert await desk.expire(grace=HOUR) == {}, "the service learnt of them less than an hour ago"

    changed = await desk.expire(grace=timedelta(0))

    second = timedelta(seconds=1)
    assert changed == {
        "orders A-1": {"state": "expired", "closed_at": AT + second, "sequence": 2},
        "orders A-3": {"state": "expired", "closed_at": AT + HOUR + second, "sequence": 2},
    }
    assert await desk.outbox() == [("order.expired.v1", "A-1"), ("order.expired.v1", "A-3")]
    assert await desk.expire(grace=timedelta(0)) == {}


async def test_orders_that_move_in_one_batch_each_get_their_own_numbers(desk: StoredDesk) -> None:
    await desk.take(paid(), of("A-3", paid(payment_id="pay-A-3")))
    third = UUID(int=0x79)

    changed = await desk.take(
        request(("2", 5)),
        of("A-3", refund(("1", 7), ("2", 1), refund_id=third)),
        refund(("1", 9)),
        at=AT + HOUR,
    )

    assert {name: row for name, row in changed.items() if name.startswith("order")} == {
        "orders A-1": {"remaining_supply": 161_600, "remaining_vat": 16_160, "sequence": 3},
        "orders A-3": {"remaining_supply": 163_200, "remaining_vat": 16_320, "sequence": 2},
        "order_lines A-1 1": {"refunding": 9, "refund_claimed_at": AT + HOUR},
        "order_lines A-1 2": {"issuing": 5, "issue_claimed_at": AT + HOUR},
        "order_lines A-3 1": {"refunding": 7, "refund_claimed_at": AT + HOUR},
        "order_lines A-3 2": {"refunding": 1, "refund_claimed_at": AT + HOUR},
    }


async def test_a_partner_that_wants_to_leave_is_told_everything_that_is_unfinished(desk: StoredDesk) -> None:
    await desk.take(paid(), request(("1", 100)), refund(("2", 4)))
    await desk.take(of("A-3", pending(line("1", 5))))
    asked = withdrawal(requested_at=AT)

    assert await desk.take(asked) == {
        "partners P-17": {"partner_id": "P-17", "withdrawn_at": None, "sequence": 1},
        "withdrawal_requests P-17 wd-1": {
            "partner_id": "P-17",
            "request_id": "wd-1",
            "content": content_of(asked),
        },
    }
    blockers = [tuple(blocker.values()) for blocker in desk.last["blockers"]]
    assert [blocker for blocker in blockers if blocker[1] != "A-2"] == [
        ("refund_in_progress", "A-1", "2", 4),
        ("uninvoiced_payment", "A-1", "1", 100),
        ("uninvoiced_payment", "A-1", "2", 10),
        ("unissued_units", "A-1", "1", 100),
        ("unissued_units", "A-1", "2", 6),
        ("pending_deposit", "A-3", "1", 5),
    ]


async def test_only_who_waits_for_a_tax_invoice_is_kept_for_one(desk: StoredDesk) -> None:
    goods = line(kind="goods")
    await desk.take(
        paid(goods, amount=176_000, payment_method="card"),
        of("A-3", paid(goods, amount=176_000, evidence="cash_receipt", payment_id="pay-A-3")),
        of("A-4", paid(goods, amount=176_000, payment_id="pay-A-4")),
    )

    await desk.take(withdrawal())

    assert {blocker["order_id"] for blocker in desk.last["blockers"]} == {"A-2", "A-4"}


async def test_a_partner_leaves_when_nothing_is_unfinished_and_its_money_is_kept_apart(
    desk: StoredDesk,
) -> None:
    await desk.take(withdrawal())
    assert await desk.take(invoiced("pay-1", "pay-A-2")) == {
        "invoiced_payments pay-1": {"payment_id": "pay-1"},
        "invoiced_payments pay-A-2": {"payment_id": "pay-A-2"},
    }
    assert await desk.take(invoiced("pay-1")) == {}
    await desk.take(of("A-2", cancelled("pay-A-2")), of("A-2", released(OTHER_REFUND)))
    for claim in [row for row in (await desk.rows()).values() if row.get("purpose") == "issue"]:
        await desk.take(of("A-2", issued(claim["claim_id"], claim["line_id"], claim["quantity"])))

    left = await desk.take(withdrawal("wd-2", AT + HOUR))

    assert desk.types == ["partner.withdrawn"]
    assert left == {
        "partners P-17": {"withdrawn_at": AT + HOUR, "sequence": 2},
        "withdrawal_requests P-17 wd-2": {
            "partner_id": "P-17",
            "request_id": "wd-2",
            "content": content_of(withdrawal("wd-2", AT + HOUR)),
        },
    }
    late = await desk.take(paid())
    assert (late["orders A-1"]["state"], late["quarantine A-1 0"]["reason"]) == ("unpaid", "order_closed")


async def test_what_a_repeated_event_is_about_is_not_written(desk: StoredDesk) -> None:
    story = [paid(), request(("1", 60)), refund(("2", 4)), completed()]
    await desk.take(*story)
    before = await _versions(desk)

    assert await desk.take(*story) == {}

    assert await _versions(desk) == before
    assert desk.events == []


async def test_only_the_row_of_the_line_that_moved_is_written(desk: StoredDesk) -> None:
    await desk.take(paid(), request(("1", 60)))
    grant_id = desk.last["grant_id"]
    before = await _versions(desk)

    await desk.take(issued(grant_id, "1", 60))

    after = await _versions(desk)
    assert {name for name in before if before[name] != after[name]} == {
        "order_lines A-1 1",
        f"claims {grant_id} 1",
    }


async def test_two_batches_cannot_decide_about_one_order_at_once(
    desk: StoredDesk, pool: asyncpg.Pool
) -> None:
    await desk.take(paid())

    async with pool.acquire() as other, desk.connection.transaction():
        await desk.store.load_orders(desk.connection, ["A-1"])
        with pytest.raises(asyncpg.LockNotAvailableError):
            await other.fetch("SELECT FROM orders WHERE order_id = 'A-1' FOR UPDATE NOWAIT")


@pytest.mark.parametrize(
    "forbidden",
    [
        "UPDATE order_lines SET issuing = 61 WHERE line_id = '1'",
        "UPDATE order_lines SET refunding = -1",
        "UPDATE order_lines SET paid = 99 WHERE line_id = '1'",
        "UPDATE order_lines SET kind = 'goods', issued = 1",
        "UPDATE orders SET remaining_supply = supply + 1",
        "UPDATE orders SET remaining_vat = -1",
        "UPDATE orders SET amount = amount + 1",
        "UPDATE orders SET payment_id = NULL",
        "UPDATE orders SET state = 'cancelled'",
        "UPDATE orders SET closed_at = now()",
        "UPDATE claims SET state = 'confirmed'",
        "UPDATE claims SET state = 'void', settled_at = now() WHERE purpose = 'issue'",
        "UPDATE quarantine SET amount = -1",
    ],
)
async def test_the_schema_refuses_what_the_rules_refuse(
    desk: StoredDesk, owner: asyncpg.Connection, forbidden: str
) -> None:
    await desk.take(paid(), request(("1", 60)), refund(("1", 40)), paid(payment_id="pay-2"))

    with pytest.raises(asyncpg.CheckViolationError):
        await owner.execute(forbidden)


async def _versions(desk: StoredDesk) -> dict[str, str]:
    """Which transaction wrote each row of the orders."""
    rows = await desk.connection.fetch(
        """SELECT 'orders ' || order_id, xmin::text FROM orders
           UNION ALL SELECT concat_ws(' ', 'order_lines', order_id, line_id), xmin::text FROM order_lines
           UNION ALL SELECT concat_ws(' ', 'claims', claim_id, line_id), xmin::text FROM claims"""
    )
    return {row[0]: row[1] for row in rows}
