"""A month closed in steps on Postgres: approved, issued by somebody else, transmitted; what comes between."""

import asyncio
import random
from typing import Any

import asyncpg
import httpx
import pytest

from services.invoices.app import build
from services.invoices.approving import FourEyes, Step, WithoutAgent, approve, issue
from services.invoices.closes import MonthClose, Sizes
from services.invoices.closing import MonthNotOver
from services.invoices.settings import InvoicesSettings
from services.invoices.state import Policy, World
from services.invoices.store import Store
from shared.clock import now
from shared.ids import uuid7
from shared.kst import month_of, wire_time
from tests.integration.invoices.conftest import StoredBooks
from tests.support.web import operator_of
from tests.unit.invoices.books import CLOSED_AT, GANADA, OTHER, PARTNER, THIRD, WRONG, instant

MONTH = "2026-10"
OF_MONTH = f"/v1/months/{MONTH}"
LATER = "2026-11-06T09:00:00+09:00"
SUPPLIER = {
    "invoices_supplier_number": "118-81-20586",
    "invoices_supplier_name": "예시 공급자",
    "invoices_supplier_representative": "홍길동",
}


def a_client(books: StoredBooks, **settings: Any) -> httpx.AsyncClient:
    known = InvoicesSettings(
        kafka_bootstrap_servers="localhost:1",
        database_url="postgresql://nobody@localhost/x",
        data_key=b"k" * 32,
        **settings,
    )
    return operator_of(build(known).http_routes(books.surroundings), "invoices")


def a_step(
    who: str, numbers: list[str] | None, at: str, *, despite: bool, action: str, month: str = MONTH
) -> Step:
    return Step(MonthClose(month, instant(at), uuid7(), who, "as planned", despite, action), numbers)


async def approved(
    books: StoredBooks,
    who: str = "kim",
    numbers: list[str] | None = None,
    *,
    at: str = CLOSED_AT,
    in_a_set: int = 1,
    despite: bool = False,
    month: str = MONTH,
) -> dict[str, Any]:
    step = a_step(who, numbers, at, despite=despite, action="month.approve", month=month)
    return await approve(books.surroundings, books.store, step, sizes=Sizes(1, in_a_set))


async def issued(
    books: StoredBooks,
    who: str = "lee",
    numbers: list[str] | None = None,
    *,
    in_a_set: int = 1,
    despite: bool = False,
) -> dict[str, Any]:
    step = a_step(who, numbers, LATER, despite=despite, action="month.issue")
    issuer = WithoutAgent(books.surroundings, books.store, Sizes(1, in_a_set))
    return await issue(books.surroundings, books.store, step, issuer)


async def states(books: StoredBooks) -> dict[str, str]:
    rows = await books.pool.fetch(
        "SELECT business_number, state FROM business_months WHERE month = $1", MONTH
    )
    return {row["business_number"]: row["state"] for row in rows}


