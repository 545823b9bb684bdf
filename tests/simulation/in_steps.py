"""Histories in which persons close months in steps: approved, issued by somebody else, transmitted.

In half of them a tax agent issues, which fails in the ways that agents do. Batches, agents and other persons
come between the transactions of a step, and everything may be killed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from random import Random
from typing import Any
from unittest.mock import patch

import asyncpg

import services.invoices.submitting as submitting
from services.invoices.calendar import cut_off
from services.invoices.decisions.transmitting import Result
from services.invoices.state import NewId, Policy
from services.invoices.store import Store
from shared.runtime.surroundings import Surroundings
from tests.simulation.agent import Agent, document_to_send
from tests.simulation.checkout import months_of
from tests.simulation.closing_book import ClosingBook
from tests.simulation.drafts import all_documents
from tests.simulation.engine import BROKEN, ORDERS, PARTITIONS, POINTS, Outcome, Simulation, advance
from tests.simulation.finance import Act, look_at_agent, take_step
from tests.simulation.memory import Fault, Held, Row, Running
from tests.simulation.promises import Violation
from tests.simulation.system import Silence, System

PERSONS = ("kim", "lee", "park")
ISSUER = "choi"
"""Who issues whole months, and approves nothing: so that each document is issued at last."""
MONTHS = ("2026-08", "2026-09", "2026-10")
PAUSES = frozenset(
    {"claim_month", "partners_to_approve", "lock_partners", "closed_months", "stand_of_month",
     "submissions_to_send", "submissions_to_ask", "submission_of_key"}
)  # fmt: skip
"""Statements of a step before which others may come between: also before it holds anything."""


def policy_of(seed: int) -> Policy:
    """What the operator of a history has chosen: most want four eyes, every other one has an agent."""
    return Policy(four_eyes=seed // 8 % 4 != 0, tax_agent=seed // 4 % 2 == 0)


@contextmanager
def without_paper(new_id: NewId) -> Iterator[None]:
    """Documents go to the agent as values, ids are the simulation's, and nothing is logged."""
    with ExitStack() as stack:
        for name, value in (
            ("document_to_send", document_to_send),
            ("uuid7", new_id),
            ("log", Silence()),
        ):
            stack.enter_context(patch.object(submitting, name, value))
        yield


