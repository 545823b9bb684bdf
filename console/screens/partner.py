"""*Partner*: who it is, what it wants, whether it may leave, what is of it of late, and what may be done."""

from datetime import datetime
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from console.asking import Services, reason_of
from console.formats import Language, won
from console.pages import page, see, table
from console.reading import Reader
from console.routes import Form, Route, get, post
from console.screens.confirming import Notice, Plan, Said, confirm, events_of
from console.tables import Column, Row, view_of
from console.texts import code_in, translate
from console.visits import Visit
from ops.shell.problem import Exit, Problem
from ops.shell.ways import document_path, issuance_path, order_path, partner_path, refund_path, way_of
from ops.watch.decide.answers import ONLY_SHOWN
from shared.business_number import is_valid
from shared.clock import now

READ, PREFLIGHT, MANAGE, FORGET = "ops:read", "partners:read", "partners:manage", "refunds:manage"
HIDDEN: Final = "***"
COLUMNS: Final = (
    Column("kind", "Kind", "code"),
    Column("name", "Name", "id"),
    Column("state", "State", "code"),
    Column("won", "Won", "won"),
    Column("at", "Time", "instant"),
    Column("says", "What it is"),
)
DONE: Final = ("corrected", "withdrawn", "forgotten", "purged")
CHANGED: Final = ("business_number", "name", "invoice_email")
PREFERENCES: Final = {"yes": True, "no": False}


def routes(reader: Reader, services: Services) -> list[Route]:
    """The routes of this module."""
    return [
        get("/partner", partial(show, reader, services), READ),
        post("/partner/correct/try", partial(try_correct, services), MANAGE),
        post("/partner/correct", partial(correct, reader, services), MANAGE),
        post("/partner/withdraw/try", partial(try_withdraw, services), MANAGE),
        post("/partner/withdraw", partial(withdraw, reader, services), MANAGE),
        post("/partner/forget/try", partial(try_forget, services), FORGET),
        post("/partner/forget", partial(forget, reader, services), FORGET),
        post("/partner/purge/try", partial(try_purge, services), MANAGE),
        post("/partner/purge", partial(purge, reader, services), MANAGE),
    ]


def in_part(value: str | None) -> str:
    """An address or a number of which only enough is shown to tell two apart."""
    if not value:
        return ""
    name, at, domain = value.partition("@")
    return f"{name[:1]}{HIDDEN}{at}{domain}" if at else f"{HIDDEN}{value[-3:]}"


async def show(reader: Reader, services: Services, request: Request, visit: Visit) -> Response:
    """A partner; the page says so where no service knows it."""
    query = request.query_params
    partner_id = query.get("id", "").strip()
    done = query.get("done", "") if query.get("done") in DONE else ""
    if not partner_id:
        return page(request, visit, "no_partner.html", partner_id="", done=done)
    read_at = now()
    found = await reader.partner(partner_id)
    if found is None:
        return page(request, visit, "no_partner.html", 404, partner_id=partner_id, done="")
    preflight = await _preflight(services, visit, partner_id)
    shows = partial(
        page,
        request,
        visit,
        "partner.html",
        partner=found,
        email=in_part(found["invoice_email"]),
        preflight=preflight,
        blockers=[_blocker(visit, each) for each in preflight["blockers"]] if preflight else [],
        done=done,
    )
    return table(
        request,
        rows_of(found, visit.language),
        COLUMNS,
        view_of(query, COLUMNS, ("id",)),
        "partner",
        read_at,
        shows,
    )


async def _preflight(services: Services, visit: Visit, partner_id: str) -> dict[str, Any] | None:
    """What keeps it from leaving; None where orders does not know it, or who looks may not ask."""
    if not visit.may(PREFLIGHT):
        return None
    try:
        found: dict[str, Any] = await services.look(
            visit.person, "orders", PREFLIGHT, f"{_of(partner_id)}/withdrawal-preflight"
        )
    except Problem as problem:
        if problem.exit_code is not Exit.NOTHING_MATCHED:
            raise
        return None
    return found


def _blocker(visit: Visit, blocker: dict[str, Any]) -> dict[str, Any]:
    said = blocker["what_to_do_ko"] if visit.language == "ko" else blocker["what_to_do"]
    return {**blocker, "says": said, "way": way_of(blocker["command"]) or order_path(blocker["order_id"])}


