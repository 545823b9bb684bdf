"""*Document*: a tax invoice as a picture of its fields, its steps, its chain, and each won explained."""

from datetime import date, datetime
from functools import partial
from typing import Any, Final
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from console.asking import Services, reason_of
from console.formats import won
from console.pages import download, page, see, table
from console.reading import Reader
from console.routes import Form, Route, get, post
from console.screens.confirming import Notice, Plan, Said, confirm, supply_and_vat
from console.tables import Column, Row, view_of
from console.texts import code_in, translate
from console.visits import Visit
from ops.shell.problem import Exit, Problem
from ops.shell.ways import document_path, order_path, refund_path, way_of
from ops.watch.decide.answers import ONLY_SHOWN
from shared.business_number import is_valid
from shared.clock import now
from shared.kst import parse_month

SERVICE: Final = "invoices"
READ, MANAGE, APPROVE = "invoices:read", "invoices:manage", "invoices:approve"
MOST: Final = 1_000
"""So many payments of a document, and so many documents of a month, are read for a page."""
FILES: Final = {"pdf": "application/pdf", "xml": "application/xml"}
PARTS: Final = (
    Column("payment_id", "Payment", "id"),
    Column("order_id", "Order", "id"),
    Column("says", "What it is"),
    Column("units", "Units", "count"),
    Column("unit_price", "Unit price", "won"),
    Column("supply", "Supply value", "won"),
    Column("vat", "VAT", "won"),
    Column("total", "Total", "won"),
    Column("what", "Kind", "code"),
    Column("line_id", "Line"),
    Column("refund_id", "Refund", "id"),
    Column("partner_id", "Partner", "id"),
)
SHOWN_PARTS: Final = ("payment_id", "says", "units", "supply", "vat", "total")
LISTED: Final = (
    Column("name", "Document", "id"),
    Column("state", "State", "stand"),
    Column("kind", "Kind", "code"),
    Column("business_number", "Business number", "id"),
    Column("partner_id", "Partner", "id"),
    Column("supply", "Supply value", "won"),
    Column("vat", "VAT", "won"),
    Column("total", "Total", "won"),
    Column("written_date", "Written on", "day"),
    Column("issued_at", "Issued at", "instant"),
    Column("late", "Late", "code"),
    Column("modification", "Modified because", "code"),
    Column("original_key", "Original", "id"),
)
SHOWN_LISTED: Final = (
    "name",
    "state",
    "kind",
    "business_number",
    "total",
    "written_date",
    "issued_at",
    "late",
)
SAID: Final = ("actor", "reason", "note")
DONE: Final = ("amended", "recalled", "results")


def routes(reader: Reader, services: Services) -> list[Route]:
    """The routes of this module."""
    return [
        get("/documents", partial(show_all, services), READ),
        get("/document", partial(show, services), READ),
        get("/document/file", partial(take, services), READ),
        post("/document/amend/try", partial(try_amend, services), MANAGE),
        post("/document/amend", partial(amend, reader, services), MANAGE),
        post("/document/recall/try", partial(try_recall, services), APPROVE),
        post("/document/recall", partial(recall, reader, services), APPROVE),
        post("/document/result/try", partial(try_result, services), MANAGE),
        post("/document/result", partial(tell_result, reader, services), MANAGE),
    ]


async def show_all(services: Services, request: Request, visit: Visit) -> Response:
    """The documents of a month, drafts too; of a business or in a state where the address says so."""
    query = request.query_params
    month = query.get("month", "")
    _require_month(month)
    asked = {"month": month, "limit": str(MOST)}
    asked |= {name: query[name] for name in ("business", "state") if query.get(name)}
    read_at = now()
    found = await services.look(visit.person, SERVICE, READ, f"/v1/documents?{urlencode(asked)}")
    rows = [listed(each) for each in found["items"]]
    shows = partial(
        page,
        request,
        visit,
        "documents.html",
        month=month,
        business=query.get("business", ""),
        fitting=[column for column in LISTED if column.name in SHOWN_LISTED],
        has_more=found["next"] is not None,
    )
    view = view_of(query, LISTED, ("month", "business", "state"))
    return table(request, rows, LISTED, view, f"documents-{month}", read_at, shows)


def listed(document: dict[str, Any]) -> Row:
    """A document of a list as a row."""
    name, issued_at = document["document_key"] or document["invoice_id"], document["issued_at"]
    return {
        **{column.name: document.get(column.name) for column in LISTED},
        "name": name,
        "issued_at": None if issued_at is None else datetime.fromisoformat(issued_at),
        "late": "late" if document["late"] else None,
        "way": document_path(name),
    }


