"""*Lists*: many refused records ended at once: frozen, tried, the first one alone, then the rest in steps."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final, cast, get_args
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from console.asking import Services, id_of, reason_of
from console.lists import MOST, Action, Frozen, Lists, Member
from console.masking import mask_text
from console.pages import page, see, table
from console.reading import Reader
from console.routes import Form, Route, get, post
from console.sentences import sentence_in
from console.signing import Signer
from console.tables import Column, Row, view_of
from console.texts import translate
from console.visits import Visit
from ops.shell.asking import NoAnswer
from ops.shell.problem import Exit, Problem
from ops.shell.ways import letter_path, list_path
from ops.watch.dead.calls import CHANGE, LOOK, replay_one, resolve_one, try_one
from ops.watch.dead.names import Filter, parse_name
from ops.watch.dead.text import outcome_text
from shared.clock import monotonic, now
from shared.events.catalogue import SERVICES

PATH: Final = "/refused-lists"
AT_ONCE: Final = 10
"""So many members are ended in one step, unless it takes longer than `STEP_SECONDS`."""
STEP_SECONDS: Final = 5.0
NEWEST: Final = 100
DONE: Final[Mapping[Action, str]] = {"replay": "replayed", "resolve": "resolved"}
COLUMNS: Final = (
    Column("made_at", "Time", "instant"),
    Column("action", "What", "code"),
    Column("cause", "Cause"),
    Column("person", "Who", "id"),
    Column("total", "Records", "count"),
    Column("done", "Done", "count"),
    Column("failed", "Failed", "count"),
    Column("left_out", "Left out", "count"),
    Column("reason", "Reason"),
)
MEMBER_COLUMNS: Final = (
    Column("name", "Record", "id"),
    Column("key", "Key", "id"),
    Column("outcome", "Outcome", "code"),
    Column("detail", "What came of it"),
    Column("would", "Dry run"),
    Column("ended_at", "Time", "instant"),
)


def routes(reader: Reader, signer: Signer) -> list[Route]:
    """The routes of this module."""
    services = Services(reader.system, signer)
    return [
        get(PATH, show_all, LOOK),
        get(f"{PATH}/{{list_id}}", show, LOOK),
        post(f"{PATH}/freeze", partial(freeze, reader), CHANGE),
        post(f"{PATH}/{{list_id}}/try", partial(try_all, services), CHANGE),
        post(f"{PATH}/{{list_id}}/first", partial(end_first, reader, services), CHANGE),
        post(f"{PATH}/{{list_id}}/rest", partial(end_rest, reader, services), CHANGE),
        post(f"{PATH}/{{list_id}}/stop", stop, CHANGE),
    ]


async def show_all(request: Request, visit: Visit) -> Response:
    """What was ended in lists, the newest first."""
    rows = [_row_of(each) for each in await _lists(request).newest(NEWEST)]
    shows = partial(page, request, visit, "lists.html")
    return table(request, rows, COLUMNS, view_of(request.query_params, COLUMNS), "lists", now(), shows)


def _row_of(each: Mapping[str, Any]) -> Row:
    named = {column.name: each[column.name] for column in COLUMNS}
    return {**named, "way": list_path(str(each["list_id"]))}


async def show(request: Request, visit: Visit) -> Response:
    """A list: how far it is, each member with what came of it, and what may be done next."""
    return await _page(request, visit, await _read(request))


async def freeze(reader: Reader, request: Request, visit: Visit, form: Form) -> Response:
    """Makes a list of what is open now for one cause. Raises Problem where nothing is."""
    action, service = form.get("action", ""), form.get("service", "")
    if action not in get_args(Action) or service not in SERVICES or not form.get("code"):
        raise Problem("A list is of one cause, to be replayed or resolved.", "", Exit.USAGE)
    only = Filter(service, form["code"], form.get("type") or None, None)
    rows = await reader.to_end(only, to_replay=action == "replay")
    sender = form.get("sender", "")
    rows = [row for row in rows if sender in ("", row["sender"])]
    if not rows or len(rows) > MOST:
        text = "Nothing of this cause is open." if not rows else "More than {most}: name a sender or a type."
        raise Problem(translate(visit.language, text, most=f"{MOST:,}"), "", Exit.USAGE)
    cause = " ".join(filter(None, (service, only.code, only.type, sender)))
    list_id = await _lists(request).freeze(visit.person.id, cast(Action, action), cause, rows)
    return see(list_path(str(list_id)))


async def try_all(services: Services, request: Request, visit: Visit, form: Form) -> Response:
    """What handling the next members again would write, by their services; nothing of it is kept there."""
    lists, frozen = _lists(request), await _read(request)
    end_at = monotonic() + STEP_SECONDS
    for member in await lists.untried(frozen.list_id, AT_ONCE * 5):
        would, is_hopeless = await _would(services, visit, member)
        await lists.note_would(frozen.list_id, member, would, is_hopeless=is_hopeless)
        if monotonic() > end_at:
            break
    frozen = await _read(request)
    return await _page(request, visit, frozen, goes_on="try" if frozen.untried else "")


async def _would(services: Services, visit: Visit, member: Member) -> tuple[str, bool]:
    name = parse_name(member.name)
    if name.parked:
        return translate(visit.language, "What waits has no dry run."), False
    token = services.token(visit.person, CHANGE)
    refused, outcome = await try_one(services.url(name.service), name, token)
    if refused:
        fault = " ".join(filter(None, (outcome["code"], outcome["pointer"], outcome["detail"])))
        return mask_text(fault), True
    rows = ", ".join(f"{row['table']} +{row['added']} ~{row['changed']}" for row in outcome["rows"])
    events = ", ".join(event["type"] for event in outcome["events"])
    waits = translate(visit.language, "It would wait for") if outcome["waits"] else ""
    return " · ".join(filter(None, (rows, events, waits))) or "–", False


async def end_first(
    reader: Reader, services: Services, request: Request, visit: Visit, form: Form
) -> Response:
    """Ends the first member alone, and waits for what comes of it. Raises Problem without a reason."""
    frozen = await _read(request)
    if frozen.stage == "frozen":
        await _end(services, visit, _lists(request), frozen, reason_of(form))
        reader.forget()
    return see(list_path(str(frozen.list_id)))


async def end_rest(
    reader: Reader, services: Services, request: Request, visit: Visit, form: Form
) -> Response:
    """Ends the next members, until one fails, somebody stops it or the step is over."""
    lists, frozen = _lists(request), await _read(request)
    if frozen.stage != "begun" or not frozen.outcomes("done"):
        return await _page(request, visit, frozen)
    end_at = monotonic() + STEP_SECONDS
    for _ in range(AT_ONCE):
        if not await _end(services, visit, lists, frozen, "") or monotonic() > end_at:
            break
    reader.forget()
    frozen = await _read(request)
    return await _page(
        request, visit, frozen, goes_on="rest" if frozen.stage == "begun" and frozen.left else ""
    )


async def stop(request: Request, visit: Visit, form: Form) -> Response:
    """Nothing more of the list is begun."""
    frozen = await _read(request)
    await _lists(request).stop(
        frozen.list_id, visit.person.id, form.get("reason", "").strip() or "stopped by hand"
    )
    return see(list_path(str(frozen.list_id)))


async def _end(services: Services, visit: Visit, lists: Lists, frozen: Frozen, reason: str) -> bool:
    """Ends the next member; whether it went well and there may be more."""
    begun = await lists.begin_next(frozen.list_id, reason)
    if begun is None:
        return False
    member, why = begun
    name, done = parse_name(member.name), DONE[frozen.action]
    act = replay_one if frozen.action == "replay" else resolve_one
    token, said = services.token(visit.person, CHANGE), f"{why} [list {frozen.list_id}]"
    try:
        outcome = await act(services.url(name.service), name, token, said)
    except NoAnswer as error:
        await lists.end(frozen.list_id, member, "unknown", mask_text(error.message))
        return False
    except Problem as problem:
        await lists.end(frozen.list_id, member, "failed", mask_text(problem.message))
        return False
    went_well = bool(outcome[done])
    text = mask_text(outcome_text(outcome, done))
    await lists.end(frozen.list_id, member, "done" if went_well else "failed", text)
    return went_well


async def _page(request: Request, visit: Visit, frozen: Frozen, goes_on: str = "") -> Response:
    rows = [_member_row(visit, member) for member in frozen.members]
    shows = partial(
        page,
        request,
        visit,
        "list.html",
        list=frozen,
        goes_on=goes_on,
        path=list_path(str(frozen.list_id)),
        first=next((each for each in frozen.members if not each.is_left_out), None),
        left_out=sum(each.is_left_out for each in frozen.members),
    )
    view = view_of(request.query_params, MEMBER_COLUMNS)
    return table(request, rows, MEMBER_COLUMNS, view, "list", now(), shows)


def _member_row(visit: Visit, member: Member) -> Row:
    standing = member.outcome or (
        "begun" if member.begun_at else "left_out" if member.is_left_out else "waiting"
    )
    return {
        "name": member.name,
        "key": member.key,
        "outcome": standing,
        "detail": sentence_in(visit.language, member.detail or member.hindrance),
        "would": member.would,
        "ended_at": member.ended_at,
        "way": letter_path(member.name),
    }


async def _read(request: Request) -> Frozen:
    frozen = await _lists(request).read(UUID(id_of(request.path_params["list_id"])))
    if frozen is None:
        raise Problem("There is no such list.", "Lists are kept for 90 days.", Exit.NOTHING_MATCHED)
    return frozen


def _lists(request: Request) -> Lists:
    lists: Lists = request.app.state.lists
    return lists
