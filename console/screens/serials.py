"""*Serials*: issuances, how far each is, who took which, and what may be done; none is shown unasked."""

import asyncio
from datetime import datetime
from functools import partial
from typing import Any, Final
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from console.asking import Services, id_of, reason_of
from console.pages import download, page, see, table
from console.reading import Reader
from console.routes import Form, Route, get, post
from console.screens.confirming import Notice, Plan, Said, confirm, events_of
from console.tables import Column, Row, view_of
from console.texts import translate
from console.visits import Visit
from ops.shell.problem import Exit, Problem
from ops.shell.ways import issuance_path, issuances_path, order_path, serial_path
from ops.watch.decide.answers import ONLY_SHOWN
from ops.watch.serials.asking import is_id
from ops.watch.serials.campaign import campaign_of
from ops.watch.serials.text import watermark_in
from shared.clock import now
from shared.operators.finding import LAST_FOUR

SERVICE: Final = "serials"
READ, EXPORT, MANAGE = "serials:read", "serials:export", "serials:manage"
MOST: Final = 500
CUSTODY: Final = 1_000
IN_FULL: Final = 50
"""So many serials are shown at once, once somebody has said why."""
FILES: Final = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
STATES: Final = ("active", "registered", "expired", "revoked", "all")
ENDS: Final = ("reissue", "revoke")
COLUMNS: Final = (
    Column("grant_id", "Issuance", "id"),
    Column("product_name", "Product"),
    Column("order_id", "Order", "id"),
    Column("partner_id", "Partner", "id"),
    Column("state", "State", "code"),
    Column("issued", "Issued units", "count"),
    Column("quantity", "Units", "count"),
    Column("registered", "Registered", "count"),
    Column("percent", "Registered %", "count"),
    Column("granted_at", "Granted at", "instant"),
    Column("registration_deadline", "Register until", "instant"),
    Column("revoked", "Revoked", "count"),
    Column("reissued", "Reissued", "count"),
)
SHOWN: Final = (
    "grant_id",
    "product_name",
    "order_id",
    "state",
    "issued",
    "quantity",
    "percent",
    "granted_at",
)
TAKEN: Final = (
    Column("at", "Time", "instant"),
    Column("actor", "Who", "id"),
    Column("form", "As", "code"),
    Column("serials", "Serials", "count"),
    Column("first_unit", "First unit", "count"),
    Column("last_unit", "Last unit", "count"),
    Column("state", "State", "code"),
    Column("reason", "Reason"),
    Column("partner_id", "For partner", "id"),
    Column("watermark", "Watermark", "id"),
    Column("client", "From"),
    Column("request", "Request", "id"),
)
SHOWN_TAKEN: Final = ("at", "actor", "form", "serials", "first_unit", "last_unit", "reason", "watermark")


def routes(reader: Reader, services: Services) -> list[Route]:
    """The routes of this module."""
    return [
        get("/issuances", partial(show_all, reader), READ),
        get("/issuance", partial(show, services), READ),
        get("/leak", partial(leak, services), READ),
        get("/serial", partial(show_one, services), READ),
        post("/issuance/find", partial(find, reader), MANAGE),
        post("/issuance/export", partial(export, services), EXPORT),
        post("/issuance/show", partial(show_in_full, services), EXPORT),
        post("/serial/try", partial(try_end, services), MANAGE),
        post("/serial/end", partial(end, reader, services), MANAGE),
    ]


async def show_all(reader: Reader, request: Request, visit: Visit) -> Response:
    """The newest issuances, of a partner or an order where the address says so."""
    query, read_at = request.query_params, now()
    partner_id, order_id = (query.get(name, "")[:200].replace("\0", "") for name in ("partner", "order"))
    found = await reader.issuances(partner_id or None, order_id or None, MOST)
    rows = [row_of(each) for each in found]
    issued, registered = (sum(row[name] for row in rows) for name in ("issued", "registered"))
    shows = partial(
        page,
        request,
        visit,
        "issuances.html",
        partner_id=partner_id,
        order_id=order_id,
        issued=issued,
        registered=registered,
        percent=registered * 100 // issued if issued else 0,
        has_more=len(found) == MOST,
        fitting=[column for column in COLUMNS if column.name in SHOWN],
    )
    view = view_of(query, COLUMNS, ("partner", "order"))
    return table(request, rows, COLUMNS, view, "issuances", read_at, shows)


