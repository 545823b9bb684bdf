"""A document is taken back from the tax agent before it is issued: it is approved again, and can change."""

from typing import Any

from services.invoices.closes import MonthClose
from services.invoices.decisions.submitting import recall
from services.invoices.posting import NoAnswer, RateLimited
from services.invoices.state import WITH_AGENT
from services.invoices.store import SQL, Store
from services.invoices.tax_agent import TaxAgent
from shared.runtime.audit_log import write_audit
from shared.runtime.surroundings import Surroundings


class NotWithAgent(Exception):
    """The agent does not have the document, or it is too late to take it back; the message says which."""


class AgentSilent(Exception):
    """The agent did not answer: whether the document is still there is not known."""


async def recall_document(
    surroundings: Surroundings, store: Store, agent: TaxAgent, close: MonthClose, key: str
) -> dict[str, Any]:
    """Takes the document of a key back. Safe to repeat while the agent is silent.

    Raises NotWithAgent, and AgentSilent.
    """
    row = await surroundings.pool.fetchrow(SQL.submission_of_key, close.month, key)
    if row is None or row["state"] not in WITH_AGENT:
        raise NotWithAgent(f"document {key} is not with the tax agent")
    if row["is_issued"]:  # late and modified documents are, before the agent hears of them
        raise NotWithAgent(f"document {key} is issued")
    state = row["state"]
    if state == "to_send":
        state = await _unsent(surroundings, row["invoice_id"])
    if state != "to_send":
        await _cancel(agent, row["document_key"], is_taken=state == "sent")
    async with surroundings.pool.acquire() as connection, connection.transaction():
        world = await store.load_submissions(connection, close.month, [row["invoice_id"]], [])
        given = world.submissions[row["invoice_id"]]
        if not world.is_with_agent(world.documents[given.invoice_id]):
            raise NotWithAgent(f"document {key} was issued meanwhile")
        world.put(recall(given))
        await store.save(connection, world)
        await write_audit(connection, close.noted("done"))
    return {"month": close.month, "document_key": key, "state": "approved"}


async def _unsent(surroundings: Surroundings, invoice_id: Any) -> str:
    """Keeps what was not sent from being sent; where that has just begun, the state that says so."""
    held = await surroundings.pool.fetchval(SQL.hold_submission, invoice_id)
    return "to_send" if held else "sending"


async def _cancel(agent: TaxAgent, key: str, *, is_taken: bool) -> None:
    try:
        answer = await agent.cancel(key)
    except (NoAnswer, RateLimited) as silent:
        raise AgentSilent(str(silent)) from None
    if answer == "too_late":
        raise NotWithAgent(f"the tax agent has transmitted document {key}")
    if answer == "unknown" and not is_taken:
        raise AgentSilent("a call with this document may still be on its way")
