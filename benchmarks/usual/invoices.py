"""The usual invoices application: a draft for each payment."""

from dataclasses import dataclass
from typing import Any

from faststream.kafka import KafkaBroker, KafkaMessage

from benchmarks.usual.shell import App, event_id, is_new, subscribe
from shared.events.orders import OrderPaid
from shared.ids import uuid7
from shared.kst import month_of


@dataclass(slots=True)
class Invoices(App):
    """Keeps one draft for each payment in its KST month."""

    def subscribe_to_orders(self, broker: KafkaBroker, at_once: int) -> Any:
        """Listens to orders."""
        return subscribe(broker, self.name, "orders.events", at_once, {"order.paid.v1": self.draft})

    async def draft(self, order: OrderPaid, message: KafkaMessage) -> None:
        """order.paid -> invoice.drafted."""
        invoice_id, month = uuid7(), month_of(order.paid_at)
        async with self.pool.acquire() as connection, connection.transaction():
            if not await is_new(connection, self.name, event_id(message)):
                return
            await connection.execute(
                "INSERT INTO usual.invoices VALUES ($1, $2, $3, $4, $5, $6, $7)",
                order.order_id,
                invoice_id,
                order.partner.partner_id,
                order.partner.business_number,
                month,
                order.supply,
                order.vat,
            )
        self.settled("order.paid.v1", order.order_id)
        drafted = {
            "order_id": order.order_id,
            "invoice_id": str(invoice_id),
            "payment_id": order.payment_id,
            "partner_id": order.partner.partner_id,
            "business_number": order.partner.business_number,
            "month": month,
            "supply": order.supply,
            "vat": order.vat,
            "total": order.supply + order.vat,
        }
        await self.publish([("invoices.events", order.order_id, "invoice.drafted.v1", drafted)])
