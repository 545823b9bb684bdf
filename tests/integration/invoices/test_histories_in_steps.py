"""Long random lives of a few businesses on Postgres, one committed step at a time: no won is ever lost.

tests/unit/invoices/test_won_are_never_lost.py plays many more of them over the decisions alone. Here each
step goes through the store, its locks and its SQL, and a month is approved, issued by somebody else and
amended in between. `StoredBooks.check` runs after each step.
"""

import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest

from services.invoices.approving import FourEyes, Step, WithoutAgent, approve, issue
from services.invoices.closes import MonthClose, Sizes
from services.invoices.explain import explanation_of_document, explanation_of_payment
from shared.ids import uuid7
from shared.money import Money, refund_money
from shared.web.callers import Caller
from tests.integration.invoices.conftest import StoredBooks
from tests.integration.invoices.test_documents import client_of
from tests.unit.invoices.books import CLOSED_AT, GANADA, OTHER, WRONG, instant, line

MONTH = "2026-10"
STEPS = 70
BEFORE, AFTER = "2026-10-28T12:00:00+09:00", "2026-11-12T12:00:00+09:00"
ISSUED_AT = "2026-11-06T09:00:00+09:00"
PARTNERS = {"P-17": (GANADA, WRONG), "P-18": (OTHER, GANADA), "P-19": (OTHER,)}
ANYBODY = Caller("kim", frozenset())
STANDING = """
    SELECT p.order_id, (p.supply + p.vat - p.refunded_supply - p.refunded_vat)::bigint AS kept,
           coalesce(sum(l.supply + l.vat), 0)::bigint AS stands,
           count(l.*) FILTER (WHERE l.invoice_id = p.invoice_id) AS on_it
    FROM placed_payments p LEFT JOIN document_lines l ON l.order_id = p.order_id
    WHERE p.draft_id IS NOT NULL
      AND NOT EXISTS (SELECT FROM documents d
                      WHERE d.invoice_id = p.invoice_id AND d.modification = 'issued_twice')
    GROUP BY p.order_id, p.supply, p.vat, p.refunded_supply, p.refunded_vat
"""
"""What is kept of each payment, and what its documents come to, but for those that were issued twice."""
ISSUED = "SELECT * FROM documents WHERE state = 'issued' ORDER BY invoice_id"
NOT_AS_APPROVED = """
    SELECT d.document_key FROM documents d LEFT JOIN approvals a USING (invoice_id, business_number)
    WHERE d.state = 'approved'
      AND (d.supply, d.vat, d.document_key) IS DISTINCT FROM (a.supply, a.vat, a.document_key)
"""


class Order:
    """What a history knows of an order: its price, how it was sold, and the units that may still go back."""

    def __init__(self, order_id: str, kind: str, price: int, units: int, vat_mode: str) -> None:
        self.order_id, self.kind, self.price, self.vat_mode = order_id, kind, price, vat_mode
        self.left = units
        self.asked: dict[str, int] = {}


