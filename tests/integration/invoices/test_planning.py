"""The plan of a month over HTTP, on Postgres: for a partner, and for an operator by business."""

import httpx
import pytest

from services.invoices.app import build
from services.invoices.settings import InvoicesSettings
from shared.web.routes import HttpRoute
from tests.integration.invoices.conftest import StoredBooks
from tests.support.web import operator_of
from tests.unit.invoices.books import CLOSED_AT, GANADA, PARTNER

AT = {"at": "2026-11-03T09:00:00+09:00"}
PLAN = f"/v1/partners/{PARTNER}/months/2026-10/plan"


def routes(books: StoredBooks) -> list[HttpRoute]:
    settings = InvoicesSettings(
        kafka_bootstrap_servers="localhost:1",
        database_url="postgresql://nobody@localhost/x",
        data_key=b"k" * 32,
        invoices_four_eyes=False,
    )
    return list(build(settings).http_routes(books.surroundings))


@pytest.fixture
def client(books: StoredBooks) -> httpx.AsyncClient:
    return operator_of(routes(books), "invoices")


async def a_month(books: StoredBooks) -> None:
    """One payment is whole, one has no serials yet, one has a refund in progress."""
    await books.paid_and_issued("A-1", "A-3")
    await books.take(books.events.paid("A-2"), books.events.partner())
    await books.take(books.events.accepted("A-3", "r-1", 40))


async def test_a_plan_tells_what_merges_and_what_would_change_that(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    await a_month(books)
    plan = (await client.get(PLAN, params=AT)).json()
    assert (plan["cut_off"], plan["due_on"]) == ("2026-11-05T18:00:00+09:00", "2026-11-10")
    assert plan["always_merge_at_cut_off"]
    (business,) = plan["businesses"]
    assert {each["order_id"]: each["reason"] for each in business["payments"]} == {
        "A-1": "only_one_payment",
        "A-2": "units_not_issued",
        "A-3": "open_refund",
    }
    (refund,) = business["payments"][-1]["pending_refunds"]
    assert (refund["refund_id"], refund["total"]) == ("r-1", 70_400)
    totals = {name: each["merged"]["total"] for name, each in business["totals"].items()}
    assert totals == {
        "now": 0,
        "issued": 352_000,
        "refunded": 281_600,
        "released": 352_000,
        "issued_and_refunded": 457_600,
    }


async def test_the_close_does_what_the_plan_says(books: StoredBooks, client: httpx.AsyncClient) -> None:
    await a_month(books)
    await books.take(books.events.issued("A-2"))
    await books.take(books.events.completed("A-3", "r-1", 40, 64_000, 6_400))
    (business,) = (await client.get(PLAN, params=AT)).json()["businesses"]
    await books.close()
    (issued,) = await books.published("invoice.issued")
    assert issued["data"]["payment_ids"] == business["merged"]
    assert issued["data"]["total"] == business["totals"]["now"]["merged"]["total"]
    after = (await client.get(PLAN, params={"at": CLOSED_AT})).json()["businesses"][0]
    assert {each["reason"] for each in after["payments"]} == {"already_issued"}


async def test_a_business_has_a_plan_for_each_of_its_partners(
    books: StoredBooks, client: httpx.AsyncClient
) -> None:
    await a_month(books)
    await books.paid_and_issued("B-1", partner="P-18")
    first = (await client.get("/v1/months/2026-10/plan", params={"business": GANADA, "limit": 1})).json()
    assert [each["partner_id"] for each in first["items"]] == [PARTNER]
    asked = {"business": GANADA, "cursor": first["next"]}
    second = (await client.get("/v1/months/2026-10/plan", params=asked)).json()
    assert ([each["partner_id"] for each in second["items"]], second["next"]) == (["P-18"], None)


async def test_a_partner_sees_its_own_plan_and_no_other(books: StoredBooks) -> None:
    await a_month(books)
    own = operator_of(routes(books), "invoices", partner_id=PARTNER)
    other = operator_of(routes(books), "invoices", partner_id="P-18")
    assert (await own.get(PLAN)).status_code == 200
    assert (await other.get(PLAN)).status_code == 404
    assert (await own.get("/v1/months/2026-10/plan", params={"business": GANADA})).status_code == 403


async def test_a_month_without_a_payment_has_no_plan(books: StoredBooks, client: httpx.AsyncClient) -> None:
    assert (await client.get(PLAN)).status_code == 404
