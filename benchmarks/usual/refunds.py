"""The usual refunds application: what was issued can no longer be refunded."""

from dataclasses import dataclass
from typing import Any

from faststream.kafka import KafkaBroker, KafkaMessage

from benchmarks.usual.shell import App, Handlers, event_id, is_new, subscribe
from shared.clock import now
from shared.events.orders import IssuanceGrantedTogether, OrderPaid
from shared.kst import wire_time


@dataclass(slots=True)
class Refunds(App):
    """Keeps what of each line is locked."""

    def subscribe_to_orders(self, broker: KafkaBroker, at_once: int) -> Any:
        """Listens to orders."""
        handlers: Handlers = {"order.paid.v1": self.record_payment, "issuance.granted.v2": self.lock}
        return subscribe(broker, self.name, "orders.events", at_once, handlers)

    async def record_payment(self, order: OrderPaid, message: KafkaMessage) -> None:
        """order.paid: its lines can be refunded."""
        async with self.pool.acquire() as connection, connection.transaction():
            if not await is_new(connection, self.name, event_id(message)):
                return
            for line in order.lines:
                await connection.execute(
                    "INSERT INTO usual.refundable VALUES ($1, $2, $3, 0)",
                    order.order_id,
                    line.line_id,
                    line.quantity,
                )

    async def lock(self, granted: IssuanceGrantedTogether, message: KafkaMessage) -> None:
        """issuance.granted -> refund.locked, with the lines of which nothing is left to refund."""
        locked = []
        async with self.pool.acquire() as connection, connection.transaction():
            if not await is_new(connection, self.name, event_id(message)):
                return
            for grant in granted.grants:
                left = await connection.fetchval(
                    "UPDATE usual.refundable SET locked = locked + $3 WHERE order_id = $1 AND line_id = $2 "
                    "RETURNING paid - locked",
                    granted.order_id,
                    grant.line_id,
                    grant.quantity,
                )
                if left == 0:
                    locked.append(
                        {"line_id": grant.line_id, "locked_at": wire_time(now()), "reason": "issued"}
                    )
        self.settled("issuance.granted.v2", granted.order_id)
        if locked:
            data = {"order_id": granted.order_id, "lines": locked}
            await self.publish([("refunds.events", granted.order_id, "refund.locked.v2", data)])
