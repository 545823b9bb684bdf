"""*Business*: one business in a month: which payments merge and why not, drift, documents, and its steps."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from console.asking import Services, reason_of
from console.formats import won
from console.pages import page, see, table
from console.reading import Reader, Unreadable
from console.routes import Form, Route, get, post
from console.screens.confirming import Plan, Said, confirm, events_of
from console.screens.month import DONE, MANAGE, READ, SERVICE, is_own
from console.tables import Column, Row, view_of
from console.texts import code_in, translate
from console.visits import Visit
from ops.shell.problem import Exit, Problem
from ops.shell.ways import business_path, document_path, order_path, refund_path, way_of
from ops.watch.month.closed import OUTCOMES
from shared.business_number import normalise
from shared.clock import now
from shared.kst import parse_month

MOST: Final = 1_000
"""So many partners of a business are planned, and so many of its documents named."""
DOCUMENTS_SHOWN: Final = 20
COLUMNS: Final = (
    Column("payment_id", "Payment", "id"),
    Column("order_id", "Order", "id"),
    Column("partner_id", "Partner", "id"),
    Column("paid_at", "Paid at", "instant"),
    Column("total", "Won", "won"),
    Column("becomes", "Becomes", "code"),
    Column("unlocks", "What would change it"),
)
ACTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "review": ("approve",),
    "approved": ("approve", "issue"),
    "submitted": ("issue",),
    "issue_failed": ("approve", "issue"),
}
"""The steps of a business by its state; an issue gives the tax agent again what it did not transmit."""


def routes(reader: Reader, services: Services) -> list[Route]:
    """The routes of this module."""
    return [
        get("/business", partial(show, reader, services), READ),
        post("/business/merge/try", partial(try_merge, services), MANAGE),
        post("/business/merge", partial(merge, reader, services), MANAGE),
    ]


async def show(reader: Reader, services: Services, request: Request, visit: Visit) -> Response:
    """One business in a month. Raises Problem where it has nothing there."""
    query = request.query_params
    month, number = names_of(query.get("month", ""), query.get("number", ""))
    read_at = now()
    business, plans, documents = await asyncio.gather(
        services.look(visit.person, SERVICE, READ, f"/v1/months/{month}/businesses/{number}"),
        services.look(visit.person, SERVICE, READ, _plan(month, number)),
        services.look(visit.person, SERVICE, READ, _documents(month, number)),
    )
    drifted, unread = await _drift(reader, month, number) if business["drift"] else ([], "")
    rows = [row for plan in plans["items"] for row in rows_of(visit, plan)]
    view = view_of({**query, "month": month, "number": number}, COLUMNS, ("month", "number"))
    shows = partial(
        page,
        request,
        visit,
        "business.html",
        month=month,
        business=business,
        actions=actions_of(business["state"], with_agent=business["with_agent"]),
        is_own=is_own(visit, business, business),
        has_more=plans["next"] is not None,
        outcomes=outcomes_of(plans["items"]),
        wants=[plan["partner_id"] for plan in plans["items"] if plan["always_merge_at_cut_off"]],
        cut_off=next((plan["cut_off"] for plan in plans["items"]), None),
        blockers=blockers_of(plans["items"], documents["items"]),
        documents=documents["items"][:DOCUMENTS_SHOWN],
        document_count=len(documents["items"]),
        has_more_documents=documents["next"] is not None,
        drifted=drifted,
        unread=unread,
        next_way=way_of(business["command"] or ""),
        done=query.get("done", "") if query.get("done") in (*DONE, "merged") else "",
    )
    return table(request, rows, COLUMNS, view, f"business-{month}-{number}", read_at, shows)


def actions_of(state: str, *, with_agent: bool) -> tuple[str, ...]:
    """The steps that a business in a state can take."""
    if state == "transmission_failed" and with_agent:
        return ("issue",)
    return ACTIONS.get(state, ())


async def _drift(reader: Reader, month: str, number: str) -> tuple[list[dict[str, Any]], str]:
    """What drifted, or why that cannot be read now: the page is of use without it."""
    try:
        return await reader.drift(month, number), ""
    except Unreadable as why:
        return [], str(why)


def _plan(month: str, number: str) -> str:
    return f"/v1/months/{month}/plan?{urlencode({'business': number, 'limit': MOST})}"


def _documents(month: str, number: str) -> str:
    return f"/v1/documents?{urlencode({'month': month, 'business': number, 'limit': MOST})}"


def rows_of(visit: Visit, plan: dict[str, Any]) -> list[Row]:
    """The payments of a partner in the plan as rows."""
    return [
        {
            "payment_id": payment["payment_id"],
            "order_id": payment["order_id"],
            "partner_id": plan["partner_id"],
            "paid_at": datetime.fromisoformat(payment["paid_at"]),
            "total": payment["total"],
            "becomes": payment["reason"],
            "unlocks": "; ".join(unlock_in(visit, each) for each in payment["unlocks"]) or None,
            "way": order_path(payment["order_id"]),
        }
        for business in plan["businesses"]
        for payment in business["payments"]
    ]


def unlock_in(visit: Visit, unlock: dict[str, Any]) -> str:
    """What would take a payment into the merge, or out of it, in words."""
    said = {
        "units": f"{unlock['units'] or 0:,}",
        "refunds": ", ".join(unlock["refund_ids"]),
        "until": (unlock["until"] or "")[:16].replace("T", " "),
    }
    return translate(visit.language, f"unlock {unlock['what']}", **said)


def outcomes_of(plans: list[dict[str, Any]]) -> list[tuple[list[str], int, int]]:
    """Won merged and single, now and if what is pending arrives, with the names of those that are alike."""
    sums: dict[str, tuple[int, int]] = dict.fromkeys(OUTCOMES, (0, 0))
    for plan in plans:
        for business in plan["businesses"]:
            for name, totals in business["totals"].items():
                merged, single = sums[name]
                sums[name] = (merged + totals["merged"]["total"], single + totals["single"]["total"])
    alike: dict[tuple[int, int], list[str]] = {}
    for name, both in sums.items():
        alike.setdefault(both, []).append(name)
    return [(names, *both) for both, names in alike.items()]


def blockers_of(plans: list[dict[str, Any]], documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What stands against the documents of a business, each with the page where it is mended."""
    refunds = [
        {"code": "open_refund", "name": refund["refund_id"], "won": payment["total"],
         "way": refund_path(refund["refund_id"])}
        for plan in plans
        for business in plan["businesses"]
        for payment in business["payments"]
        for refund in payment["pending_refunds"]
    ]  # fmt: skip
    failed = [
        {"code": "document_not_issued", "name": name_of(each), "won": each["total"],
         "way": document_path(name_of(each))}
        for each in documents
        if each["state"] == "issue_failed"
    ]  # fmt: skip
    return [*refunds, *failed]


