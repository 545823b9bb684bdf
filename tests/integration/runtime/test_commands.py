"""Commands on a real Postgres: decided together, kept with their answers, apart from their order's events."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import asyncpg
import orjson
import pytest

from ops.setup.provision import Database
from shared.clock import now
from shared.events.catalogue import UPSTREAM
from shared.postgres import connect
from shared.runtime.command_queue import CommandQueue
from shared.runtime.commands import Answer, Command
from tests.support.commands import COMMANDS, Person
from tests.support.desk import Crash, Desk, RefusedStore, issuance, orders_service, payment, refusing

KIM, LEE = Person("kim"), Person("lee")


def desk_of(pool: asyncpg.Pool, crashing_at: str = "", store: Any = None) -> Desk:
    """One process of orders that takes the commands of the tests."""
    changes = {} if store is None else {"store": store}
    return Desk(pool, orders_service(commands=COMMANDS, **changes), crashing_at)


def counting_commits(desk: Desk) -> Counter[str]:
    """How often each crash point is reached, from now on."""
    reached: Counter[str] = Counter()
    desk.outbox.on_crash_point = lambda point: reached.update([point])
    return reached


def codes(answers: Sequence[Answer]) -> list[str]:
    return [str(answer.document.get("code", answer.status)) for answer in answers]


async def audited(pool: asyncpg.Pool) -> list[tuple[Any, ...]]:
    rows = await pool.fetch("SELECT actor, action, target, reason, result FROM audit_log ORDER BY id")
    return [tuple(row) for row in rows]


async def test_three_hundred_commands_that_come_at_once_are_one_transaction(pool: asyncpg.Pool) -> None:
    desk = desk_of(pool)
    reached = counting_commits(desk)
    queue = CommandQueue(desk.fold.decide, desk.fold.decide_alone, desk.fold.try_out)
    commands = [KIM.notes(f"n{number}", f"k{number}", order=f"A-{number % 40}") for number in range(300)]

    answers = await asyncio.gather(*(queue.decide(command) for command in commands))

    assert [answer.document["text"] for answer in answers] == [f"n{number}" for number in range(300)]
    assert reached["after_commit"] == 1
    assert len(await audited(pool)) == 300


@pytest.mark.parametrize("point", ["after_claim", "before_commit", "after_commit"])
async def test_a_crash_loses_no_answer_and_decides_nothing_twice(pool: asyncpg.Pool, point: str) -> None:
    command, again = KIM.notes("hello", "k-1"), KIM.notes("hello", "k-1")
    with pytest.raises(Crash):
        await desk_of(pool, crashing_at=point).fold.decide([command])
    kept = await pool.fetchval("SELECT answer FROM inbox WHERE event_id = 'k-1'")
    assert (kept is not None) == (point == "after_commit")

    (first,) = await desk_of(pool).fold.decide([again])
    (second,) = await desk_of(pool).fold.decide([KIM.notes("hello", "k-1")])

    assert first == second
    assert first.status == 200
    assert await audited(pool) == [("kim", "order.note", "A-1", "", "done")]
    if kept is not None:
        assert await pool.fetchval("SELECT id FROM audit_log") is not None
        assert str(await pool.fetchval("SELECT id FROM audit_log")) == command.id


async def test_a_key_stands_for_its_content_for_ever(pool: asyncpg.Pool) -> None:
    desk = desk_of(pool)
    (first,) = await desk.fold.decide([KIM.notes("hello", "k-1")])

    answers = await desk.fold.decide(
        [KIM.notes("other", "k-1"), KIM.notes("hello", "k-1"), LEE.notes("other", "k-1")]
    )

    assert codes(answers) == ["idempotency_key_reused", "200", "200"]
    assert answers[1] == first


async def test_a_refusal_is_the_answer_again(pool: asyncpg.Pool) -> None:
    desk = desk_of(pool)

    answers = [await desk.fold.decide([KIM.notes("hello", "k-1", wish="refuse")]) for _ in range(2)]

    assert [codes(each) for each in answers] == [["conflict"]] * 2
    assert await audited(pool) == [("kim", "order.note", "A-1", "", "conflict")]


async def test_one_that_nobody_foresaw_fails_alone_and_can_be_sent_again(pool: asyncpg.Pool) -> None:
    desk = desk_of(pool)
    commands = [KIM.notes("a", "k-1"), KIM.notes("b", "k-2", wish="raise"), KIM.notes("c", "k-3")]

    assert codes(await desk.fold.decide(commands)) == ["200", "internal", "200"]
    assert codes(await desk.fold.decide(commands)) == ["200", "internal", "200"]

    assert [row[3:] for row in await audited(pool)] == [("", "done")] * 2


async def test_one_that_the_database_refuses_is_found_and_the_others_are_done(pool: asyncpg.Pool) -> None:
    await Desk(pool).take(*[payment(f"A-{number}") for number in range(5)])
    desk = desk_of(pool, store=refusing(orders_service(), "A-3").store)
    commands = [KIM.issues(f"A-{number}", 10, f"iss-{number}") for number in range(5)]

    answers = await desk.fold.decide(commands)

    assert codes(answers) == ["200", "200", "200", "internal", "200"]
    assert [await desk.claimed(f"A-{number}") for number in range(5)] == [10, 10, 10, 0, 10]
    assert await pool.fetchval("SELECT count(*) FROM inbox WHERE event_id = 'iss-3'") == 0
    (answer,) = await desk_of(pool).fold.decide([commands[3]])
    assert answer.status == 200


async def test_two_processes_that_get_the_same_key_give_the_same_answer(pool: asyncpg.Pool) -> None:
    desks = [desk_of(pool) for _ in range(4)]

    answers = await asyncio.gather(*(desk.fold.decide([KIM.notes("hello", "k-1")]) for desk in desks))

    assert len({orjson.dumps(answer.document) for (answer,) in answers}) == 1
    assert len(await audited(pool)) == 1


async def test_commands_and_events_of_one_order_never_claim_a_unit_twice(pool: asyncpg.Pool) -> None:
    """A hundred units; ten commands and ten events, in several processes at once, want ten each."""
    await Desk(pool).take(payment("A-1", quantity=100))
    desks = [desk_of(pool) for _ in range(4)]
    commands = [KIM.issues("A-1", 10, f"command-{number}") for number in range(10)]
    events = [issuance("A-1", 10, f"event-{number}") for number in range(10)]

    answers, *_ = await asyncio.gather(
        desks[0].fold.decide(commands[:5]),
        desks[1].fold.decide(commands[5:]),
        desks[2].take(*events[:5]),
        desks[3].take(*events[5:]),
    )

    assert await desks[0].claimed("A-1") == 100
    granted = [name for name in await desks[0].types("A-1") if name.startswith("issuance.granted")]
    denied = [name for name in await desks[0].types("A-1") if name.startswith("issuance.denied")]
    assert (len(granted), len(denied)) == (10, 10)
    assert all(answer.status == 200 for answer in answers)
    assert set((await desks[0].answers()).values()) == {1}


async def test_events_of_a_command_name_it_as_their_cause(pool: asyncpg.Pool) -> None:
    desk = desk_of(pool)
    await desk.take(payment("A-1"))
    command = KIM.issues("A-1", 10, "iss-1")

    await desk.fold.decide([command])

    row = await pool.fetchrow("SELECT * FROM outbox WHERE type LIKE 'issuance.granted%'")
    assert (row["causation"], row["key"], row["correlation"]) == (command.id, "A-1", "A-1")
    assert str(await pool.fetchval("SELECT id FROM audit_log")) == command.id


async def test_a_command_overtakes_no_blocked_event(pool: asyncpg.Pool) -> None:
    await Desk(pool).take(payment("A-1"))
    broken = Desk(pool, orders_service(store=RefusedStore(orders_service().store, "A-1")))
    await broken.take(issuance("A-1", 10))
    assert await broken.waiting() == [("A-1", "blocked")]

    answers = await desk_of(pool).fold.decide([KIM.notes("a", "k-1"), KIM.notes("b", "k-2", order="A-2")])

    assert codes(answers) == ["key_blocked", "200"]
    await desk_of(pool).fold.reopen_key("A-1", "kim", "mended")
    assert codes(await desk_of(pool).fold.decide([KIM.notes("a", "k-3")])) == ["200"]
    assert ("kim", "parked.replay", "A-1", "mended", "done") in await audited(pool)


async def test_trouble_that_passes_is_repeated_and_trouble_that_stays_is_told(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, tries = desk_of(pool), 0

    def away(point: str) -> None:
        nonlocal tries
        if point == "after_claim":
            tries += 1
            if tries < 3:
                raise ConnectionResetError

    desk.outbox.on_crash_point = away
    assert codes(await desk.fold.decide([KIM.notes("a", "k-1")])) == ["200"]
    assert tries == 3

    monkeypatch.setattr("shared.runtime.fold.COMMAND_PATIENCE_SECONDS", 0.0)
    tries = -100
    with pytest.raises(ConnectionResetError):
        await desk.fold.decide([KIM.notes("a", "k-2")])
    assert await pool.fetchval("SELECT count(*) FROM inbox WHERE event_id = 'k-2'") == 0


async def test_the_audit_log_is_only_added_to_whoever_asks(pool: asyncpg.Pool, database: Database) -> None:
    await desk_of(pool).fold.decide([KIM.notes("a", "k-1")])
    await desk_of(pool).fold.decide([KIM.notes("a", "k-2", name="order.look")])
    assert len(await audited(pool)) == 1

    for statement in ("UPDATE audit_log SET actor = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute(statement)
        owner = await connect(database.owner_url, "orders")
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only added to"):
            await owner.execute(statement)
        await owner.close()


async def test_a_dry_run_answers_as_the_command_would_and_leaves_nothing(pool: asyncpg.Pool) -> None:
    desk = desk_of(pool)
    await desk.take(payment("A-1"))
    before = await everything(pool)

    tried = await desk.fold.try_out(KIM.issues("A-1", 10, "iss-1"))
    assert await everything(pool) == before
    (done,) = await desk.fold.decide([KIM.issues("A-1", 10, "iss-1")])

    assert tried.document == done.document == {"types": ["issuance.granted.v2"]}
    assert codes([await desk.fold.try_out(KIM.notes("a", "k-1", wish="refuse"))]) == ["conflict"]
    assert codes([await desk.fold.try_out(KIM.notes("a", "k-1", wish="raise"))]) == ["internal"]


async def everything(pool: asyncpg.Pool) -> list[tuple[Any, ...]]:
    """How many rows there are of what a command may write, and the counters of every line."""
    rows = await pool.fetch(
        "SELECT (SELECT count(*) FROM inbox), (SELECT count(*) FROM outbox),"
        " (SELECT count(*) FROM audit_log), line_id, issuing, issued"
        " FROM order_lines ORDER BY order_id, line_id"
    )
    return [tuple(row) for row in rows]


async def test_what_was_answered_lies_sealed(pool: asyncpg.Pool) -> None:
    await desk_of(pool).fold.decide([KIM.notes("a-secret", "k-1", name="order.look")])

    row = await pool.fetchrow("SELECT * FROM inbox WHERE event_id = 'k-1'")

    assert b"a-secret" not in row["answer"]


async def test_a_command_and_an_event_of_checkout_may_have_the_same_id(pool: asyncpg.Pool) -> None:
    desk = desk_of(pool)
    event = payment("A-1")
    named = dict(event.headers)
    source, name = named["ce_source"].decode(), named["ce_id"].decode()

    (answer,) = await desk.fold.decide([Person(source).notes("a", name)])
    await desk.take(event)

    assert answer.status == 200
    assert event.topic == UPSTREAM
    assert list((await desk.answers()).values()) == [1]


async def test_a_command_takes_the_time_at_which_it_came(pool: asyncpg.Pool) -> None:
    desk = desk_of(pool)
    await desk.take(payment("A-1"))
    before = now()

    command: Command[Any] = KIM.issues("A-1", 10, "iss-1")
    await desk.fold.decide([command])

    assert before <= command.time <= now()
