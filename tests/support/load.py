"""Many small orders, all at once or so many a second: paid, issued in part and refunded for the rest."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple, Self

from shared.clock import monotonic
from shared.events.catalogue import UPSTREAM
from shared.kst import wire_time
from tests.support.driver import Checkout, Heard
from tests.support.patience import PATIENCE_WITH_A_LOAD
from tests.support.stories import ACCOUNT, BEGINS, MINUTE, Buyer, Story

UNITS, ISSUED = 5, 3
BEFORE_PAYOUT = (
    "order.paid.v1",
    "issuance.granted.v2",
    "serials.issued.v2",
    "refund.accepted.v1",
    "refund.granted.v1",
    "refund.payout_requested.v1",
    "invoice.drafted.v1",
)
"""What is said once of each order when it was said, and before its refund is paid out."""
SAID = 3
"""Events of checkout that tell an order; each gets an answer."""
FOLLOWS = (*BEFORE_PAYOUT, "event.accepted.v1")
PORTION = 500
"""Orders that were kept back are said so many at a time."""

Event = tuple[str, str, dict[str, Any], datetime]


class Load:
    """Orders of five units: three are asked to be issued, the rest to be refunded."""

    def __init__(self, checkout: Checkout, orders: int = 0) -> None:
        self.checkout = checkout
        self.buyer = Buyer(checkout)
        self.stories: list[Story] = []
        self._keys: set[str] = set()
        self._followed: dict[str, set[str]] = defaultdict(set)
        self._handled = 0
        self._read = len(checkout.records)
        self._add(orders)

    async def begin(self) -> None:
        """Says everything that does not wait for an answer."""
        await self._say(self.stories)

    async def more(self, orders: int) -> None:
        """Says the same of so many further orders."""
        await self._say(self._add(orders))

    def _add(self, orders: int) -> list[Story]:
        added = [Story(self.checkout, self.buyer) for _ in range(orders)]
        self.stories += added
        self._keys |= {story.order_id for story in added}
        return added

    async def _say(self, stories: list[Story]) -> None:
        await self.checkout.say_all(event for story in stories for event in beginning_of(story))

    def count(self, type_name: str) -> int:
        """In how many of these orders an event of this type was heard."""
        records = self.checkout.records
        return len({r.key for r in records if r.type == type_name and r.key in self._keys})

    def handled(self) -> int:
        """Of how many of these orders all that follows was heard, but for their payout.

        Each record is looked at once, so that one may ask often.
        """
        news = self.checkout.records[self._read :]
        self._read += len(news)
        for record in news:
            if record.type in FOLLOWS and record.key in self._keys:
                self._note(record)
        return self._handled

    def _note(self, record: Heard) -> None:
        followed = self._followed[record.key]
        if record.id not in followed:
            followed.add(record.id)
            self._handled += len(followed) == len(BEFORE_PAYOUT) + SAID

    async def until(self, type_name: str, share: float, within: float = PATIENCE_WITH_A_LOAD) -> None:
        """Waits until so large a share of the orders has come so far: the system is in the middle of it."""
        wanted = int(len(self.stories) * share)
        await self.checkout.until(
            lambda: self.count(type_name) >= wanted, f"{wanted} orders with {type_name}", within
        )

    async def end(self, within: float = PATIENCE_WITH_A_LOAD) -> None:
        """Pays out every refund that was asked for, and waits until nothing is left to be done."""
        await self.checkout.drain(within)
        asked = {
            record.data["refund_id"]: record
            for record in self.checkout.records
            if record.type == "refund.payout_requested.v1" and record.key in self._keys
        }
        done = {
            record.data["refund_id"]
            for record in self.checkout.records
            if record.type == "refund.completed.v1" and record.key in self._keys
        }
        await self.checkout.say_all(
            (
                "refund.paid_out.v1",
                record.key,
                {
                    "order_id": record.key,
                    "refund_id": refund_id,
                    "payout_id": f"po-{refund_id}",
                    "paid_out_at": wire_time(BEGINS + 3 * MINUTE),
                },
                BEGINS + 3 * MINUTE,
            )
            for refund_id, record in asked.items()
            if refund_id not in done
        )
        await self.checkout.drain(within)

    def assert_complete(self) -> None:
        """Every order was paid, issued and refunded exactly once."""
        seen: Counter[str] = Counter()
        ids: set[str] = set()
        for record in self.checkout.records:
            if record.topic != UPSTREAM and record.key in self._keys and record.id not in ids:
                ids.add(record.id)
                seen[record.type] += 1
        orders = len(self.stories)
        wanted = dict.fromkeys((*BEFORE_PAYOUT, "refund.completed.v1"), orders)
        wanted["event.accepted.v1"] = (SAID + 1) * orders
        del seen["refund.locked.v2"]  # said only where the last open unit was issued, not refunded
        assert seen == wanted, f"heard {dict(seen)}, and wanted {wanted}"


def beginning_of(story: Story) -> list[Event]:
    """What checkout says of an order without waiting for an answer."""
    snapshot = story.snapshot(UNITS)
    order = {"order_id": story.order_id}
    paid = {"payment_id": story.payment_id, "amount": story.amount, "paid_at": wire_time(BEGINS)}
    lines = [{"line_id": "1", "quantity": ISSUED}]
    rest = [{"line_id": "1", "quantity": UNITS - ISSUED}]
    request = {
        "refund_request_id": "rr-1",
        "requested_by": story.buyer.id,
        "role": "partner",
        "lines": rest,
        "reason": "financial_burden",
        "message": "수량을 잘못 주문했습니다",
        "destination": {**ACCOUNT, "holder": story.buyer.name},
    }
    return [
        ("payment.completed.v1", story.order_id, {**order, **snapshot, **paid}, BEGINS),
        (
            "issuance.requested.v1",
            story.order_id,
            {**order, "request_id": "iss-1", "lines": lines},
            BEGINS + MINUTE,
        ),
        ("refund.requested.v1", story.order_id, {**order, **request}, BEGINS + 2 * MINUTE),
    ]


class Drained(NamedTuple):
    """How a backlog went away while more came in. Numbers of orders."""

    backlog: int
    handled: int
    came_in: int
    seconds: float

    @property
    def ratio(self) -> float:
        """The rate at which orders were handled, to that at which they came in."""
        return self.handled / self.came_in

    def __str__(self) -> str:
        handled, came_in = self.handled / self.seconds, self.came_in / self.seconds
        return (
            f"{self.backlog} orders were behind, and none after {self.seconds:.1f} s; {handled:.0f} orders/s "
            f"were handled and {came_in:.0f} came in, {self.ratio:.2f} to 1"
        )


class Inflow:
    """So many orders a second by the clock, from `async with` to its end, whatever becomes of them.

    A checkout that is cut off (by whoever holds `cut_off`) keeps what it has to say, and says it in order
    afterwards. What it keeps is behind as much as what was said and is not handled.
    """

    def __init__(self, checkout: Checkout, a_second: int) -> None:
        self.load = Load(checkout)
        self.a_second = a_second
        self.cut_off = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._began = monotonic()
        self._flowing = asyncio.create_task(self._flow())
        return self

    async def __aexit__(self, *_: object) -> None:
        async with self.cut_off:
            self._flowing.cancel()
            with suppress(asyncio.CancelledError):
                await self._flowing

    async def _flow(self) -> None:
        while True:
            async with self.cut_off:
                while orders := min(self.came_in() - len(self.load.stories), PORTION):
                    await self.load.more(orders)
            await asyncio.sleep(1 / self.a_second)

    def came_in(self) -> int:
        """The orders that there are by now, said or kept."""
        return int((monotonic() - self._began) * self.a_second)

    def behind(self) -> int:
        """The orders that are not handled yet."""
        return self.came_in() - self.load.handled()

    async def until_steady(self, seconds: int, within: float = PATIENCE_WITH_A_LOAD) -> None:
        """Waits until the orders of so many seconds are handled, and the services keep up."""
        orders = seconds * self.a_second
        await self._until(lambda: self.load.handled() >= orders and self._keeps_up(), within)

    async def drain(self, within: float) -> Drained:
        """Waits until nothing is behind but what is on its way; more comes in meanwhile."""
        behind, came_in, began = self.behind(), self.came_in(), monotonic()
        handled = self.load.handled()
        await self._until(self._keeps_up, within)
        seconds = monotonic() - began
        return Drained(behind, self.load.handled() - handled, self.came_in() - came_in, seconds)

    def _keeps_up(self) -> bool:
        """No more is on its way than what comes in within a second."""
        return self.behind() <= self.a_second

    async def _until(self, holds: Callable[[], bool], within: float) -> None:
        what = f"the services keep up with {self.a_second} orders a second"
        try:
            await self.load.checkout.until(holds, what, within)
        except AssertionError as late:
            raise AssertionError(f"{late}; {self.behind()} orders are behind") from None
