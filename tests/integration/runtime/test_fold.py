"""The fold on a real Postgres: a batch has its effects once, whatever happens around it."""

import asyncio
import gc

import asyncpg
import pytest

from services.orders.state import World
from shared.events.envelope import write_headers
from shared.ids import uuid7
from shared.postgres import packed_columns
from shared.runtime.batch import Batch
from shared.runtime.fold import SQL
from shared.runtime.records import StoredRecord
from tests.support.desk import (
    ACCOUNT_NUMBER,
    NOW,
    Desk,
    again,
    issuance,
    payment,
    refund_accepted,
    refund_released,
    refusing,
    upstream,
)

CRASH_POINTS = ("before_commit", "after_commit")


async def batch_of_many() -> list[StoredRecord]:
    """A little of everything: payments, an automatic one, claims, a wrong amount, a wrong document."""
    return [
        payment("A-1"),
        payment("A-2", policy="automatic"),
        issuance("A-1", 60),
        refund_accepted("A-1", 40),
        payment("A-3", amount=1),
        payment("A-4", vat_mode="imaginary"),
        issuance("A-5", 1),
    ]


@pytest.mark.parametrize("point", CRASH_POINTS)
async def test_a_crash_and_the_same_batch_again_have_the_effects_of_one_batch(
    pool: asyncpg.Pool, point: str
) -> None:
    records = await batch_of_many()
    await Desk(pool, crashing_at=point).take_and_crash(*records)

    survivor = Desk(pool)
    await survivor.take(*records)

    once = await survivor.snapshot()
    await survivor.take(*records)
    await survivor.take(*(again(record) for record in records))
    assert await survivor.snapshot() == once
    assert set((await survivor.answers()).values()) == {1}
    assert await survivor.line("A-1") == (100, 60, 0, 40, 0)
    assert await survivor.line("A-2") == (100, 100, 0, 0, 0)
    assert await survivor.waiting() == [("A-5", "waiting")]


async def test_a_batch_is_let_go_when_it_is_committed(pool: asyncpg.Pool) -> None:
    """By counting references: the garbage collector stops the process to find a batch that is in a cycle."""
    desk, records = Desk(pool), await batch_of_many()
    gc.collect()
    others = batches()  # of tests that have failed, or go on holding what they made
    gc.disable()
    try:
        await desk.take(*records)
        left = [each for each in batches() if not any(each is other for other in others)]
    finally:
        gc.enable()

    assert left == []


def batches() -> list[Batch | World]:
    """Everything of any batch that nobody has let go."""
    return [each for each in gc.get_objects() if isinstance(each, Batch | World)]


async def test_a_crash_before_the_commit_leaves_nothing_behind(pool: asyncpg.Pool) -> None:
    desk = Desk(pool, crashing_at="before_commit")

    await desk.take_and_crash(*await batch_of_many())

    assert await desk.snapshot() == []


async def test_the_lines_of_an_unpaid_order_are_those_of_the_payment_that_pays_it(pool: asyncpg.Pool) -> None:
    desk = Desk(pool)
    await desk.take(*(payment(order, amount=1, payment_id=f"short-{order}") for order in ("A-1", "A-2")))

    await desk.take(*(payment(order, 30) for order in ("A-1", "A-2")))

    assert await desk.line("A-1") == await desk.line("A-2") == (30, 0, 0, 0, 0)
    assert await desk.waiting() == []


async def test_two_owners_of_one_batch_have_one_effect(pool: asyncpg.Pool) -> None:
    """During a rebalance the old owner may still be at work: the exclusion comes from Postgres."""
    for number in range(10):
        order = f"A-{number}"
        records = [
            payment(order),
            issuance(order, 60),
            refund_accepted(order, 40, sequence=1),
            issuance(order, 1, "iss-2"),
        ]
        await asyncio.gather(Desk(pool).take(*records), Desk(pool).take(*records))

        desk = Desk(pool)
        assert await desk.line(order) == (100, 60, 0, 40, 0)
        assert (await desk.types(order)).count("order.paid.v1") == 1
        assert (await desk.types(order)).count("issuance.denied.v1") == 1
    assert set((await Desk(pool).answers()).values()) == {1}


async def test_two_consumers_that_race_for_the_same_units_never_take_them_twice(pool: asyncpg.Pool) -> None:
    for number in range(10):
        order = f"A-{number}"
        await Desk(pool).take(payment(order))

        await asyncio.gather(
            Desk(pool).take(issuance(order, 100)), Desk(pool).take(refund_accepted(order, 100))
        )

        paid, issuing, _, refunding, _ = await Desk(pool).line(order)
        assert issuing + refunding == paid == await Desk(pool).claimed(order)


