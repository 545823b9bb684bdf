"""What became of each payment of a request to merge: told in parts, and all of it over HTTP, page by page."""

from typing import Any

import httpx
import pytest

from services.invoices.app import build
from services.invoices.events import MOST_PAYMENTS
from services.invoices.settings import InvoicesSettings
from tests.integration.invoices.conftest import StoredBooks
from tests.support.web import operator_of
from tests.unit.invoices.books import PARTNER


@pytest.fixture
def client(books: StoredBooks) -> httpx.AsyncClient:
    settings = InvoicesSettings(
        kafka_bootstrap_servers="localhost:1",
        database_url="postgresql://nobody@localhost/x",
        data_key=b"k" * 32,
    )
    return operator_of(build(settings).http_routes(books.surroundings), "invoices")


async def every_page(client: httpx.AsyncClient, url: str, limit: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    query: dict[str, Any] = {"limit": limit}
    while True:
        answer = (await client.get(url, params=query)).json()
        found += answer["items"]
        if answer["next"] is None:
            return found
        query["cursor"] = answer["next"]


async def test_an_answer_says_what_became_of_each_payment(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    await books.paid_and_issued("A-1", "A-2")
    await books.take(books.events.paid("A-3", evidence="card_slip"))
    await books.take(books.events.merge("mr-1", orders=["A-1", "A-2", "A-3", "A-9"]))

    answer = (await client.get(f"/v1/partners/{PARTNER}/merges/mr-1")).json()

    said = {each["payment_id"]: (each["order_id"], each["reason"]) for each in answer["items"]}
    assert said == {
        "pay-A-1": ("A-1", "merged"),
        "pay-A-2": ("A-2", "merged"),
        "pay-A-3": ("A-3", "not_a_tax_invoice"),
        "pay-A-9": (None, "unknown_payment"),
    }
    assert (answer["count"], answer["next"], answer["undo"], answer["month"]) == (4, None, False, "2026-10")


async def test_an_undo_says_it_too(books: StoredBooks, client: httpx.AsyncClient) -> None:
    await books.paid_and_issued("A-1", "A-2")
    await books.take(books.events.merge("mr-1"))
    await books.take(books.events.merge("mr/2", undo=True))

    answer = (await client.get(f"/v1/partners/{PARTNER}/merges/mr/2")).json()

    assert answer["undo"] is True
    assert [(each["payment_id"], each["reason"]) for each in answer["items"]] == [
        ("pay-A-1", "undone"),
        ("pay-A-2", "undone"),
    ]


async def test_what_is_told_in_parts_is_there_as_a_whole(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    named = [f"A-{number}" for number in range(2 * MOST_PAYMENTS + 500)]
    await books.take(books.events.merge("mr-1", orders=named))

    parts = [event["data"] for event in await books.published("merge.answered")]
    whole = await every_page(client, f"/v1/partners/{PARTNER}/merges/mr-1", 1_000)

    assert [(part["part"], part["parts"], part["more"]) for part in parts] == [
        (1, 3, True),
        (2, 3, True),
        (3, 3, False),
    ]
    told = {each["payment_id"]: each["reason"] for part in parts for each in part["excluded"]}
    assert {each["payment_id"]: each["reason"] for each in whole} == told
    assert len(whole) == len(named) == parts[0]["count"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/v1/partners/{PARTNER}/merges/mr-2", 404),
        ("/v1/partners/P-99/merges/mr-1", 404),
        (f"/v1/partners/{PARTNER}/merges/mr-1?cursor=nonsense", 400),
        (f"/v1/partners/{PARTNER}/merges/mr-1?limit=0", 400),
    ],
)
async def test_what_is_not_there_is_said(
    books: StoredBooks, client: httpx.AsyncClient, path: str, status: int
) -> None:
    await books.take(books.events.merge("mr-1", orders=["A-1"]))

    answer = await client.get(path)

    assert answer.status_code == status
    assert answer.json()["detail"]
