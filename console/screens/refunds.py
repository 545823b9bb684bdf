"""*Refunds*: those that wait, one of them, and what may be decided about it: first shown, then done."""

from datetime import datetime
from functools import partial
from typing import Any, Final, cast, get_args
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from console.asking import Services, id_of, reason_of
from console.pages import page, see, table
from console.reading import Reader
from console.routes import Form, Route, get, post
from console.tables import Column, Row, view_of
from console.visits import Visit
from console.ways import refund_path
from ops.shell.problem import Exit, Problem
from ops.watch.decide.answers import ONLY_SHOWN
from shared.clock import now
from shared.ids import uuid7
from shared.operators.deciding import RefundDecision

SERVICE: Final = "refunds"
READ, MANAGE = "refunds:read", "refunds:manage"
MOST: Final = 1_000
COLUMNS: Final = (
    Column("refund_request_id", "Request", "id"),
    Column("order_id", "Order", "id"),
    Column("state", "State", "code"),
    Column("why", "Because", "code"),
    Column("amount", "Won", "won"),
    Column("since", "Since", "instant"),
    Column("who", "Who", "code"),
    Column("deadline", "Deadline", "instant"),
    Column("overdue", "Overdue", "code"),
    Column("legal_on", "By law until"),
    Column("partner_id", "Partner", "id"),
)
SHOWN: Final = ("refund_request_id", "state", "why", "amount", "since", "who", "overdue", "legal_on")
"""What fits on a page; files have all of it."""
DECISIONS: Final = tuple(decision for decision in get_args(RefundDecision) if decision != "proof")


def routes(reader: Reader, services: Services) -> list[Route]:
    """The routes of this module."""
    return [
        get("/refunds", partial(show, services), READ),
        get("/refund", partial(show_one, services), READ),
        post("/refund/try", partial(try_decision, services), MANAGE),
        post("/refund/decide", partial(decide, reader, services), MANAGE),
    ]


async def show(services: Services, request: Request, visit: Visit) -> Response:
    """Those that are not at their end, the oldest request first; with `all=yes` the others too."""
    everything = request.query_params.get("all") == "yes"
    asked = urlencode({"limit": MOST} | ({} if everything else {"waiting": "true"}))
    found = await services.look(visit.person, SERVICE, READ, f"/v1/refunds?{asked}")
    rows = [row_of(each) for each in found["items"]]
    view = view_of(request.query_params, COLUMNS, ("all",))
    shows = partial(
        page,
        request,
        visit,
        "refunds.html",
        fitting=[column for column in COLUMNS if column.name in SHOWN],
        everything=everything,
        has_more=found["next"] is not None,
    )
    return table(request, rows, COLUMNS, view, "refunds", now(), shows)


def row_of(refund: dict[str, Any]) -> Row:
    """A refund as a row."""
    overdue = "overdue" if refund["overdue"] else "late" if refund["late"] else None
    named = {column.name: refund[column.name] for column in COLUMNS}
    return {
        **named,
        "since": datetime.fromisoformat(refund["since"]),
        "deadline": None if refund["deadline"] is None else datetime.fromisoformat(refund["deadline"]),
        "overdue": overdue,
        "way": refund_path(refund["refund_id"]),
    }


async def show_one(services: Services, request: Request, visit: Visit) -> Response:
    """One refund with every step of it. Raises Problem."""
    refund_id = id_of(request.query_params.get("id", ""))
    return _page(request, visit, await _fetch(services, visit, refund_id))


async def try_decision(services: Services, request: Request, visit: Visit, form: Form) -> Response:
    """What a decision would change, and the events that would follow; nothing is kept. Raises Problem."""
    refund_id, decision = id_of(form.get("id", "")), _decision(form)
    body = {"reason": ONLY_SHOWN, "apply": False}
    path = f"/v1/refunds/{refund_id}/{decision}"
    outcome = await services.tell(visit.person, SERVICE, MANAGE, path, body)
    return _page(request, visit, await _fetch(services, visit, refund_id), outcome)


async def decide(reader: Reader, services: Services, request: Request, visit: Visit, form: Form) -> Response:
    """Decides. Sent twice, the same form decides once. Raises Problem."""
    refund_id, decision = id_of(form.get("id", "")), _decision(form)
    body = {"reason": reason_of(form), "apply": True}
    path = f"/v1/refunds/{refund_id}/{decision}"
    await services.tell(visit.person, SERVICE, MANAGE, path, body, form.get("key") or None)
    reader.forget()
    return see(f"{refund_path(refund_id)}&done=decided")


def _decision(form: Form) -> RefundDecision:
    decision = form.get("decision", "")
    if decision not in DECISIONS:
        raise Problem(f"{decision!r} is no decision.", f"One of: {', '.join(DECISIONS)}", Exit.USAGE)
    return cast(RefundDecision, decision)


async def _fetch(services: Services, visit: Visit, refund_id: str) -> dict[str, Any]:
    found: dict[str, Any] = await services.look(visit.person, SERVICE, READ, f"/v1/refunds/{refund_id}")
    return found


def _page(
    request: Request, visit: Visit, refund: dict[str, Any], outcome: dict[str, Any] | None = None
) -> Response:
    suffix = "_ko" if visit.language == "ko" else ""
    return page(
        request,
        visit,
        "refund.html",
        refund=refund,
        step=refund[f"what_to_do{suffix}"] or refund["what_to_do"],
        why=refund[f"why_text{suffix}"] or refund["why_text"],
        decisions=[decision for decision in refund["decisions"] if decision in DECISIONS],
        outcome=outcome,
        key=str(uuid7()),
        done=request.query_params.get("done") == "decided",
    )
