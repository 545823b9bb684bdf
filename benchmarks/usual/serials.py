"""The usual serials application: a serial for every granted unit."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from faststream.kafka import KafkaBroker, KafkaMessage

from benchmarks.usual.shell import App, event_id, is_new, subscribe
from services.serials.codes import RANDOM_BYTES, make_serials
from services.serials.vault import KeptSerials, Vault
from shared.clock import now
from shared.events.orders import IssuanceGrantedTogether, LineGrant
from shared.ids import random_bytes, uuid7
from shared.kst import wire_time

WINDOW = timedelta(days=91)


@dataclass(slots=True)
class Serials(App):
    """`vault` hashes and encrypts, as Pawl's does."""

    vault: Vault

    def subscribe_to_orders(self, broker: KafkaBroker, at_once: int) -> Any:
        """Listens to orders."""
        return subscribe(broker, self.name, "orders.events", at_once, {"issuance.granted.v2": self.issue})

    async def issue(self, granted: IssuanceGrantedTogether, message: KafkaMessage) -> None:
        """issuance.granted -> serials.issued."""
        issued = []
        async with self.pool.acquire() as connection, connection.transaction():
            if not await is_new(connection, self.name, event_id(message)):
                return
            for grant in granted.grants:
                await self._issue_one(connection, granted.order_id, grant)
                whole = {"grant_id": grant.grant_id, "batch_id": str(uuid7())}
                issued.append({**whole, "line_id": grant.line_id, "quantity": grant.quantity})
        self.settled("issuance.granted.v2", granted.order_id)
        issued_at = now()
        data = {
            "order_id": granted.order_id,
            "issued_at": wire_time(issued_at),
            "registration_deadline": wire_time(issued_at + WINDOW),
            "grants": issued,
        }
        await self.publish([("serials.events", granted.order_id, "serials.issued.v2", data)])

    async def _issue_one(self, connection: Any, order_id: str, grant: LineGrant) -> None:
        grant_id = UUID(grant.grant_id)
        await connection.execute(
            "INSERT INTO usual.grants VALUES ($1, $2, $3, $4)",
            grant_id,
            order_id,
            grant.line_id,
            grant.quantity,
        )
        kept = self.vault.keep(make_serials(random_bytes(grant.quantity * RANDOM_BYTES)))
        for unit in range(grant.quantity):
            await self._insert(connection, grant_id, kept, unit)

    async def _insert(self, connection: Any, grant_id: UUID, kept: KeptSerials, unit: int) -> None:
        await connection.execute(
            "INSERT INTO usual.serials VALUES ($1, $2, $3, $4, $5)",
            uuid7(),
            grant_id,
            kept.tags[unit].tobytes(),
            kept.texts[unit].tobytes(),
            kept.last_four[unit].tobytes().decode("ascii"),
        )