async def test_what_the_database_refuses_is_found_and_parked_while_all_others_commit(
    pool: asyncpg.Pool,
) -> None:
    desk = Desk(pool)
    desk = Desk(pool, refusing(desk.service, "A-250"))
    records = [payment(f"A-{number}", quantity=1) for number in range(500)]

    await desk.take(*records)

    assert await pool.fetchval("SELECT count(*) FROM orders WHERE state = 'paid'") == 499
    assert await desk.waiting() == [("A-250", "blocked")]
    reason = await pool.fetchval("SELECT reason FROM parked")
    assert reason.startswith("CheckViolationError")
    assert set((await desk.answers()).values()) == {1}
    assert len(await desk.answers()) == 500


async def test_a_blocked_key_is_handled_in_order_once_its_fault_is_mended(pool: asyncpg.Pool) -> None:
    broken = Desk(pool, refusing(Desk(pool).service, "A-1"))
    await broken.take(payment("A-1"), issuance("A-1", 60), payment("A-2"))
    assert await broken.waiting() == [("A-1", "blocked"), ("A-1", "behind")]

    left = await Desk(pool).fold.reopen_key("A-1", "kim", "mended")

    assert left == 0
    assert await broken.line("A-1") == (100, 60, 0, 0, 0)
    assert await broken.waiting() == []
    assert set((await broken.answers()).values()) == {1}


async def test_what_the_database_refuses_when_it_is_tried_again_stops_no_other_key(
    pool: asyncpg.Pool,
) -> None:
    """Two requests wait for their orders; one of them can never be written."""
    desk = Desk(pool)
    await desk.take(issuance("A-1", 60), issuance("A-2", 60))
    for order in ("A-1", "A-2"):
        await _pay_unnoticed(desk, order)
    broken = Desk(pool, refusing(desk.service, "A-1"))

    await broken.fold.retry_keys(["A-1", "A-2"])

    assert await desk.line("A-2") == (100, 60, 0, 0, 0)
    assert await desk.waiting() == [("A-1", "blocked")]


async def _pay_unnoticed(desk: Desk, order: str) -> None:
    """The order is paid, and what waits for that is put back as if nobody had looked at it."""
    rows = await desk.pool.fetch("DELETE FROM parked WHERE key = $1 RETURNING *", order)
    await desk.take(payment(order))
    for row in rows:
        values = {name: value for name, value in row.items() if name != "id"}
        columns = ", ".join(f'"{name}"' for name in values)
        places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
        await desk.pool.execute(f"INSERT INTO parked ({columns}) VALUES ({places})", *values.values())


async def test_an_event_out_of_sequence_waits_for_the_missing_one(desk: Desk) -> None:
    refund = uuid7()
    asked, released = refund_accepted("A-1", 40, refund, 1), refund_released("A-1", 40, refund, 2)
    await desk.take(payment("A-1"))

    await desk.take(released)
    assert await desk.waiting() == [("A-1", "gap")]
    await desk.take(asked)

    assert await desk.waiting() == []
    assert await desk.line("A-1") == (100, 0, 0, 0, 0)
    assert await desk.pool.fetchval("SELECT state FROM claims WHERE claim_id = $1", refund) == "void"


async def test_a_cursor_that_somebody_else_moved_makes_the_batch_start_over(pool: asyncpg.Pool) -> None:
    refund = uuid7()
    await Desk(pool).take(payment("A-1"))
    record = refund_accepted("A-1", 40, refund)

    await asyncio.gather(*(Desk(pool).take(record) for _ in range(4)))

    assert await Desk(pool).line("A-1") == (100, 0, 0, 40, 0)
    assert await pool.fetchval("SELECT sequence FROM cursors WHERE subject = $1", str(refund)) == 1
    assert (await Desk(pool).types()).count("refund.granted.v1") == 1


async def test_a_cursor_moves_only_from_where_it_was_read(pool: asyncpg.Pool) -> None:
    """A slow owner that has read less than the next one sets nobody back, also where nothing is locked."""
    moves = [("R-1", 3, 0), ("R-1", 1, 0), ("R-1", 5, 3), ("R-2", 2, 0)]
    moved = [
        await pool.execute(SQL.move_cursors, *packed_columns([("/pawl/refunds", *move)])) for move in moves
    ]

    assert moved == ["INSERT 0 1", "INSERT 0 0", "INSERT 0 1", "INSERT 0 1"]
    cursors = await pool.fetch("SELECT subject, sequence FROM cursors ORDER BY subject")
    assert [tuple(row) for row in cursors] == [("R-1", 5), ("R-2", 2)]


