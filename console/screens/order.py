"""*Order*: what `pawl order` tells, with what led to what, two ledgers, and what it waits for."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import orjson
from starlette.requests import Request
from starlette.responses import Response

from console.masking import mask, mask_text
from console.pages import page
from console.reading import Reader
from console.routes import Route, get
from console.visits import Visit
from console.ways import letter_path, way_of
from ops.shell.output import visible
from ops.watch.story.model import Story
from ops.watch.story.timeline import Kind, elapsed, rows_of
from shared.events.catalogue import SERVICES

PLACES: Final = ("checkout", *SERVICES)
"""Who says something of an order, in the order in which it goes through them."""


class Step(NamedTuple):
    """One step of a story. `number` counts from 1, `cause` is the number of the step that led to it."""

    number: int
    time: str
    after: str
    place: str
    text: str
    kind: Kind
    cause: int | None
    letter: str


class Wait(NamedTuple):
    """What an order waits for: a sentence, the command that moves it, and its page, where there are such."""

    says: str
    command: str
    way: str


def routes(reader: Reader) -> list[Route]:
    """The routes of this module."""
    return [get("/order", partial(show, reader), "ops:read")]


async def show(reader: Reader, request: Request, visit: Visit) -> Response:
    """One order; as the document of `pawl order --json` where the address asks for that."""
    order_id = request.query_params.get("id", "")
    story = await reader.order(order_id) if order_id else None
    if story is None:
        return page(request, visit, "no_order.html", 404 if order_id else 200, order_id=order_id)
    if request.query_params.get("format") == "json":
        return Response(
            orjson.dumps(mask(story.to_document()), option=orjson.OPT_INDENT_2),
            media_type="application/json",
            headers={"Content-Disposition": 'attachment; filename="order.json"'},
        )
    return page(
        request,
        visit,
        "order.html",
        story=story,
        steps=steps_of(story),
        places=PLACES,
        waits=[wait_of(sentence) for sentence in story.waits_for],
        units=list(unit_ledger(story)),
        won=won_ledger(story),
    )


def steps_of(story: Story) -> list[Step]:
    """The timeline, each step with its cause where that is a step of it too."""
    rows = rows_of(story)
    numbers = {row.id: number for number, row in enumerate(rows, 1) if row.id and row.kind == "event"}
    return [
        Step(
            number,
            row.time,
            elapsed(row.recorded_at - rows[0].recorded_at),
            row.service if row.service in PLACES else "checkout",
            mask_text(visible(row.text.plain.partition("  → ")[0])),
            row.kind,
            cause if (cause := numbers.get(row.caused_by)) != number else None,
            letter_path(row.letter) if row.letter else "",
        )
        for number, row in enumerate(rows, 1)
    ]


def wait_of(sentence: str) -> Wait:
    """`who: what; command` taken apart."""
    says, _, command = sentence.partition("; ")
    return Wait(visible(says), command, way_of(command))


def unit_ledger(story: Story) -> Iterator[dict[str, Any]]:
    """Each line: what was paid, where its units are, and what is left over, which is 0."""
    for line in story.lines:
        parts = {
            "open": line.open,
            "issuing": line.issuing,
            "issued": line.issued,
            "refunding": line.refunding,
            "refunded": line.refunded,
        }
        yield {"line": line, "parts": parts, "left": line.paid - sum(parts.values())}


def won_ledger(story: Story) -> Sequence[tuple[str, int]]:
    """What was paid, what went back and what stands on documents, then what is on none; the sum is 0."""
    entries = [("paid", story.amount), ("refunded", -story.refunded_won), ("invoiced", -story.invoiced_won)]
    rest = sum(amount for _, amount in entries)
    return [*entries, ("not on a document", -rest)]