class InSteps(Simulation):
    """One seed of such a history."""

    def __init__(self, seed: int, orders: int = ORDERS) -> None:
        self.policy = policy_of(seed)
        self.agent = Agent(Random(seed))
        super().__init__(seed, orders)
        self._invoices = self.system.sites["invoices"]
        self._invoices.agent = self.agent
        self.book = ClosingBook(self._invoices.database, self.policy, self.agent)
        self.reached = self.book.reached
        self._at = self.system.wall
        self._last: Act | None = None

    def _new_system(self) -> System:
        return System(PARTITIONS, self.policy)

    def run(self) -> Outcome:
        with without_paper(self.system.sites["invoices"].database.new_id):
            return super().run()

    def _actions(self) -> Mapping[Callable[[], None], int]:
        more: dict[Callable[[], None], int] = {self._take_a_step: 4}
        if self.policy.tax_agent:
            more |= {self._look_at_the_agent: 6, self._recall_a_document: 2}
        else:
            more |= {self._transmit_some: 4}
        return {**super()._actions(), **more}

    def _do(self, action: Callable[[], None]) -> None:
        self.book.begin()
        try:
            super()._do(action)
        except asyncpg.UniqueViolationError as twice:
            raise Violation("what is unique is there once", str(twice)) from twice
        self.book.look()

    # persons

    def _next_instant(self, month: str | None = None) -> datetime:
        """When the next thing happens: later than all before, and when a month can be closed at all."""
        earliest = self._at if month is None else cut_off(month, 5, 18)
        self._at = max(self._at, self.system.wall, earliest) + timedelta(minutes=self.random.randint(1, 5))
        return self._at

    def _act(self, what: str, month: str, **more: Any) -> Act:
        actor = more.pop("actor", None) or self.random.choice(PERSONS)
        act = Act(what, month, self._next_instant(month), self._invoices.database.new_id(), actor, **more)
        self.book.acts[str(act.id)] = act
        return act

    def _a_step(self) -> Act:
        month = self.random.choice(MONTHS)
        documents = all_documents(self._invoices.database.tables).values()
        numbers = sorted({d["business_number"] for d in documents if d["month"] == month})
        some: Sequence[str] | None = (
            [self.random.choice(numbers)] if numbers and self.random.random() < 0.5 else None
        )
        despite = self.random.random() < 0.3
        what, last = self.random.choice(("approve", "issue")), self._last
        if last is not None and self.random.random() < 0.5:  # the same person goes on with it
            month, some, who = last.month, last.numbers, last.actor
            self._last = self._act(what, month, numbers=some, despite_open_refunds=despite, actor=who)
        else:
            self._last = self._act(what, month, numbers=some, despite_open_refunds=despite)
        return self._last

    def _take_a_step(self) -> None:
        """Somebody approves or issues; often something lands in the middle of it."""
        if self.random.random() < 0.6 and self._late_share() < 0.3:
            return
        act = self._a_step()
        if self._comes_between(0.4):
            self._amid(lambda: self._take(act), self._something_else())
        else:
            with self._dying("invoices"):
                self._refused(act, self._invoices.take_step(act))

    def _comes_between(self, share: float) -> bool:
        return self.random.random() < share

    def _take(self, act: Act) -> Any:
        return take_step(*self._with(), act, self._invoices.database.new_id)

    def _with(self) -> tuple[Surroundings, Store, Agent]:
        assert self._invoices.invoices_store is not None
        return self._invoices.surroundings, self._invoices.invoices_store, self.agent

    def _refused(self, act: Act, answer: str) -> None:
        self.reached.add(f"{act.what}: {answer}")

    def _something_else(self) -> Callable[[], Any]:
        """What lands in the middle: mostly what was published, sometimes another person or the agent."""
        draw = self.random.random()
        if draw < 0.2:
            act = self._a_step()
            return lambda: Running(self._take(act)).finish()
        if draw < 0.4 and self.policy.tax_agent:
            return self._agent_look()
        consumer = self.consumers["invoices"]
        records = self._batch(consumer, consumer.at, most=8)

        def read() -> None:
            consumer.site.handle(records)
            advance(consumer.at, records)

        return read if records else lambda: None

    def _agent_look(self) -> Callable[[], Any]:
        what, at = self.random.choice(("send", "ask")), self._next_instant() + timedelta(minutes=3)
        self._at = at
        return lambda: Running(look_at_agent(*self._with(), what, at)).finish()

    def _amid(self, begin: Callable[[], Any], other: Callable[[], Any]) -> None:
        """Takes a step that pauses somewhere, and has something else happen there."""
        database = self._invoices.database
        usual, database.pause_before = database.pause_before, PAUSES
        slow = Running(begin())
        try:
            database.pausing = True
            for _ in range(self.random.randint(1, 14)):
                if slow.step() is None:
                    break
            database.pausing = False
            self.reached.add("amid" if not slow.done else "after")
            try:
                other()
            except Held:
                slow.finish()
                other()
            slow.finish()
        finally:
            database.pausing, database.pause_before = False, usual

    def _transmit_some(self) -> None:
        """Somebody enters what the authority said, sometimes wrongly, twice, or of another document."""
        issued = [d for d in self._invoices.database.tables["documents"].values() if d["state"] == "issued"]
        if not issued:
            return
        month = self.random.choice(sorted({d["month"] for d in issued}))
        some = sorted((d for d in issued if d["month"] == month), key=lambda d: d["document_key"])
        chosen = self.random.sample(some, min(len(some), self.random.randint(1, 3)))
        results = [self._result(d) for d in chosen]
        self.book.told_by_hand |= {(r.document_key, r.approval_number) for r in results if r.approval_number}
        with self._dying("invoices"):
            act = self._act("transmit", month, results=results)
            self._refused(act, self._invoices.take_step(act))

    def _result(self, document: Row) -> Result:
        key, draw = document["document_key"], self.random.random()
        if draw < 0.2:
            return Result(key, None, "authority_unavailable")
        tail = sum(map(ord, key)) if draw < 0.6 else self.random.randint(1, 2)
        return Result(key, f"{document['written_date']:%Y%m%d}{tail:016d}", None)

    def _recall_a_document(self) -> None:
        """Somebody takes a document back from the agent."""
        given = [s for s in self._invoices.database.tables["submissions"].values()
                 if s["state"] in ("to_send", "sending", "sent")]  # fmt: skip
        if given:
            chosen = self.random.choice(sorted(given, key=lambda s: s["document_key"]))
            with self._dying("invoices"):
                act = self._act("recall", chosen["month"], key=chosen["document_key"])
                self._refused(act, self._invoices.take_step(act))

    # the agent

    def _look_at_the_agent(self) -> None:
        """The service gives documents to the agent, or asks it; sometimes another process does so too."""
        look = self._agent_look()
        if self._comes_between(0.25):
            what, at = self.random.choice(("send", "ask")), self._next_instant()
            self._amid(lambda: look_at_agent(*self._with(), what, at), look)
            return
        if self.random.random() < 0.3:
            fault = Fault(
                self.random.choice(POINTS), self.random.random() < 0.5, self.random.randrange(0, 14)
            )
            self._invoices.database.fault = fault
        try:
            self._invoices.look_at_agent(self.random.choice(("send", "ask")), self._next_instant())
        except BROKEN:
            self.consumers["invoices"].forget()

    def _let_the_agent_end(self) -> bool:
        """Sends and asks until there is nothing to be sent or asked; whether there was something."""
        moved = False
        for _ in range(60):
            self._at += timedelta(hours=1)
            sent = self._invoices.look_at_agent("send", self._at)
            asked = self._invoices.look_at_agent("ask", self._at)
            if not sent and not asked:
                return moved
            moved = True
        raise Violation("everything comes to rest", "the agent is asked for ever")

    # the month end, whole

    def _close(self, month: str) -> None:
        """A month is approved and issued as a whole, in one stroke where that may be."""
        in_one_stroke = self.is_faulty and not self.policy.four_eyes and not self.policy.tax_agent
        if in_one_stroke and self.random.random() < 0.3:
            super()._close(month)
            return
        rounds = 1 if self.is_faulty else 4
        for _ in range(rounds):
            for what, actor in (("approve", self.random.choice(PERSONS)), ("issue", ISSUER)):
                act = self._act(what, month, actor=actor, despite_open_refunds=not self.is_faulty)
                with self._dying("invoices"):
                    self._refused(act, self._invoices.take_step(act))
            if not self.is_faulty and self.policy.tax_agent:
                self._let_the_agent_end()
        self.closed.append(month)

    def _settle(self, name: str) -> bool:
        moved = super()._settle(name)
        if name == "invoices" and self.policy.tax_agent:
            moved |= self._let_the_agent_end()
        return moved

    def _come_to_rest(self) -> None:
        self.agent.is_faulty = False
        super()._come_to_rest()
        self._do(self._transmit_the_rest)
        self.book.rest()
        self.reached |= self.agent.reached

    def _transmit_the_rest(self) -> None:
        """What was issued by corrections since the last close goes to the agent, originals first."""
        if self.policy.tax_agent:
            for month in [*months_of(self.system.broker)] * 2:
                self._close(month)
