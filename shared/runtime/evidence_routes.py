"""What a service knows of an order that is disputed, over HTTP: its own part, with a chain of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Path
from pydantic import BaseModel

from shared.clock import now
from shared.events.fields import Id
from shared.evidence.chain import FORM, chained, head_of
from shared.evidence.entries import in_order
from shared.evidence.reading import read_evidence
from shared.kst import wire_time
from shared.queries import Queries
from shared.runtime.service import Service
from shared.runtime.surroundings import Surroundings
from shared.web.fields import WireInstant
from shared.web.problems import NOT_FOUND, Problem
from shared.web.routes import Asking, HttpRoute, get

OrderId = Annotated[Id, Path(description="the id of an order")]


class SaidInBoth(BaseModel):
    """A sentence in Korean and English."""

    ko: str
    en: str


class EvidenceEntry(BaseModel):
    """One thing that happened (`recorded_at` is not null) or that stands.

    `hash` is the SHA-256 of the canonical JSON of all else in it, `previous` that of the entry before. To a
    partner, details about others are null.
    """

    number: int
    service: str
    kind: str
    name: str
    at: WireInstant | None
    recorded_at: WireInstant | None
    says: SaidInBoth
    details: Mapping[str, Any]
    previous: str
    hash: str


class EvidencePart(BaseModel):
    """What one service knows of an order. `head` is the hash of the last entry."""

    form: str
    order_id: str
    service: str
    taken_at: WireInstant
    head: str
    entries: list[EvidenceEntry]


@dataclass(slots=True, frozen=True)
class EvidenceEndpoint:
    """The request. A service that knows who has left answers partners too."""

    service: Service
    queries: Queries
    surroundings: Surroundings

    def routes(self) -> list[HttpRoute]:
        """The route, where the service has something to tell."""
        if self.service.evidence is None:
            return []
        path, partners = "/v1/orders/{order_id:path}/evidence", self.service.has_left is not None
        return [get(path, self.evidence, "evidence:read", answers=EvidencePart, partners=partners)]

    async def evidence(self, order_id: OrderId, caller: Asking) -> Any:
        """What this service knows of an order: what stands, then what happened, linked into a chain."""
        evidence = self.service.evidence
        assert evidence is not None
        async with (
            self.surroundings.pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            owner = await connection.fetchval(getattr(self.queries, evidence.owner), order_id)
            may_see = caller.partner_id is None or (owner is not None and caller.may_see(owner))
            entries = await read_evidence(connection, self.queries, evidence, order_id) if may_see else []
        if not entries:
            name = self.service.name
            raise Problem(
                NOT_FOUND, what=f"{name} knows nothing of an order {order_id}; pawl find WORD looks"
            )
        service, is_operator = self.service.name, caller.partner_id is None
        told = in_order([(service, entry) for entry in entries])
        head = {"form": FORM, "order_id": order_id, "service": service, "taken_at": wire_time(now())}
        document = chained(head, [entry.content(service, whole=is_operator) for _, entry in told])
        return {**document, "head": head_of(document)}