def row_of(issuance: dict[str, Any]) -> Row:
    """An issuance as a row."""
    issued = issuance["issued"]
    return {
        **{column.name: issuance.get(column.name) for column in COLUMNS},
        "grant_id": str(issuance["grant_id"]),
        "percent": issuance["registered"] * 100 // issued if issued else 0,
        "way": issuance_path(str(issuance["grant_id"])),
    }


async def show(services: Services, request: Request, visit: Visit) -> Response:
    """An issuance by the id of its grant; the id of an order leads to its issuances. Raises Problem."""
    query, name = request.query_params, request.query_params.get("id", "").strip()
    if not is_id(name):
        return see(issuances_path(order=name) if name else issuances_path())
    read_at = now()
    issuance, custody = await asyncio.gather(
        services.look(visit.person, SERVICE, READ, f"/v1/issuances/{name}"),
        services.look(visit.person, SERVICE, READ, f"/v1/issuances/{name}/custody?limit={CUSTODY}"),
    )
    campaign = campaign_of([issuance], read_at)["issuances"][0]
    shows = partial(
        page,
        request,
        visit,
        "issuance.html",
        issuance=issuance,
        campaign=campaign,
        has_more=custody["next"] is not None,
        fitting=[column for column in TAKEN if column.name in SHOWN_TAKEN],
        states=STATES,
    )
    rows = [taken_row(each) for each in custody["items"]]
    return table(request, rows, TAKEN, view_of(query, TAKEN, ("id",)), f"custody-{name}", read_at, shows)


def taken_row(taken: dict[str, Any]) -> Row:
    """Somebody who was handed serials, as a row."""
    return {
        **{column.name: taken[column.name] for column in TAKEN},
        "at": datetime.fromisoformat(taken["at"]),
        "way": "",
    }


async def leak(services: Services, request: Request, visit: Visit) -> Response:
    """Who took a file, by the watermark that stands in it. Raises Problem where serials does not answer."""
    pasted = request.query_params.get("watermark", "")[:200].strip()
    found = None
    if pasted:
        path = f"/v1/custody/{quote(watermark_in(pasted), safe='')}"
        try:
            found = await services.look(visit.person, SERVICE, READ, path)
        except Problem as problem:
            if problem.exit_code not in (Exit.NOTHING_MATCHED, Exit.USAGE):
                raise
    status = 404 if pasted and found is None else 200
    return page(request, visit, "leak.html", status, pasted=pasted, found=found)


async def show_one(services: Services, request: Request, visit: Visit) -> Response:
    """One serial by its id: how it stands, and never its characters. Raises Problem."""
    serial_id = id_of(request.query_params.get("id", ""))
    found = await services.look(visit.person, SERVICE, READ, f"/v1/registrations/{serial_id}")
    done = request.query_params.get("done", "")
    return page(request, visit, "serial.html", serial=found, done=done if done in ENDS else "")


async def find(reader: Reader, request: Request, visit: Visit, form: Form) -> Response:
    """The serials of an order that end as somebody says. Raises Problem where there is none."""
    last_four, order_id = form.get("last_four", "").strip().upper(), form.get("order", "").replace("\0", "")
    if len(last_four) != LAST_FOUR:
        raise Problem("The end of a serial has four characters.", "Go back and type them.", Exit.USAGE)
    found = await reader.serials_ending(last_four, order_id)
    if len(found) == 1:
        return see(serial_path(str(found[0]["serial_id"])))
    ways = [{**each, "way": serial_path(str(each["serial_id"]))} for each in found]
    return page(request, visit, "serials_found.html", found=ways, order_id=order_id, last_four=last_four)