def name_of(document: dict[str, Any]) -> str:
    """The key of a document, or its id while it has none."""
    return str(document["document_key"] or document["invoice_id"])


async def try_merge(services: Services, request: Request, visit: Visit, form: Form) -> Response:
    """What a merge over all partners of a business would take, or its undoing; nothing is kept."""
    month, number = names_of(form.get("month", ""), form.get("number", ""))
    undo, t = form.get("undo") == "yes", partial(translate, visit.language)
    answer = await _merge(services, visit, month, number, undo=undo, reason="", apply=False)
    lines = [
        Said(each["payment_id"], f"{won(each['total'])}  {each['order_id']}") for each in answer["merged"]
    ]
    lines += [
        Said(
            each["payment_id"],
            f"{won(each['total'])}  {code_in(visit.language, each.get('reason', ''))}",
            order_path(each["order_id"]),
        )
        for each in answer["excluded"]
    ]
    title = t("Take the merge apart") if undo else t("Merge the business")
    plan = Plan(
        title=f"{title}: {month}, {number}",
        back=number,
        back_to=business_path(month, number),
        lines=[Said(t("Payments"), f"{len(answer['excluded' if undo else 'merged']):,}"), *lines[:50]],
        events=sorted(set(events_of(answer))) if "events" in answer else (),
        path="/business/merge",
        fields={"month": month, "number": number, "undo": "yes" if undo else ""},
        button=title,
    )
    return confirm(request, visit, plan)


async def merge(reader: Reader, services: Services, request: Request, visit: Visit, form: Form) -> Response:
    """Merges a business over its partners, or takes that apart. Raises Problem."""
    month, number = names_of(form.get("month", ""), form.get("number", ""))
    reason, undo = reason_of(form), form.get("undo") == "yes"
    key = form.get("key") or None
    await _merge(services, visit, month, number, undo=undo, reason=reason, apply=True, key=key)
    reader.forget()
    return see(f"{business_path(month, number)}&done=merged")


async def _merge(
    services: Services,
    visit: Visit,
    month: str,
    number: str,
    *,
    undo: bool,
    reason: str,
    apply: bool,
    key: str | None = None,
) -> dict[str, Any]:
    body = {"business_number": number, "undo": undo, "reason": reason, "apply": apply}
    path = f"/v1/months/{month}/merge"
    answer: dict[str, Any] = await services.tell(visit.person, SERVICE, MANAGE, path, body, key)
    return answer


def names_of(month: str, number: str) -> tuple[str, str]:
    """A month and a business number. Raises Problem for what is none."""
    try:
        parse_month(month)
    except ValueError as error:
        raise Problem(f"{month!r} is not a month: {error}.", "For example 2011-03.", Exit.USAGE) from None
    found = normalise(number)
    if found is None:
        raise Problem(f"{number!r} is no business number.", "For example 116-82-00276.", Exit.USAGE)
    return month, found