async def show(services: Services, request: Request, visit: Visit) -> Response:
    """A document by its key or id. Raises Problem where there is none."""
    query = request.query_params
    name = query.get("id", "").strip()
    if not name:
        return page(request, visit, "no_document.html")
    read_at = now()
    why = await services.look(visit.person, SERVICE, READ, f"{_of(name)}/explain?limit={MOST}")
    path = f"/v1/months/{why['month']}/documents/{quote(name, safe='')}"
    document = await services.look(visit.person, SERVICE, READ, path)
    rows = [row for payment in why["payments"] for row in parts_of(visit, payment)]
    shows = partial(
        page,
        request,
        visit,
        "document.html",
        document=document,
        name=document["document_key"] or document["invoice_id"],
        why=why,
        says=why["says"][visit.language],
        missing=[{**each, "says": each["says"][visit.language]} for each in why["missing"]],
        events=[
            {**event, "says": event["says"][visit.language]}
            for event in sorted(events_in(why), key=lambda event: event["time"])
        ],
        chain=[{**each, "way": document_path(each["document_key"] or each["invoice_id"])}
               for each in why["related"]],
        steps=steps_of(document),
        refusal_way=way_of(document["refusal"]["command"] or "") if document["refusal"] else "",
        is_transmitted=any(step["step"] == "transmitted" for step in document["steps"]),
        is_with_agent=is_with_agent(document),
        fitting=[column for column in PARTS if column.name in SHOWN_PARTS],
        done=query.get("done", "") if query.get("done") in DONE else "",
    )  # fmt: skip
    view = view_of(query, PARTS, ("id",))
    return table(request, rows, PARTS, view, f"document-{quote(name, safe='')}", read_at, shows)


def steps_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Its steps in their order, with its issue among them."""
    issued_at = document["issued_at"]
    issue = [] if issued_at is None else [{"step": "issued", "at": issued_at, **dict.fromkeys(SAID, "")}]
    return sorted([*document["steps"], *issue], key=lambda step: datetime.fromisoformat(step["at"]))


def is_with_agent(document: dict[str, Any]) -> bool:
    """Whether the tax agent has it and has not issued it: it can be taken back."""
    agent = document["agent"]
    return bool(
        document["state"] == "approved" and agent and agent["state"] in ("to_send", "sending", "sent")
    )


def events_in(why: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a document and of the payments on it, each once."""
    every = [*why["events"], *(event for payment in why["payments"] for event in payment["events"])]
    return list({event["event_id"]: event for event in every}.values())


def parts_of(visit: Visit, payment: dict[str, Any]) -> list[Row]:
    """What of a payment stands on a document, part by part."""
    return [
        {
            **{column.name: part.get(column.name) for column in PARTS},
            **{name: payment[name] for name in ("payment_id", "order_id", "partner_id")},
            "says": part["says"][visit.language],
            "way": refund_path(part["refund_id"])
            if part["refund_id"] and not part["is_cancellation"]
            else order_path(payment["order_id"]),
        }
        for part in payment["parts"]
    ]


async def take(services: Services, request: Request, visit: Visit) -> Response:
    """The PDF or the XML of an issued document. Raises Problem."""
    key, kind = request.query_params.get("id", ""), request.query_params.get("kind", "")
    if kind not in FILES:
        raise Problem(f"{kind!r} is no file of a document.", f"One of: {', '.join(FILES)}", Exit.USAGE)
    taken = await services.take(visit.person, SERVICE, READ, f"{_of(key)}.{kind}")
    return download(taken.file, FILES[kind], f"{key}.{kind}")


async def try_amend(services: Services, request: Request, visit: Visit, form: Form) -> Response:
    """The documents that would correct an issued one; nothing is made. Raises Problem."""
    said, t = _amendment(form), partial(translate, visit.language)
    answer = await _amend(services, visit, form, {**said, "reason": ONLY_SHOWN, "apply": False})
    lines = [
        Said(
            code_in(visit.language, each["modification"]),
            f"{each['business_number']}  {each['written_date']}  {won(each['total'])}",
        )
        for each in answer["documents"]
    ]
    fields = {"month": form.get("month", ""), "id": form.get("id", ""), "number": form.get("number", "")}
    plan = Plan(
        title=f"{t('Correct the document')}: {form.get('id', '')}",
        back=form.get("id", ""),
        back_to=document_path(form.get("id", "")),
        lines=lines,
        notices=[Notice(t("What is issued is never edited: these documents take it back and say it again."))],
        path="/document/amend",
        fields={**fields, "twice": form.get("twice", "")},
        button=t("Make these documents"),
    )
    return confirm(request, visit, plan)