def rows_of(found: dict[str, Any], language: Language = "en") -> list[Row]:
    """What is of a partner of late, as rows: orders, money in quarantine, refunds, documents, serials."""

    def case(each: dict[str, Any]) -> Row:
        way, why = order_path(each["order_id"]), code_in(language, each["reason"])
        return _row("quarantine", each["payment_id"], "open", each["amount"], each["opened_at"], why, way)

    def refund(each: dict[str, Any]) -> Row:
        way, why, at = (
            refund_path(each["refund_id"]),
            code_in(language, each["why"] or ""),
            each["requested_at"],
        )
        return _row("refund", each["refund_request_id"], each["state"], each["amount"], at, why, way)

    def order(each: dict[str, Any]) -> Row:
        way = order_path(each["order_id"])
        return _row("order", each["order_id"], each["state"], each["won"], each["at"], "", way)

    def document(each: dict[str, Any]) -> Row:
        name = each["document_key"] or each["invoice_id"]
        return _row("document", name, each["state"], each["total"], None, each["month"], document_path(name))

    def issuance(each: dict[str, Any]) -> Row:
        name, says = each["grant_id"], f"{each['issued']:,} / {each['quantity']:,} {each['product_name']}"
        return _row("serials", name, each["state"], None, each["granted_at"], says, issuance_path(name))

    made = {"cases": case, "refunds": refund, "orders": order, "documents": document, "issuances": issuance}
    return [row(each) for name, row in made.items() for each in found[name]]


def _row(kind: str, name: str, state: str, amount: int | None, at: str | None, says: str, way: str) -> Row:
    return {
        "kind": kind,
        "name": name,
        "state": state,
        "won": amount,
        "at": None if at is None else datetime.fromisoformat(at),
        "says": says or None,
        "way": way,
    }


async def try_correct(services: Services, request: Request, visit: Visit, form: Form) -> Response:
    """What would become of a partner's documents if it were corrected; nothing is. Raises Problem."""
    partner_id, t = _id(form), partial(translate, visit.language)
    said = _correction(form)
    answer = await _tell(services, visit, f"{_of(partner_id)}/correct", {**said, **_shown_only()})
    before, after = answer["before"] or {}, answer["after"]
    names = {"business_number": "Business number", "name": "Name", "invoice_email": "E-mail"}
    lines = [
        Said(t(title), f"{_seen(name, before.get(name))} → {_seen(name, after[name])}")
        for name, title in names.items()
        if before.get(name) != after[name]
    ]
    if before.get("always_merge") != after["always_merge"]:
        lines.append(Said(t("One invoice for each month"), t("yes") if after["always_merge"] else t("no")))
    for name, title in (("issued", "Issued then"), ("renumbered", "Get this number")):
        lines += [_document(t(title), each) for each in answer[name]]
    lines += [
        Said(t("To correct"), f"{each['document_key']} {code_in(visit.language, each['state'])}",
             document_path(each["document_key"] or ""))
        for each in answer["corrections"]
    ]  # fmt: skip
    fields = {name: form.get(name, "") for name in ("id", *CHANGED, "always_merge")}
    return confirm(request, visit, Plan(
        title=f"{t('Correct the partner')}: {partner_id}",
        back=partner_id,
        back_to=partner_path(partner_id),
        lines=lines,
        events=events_of(answer),
        path="/partner/correct",
        fields=fields,
        button=t("Correct the partner"),
    ))  # fmt: skip


def _document(title: str, each: dict[str, Any]) -> Said:
    name = each["document_key"] or each["invoice_id"]
    return Said(title, f"{name}  {each['month']}  {won(each['total'])}", document_path(name))


def _seen(name: str, value: str | None) -> str:
    return (in_part(value) if name == "invoice_email" else value) or "–"


async def correct(reader: Reader, services: Services, request: Request, visit: Visit, form: Form) -> Response:
    """Corrects a partner. Sent twice, the same form corrects once. Raises Problem."""
    partner_id = _id(form)
    await _do(services, visit, f"{_of(partner_id)}/correct", form, **_correction(form))
    reader.forget()
    return see(f"{partner_path(partner_id)}&done=corrected")


def _correction(form: Form) -> dict[str, Any]:
    said: dict[str, Any] = {name: form[name].strip() for name in CHANGED if form.get(name, "").strip()}
    if form.get("always_merge") in PREFERENCES:
        said["always_merge"] = PREFERENCES[form["always_merge"]]
    if not said:
        raise Problem("Nothing is named that is to change.", "Go back and say what is right.", Exit.USAGE)
    if "business_number" in said and not is_valid(said["business_number"]):
        raise Problem(
            f"{said['business_number']!r} is no valid business number.",
            "For example 116-82-00276.",
            Exit.USAGE,
        )
    return said


async def try_withdraw(services: Services, request: Request, visit: Visit, form: Form) -> Response:
    """Whether a partner may leave, and what keeps it; nothing is done. Raises Problem."""
    partner_id, t = _id(form), partial(translate, visit.language)
    answer = await _tell(services, visit, f"{_of(partner_id)}/withdrawal", _shown_only(), "orders")
    blockers = [_blocker(visit, each) for each in answer["blockers"]]
    notices = [Notice(t("It leaves for good: it can order no more, and its history is hidden from it."))]
    if blockers:
        notices = [
            Notice(t("It cannot leave: {count} things are unfinished.", count=f"{len(blockers):,}"), "bad")
        ]
    return confirm(request, visit, Plan(
        title=f"{t('Have the partner leave')}: {partner_id}",
        back=partner_id,
        back_to=partner_path(partner_id),
        lines=[Said(code_in(visit.language, each["kind"]), each["says"], each["way"]) for each in blockers],
        notices=notices,
        events=events_of(answer),
        path="" if blockers or (answer["withdrawn_at"] and not answer["events"]) else "/partner/withdraw",
        fields={"id": partner_id},
        button=t("Have the partner leave"),
    ))  # fmt: skip