async def test_a_dead_letter_is_sealed_and_its_answer_names_the_fault(desk: Desk) -> None:
    data = {"request_id": "iss-1", "lines": "all", "account_number": ACCOUNT_NUMBER}
    await desk.take(upstream("issuance.requested.v1", "A-1", data, "evt-wrong"))

    row = dict(await desk.pool.fetchrow("SELECT * FROM dead_letters"))
    assert (row["code"], row["pointer"], row["event_id"]) == ("wrong_type", "/lines", "evt-wrong")
    assert ACCOUNT_NUMBER not in str(row)
    assert ACCOUNT_NUMBER.encode() not in row["record"]
    ((name, _, answer),) = await desk.said()
    assert (name, answer["code"], answer["pointer"]) == ("event.rejected.v1", "wrong_type", "/lines")


async def test_of_several_wrong_records_each_answer_names_its_own(desk: Desk) -> None:
    records = [
        upstream("issuance.requested.v1", "A-1", {"request_id": "iss-1", "lines": "all"}, "evt-1"),
        upstream("quarantine.decided.v1", "A-2", {"payment_id": 5}, "evt-2"),
        payment("A-3"),
        upstream("issuance.requested.v1", "A-3", {"request_id": "", "lines": None}, "evt-4"),
    ]
    await desk.take(*records)

    answers = {about: data for name, about, data in await desk.said() if name == "event.rejected.v1"}
    assert {
        about: (data["order_id"], data["event"]["id"], data["event"]["type"], data["pointer"])
        for about, data in answers.items()
    } == {
        "A-1": ("A-1", "evt-1", "issuance.requested.v1", "/lines"),
        "A-2": ("A-2", "evt-2", "quarantine.decided.v1", "/payment_id"),
        "A-3": ("A-3", "evt-4", "issuance.requested.v1", "/request_id"),
    }
    assert {about: data["position"]["offset"] for about, data in answers.items()} == {
        f"A-{number}": records[place].offset for number, place in ((1, 0), (2, 1), (3, 3))
    }
    query = "SELECT causation, correlation FROM outbox WHERE type = 'event.rejected.v1' ORDER BY causation"
    causes = [tuple(row) for row in await desk.pool.fetch(query)]
    assert causes == [("evt-1", "A-1"), ("evt-2", "A-2"), ("evt-4", "A-3")]


async def test_what_waits_is_sealed_too(desk: Desk) -> None:
    data = {"request_id": "iss-1", "note": ACCOUNT_NUMBER}
    await desk.take(upstream("issuance.requested.v1", "A-1", data))

    record = await desk.pool.fetchval("SELECT record FROM parked")
    assert ACCOUNT_NUMBER.encode() not in record


@pytest.mark.parametrize(
    "key",
    [b"A\x00B", b"\xff\xfe", b"A" * 9_000, None, b""],
    ids=["NUL", "not UTF-8", "long", "none", "empty"],
)
async def test_no_record_key_is_poison_for_the_tables(desk: Desk, key: bytes | None) -> None:
    good = payment("A-1")
    bad = StoredRecord("checkout.events", 0, 10**9, key, good.value, payment("A-2").headers)

    await desk.take(bad, good)

    assert await desk.pool.fetchval("SELECT code FROM dead_letters") == "wrong_key"
    assert await desk.line("A-1") == (100, 0, 0, 0, 0)


async def test_an_id_that_postgres_cannot_store_is_refused_like_any_other_wrong_document(desk: Desk) -> None:
    headers = write_headers(
        id="evt\x00",
        source="https://checkout.example/desk",
        type="payment.completed.v1",
        subject="A",
        time=NOW,
    )
    await desk.take(StoredRecord("checkout.events", 0, 10**9, b"A-1", payment("A-1").value, headers))

    assert await desk.pool.fetchval("SELECT pointer FROM dead_letters") == "/id"
    assert len(await desk.said()) == 1


async def test_a_commit_whose_answer_was_lost_is_not_done_twice_for_a_blocked_event(
    pool: asyncpg.Pool,
) -> None:
    broken = Desk(pool, refusing(Desk(pool).service, "A-1"), crashing_at="")
    lost = iter([True, False])

    def lose_the_answer(point: str) -> None:
        if point == "after_commit" and next(lost, False):
            raise OSError("the connection is gone")

    broken.fold._reach = lose_the_answer

    await broken.take(payment("A-1"))

    assert await broken.waiting() == [("A-1", "blocked")]
    assert set((await broken.answers()).values()) == {1}


async def test_who_waits_for_the_commit_of_the_own_batch_is_answered_when_it_is_there(desk: Desk) -> None:
    """Nobody has to wait for the next sweep, which comes seconds later."""
    leaving = upstream("partner.withdrawal_requested.v1", "P-17", {"partner_id": "P-17"})

    await desk.take(payment("A-1"), leaving)

    assert await desk.types("P-17") == ["partner.withdrawal_refused.v1"]
    assert await desk.waiting() == []
    assert set((await desk.answers()).values()) == {1}
