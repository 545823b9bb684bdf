"""*Refused*: what was refused and what waits, by cause; one of them sent right, handled again, closed."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import orjson
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from console.asking import REVEAL, Services, reveal
from console.masking import StillHidden, mask, mask_headers, mask_record, mask_text, restore
from console.pages import page, see, table
from console.reading import MEMBERS, Reader
from console.routes import Form, Route, get, post
from console.sentences import sentence_in
from console.signing import Signer
from console.tables import Column, Row, view_of
from console.texts import translate
from console.visits import Visit
from ops.shell.asking import NoAnswer
from ops.shell.problem import Exit, Problem
from ops.shell.ways import letter_path
from ops.watch.dead.calls import CHANGE, LOOK, edit_one, fetch_one, replay_one, resolve_one
from ops.watch.dead.names import Filter, Name, parse_name
from ops.watch.dead.text import diff_lines, how_it_ended, outcome_text, pretty
from shared.clock import now
from shared.events.catalogue import SERVICES, UPSTREAM

COLUMNS: Final = (
    Column("code", "Cause", "code"),
    Column("pointer", "Place"),
    Column("type", "Event type"),
    Column("count", "Records", "count"),
    Column("keys", "Orders", "count"),
    Column("won", "Won held back", "won"),
    Column("age", "Oldest", "age"),
    Column("kind", "State", "code"),
    Column("service", "Service", "code"),
    Column("sender", "Sender"),
    Column("newest", "Newest", "instant"),
)
SHOWN: Final = ("code", "pointer", "type", "count", "keys", "won", "age", "kind", "sender")
"""What fits on a page; files have all of it."""
MEMBER_COLUMNS: Final = (
    Column("name", "Record", "id"),
    Column("key", "Key", "id"),
    Column("won", "Won", "won"),
    Column("sender", "Sender"),
    Column("since", "Since", "instant"),
)
CAUSE: Final = ("service", "code", "type", "sender", "all")
PATH: Final = "/refused"
LONGEST_REASON: Final = 500


class Line(NamedTuple):
    """A line of a JSON document; `is_fault` where the pointer leads to it or into it."""

    text: str
    is_fault: bool


class Desk(Struct, frozen=True):
    """Asks the services about records, with a token of the person who asks."""

    reader: Reader
    signer: Signer

    def base(self, name: Name) -> str:
        """Where the service of a record answers. Raises Problem."""
        return self.reader.system.service(name.service).base_url.rstrip("/")

    async def fetch(self, visit: Visit, name: Name) -> dict[str, Any]:
        """The record as its service shows it. Raises Problem."""
        return await fetch_one(self.base(name), name, self.signer(visit.person, LOOK))

    def token(self, visit: Visit) -> str:
        """A token that changes something."""
        return self.signer(visit.person, CHANGE)


def routes(reader: Reader, signer: Signer) -> list[Route]:
    """The routes of this module."""
    desk, services = Desk(reader, signer), Services(reader.system, signer)
    one = f"{PATH}/{{name}}"
    return [
        get(PATH, partial(show, reader), LOOK),
        get(one, partial(show_one, desk), LOOK),
        post(f"{one}/replay", partial(replay, desk), CHANGE),
        post(f"{one}/resolve", partial(resolve, desk), CHANGE),
        post(f"{one}/try", partial(try_edit, desk), CHANGE),
        post(f"{one}/send", partial(send_edit, desk), CHANGE),
        post(f"{one}/reveal", partial(show_hidden, desk, services), REVEAL),
    ]


async def show(reader: Reader, request: Request, visit: Visit) -> Response:
    """Every cause; of one cause its records, the newest first."""
    query = request.query_params
    service = query.get("service") if query.get("service") in SERVICES else None
    only = Filter(service, query.get("code") or None, query.get("type") or None, None)
    read_at = now()
    of_one_cause = bool(only.service and only.code)
    watched = await reader.watched("refused")
    found = await reader.refused(only, query.get("all") == "yes", MEMBERS if of_one_cause else 0)
    columns = MEMBER_COLUMNS if of_one_cause else COLUMNS
    sender = query.get("sender", "")
    if of_one_cause:
        rows = [row for group in found for row in members_of(group) if sender in ("", row["sender"])]
    else:
        rows = [row_of(group, read_at) for group in found]
    shows = partial(
        page,
        request,
        visit,
        "refused.html",
        only=only,
        sender=sender,
        everything=query.get("all") == "yes",
        fitting=[column for column in columns if of_one_cause or column.name in SHOWN],
        won=_sum(group.get("won") for group in found),
        orders=sum(group.get("keys", 0) for group in found),
        senders=sorted({each for group in found for each in group.get("senders", ())}),
        left_out=sum(group.get("left_out", 0) for group in found),
        endings=endings_of(found) if of_one_cause and visit.may(CHANGE) else (),
        watched=watched,
    )
    return table(request, rows, columns, view_of(query, columns, CAUSE), "refused", read_at, shows)


def _sum(amounts: Iterable[int | None]) -> int | None:
    """Of those that are known; None where none is."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known else None


