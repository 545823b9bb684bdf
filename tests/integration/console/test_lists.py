"""Many refused records ended at once: a list that does not change, one first, no further than a failure."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from console.app import routes
from console.doors import Demo
from console.lists import Lists
from console.people import Person
from console.reading import Reader
from ops.setup.provision import Database
from shared.migrations import CONSOLE
from shared.postgres import open_pool
from tests.support.console_app import KEY, browser
from tests.support.tabletop import Tabletop, buy
from tests.support.terminal import Terminal

WRONG = [{"line_id": "1", "quantity": -5}]


@pytest.fixture
async def lists(database: Database) -> AsyncIterator[Lists]:
    pool = await open_pool(database.console_url, CONSOLE, 2)
    await pool.execute("DELETE FROM lists")
    yield Lists(pool)
    await pool.close()


@pytest.fixture
async def operator(terminal: Terminal, reader: Reader, lists: Lists) -> AsyncIterator[httpx.AsyncClient]:
    def sign(person: Person, scope: str) -> str:
        return terminal.environment["PAWL_TOKEN"]

    async with browser(routes(reader, sign, Demo()), "operator", lists=lists) as client:
        yield client


async def post(client: httpx.AsyncClient, path: str, **form: str) -> httpx.Response:
    return await client.post(path, data={"form_key": KEY, **form})


async def refuse(table: Tabletop, orders: list[str]) -> None:
    """Each of these is asked to issue fewer units than none."""
    for order in orders:
        await buy(table, order)
        table.say("issuance.requested.v1", order, lines=WRONG)
    await table.drain()


async def freeze(client: httpx.AsyncClient, action: str, **cause: str) -> str:
    usual = {"service": "orders", "code": "out_of_range", "action": action}
    answer = await post(client, "/refused-lists/freeze", **{**usual, **cause})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def states(table: Tabletop) -> list[str]:
    return [
        row["state"]
        for row in await table.pools["orders"].fetch("SELECT state FROM dead_letters ORDER BY id")
    ]


async def test_one_is_closed_first_then_the_others_and_what_came_later_is_not_in_the_list(
    table: Tabletop, operator: httpx.AsyncClient
) -> None:
    await refuse(table, ["A-1", "A-2", "A-3"])
    path = await freeze(operator, "resolve")
    await refuse(table, ["A-4"])
    assert await states(table) == ["open"] * 4

    without = await post(operator, f"{path}/first")
    assert without.status_code == 422
    too_early = await post(operator, f"{path}/rest")
    assert too_early.status_code == 200
    assert await states(table) == ["open"] * 4

    await post(operator, f"{path}/first", reason="sent by mistake")
    assert await states(table) == ["resolved", "open", "open", "open"]
    await post(operator, f"{path}/first", reason="pressed twice")
    assert await states(table) == ["resolved", "open", "open", "open"]

    done = await post(operator, f"{path}/rest")
    assert await states(table) == ["resolved", "resolved", "resolved", "open"]
    assert "All of it is done." in done.text
    audited = await table.pools["orders"].fetch("SELECT actor, action, reason FROM audit_log ORDER BY id")
    assert [row["action"] for row in audited] == ["dead.resolve"] * 3
    assert all(row["reason"].startswith("sent by mistake [list ") for row in audited)
    document = (await operator.get(f"{path}?format=json")).json()
    assert [row["outcome"] for row in document["rows"]] == ["done"] * 3
    assert path in (await operator.get("/refused-lists")).text


async def test_a_dry_run_says_what_would_be_refused_again_and_leaves_it_out(
    table: Tabletop, operator: httpx.AsyncClient
) -> None:
    await refuse(table, ["A-1", "A-2"])
    path = await freeze(operator, "replay")

    tried = await post(operator, f"{path}/try")

    assert "None of these can be ended now." in tried.text
    assert tried.text.count("left out</td>") == 2 or tried.text.count("left out") >= 2
    assert await states(table) == ["open", "open"]
    assert await table.pools["orders"].fetchval("SELECT count(*) FROM audit_log") == 0


async def test_the_first_failure_stops_it_and_nothing_more_is_begun(
    table: Tabletop, operator: httpx.AsyncClient
) -> None:
    await refuse(table, ["A-1", "A-2"])
    path = await freeze(operator, "replay")

    await post(operator, f"{path}/first", reason="the rule has changed")
    shown = await operator.get(path)
    await post(operator, f"{path}/rest")

    assert "It stopped by itself at the first failure." in shown.text
    assert await states(table) == ["open", "open"]
    rows = (await operator.get(f"{path}?format=json")).json()["rows"]
    assert [row["outcome"] for row in rows] == ["failed", "waiting"]


async def test_somebody_stops_it_and_what_is_left_is_as_it_was(
    table: Tabletop, operator: httpx.AsyncClient
) -> None:
    await refuse(table, ["A-1", "A-2", "A-3"])
    path = await freeze(operator, "resolve")
    await post(operator, f"{path}/first", reason="a test")

    await post(operator, f"{path}/stop")
    shown = await post(operator, f"{path}/rest")

    assert "It was stopped." in shown.text
    assert await states(table) == ["resolved", "open", "open"]


async def test_a_member_whose_outcome_nobody_knows_stops_the_list(
    table: Tabletop, operator: httpx.AsyncClient, lists: Lists
) -> None:
    await refuse(table, ["A-1", "A-2"])
    path = await freeze(operator, "resolve")
    await lists._pool.execute(
        "UPDATE list_members SET begun_at = now() - interval '2 minutes' WHERE position = 1"
    )

    shown = await operator.get(path)

    assert "Of one it is not known what became of it." in shown.text
    await post(operator, f"{path}/rest")
    assert await states(table) == ["open", "open"]


async def test_while_a_member_is_being_ended_nobody_begins_another(
    table: Tabletop, operator: httpx.AsyncClient, lists: Lists
) -> None:
    await refuse(table, ["A-1", "A-2"])
    path = await freeze(operator, "resolve")
    await lists._pool.execute("UPDATE list_members SET begun_at = now() WHERE position = 1")

    await post(operator, f"{path}/first", reason="a test")
    await post(operator, f"{path}/rest")

    assert await states(table) == ["open", "open"]


@pytest.mark.parametrize(
    "form",
    [
        {"action": "edit"},
        {"code": ""},
        {"service": "nobody"},
        {"code": "unknown_type"},
        {"sender": "somebody else"},
    ],
)
async def test_a_list_of_nothing_is_not_made(
    table: Tabletop, operator: httpx.AsyncClient, form: dict[str, str]
) -> None:
    await refuse(table, ["A-1"])

    usual = {"service": "orders", "code": "out_of_range", "action": "replay"}
    answer = await post(operator, "/refused-lists/freeze", **{**usual, **form})

    assert answer.status_code == 422
    assert "Nobody has made a list" in (await operator.get("/refused-lists?lang=en")).text


async def test_a_cause_says_what_it_holds_back(table: Tabletop, operator: httpx.AsyncClient) -> None:
    for order, amount in (("B-1", 176_000), ("B-1", 176_000), ("B-2", 352_000)):
        table.say("payment.completed.v1", order, amount=amount, method=5, lines=[])
    await table.drain()

    rows = (await operator.get("/refused?format=json")).json()["rows"]

    assert {(row["count"], row["keys"], row["won"]) for row in rows} == {(3, 2, 528_000)}
    todo = (await operator.get("/needs?format=json&only=dead_letter")).json()["rows"]
    assert [row["won"] for row in todo] == [528_000]


async def test_what_is_hidden_is_shown_once_for_a_reason_that_is_kept(
    table: Tabletop, operator: httpx.AsyncClient
) -> None:
    await buy(table, "A-1")
    told: dict[str, Any] = {"role": "nobody", "message": "kim@shop.example, 110-234-567890"}
    table.say("refund.requested.v1", "A-1", **told)
    await table.drain()
    letter = await table.pools["refunds"].fetchval("SELECT max(id) FROM dead_letters")
    path = f"/refused/refunds:{letter}"

    shown = (await operator.get(path)).text
    assert "kim@shop.example" not in shown
    assert "567890" not in shown
    assert (await post(operator, f"{path}/reveal")).status_code == 422
    revealed = (await post(operator, f"{path}/reveal", reason="the shop calls")).text
    assert "kim@shop.example, 110-234-567890" in revealed

    kept = await table.pools["refunds"].fetchrow("SELECT actor, action, target, reason FROM audit_log")
    assert tuple(kept) == ("kim", "reveal", f"dead letter {letter}", "the shop calls")
    assert "kim@shop.example" not in (await operator.get(path)).text


async def test_a_document_whose_hidden_parts_were_left_alone_is_sent_as_it_was(
    table: Tabletop, operator: httpx.AsyncClient
) -> None:
    await buy(table, "A-1")
    table.say("refund.requested.v1", "A-1", role="nobody", message="kim@shop.example")
    await table.drain()
    letter = await table.pools["refunds"].fetchval("SELECT max(id) FROM dead_letters")
    path = f"/refused/refunds:{letter}"
    written = re.search(r"<textarea[^>]*>(.*?)</textarea>", (await operator.get(path)).text, re.DOTALL)
    assert written is not None
    right = written[1].replace("&#34;", '"').replace("nobody", "partner")
    assert "***@***" in right

    half = await post(operator, f"{path}/try", document=right.replace('"***@***"', '"call ***@*** now"'))
    assert half.status_code == 422
    tried = await post(operator, f"{path}/try", document=right)
    assert tried.status_code == 200
    assert "kim@shop.example" not in tried.text
    sent = await post(operator, f"{path}/send", document=right, reason="a typo")

    assert sent.status_code == 303
    assert await table.pools["refunds"].fetchval("SELECT count(*) FROM refunds") == 1