async def amend(reader: Reader, services: Services, request: Request, visit: Visit, form: Form) -> Response:
    """Corrects an issued document. Sent twice, the same form corrects once. Raises Problem."""
    body = {**_amendment(form), "reason": reason_of(form), "apply": True}
    await _amend(services, visit, form, body, form.get("key") or None)
    reader.forget()
    return see(f"{document_path(form.get('id', ''))}&done=amended")


def _amendment(form: Form) -> dict[str, Any]:
    number, is_twice = form.get("number", "").strip(), form.get("twice") == "yes"
    if number and not is_valid(number):
        raise Problem(f"{number!r} is no valid business number.", "For example 116-82-00276.", Exit.USAGE)
    return {"document": form.get("id", ""), "twice": is_twice} | (
        {"business_number": number} if number and not is_twice else {}
    )


async def _amend(
    services: Services, visit: Visit, form: Form, body: dict[str, Any], key: str | None = None
) -> dict[str, Any]:
    month = form.get("month", "")
    _require_month(month)
    path = f"/v1/months/{month}/amend"
    answer: dict[str, Any] = await services.tell(visit.person, SERVICE, MANAGE, path, body, key)
    return answer


async def try_recall(services: Services, request: Request, visit: Visit, form: Form) -> Response:
    """That a document would be taken back from the tax agent. Raises Problem."""
    month, key, t = form.get("month", ""), form.get("id", ""), partial(translate, visit.language)
    _require_month(month)
    document = await services.look(
        visit.person, SERVICE, READ, f"/v1/months/{month}/documents/{quote(key, safe='')}"
    )
    plan = Plan(
        title=f"{t('Take it back from the tax agent')}: {key}",
        back=key,
        back_to=document_path(key),
        lines=[
            Said(t("State"), f"{t('stand ' + document['state'])} → {t('stand approved')}"),
            Said(t("Total"), f"{won(document['total'])} = {supply_and_vat(document)}"),
        ],
        notices=[Notice(t("It is approved then, and may change; the next issue may give it again."))],
        path="/document/recall" if is_with_agent(document) else "",
        fields={"month": month, "id": key},
        button=t("Take it back from the tax agent"),
    )
    return confirm(request, visit, plan)


async def recall(reader: Reader, services: Services, request: Request, visit: Visit, form: Form) -> Response:
    """Takes a document back from the tax agent. Raises Problem."""
    month, key = form.get("month", ""), form.get("id", "")
    _require_month(month)
    body = {"document": key, "reason": reason_of(form)}
    await services.tell(visit.person, SERVICE, APPROVE, f"/v1/months/{month}/recall", body)
    reader.forget()
    return see(f"{document_path(key)}&done=recalled")


async def try_result(services: Services, request: Request, visit: Visit, form: Form) -> Response:
    """What would be kept of what the tax authority says of one document."""
    month, key, t = form.get("month", ""), form.get("id", ""), partial(translate, visit.language)
    _require_month(month)
    said = _result(form)
    name = t("Approval number") if "approval_number" in said else t("Not taken because")
    plan = Plan(
        title=f"{t('Keep what the tax authority says')}: {key}",
        back=key,
        back_to=document_path(key),
        lines=[Said(t("Document"), key), Said(name, said.get("approval_number") or said["failed"])],
        notices=[Notice(t("A document that was taken stays so."))],
        path="/document/result",
        fields={name: form.get(name, "") for name in ("month", "id", "approval_number", "failed")},
        button=t("Keep it"),
    )
    return confirm(request, visit, plan)


async def tell_result(
    reader: Reader, services: Services, request: Request, visit: Visit, form: Form
) -> Response:
    """Keeps what the tax authority says of one document. Raises Problem where that cannot be."""
    month = form.get("month", "")
    _require_month(month)
    body = {"results": [_result(form)], "reason": reason_of(form)}
    answer = await services.tell(visit.person, SERVICE, MANAGE, f"/v1/months/{month}/transmit", body)
    if answer["refused"]:
        code = answer["refused"][0]["code"]
        raise Problem(
            f"Nothing was kept: {code_in(visit.language, code)}.", "Look at the document.", Exit.USAGE
        )
    reader.forget()
    return see(f"{document_path(form.get('id', ''))}&done=results")


def _result(form: Form) -> dict[str, str]:
    said = {name: form.get(name, "").strip() for name in ("approval_number", "failed")}
    named = {name: text for name, text in said.items() if text}
    if len(named) != 1:
        raise Problem(
            "Name the approval number, or why it was not taken.", "Go back and say one.", Exit.USAGE
        )
    return {"document_key": form.get("id", ""), **named}


def _of(name: str) -> str:
    return f"/v1/documents/{quote(name, safe='')}"


def _require_month(month: str) -> date:
    try:
        return parse_month(month)
    except ValueError as error:
        raise Problem(f"{month!r} is not a month: {error}.", "For example 2011-03.", Exit.USAGE) from None
