"""What the refunds service keeps in Postgres, and what Postgres refuses to keep."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace

from services.refunds.state import InvoicedPayment, Order, ReplacedInvoice, World
from services.refunds.store import TABLES, Store
from shared.money import Money
from shared.runtime.decisions import Reject
from shared.tax_documents import IssuedInvoice
from tests.integration.refunds.conftest import StoredDesk
from tests.unit.refunds.desk import ACCOUNT, ORDER, line, units
from tests.unit.refunds.rules import planted, seven_days_less_a_tenth


async def test_a_refund_lives_through_a_commit_after_every_event(
    desk: StoredDesk, connection: asyncpg.Connection
) -> None:
    async with desk.at_work():
        desk.registered(line("1"), line("2", 10), payment_method="virtual_account")
    async with desk.at_work():
        desk.paid(line("1"), line("2", 10), payment_method="virtual_account")
    async with desk.at_work():
        desk.asked(destination={**ACCOUNT, "holder": "홍길동"})
    async with desk.at_work():
        desk.proof_attached()
    async with desk.at_work():
        desk.reviewed("approve", note="예금주 확인")
    async with desk.at_work():
        desk.granted()
    async with desk.at_work():
        desk.payout_failed()
    async with desk.at_work():
        desk.reviewed("retry")
    async with desk.at_work():
        desk.paid_out("po-552")

    states = await connection.fetch("SELECT state FROM refund_history ORDER BY position")
    refund = await connection.fetchrow("SELECT state, amount, everything FROM refunds")
    lines = await connection.fetch("SELECT line_id, refunded FROM order_lines ORDER BY position")
    money = await connection.fetchrow("SELECT remaining_supply, remaining_vat FROM orders")
    assert [row["state"] for row in states] == [
        "requested",
        "held",
        "in_review",
        "accepted",
        "granted",
        "paying_out",
        "failed",
        "paying_out",
        "completed",
    ]
    assert tuple(refund) == ("completed", 193_600, True)
    assert [tuple(row) for row in lines] == [("1", 100), ("2", 10)]
    assert tuple(money) == (0, 0)


async def test_free_units_are_refunded_without_an_account_or_a_payout(
    desk: StoredDesk, connection: asyncpg.Connection
) -> None:
    async with desk.at_work():
        desk.paid(line("1"), line("2", 10, 0))
    async with desk.at_work():
        desk.asked(lines=[units("2", 4)], destination={"method": "none"})
    async with desk.at_work():
        desk.granted(supply=0, vat=0)

    refund = await connection.fetchrow("SELECT state, amount, destination_masked, expected_on FROM refunds")
    assert tuple(refund) == ("completed", 0, None, desk.now.date())
    assert await connection.fetchval("SELECT count(*) FROM refund_payouts") == 0
    assert await _counts(connection, "refunding", "refunded") == [("1", 0, 0), ("2", 0, 4)]


async def test_a_discount_is_kept_and_counts_after_a_reload(
    desk: StoredDesk, connection: asyncpg.Connection
) -> None:
    async with desk.at_work():
        desk.paid(line("1", 3, 1_000, discount=10), vat_mode="inclusive")
    async with desk.at_work():
        desk.asked(1)
    async with desk.at_work():
        desk.granted()

    assert await connection.fetchval("SELECT discount FROM order_lines") == 10
    assert desk.last.data["amount"] == 997


async def test_free_units_that_go_with_the_others_are_kept_as_lines_of_the_refund(
    desk: StoredDesk, connection: asyncpg.Connection
) -> None:
    async with desk.at_work():
        desk.paid(line("1"), line("2", 10, 0))
        desk.asked(100)
    async with desk.at_work():
        desk.granted(lines=[units("1", 100), units("2", 10)])
    async with desk.at_work():
        desk.paid_out()

    kept = await connection.fetch("SELECT line_id, quantity FROM refund_lines ORDER BY position")
    assert [tuple(row) for row in kept] == [("1", 100), ("2", 10)]
    assert await _counts(connection, "refunding", "refunded") == [("1", 0, 100), ("2", 0, 10)]


async def test_a_line_that_was_not_granted_is_no_part_of_the_refund_any_more(
    desk: StoredDesk, connection: asyncpg.Connection
) -> None:
    async with desk.at_work():
        desk.paid(line("1"), line("2", quantity=10))
        desk.asked()
    async with desk.at_work():
        desk.granted(lines=[units("2", 4)])
    async with desk.at_work():
        desk.paid_out()

    refunded = await connection.fetch("SELECT line_id, refunded FROM order_lines ORDER BY position")
    kept = await connection.fetch("SELECT line_id, quantity FROM refund_lines ORDER BY position")
    assert desk.last.data["lines"] == [units("2", 4)]
    assert [tuple(row) for row in refunded] == [("1", 0), ("2", 4)]
    assert [tuple(row) for row in kept] == [("2", 4), ("1", 0)]


async def test_both_lines_of_a_refund_are_refunded_and_the_next_one_counts_from_there(
    desk: StoredDesk, connection: asyncpg.Connection
) -> None:
    async with desk.at_work():
        desk.paid(line("1"), line("2", quantity=10))
        desk.asked(lines=[units("1", 40), units("2", 3)])
    async with desk.at_work():
        desk.granted()
    assert await _counts(connection, "refunding", "refunded") == [("1", 40, 0), ("2", 3, 0)]

    async with desk.at_work():
        desk.paid_out()
    assert await _counts(connection, "refunding", "refunded") == [("1", 0, 40), ("2", 0, 3)]

    async with desk.at_work():
        desk.asked(request_id="rr-78")
    assert desk.last.data["lines"] == [units("1", 60), units("2", 7)]


async def test_both_lines_of_a_released_refund_are_open_again_and_unlocked(
    desk: StoredDesk, connection: asyncpg.Connection
) -> None:
    async with desk.at_work():
        desk.paid(line("1"), line("2", quantity=10))
        desk.issuance_granted(60, "1")
        desk.issuance_granted(7, "2")
        desk.asked(lines=[units("1", 40), units("2", 3)])
    async with desk.at_work():
        desk.granted()
    assert await _counts(connection, "refunding", "locked") == [("1", 40, True), ("2", 3, True)]

    async with desk.at_work():
        desk.payout_failed()
    async with desk.at_work():
        desk.reviewed("release")
    assert await _counts(connection, "refunding", "locked") == [("1", 0, False), ("2", 0, False)]
    assert desk.order.remaining == desk.order.paid

    async with desk.at_work():
        desk.asked(request_id="rr-78", lines=[units("1", 40), units("2", 3)])
    async with desk.at_work():
        desk.granted()
    assert await _counts(connection, "refunding", "locked") == [("1", 40, True), ("2", 3, True)]
    assert await connection.fetchval("SELECT sequence FROM orders") == 2


async def test_every_column_that_may_change_is_written_when_it_does(
    store: Store, connection: asyncpg.Connection, owner: asyncpg.Connection
) -> None:
    """Stories in which each of them changes in a row that is there; the desk reads all of them again.

    Data keys aside: they change when a partner is forgotten.
    """
    changed: set[tuple[str, str]] = set()
    for story in (of_payouts_and_denials, of_use_reviews_and_returns, of_a_late_bonus):
        desk = StoredDesk(store, connection)
        await owner.execute(f"TRUNCATE {', '.join(table.name for table in TABLES)}")
        for step in story(desk):
            before = await _rows(connection)
            async with desk.at_work():
                step()
            changed |= _differences(before, await _rows(connection))

    written = {(table.name, column.name) for table in TABLES for column in table.changing}
    assert {each for each in written if each[0] != "data_keys"} == changed


def of_payouts_and_denials(desk: StoredDesk) -> Iterator[Callable[[], Any]]:
    """Goods that are refunded for a fee without a return: denied, failed, released, bounced, cancelled."""
    lines = (line("1", quantity=10), line("2", quantity=5, kind="goods"))

    def failed_again() -> None:
        desk.now += timedelta(hours=1)
        desk.payout_failed("account_not_found")

    with planted("goods", seven_days_less_a_tenth):
        yield lambda: desk.registered(
            *lines, payment_method="virtual_account", vat_mode="inclusive", partner=OTHER_PARTNER
        )
        yield lambda: desk.paid(*lines)
        yield lambda: desk.activated("1")
        yield lambda: desk.delivered("2")
        yield lambda: desk.asked(destination=SOMEBODY_ELSES)
        yield desk.proof_attached
        yield lambda: desk.reviewed("approve")
        yield lambda: desk.granted(lines=[units("2", 4)])
        yield desk.payout_failed
        yield failed_again
        yield lambda: desk.reviewed("release")
        yield lambda: desk.asked(3, "rr-2")
        yield desk.granted
        yield desk.paid_out
        yield desk.payout_failed
        yield lambda: desk.asked(3, "rr-3")
        yield lambda: desk.denied(lost_at=desk.now)
        yield lambda: desk.issuance_granted(7)
        yield desk.cancelled


def of_use_reviews_and_returns(desk: StoredDesk) -> Iterator[Callable[[], Any]]:
    """A service that was used, and goods: two approve a part of it, the goods come back, more use is told."""
    lines = (line("1", quantity=10, kind="metered"), line("2", quantity=5, kind="goods"))
    used_at = desk.now

    def approved(by: str) -> None:
        desk.world.policy = replace(desk.world.policy, second_approval_from=1)
        desk.reviewed("approve", actor=by, amount=17_600)

    yield lambda: desk.registered(
        *lines, payment_method="virtual_account", vat_mode="inclusive", evidence="cash_receipt"
    )
    yield lambda: desk.paid(*lines, vat_mode="inclusive", evidence="tax_invoice")
    yield lambda: desk.used(3, used_at)
    yield lambda: desk.used(4, used_at)
    yield lambda: desk.asked(destination=SOMEBODY_ELSES)
    yield desk.proof_attached
    yield lambda: desk.reviewed("approve")
    yield lambda: approved("operator:kim")
    yield lambda: approved("operator:lee")
    yield desk.returned
    yield desk.granted
    yield desk.paid_out
    yield lambda: desk.used(9)


def of_a_late_bonus(desk: StoredDesk) -> Iterator[Callable[[], Any]]:
    """A balance is paid back in part; a bonus that was there before its use is told afterwards."""
    granted_at = desk.now

    def told_late() -> None:
        now, desk.now = desk.now, granted_at
        desk.bonus(1_000, now + timedelta(days=30))
        desk.now = now

    yield lambda: desk.paid(line("1", 1, 10_000, kind="prepaid"), vat_mode="inclusive")
    desk.now += timedelta(hours=1)
    yield lambda: desk.used(1_500, desk.now)
    yield desk.asked
    yield desk.granted
    yield desk.paid_out
    yield told_late


SOMEBODY_ELSES = {**ACCOUNT, "holder": "홍길동"}


async def test_an_order_that_was_paid_for_other_goods_has_the_lines_of_its_payment(
    desk: StoredDesk, connection: asyncpg.Connection
) -> None:
    async with desk.at_work():
        desk.registered(line("1", 5), line("2", 10), payment_method="virtual_account")
    async with desk.at_work():
        desk.paid(line("2", 7), line("3", 1), payment_method="card")
    assert await _counts(connection, "position", "paid") == [("2", 0, 7), ("3", 1, 1)]

    async with desk.at_work():
        desk.asked()
    assert desk.last.data["lines"] == [units("2", 7), units("3", 1)]


async def test_an_order_that_was_paid_as_it_was_registered_keeps_its_lines(
    desk: StoredDesk, connection: asyncpg.Connection
) -> None:
    async with desk.at_work():
        desk.registered(line("1"), line("2"))
    before = await _versions(connection)

    async with desk.at_work():
        desk.paid(line("1"), line("2"))

    after = await _versions(connection)
    assert {key for key in before if before[key] != after[key]} == {"order"}


async def test_every_payout_of_a_refund_is_kept_with_what_became_of_it(
    desk: StoredDesk, connection: asyncpg.Connection
) -> None:
    async with desk.at_work():
        desk.paid()
        desk.asked(40)
        desk.asked(10, "rr-78")
    first, other = desk.refunds
    async with desk.at_work():
        desk.granted(first)
        desk.granted(other)
        desk.paid_out("po-9", of=other)
    steps: list[Callable[[], Any]] = [
        lambda: desk.paid_out("po-1", of=first, paid_out_at="2026-10-22T15:00:00+09:00"),
        lambda: desk.payout_failed(payout_id="po-1", of=first),
        lambda: desk.reviewed("retry", of=first),
        lambda: desk.paid_out("po-2", of=first),
        lambda: desk.paid_out("po-3", of=first, amount=1_000),
        lambda: desk.payout_failed(payout_id="po-3", of=first),
    ]
    for step in steps:
        async with desk.at_work():
            step()

    rows = await connection.fetch("SELECT payout_id, position, state, amount FROM refund_payouts ORDER BY 1")
    assert [tuple(row) for row in rows] == [
        ("po-1", 0, "bounced", 70_400),
        ("po-2", 1, "paid", 70_400),
        ("po-3", 2, "returned", 1_000),
        ("po-9", 0, "paid", 17_600),
    ]
    out = await connection.fetchval("SELECT paid_out_at FROM refund_payouts WHERE payout_id = 'po-1'")
    assert out.isoformat() == "2026-10-22T06:00:00+00:00"


async def test_a_bounce_and_its_repayment_may_stand_in_one_batch(
    desk: StoredDesk, connection: asyncpg.Connection
) -> None:
    async with desk.at_work():
        desk.paid()
        desk.asked(40)
        desk.granted()
        desk.paid_out("po-1")
    async with desk.at_work():
        desk.payout_failed(payout_id="po-1")
        desk.reviewed("retry")
        desk.paid_out("po-2")

    rows = await connection.fetch("SELECT payout_id, state FROM refund_payouts ORDER BY position")
    assert [tuple(row) for row in rows] == [("po-1", "bounced"), ("po-2", "paid")]


async def test_a_bounce_that_was_told_before_its_payout_is_known_in_a_later_batch(
    desk: StoredDesk, connection: asyncpg.Connection
) -> None:
    async with desk.at_work():
        desk.paid()
        desk.asked(40)
        desk.granted()
    async with desk.at_work():
        desk.payout_failed()
    desk.now -= timedelta(minutes=1)
    async with desk.at_work():
        desk.paid_out()

    (payout,) = await connection.fetch("SELECT payout_id, state, amount FROM refund_payouts")
    assert tuple(payout) == ("po-551", "bounced", 70_400)
    assert desk.types()[-2:] == ["refund.completed", "refund.bounced"]


async def test_a_payout_of_before_its_amount_was_kept_may_bounce(
    desk: StoredDesk, connection: asyncpg.Connection, owner: asyncpg.Connection
) -> None:
    async with desk.at_work():
        desk.paid()
        desk.asked(40)
        desk.granted()
        desk.paid_out("po-1")
    await owner.execute("UPDATE refund_payouts SET amount = NULL, paid_out_at = NULL")

    async with desk.at_work():
        desk.payout_failed(payout_id="po-1", amount=70_400)

    assert desk.last.data["amount"] == 70_400


async def test_a_refund_never_stands_on_two_payouts(desk: StoredDesk, owner: asyncpg.Connection) -> None:
    async with desk.at_work():
        desk.paid()
        desk.asked(40)
        desk.granted()
        desk.paid_out("po-1")

    with pytest.raises(asyncpg.UniqueViolationError):
        await owner.execute("INSERT INTO refund_payouts SELECT refund_id, 'po-2', 1 FROM refunds")


async def test_what_is_read_again_is_what_was_saved(desk: StoredDesk) -> None:
    """In one batch; the desk compares when it ends."""
    async with desk.at_work():
        desk.paid(line("1"), line("2"), vat_mode="inclusive")
        desk.issuance_granted(100, "2")
        desk.asked(40)
        desk.granted()
        desk.payout_failed()
        desk.reviewed("release")
        desk.paid_out()
        desk.asked(1, "rr-78", destination={"method": "mycash"})
        desk.asked(30, "rr-79")

    async with desk.at_work():
        assert [refund.state for refund in desk.refunds] == ["released", "rejected", "accepted"]


async def test_one_batch_may_hold_a_whole_story(desk: StoredDesk, connection: asyncpg.Connection) -> None:
    async with desk.at_work():
        desk.paid()
        desk.asked(40)
        desk.granted()
        desk.paid_out()

    assert await connection.fetchval("SELECT count(*) FROM refund_history") == 5


async def test_an_order_that_did_not_change_is_not_written(
    desk: StoredDesk, connection: asyncpg.Connection
) -> None:
    async with desk.at_work():
        desk.paid(line("1"), line("2"))
    before = await _versions(connection)

    async with desk.at_work():
        desk.issuance_granted(1, "1")

    after = await _versions(connection)
    assert {key for key in before if before[key] != after[key]} == {"line 1"}


async def test_the_bank_account_is_readable_only_with_the_key(
    desk: StoredDesk, connection: asyncpg.Connection, store: Store
) -> None:
    async with desk.at_work():
        desk.paid()
        desk.asked(40)

    tables = ["orders", "order_lines", "refunds", "refund_lines", "refund_history", "refund_details"]
    dump = [str(tuple(row)) for table in tables for row in await connection.fetch(f"SELECT * FROM {table}")]
    details = await store.open_details(connection, desk.refund.destination.reference)
    assert not [row for row in dump if "110123456789" in row or "수량을" in row]
    assert details["account"]["account_number"] == "110123456789"
    assert details["message"] == "수량을 잘못 주문했습니다"


async def test_details_that_nobody_has_are_not_found(connection: asyncpg.Connection, store: Store) -> None:
    with pytest.raises(LookupError):
        await store.open_details(connection, StoredDesk(store, connection)._new_id())


async def test_two_batches_cannot_decide_about_one_order_at_once(
    desk: StoredDesk, other_connection: asyncpg.Connection
) -> None:
    async with desk.at_work():
        desk.paid()

    async with desk.at_work():
        with pytest.raises(asyncpg.LockNotAvailableError):
            await other_connection.fetch("SELECT FROM orders WHERE order_id = $1 FOR UPDATE NOWAIT", ORDER)


async def test_an_order_that_another_batch_wrote_first_repeats_the_batch(
    desk: StoredDesk, store: Store, other_connection: asyncpg.Connection
) -> None:
    other = StoredDesk(store, other_connection)

    async def both_pay() -> None:
        async with desk.at_work():
            async with other.at_work():
                other.paid()
            desk.paid()

    with pytest.raises(asyncpg.UniqueViolationError):
        await both_pay()


async def test_a_late_duplicate_stands_beside_the_request_it_repeats(
    desk: StoredDesk, connection: asyncpg.Connection
) -> None:
    async with desk.at_work():
        desk.paid()
        desk.asked(40)
    async with desk.at_work():
        event = desk.event("refund.requested.v1", _request())
        fault = desk.handle(event)
        assert isinstance(fault, Reject)
        desk.refuse_late(event, fault)

    rows = await connection.fetch("SELECT refund_request_id, state FROM refunds ORDER BY refund_id")
    assert [tuple(row) for row in rows] == [("rr-77", "accepted"), ("rr-77", "rejected")]


@pytest.mark.parametrize(
    "forbidden",
    [
        "UPDATE order_lines SET granted = 61, last_granted_at = now()",
        "UPDATE order_lines SET refunding = -1",
        "UPDATE order_lines SET locked = true",
        "UPDATE orders SET remaining_supply = paid_supply + 1",
        "UPDATE orders SET remaining_vat = -1",
        "UPDATE orders SET state = 'expired'",
        "UPDATE refunds SET state = 'completed'",
        "UPDATE refunds SET state = 'lost'",
        "UPDATE refunds SET supply = 0, vat = 0",
        "UPDATE refunds SET supply = NULL",
        "UPDATE refund_lines SET quantity = -1",
        "UPDATE refunds SET state = 'bounced', why = 'account_closed'",
    ],
)
async def test_the_schema_refuses_what_the_rules_refuse(
    desk: StoredDesk, connection: asyncpg.Connection, forbidden: str
) -> None:
    async with desk.at_work():
        desk.paid()
        desk.asked(40)
        desk.granted()

    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(forbidden)


async def test_the_schema_refuses_a_second_refund_for_one_request(
    desk: StoredDesk, owner: asyncpg.Connection
) -> None:
    async with desk.at_work():
        desk.paid()
        desk.asked(40, "rr-1")
        desk.asked(40, "rr-2")

    with pytest.raises(asyncpg.UniqueViolationError):
        await owner.execute("UPDATE refunds SET refund_request_id = 'rr-1'")


async def _counts(connection: asyncpg.Connection, *columns: str) -> list[tuple[Any, ...]]:
    """These columns of each line, behind its id."""
    rows = await connection.fetch(f"SELECT line_id, {', '.join(columns)} FROM order_lines ORDER BY position")
    return [tuple(row) for row in rows]


OTHER_PARTNER = {
    "partner_id": "P-18",
    "business_number": "1348672683",
    "name": "나래 상사",
    "invoice_email": "tax@narae.example",
}

Rows = dict[tuple[Any, ...], dict[str, Any]]


async def _rows(connection: asyncpg.Connection) -> Rows:
    """Every row that the service keeps, by table and key."""
    return {
        (table.name, *(row[name] for name in table.key)): dict(row)
        for table in TABLES
        for row in await connection.fetch(f"SELECT * FROM {table.name}")
    }


def _differences(before: Rows, after: Rows) -> set[tuple[str, str]]:
    """The columns, by table, in which rows that were there before differ now; a sum of others aside."""
    return {
        (key[0], name)
        for key, row in before.items()
        for name, value in row.items()
        if key in after and after[key][name] != value and (name != "amount" or key[0] == "refund_payouts")
    }


async def _versions(connection: asyncpg.Connection) -> dict[str, Any]:
    rows = await connection.fetch(
        "SELECT 'line ' || line_id, xmin::text FROM order_lines"
        " UNION ALL SELECT 'order', xmin::text FROM orders"
    )
    return {row[0]: row[1] for row in rows}


def _request() -> dict[str, object]:
    return {
        "refund_request_id": "rr-77",
        "requested_by": "P-17",
        "role": "partner",
        "reason": "financial_burden",
        "message": "other content",
        "destination": ACCOUNT,
    }


async def test_an_issued_invoice_is_noted_once_and_follows_its_correction(
    store: Store, connection: asyncpg.Connection
) -> None:
    invoiced = InvoicedPayment("pay-t1", "K-1", 160_000, 16_000, date(2026, 10, 31))
    order = Order(ORDER, "paid", "card", "exclusive", "P-17", "가나다 주식회사", payment_id="pay-t1")

    for _ in range(2):
        await store.save(connection, World(invoiced=[invoiced, invoiced._replace(payment_id="pay-t2")]))
    await store.save(connection, World(replaced=[ReplacedInvoice("K-1", "K-2")]))
    await store.save(connection, World(invoiced=[invoiced]))
    corrected = await store.issued_invoice(connection, order)
    await store.save(connection, World(replaced=[ReplacedInvoice("K-2", None)]))
    duplicate = await store.issued_invoice(connection, order)

    told = IssuedInvoice("K-2", Money(160_000, 16_000), date(2026, 10, 31))
    assert corrected == told
    assert duplicate == told._replace(is_duplicate=True)
    assert await store.issued_invoice(connection, replace(order, payment_id="pay-t3")) is None
