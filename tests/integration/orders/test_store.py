"""What each step of an order of two lines writes, column by column, and what Postgres refuses to keep.

Beside it stands another order of the same partner with the same line ids, in the middle of everything: no
step may change anything of it.
"""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.orders.app import build
from services.orders.decisions.payments import payment_content
from services.orders.handlers import ROUTES
from services.orders.settings import OrdersSettings
from shared.clock import now
from shared.events.checkout import PaymentCompleted
from shared.events.fields import Data
from shared.events.invoices import InvoiceIssued
from shared.events.refunds import RefundAccepted, RefundCompleted, RefundHeld, RefundReleased
from shared.events.serials import SerialsIssuedTogether
from shared.runtime.decisions import Context
from shared.runtime.tasks import end_all
from tests.integration.orders.conftest import StoredDesk, content_of, event
from tests.support.patience import PATIENCE
from tests.unit.orders.builders import (
    AT,
    DEADLINE,
    cancelled,
    decision,
    line,
    payment,
    pending,
    request,
    withdrawal,
)

GOODS = (line("1"), line("2", 10))
PRICE = 193_600
HOUR = timedelta(hours=1)
REFUND, OTHER_REFUND = UUID(int=0x77), UUID(int=0x88)
MISSING = {"partner_id": "P-17", "content": None, "decision": None, "settled_at": None}
"""What a new case says beside its money; nobody paid what is missing."""
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


def issued(grant_id: UUID, line_id: str, quantity: int) -> SerialsIssuedTogether:
    """What serials publishes when all units of a grant exist."""
    grant = {"grant_id": str(grant_id), "batch_id": "b-1", "line_id": line_id, "quantity": quantity}
    data = {
        "order_id": "A-1",
        "issued_at": (AT + HOUR).isoformat(),
        "registration_deadline": (AT + timedelta(days=91)).isoformat(),
        "grants": [grant],
    }
    return SerialsIssuedTogether.model_validate(data, strict=False)


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


def invoiced(*payment_ids: str, orders: list[str] | None = None) -> InvoiceIssued:
    """What invoices publishes when a tax invoice exists; older versions did not name the orders."""
    return InvoiceIssued.model_construct(
        partner_id="P-17", month="2026-10", payment_ids=[*payment_ids], order_ids=orders
    )


def known_payment(document: PaymentCompleted) -> dict[str, Any]:
    """A row of `payments`."""
    return {
        "payment_id": document.payment_id,
        "order_id": document.order_id,
        "amount": document.amount,
        "content": payment_content(document),
    }


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
        "consumed": 0,
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
        "consumed": 0,
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
            "taken_back": 0,
            "payment_ids": [],
            "open_refunds": [],
            "reversals": {},
            "repeats": {},
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
        "payments pay-1": known_payment(paid(at=AT + HOUR)),
        "sales A-1 study-1": {"order_id": "A-1", "product_id": "study-1", "sold_at": AT + HOUR},
        "sales A-1 study-2": {"order_id": "A-1", "product_id": "study-2", "sold_at": AT + HOUR},
    }


async def test_units_of_one_line_are_claimed_to_issue_and_then_issued(desk: StoredDesk) -> None:
    await desk.take(paid())
    asked = request(("1", 60))

    claimed = await desk.take(asked, at=AT + HOUR)
    grant_id = desk.last["grants"][0]["grant_id"]

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
            "taken_back": PRICE,
            "reversals": {"pay-1": [{"at": "2026-10-21T10:03:05Z", "amount": None, "waits": False}]},
        },
        "order_lines A-1 1": {"refunded": 40, "refund_claimed_at": AT + 5 * HOUR},
        "order_lines A-1 2": {"refunded": 10, "refund_claimed_at": AT + 5 * HOUR},
        "sales A-1 study-1": {},
        "sales A-1 study-2": {},
        "quarantine A-1 0": {
            "order_id": "A-1",
            "number": 0,
            "payment_id": "pay-1",
            "reason": "cancelled_after_issue",
            "amount": -105_600,
            "opened_at": AT + 5 * HOUR,
            **MISSING,
        },
    }


