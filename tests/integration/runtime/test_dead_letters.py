"""Dead letters on a real Postgres: each ends once, in one transaction with all that follows, or not."""

import asyncio
from collections import Counter
from typing import Any

import asyncpg
import orjson
import pytest

from ops.audit.books import SQL as RULES
from shared.runtime.editing import Edit
from shared.runtime.records import StoredRecord
from shared.web.problems import Problem
from tests.support.desk import (
    ACCOUNT_NUMBER,
    NOW,
    Desk,
    again,
    issuance,
    orders_service,
    payment,
    refusing,
    upstream,
)

WRONG = {"request_id": "iss-1", "lines": [{"line_id": "1", "quantity": -5}]}
RIGHT = {"order_id": "A-1", "request_id": "iss-1", "lines": [{"line_id": "1", "quantity": 5}]}


async def refuse(desk: Desk, *records: StoredRecord) -> int:
    """The number of the only open dead letter, after these records (a wrong request for a paid order)."""
    await desk.take(*(records or (payment("A-1"), wrong_request())))
    return int(await desk.pool.fetchval("SELECT id FROM dead_letters WHERE state = 'open'"))


def wrong_request(event_id: str = "evt-wrong", **changes: Any) -> StoredRecord:
    return upstream("issuance.requested.v1", "A-1", {**WRONG, **changes}, event_id)


async def letter_of(desk: Desk, letter: int) -> dict[str, Any]:
    return dict(await desk.pool.fetchrow("SELECT * FROM dead_letters WHERE id = $1", letter))


async def states(desk: Desk) -> dict[str, str]:
    """What became of the dead letter of each event."""
    return {row["event_id"]: row["state"] for row in await desk.pool.fetch("SELECT * FROM dead_letters")}


async def audited(desk: Desk) -> list[tuple[str, str, str, str]]:
    rows = await desk.pool.fetch("SELECT actor, action, target, reason FROM audit_log ORDER BY id")
    return [tuple(row) for row in rows]


class TestResolve:
    async def test_it_closes_the_letter_with_who_and_why_and_keeps_the_record(self, desk: Desk) -> None:
        letter = await refuse(desk)
        record = (await letter_of(desk, letter))["record"]

        ended = await desk.letters.resolve(letter, "kim", "sent by mistake")

        row = await letter_of(desk, letter)
        assert (row["state"], row["closed_by"], row["close_reason"]) == ("resolved", "kim", "sent by mistake")
        assert (ended["state"], ended["closed_at"], row["record"]) == ("resolved", row["closed_at"], record)
        assert await audited(desk) == [("kim", "dead.resolve", f"dead letter {letter}", "sent by mistake")]

    async def test_a_repeat_changes_nothing_and_gives_the_same(self, desk: Desk) -> None:
        letter = await refuse(desk)
        first = dict(await desk.letters.resolve(letter, "kim", "sent by mistake"))

        assert dict(await desk.letters.resolve(letter, "lee", "again")) == first
        assert len(await audited(desk)) == 1

    async def test_one_that_ended_otherwise_is_told(self, desk: Desk) -> None:
        letter = await refuse(desk)
        await desk.letters.edit(letter, Edit(RIGHT), "kim", "a typo", apply=True)

        with pytest.raises(Problem, match=r"was edited as .* by kim"):
            await desk.letters.resolve(letter, "lee", "again")
        with pytest.raises(Problem, match="was edited"):
            await desk.letters.replay(letter, "lee", "again")
        with pytest.raises(Problem, match="nothing has this number"):
            await desk.letters.resolve(letter + 1, "lee", "again")


