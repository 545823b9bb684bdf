"""Many small orders at once: each is paid, issued in part and refunded for the rest."""

from collections import Counter

from shared.events.catalogue import UPSTREAM
from shared.kst import wire_time
from tests.support.driver import Checkout
from tests.support.stories import ACCOUNT, BEGINS, MINUTE, Buyer, Story

UNITS, ISSUED = 5, 3


class Load:
    """Orders of five units: three are asked to be issued, the rest to be refunded."""

    def __init__(self, checkout: Checkout, orders: int) -> None:
        self.checkout = checkout
        buyer = Buyer(checkout)
        self.stories = [Story(checkout, buyer) for _ in range(orders)]
        self._keys = {story.order_id for story in self.stories}

    async def begin(self) -> None:
        """Says everything that does not wait for an answer."""
        events = []
        for story in self.stories:
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
            events += [
                ("payment.completed.v1", story.order_id, {**order, **snapshot, **paid}, BEGINS),
                (
                    "issuance.requested.v1",
                    story.order_id,
                    {**order, "request_id": "iss-1", "lines": lines},
                    BEGINS + MINUTE,
                ),
                ("refund.requested.v1", story.order_id, {**order, **request}, BEGINS + 2 * MINUTE),
            ]
        await self.checkout.say_all(events)

    def count(self, type_name: str) -> int:
        """In how many of these orders a fact of this type was heard."""
        records = self.checkout.records
        return len({r.key for r in records if r.type == type_name and r.key in self._keys})

    async def until(self, type_name: str, share: float, within: float = 90) -> None:
        """Waits until so large a share of the orders has come so far: the system is in the middle of it."""
        wanted = int(len(self.stories) * share)
        await self.checkout.until(
            lambda: self.count(type_name) >= wanted, f"{wanted} orders with {type_name}", within
        )

    async def end(self) -> None:
        """Pays out every refund that was asked for, and waits until nothing is left to be done."""
        await self.checkout.drain()
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
        await self.checkout.drain()

    def assert_complete(self) -> None:
        """Every order was paid, issued and refunded exactly once."""
        seen: Counter[str] = Counter()
        ids: set[str] = set()
        for record in self.checkout.records:
            if record.topic != UPSTREAM and record.key in self._keys and record.id not in ids:
                ids.add(record.id)
                seen[record.type] += 1
        orders = len(self.stories)
        wanted = dict.fromkeys(
            (
                "order.paid.v1",
                "issuance.granted.v1",
                "serials.issued.v1",
                "refund.accepted.v1",
                "refund.granted.v1",
                "refund.payout_requested.v1",
                "refund.completed.v1",
                "invoice.drafted.v1",
            ),
            orders,
        )
        wanted["event.accepted.v1"] = 4 * orders
        del seen["refund.locked.v1"]  # said only where the last open unit was issued, not refunded
        assert seen == wanted, f"heard {dict(seen)}, and wanted {wanted}"
