"""*Month*: the board of its businesses, what blocks its close, the close or its steps, and its files."""

import asyncio
from datetime import date
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response

from console.asking import Services, reason_of
from console.formats import Language, won
from console.pages import download, page, see, table
from console.reading import Reader
from console.routes import Form, Route, get, post
from console.screens.confirming import Notice, Plan, Said, confirm
from console.sentences import sentence_in
from console.tables import Column, Row, view_of
from console.texts import code_in, translate
from console.visits import Visit
from ops.shell.problem import Exit, Problem
from ops.shell.ways import business_path, find_path, month_path, partner_path, refund_path, way_of
from ops.watch.close import CLOSE_SECONDS, results_in
from ops.watch.month.asking import is_empty, read_month
from ops.watch.month.hometax import ReadList, json_of, lines_of, tell_list
from shared.business_number import normalise
from shared.clock import now
from shared.hometax_list import ListedDocument
from shared.kst import kst_date, month_of, months_before, next_month, parse_month

SERVICE: Final = "invoices"
READ, APPROVE, MANAGE = "invoices:read", "invoices:approve", "invoices:manage"
NAMED: Final = 10
ACTIONS: Final = ("close", "approve", "issue")
MOST: Final = 200
"""So many businesses, the first by their number, are read for a page."""
MOST_AT_ONCE: Final = 1_000
"""So many are in a file, and are looked through before an issue."""
RESULTS_AT_ONCE: Final = 1_000
LINES_SHOWN: Final = 10
FILES: Final = {
    "xlsx": ("/v1/months/{}.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    "hometax": ("/v1/months/{}/hometax.zip", "application/zip"),
}
ENDINGS: Final = {"xlsx": "invoices-{}.xlsx", "hometax": "hometax-{}.zip"}
COLUMNS: Final = (
    Column("business_number", "Business number", "id"),
    Column("partners", "Partner", "id"),
    Column("state", "State", "stand"),
    Column("documents", "Documents", "count"),
    Column("won", "Won", "won"),
    Column("drift", "Drift", "count"),
    Column("approved_by", "Approved by"),
    Column("approved_at", "Approved at"),
    Column("issued_by", "Issued by"),
    Column("due_on", "Due on", "day"),
)
SHOWN: Final = (
    "business_number",
    "partners",
    "state",
    "documents",
    "won",
    "drift",
    "approved_by",
    "issued_by",
)
"""What fits on a page; files have all of it."""
PATH: Final = ("collecting", "review", "approved", "issued", "transmitted")
"""The states that a business goes through."""
ORDER: Final = (
    *PATH[:3],
    "submitted",
    "issue_failed",
    "issued",
    "transmission_failed",
    "transmitted",
    "void",
)
"""All states, each where a business comes to it."""


def routes(reader: Reader, services: Services) -> list[Route]:
    """The routes of this module."""
    return [
        get("/month", partial(show, reader, services), READ),
        get("/month/file", partial(take, services), READ),
        get("/month/step", partial(show_step, services), APPROVE),
        post("/month/step", partial(step, reader, services), APPROVE),
        post("/month/results/try", partial(try_results, services), MANAGE),
        post("/month/results", partial(tell_results, reader, services), MANAGE),
    ]


async def show(reader: Reader, services: Services, request: Request, visit: Visit) -> Response:
    """The month that the address names, else the one that is next to be closed. Raises Problem."""
    query = request.query_params
    month = query.get("month") or (await reader.status()).month()[0]
    first = _first_day(month)
    state = query.get("state", "")
    read_at = now()
    url, token = services.url(SERVICE), services.token(visit.person, READ)
    watched = await reader.watched("invoices")
    most = MOST_AT_ONCE if query.get("format") else MOST
    found, seen, businesses = await asyncio.gather(
        read_month(url, month, None, NAMED, token),
        services.look(visit.person, SERVICE, READ, f"/v1/months/{month}"),
        services.look(visit.person, SERVICE, READ, _businesses(month, state, most)),
    )
    rows = [row_of(month, each) for each in businesses["items"]]
    view = view_of({**query, "month": month}, COLUMNS, ("month", "state"))
    shows = partial(
        page,
        request,
        visit,
        "month.html",
        month=found,
        board=board_of(seen["board"]),
        state=state,
        has_more=businesses["next"] is not None,
        fitting=[column for column in COLUMNS if column.name in SHOWN],
        is_empty=is_empty(found),
        actions=actions_of(found),
        blockers=[standing_of(each, visit.language) for each in found["blockers"]],
        warnings=[standing_of(each, visit.language) for each in found["warnings"]],
        before=f"{months_before(first, 1):%Y-%m}",
        after=next_month(month) if month < month_of(now()) else "",
        days_left=(date.fromisoformat(found["due_on"]) - kst_date(now())).days,
        done=query.get("done", "") if query.get("done") in DONE else "",
        watched=watched,
    )
    return table(request, rows, COLUMNS, view, f"businesses-{month}", read_at, shows)


DONE: Final = (*ACTIONS, "results")


def _businesses(month: str, state: str, limit: int) -> str:
    asked = {"limit": str(limit)} | ({"state": state} if state else {})
    return f"/v1/months/{month}/businesses?{urlencode(asked)}"


def board_of(board: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The states of a board from the first to the last; and failures, where there are any."""
    found = {each["state"]: each for each in board}
    nothing = {"businesses": 0, "documents": 0, "won": 0}
    return [
        found.get(state, {"state": state, **nothing}) for state in ORDER if state in PATH or state in found
    ]


def row_of(month: str, business: dict[str, Any]) -> Row:
    """A business as a row."""
    drift, approved, issued = business["drift"], business["approved_by"], business["issued_by"]
    return {
        "business_number": business["business_number"],
        "partners": ", ".join(business["partners"]),
        "state": business["state"],
        "documents": sum(business[name] for name in ("drafts", "approved", "issue_failed", "issued")),
        "won": business["to_issue"] + business["total"],
        "drift": sum(drift[name] for name in ("changed", "new", "gone")) if drift else None,
        "approved_by": approved["actor"] if approved else None,
        "approved_at": approved["at"] if approved else None,
        "issued_by": issued["actor"] if issued else None,
        "due_on": business["due_on"],
        "way": business_path(month, business["business_number"]),
    }


def actions_of(month: dict[str, Any]) -> tuple[str, ...]:
    """What may be done with the month: its close, or the steps of it where two persons are asked for."""
    if month["state"] not in ("open", "interrupted"):
        return ()
    return ("approve", "issue") if month["in_steps"] else ("close", "approve", "issue")


def standing_of(each: dict[str, Any], language: Language = "en") -> dict[str, Any]:
    """What stands against a close, with the page or the search that leads to each of it."""
    return {
        **each,
        "detail": sentence_in(language, each["detail"]),
        "way": way_of(each["command"]),
        "ways": [_member(member) for member in each["members"]],
    }


def _member(member: dict[str, Any]) -> dict[str, str]:
    if "refund_id" in member:
        return {"text": str(member["refund_id"]), "way": refund_path(str(member["refund_id"]))}
    if "partner_id" in member and not member.get("document_key"):
        return {"text": str(member["partner_id"]), "way": partner_path(str(member["partner_id"]))}
    name = str(member.get("event") or member.get("document_key") or "")
    return {"text": name, "way": find_path(name)}


async def show_step(services: Services, request: Request, visit: Visit) -> Response:
    """What a close or a step of it would do, of the month or of one business. Raises Problem."""
    month, action = request.query_params.get("month", ""), request.query_params.get("action", "")
    _require_step(month, action)
    number = request.query_params.get("business", "")
    url, token = services.url(SERVICE), services.token(visit.person, READ)
    found = await read_month(url, month, None, NAMED, token)
    if number:
        business = await services.look(
            visit.person, SERVICE, READ, f"/v1/months/{month}/businesses/{_number(number)}"
        )
        return confirm(request, visit, plan_of_business(visit, action, found, business))
    if action == "issue":
        path = _businesses(month, "approved", MOST_AT_ONCE)
        ready = (await services.look(visit.person, SERVICE, READ, path))["items"]
    else:
        ready = []
    return confirm(request, visit, plan_of_month(visit, action, found, ready))


def plan_of_month(visit: Visit, action: str, found: dict[str, Any], ready: list[dict[str, Any]]) -> Plan:
    """A close, an approval or an issue of a whole month; `ready` are the businesses that are approved."""
    month, t = found["month"], partial(translate, visit.language)
    notices = [
        Notice(
            f"{code_in(visit.language, each['code'])}: {each['count']:,}. "
            + sentence_in(visit.language, each["detail"]),
            "bad" if each in found["blockers"] else "",
        )
        for each in (*found["blockers"], *found["warnings"])
    ]
    to_be, is_possible = found["to_be"], True
    if action == "issue":
        own = [each for each in ready if is_own(visit, found, each)]
        lines = [
            Said(t("Businesses"), f"{len(ready):,}", month_path(month, "approved")),
            Said(t("Won"), won(sum(each["to_issue"] for each in ready))),
        ]
        if own:
            text = t(
                "You approved {count} of them, and whoever approves does not issue: they are left.",
                count=f"{len(own):,}",
            )
            notices.insert(0, Notice(text, "bad" if len(own) == len(ready) else ""))
        is_possible = len(own) < len(ready) or not found["four_eyes"]
        if not ready:
            notices.insert(0, Notice(t("Nothing is approved yet. What is issued is approved first."), "bad"))
            is_possible = found["state"] in ("open", "interrupted") and not to_be["documents"]
    else:
        lines = [
            Said(t("Documents"), f"{to_be['documents']:,}"),
            Said(t("Merged by month"), f"{to_be['merged']:,}"),
            Said(t("Payments"), f"{to_be['payments']:,}"),
            Said(t("Supply value"), won(to_be["supply"])),
            Said(t("VAT"), won(to_be["vat"])),
            Said(t("Total"), won(to_be["total"])),
        ]
        if to_be["failed"]:
            lines.append(Said(t("Would fail for their number"), f"{to_be['failed']:,}"))
        is_possible = found["state"] != "running"
    if to_be["late"]:
        late = f"{to_be['late']:,}, {won(to_be['penalty'])}"
        lines.append(Said(t("Late, and the penalty"), late))
    if action != "approve" and is_possible:
        notices.append(Notice(t("What is issued is never edited.")))
    return Plan(
        title=f"{t('do ' + action)}: {month}",
        back=f"{t('Month')} {month}",
        back_to=month_path(month),
        lines=lines,
        notices=notices,
        path="/month/step" if is_possible else "",
        fields={"month": month, "action": action},
        button=t("do " + action),
        asks_open_refunds=any(each["code"] == "open_refund" for each in found["blockers"]),
    )


def plan_of_business(visit: Visit, action: str, found: dict[str, Any], business: dict[str, Any]) -> Plan:
    """An approval or an issue of one business."""
    month, number, t = found["month"], business["business_number"], partial(translate, visit.language)
    notices, is_possible = [], action != "close" and found["state"] != "running"
    if action == "issue" and is_own(visit, found, business):
        notices.append(
            Notice(
                t("You approved this business, and whoever approves does not issue. Ask somebody else."),
                "bad",
            )
        )
        is_possible = False
    if action == "issue" and business["drafts"]:
        text = t("{count} documents are not approved: approve them first.", count=f"{business['drafts']:,}")
        notices.append(Notice(text, "bad"))
        is_possible = False
    if action == "issue" and is_possible:
        notices.append(Notice(t("What is issued is never edited.")))
    lines = [
        Said(t("Business number"), number),
        Said(t("Partner"), ", ".join(business["partners"])),
        Said(t("State"), t("stand " + business["state"])),
        Said(t("stand draft"), f"{business['drafts']:,}"),
        Said(t("stand approved"), f"{business['approved']:,}"),
        Said(t("to be issued"), won(business["to_issue"])),
    ]
    if by := business["approved_by"]:
        lines.append(Said(t("Approved by"), f"{by['actor']}: {by['reason']}"))
    return Plan(
        title=f"{t('do ' + action)}: {month}, {number}",
        back=number,
        back_to=business_path(month, number),
        lines=lines,
        notices=notices,
        path="/month/step" if is_possible else "",
        fields={"month": month, "action": action, "business": number},
        button=t("do " + action),
        asks_open_refunds=True,
    )


def is_own(visit: Visit, found: dict[str, Any], business: dict[str, Any]) -> bool:
    """Whether who looks has approved a business, and may therefore not issue it."""
    by = business["approved_by"]
    return bool(found["four_eyes"] and by and by["actor"] == visit.person.id)


async def step(reader: Reader, services: Services, request: Request, visit: Visit, form: Form) -> Response:
    """Closes the month, or takes a step of it. Safe to repeat. Raises Problem."""
    month, action, number = form.get("month", ""), form.get("action", ""), form.get("business", "")
    _require_step(month, action)
    body: dict[str, Any] = {
        "reason": reason_of(form),
        "at": None,
        "despite_open_refunds": form.get("despite") == "yes",
    }
    if number:
        if action == "close":
            raise Problem("A close in one stroke is of a whole month.", "", Exit.USAGE)
        body["businesses"] = [_number(number)]
    path = f"/v1/months/{month}/{action}"
    await services.tell(visit.person, SERVICE, APPROVE, path, body, seconds=CLOSE_SECONDS)
    reader.forget()
    there = business_path(month, _number(number)) if number else month_path(month)
    return see(f"{there}&done={action}")


async def take(services: Services, request: Request, visit: Visit) -> Response:
    """The workbook of a month, or its sheets for Hometax. Raises Problem."""
    month, kind = request.query_params.get("month", ""), request.query_params.get("kind", "")
    _first_day(month)
    if kind not in FILES:
        raise Problem(f"{kind!r} is no file of a month.", f"One of: {', '.join(FILES)}", Exit.USAGE)
    path, media_type = FILES[kind]
    taken = await services.take(visit.person, SERVICE, READ, path.format(month))
    return download(taken.file, media_type, ENDINGS[kind].format(month))


async def try_results(services: Services, request: Request, visit: Visit, form: Form) -> Response:
    """What a list of the authority says, read and shown; nothing is told yet. Raises Problem."""
    month, t = form.get("month", ""), partial(translate, visit.language)
    _first_day(month)
    content = form.get("file", "").encode("latin-1", "replace")
    if not content:
        raise Problem(t("No file was chosen."), t("Go back and choose one."), Exit.USAGE)
    again = t("Go back and choose another file.")
    notices = []
    if content.startswith((b"PK", b"\xd0\xcf")):
        read = lines_of(content, t("This file"), month, again)
        kind, said = "lines", [json_of(line) for line in read.lines]
        shown = [
            Said(line.approval_number, f"{line.written_date}  {line.buyer_number}  {won(line.total)}")
            for line in read.lines[:LINES_SHOWN]
        ]
        if read.others:
            notices.append(Notice(t("{count} lines are of other months.", count=f"{read.others:,}")))
    else:
        kind, said = "results", results_in(_lines(content), t("This file"), again)
        shown = [
            Said(each["document_key"], each.get("approval_number") or each["failed"])
            for each in said[:LINES_SHOWN]
        ]
    more = len(said) - len(shown)
    lines = [Said(t("Results"), f"{len(said):,}"), *shown]
    if more > 0:
        lines.append(Said("", t("and {count} more", count=f"{more:,}")))
    plan = Plan(
        title=f"{t('Keep what the tax authority says')}: {month}",
        back=f"{t('Month')} {month}",
        back_to=month_path(month),
        lines=lines,
        notices=notices,
        path="/month/results",
        fields={"month": month, kind: orjson.dumps(said).decode()},
        button=t("Keep them"),
    )
    return confirm(request, visit, plan)


async def tell_results(
    reader: Reader, services: Services, request: Request, visit: Visit, form: Form
) -> Response:
    """Tells invoices what was read; shows what of it a person has to look at. Raises Problem."""
    month, reason = form.get("month", ""), reason_of(form)
    _first_day(month)
    if "lines" in form:
        told = await _tell_lines(services, visit, month, _read(form["lines"]), reason)
    else:
        told = await _tell_each(services, visit, month, _read(form.get("results", "[]")), reason)
    reader.forget()
    return page(request, visit, "results.html", month=month, told=told)


async def _tell_lines(
    services: Services, visit: Visit, month: str, said: list[dict[str, Any]], reason: str
) -> dict[str, Any]:
    try:
        lines = [_line(each) for each in said]
    except (KeyError, TypeError, ValueError):
        raise Problem("These are no lines of a list.", "Read the file in again.", Exit.USAGE) from None
    url, token = services.url(SERVICE), services.token(visit.person, MANAGE)
    return await asyncio.to_thread(tell_list, url, month, ReadList(lines, 0), {"reason": reason}, token)


def _line(said: dict[str, Any]) -> ListedDocument:
    issued = said.get("issued_on")
    return ListedDocument(
        date.fromisoformat(said["written_date"]),
        str(said["approval_number"]),
        None if issued is None else date.fromisoformat(issued),
        str(said["buyer_number"]),
        int(said["total"]),
    )


async def _tell_each(
    services: Services, visit: Visit, month: str, results: list[dict[str, Any]], reason: str
) -> dict[str, Any]:
    told: dict[str, Any] = {"told": 0, "refused": []}
    for first in range(0, len(results), RESULTS_AT_ONCE):
        body = {"results": results[first : first + RESULTS_AT_ONCE], "reason": reason}
        answer = await services.tell(visit.person, SERVICE, MANAGE, f"/v1/months/{month}/transmit", body)
        told["told"] += answer["told"]
        told["refused"] += answer["refused"]
    return told


def _read(text: str) -> list[dict[str, Any]]:
    try:
        read = orjson.loads(text)
    except orjson.JSONDecodeError:
        read = None
    if not isinstance(read, list) or not read:
        raise Problem("There is no result in it.", "Read the file in again.", Exit.USAGE)
    return read


def _lines(content: bytes) -> list[str]:
    try:
        return content.decode("utf-8-sig").splitlines(keepends=True)
    except UnicodeDecodeError:
        raise Problem(
            "This is no list of Hometax and no CSV in UTF-8.",
            "Its first line names the columns: document_key,approval_number,failed",
            Exit.USAGE,
        ) from None


def _require_step(month: str, action: str) -> None:
    _first_day(month)
    if action not in ACTIONS:
        raise Problem(f"{action!r} is no step of a close.", f"One of: {', '.join(ACTIONS)}", Exit.USAGE)


def _number(text: str) -> str:
    number = normalise(text)
    if number is None:
        raise Problem(f"{text!r} is no business number.", "For example 116-82-00276.", Exit.USAGE)
    return number


def _first_day(month: str) -> date:
    try:
        return parse_month(month)
    except ValueError as error:
        raise Problem(f"{month!r} is not a month: {error}.", "For example 2011-03.", Exit.USAGE) from None
