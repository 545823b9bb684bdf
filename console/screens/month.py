"""*Month*: how a month stands, what blocks its close, and the close itself or its two steps."""

from datetime import date
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from console.asking import Services, reason_of
from console.pages import page, see
from console.reading import Reader
from console.routes import Form, Route, get, post
from console.visits import Visit
from console.ways import find_path, month_path, refund_path, way_of
from ops.shell.problem import Exit, Problem
from ops.watch.close import CLOSE_SECONDS
from ops.watch.month.asking import is_empty, read_month
from shared.clock import now
from shared.kst import kst_date, month_of, months_before, next_month, parse_month

READ, APPROVE = "invoices:read", "invoices:approve"
NAMED: Final = 10
ACTIONS: Final = ("close", "approve", "issue")


def routes(reader: Reader, services: Services) -> list[Route]:
    """The routes of this module."""
    return [
        get("/month", partial(show, reader, services), READ),
        post("/month/close", partial(close, reader, services), APPROVE),
    ]


async def show(reader: Reader, services: Services, request: Request, visit: Visit) -> Response:
    """The month that the address names, else the one that is next to be closed. Raises Problem."""
    month = request.query_params.get("month") or (await reader.status()).month()[0]
    first = _first_day(month)
    url, token = services.url("invoices"), services.token(visit.person, READ)
    found = await read_month(url, month, None, NAMED, token)
    return page(
        request,
        visit,
        "month.html",
        month=found,
        is_empty=is_empty(found),
        actions=actions_of(found),
        blockers=[standing_of(each) for each in found["blockers"]],
        warnings=[standing_of(each) for each in found["warnings"]],
        has_open_refunds=any(each["code"] == "open_refund" for each in found["blockers"]),
        before=f"{months_before(first, 1):%Y-%m}",
        after=next_month(month) if month < month_of(now()) else "",
        days_left=(date.fromisoformat(found["due_on"]) - kst_date(now())).days,
    )


def actions_of(month: dict[str, Any]) -> tuple[str, ...]:
    """What may be done with the month: its close, or the steps of it where two persons are asked for."""
    if month["state"] not in ("open", "interrupted"):
        return ()
    return ("approve", "issue") if month.get("in_steps") else ("close",)


def standing_of(each: dict[str, Any]) -> dict[str, Any]:
    """What stands against a close, with the page or the search that leads to each of it."""
    return {**each, "way": way_of(each["command"]), "ways": [_member(member) for member in each["members"]]}


def _member(member: dict[str, Any]) -> dict[str, str]:
    if "refund_id" in member:
        return {"text": str(member["refund_id"]), "way": refund_path(str(member["refund_id"]))}
    name = str(member.get("event") or member.get("document_key") or member.get("partner_id") or "")
    return {"text": name, "way": find_path(name)}


async def close(reader: Reader, services: Services, request: Request, visit: Visit, form: Form) -> Response:
    """Closes the month, or takes a step of it. Safe to repeat. Raises Problem."""
    month, action = form.get("month", ""), form.get("action", "")
    _first_day(month)
    if action not in ACTIONS:
        raise Problem(f"{action!r} is no step of a close.", f"One of: {', '.join(ACTIONS)}", Exit.USAGE)
    body = {"reason": reason_of(form), "at": None, "despite_open_refunds": form.get("despite") == "yes"}
    path = f"/v1/months/{month}/{action}"
    await services.tell(visit.person, "invoices", APPROVE, path, body, seconds=CLOSE_SECONDS)
    reader.forget()
    return see(month_path(month))


def _first_day(month: str) -> date:
    try:
        return parse_month(month)
    except ValueError as error:
        raise Problem(f"{month!r} is not a month: {error}.", "For example 2011-03.", Exit.USAGE) from None