class History:
    """A history of one seed. Each step says in `steps` that it has happened."""

    def __init__(self, books: StoredBooks, client: httpx.AsyncClient, seed: int) -> None:
        self.books, self.client, self.chance = books, client, random.Random(seed)
        self.orders: list[Order] = []
        self.steps: dict[str, int] = {}
        self.issued: dict[Any, Any] = {}
        self._count = 0

    async def live(self) -> None:
        ways: dict[Callable[[], Awaitable[None]], int] = {
            self.pay: 8, self.issue_units: 4, self.ask_back: 4, self.pay_back: 6, self.give_up: 1,
            self.cancel: 1, self.wish: 4, self.change_partner: 2, self.approve: 3, self.issue: 2,
            self.amend: 3, self.merge_business: 1,
        }  # fmt: skip
        for _ in range(STEPS):
            (way,) = self.chance.choices(list(ways), list(ways.values()))
            await way()
            await self.hold()

    async def hold(self) -> None:
        """What is true after every step."""
        await self.books.check()
        pool = self.books.pool
        for row in await pool.fetch(STANDING):
            assert row["stands"] == row["kept"], f"{row['order_id']} after {self.steps}"
            assert row["on_it"] <= 1, "no document counts a payment twice"
        assert await pool.fetch(NOT_AS_APPROVED) == []
        issued = {row["invoice_id"]: row for row in await pool.fetch(ISSUED)}
        assert {each: issued.get(each) for each in self.issued} == self.issued, "what is issued stays"
        self.issued = issued

    async def explain_all(self) -> None:
        """At the end: the sum of each explanation is the document, or the payment, or it knows why not."""
        pool = self.books.pool
        for (invoice_id,) in await pool.fetch("SELECT invoice_id FROM all_documents"):
            told = await explanation_of_document(pool, str(invoice_id), ANYBODY, behind="", limit=1)
            missing = sum(each["total"] for each in told["missing"])
            assert told["explained"]["total"] + missing == told["total"]
            assert {each["cause"] for each in told["missing"]} <= {"after_taken_back"}
        for order in self.orders:
            told = await explanation_of_payment(pool, order.order_id, ANYBODY)
            assert told["explained"]["total"] == told["total"]
            assert {each["cause"] for each in told["missing"]} <= {"on_another_document"}

    # The steps

    async def pay(self) -> None:
        partner = self.chance.choice(list(PARTNERS))
        kind, vat_mode = (
            self.chance.choice(["serials", "goods"]),
            self.chance.choice(["exclusive", "inclusive"]),
        )
        price, units = self.chance.randint(1, 99_999), self.chance.randint(1, 9)
        order = Order(self._next("A"), kind, price, units, vat_mode)
        self.orders.append(order)
        evidence = self.chance.choice(["tax_invoice"] * 5 + ["cash_receipt"])
        await self._take(
            "pay",
            self.books.events.paid(
                order.order_id,
                partner=partner,
                number=self.chance.choice(PARTNERS[partner]),
                lines=[line(kind=kind, unit_price=price, quantity=units)],
                vat_mode=vat_mode,
                evidence=evidence,
            ),
        )

    async def issue_units(self) -> None:
        order = self._some(lambda order: order.kind == "serials" and order.left > 0)
        if order is not None:
            units = self.chance.choice([order.left, self.chance.randint(1, order.left)])
            order.left -= units
            await self._take("issue units", self.books.events.issued(order.order_id, units))

    async def ask_back(self) -> None:
        order = self._some(lambda order: order.left > 0)
        if order is not None:
            refund_id, units = self._next("r"), self.chance.randint(1, order.left)
            order.left -= units
            order.asked[refund_id] = units
            await self._take("ask back", self.books.events.accepted(order.order_id, refund_id, units))

    async def pay_back(self) -> None:
        order = self._some(lambda order: bool(order.asked))
        if order is not None:
            refund_id, units = order.asked.popitem()
            won = await self._worth(order, units)
            at = self.chance.choice([BEFORE, AFTER])
            completed = self.books.events.completed(
                order.order_id, refund_id, units, won.supply, won.vat, at=at
            )
            await self._take("pay back", completed)
            before = await self.books.pool.fetchval("SELECT count(*) FROM outbox")
            await self.books.take(completed)
            assert await self.books.pool.fetchval("SELECT count(*) FROM outbox") == before

    async def give_up(self) -> None:
        order = self._some(lambda order: bool(order.asked))
        if order is not None:
            refund_id, units = order.asked.popitem()
            order.left += units
            said: dict[str, Any] = {"lines": [], "actor": "operator:kim", "reason": "withdrew"}
            await self._take(
                "give up", self.books.events.refund("refund.released.v1", order.order_id, refund_id, **said)
            )

    async def cancel(self) -> None:
        order = self._some(lambda order: order.left > 0)
        if order is not None:
            units, order.left = order.left, 0
            won = await self._worth(order, units)
            await self._take(
                "cancel", self.books.events.cancelled(order.order_id, units, won.supply, won.vat, at=AFTER)
            )

    async def wish(self) -> None:
        partner = self.chance.choice(list(PARTNERS))
        number, undo = self.chance.choice(PARTNERS[partner]), self.chance.random() < 0.3
        asked = self.books.events.merge(self._next("mr"), partner=partner, number=number, undo=undo)
        await self._take("undo" if undo else "merge", asked)

    async def change_partner(self) -> None:
        partner = self.chance.choice(list(PARTNERS))
        told = {"number": self.chance.choice((GANADA, OTHER)), "always_merge": self.chance.random() < 0.7}
        await self._take("partner", self.books.events.partner(partner=partner, **told))

    async def approve(self) -> None:
        close = self._step(CLOSED_AT, "kim")
        await approve(self.books.surroundings, self.books.store, Step(close, None), sizes=self._sizes())
        self._note("approve")

    async def issue(self) -> None:
        close = self._step(ISSUED_AT, self.chance.choice(["lee", "lee", "kim"]))
        issuer = WithoutAgent(self.books.surroundings, self.books.store, self._sizes())
        with suppress(FourEyes):
            await issue(self.books.surroundings, self.books.store, Step(close, None), issuer)
            self._note("issue")

    async def amend(self) -> None:
        keys = [row["document_key"] for row in self.issued.values()]
        if keys:
            said = self.chance.choice(
                [
                    {"business_number": OTHER},
                    {"business_number": GANADA},
                    {"name": "새 이름"},
                    {"twice": True},
                ]
            )
            body = {"document": self.chance.choice(keys), "reason": "wrong", "apply": True, **said}
            path, key = f"/v1/months/{MONTH}/amend", {"Idempotency-Key": self._next("amend")}
            answer = await self.client.post(path, json=body, headers=key)
            assert answer.status_code in (200, 404, 409), (
                answer.text
            )  # of another month, or not to be corrected
            self._note(f"amend {answer.status_code}")

    async def merge_business(self) -> None:
        body = {"business_number": self.chance.choice([GANADA, OTHER]), "apply": True}
        body["undo"] = self.chance.random() < 0.3
        key = {"Idempotency-Key": self._next("merge")}
        answer = await self.client.post(f"/v1/months/{MONTH}/merge", json=body, headers=key)
        assert answer.status_code in (200, 409), answer.text
        self._note("merge business")

    async def _worth(self, order: Order, units: int) -> Money:
        row = await self.books.row("payments", f"order_id = '{order.order_id}'")
        left = Money(row["supply"] - row["refunded_supply"], row["vat"] - row["refunded_vat"])
        return refund_money(order.vat_mode, left, order.price * units)

    async def _take(self, step: str, event: Any) -> None:
        await self.books.take(event)
        self._note(step)

    def _step(self, at: str, who: str) -> MonthClose:
        despite = self.chance.random() < 0.3
        return MonthClose(MONTH, instant(at), uuid7(), who, "as planned", despite, "month.step")

    def _sizes(self) -> Sizes:
        """By decisions, or by sets where they can."""
        return Sizes(1, self.chance.choice([1, 1_000]))

    def _some(self, fits: Callable[[Order], bool]) -> Order | None:
        fitting = [order for order in self.orders if fits(order)]
        return self.chance.choice(fitting) if fitting else None

    def _next(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}-{self._count}"

    def _note(self, step: str) -> None:
        self.steps[step] = self.steps.get(step, 0) + 1


@pytest.mark.parametrize("seed", range(4))
async def test_no_won_is_lost_in_a_long_history(books: StoredBooks, seed: int) -> None:
    async with client_of(books) as client:
        history = History(books, client, seed)
        await history.live()
        for who in ("kim", "lee"):  # the end: all of it is issued, whoever approved the rest
            close = MonthClose(MONTH, instant(ISSUED_AT), uuid7(), who, "the end", True, "month.step")
            await approve(books.surroundings, books.store, Step(close, None), sizes=Sizes())
            issuer = WithoutAgent(books.surroundings, books.store, Sizes())
            with suppress(FourEyes):
                other = MonthClose(MONTH, instant(ISSUED_AT), uuid7(), "park", "the end", True, "month.step")
                await issue(books.surroundings, books.store, Step(other, None), issuer)
            await history.hold()
        await history.explain_all()

    assert await books.pool.fetchval("SELECT count(*) FROM all_documents WHERE state = 'draft'") == 0
    happened = set(history.steps)
    assert {"pay", "pay back", "merge", "approve", "issue"} <= happened
    assert await books.published("invoice.modified") != []
