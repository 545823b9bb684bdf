"""A trace context on Postgres: it is kept with what follows from its event, with what waits or is refused."""

import asyncpg

from tests.support.desk import Desk, issuance, orders_service, payment, refusing, upstream
from tests.support.traces import OTHER_TRACE, TRACE, traced


async def contexts(desk: Desk) -> list[tuple[str, str | None]]:
    """The type and the trace context of every event in the outbox, in their order."""
    rows = await desk.pool.fetch("SELECT type, traceparent FROM outbox ORDER BY id")
    return [(row["type"], row["traceparent"]) for row in rows]


async def test_the_events_of_a_payment_and_their_answers_carry_its_context(desk: Desk) -> None:
    await desk.take(traced(payment("A-1", policy="automatic")), payment("A-2"))

    assert await contexts(desk) == [
        ("event.accepted.v1", TRACE),
        ("order.paid.v1", TRACE),
        ("issuance.granted.v2", TRACE),
        ("event.accepted.v1", None),
        ("order.paid.v1", None),
    ]


async def test_an_event_that_waited_keeps_its_context_when_it_is_handled_later(desk: Desk) -> None:
    await desk.take(traced(issuance("A-1", 60)))
    await desk.take(traced(payment("A-1"), OTHER_TRACE))

    assert await contexts(desk) == [
        ("event.accepted.v1", TRACE),
        ("event.accepted.v1", OTHER_TRACE),
        ("order.paid.v1", OTHER_TRACE),
        ("issuance.granted.v2", TRACE),
    ]


async def test_an_event_that_the_database_refused_keeps_its_context_when_an_operator_reopens_it(
    pool: asyncpg.Pool,
) -> None:
    broken = Desk(pool, refusing(orders_service(), "A-1"))
    await broken.take(traced(payment("A-1")))
    assert await broken.waiting() == [("A-1", "blocked")]

    assert await Desk(pool).fold.reopen_key("A-1", "kim", "mended") == 0

    assert await contexts(broken) == [("event.accepted.v1", TRACE), ("order.paid.v1", TRACE)]


async def test_a_dead_letter_keeps_its_context_for_its_answer_and_for_its_replay(pool: asyncpg.Pool) -> None:
    early = Desk(pool, orders_service(routes={}))
    await early.take(traced(payment("A-1")))
    letter = await pool.fetchval("SELECT id FROM dead_letters")

    await Desk(pool).letters.replay(letter, "kim", "supported now")

    assert await contexts(early) == [
        ("event.rejected.v1", TRACE),
        ("event.accepted.v1", TRACE),
        ("order.paid.v1", TRACE),
    ]


async def test_an_event_that_the_service_rejects_is_answered_with_its_context(desk: Desk) -> None:
    no_such_line = {"request_id": "iss-1", "lines": [{"line_id": "9", "quantity": 1}]}
    await desk.take(payment("A-1"))
    await desk.take(traced(upstream("issuance.requested.v1", "A-1", no_such_line)))

    assert (await contexts(desk))[-1] == ("event.rejected.v1", TRACE)
