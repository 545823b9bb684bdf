"""A record's place repeats when its topic is created anew; no two records are taken for one."""

from dataclasses import replace
from typing import Any

import asyncpg

from ops.audit.books import SQL as RULES
from shared.runtime.records import StoredRecord
from tests.support.desk import Desk, issuance, payment, upstream


def at(record: StoredRecord, offset: int) -> StoredRecord:
    return replace(record, partition=0, offset=offset)


def unreadable(value: bytes, offset: int = 0) -> StoredRecord:
    return StoredRecord("checkout.events", 0, offset, b"A-1", value, [])


async def rejections(desk: Desk) -> int:
    """How many records were answered as wrong. One without a readable id has no event in its answer."""
    return [name for name, _, _ in await desk.said()].count("event.rejected.v1")


async def letters(pool: asyncpg.Pool) -> list[Any]:
    query = 'SELECT id, topic, partition, "offset", state FROM dead_letters ORDER BY id'
    rows: list[Any] = await pool.fetch(query)
    return rows


async def test_two_refused_records_of_one_place_are_two_dead_letters_with_an_answer_each(desk: Desk) -> None:
    await desk.take(unreadable(b"{"))
    await desk.take(unreadable(b"["))

    first, second = await letters(desk.pool)
    assert first["id"] != second["id"]
    assert await rejections(desk) == 2
    assert await desk.pool.fetch(RULES.answered_once, 10) == []


async def test_a_record_that_is_read_again_is_still_one(desk: Desk) -> None:
    for _ in range(2):
        await desk.take(unreadable(b"{"))
        await desk.take(unreadable(b"["))

    assert len(await letters(desk.pool)) == 2
    assert await rejections(desk) == 2


async def test_a_letter_that_the_version_before_kept_is_known_by_its_record(desk: Desk, admin: Any) -> None:
    await desk.take(unreadable(b"{"))
    await admin.execute("UPDATE orders.dead_letters SET digest = NULL")

    await desk.take(unreadable(b"{"))
    assert len(await letters(desk.pool)) == 1
    await desk.take(unreadable(b"["))
    assert len(await letters(desk.pool)) == 2


async def test_both_letters_of_a_place_can_be_ended(desk: Desk) -> None:
    await desk.take(unreadable(b"{"), unreadable(b"x", 1))
    await desk.take(unreadable(b"["))

    for letter in await letters(desk.pool):
        await desk.letters.resolve(letter["id"], "kim", "a test")

    assert {letter["state"] for letter in await letters(desk.pool)} == {"resolved"}


async def test_two_events_that_wait_and_have_one_place_both_go_on(desk: Desk) -> None:
    await desk.take(at(issuance("A-1", 5, "iss-1"), 7))
    await desk.take(at(issuance("A-1", 6, "iss-2"), 7))
    assert len(await desk.waiting()) == 2

    await desk.take(at(payment("A-1"), 8))

    assert await desk.waiting() == []
    assert await desk.claimed("A-1") == 11


async def test_a_later_right_request_makes_the_second_letter_of_a_place_good(desk: Desk) -> None:
    wrong = upstream("issuance.requested.v1", "A-1", {"request_id": "iss-9", "lines": []}, "evt-9")
    await desk.take(at(payment("A-1"), 1), unreadable(b"{", 2))
    await desk.take(at(wrong, 2))

    await desk.take(at(issuance("A-1", 5, "iss-9"), 3))

    assert [letter["state"] for letter in await letters(desk.pool)] == ["open", "resolved"]