async def export(services: Services, request: Request, visit: Visit, form: Form) -> Response:
    """Readable serials as a file; who took it and why stands in the custody log. Raises Problem."""
    grant_id, kind = id_of(form.get("id", "")), form.get("kind", "")
    if kind not in FILES:
        raise Problem(f"{kind!r} is no file of serials.", f"One of: {', '.join(FILES)}", Exit.USAGE)
    asked = urlencode({**_selected(form), "lang": visit.language})
    taken = await services.take(
        visit.person, SERVICE, EXPORT, f"/v1/issuances/{grant_id}/serials.{kind}?{asked}"
    )
    watermark = taken.headers.get("x-watermark", "")
    return download(taken.file, FILES[kind], f"serials-{grant_id}-{watermark}.{kind}")


async def show_in_full(services: Services, request: Request, visit: Visit, form: Form) -> Response:
    """Some serials in full; who saw them and why stands in the custody log. Raises Problem."""
    grant_id = id_of(form.get("id", ""))
    asked = urlencode({**_selected(form), "limit": str(IN_FULL), "lang": visit.language})
    shown = await services.look(visit.person, SERVICE, EXPORT, f"/v1/issuances/{grant_id}/serials?{asked}")
    ways = {str(each["serial_id"]): serial_path(str(each["serial_id"])) for each in shown["items"]}
    return page(request, visit, "in_full.html", grant_id=grant_id, readable=shown, ways=ways)


def _selected(form: Form) -> dict[str, str]:
    """Which serials are meant, and why they are to leave. Raises Problem without a reason."""
    said = {name: form.get(name, "").strip() for name in ("from", "to", "state")}
    if said["state"] and said["state"] not in STATES:
        raise Problem(
            f"{said['state']!r} is no state of a serial.", f"One of: {', '.join(STATES)}", Exit.USAGE
        )
    return {name: text for name, text in said.items() if text} | {"reason": reason_of(form)}


async def try_end(services: Services, request: Request, visit: Visit, form: Form) -> Response:
    """What a reissue or a revocation would do; nothing is done. Raises Problem."""
    serial_id, how, t = id_of(form.get("id", "")), _how(form), partial(translate, visit.language)
    body = {"reason": ONLY_SHOWN, "apply": False}
    answer = await services.tell(visit.person, SERVICE, MANAGE, f"/v1/serials/{serial_id}/{how}", body)
    lines = [
        Said(
            t("State"),
            f"{t('serial ' + answer['before']['state'])} → {t('serial ' + answer['after']['state'])}",
        ),
        Said(t("Order"), answer["order_id"], order_path(answer["order_id"])),
        Said(t("Issuance"), answer["grant_id"], issuance_path(answer["grant_id"])),
        Said(t("Revoked"), f"{answer['revoked']:,}"),
        Said(t("Reissued"), f"{answer['reissued']:,} / {answer['reissue_quota']:,}"),
    ]
    if answer["new_unit"] is not None:
        lines.append(Said(t("New unit"), f"{answer['new_unit']:,}"))
    plan = Plan(
        title=t("do " + how),
        back=t("Serial"),
        back_to=serial_path(serial_id),
        lines=lines,
        notices=[Notice(t("A serial that is dead stays dead."), "bad")],
        events=events_of(answer),
        path="/serial/end",
        fields={"id": serial_id, "how": how},
        button=t("do " + how),
    )
    return confirm(request, visit, plan)


async def end(reader: Reader, services: Services, request: Request, visit: Visit, form: Form) -> Response:
    """Lets a serial die, with another one in its place or without. Raises Problem."""
    serial_id, how = id_of(form.get("id", "")), _how(form)
    body = {"reason": reason_of(form), "apply": True}
    path = f"/v1/serials/{serial_id}/{how}"
    await services.tell(visit.person, SERVICE, MANAGE, path, body, form.get("key") or None)
    reader.forget()
    return see(f"{serial_path(serial_id)}&done={how}")


def _how(form: Form) -> str:
    how = form.get("how", "")
    if how not in ENDS:
        raise Problem(f"{how!r} is no end of a serial.", f"One of: {', '.join(ENDS)}", Exit.USAGE)
    return how
