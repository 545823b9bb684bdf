"""*Order*: what `pawl order` tells, with what led to what, two ledgers, and what it waits for."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple

import orjson
from starlette.requests import Request
from starlette.responses import Response

from console.drawing import PLACES, Strip, X, groups_of, strips_of
from console.formats import Language
from console.masking import mask, mask_text
from console.pages import page
from console.reading import KEY, Reader
from console.routes import Route, get
from console.sentences import action_in, sentence_in
from console.visits import Visit
from ops.shell.output import visible
from ops.shell.ways import letter_path, refund_path, way_of
from ops.watch.audit_log import Audited
from ops.watch.story.model import Dead, Parked, Story, Wait
from ops.watch.story.timeline import Kind, Row, elapsed, rows_of
from shared.clock import now
from shared.kst import wire_time

MOST_AUDITED: Final = 1_000
CAUSES: Final = ("event", "change")
PARTS: Final = ("open", "issuing", "issued", "refunding", "refunded")
_PLACE: Final = re.compile(rf"\b({'|'.join(PLACES)})\b")
_STRANGE: Final = re.compile(r"[^A-Za-z0-9_-]")
_PAPERS: Final = re.compile(r"\b(invoice|close|business number)\b")


class Told(NamedTuple):
    """One event, refusal or change of a story, as it is said. `number` counts from 1."""

    number: int
    time: str
    text: str
    letter: str = ""


class Step(NamedTuple):
    """One row of the drawing: what was told there, several of which say the same.

    `cause` is the number of the step that led to it, `delay` how long after that one (or after the first) it
    was recorded.
    """

    told: Sequence[Told]
    place: str
    kind: Kind
    says: str
    delay: str
    cause: int | None
    strip: Strip

    @property
    def number(self) -> int:
        return self.told[0].number

    @property
    def x(self) -> str:
        return f"{X[self.place]:g}"


class Missing(NamedTuple):
    """What an order waits for: a sentence, the command that moves it, and its page, where there are such.

    `place` is where the step is missing.
    """

    says: str
    command: str
    way: str
    place: str

    @property
    def x(self) -> str:
        return f"{X[self.place]:g}"


class Entry(NamedTuple):
    """Where the paid units of a line are. None are left over; fewer than none of a part is a mistake."""

    line_id: str
    name: str
    paid: int
    parts: Mapping[str, int]

    @property
    def left(self) -> int:
        return self.paid - sum(self.parts.values())

    @property
    def is_right(self) -> bool:
        return self.left == 0 and all(count >= 0 for count in self.parts.values())


class UnitLedger(NamedTuple):
    """The lines of an order, all of them together, and the parts that there are."""

    entries: Sequence[Entry]
    total: Entry
    parts: Sequence[str]


def routes(reader: Reader) -> list[Route]:
    """The routes of this module."""
    return [get("/order", partial(show, reader), "ops:read")]


async def show(reader: Reader, request: Request, visit: Visit) -> Response:
    """One order: a page, the document of `pawl order --json`, or a bundle with all that is known of it."""
    order_id, kind = request.query_params.get("id", ""), request.query_params.get("format", "")
    watched = await reader.watched(f"{KEY}{order_id}") if order_id and not kind else ""
    story = await reader.order(order_id) if order_id else None
    if story is None:
        return page(request, visit, "no_order.html", 404 if order_id else 200, order_id=order_id)
    if kind == "json":
        return _file(story.to_document(), "order")
    if kind == "bundle":
        audited = await reader.audited(None, order_id, MOST_AUDITED)
        return _file(bundle_of(story, audited, now()), f"order-{_STRANGE.sub('_', order_id)[:80]}")
    return page(
        request,
        visit,
        "order.html",
        story=story,
        steps=steps_of(story, visit.language),
        places=PLACES,
        waits=[missing_of(wait, visit.language) for wait in story.waits],
        units=unit_ledger(story),
        won=won_ledger(story),
        refund_path=refund_path,
        action=partial(action_in, visit.language),
        watched=watched,
    )


def _file(document: dict[str, Any], name: str) -> Response:
    return Response(
        orjson.dumps(mask(document), option=orjson.OPT_INDENT_2),
        media_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="{name}.json"'},
    )


def bundle_of(story: Story, audited: Audited, at: datetime) -> dict[str, Any]:
    """All about an order in one document: its story, documents, cases, refusals, and the audit logs."""
    return {
        "at": wire_time(at),
        "order": story.to_document(),
        "documents": [
            {
                "invoice_id": each.invoice_id,
                "kind": each.kind,
                "document_key": each.document_key,
                "month": each.month,
                "state": each.state,
                "total": each.total,
                "refused": each.refused,
            }
            for each in story.invoices
        ],
        "cases": [
            {"payment_id": each.payment_id, "reason": each.reason, "amount": each.amount}
            for each in story.cases
        ],
        "refused": [_refused(each) for each in story.dead],
        "waiting": [_waiting(each) for each in story.parked],
        "audit": audited.to_document()["entries"],
        "unreadable": audited.unreadable,
    }


def _refused(dead: Dead) -> dict[str, Any]:
    return {
        "name": dead.name,
        "type": dead.type,
        "id": dead.event_id,
        "code": dead.code,
        "pointer": dead.pointer,
        "detail": dead.detail,
        "state": dead.state,
        "at": wire_time(dead.dead_at),
    }


def _waiting(parked: Parked) -> dict[str, Any]:
    return {
        "name": parked.name,
        "type": parked.type,
        "id": parked.event_id,
        "kind": parked.kind,
        "reason": parked.reason,
        "since": wire_time(parked.parked_at),
    }


def steps_of(story: Story, language: Language = "en") -> list[Step]:
    """The timeline, with steps that say the same taken together, each with the step that led to it."""
    rows = rows_of(story)
    numbers = {row.id: number for number, row in enumerate(rows) if row.id and row.kind in CAUSES}
    causes = [numbers.get(row.caused_by) for row in rows]
    groups = groups_of([_name(row) for row in rows])
    step_of = {number: step for step, group in enumerate(groups) for number in group}
    leads = [
        None if cause is None or step_of[cause] == step else step_of[cause]
        for step, cause in enumerate(causes[group[0]] for group in groups)
    ]
    strips = strips_of([_place(rows[group[0]]) for group in groups], leads)
    return [
        _step(rows, language, group, None if lead is None else groups[lead][0], causes[group[0]], strip)
        for group, lead, strip in zip(groups, leads, strips, strict=True)
    ]


def _step(
    rows: Sequence[Row],
    language: Language,
    group: Sequence[int],
    lead: int | None,
    cause: int | None,
    strip: Strip,
) -> Step:
    first = rows[group[0]]
    before = rows[0] if cause is None or lead is None else rows[cause]
    told = [
        Told(
            number + 1,
            rows[number].time,
            mask_text(visible("  ".join(sentence_in(language, part) for part in rows[number].said))),
            letter_path(rows[number].letter) if rows[number].letter else "",
        )
        for number in group
    ]
    return Step(
        told,
        _place(first),
        first.kind,
        told[0].text if len(group) == 1 else sentence_in(language, first.said[0]),
        elapsed(first.recorded_at - before.recorded_at),
        None if lead is None else lead + 1,
        strip,
    )


def _place(row: Row) -> str:
    return row.service if row.service in PLACES else "checkout"


def _name(row: Row) -> tuple[str, str] | None:
    """What rows have in common that are taken together: who says what, but for which and how many."""
    return (row.service, row.said[0]) if row.kind == "event" else None


def missing_of(wait: Wait, language: Language = "en") -> Missing:
    """What is waited for, as it is said in a language, and where it is missing."""
    says = visible(sentence_in(language, wait.says))
    return Missing(says, wait.command, way_of(wait.command), place_of(wait.says))


def place_of(says: str) -> str:
    """Where something is waited for: the place that the sentence names, else by what it is about."""
    if named := _PLACE.search(says):
        return named[1]
    if "quarantine" in says:
        return "orders"
    if _PAPERS.search(says):
        return "invoices"
    return "refunds" if "refund" in says else "checkout"


def unit_ledger(story: Story) -> UnitLedger:
    """Each line: what was paid, where its units are, and what is left over, which is 0."""
    entries = [
        Entry(line.line_id, line.product_name, line.paid, {part: getattr(line, part) for part in PARTS})
        for line in story.lines
    ]
    total = Entry(
        "",
        "",
        sum(entry.paid for entry in entries),
        {part: sum(entry.parts[part] for entry in entries) for part in PARTS},
    )
    return UnitLedger(entries, total, [part for part in PARTS if any(each.parts[part] for each in entries)])


def won_ledger(story: Story) -> Sequence[tuple[str, int]]:
    """What was paid, what went back and what stands on documents, then what is on none; the sum is 0."""
    entries = [("paid", story.amount), ("refunded", -story.refunded_won), ("invoiced", -story.invoiced_won)]
    rest = sum(amount for _, amount in entries)
    return [*entries, ("not on a document", -rest)]
