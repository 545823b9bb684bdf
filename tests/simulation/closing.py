"""Histories in which persons close a month in steps, by hand or with a tax agent, while all else goes on."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final
from unittest.mock import patch
from uuid import UUID

import asyncpg

import services.invoices.submitting as submitting
from services.invoices.approving import (
    FourEyes,
    Issuer,
    Step,
    WithAgent,
    WithoutAgent,
    approve,
    issue,
    transmitted,
)
from services.invoices.calendar import cut_off
from services.invoices.closes import MonthClose, Sizes
from services.invoices.decisions.lines import PrintedLine
from services.invoices.decisions.transmitting import Result
from services.invoices.documents.tax_document import Party, TaxDocument
from services.invoices.recalling import AgentSilent, NotWithAgent, recall_document
from services.invoices.state import Policy
from services.invoices.store import DOCUMENTS, Store
from services.invoices.submitting import Outside, ask_some, send_some
from tests.simulation.engine import BROKEN, ORDERS, POINTS, Outcome, Simulation
from tests.simulation.memory import Fault, Held, Row, Running
from tests.simulation.promises import Violation, must
from tests.simulation.tax_agent import Agent

MONTHS: Final = ("2026-08", "2026-09", "2026-10")
PERSONS: Final = ("kim", "lee", "park")
SIZES: Final = Sizes(chunk=1, in_a_set=0)
SUPPLIER: Final = Party("1168200276", "우리 회사")
MOST_LOOKS: Final = 40
"""So often an agent that does all well is looked at until it has done it."""


class InSteps(Simulation):
    """Businesses are approved, issued by another person, and transmitted by hand."""

    def __init__(self, seed: int, orders: int = ORDERS) -> None:
        super().__init__(seed, orders)
        self.site = self.system.sites["invoices"]
        assert self.site.invoices_store is not None
        self.store: Store = self.site.invoices_store
        self.checks.closing.in_steps = True
        self.now = self.system.wall
        self.reached: set[str] = set()
        self._numbers = 0

    def _actions(self) -> dict[Any, int]:
        others = {act: often for act, often in super()._actions().items() if act != self._close_a_month}
        return {**others, self._approve_some: 4, self._issue_some: 6, self._hear_of_some: 2}

    def _at(self, month: str) -> datetime:
        """Later each time, and after the month."""
        pause = timedelta(minutes=self.random.randint(1, 3_000))
        self.now = max(self.now + pause, self.system.wall, cut_off(month, 5, 18))
        return self.now

    def _is_early(self) -> bool:
        return self.random.random() < 0.6 and self._late_share() < 0.3

    def _scope(self) -> tuple[str, Sequence[str] | None]:
        """A month, and mostly all of it."""
        month = self.random.choice(MONTHS)
        documents = self._table("documents").values()
        numbers = sorted({d["business_number"] for d in documents if d["month"] == month})
        if not numbers or self.random.random() < 0.6:
            return month, None
        return month, [self.random.choice(numbers)]

    def _table(self, name: str) -> dict[Any, Row]:
        return self.site.database.tables[name]

    def _approve_some(self) -> None:
        if not self._is_early():
            self._approve(*self._scope(), self.random.choice(PERSONS), despite=self.random.random() < 0.3)

    def _approve(self, month: str, numbers: Sequence[str] | None, actor: str, *, despite: bool) -> None:
        step = self._step(month, numbers, actor, "month.approve", despite=despite)
        new_id = self.site.database.new_id
        self._act(actor, approve(self.site.surroundings, self.store, step, sizes=SIZES, new_id=new_id))

    def _issue_some(self) -> None:
        if not self._is_early():
            self._issue(*self._scope(), self.random.choice(PERSONS), despite=self.random.random() < 0.3)

    def _issue(self, month: str, numbers: Sequence[str] | None, actor: str, *, despite: bool) -> None:
        step = self._step(month, numbers, actor, "month.issue", despite=despite)
        try:
            self._act(actor, issue(self.site.surroundings, self.store, step, self._issuer()))
        except FourEyes:
            self.reached.add("four eyes")

    def _issuer(self) -> Issuer:
        return WithoutAgent(self.site.surroundings, self.store, SIZES)

    def _step(
        self, month: str, numbers: Sequence[str] | None, actor: str, action: str, *, despite: bool
    ) -> Step:
        at, new_id = self._at(month), self.site.database.new_id()
        return Step(MonthClose(month, at, new_id, actor, "as agreed", despite, action), numbers)

    def _hear_of_some(self) -> None:
        """Somebody tells approval numbers and refusals of the authority; some of that cannot be."""
        issued = sorted(
            (d for d in self._table("documents").values() if d["state"] == "issued"),
            key=lambda document: document["document_key"],
        )
        if issued and not self._is_early():
            month = self.random.choice(issued)["month"]
            chosen = [d for d in issued if d["month"] == month and self.random.random() < 0.5]
            self._hear(month, [self._result(document) for document in chosen])

    def _result(self, document: Row) -> Result:
        key, chance = document["document_key"], self.random.random() if self.is_faulty else 1.0
        if chance < 0.2:
            return Result(key, None, self.random.choice(("business_closed", "wrong_number", "lost")))
        day = f"{document['written_date']:%Y%m%d}"
        told = (row["approval_number"] for row in self._table("transmissions").values())
        used = [number for number in told if number is not None and number.startswith(day)]
        if chance < 0.4 and used:
            return Result(key, self.random.choice(used), None)
        if chance < 0.45:
            return Result(key, "2020010100000000000000AB", None)
        self._numbers += 1
        return Result(key, f"{day}{self._numbers:016d}", None)

    def _hear(self, month: str, results: Sequence[Result]) -> None:
        close = self._step(month, None, "kim", "month.transmit", despite=False).close
        said = self._act("kim", transmitted(self.site.surroundings, self.store, close, results))
        self.reached |= {f"told={each['code']}" for each in (said or {}).get("refused", ())}

    # How a step is taken

    def _act(self, actor: str, work: Any) -> Any:
        """Somebody takes a step: killed in the middle, with a batch in the middle, or undisturbed."""
        chance = self.random.random() if self.is_faulty else 1.0
        self.checks.closing.actor = actor
        try:
            if chance < 0.25:
                self.site.database.fault = Fault(
                    self.random.choice(POINTS), self.random.random() < 0.5, self.random.randrange(0, 30)
                )
            return self._with_a_batch(work) if chance > 0.6 and self.is_faulty else Running(work).finish()
        except BROKEN:
            self.reached.add("a step that died")
            self.consumers["invoices"].forget()
        except asyncpg.UniqueViolationError as twice:
            raise Violation("no step is refused by the database", str(twice)) from twice
        finally:
            self.site.database.fault = None
            self.checks.step()
            self.checks.closing.actor = ""

    def _with_a_batch(self, work: Any) -> Any:
        """A consumer handles a batch while the step is between two transactions, or inside of one."""
        consumer, database = self.consumers["invoices"], self.site.database
        records = self._batch(consumer, consumer.at, most=8)
        slow = Running(work)
        database.pausing = True
        try:
            for _ in range(self.random.randint(1, 8)):
                if slow.step() is None:
                    break
        finally:
            database.pausing = False
        if not records:
            return slow.finish()
        try:
            consumer.take(records)
        except Held:
            result = slow.finish()
            consumer.take(records)
            return result
        self.checks.step()
        self.reached.add("a batch between")
        return slow.finish()

    # rest

    def _close_all(self) -> None:
        for month in sorted({document["month"] for document in self._table("documents").values()}):
            self._approve(month, None, "kim", despite=True)
            for person in PERSONS:
                self._issue(month, None, person, despite=True)
            self._transmit_all(month)

    def _transmit_all(self, month: str) -> None:
        told = {key for key, row in self._table("transmissions").items() if row["state"] == "transmitted"}
        issued = [
            document
            for document in self._table("documents").values()
            if document["state"] == "issued" and document["month"] == month
        ]
        left = [document for document in issued if document["invoice_id"] not in told]
        if left:
            self._hear(month, [self._result(document) for document in left])


class WithTaxAgent(InSteps):
    """The same, where a tax agent issues what was approved, and transmits it."""

    policy = Policy(tax_agent=True)

    def __init__(self, seed: int, orders: int = ORDERS) -> None:
        super().__init__(seed, orders)
        self.agent = Agent(self.random, self.now)
        self.outside = Outside(self.agent, self.agent, SUPPLIER)

    def run(self) -> Outcome:
        with patch.object(submitting, "document_to_send", self._shown):
            return super().run()

    async def _shown(self, pool: Any, invoice_id: UUID, supplier: Party, at: datetime) -> TaxDocument:
        """A document as the agent is given it, without what only a reader would look for."""
        document = DOCUMENTS.read(self._table("documents")[invoice_id])
        assert document.document_key is not None
        assert document.written_date is not None
        buyer = Party(document.business_number, document.partner_id)
        line = PrintedLine("", document.document_key, None, None, document.amount)
        return TaxDocument(
            document.document_key,
            document.month,
            document.partner_id,
            supplier,
            buyer,
            document.written_date,
            document.issued_at or at,
            (line,),
            document.amount,
        )

    def _actions(self) -> dict[Any, int]:
        others = {act: often for act, often in super()._actions().items() if act != self._hear_of_some}
        return {**others, self._look_at_the_agent: 14, self._recall_one: 2}

    def _issuer(self) -> Issuer:
        return WithAgent(self.site.surroundings, self.store, SIZES)

    def _look_at_the_agent(self) -> None:
        self._later()
        look = self.random.choice((send_some, ask_some))
        self._act("", look(self.site.surroundings, self.store, self.outside, self.now))

    def _later(self) -> None:
        self.now = max(self.now, self.system.wall) + timedelta(minutes=self.random.randint(1, 45))
        self.agent.now = self.now

    def _recall_one(self) -> None:
        given = [
            s for s in self._table("submissions").values() if s["state"] in ("to_send", "sending", "sent")
        ]
        if not given:
            return
        one = self.random.choice(sorted(given, key=lambda row: row["document_key"]))
        close = self._step(one["month"], None, "park", "document.recall", despite=False).close
        key = one["document_key"]
        with self._refused_recall():
            self._act("", recall_document(self.site.surroundings, self.store, self.agent, close, key))
            self.reached.add("recalled")

    @contextmanager
    def _refused_recall(self) -> Iterator[None]:
        try:
            yield
        except (NotWithAgent, AgentSilent) as refused:
            self.reached.add(type(refused).__name__)

    def _settle(self, name: str) -> bool:
        moved = super()._settle(name)
        return self._agent_does_all() or moved if name == "invoices" else moved

    def _agent_does_all(self) -> bool:
        """Whether the agent had anything to do."""
        self.agent.is_faulty, moved = False, False
        for _ in range(MOST_LOOKS):
            self._later()
            at = self.now
            looks = (send_some, ask_some)
            due = [
                self._act("", look(self.site.surroundings, self.store, self.outside, at)) for look in looks
            ]
            if not any(due):
                break
            moved = True
        return moved

    def _transmit_all(self, month: str) -> None:
        """That is for the agent to do."""

    def _documents_are_issued(self) -> None:
        super()._documents_are_issued()
        submissions = self._table("submissions")
        for invoice_id, document in self._table("documents").items():
            if document["state"] != "issued":
                continue
            key, given = document["document_key"], submissions.get(invoice_id)
            must(given is not None, "what is issued is transmitted", f"{key} was never given to the agent")
            assert given is not None
            held, won = self.agent.held.get(key), document["supply"] + document["vat"]
            must(given["state"] == "transmitted" and held is not None, "what is issued is transmitted",
                 f"{key} is {given['state']}")  # fmt: skip
            assert held is not None
            mine = (given["approval_number"], won)
            must(mine == (held.number, held.total), "the agent has what was issued",
                 f"{key}: {mine}, {held}")  # fmt: skip
