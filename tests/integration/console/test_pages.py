"""The pages over real schemas: what the commands say, seen, and what is refused sent right."""

import csv
import html
import io
import re
from typing import Any

import httpx
import pytest

from console.app import routes
from console.doors import Demo
from console.reading import Reader
from ops.shell.system import System
from shared.operators.todo import Thresholds
from tests.support.console_app import KEY, browser
from tests.support.tabletop import Tabletop, buy

STRANGE = [
    "<script>alert(1)</script>",
    "'; DROP TABLE orders; --",
    "x" * 200,
    "\u202eتوبيخ",
    "👩‍💻 주문",
    "a/b?c=d&e#f",
]


async def refused(table: Tabletop, order_id: str = "B-1") -> str:
    """A payment that orders refuses for its amount; the name of its dead letter."""
    table.say("payment.completed.v1", order_id, payment_id=f"pay-{order_id}", amount=-5)
    await table.drain()
    row = await table.pools["orders"].fetchval("SELECT max(id) FROM dead_letters")
    return f"orders:{row}"


def watched_by(page: str) -> str:
    """What a page watches, as it asks for it."""
    watched = re.search(r'data-watched="([^"]+)"', page)
    assert watched is not None
    return html.unescape(watched[1])


async def says(client: httpx.AsyncClient, watched: str) -> str:
    """What a page without a stream hears."""
    said: str = (await client.get(f"/live/now?{watched}")).json()["says"]
    return said


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


async def test_what_needs_somebody_leads_to_where_it_is_mended(
    table: Tabletop, operator: httpx.AsyncClient
) -> None:
    name = await refused(table)

    page = await operator.get("/needs")

    assert page.status_code == 200
    assert f'href="/refused/{name}"' in page.text
    assert f"pawl dead show {name}" in page.text
    (row,) = [
        row
        for row in rows_of((await operator.get("/needs?format=csv")).text)
        if row["cause"] == "dead_letter"
    ]
    assert (row["who"], row["service"], row["count"]) == ("checkout", "orders", "1")
    document = (await operator.get("/needs?format=json&only=dead_letter")).json()
    assert [row["cause"] for row in document["rows"]] == ["dead_letter"]


async def test_the_list_clears_itself_and_a_page_that_is_open_hears_of_newer(
    table: Tabletop, operator: httpx.AsyncClient, reader: Reader
) -> None:
    name = await refused(table)
    watched = watched_by((await operator.get("/needs")).text)
    assert await says(operator, watched) == "same"

    closed = await operator.post(f"/refused/{name}/resolve", data={"form_key": KEY, "reason": "a test"})

    assert closed.headers["location"] == f"/refused/{name}?done=resolved"
    assert await says(operator, watched) == "newer"
    assert "Nothing needs anybody." in (await operator.get("/needs?lang=en")).text


async def test_the_page_of_an_order_hears_of_that_order_and_of_no_other(
    table: Tabletop, operator: httpx.AsyncClient, reader: Reader
) -> None:
    await buy(table, "L-1")
    watched = watched_by((await operator.get("/order?id=L-1")).text)

    await buy(table, "L-2")
    reader.forget()
    assert await says(operator, watched) == "same"

    table.say("refund.requested.v1", "L-1", refund_request_id="rr-L-1")
    await table.drain()
    reader.forget()
    assert await says(operator, watched) == "newer"


async def test_a_service_and_all_that_is_refused_can_be_watched(
    table: Tabletop, operator: httpx.AsyncClient, reader: Reader
) -> None:
    watched = {of: await reader.watched(of) for of in ("orders", "refunds", "refused")}
    await refused(table, "L-3")
    reader.forget()

    assert {of: await says(operator, mark) for of, mark in watched.items()} == {
        "orders": "newer",  # it has answered checkout
        "refunds": "same",
        "refused": "newer",
    }


async def test_an_order_is_told_with_causes_and_ledgers_that_foot_to_zero(
    table: Tabletop, operator: httpx.AsyncClient
) -> None:
    await buy(table, "A-1")
    table.say("refund.requested.v1", "A-1", refund_request_id="rr-1")
    await table.drain()

    page = (await operator.get("/order?id=A-1")).text

    assert "← 1" in page
    assert re.findall(r'data-title="left over"><b>([^<]+)</b>', page) == ["0"]
    assert re.findall(r'<tr class="foot( bad)?"><th scope="row">left over</th><td>([^<]+)</td>', page) == [
        ("", "₩0")
    ]
    assert "pawl" in page
    document = (await operator.get("/order?id=A-1&format=json")).json()
    assert document["order_id"] == "A-1"
    assert len(document["events"]) > 3
    bundle = (await operator.get("/order?id=A-1&format=bundle")).json()
    assert bundle["order"]["events"] == document["events"]
    assert bundle["unreadable"] == {}


@pytest.mark.parametrize("order_id", STRANGE)
async def test_ids_that_are_markup_or_long_or_strange_are_text(
    table: Tabletop, operator: httpx.AsyncClient, order_id: str
) -> None:
    await operator.get("/needs")
    nowhere = await operator.get("/order", params={"id": order_id})
    assert nowhere.status_code == 404
    found = await operator.get("/find", params={"word": order_id})
    assert found.status_code == 200
    filtered = await operator.get("/refused", params={"only": order_id, "code": order_id})
    assert filtered.status_code == 200
    for answer in (nowhere, found, filtered):
        assert "<script>alert" not in answer.text


