"""Commands over HTTP, from the header to the commit: several processes of one service on one database."""

import asyncio
from typing import Any

import asyncpg
import httpx
import pytest

from shared.crash_points import OnCrashPoint, ignore_crash_point
from shared.runtime.command_queue import CommandQueue
from shared.web.routes import HttpRoute, RequestedOnce, post
from tests.support.commands import COMMANDS, Note, Units
from tests.support.desk import Crash, Desk, open_desk_pool, orders_service, payment
from tests.support.tokens import Provider
from tests.support.web import ALL, app_of, client_of

PROVIDER = Provider()


def routes_of_desk(desk: Desk) -> list[HttpRoute]:
    """Two routes of the kind that a service has: each sends a command."""
    queue = CommandQueue(desk.fold.decide, desk.fold.decide_alone, desk.fold.try_out)

    async def note(order: str, body: Note, origin: RequestedOnce) -> Any:
        return await queue.send("order.note", order, body, origin)

    async def issue(order: str, body: Units, origin: RequestedOnce) -> Any:
        return await queue.send("units.issue", order, body, origin)

    return [
        post("/v1/orders/{order}/notes", note, "ops:write"),
        post("/v1/orders/{order}/units", issue, "ops:write"),
    ]


class Process:
    """One process of orders: a desk that is asked over HTTP."""

    def __init__(self, pool: asyncpg.Pool, crashing_at: str = "") -> None:
        self.desk = Desk(pool, orders_service(commands=COMMANDS))
        self.died = asyncio.Event()
        if crashing_at:
            self.desk.outbox.on_crash_point = self._die_at(crashing_at)
        self.app = app_of(routes_of_desk(self.desk), PROVIDER.tokens())

    def _die_at(self, wanted: str) -> OnCrashPoint:
        def die(point: str) -> None:
            if point == wanted:
                self.died.set()
                raise Crash(point)

        return die

    async def ask(
        self, path: str, body: dict[str, Any], key: str | None, sub: str = "kim", language: str = "en"
    ) -> httpx.Response:
        headers = {**PROVIDER.allowing(ALL, sub=sub), "Accept-Language": language}
        if key is not None:
            headers["Idempotency-Key"] = key
        async with client_of(self.app, headers) as client:
            return await client.post(f"/v1/orders/{path}", json=body)


@pytest.fixture
async def pool(database: Any, clean_schemas: None) -> Any:
    pool = await open_desk_pool(database)
    yield pool
    await pool.close()


async def test_a_repeat_is_answered_by_any_process_as_the_first_one_was(pool: asyncpg.Pool) -> None:
    first, second = Process(pool), Process(pool)

    answers = [await each.ask("A-1/notes", {"text": "hello"}, "k-1") for each in (first, second, first)]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert len({answer.text for answer in answers}) == 1


async def test_two_processes_asked_at_once_under_one_key_decide_once(pool: asyncpg.Pool) -> None:
    processes = [Process(pool) for _ in range(3)]

    answers = await asyncio.gather(
        *(each.ask("A-1/notes", {"text": "hello"}, "k-1") for each in processes for _ in range(4))
    )

    assert len({answer.text for answer in answers}) == 1
    assert await pool.fetchval("SELECT count(*) FROM audit_log") == 1


@pytest.mark.parametrize("point", ["after_claim", "before_commit", "after_commit"])
async def test_a_process_that_dies_between_leaves_the_answer_or_nothing(
    pool: asyncpg.Pool, point: str
) -> None:
    await Desk(pool).take(payment("A-1"))
    dying, other = Process(pool, point), Process(pool)
    body = {"request_id": "iss-1", "quantity": 10}

    unanswered = asyncio.create_task(dying.ask("A-1/units", body, "k-1"))
    await dying.died.wait()
    unanswered.cancel()
    claimed = await other.desk.claimed("A-1")
    again = await other.ask("A-1/units", body, "k-1")

    assert claimed == (10 if point == "after_commit" else 0)
    assert again.status_code == 200
    assert await other.desk.claimed("A-1") == 10
    granted = [name for name in await other.desk.types("A-1") if name.startswith("issuance.granted")]
    assert len(granted) == 1


async def test_a_key_of_another_content_of_another_sub_and_none(pool: asyncpg.Pool) -> None:
    process = Process(pool)
    await process.ask("A-1/notes", {"text": "hello"}, "k-1")

    other = await process.ask("A-1/notes", {"text": "other"}, "k-1")
    elsewhere = await process.ask("A-2/notes", {"text": "hello"}, "k-1")
    of_lee = await process.ask("A-1/notes", {"text": "other"}, "k-1", sub="lee")
    none = await process.ask("A-1/notes", {"text": "hello"}, None)
    wrong = await process.ask("A-1/notes", {"text": "hello"}, "k 1")

    told = [
        (answer.status_code, answer.json().get("code")) for answer in (other, elsewhere, of_lee, none, wrong)
    ]
    assert told == [
        (422, "idempotency_key_reused"),
        (422, "idempotency_key_reused"),
        (200, None),
        (400, "idempotency_key_missing"),
        (400, "idempotency_key_wrong"),
    ]


async def test_a_refusal_that_comes_again_speaks_the_language_of_who_asks(pool: asyncpg.Pool) -> None:
    process, body = Process(pool), {"text": "hello", "wish": "refuse"}

    english = await process.ask("A-1/notes", body, "k-1")
    korean = await process.ask("A-1/notes", body, "k-1", language="ko-KR,ko;q=0.9,en;q=0.5")

    assert (english.status_code, korean.status_code) == (409, 409)
    assert english.json()["code"] == korean.json()["code"] == "conflict"
    assert english.json()["title"] != korean.json()["title"]
    assert korean.headers["content-language"] == "ko"
    assert korean.headers["content-type"] == "application/problem+json"


async def test_a_hundred_requests_at_once_cost_a_few_transactions(pool: asyncpg.Pool) -> None:
    process, commits = Process(pool), 0

    def count(point: str) -> None:
        nonlocal commits
        commits += point == "after_commit"

    process.desk.outbox.on_crash_point = count
    answers = await asyncio.gather(
        *(process.ask(f"A-{n % 7}/notes", {"text": f"n{n}"}, f"k-{n}") for n in range(100))
    )
    process.desk.outbox.on_crash_point = ignore_crash_point

    assert [answer.json()["text"] for answer in answers] == [f"n{n}" for n in range(100)]
    assert commits <= 20