class TestReplay:
    async def test_it_goes_through_once_its_reason_is_gone(self, pool: asyncpg.Pool) -> None:
        unready = Desk(pool, orders_service(routes={}))
        letter = await refuse(unready, payment("A-1"))

        with pytest.raises(Problem) as refused:
            await unready.letters.replay(letter, "kim", "try it")
        await Desk(pool).letters.replay(letter, "kim", "supported now")

        assert refused.value.kind.code == "still_refused"
        assert await Desk(pool).line("A-1") == (100, 0, 0, 0, 0)
        row = await letter_of(unready, letter)
        assert (row["state"], row["replayed_by"], row["replay_reason"]) == (
            "replayed",
            "kim",
            "supported now",
        )
        assert await audited(unready) == [("kim", "dead.replay", f"dead letter {letter}", "supported now")]

    async def test_a_dry_run_says_what_it_would_write_and_leaves_nothing(self, pool: asyncpg.Pool) -> None:
        unready = Desk(pool, orders_service(routes={}))
        letter = await refuse(unready, payment("A-1"))
        ready = Desk(pool)
        before = await ready.snapshot()

        tried = await ready.letters.replay(letter, "kim", "only tried", apply=False)

        assert not tried.applied
        assert tried.written["orders"] == (1, 0, 0)
        assert "order.paid.v1" in [event["type"] for event in tried.events]
        assert tried.waits is None
        assert await ready.snapshot() == before
        assert (await letter_of(unready, letter))["state"] == "open"

        done = await ready.letters.replay(letter, "kim", "supported now")

        assert done.applied
        assert (done.written, [event["type"] for event in done.events]) == (
            tried.written,
            [event["type"] for event in tried.events],
        )

    async def test_it_makes_the_other_letters_of_its_request_good(self, pool: asyncpg.Pool) -> None:
        unready = Desk(pool, orders_service(routes={}))
        await Desk(pool).take(payment("A-1"))
        await unready.take(issuance("A-1", 5), issuance("A-1", 5))
        first, second = [row["id"] for row in await pool.fetch("SELECT id FROM dead_letters ORDER BY id")]

        await Desk(pool).letters.replay(first, "kim", "supported now")

        assert (await letter_of(unready, second))["state"] == "resolved"