async def test_units_released_after_the_cancellation_follow_the_payment(desk: StoredDesk) -> None:
    await desk.take(paid(), refund(("2", 4)), cancelled())

    assert await desk.take(released(), at=AT + 4 * HOUR) == {
        "orders A-1": {"sequence": 8},
        "order_lines A-1 2": {"refunding": 0, "refunded": 10, "refund_claimed_at": AT + 4 * HOUR},
        f"claims {REFUND} 2": {"state": "void", "settled_at": AT + 4 * HOUR},
        "quarantine A-1 1": {
            "order_id": "A-1",
            "number": 1,
            "payment_id": "pay-1",
            "reason": "cancelled_after_issue",
            "amount": 7_040,
            "opened_at": AT + 4 * HOUR,
            **MISSING,
            "decision": "taken_back",
            "settled_at": AT + 4 * HOUR,
        },
        "quarantine A-1 0": {"decision": "taken_back", "settled_at": AT + 4 * HOUR},
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
        "sales A-1 study-1": {},
        "sales A-1 study-2": {},
    }


async def test_a_quarantined_payment_that_is_taken_back_closes_its_own_case_only(desk: StoredDesk) -> None:
    await desk.take(paid(), paid(payment_id="pay-2"))
    third = paid(payment_id="pay-3", amount=5, at=AT + HOUR)
    assert await desk.take(third) == {
        "orders A-1": {"sequence": 3},
        "quarantine A-1 1": {
            "order_id": "A-1",
            "number": 1,
            "payment_id": "pay-3",
            "reason": "second_payment",
            "amount": 5,
            "opened_at": AT + HOUR,
            **MISSING,
            "content": payment_content(third),
        },
        "payments pay-3": known_payment(third),
    }

    at = AT + 2 * HOUR
    gone = [{"at": "2026-10-21T07:03:05Z", "amount": None, "waits": False}]
    assert await desk.take(cancelled("pay-2", at=at)) == {
        "orders A-1": {"sequence": 4, "reversals": {"pay-2": gone}},
        "quarantine A-1 0": {"decision": "taken_back", "settled_at": at},
    }
    assert await desk.take(cancelled("pay-3", at=at)) == {
        "orders A-1": {"sequence": 5, "reversals": {"pay-2": gone, "pay-3": gone}},
        "quarantine A-1 1": {"decision": "taken_back", "settled_at": at},
    }


async def test_the_right_payment_replaces_the_lines_of_one_that_did_not_fit(desk: StoredDesk) -> None:
    await desk.take(paid(payment_id="pay-wrong", amount=1))

    right = paid(line("1", 50), line("3", 10), amount=105_600, issue_policy="automatic")
    changed = await desk.take(right)

    grants = {each["line_id"]: each["grant_id"] for event in desk.events[1:] for each in event.data["grants"]}
    assert changed.keys() == {
        "orders A-1",
        "order_lines A-1 1",
        "order_lines A-1 2",
        "order_lines A-1 3",
        f"claims {grants['1']} 1",
        f"claims {grants['3']} 3",
        "payments pay-1",
        "sales A-1 study-1",
        "sales A-1 study-3",
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
        "sequence": 3,
    }


async def test_a_payment_taken_back_before_it_came_is_remembered_and_its_id_stays_free(
    desk: StoredDesk,
) -> None:
    await desk.take(pending(*GOODS))

    gone = {"at": "2026-10-21T06:03:05Z", "amount": None, "waits": False}
    assert await desk.take(cancelled(at=AT + HOUR)) == {"orders A-1": {"reversals": {"pay-1": [gone]}}}
    assert await desk.take(paid()) == {}


async def test_a_payment_with_other_goods_replaces_the_lines_of_the_pending_order(desk: StoredDesk) -> None:
    await desk.take(pending(*GOODS))

    other = paid({**line("1"), "product_id": "music-30"}, amount=176_000, evidence="cash_receipt")
    changed = await desk.take(other)

    assert changed["order_lines A-1 1"] == {"product_id": "music-30", "paid": 100}
    assert changed["order_lines A-1 2"] == {}
    assert (changed["orders A-1"]["evidence"], changed["orders A-1"]["expected"]) == ("cash_receipt", 176_000)
    assert desk.last["differs"] == ["/evidence", "/lines/0/product_id", "/lines/1"]


async def test_a_payment_replaces_whoever_was_to_buy_and_how(desk: StoredDesk) -> None:
    narae = {**PARTNER, "partner_id": "P-92", "name": "Narae"}
    await desk.take(
        pending(*GOODS, partner=narae, payment_method="virtual_account", vat_mode="inclusive"), at=AT
    )

    changed = (await desk.take(paid()))["orders A-1"]

    said = {name: changed[name] for name in ("partner_id", "partner", "payment_method", "vat_mode")}
    assert said == {
        "partner_id": "P-17",
        "partner": PARTNER,
        "payment_method": "bank_transfer",
        "vat_mode": "exclusive",
    }
    assert "registered_by" not in changed


