"""A tax agent in memory that fails in the ways that agents do, and knows what it may be asked.

It makes one document of a key. Calls time out before and after it has taken documents, are on their way while
it is asked something else, are answered in part, too often, or with the number of another document.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

from services.invoices.decisions.submitting import Answer, Standing
from services.invoices.posting import NoAnswer, RateLimited
from services.invoices.store import SQL
from services.invoices.tax_agent import DUPLICATE, Cancelled, Taken
from tests.simulation.promises import must

REASONS = ("business_closed", "wrong_number", "incomplete", "authority_unavailable")
HAS_IT: tuple[Standing, ...] = ("working", "issued", "transmitted", "not_transmitted")
FATES = ("silent", "taken in silence", "on its way", "on its way", "too often", "in part", *("answered",) * 9)
"""What may become of a call with documents."""
SUSPENDED = "business_suspended"
BEFORE = timedelta(seconds=30)
"""So long before it is asked the agent has issued a document."""


class Buyer(NamedTuple):
    """Whose document it is, as far as the registry of businesses is asked."""

    business_number: str


class Sent(NamedTuple):
    """A document as far as an agent without paper looks at it; `total` in won."""

    document_key: str
    total: int
    written_date: date
    buyer: Buyer


async def document_to_send(pool: Any, given: Any, supplier: Any, at: datetime) -> Sent:
    """What the agent is given: how documents look is tested elsewhere."""
    row = await pool.fetchrow(SQL.document_to_send, given.invoice_id)
    total = row["supply"] + row["vat"]
    return Sent(given.document_key, total, row["written_date"], Buyer(row["business_number"]))


@dataclass(slots=True)
class Kept:
    """What the agent has under a key: `number` and `at` since it has issued it."""

    sent: Sent
    standing: Standing = "working"
    number: str | None = None
    at: datetime | None = None
    reason: str = ""


@dataclass(slots=True)
class Agent:
    """The agent, and the registry of businesses beside it.

    `unknown` are keys of which nobody knows what became of their call, `said` every refusal, by key or
    business number, `numbers` all that it gave to a key. `taken` are numbers that the books have: of these it
    takes one for another now and then.
    """

    random: Random
    is_faulty: bool = True
    at: datetime | None = None
    kept: dict[str, Kept] = field(default_factory=dict)
    on_its_way: list[Sent] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)
    said: set[tuple[str, str]] = field(default_factory=set)
    numbers: dict[str, set[str]] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    reached: set[str] = field(default_factory=set)
    _count: int = 0

    async def look_up(self, numbers: Sequence[str]) -> Mapping[str, Any]:
        """How businesses stand: now and then one is suspended for a while."""
        suspended = [number for number in numbers if self._happens(0.04)]
        self.said.update((number, SUSPENDED) for number in suspended)
        return dict.fromkeys(suspended, "suspended")

    async def submit(self, documents: Sequence[Any]) -> Sequence[Taken]:
        """Takes documents. No key is sent while nobody knows what became of it, or while it is here."""
        self._arrive()
        for sent in documents:
            key = sent.document_key
            must(key not in self.unknown, "what nobody knows of is asked about before it is sent", key)
            known = self.kept.get(key)
            must(
                known is None or known.standing not in HAS_IT or known.sent.total != sent.total,
                "a document is sent once under its key",
                f"{key} is {known.standing if known else 'unknown'}",
            )
        fate = self.random.choice(FATES) if self.is_faulty else "answered"
        self.reached.add(f"sent: {fate}")
        keys = {sent.document_key for sent in documents}
        match fate:
            case "too often":
                raise RateLimited(30.0)
            case "silent" | "taken in silence" | "on its way":
                self.unknown |= keys
                if fate == "taken in silence":
                    for sent in documents:
                        self._take(sent)
                elif fate == "on its way":
                    self.on_its_way += documents
                raise NoAnswer(fate)
            case "in part":
                told = [self._take(sent) for sent in documents if self._happens(0.5)]
                self.unknown |= keys - {taken.document_key for taken in told}
                return told
        return [self._take(sent) for sent in documents]

    async def status(self, document_keys: Sequence[str]) -> Sequence[Answer]:
        """Where documents are by now."""
        self._arrive()
        if self._happens(0.12):
            raise NoAnswer("silent")
        if self._happens(0.06):
            raise RateLimited(30.0)
        for key in document_keys:
            self._go_on(key)
            self.reached.add(f"asked: {self.kept[key].standing if key in self.kept else 'unknown'}")
        self.unknown.difference_update(document_keys)
        return [self._answer(key) for key in document_keys]

    async def cancel(self, document_key: str) -> Cancelled:
        """Takes back what it has not transmitted."""
        if self._happens(0.15):
            raise NoAnswer("silent")
        known = self.kept.get(document_key)
        if known is None or known.standing in ("refused", "cancelled"):
            return "unknown"
        if known.standing in ("transmitted", "not_transmitted"):
            return "too_late"
        self.unknown.discard(document_key)
        known.standing, known.reason = "cancelled", ""
        self.said.add((document_key, "cancelled"))
        return "cancelled"

    def _happens(self, share: float) -> bool:
        return self.is_faulty and self.random.random() < share

    def _arrive(self) -> None:
        for sent in self.on_its_way:
            self._take(sent)
        self.on_its_way.clear()

    def _take(self, sent: Sent) -> Taken:
        key = sent.document_key
        known = self.kept.get(key)
        if known is not None and known.standing in HAS_IT:
            return Taken(key, DUPLICATE)
        self.kept[key] = Kept(sent)
        if self._happens(0.08):
            self._refuse(key, "refused")
            return Taken(key, self.kept[key].reason)
        return Taken(key)

    def _refuse(self, key: str, standing: Standing) -> None:
        known = self.kept[key]
        known.standing, known.reason = standing, self.random.choice(REASONS)
        self.said.add((key, known.reason))

    def _go_on(self, key: str) -> None:
        known = self.kept.get(key)
        if known is None or known.standing not in ("working", "issued") or self._happens(0.35):
            return
        if known.standing == "issued":
            if self._happens(0.15):
                self._refuse(key, "not_transmitted")
            else:
                known.standing = "transmitted"
        elif self._happens(0.12):
            self._refuse(key, "refused")
        else:
            self._count += 1
            number = f"{known.sent.written_date:%Y%m%d}{self._count:016d}"
            known.standing, known.number = "issued", number
            assert self.at is not None, "somebody asks"
            known.at = self.at - BEFORE
            self.numbers.setdefault(key, set()).add(number)

    def _answer(self, key: str) -> Answer:
        known = self.kept.get(key)
        if known is None:
            return Answer(key, "unknown")
        number = known.number
        others = sorted(each for each in self.taken if each[:8] == (number or "")[:8] and each != number)
        if others and self._happens(0.3):
            number = self.random.choice(others)
            self.reached.add("asked: the number of another document")
        return Answer(key, known.standing, number, known.at, known.reason, known.sent.total)