async def withdraw(
    reader: Reader, services: Services, request: Request, visit: Visit, form: Form
) -> Response:
    """Has a partner leave. Raises Problem while something keeps it."""
    partner_id = _id(form)
    answer = await _do(services, visit, f"{_of(partner_id)}/withdrawal", form, "orders")
    reader.forget()
    if answer["blockers"]:
        count = len(answer["blockers"])
        raise Problem(f"It stays: {count} things are unfinished.", "Go back and look at them.", Exit.FAILED)
    return see(f"{partner_path(partner_id)}&done=withdrawn")


async def try_forget(services: Services, request: Request, visit: Visit, form: Form) -> Response:
    """What of a partner could be read no more; nothing is destroyed. Raises Problem."""
    partner_id, t = _id(form), partial(translate, visit.language)
    answer = await _tell(services, visit, f"{_of(partner_id)}/forget", _shown_only(), "refunds", FORGET)
    return confirm(request, visit, Plan(
        title=f"{t('Destroy the key of its accounts')}: {partner_id}",
        back=partner_id,
        back_to=partner_path(partner_id),
        lines=[
            Said(t("Bank accounts and messages"), f"{answer['details']:,}"),
            Said(t("Readable"), f"{answer['readable_before']:,} → {answer['readable']:,}"),
        ],
        notices=[
            Notice(t("Nobody can read them again. Backups keep the key as long as they are kept."), "bad")
        ],
        path="/partner/forget" if answer["details"] else "",
        fields={"id": partner_id},
        button=t("Destroy the key"),
    ))  # fmt: skip


async def forget(reader: Reader, services: Services, request: Request, visit: Visit, form: Form) -> Response:
    """Destroys the key of a partner's bank accounts and messages. Raises Problem."""
    partner_id = _id(form)
    await _do(services, visit, f"{_of(partner_id)}/forget", form, "refunds", FORGET)
    reader.forget()
    return see(f"{partner_path(partner_id)}&done=forgotten")


async def try_purge(services: Services, request: Request, visit: Visit, form: Form) -> Response:
    """Which partners would be purged, their five years being over; nothing is. Raises Problem."""
    t = partial(translate, visit.language)
    answer = await _tell(services, visit, "/v1/partners/purge", _shown_only(), "orders")
    lines = [
        Said(each["partner_id"], f"{each['withdrawn_at'][:10]} – {each['archived_until'][:10]}",
             partner_path(each["partner_id"]))
        for each in answer["partners"]
    ] + [
        Said(each["partner_id"], t("is named until something is finished"), partner_path(each["partner_id"]))
        for each in answer["unfinished"]
    ]  # fmt: skip
    if answer["left"]:
        lines.append(Said("", t("and {count} more", count=f"{answer['left']:,}")))
    notices = [
        Notice(t("Names, addresses, accounts and messages go for good; won and documents stay."), "bad")
    ]
    if not answer["partners"]:
        notices = [Notice(t("Nobody is due."))]
    return confirm(request, visit, Plan(
        title=t("Purge partners that left"),
        back=t("Partner"),
        back_to="/partner",
        lines=lines,
        notices=notices,
        path="/partner/purge" if answer["partners"] else "",
        button=t("Purge them"),
    ))  # fmt: skip


async def purge(reader: Reader, services: Services, request: Request, visit: Visit, form: Form) -> Response:
    """Purges partners whose archive is over. Raises Problem."""
    await _do(services, visit, "/v1/partners/purge", form, "orders")
    reader.forget()
    return see("/partner?done=purged")


def _shown_only() -> dict[str, Any]:
    return {"reason": ONLY_SHOWN, "apply": False}


async def _do(
    services: Services,
    visit: Visit,
    path: str,
    form: Form,
    service: str = "invoices",
    scope: str = MANAGE,
    **said: Any,
) -> dict[str, Any]:
    body = {**said, "reason": reason_of(form), "apply": True}
    return await _tell(services, visit, path, body, service, scope, form.get("key") or None)


async def _tell(
    services: Services,
    visit: Visit,
    path: str,
    body: dict[str, Any],
    service: str = "invoices",
    scope: str = MANAGE,
    key: str | None = None,
) -> dict[str, Any]:
    answer: dict[str, Any] = await services.tell(visit.person, service, scope, path, body, key)
    return answer


def _id(form: Form) -> str:
    partner_id = form.get("id", "").strip()
    if not partner_id:
        raise Problem("No partner is named.", "", Exit.USAGE)
    return partner_id


def _of(partner_id: str) -> str:
    return f"/v1/partners/{quote(partner_id, safe='')}"