async def test_an_order_known_from_money_that_did_not_fit_is_registered_by_its_pending_order(
    desk: StoredDesk,
) -> None:
    await desk.take(paid(amount=1_000))
    assert (await desk.rows())["orders A-1"]["registered_by"] == "evt-payment.completed.v1"

    changed = await desk.take(pending(*GOODS), at=AT + HOUR)

    assert changed == {
        "orders A-1": {
            "state": "pending_deposit",
            "deposit_deadline": DEADLINE,
            "registered_by": "evt-payment.pending.v1",
            "registered_at": AT + HOUR,
            "sequence": 2,
        }
    }


async def test_a_known_payment_that_is_said_to_be_paid_later_is_remembered(desk: StoredDesk) -> None:
    await desk.take(paid())

    again = await desk.take(paid(at=AT + HOUR))

    repeat = {"at": "2026-10-21T06:03:05Z", "amount": PRICE}
    assert again == {"orders A-1": {"repeats": {"pay-1": repeat}}}


async def test_a_payment_made_anew_for_other_won_is_known_by_them(desk: StoredDesk) -> None:
    await desk.take(pending(*GOODS), paid(amount=1_000))
    await desk.take(cancelled(at=AT + HOUR))

    anew = paid(at=AT + 2 * HOUR)
    changed = await desk.take(anew)

    assert changed["payments pay-1"] == {"amount": PRICE, "content": payment_content(anew)}
    assert changed["orders A-1"]["state"] == "paid"


async def test_a_payment_that_the_first_order_did_not_take_is_that_of_the_next_one(desk: StoredDesk) -> None:
    await desk.take(pending(*GOODS), cancelled(at=AT + HOUR))

    changed = await desk.take(paid(), of("A-3", paid()))

    assert changed["payments pay-1"] == known_payment(of("A-3", paid()))
    assert (changed["orders A-3"]["state"], "orders A-1" in changed) == ("paid", False)


async def test_a_newer_pending_order_replaces_lines_and_deadline(desk: StoredDesk) -> None:
    await desk.take(pending(*GOODS))

    later = pending(line("2", 5), deadline=DEADLINE + HOUR)
    assert await desk.take(later, at=AT + HOUR) == {
        "orders A-1": {
            "expected": 8_800,
            "registered_at": AT + HOUR,
            "deposit_deadline": DEADLINE + HOUR,
            "sequence": 2,
        },
        "order_lines A-1 1": {},
        "order_lines A-1 2": {"position": 0, "quantity": 5},
    }
    assert await desk.take(pending(*GOODS)) == {}


async def test_what_an_operator_decides_ends_the_cases_and_pays_the_order(desk: StoredDesk) -> None:
    await desk.take(pending(*GOODS))
    await desk.take(
        paid(payment_id="dep-1", amount=PRICE - 1_000), paid(payment_id="dep-2", amount=1_000, at=AT + HOUR)
    )

    changed = await desk.take(decision("dep-1", "applied"))

    settled = {"decision": "applied", "settled_at": AT + timedelta(days=1)}
    assert (changed["quarantine A-1 0"], changed["quarantine A-1 1"]) == (settled, settled)
    assert changed["orders A-1"] == {
        "state": "paid",
        "payment_id": "dep-2",
        "payment_ids": ["dep-1", "dep-2"],
        "paid_at": AT + HOUR,
        "amount": PRICE,
        "supply": 176_000,
        "vat": 17_600,
        "remaining_supply": 176_000,
        "remaining_vat": 17_600,
        "sequence": 6,
    }


async def test_a_part_that_went_back_is_kept_with_its_case(desk: StoredDesk) -> None:
    await desk.take(paid())
    assert await desk.take(cancelled(at=AT + HOUR, amount=17_600)) == {
        "orders A-1": {
            "taken_back": 17_600,
            "reversals": {"pay-1": [{"at": "2026-10-21T06:03:05Z", "amount": 17_600, "waits": False}]},
            "sequence": 2,
        },
        "quarantine A-1 0": {
            "order_id": "A-1",
            "number": 0,
            "payment_id": "pay-1",
            "reason": "partly_cancelled",
            "amount": -17_600,
            "opened_at": AT + HOUR,
            **MISSING,
        },
    }


async def test_one_payment_pays_one_order_within_a_batch_and_between_batches(desk: StoredDesk) -> None:
    changed = await desk.take(paid(), of("A-3", paid()))
    assert changed["payments pay-1"] == known_payment(paid())
    assert (changed["orders A-1"]["state"], changed["orders A-3"]["state"]) == ("paid", "unpaid")
    assert changed["quarantine A-3 0"]["reason"] == "payment_used"

    changed = await desk.take(of("A-4", paid()), of("A-4", paid()))
    assert [name for name in changed if name.startswith(("payments", "quarantine"))] == ["quarantine A-4 0"]
    assert changed["quarantine A-4 0"]["reason"] == "payment_used"


