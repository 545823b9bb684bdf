"""What finance does about a month in steps, each of it by a person, and what a service does about its agent.

Each takes what a service works with, so that it runs in memory and on Postgres alike.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import services.invoices.submitting as submitting
from services.invoices import approving
from services.invoices.approving import FourEyes, Issuer, Step, WithAgent, WithoutAgent
from services.invoices.closes import MonthClose, Sizes
from services.invoices.decisions.transmitting import Result
from services.invoices.recalling import AgentSilent, NotWithAgent, recall_document
from services.invoices.state import NewId
from services.invoices.store import Store
from services.invoices.submitting import Outside
from shared.runtime.surroundings import Surroundings
from tests.simulation.agent import Agent

ONE_AT_A_TIME = Sizes(1, 0)
"""A partner is in each transaction, and nothing goes by sets."""


class Act(NamedTuple):
    """What a person has done about a month at the logical instant `at`; `numbers` None are all businesses."""

    what: str
    month: str
    at: datetime
    id: UUID
    actor: str
    numbers: Sequence[str] | None = None
    despite_open_refunds: bool = False
    results: Sequence[Result] = ()
    key: str = ""


async def take_step(surroundings: Surroundings, store: Store, agent: Agent, act: Act, new_id: NewId) -> str:
    """Approves, issues, transmits or recalls; answers with `done`, or with what it was refused for."""
    close = MonthClose(
        act.month,
        act.at,
        act.id,
        act.actor,
        "month end",
        act.despite_open_refunds,
        f"month.{act.what}",
    )
    step = Step(close, act.numbers)
    try:
        match act.what:
            case "approve":
                await approving.approve(surroundings, store, step, sizes=ONE_AT_A_TIME, new_id=new_id)
            case "issue":
                how: Any = WithAgent if store.policy.tax_agent else WithoutAgent
                issuer: Issuer = how(surroundings, store, ONE_AT_A_TIME)
                await approving.issue(surroundings, store, step, issuer)
            case "transmit":
                await approving.transmitted(surroundings, store, close, act.results)
            case "recall":
                agent.at = act.at
                await recall_document(surroundings, store, agent, close, act.key)
    except (FourEyes, NotWithAgent, AgentSilent) as refused:
        return type(refused).__name__
    return "done"


async def look_at_agent(
    surroundings: Surroundings, store: Store, agent: Agent, what: str, at: datetime
) -> int:
    """Sends the next documents (`send`), or asks about them (`ask`); how many there were."""
    agent.at = at
    outside = Outside(agent, agent, None)  # type: ignore[arg-type]
    look = submitting.send_some if what == "send" else submitting.ask_some
    return await look(surroundings, store, outside, at)