async def two_businesses(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1", "A-2")
    await books.paid_and_issued("B-1", partner="P-18", number=OTHER)
    await books.take(books.events.partner())


async def test_a_month_goes_from_review_over_approval_and_issue_to_its_close(books: StoredBooks) -> None:
    await two_businesses(books)
    assert set((await states(books)).values()) == {"review"}

    said = await approved(books)
    assert (said["approved"], said["approved_total"], said["left"]) == (2, 528_000, [])
    assert await states(books) == {GANADA: "approved", OTHER: "approved"}
    assert await books.published("invoice.issued") == []

    said = await issued(books)
    assert (said["issued"], said["issued_total"], said["is_closed"]) == (2, 528_000, True)
    assert await states(books) == {GANADA: "issued", OTHER: "issued"}
    keys = sorted(event["data"]["document_key"] for event in await books.published("invoice.approved"))
    assert keys == sorted(event["data"]["document_key"] for event in await books.published("invoice.issued"))
    (closed,) = await books.published("month.closed")
    assert (closed["data"]["documents"], closed["data"]["actor"]) == (2, "lee")


async def test_each_step_is_repeated_without_a_word(books: StoredBooks) -> None:
    await two_businesses(books)
    for step in (approved, issued):
        await step(books)
        before = await books.pool.fetch("SELECT id FROM outbox")
        await step(books)
        assert await books.pool.fetch("SELECT id FROM outbox") == before


async def test_a_month_that_is_not_over_is_not_approved(books: StoredBooks) -> None:
    await two_businesses(books)
    with pytest.raises(MonthNotOver):
        await approved(books, at="2026-10-31T23:59:59+09:00")
    assert await books.published("invoice.approved") == []
    assert (await books.noted())["result"] == "month_not_over"


async def test_four_eyes_are_asked_for(books: StoredBooks) -> None:
    await two_businesses(books)
    await approved(books, "kim", [GANADA])
    await approved(books, "lee", [OTHER])

    with pytest.raises(FourEyes) as refused:
        await issued(books, "kim", [GANADA])
    assert refused.value.businesses == [GANADA]
    assert (await books.noted())["result"] == "four_eyes"

    said = await issued(books, "kim")
    assert (said["issued"], said["is_closed"]) == (1, False)
    assert [(each["reason"], each["businesses"]) for each in said["left"]] == [("four_eyes", [GANADA])]
    assert (await issued(books, "lee"))["is_closed"]


@pytest.mark.parametrize("numbers", [[THIRD], None], ids=["by decisions", "also by sets"])
async def test_who_approves_anew_approves_the_whole_business(
    books: StoredBooks, numbers: list[str] | None
) -> None:
    """Kim approved one document, a payment drifted in, Lee approved both as they are: no third person."""
    before = uuid7()
    await books.paid_and_issued("C-1", partner="P-19", number=THIRD)
    await books.paid_and_issued("B-1", partner="P-18", number=OTHER)
    await approved(books, "kim")
    await books.paid_and_issued("C-2", partner="P-20", number=THIRD)
    await approved(books, "lee", numbers)

    with pytest.raises(FourEyes) as refused:
        await issued(books, "lee", [THIRD])
    assert refused.value.businesses == [THIRD]
    said = await issued(books, "kim")
    assert [(each["reason"], each["businesses"]) for each in said["left"]] == [("four_eyes", [OTHER])]
    assert await states(books) == {THIRD: "issued", OTHER: "approved"}
    audited = await books.pool.fetch(
        "SELECT actor FROM audit_log WHERE action = 'month.approve' AND id > $1 ORDER BY id", before
    )
    assert [row["actor"] for row in audited] == ["kim", "lee"]


async def test_drift_is_shown_and_approved_anew_for_that_business_only(books: StoredBooks) -> None:
    await two_businesses(books)
    await approved(books)
    await books.take(books.events.completed("A-1", "r-1", 40, 64_000, 6_400))

    look = (await a_client(books).get(f"{OF_MONTH}/businesses/{GANADA}")).json()
    assert (look["state"], look["drafts"], look["command"].split()[3]) == ("review", 1, "approve")
    counted = {"changed": 1, "new": 0, "gone": 0, "approved_total": 352_000, "total": 281_600}
    assert {name: look["drift"][name] for name in counted} == counted
    other = (await a_client(books).get(f"{OF_MONTH}/businesses/{OTHER}")).json()
    assert (other["state"], other["drift"]) == ("approved", None)
    assert other["approved_by"] == {"actor": "kim", "at": CLOSED_AT, "reason": "as planned"}

    said = await issued(books)
    assert (said["issued"], [each["reason"] for each in said["left"]]) == (1, ["not_approved"])
    await approved(books, numbers=[GANADA])
    assert (await issued(books))["issued_total"] == 281_600 + 176_000


@pytest.mark.parametrize("in_a_set", [0, 1])
async def test_a_payment_joins_an_approved_merge_when_that_is_approved_anew(
    books: StoredBooks, in_a_set: int
) -> None:
    """One decision lets it join and approves the merge again: the same document, of more won."""
    await books.paid_and_issued("A-1", "A-2")
    await books.take(books.events.partner())
    await approved(books, in_a_set=in_a_set)
    (merge,) = await books.published("invoice.approved")
    await books.paid_and_issued("A-3")

    said = await approved(books, "park", in_a_set=in_a_set)

    assert said["left"] == []
    (again,) = (await books.published("invoice.approved"))[1:]
    assert again["data"]["document_key"] == merge["data"]["document_key"]
    assert (merge["data"]["total"], again["data"]["total"]) == (352_000, 528_000)
    assert (await issued(books))["issued_total"] == 528_000
    await books.check()


async def test_what_has_arrived_since_the_approval_is_named_the_oldest_first(books: StoredBooks) -> None:
    """A payment, a refund and a cancellation; not what came before, nor what came for another business."""
    month, paid_at = "2025-03", "2025-03-11T10:00:00+09:00"

    def moment() -> str:
        return wire_time(now())

    await books.paid_and_issued("A-1", "A-2", "A-3", at=paid_at)
    await books.paid_and_issued("B-1", partner="P-18", number=OTHER, at=paid_at)
    await books.take(books.events.completed("A-1", "r-before", 1, 1_600, 160, at=moment()))
    # It is said to be of an earlier instant: what it has approved has not arrived since, all the same.
    at = instant("2025-04-05T18:00:00+09:00")
    close = MonthClose(month, at, uuid7(), "kim", "as planned", False, "month.approve")
    await approve(books.surroundings, books.store, Step(close, None), sizes=Sizes(1, 1))
    asked = f"/v1/months/{month}/businesses/{GANADA}"
    assert (await a_client(books).get(asked)).json()["drift"] is None

    await books.take(books.events.completed("A-1", "r-1", 40, 64_000, 6_400, at=moment()))
    await books.paid_and_issued("A-4", partner="P-20", at=paid_at)
    await books.take(books.events.cancelled("A-2", 10, 16_000, 1_600, at=moment()))
    await books.take(books.events.completed("B-1", "r-2", 1, 1_600, 160, at=moment()))

    drift = (await a_client(books).get(asked)).json()["drift"]
    told = [(each["what"], each["payment_id"], each["won"]) for each in drift["arrived"]]
    assert told == [
        ("refund", "pay-A-1", -70_400),
        ("payment", "pay-A-4", 176_000),
        ("cancellation", "pay-A-2", -17_600),
    ]
    assert (drift["arrived"][0]["refund_id"], drift["arrived"][1]["refund_id"]) == ("r-1", None)
    assert drift["total"] - drift["approved_total"] == sum(each["won"] for each in drift["arrived"])
    assert not drift["has_more"]


async def test_what_comes_after_the_issue_of_one_business_is_issued_at_once_for_it_alone(
    books: StoredBooks,
) -> None:
    await two_businesses(books)
    await approved(books)
    await issued(books, numbers=[GANADA])

    await books.paid_and_issued("A-3")
    await books.paid_and_issued("B-2", partner="P-18", number=OTHER)

    rows = await books.pool.fetch(
        "SELECT business_number, state FROM all_documents WHERE state <> 'in_merge' ORDER BY 1, 2"
    )
    assert [tuple(row) for row in rows] == [
        (GANADA, "issued"),
        (GANADA, "issued"),
        (OTHER, "approved"),
        (OTHER, "draft"),
    ]


async def test_a_merge_is_asked_for_until_the_business_is_issued(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1", "A-2")
    await books.paid_and_issued("B-1", "B-2", partner="P-18", number=OTHER)
    await approved(books)
    await issued(books, numbers=[OTHER])

    for partner, number in ((PARTNER, GANADA), ("P-18", OTHER)):
        asked = books.events.merge(f"mr-{partner}", partner=partner, number=number)
        await books.take(asked)

    answers = {event["key"]: event["data"] for event in await books.published("merge.answered")}
    assert answers[PARTNER]["merged"] == ["pay-A-1", "pay-A-2"]
    assert {each["reason"] for each in answers["P-18"]["excluded"]} == {"already_issued"}


async def test_a_refund_in_progress_is_left_until_it_ends(books: StoredBooks) -> None:
    await two_businesses(books)
    await books.take(books.events.accepted("B-1", "r-1", 40))
    said = await approved(books)
    assert [(each["reason"], each["businesses"]) for each in said["left"]] == [("open_refund", [OTHER])]

    await approved(books, despite=True)
    said = await issued(books)
    assert [(each["reason"], each["businesses"]) for each in said["left"]] == [("open_refund", [OTHER])]

    await books.take(books.events.completed("B-1", "r-1", 40, 64_000, 6_400))
    assert (await states(books))[OTHER] == "review"
    await approved(books)
    assert (await issued(books))["is_closed"]


async def test_an_approved_document_never_changes_under_its_approval(
    books: StoredBooks, owner: asyncpg.Connection
) -> None:
    await two_businesses(books)
    await approved(books)
    for change in (
        "supply = supply - 1",
        "document_key = NULL, written_date = NULL",
        "business_number = '1'",
    ):
        with pytest.raises(asyncpg.CheckViolationError):
            await owner.execute(f"UPDATE documents SET {change} WHERE state = 'approved'")


class Halting(Store):
    """Loses its connection once, after some chunks."""

    def __init__(self, store: Store, after: int) -> None:
        super().__init__(store.policy)
        self._left: int | None = after

    async def save(self, connection: Any, world: World) -> None:
        if self._left == 0:
            self._left = None
            raise ConnectionResetError
        if self._left is not None:
            self._left -= 1
        await super().save(connection, world)


@pytest.mark.parametrize("step", [approved, issued])
async def test_an_interrupted_step_goes_on_where_it_was(books: StoredBooks, step: Any) -> None:
    for number in range(4):
        await books.paid_and_issued(f"A-{number}", partner=f"P-{number}")
    if step is issued:
        await approved(books)
    books.store = Halting(books.store, after=2)
    with pytest.raises(ConnectionResetError):
        await step(books, in_a_set=0)
    if step is issued:
        assert await states(books) == {GANADA: "submitted"}

    await step(books)

    told = await books.published("invoice.approved" if step is approved else "invoice.issued")
    assert len({event["subject"] for event in told}) == len(told) == 4


async def test_who_approves_anew_while_the_issue_goes_on_does_not_issue_that(books: StoredBooks) -> None:
    """The look of the beginning is repeated under the locks of each chunk."""
    await two_businesses(books)
    await approved(books, "kim")
    books.store = Halting(books.store, after=0)
    with pytest.raises(ConnectionResetError):
        await issued(books, "lee", in_a_set=0)
    await books.take(books.events.completed("B-1", "r-1", 40, 64_000, 6_400))
    await approved(books, "lee", [OTHER])

    said = await issued(books, "lee")

    assert [(each["reason"], each["businesses"]) for each in said["left"]] == [("four_eyes", [OTHER])]


@pytest.mark.parametrize("seed", range(3))
async def test_a_refund_that_lands_during_the_close_is_in_exactly_one_of_both(
    books: StoredBooks, seed: int
) -> None:
    """Drafts lowered by it, or modified invoices after it: `check` adds the won up at the end."""
    chance = random.Random(seed)
    orders = [f"A-{number}" for number in range(24)]
    numbers = (GANADA, OTHER, THIRD)
    for place, order_id in enumerate(orders):
        await books.paid_and_issued(order_id, partner=f"P-{place % 6}", number=numbers[place % 3])

    async def refund(order_id: str) -> None:
        await asyncio.sleep(chance.random() / 5)
        await books.take(books.events.completed(order_id, f"r-{order_id}", 40, 64_000, 6_400, at=LATER))

    async def close() -> None:
        for who in ("kim", "park", "kim"):
            await approved(books, who)
            await asyncio.sleep(chance.random() / 10)
            await issued(books, "lee")

    await asyncio.gather(close(), *map(refund, orders))
    await approved(books)
    await issued(books)

    netted = {
        row["order_id"]
        for row in await books.pool.fetch("SELECT order_id FROM payments WHERE standing_supply < supply")
    }
    modified = {
        row["order_id"]
        for row in await books.pool.fetch("SELECT order_id FROM documents WHERE kind = 'modified'")
    }
    assert netted ^ modified == set(orders)
    assert not netted & modified
    assert (await books.won())["invoiced"] == len(orders) * 105_600


async def test_a_business_of_a_wrong_number_is_failed_and_approved_when_it_is_right(
    books: StoredBooks,
) -> None:
    await books.paid_and_issued("A-1", number=WRONG)
    await approved(books)
    assert await states(books) == {WRONG: "issue_failed"}
    await books.take(books.events.partner())
    assert await states(books) == {GANADA: "review"}
    await approved(books)
    assert (await issued(books))["issued"] == 1


# Over HTTP


async def test_the_steps_over_http(books: StoredBooks) -> None:
    client = a_client(books, invoices_four_eyes=False, **SUPPLIER)
    await two_businesses(books)
    said = {"reason": "all is there", "at": CLOSED_AT}

    answer = await client.post(f"{OF_MONTH}/approve", json={**said, "businesses": [OTHER]})
    assert (answer.status_code, answer.json()["approved"]) == (200, 1)
    assert (await client.post(f"{OF_MONTH}/approve", json=said)).json()["approved"] == 2
    answer = await client.post(f"{OF_MONTH}/issue", json={**said, "at": LATER})
    assert (answer.status_code, answer.json()["is_closed"]) == (200, True)

    page = (await client.get(f"{OF_MONTH}/businesses", params={"state": "issued", "limit": 1})).json()
    assert ([each["business_number"] for each in page["items"]], page["next"] is not None) == ([GANADA], True)
    assert page["items"][0]["issued_by"]["reason"] == "all is there"
    month = (await client.get(OF_MONTH)).json()
    assert month["businesses"] == {"issued": 2}


async def test_who_closes_in_one_stroke_is_told_of_four_eyes(books: StoredBooks) -> None:
    await two_businesses(books)
    client = a_client(books, **SUPPLIER)
    closed = await client.post(f"{OF_MONTH}/close", json={"at": CLOSED_AT, "reason": "all"})
    assert (closed.status_code, closed.json()["code"]) == (409, "four_eyes")

    said = {"reason": "all is there", "at": CLOSED_AT}
    assert (await client.post(f"{OF_MONTH}/approve", json=said)).status_code == 200
    refused = await client.post(f"{OF_MONTH}/issue", json=said)
    assert (refused.status_code, refused.json()["code"]) == (409, "four_eyes")
    assert await books.published("invoice.issued") == []


async def test_without_a_supplier_nothing_is_approved(books: StoredBooks) -> None:
    await two_businesses(books)
    answer = await a_client(books).post(f"{OF_MONTH}/approve", json={"reason": "all is there"})
    assert (answer.status_code, answer.json()["code"]) == (503, "supplier_not_configured")


async def test_what_the_authority_says_is_kept_beside_the_document(books: StoredBooks) -> None:
    books.store = Store(Policy(four_eyes=False))
    await two_businesses(books)
    await approved(books)
    await issued(books)
    documents = {
        row["business_number"]: row
        for row in await books.pool.fetch("SELECT * FROM documents WHERE state = 'issued'")
    }
    ganada, other = documents[GANADA]["document_key"], documents[OTHER]["document_key"]
    number = "202610314100008500000001"
    results = [
        {"document_key": ganada, "approval_number": number},
        {"document_key": other, "failed": "business_closed"},
        {"document_key": "2026-10-1168200276-000099", "failed": "business_closed"},
    ]
    client = a_client(books)

    answer = (await client.post(f"{OF_MONTH}/transmit", json={"results": results, "at": LATER})).json()
    again = (await client.post(f"{OF_MONTH}/transmit", json={"results": results, "at": LATER})).json()

    refused = [{"document_key": "2026-10-1168200276-000099", "code": "not_issued"}]
    assert (answer["told"], answer["refused"], again["told"]) == (2, refused, 0)
    assert await states(books) == {GANADA: "transmitted", OTHER: "transmission_failed"}
    (event,) = await books.published("invoice.transmitted")
    assert (event["data"]["approval_number"], event["key"]) == (number, PARTNER)
    assert [e["data"]["next"] for e in await books.published("invoice.transmission_failed")] == [
        "correct_partner"
    ]
    wrong = {"results": [{"document_key": ganada}]}
    assert (await client.post(f"{OF_MONTH}/transmit", json=wrong)).status_code == 422


async def test_what_is_paid_in_a_month_that_goes_on_is_collected(books: StoredBooks) -> None:
    today = now()
    await books.paid_and_issued("A-1", at=wire_time(today))
    of_month = f"/v1/months/{month_of(today)}/businesses"
    client = a_client(books)
    for state, count in (("collecting", 1), ("review", 0)):
        page = (await client.get(of_month, params={"state": state})).json()
        assert [each["state"] for each in page["items"]] == [state] * count


async def test_the_board_counts_the_businesses_of_each_state_with_their_won(books: StoredBooks) -> None:
    await two_businesses(books)
    await approved(books, numbers=[OTHER])

    board = (await a_client(books).get(OF_MONTH)).json()["board"]

    assert board == [
        {"state": "review", "businesses": 1, "documents": 2, "won": 352_000},
        {"state": "approved", "businesses": 1, "documents": 1, "won": 176_000},
    ]


async def test_a_business_whose_documents_are_late_is_told_the_penalty(books: StoredBooks) -> None:
    await two_businesses(books)
    client = a_client(books)
    await approved(books)
    await issued(books)

    shown = (await client.get(f"{OF_MONTH}/businesses/{OTHER}")).json()

    kinds = {each["kind"] for each in shown["penalties"]}
    assert kinds <= {"transmitted_late", "not_transmitted"}
    assert all(each["documents"] == 1 for each in shown["penalties"])


async def test_a_document_says_its_steps_by_whom_and_what_mends_a_refusal(books: StoredBooks) -> None:
    await two_businesses(books)
    await approved(books)
    await issued(books)
    client = a_client(books)
    rows = await books.pool.fetch("SELECT document_key, invoice_id FROM documents WHERE state = 'issued'")
    key, other = rows[0]["document_key"], rows[1]["document_key"]
    results = [{"document_key": key, "failed": "wrong_number"}]
    await client.post(f"{OF_MONTH}/transmit", json={"results": results, "at": LATER})

    refused = (await client.get(f"{OF_MONTH}/documents/{key}")).json()
    well = (await client.get(f"{OF_MONTH}/documents/{other}")).json()

    steps = [(step["step"], step["actor"]) for step in refused["steps"]]
    assert steps[:2] == [("approved", "kim"), ("issue_begun", "lee")]
    assert steps[2][0] == "transmission_failed"
    assert refused["refusal"] == {
        "why": "wrong_number",
        "next": "correct_document",
        "command": f"pawl close 2026-10 amend {key}",
    }
    assert (well["refusal"], well["agent"]) == (None, None)


async def test_the_next_command_of_a_business_can_be_copied(books: StoredBooks) -> None:
    await two_businesses(books)
    client = a_client(books)
    said: list[str] = []
    for step in (None, approved, issued):
        if step is not None:
            await step(books)
        said.append((await client.get(f"{OF_MONTH}/businesses/{OTHER}")).json()["command"])

    assert said == [
        f"pawl close 2026-10 approve --business {OTHER} --reason WHY --yes",
        f"pawl close 2026-10 issue --business {OTHER} --reason WHY --yes",
        "pawl close 2026-10 transmit --results FILE --yes",
    ]
