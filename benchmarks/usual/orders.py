"""The usual orders application: records payments, claims units to issue, confirms them."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from faststream.kafka import KafkaBroker, KafkaMessage

from benchmarks.usual.shell import App, Said, encoded, event_id, is_new, subscribe
from shared.events.checkout import PaymentCompleted
from shared.events.serials import SerialsIssuedTogether
from shared.ids import uuid7
from shared.kst import wire_time
from shared.money import Money, payment_money

TOPIC = "orders.events"


@dataclass(slots=True)
class Orders(App):
    """With `keep_events` its events go to a table in the transaction, not to the broker after it."""

    keep_events: bool = False

    def subscribe_to_checkout(self, broker: KafkaBroker, at_once: int) -> Any:
        """Listens to checkout."""
        return subscribe(
            broker, self.name, "checkout.events", at_once, {"payment.completed.v1": self.record_payment}
        )

    def subscribe_to_serials(self, broker: KafkaBroker, at_once: int) -> Any:
        """Listens to serials."""
        return subscribe(
            broker, self.name, "serials.events", at_once, {"serials.issued.v2": self.confirm_issuance}
        )

    async def record_payment(self, payment: PaymentCompleted, message: KafkaMessage) -> None:
        """payment.completed -> order.paid, and issuance.granted for the lines that are issued at once."""
        await self.gate.passed()
        events: list[Said] = []
        async with self.pool.acquire() as connection, connection.transaction():
            if not await is_new(connection, self.name, event_id(message)):
                return
            money = payment_money(
                payment.vat_mode, sum(line.unit_price * line.quantity for line in payment.lines)
            )
            if money.total != payment.amount:
                raise ValueError(f"order {payment.order_id} comes to {money.total} won")
            await self._insert(connection, payment, money)
            events.append((TOPIC, payment.order_id, "order.paid.v1", _paid(payment, money)))
            if payment.issue_policy == "automatic":
                events.append(await self._claim(connection, payment))
            if self.keep_events:
                await self._keep(connection, events)
        self.settled("payment.completed.v1", payment.order_id)
        if not self.keep_events:
            await self.publish(events)

    async def confirm_issuance(self, issued: SerialsIssuedTogether, message: KafkaMessage) -> None:
        """serials.issued: the units of some claims have their serials."""
        async with self.pool.acquire() as connection, connection.transaction():
            if not await is_new(connection, self.name, event_id(message)):
                return
            for grant in issued.grants:
                await connection.execute(
                    "UPDATE usual.order_lines SET issuing = issuing - $3, issued = issued + $3 "
                    "WHERE order_id = $1 AND line_id = $2",
                    issued.order_id,
                    grant.line_id,
                    grant.quantity,
                )
                await connection.execute(
                    "UPDATE usual.claims SET state = 'confirmed' WHERE claim_id = $1", UUID(grant.grant_id)
                )
        self.settled("serials.issued.v2", issued.order_id)

    async def _insert(self, connection: Any, payment: PaymentCompleted, money: Money) -> None:
        await connection.execute(
            "INSERT INTO usual.orders VALUES ($1, $2, 'paid', $3, $4, $5, $6)",
            payment.order_id,
            payment.partner.partner_id,
            payment.payment_id,
            payment.paid_at,
            money.supply,
            money.vat,
        )
        for line in payment.lines:
            await connection.execute(
                "INSERT INTO usual.order_lines VALUES ($1, $2, $3, $4, $5, $6, 0, 0)",
                payment.order_id,
                line.line_id,
                line.product_id,
                line.unit_price,
                line.usage_days,
                line.quantity,
            )

    async def _claim(self, connection: Any, payment: PaymentCompleted) -> Said:
        grants = []
        for line in payment.lines:
            grant_id = uuid7()
            await connection.execute(
                "UPDATE usual.order_lines SET issuing = issuing + $3 WHERE order_id = $1 AND line_id = $2",
                payment.order_id,
                line.line_id,
                line.quantity,
            )
            await connection.execute(
                "INSERT INTO usual.claims VALUES ($1, $2, $3, $4, 'claimed')",
                grant_id,
                payment.order_id,
                line.line_id,
                line.quantity,
            )
            grants.append({"grant_id": str(grant_id), **line.model_dump()})
        granted = {
            "order_id": payment.order_id,
            "partner_id": payment.partner.partner_id,
            "grants": grants,
        }
        return TOPIC, payment.order_id, "issuance.granted.v2", granted

    async def _keep(self, connection: Any, events: list[Said]) -> None:
        for topic, key, type_name, data in events:
            await connection.execute(
                "INSERT INTO usual.events (topic, key, type, data) VALUES ($1, $2, $3, $4)",
                topic,
                key,
                type_name,
                encoded(data),
            )


def _paid(payment: PaymentCompleted, money: Money) -> dict[str, Any]:
    document = payment.model_dump(mode="json")
    return {
        **document,
        "supply": money.supply,
        "vat": money.vat,
        "paid_at": wire_time(payment.paid_at),
    }