async def test_two_batches_that_name_the_same_payments_wait_for_each_other_and_never_for_ever(
    desk: StoredDesk, pool: asyncpg.Pool
) -> None:
    """Two partitions, the same ids in another order: the second batch sees whose each payment is."""
    names = [f"pay-{number}" for number in range(20)]
    first = [event(of(f"L-{n}", paid(payment_id=name)), AT) for n, name in enumerate(names)]
    second = [event(of(f"R-{n}", paid(payment_id=name)), AT) for n, name in enumerate(reversed(names))]

    async def handle(batch: list[Any]) -> None:
        async with pool.acquire() as connection, connection.transaction():
            world = await desk.store.load(connection, batch)
            await asyncio.sleep(0.05)
            for each in batch:
                ROUTES[each.type].handle(world, each, Context(uuid4))
            await desk.store.save(connection, world)

    await asyncio.wait_for(asyncio.gather(handle(first), handle(second)), timeout=20)

    rows = await desk.connection.fetch(
        """SELECT coalesce(o.payment_id, q.payment_id) AS payment_id, count(*) AS orders,
                  count(*) FILTER (WHERE o.state = 'paid') AS paid
           FROM orders o LEFT JOIN quarantine q USING (order_id) WHERE order_id ~ '^[LR]-' GROUP BY 1"""
    )
    told = {row["payment_id"]: (row["paid"], row["orders"]) for row in rows}
    assert told == dict.fromkeys(names, (1, 2))
    owners = await desk.connection.fetch(
        "SELECT FROM payments JOIN orders USING (order_id, payment_id) WHERE payment_id = ANY($1)", names
    )
    assert len(owners) == len(names)


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


async def test_news_of_a_deposit_made_in_time_may_come_within_the_grace(
    desk: StoredDesk, owner: asyncpg.Connection
) -> None:
    await desk.take(pending(*GOODS, deadline=now() - timedelta(minutes=5)))
    await owner.execute("UPDATE orders SET recorded_at = now() - interval '1 day'")

    grace = timedelta(seconds=OrdersSettings.model_fields["orders_expiry_grace_seconds"].default)
    assert await desk.expire(grace=grace) == {}

    assert (await desk.expire(grace=timedelta(minutes=4)))["orders A-1"]["state"] == "expired"


async def test_the_expirer_goes_on_looking_and_keeps_to_the_grace_that_it_was_told(
    desk: StoredDesk, owner: asyncpg.Connection
) -> None:
    await desk.take(
        pending(*GOODS, deadline=now() - 2 * HOUR),
        of("A-3", pending(*GOODS, deadline=now() - timedelta(minutes=50))),
    )
    await owner.execute("UPDATE orders SET recorded_at = now() - interval '1 day'")
    told = OrdersSettings.model_construct(orders_expiry_grace_seconds=3600, orders_expiry_poll_seconds=0.02)

    async def until_expired(*order_ids: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while await desk.outbox() != [("order.expired.v1", order_id) for order_id in order_ids]:
                await asyncio.sleep(0.02)

    task = asyncio.create_task(desk.run_agent(told))
    try:
        await until_expired("A-1")
        assert (await desk.rows())["orders A-3"]["state"] == "pending_deposit"
        await owner.execute(
            "UPDATE orders SET deposit_deadline = $1 WHERE order_id = 'A-3'", now() - 2 * HOUR
        )
        await until_expired("A-1", "A-3")
    finally:
        await end_all([task])


async def test_no_order_slips_in_while_a_partner_leaves(desk: StoredDesk, pool: asyncpg.Pool) -> None:
    async def order(connection: Any) -> None:
        batch = [event(of("A-9", paid(payment_id="pay-9")), AT)]
        async with connection.transaction():
            await connection.execute("SET LOCAL lock_timeout = '100ms'")
            world = await desk.store.load(connection, batch)
            ROUTES[batch[0].type].handle(world, batch[0], Context(uuid4))
            await desk.store.save(connection, world)

    async with pool.acquire() as other, desk.connection.transaction():
        await desk.store.load(desk.connection, [event(withdrawal(), AT)])
        with pytest.raises(asyncpg.LockNotAvailableError):
            await order(other)


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
        "partners P-17": {"partner_id": "P-17", "withdrawn_at": None, "sequence": 1, "purged_at": None},
        "withdrawal_requests P-17 wd-1": {
            "partner_id": "P-17",
            "request_id": "wd-1",
            "content": content_of(asked),
        },
    }
    blockers = [tuple(blocker.values()) for blocker in desk.last["blockers"]]
    assert [blocker for blocker in blockers if "A-2" not in blocker] == [
        ("refund_in_progress", "A-1", "2", 4),
        ("uninvoiced_payment", "A-1", "1", 100),
        ("uninvoiced_payment", "A-1", "2", 10),
        ("unissued_units", "A-1", "1", 100),
        ("unissued_units", "A-1", "2", 6),
        ("pending_deposit", "A-3", "1", 5),
    ]
    assert {"kind": "quarantined_money", "order_id": "A-2"} in desk.last["blockers"]


