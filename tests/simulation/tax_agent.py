"""A tax agent in memory, with the faults of one: silent, late, partly, doubly; and who knows of businesses.

It keeps what it was sent, and sees what no agent outside could say: whether a document is sent once more
while nobody knows what became of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random

from services.invoices.business_registry import BusinessState
from services.invoices.decisions.submitting import Answer, Standing
from services.invoices.documents.tax_document import TaxDocument
from services.invoices.posting import NoAnswer, RateLimited
from services.invoices.tax_agent import DUPLICATE, Cancelled, Taken
from tests.simulation.promises import must

REFUSALS = ("business_closed", "business_suspended", "wrong_number", "incomplete", "refused")
INACTIVE: tuple[BusinessState, ...] = ("closed", "suspended", "unregistered")
NOT_TRANSMITTED = "authority_unavailable"
OVER = ("refused", "cancelled", "not_transmitted")
"""Standings in which a document may be sent under its key again, once that was told."""


@dataclass(slots=True)
class Held:
    """A document that the agent has, and how far it is with it; `total` in won."""

    total: int
    written_date: date
    standing: Standing = "working"
    number: str | None = None
    at: datetime | None = None
    reason: str = ""


class Agent:
    """Issues and transmits in its own time, which is `now`. Without `is_faulty` it does all of it well."""

    def __init__(self, random: Random, now: datetime) -> None:
        self._random = random
        self.now = now
        self.is_faulty = True
        self.held: dict[str, Held] = {}
        self._open: set[str] = set()
        self._numbers = 0

    async def submit(self, documents: Sequence[TaxDocument]) -> Sequence[Taken]:
        keys = [document.document_key for document in documents]
        again = sorted(self._open.intersection(keys))
        must(not again, "what the agent may have is not sent again", f"{again} are sent once more")
        self._open.update(keys)
        chance = self._random.random() if self.is_faulty else 1.0
        if chance < 0.08:
            raise NoAnswer("it was never asked")
        if chance < 0.14:
            self._open.difference_update(keys)
            raise RateLimited(60.0)
        told = [each for document in documents if (each := self._take(document)) is not None]
        if chance < 0.26:
            raise NoAnswer("it was asked, and nobody heard the answer")
        for each in told:
            if each.refused not in (None, DUPLICATE):
                self._open.discard(each.document_key)
        return told

    def _take(self, document: TaxDocument) -> Taken | None:
        """What is answered about one; None where it is left out of the answer."""
        key, chance = document.document_key, self._random.random() if self.is_faulty else 1.0
        before = self.held.get(key)
        held = self.held[key] = Held(document.amount.total, document.written_date)
        if before is not None and before.standing == "not_transmitted":
            held.standing, held.number, held.at = "issued", before.number, before.at
        elif chance < 0.1:
            held.standing, held.reason = "refused", self._random.choice(REFUSALS)
            return Taken(key, held.reason)
        if 0.1 <= chance < 0.16:
            return Taken(key, DUPLICATE)
        return None if 0.16 <= chance < 0.22 else Taken(key)

    async def status(self, document_keys: Sequence[str]) -> Sequence[Answer]:
        if self.is_faulty and self._random.random() < 0.12:
            raise NoAnswer("it is down")
        return [self._answer(key) for key in document_keys]

    def _answer(self, key: str) -> Answer:
        held = self.held.get(key)
        if held is None:
            self._open.discard(key)
            return Answer(key, "unknown")
        if not self.is_faulty or self._random.random() < 0.6:
            self._go_on(held)
        if held.standing in OVER:
            self._open.discard(key)
        return Answer(key, held.standing, held.number, held.at, held.reason, held.total)

    def _go_on(self, held: Held) -> None:
        chance = self._random.random() if self.is_faulty else 1.0
        if held.standing == "working" and chance < 0.12:
            held.standing, held.reason = "refused", self._random.choice(REFUSALS)
        elif held.standing == "working":
            self._numbers += 1
            held.standing, held.number = "issued", f"{held.written_date:%Y%m%d}{self._numbers:016d}"
            held.at = self.now - timedelta(minutes=self._random.randint(0, 3))
        elif held.standing == "issued" and chance < 0.12:
            held.standing, held.reason = "not_transmitted", NOT_TRANSMITTED
        elif held.standing == "issued":
            held.standing = "transmitted"

    async def cancel(self, document_key: str) -> Cancelled:
        held = self.held.get(document_key)
        if held is None:
            return "unknown"
        if held.standing not in ("working", "cancelled"):
            return "too_late"
        held.standing, held.reason = "cancelled", ""
        if self._random.random() < 0.4:
            raise NoAnswer("it was cancelled, and nobody heard")
        self._open.discard(document_key)
        return "cancelled"

    async def look_up(self, numbers: Sequence[str]) -> Mapping[str, BusinessState]:
        """It knows of businesses too; some are not active for a while."""
        if not self.is_faulty or self._random.random() < 0.7:
            return {}
        return {number: self._random.choice(INACTIVE) for number in numbers if self._random.random() < 0.3}