class TestEdit:
    async def test_a_dry_run_leaves_nothing(self, desk: Desk) -> None:
        letter = await refuse(desk)
        before = await desk.snapshot()

        tried = await desk.letters.edit(letter, Edit(RIGHT), "kim", "", apply=False)

        assert not tried.applied
        assert tried.written["claims"] == (1, 0, 0)
        assert await desk.snapshot() == before
        assert await audited(desk) == []

    async def test_it_lists_exactly_what_it_then_writes(self, desk: Desk) -> None:
        letter = await refuse(desk)
        rows, said = await counts(desk), len(await desk.said())
        tried = await desk.letters.edit(letter, Edit(RIGHT), "kim", "", apply=False)

        done = await desk.letters.edit(letter, Edit(RIGHT), "kim", "a typo", apply=True)

        added = {
            name: count - rows[name] for name, count in (await counts(desk)).items() if count != rows[name]
        }
        new = (await desk.said())[said:]
        assert tried.written == done.written
        assert {n: a - r for n, (a, _, r) in done.written.items() if a - r} == {
            name: count for name, count in added.items() if name != "outbox"
        }
        assert done.written["dead_letters"] == (0, 1, 0)
        assert done.written["order_lines"] == (0, 1, 0)
        assert [(each["type"], each["key"]) for each in tried.events] == [(t, k) for t, k, _ in new]
        assert [each["data"] for each in done.events] == [data for _, _, data in new]
        assert added["outbox"] == len(tried.events) == 2

    async def test_the_new_event_has_its_own_id_and_answer_and_the_refused_one_is_kept(
        self, desk: Desk
    ) -> None:
        letter = await refuse(desk)
        record = (await letter_of(desk, letter))["record"]

        done = await desk.letters.edit(letter, Edit(RIGHT), "kim", "a typo", apply=True)

        row = await letter_of(desk, letter)
        assert (row["state"], row["edited_as"], row["closed_by"]) == ("edited", done.event_id, "kim")
        assert (row["record"], row["close_reason"]) == (record, "a typo")
        seen = await desk.pool.fetchrow("SELECT * FROM inbox WHERE event_id = $1", str(done.event_id))
        assert seen["source"] == "/pawl/orders/edited"
        answer = [data for name, _, data in await desk.said() if name == "event.accepted.v1"][-1]
        assert answer["event"]["id"] == str(done.event_id)
        assert answer["position"]["offset"] == row["offset"]
        kept = desk.letters.open_edited(row)
        assert kept is not None
        assert orjson.loads(kept.value or b"") == RIGHT
        assert await desk.line("A-1") == (100, 5, 0, 0, 0)

    async def test_the_audit_log_has_what_was_changed(self, desk: Desk) -> None:
        letter = await refuse(desk)

        done = await desk.letters.edit(letter, Edit(RIGHT), "kim", "a typo", apply=True)

        row = await desk.pool.fetchrow("SELECT * FROM audit_log")
        before, after = orjson.loads(row["before"]), orjson.loads(row["after"])
        assert (row["id"], row["action"], row["target"]) == (
            done.event_id,
            "dead.edit",
            f"dead letter {letter}",
        )
        assert before["data"] == {"/lines/0/quantity": -5}
        assert after["data"] == {"/lines/0/quantity": 5}
        assert (before["event"]["id"], after["event"]["id"]) == ("evt-wrong", str(done.event_id))

    async def test_no_secret_leaves_the_sealed_columns(self, desk: Desk) -> None:
        letter = await refuse(desk, payment("A-1"), wrong_request(account_number=ACCOUNT_NUMBER))

        done = await desk.letters.edit(
            letter,
            Edit({**RIGHT, "account_number": "***", "card_number": "4000111122223333"}),
            "kim",
            "x",
            apply=True,
        )

        everything = "".join([*await desk.snapshot(), str(await desk.pool.fetch("SELECT * FROM audit_log"))])
        assert ACCOUNT_NUMBER not in f"{everything} {done}"
        assert "4000111122223333" not in f"{everything} {done.events} {done.record.changes}"
        kept = desk.letters.open_edited(await letter_of(desk, letter))
        assert kept is not None
        assert orjson.loads(kept.value or b"")["account_number"] == ACCOUNT_NUMBER

    @pytest.mark.parametrize("apply", [False, True])
    async def test_one_that_is_refused_again_says_why_and_changes_nothing(
        self, desk: Desk, apply: bool
    ) -> None:
        letter = await refuse(desk)
        before = await desk.snapshot()
        no_such_line = {**RIGHT, "lines": [{"line_id": "9", "quantity": 5}]}

        for document, pointer in ((no_such_line, "/lines/0/line_id"), ({}, "/order_id")):
            with pytest.raises(Problem) as refused:
                await desk.letters.edit(letter, Edit(document), "kim", "x", apply=apply)
            assert refused.value.kind.code == "still_refused"
            assert refused.value.more["refused"]["pointer"] == pointer

        assert await desk.snapshot() == before
        assert await audited(desk) == []

    async def test_one_that_has_to_wait_says_for_what_and_goes_on_by_itself(self, desk: Desk) -> None:
        letter = await refuse(desk, wrong_request())

        done = await desk.letters.edit(letter, Edit(RIGHT), "kim", "a typo", apply=True)
        await desk.take(payment("A-1"))

        assert done.waits == "order A-1 to be paid"
        assert await desk.waiting() == []
        assert await desk.line("A-1") == (100, 5, 0, 0, 0)

    async def test_it_does_not_overtake_a_blocked_event(self, pool: asyncpg.Pool) -> None:
        broken = Desk(pool, refusing(orders_service(), "A-1"))
        letter = await refuse(broken, wrong_request())
        await broken.take(payment("A-1"))

        with pytest.raises(Problem) as refused:
            await Desk(pool).letters.edit(letter, Edit(RIGHT), "kim", "a typo", apply=True)

        assert refused.value.kind.code == "key_blocked"
        assert (await letter_of(broken, letter))["state"] == "open"

    async def test_one_whose_handling_fails_changes_nothing(self, pool: asyncpg.Pool) -> None:
        def fail(*arguments: Any) -> Any:
            raise KeyError("unforeseen")

        letter = await refuse(Desk(pool))
        routes = dict(orders_service().routes)
        routes["issuance.requested.v1"] = type(routes["issuance.requested.v1"])(fail)
        before = await Desk(pool).snapshot()

        with pytest.raises(Problem, match="its handling fails: KeyError"):
            await Desk(pool, orders_service(routes=routes)).letters.edit(
                letter, Edit(RIGHT), "kim", "a typo", apply=True
            )

        assert await Desk(pool).snapshot() == before

    async def test_two_people_at_once_send_it_once(self, pool: asyncpg.Pool) -> None:
        letter = await refuse(Desk(pool))

        ended = await asyncio.gather(
            *(Desk(pool).letters.edit(letter, Edit(RIGHT), who, "x", apply=True) for who in ("kim", "lee")),
            return_exceptions=True,
        )

        assert sorted(type(each).__name__ for each in ended) == ["Edited", "Problem"]
        assert await Desk(pool).line("A-1") == (100, 5, 0, 0, 0)

    async def test_a_misspelt_type_is_mended_where_its_service_answers_for_it(self, desk: Desk) -> None:
        letter = await refuse(desk, payment("A-1"), upstream("issuance.requestd.v1", "A-1", RIGHT, "evt-1"))

        of_another, right = (Edit(RIGHT, type=f"{name}.requested.v1") for name in ("refund", "issuance"))
        with pytest.raises(Problem, match=r"refunds answers for refund\.requested\.v1"):
            await desk.letters.edit(letter, of_another, "kim", "x", apply=True)
        await desk.letters.edit(letter, right, "kim", "x", apply=True)

        assert await desk.line("A-1") == (100, 5, 0, 0, 0)

    async def test_a_record_of_ours_is_not_edited(self, desk: Desk) -> None:
        ours = StoredRecord("refunds.events", 0, 1, b"A-1", b"{", [("ce_type", b"refund.accepted.v1")])
        letter = await refuse(desk, ours)

        with pytest.raises(Problem, match="a mistake of ours"):
            await desk.letters.edit(letter, Edit(RIGHT), "kim", "x", apply=True)