async def test_a_refund_that_waits_is_kept_with_its_order_and_keeps_the_partner(desk: StoredDesk) -> None:
    await desk.take(paid())
    held = RefundHeld.model_validate(
        {
            "order_id": "A-1",
            "refund_id": str(REFUND),
            "refund_request_id": "rr-1",
            "reason": "holder_mismatch",
            "next": "attach_proof",
            "since": AT.isoformat(),
        },
        strict=False,
    )

    assert await desk.take(held) == {"orders A-1": {"open_refunds": [str(REFUND)]}}
    await desk.take(withdrawal())
    assert {"kind": "refund_in_progress", "order_id": "A-1"} in desk.last["blockers"]
    assert (await desk.take(refund(("2", 4))))["orders A-1"]["open_refunds"] == []


async def test_only_who_waits_for_a_tax_invoice_is_kept_for_one(desk: StoredDesk) -> None:
    goods = line(kind="goods")
    await desk.take(
        paid(goods, amount=176_000, payment_method="card"),
        of("A-3", paid(goods, amount=176_000, evidence="cash_receipt", payment_id="pay-A-3")),
        of("A-4", paid(goods, amount=176_000, payment_id="pay-A-4")),
    )

    await desk.take(withdrawal())
    assert {blocker["order_id"] for blocker in desk.last["blockers"]} == {"A-2", "A-4"}

    # As the service that is told so is put together.
    desk.store = build(OrdersSettings.model_construct(invoices_card_is_slip=False)).store
    await desk.take(withdrawal("wd-2"))
    assert {blocker["order_id"] for blocker in desk.last["blockers"]} == {"A-1", "A-2", "A-4"}


async def test_an_invoice_of_another_order_with_the_same_payment_id_keeps_nobody_from_waiting(
    desk: StoredDesk, owner: asyncpg.Connection
) -> None:
    """Older versions let one payment id pay two orders, here of two partners."""
    goods = line(kind="goods")
    narae = {**PARTNER, "partner_id": "P-92"}
    await desk.take(
        paid(goods, amount=176_000), of("A-4", paid(goods, amount=176_000, payment_id="p", partner=narae))
    )
    await owner.execute("UPDATE orders SET payment_id = 'pay-1' WHERE order_id = 'A-4'")
    leave = withdrawal().model_copy(update={"partner_id": "P-92"})

    for told in (invoiced("pay-1"), invoiced("pay-1", orders=["A-1"])):
        await desk.take(told)
        await desk.take(leave)
        assert desk.types == ["partner.withdrawal_refused"]
        leave = leave.model_copy(update={"request_id": f"{leave.request_id}+"})

    await desk.take(invoiced("pay-1", orders=["A-4"]))
    await desk.take(leave)
    assert desk.types == ["partner.withdrawn"]


async def test_a_partner_leaves_when_nothing_is_unfinished_and_its_money_is_kept_apart(
    desk: StoredDesk,
) -> None:
    await desk.take(withdrawal())
    assert await desk.take(invoiced("pay-1", "pay-A-2")) == {
        "invoiced_payments pay-1 None": {"payment_id": "pay-1", "order_id": None},
        "invoiced_payments pay-A-2 None": {"payment_id": "pay-A-2", "order_id": None},
    }
    assert await desk.take(invoiced("pay-1")) == {}
    await desk.take(of("A-2", cancelled("pay-A-2")), of("A-2", released(OTHER_REFUND)))
    await desk.take(of("A-2", decision("pay-A-2", "kept")), of("A-2", decision("pay-twice")))
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
    grant_id = desk.last["grants"][0]["grant_id"]
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
        "UPDATE quarantine SET decision = 'kept'",
        "UPDATE orders SET taken_back = amount + 1",
        "UPDATE payments SET content = 'short'",
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