def endings_of(found: Sequence[Mapping[str, Any]]) -> Sequence[str]:
    """How all records of a cause may be ended at once: what waits moves by itself, unless it is blocked."""
    kinds = {group["state"] if group["kind"] == "dead" else group["kind"] for group in found}
    if "open" in kinds:
        return "replay", "resolve"
    return ("replay",) if any(group["code"] == "blocked" for group in found) else ()


def row_of(group: Mapping[str, Any], at: datetime) -> Row:
    """A cause as a row; `way` leads to its only record, or to all of them."""
    state = group["state"] if group["kind"] == "dead" else group["kind"]
    cause = {"service": group["service"], "code": group["code"], "type": group["type"]}
    only = group["count"] == 1
    return {
        **{name: group[name] for name in ("count", "service", "code", "pointer", "type")},
        "kind": "dead" if state == "open" else state,
        "keys": group.get("keys"),
        "won": group.get("won"),
        "age": at - datetime.fromisoformat(group.get("oldest") or group["newest"]),
        "sender": ", ".join(group.get("senders", ())) or None,
        "newest": datetime.fromisoformat(group["newest"]),
        "way": letter_path(group["example"]) if only else f"{PATH}?{urlencode(cause)}",
    }


def members_of(group: Mapping[str, Any]) -> Iterator[Row]:
    """The records of a cause as rows."""
    for member in group["members"]:
        yield {
            "name": member["name"],
            "key": member["key"],
            "won": member.get("won"),
            "sender": member["sender"],
            "since": datetime.fromisoformat(member["since"]),
            "way": letter_path(member["name"]),
        }


async def show_one(desk: Desk, request: Request, visit: Visit) -> Response:
    """One record: why it is here, its document with the fault marked, and what may be done."""
    name = parse_name(request.path_params["name"])
    return _letter(request, visit, name, await desk.fetch(visit, name))


async def show_hidden(desk: Desk, services: Services, request: Request, visit: Visit, form: Form) -> Response:
    """The same page once, with what is hidden on it; first its service keeps who asked, and why."""
    name, reason = parse_name(request.path_params["name"]), reason_of(form, visit)
    shown = await desk.fetch(visit, name)
    kind = "unsent event" if name.unsent else "parked event" if name.parked else "dead letter"
    await reveal(services, visit.person, name.service, f"{kind} {name.row}", reason)
    return _letter(request, visit, name, shown, is_revealed=True)


async def replay(desk: Desk, request: Request, visit: Visit, form: Form) -> Response:
    """Has the service handle it again."""
    name, reason = parse_name(request.path_params["name"]), reason_of(form, visit)
    outcome = await replay_one(desk.base(name), name, desk.token(visit), reason)
    desk.reader.forget()
    if outcome.get("replayed"):
        return see(f"{letter_path(str(name))}?done=replayed")
    said = mask_text(sentence_in(visit.language, outcome_text(outcome, "replayed")))
    return _letter(request, visit, name, await desk.fetch(visit, name), 409, said=said)


async def resolve(desk: Desk, request: Request, visit: Visit, form: Form) -> Response:
    """Closes it, where nothing is left to do."""
    name, reason = parse_name(request.path_params["name"]), reason_of(form, visit)
    await resolve_one(desk.base(name), name, desk.token(visit), reason)
    desk.reader.forget()
    return see(f"{letter_path(str(name))}?done=resolved")


async def try_edit(desk: Desk, request: Request, visit: Visit, form: Form) -> Response:
    """What the document would lead to as it is written now; nothing of it is kept."""
    return await _edit(desk, request, visit, form, apply=False)


async def send_edit(desk: Desk, request: Request, visit: Visit, form: Form) -> Response:
    """Sends the document right, as a new event; the refused record stays as it came."""
    return await _edit(desk, request, visit, form, apply=True)


