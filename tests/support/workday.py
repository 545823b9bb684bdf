"""A system as an ordinary day finds it: orders of last month, and a few things that need somebody.

The stories of tests/browser and the pictures of `make shots` begin here.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import asyncpg

from ops.local.running import RunningSystem, Wanted, run_system
from shared.clock import now
from shared.kst import KST, month_of
from tests.support.driver import Checkout
from tests.support.patience import PATIENCE_WITH_A_START
from tests.support.servers import FOR_TESTS
from tests.support.stories import Buyer, Story

STRANGE_NAMES = (
    "<script>document.title = 'taken'</script><b>굵은</b>",
    "가나다" * 66 + "끝.",
    "\u202eشركة التعليم",
    "👩‍💻 개발자 👨‍👩‍👧‍👦",
)
"""Names of companies that pages have to bear: markup, 200 characters, right to left, emoji."""


_requests = count(24_101)


def months_ago(count: int) -> str:
    """The month that so many months ago was, in Seoul."""
    day = now().astimezone(KST).replace(day=1)
    for _ in range(count):
        day = (day - timedelta(days=1)).replace(day=1)
    return month_of(day)


def on(month: str, day: int, clock: str = "10:12:07") -> datetime:
    """A moment of a month, in Seoul."""
    return datetime.fromisoformat(f"{month}-{day:02d}T{clock}+09:00")


@asynccontextmanager
async def system_with_console(directory: Path) -> AsyncIterator[tuple[RunningSystem, Checkout]]:
    """Servers, services and the console as `pawl up` starts them, with four eyes, and a checkout."""
    wanted = Wanted(
        directory,
        postgres_settings=FOR_TESTS,
        environment={"LOG_LEVEL": "warning", "INVOICES_FOUR_EYES": "true"},
        ready_seconds=PATIENCE_WITH_A_START,
        console=True,
    )
    async with run_system(wanted) as system:
        assert system.system.console, (system.folder.logs / "console.log").read_text()
        checkout = Checkout(system.system.kafka, system.database)
        await checkout.start()
        yield system, checkout
        await checkout.stop()


def request_id() -> str:
    """The id of a request, as a shop numbers them."""
    return f"rr-{next(_requests)}"


def company(checkout: Checkout, name: str, number: str | None = None) -> Buyer:
    """A partner of a name."""
    buyer = Buyer(checkout, number)
    buyer.name = name
    return buyer


async def refund_that_failed(checkout: Checkout, month: str, name: str = "한빛학원") -> tuple[Story, str]:
    """An order whose refund could not be paid out, and is late by now; the refund's id."""
    story = await Story(checkout, company(checkout, name), on(month, 5)).is_paid(quantity=100)
    await story.asks_refund(40, request=request_id())
    asked = await story.until("refund.payout_requested.v1")
    refund_id = str(asked.data["refund_id"])
    await story.payout_fails(refund_id, "account_closed")
    await story.until("refund.failed.v1")
    return story, refund_id


async def refund_that_is_held(checkout: Checkout, month: str, name: str = "새빛교육") -> tuple[Story, str]:
    """An order whose refund waits for a proof, since the account is somebody else's; the refund's id."""
    story = await Story(checkout, company(checkout, name), on(month, 9)).is_paid(quantity=30)
    await story.asks_refund(10, holder="홍길동", request=request_id())
    held = await story.until("refund.held.v1")
    return story, str(held.data["refund_id"])


async def order_of_a_strange_name(checkout: Checkout, month: str, name: str) -> Story:
    """An order of a partner and a product of this name."""
    story = Story(checkout, company(checkout, name), on(month, 23))
    story.snapshot(quantity=3)["lines"][0]["product_name"] = name
    await story.pays()
    await story.until("order.paid.v1")
    return story


async def letter_of(checkout: Checkout, story: Story) -> str:
    """The name of the dead letter that a story left at orders."""
    connection = await asyncpg.connect(checkout.database.admin_url)
    number = await connection.fetchval(
        "SELECT id FROM orders.dead_letters WHERE key = $1 ORDER BY id DESC LIMIT 1", story.order_id
    )
    await connection.close()
    return f"orders:{number}"


async def payment_that_is_refused(checkout: Checkout, month: str, name: str = "다온출판") -> Story:
    """An order whose payment orders refuses, since its amount is a typo."""
    story = Story(checkout, company(checkout, name), on(month, 12))
    event_id = await story.pays(quantity=10, amount=-5)
    await story.answer_to(event_id)
    return story


@dataclass(slots=True, frozen=True)
class Workday:
    """What the pictures show, by name."""

    month: str
    order: Story
    failed: str
    held: str
    refused: Story
    letter: str
    strange: tuple[Story, ...]

    @property
    def pages(self) -> tuple[str, ...]:
        """Every kind of page, by its address."""
        order, partner = self.order.order_id, self.order.buyer
        return (
            "/needs",
            "/needs/thresholds",
            "/order",
            f"/order?id={order}",
            f"/order?id={self.strange[1].order_id}",
            "/order?id=nothing",
            "/refused",
            f"/refused/{self.letter}",
            "/refused-lists",
            "/refunds",
            "/refunds?tab=overdue",
            f"/refund?id={self.failed}",
            f"/refund/decision?id={self.failed}&decision=retry",
            f"/refund?id={self.held}",
            f"/refund/check?order={order}",
            f"/month?month={self.month}",
            f"/month/step?month={self.month}&action=approve",
            f"/business?month={self.month}&number={partner.number}",
            f"/documents?month={self.month}",
            f"/partner?id={partner.id}",
            f"/issuances?order={order}",
            "/leak",
            "/audit",
            f"/find?word={partner.id}",
            "/nowhere",
        )


async def tell_workday(checkout: Checkout) -> Workday:
    """Last month's orders of a dozen companies, and what of it needs somebody today."""
    month = months_ago(1)
    order = await Story(checkout, company(checkout, "가나다 주식회사"), on(month, 5)).is_paid(quantity=100)
    await order.asks_to_issue(60)
    await order.until("serials.issued.v2")
    await order.is_refunded(25, request=request_id())
    for day, name, units in (
        (6, "누리학원", 120),
        (8, "바른교육", 45),
        (13, "아람서점", 300),
        (15, "해오름", 18),
        (21, "큰나무 어학원", 64),
    ):
        buyer = company(checkout, name)
        await Story(checkout, buyer, on(month, day)).is_issued(quantity=units)
        if units > 100:
            await Story(checkout, buyer, on(month, day + 4)).is_issued(quantity=units // 2)
    _, failed = await refund_that_failed(checkout, month)
    _, held = await refund_that_is_held(checkout, month)
    refused = await payment_that_is_refused(checkout, month)
    await payment_that_is_refused(checkout, month, "온빛미디어")
    twice = await Story(checkout, company(checkout, "푸른숲"), on(month, 18)).is_paid(quantity=20)
    await twice.pays(payment_id=f"{twice.payment_id}-2")
    await twice.until("payment.quarantined.v1")
    early = Story(checkout, company(checkout, "한울"), on(month, 20))
    await early.asks_to_issue(1)
    strange = tuple([await order_of_a_strange_name(checkout, month, name) for name in STRANGE_NAMES])
    letter = await letter_of(checkout, refused)
    return Workday(month, order, failed, held, refused, letter, strange)