async def counts(desk: Desk) -> Counter[str]:
    """How many rows each table has."""
    tables = await desk.pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'orders'")
    found: Counter[str] = Counter()
    for (table,) in tables:
        found[table] = await desk.pool.fetchval(f'SELECT count(*) FROM "{table}"')
    return found


class TestMadeGood:
    async def test_a_right_event_of_the_same_request_closes_it_and_says_so(self, desk: Desk) -> None:
        letter = await refuse(desk)

        await desk.take(issuance("A-1", 5))

        row = await letter_of(desk, letter)
        assert (row["state"], row["closed_by"]) == ("resolved", "pawl")
        assert row["close_reason"].startswith("made good by evt-")
        assert row["close_reason"].endswith(" of https://checkout.example/desk")
        assert await audited(desk) == []

    async def test_within_one_batch_only_what_comes_later_counts(self, desk: Desk) -> None:
        await desk.take(payment("A-1"), wrong_request("evt-1"), issuance("A-1", 5), wrong_request("evt-2"))

        assert await states(desk) == {"evt-1": "resolved", "evt-2": "open"}

    @pytest.mark.parametrize(
        "other",
        [
            issuance("A-1", 5, "iss-2"),
            issuance("A-2", 5),
            payment("A-2"),
            upstream(
                "payment.failed.v1",
                "A-1",
                {"attempt_id": "iss-1", "reason": "x", "failed_at": NOW.isoformat()},
            ),
        ],
        ids=["another request", "another order", "another order's payment", "another type"],
    )
    async def test_nothing_else_closes_it(self, desk: Desk, other: StoredRecord) -> None:
        letter = await refuse(desk)
        await desk.take(payment("A-2"))

        await desk.take(again(other))

        assert (await letter_of(desk, letter))["state"] == "open"

    async def test_a_crash_before_the_commit_closes_nothing(self, pool: asyncpg.Pool) -> None:
        letter = await refuse(Desk(pool))

        right = issuance("A-1", 5)
        await Desk(pool, crashing_at="before_commit").take_and_crash(right)
        assert (await letter_of(Desk(pool), letter))["state"] == "open"

        await Desk(pool).take(right)
        assert (await letter_of(Desk(pool), letter))["state"] == "resolved"

    async def test_an_event_that_waits_closes_it_when_it_is_decided(self, desk: Desk) -> None:
        letter = await refuse(desk, wrong_request())
        await desk.take(issuance("A-1", 5))
        assert (await letter_of(desk, letter))["state"] == "open"

        await desk.take(payment("A-1"))

        assert (await letter_of(desk, letter))["state"] == "resolved"

    async def test_a_newer_statement_makes_an_older_one_good_and_no_other(self, desk: Desk) -> None:
        """An order's snapshot is replaced as a whole, by the time of its event."""
        letter = await refuse(desk, pending("evt-new", "2031-10-21T06:00:00+00:00", deposit_deadline="soon"))

        await desk.take(pending("evt-old", "2031-10-21T05:00:00+00:00"))
        assert (await letter_of(desk, letter))["state"] == "open"

        await desk.take(pending("evt-newer", "2031-10-21T07:00:00+00:00"))
        assert (await letter_of(desk, letter))["state"] == "resolved"

    async def test_the_right_content_under_the_refused_id_ends_with_that_content_under_another_id(
        self, desk: Desk
    ) -> None:
        await desk.take(payment("A-1"), wrong_request("evt-1"))
        await desk.take(upstream("issuance.requested.v1", "A-1", RIGHT, "evt-1"))
        rows = await desk.pool.fetch("SELECT code FROM dead_letters ORDER BY id")
        assert [row["code"] for row in rows] == ["out_of_range", "duplicate_id"]

        await desk.take(upstream("issuance.requested.v1", "A-1", RIGHT, "evt-2"))

        assert await desk.pool.fetchval("SELECT count(*) FROM dead_letters WHERE state = 'resolved'") == 2

    async def test_a_repeat_of_the_first_request_does_not_end_another_use_of_its_name(
        self, desk: Desk
    ) -> None:
        await desk.take(payment("A-1"), issuance("A-1", 5))
        letter = await refuse(desk, issuance("A-1", 7))
        assert (await letter_of(desk, letter))["code"] == "duplicate_request"

        await desk.take(issuance("A-1", 5))

        assert (await letter_of(desk, letter))["state"] == "open"

    async def test_a_batch_sends_no_statement_more_while_there_is_nothing_to_close(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sent = count_statements(monkeypatch)
        await desk.take(*(payment(f"A-{number}") for number in (1, 2, 3)))
        usual = await statements_of(desk, sent, issuance("A-1", 5))
        await desk.take(upstream("issuance.requested.v1", "A-2", WRONG))

        of_others = await statements_of(desk, sent, issuance("A-3", 5))
        of_its_key = await statements_of(desk, sent, issuance("A-2", 5, "iss-2"))
        closing = await statements_of(desk, sent, issuance("A-2", 5))

        assert of_others == of_its_key == usual
        assert closing == usual + 1


def pending(event_id: str, time: str, **changes: Any) -> StoredRecord:
    """A pending order, told at this time."""
    data = {**orjson.loads(payment("A-1").value or b""), "deposit_deadline": "2031-10-28T23:59:59+09:00"}
    made = upstream("payment.pending.v1", "A-1", {**data, **changes}, event_id)
    headers = [(name, time.encode() if name == "ce_time" else value) for name, value in made.headers]
    return StoredRecord(made.topic, made.partition, made.offset, made.key, made.value, headers)


def count_statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that any connection sends from now on."""
    sent: list[str] = []
    for name in ("fetch", "fetchrow", "fetchval", "execute", "copy_records_to_table"):
        original = getattr(asyncpg.Connection, name)

        async def send(self: Any, query: str, *arguments: Any, original: Any = original, **more: Any) -> Any:
            sent.append(query)
            return await original(self, query, *arguments, **more)

        monkeypatch.setattr(asyncpg.Connection, name, send)
    return sent


async def statements_of(desk: Desk, sent: list[str], record: StoredRecord) -> int:
    sent.clear()
    await desk.take(record)
    return len(sent)


async def test_the_auditor_finds_one_answer_to_each_however_a_dead_letter_ended(desk: Desk) -> None:
    """An edited event is answered like any other, once, and by its own name."""
    wrong = [wrong_request(f"evt-{number}", request_id=f"iss-{number}") for number in range(3)]
    await desk.take(payment("A-1"), *wrong)
    sent_right, closed, made_good = [
        row["id"] for row in await desk.pool.fetch("SELECT id FROM dead_letters ORDER BY id")
    ]

    await desk.letters.edit(sent_right, Edit({**RIGHT, "request_id": "iss-0"}), "kim", "a typo", apply=True)
    await desk.letters.resolve(closed, "kim", "sent by mistake")
    await desk.take(issuance("A-1", 5, "iss-2"))

    ends = [(await letter_of(desk, letter))["state"] for letter in (sent_right, closed, made_good)]
    assert ends == ["edited", "resolved", "resolved"]
    assert [dict(row) for row in await desk.pool.fetch(RULES.answered_once, 10)] == []
    assert set((await desk.answers()).values()) == {1}