async def _edit(desk: Desk, request: Request, visit: Visit, form: Form, *, apply: bool) -> Response:
    name = parse_name(request.path_params["name"])
    reason = reason_of(form, visit) if apply else form.get("reason", "").strip()
    shown = await desk.fetch(visit, name)
    written = form.get("document", "")
    edited: dict[str, Any] = {"written": written, "reason": reason}
    try:
        document = orjson.loads(written)
    except orjson.JSONDecodeError as error:
        said = f"{translate(visit.language, 'This is no JSON')}: {error}"
        return _letter(request, visit, name, shown, 422, said=said, **edited)
    try:
        document = restore(document, document_of(shown))
    except StillHidden:
        text = "Something that you changed has hidden parts (***): write them, or be shown them first."
        return _letter(request, visit, name, shown, 422, said=translate(visit.language, text), **edited)
    body = {"document": document, "type": None, "time": None, "reason": reason or None, "apply": apply}
    try:
        outcome = await edit_one(desk.base(name), name, desk.token(visit), body)
    except Problem as problem:
        if isinstance(problem, NoAnswer):
            raise
        said = mask_text(sentence_in(visit.language, problem.message))
        return _letter(request, visit, name, shown, 422, said=said, **edited)
    if outcome.get("applied"):
        desk.reader.forget()
        return see(f"{letter_path(str(name))}?done=sent")
    difference = list(diff_lines(mask(shown["document"]), mask(document)))
    status = 409 if "refused" in outcome else 200
    return _letter(request, visit, name, shown, status, outcome=outcome, difference=difference, **edited)


def reason_of(form: Form, visit: Visit) -> str:
    """Why somebody does this. Raises Problem where they do not say."""
    reason = form.get("reason", "").strip()[:LONGEST_REASON]
    if not reason:
        text = "This needs a reason, which is kept. Nothing was done."
        raise Problem(translate(visit.language, text), "", Exit.USAGE)
    return reason


def _letter(
    request: Request,
    visit: Visit,
    name: Name,
    record: Mapping[str, Any],
    status: int = 200,
    *,
    is_revealed: bool = False,
    **more: Any,
) -> Response:
    shown = record if is_revealed else hidden(record)
    is_letter = not name.parked and not name.unsent
    is_open = is_letter and shown["state"] == "open"
    is_ours = is_letter and shown["topic"] != UPSTREAM
    document = document_of(shown)
    context = {
        "name": name,
        "record": shown,
        "lines": list(marked(document, shown.get("pointer", ""))) if document is not None else [],
        "is_letter": is_letter,
        "is_open": is_open,
        "is_editable": is_open and not is_ours,
        "ended": how_it_ended(shown) if is_letter and not is_open else "",
        "done": request.query_params.get("done", ""),
        "said": "",
        "outcome": None,
        "difference": [],
        "written": pretty(document) if document is not None else shown.get("value") or "{}",
        "reason": "",
        "is_revealed": is_revealed,
        "has_hidden": shown != record,
    }
    return page(request, visit, "letter.html", status, **{**context, **more})


def hidden(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as everybody may see it who may look at records."""
    ways: dict[str, Callable[[Any], Any]] = {
        "document": mask,
        "edited_document": mask,
        "value": mask_record,
        "headers": mask_headers,
        "detail": mask_text,
        "reason": mask_text,
        "close_reason": mask_text,
    }
    return {
        name: ways[name](value) if name in ways and value is not None else value
        for name, value in record.items()
    }


def document_of(shown: Mapping[str, Any]) -> Any:
    """The data of a record where it is JSON; None for anything else."""
    if shown.get("document") is not None:
        return shown["document"]
    try:
        return orjson.loads(shown.get("value") or "")
    except orjson.JSONDecodeError:
        return None


def marked(document: Any, pointer: str) -> Iterator[Line]:
    """The lines of a JSON document; those are marked that a pointer names, or else its parent."""
    lines = list(_lines(document, "", "", ""))
    while pointer and not any(_is_at(place, pointer) for place, _ in lines):
        pointer = pointer.rpartition("/")[0]
    for place, text in lines:
        yield Line(text, bool(pointer) and _is_at(place, pointer))


def _is_at(place: str, pointer: str) -> bool:
    return place == pointer or place.startswith(f"{pointer}/")


def _lines(value: Any, pointer: str, before: str, after: str) -> Iterator[tuple[str, str]]:
    """Each line with the pointer of what stands on it."""
    children: Sequence[tuple[str, str, Any]] = ()
    match value:
        case dict() if value:
            opening, closing = "{}"
            children = [(_escaped(str(key)), f"{_text(key)}: ", each) for key, each in value.items()]
        case list() if value:
            opening, closing = "[]"
            children = [(str(index), "", each) for index, each in enumerate(value)]
        case _:
            yield pointer, f"{before}{_text(value)}{after}"
            return
    indent = before[: len(before) - len(before.lstrip())]
    yield pointer, f"{before}{opening}"
    for number, (key, label, each) in enumerate(children, 1):
        comma = "," if number < len(children) else ""
        yield from _lines(each, f"{pointer}/{key}", f"{indent}  {label}", comma)
    yield pointer, f"{indent}{closing}{after}"


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()