async def test_a_name_with_markup_is_shown_as_it_was_typed(
    table: Tabletop, operator: httpx.AsyncClient
) -> None:
    await buy(table, "A-2", lines=[line(product_name="<img src=x onerror=alert(1)> 이용권")])

    page = (await operator.get("/order?id=A-2")).text

    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt; 이용권" in page


async def test_one_word_leads_to_the_order_that_it_names(
    table: Tabletop, operator: httpx.AsyncClient
) -> None:
    await buy(table, "A-3")

    answer = await operator.get("/find?word=A-3")

    assert (answer.status_code, answer.headers["location"]) == (303, "/order?id=A-3")


async def test_the_order_of_a_refused_payment_is_found_where_it_was_refused(
    table: Tabletop, operator: httpx.AsyncClient
) -> None:
    name = await refused(table, "B-7")

    page = await operator.get("/find?word=B-7")

    assert page.status_code == 200
    assert f'href="/refused/{name}"' in page.text
    assert "out_of_range" in page.text


async def test_an_order_of_which_something_was_refused_is_found_as_the_order(
    table: Tabletop, operator: httpx.AsyncClient
) -> None:
    await buy(table, "A-3")
    await refused(table, "A-3")

    answer = await operator.get("/find?word=A-3")

    assert (answer.status_code, answer.headers["location"]) == (303, "/order?id=A-3")


async def test_a_refused_document_is_marked_tried_and_sent_right(
    table: Tabletop, operator: httpx.AsyncClient
) -> None:
    name = await refused(table)
    shown = (await operator.get(f"/refused/{name}")).text
    assert re.search(r'<span class="fault">\s+&#34;amount&#34;: -5', shown)
    written = re.search(r"<textarea[^>]*>(.*?)</textarea>", shown, re.DOTALL)
    assert written is not None
    wrong = written[1].replace("&#34;", '"')
    right = wrong.replace("-5", "176000")

    again = await edit(operator, name, "try", wrong.replace("-5", "-6"))
    assert again.status_code == 409
    assert "would be refused again" in again.text
    tried = await edit(operator, name, "try", right)
    assert tried.status_code == 200
    assert re.search(r'<span class="added">\+ +&#34;amount&#34;: 176000', tried.text)
    assert "order.paid.v1" in tried.text
    assert await table.pools["orders"].fetchval("SELECT count(*) FROM orders") == 0

    without_reason = await edit(operator, name, "send", right)
    assert without_reason.status_code == 422
    sent = await edit(operator, name, "send", right, reason="a typo of the shop")
    assert sent.headers["location"] == f"/refused/{name}?done=sent"

    assert await table.pools["orders"].fetchval("SELECT state FROM orders") == "paid"
    audited = await table.pools["orders"].fetchrow(
        "SELECT actor, reason FROM audit_log ORDER BY id DESC LIMIT 1"
    )
    assert (audited["reason"], audited["actor"]) == ("a typo of the shop", "kim")
    assert "a typo of the shop" in (await operator.get(f"/refused/{name}")).text


@pytest.mark.parametrize("written", ["", "{", "[1]", "null", '{"a": '])
async def test_what_is_no_document_is_said_and_kept_in_the_box(
    table: Tabletop, operator: httpx.AsyncClient, written: str
) -> None:
    name = await refused(table)

    answer = await edit(operator, name, "try", written)

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text


@pytest.mark.parametrize("name", ["orders:999999", "orders:x", "nobody:1", "orders:"])
async def test_a_record_that_is_not_there_is_a_page_that_says_so(
    operator: httpx.AsyncClient, name: str
) -> None:
    answer = await operator.get(f"/refused/{name}")

    assert answer.status_code in (404, 422)
    assert "content-security-policy" in answer.headers


async def test_what_a_service_refuses_is_said_in_the_language_of_whoever_asks(
    table: Tabletop, operator: httpx.AsyncClient
) -> None:
    there = "/refund?id=0199a0b0-0000-7000-8000-000000000077"

    korean = await operator.get(there, headers={"accept-language": "ko"})
    english = await operator.get(there, headers={"accept-language": "en"})

    assert (korean.status_code, english.status_code) == (404, 404)
    assert "찾을 수 없습니다" in korean.text
    assert "there is no refund" in english.text


async def test_without_databases_a_page_says_so_and_nothing_breaks() -> None:
    nowhere = System(directory=None, ops_url="postgresql://nobody@127.0.0.1:1/pawl")  # type: ignore[arg-type]
    reader = Reader(nowhere, Thresholds())

    async with browser(routes(reader, lambda person, scope: "", Demo()), "operator") as client:
        for path in ("/order?id=A-1", "/refused"):
            answer = await client.get(path, headers={"accept-language": "ko"})
            assert answer.status_code == 503
            assert "다시 시도" in answer.text


def line(**changed: Any) -> dict[str, Any]:
    """A line of a payment of 176,000 won."""
    usual = {
        "line_id": "1",
        "kind": "serials",
        "product_id": "study-30",
        "product_name": "스터디 이용권 30일",
    }
    return {**usual, "unit_price": 1600, "quantity": 100, "usage_days": 30, **changed}


async def edit(
    client: httpx.AsyncClient, name: str, action: str, document: str, reason: str = ""
) -> httpx.Response:
    form = {"form_key": KEY, "document": document, "reason": reason}
    return await client.post(f"/refused/{name}/{action}", data=form)
