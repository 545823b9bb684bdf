"""The HTTP routes of invoices: look at a month, close it, merge a business, correct a document."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Path
from msgspec.structs import asdict
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, WithJsonSchema

from services.invoices.closing import MonthNotOver, close_month
from services.invoices.commands import BusinessCommand, CorrectCommand, correct, merge_month_of_business
from services.invoices.decisions.corrections import CannotCorrect, Order
from services.invoices.store import Store
from services.invoices.viewing import NoSuchDocument, corrections_of, look_at_document, look_at_month
from shared import business_number
from shared.clock import now
from shared.events.fields import NO_NUL, Id, Instant, Month, Text
from shared.kst import wire_time
from shared.runtime.surroundings import Surroundings
from shared.web.fields import Body, WireWon
from shared.web.problems import NOT_FOUND, Kind, Problem
from shared.web.routes import Asking, HttpRoute, get, post

MONTH_NOT_OVER = Kind(
    "month_not_over",
    409,
    "The month is not over",
    "{month} can be closed from {ends_at} on; this issued nothing",
    "아직 끝나지 않은 달입니다",
    "{month}은 {ends_at}부터 마감할 수 있습니다. 발행된 것은 없습니다",
)
CANNOT_CORRECT = Kind(
    "cannot_correct",
    409,
    "The document is not corrected",
    "{reason}; nothing was changed",
    "문서를 정정할 수 없습니다",
    "변경된 것은 없습니다 ({reason})",
)
KINDS = (MONTH_NOT_OVER, CANNOT_CORRECT)
CLOSE_SECONDS = 600.0
"""A close goes on for as long as it takes to issue a large month."""


def _valid_number(text: str) -> str:
    digits = business_number.normalise(text)
    if digits is None or not business_number.is_valid(digits):
        raise ValueError("no valid business number")
    return digits


ValidNumber = Annotated[
    str,
    AfterValidator(_valid_number),
    WithJsonSchema(
        {
            "type": "string",
            "format": "business-number",
            "description": "a business number of ten digits with its check digit",
        }
    ),
]
AMonth = Annotated[Month, Path(description="a month in Seoul, YYYY-MM")]
OptionalText = Annotated[str, StringConstraints(max_length=2_000, pattern=NO_NUL)]
DocumentName = Annotated[Id, Path(description="the key or the id of a document")]


class CloseBody(Body):
    """Close a month at the instant `at`; without one at the present."""

    at: Instant | None = None
    reason: OptionalText = ""


class MergeBody(Body):
    """Merge the payments of a business number in a month, or undo that; only shown unless `apply`."""

    business_number: ValidNumber
    undo: bool = False
    apply: bool = False
    reason: OptionalText = ""


class CorrectBody(Body):
    """Correct a document under the proposed number or this one, or as a duplicate (`twice`)."""

    document: Id
    reason: Text
    business_number: ValidNumber | None = None
    twice: bool = False
    apply: bool = False


class MonthTotals(BaseModel):
    """Counts and won of the issued documents of a month, modified ones not included."""

    month: str
    documents: int
    payments: int
    supply: WireWon
    vat: WireWon
    total: WireWon
    merged: int
    issue_failed: int
    corrections: list[dict[str, Any]]


class ShownMonth(MonthTotals):
    """A month as it is. `closed_at` is null until it is closed."""

    closed_at: str | None


class ClosedMonth(MonthTotals):
    """A month that was closed; `already_issued` of its documents were issued before."""

    already_issued: int


class PrintedLine(BaseModel):
    """A line as it is printed on a document."""

    product_id: str
    name: str
    unit_price: WireWon
    quantity: int
    supply: WireWon
    vat: WireWon


class ShownDocument(BaseModel):
    """A document. `lines` is null where they are not known any more."""

    model_config = ConfigDict(extra="allow")

    invoice_id: str
    kind: str
    state: str
    month: str
    supply: WireWon
    vat: WireWon
    total: WireWon
    lines: list[PrintedLine] | None


class Months:
    """The endpoints; a close takes `chunk` partners in one transaction."""

    def __init__(self, surroundings: Surroundings, store: Store, chunk: int) -> None:
        self._surroundings, self._store, self._chunk = surroundings, store, chunk

    async def look(self, month: AMonth) -> Any:
        """What is issued of a month, and which corrections are proposed or made."""
        return await look_at_month(self._surroundings.pool, month)

    async def document(self, month: AMonth, document: DocumentName) -> Any:
        """A document of a month, by key or id, with its lines."""
        try:
            return await look_at_document(self._surroundings.pool, month, document)
        except NoSuchDocument as unknown:
            raise Problem(NOT_FOUND, what=str(unknown)) from None

    async def close(self, month: AMonth, body: CloseBody, caller: Asking) -> Any:
        """Closes a month at the instant `at`, or now: issues its documents. Safe to repeat."""
        try:
            summary = await close_month(
                self._surroundings,
                self._store,
                month,
                body.at or now(),
                chunk=self._chunk,
                actor=caller.sub,
                reason=body.reason,
            )
        except MonthNotOver as early:
            raise Problem(MONTH_NOT_OVER, month=month, ends_at=wire_time(early.ends_at)) from None
        async with self._surroundings.pool.acquire() as connection:
            corrections = await corrections_of(connection, month)
        return {**asdict(summary), "corrections": corrections}

    async def merge(self, month: AMonth, body: MergeBody, caller: Asking) -> Any:
        """Merges a month over the partners of a business number; only shows it unless `apply`."""
        command = BusinessCommand(
            month, body.business_number, body.undo, body.apply, now(), caller.sub, body.reason
        )
        return await merge_month_of_business(self._surroundings, self._store, command)

    async def correct(self, month: AMonth, body: CorrectBody, caller: Asking) -> Any:
        """Takes a document back and says it again under the right number; only shows it unless `apply`."""
        order = Order(body.business_number, body.twice, body.reason, caller.sub, now())
        command = CorrectCommand(month, body.document, order, body.apply)
        try:
            return await correct(self._surroundings, self._store, command)
        except NoSuchDocument as unknown:
            raise Problem(NOT_FOUND, what=str(unknown)) from None
        except CannotCorrect as refused:
            raise Problem(CANNOT_CORRECT, reason=str(refused)) from None


def http_routes(surroundings: Surroundings, store: Store, chunk: int) -> Sequence[HttpRoute]:
    """The routes beside those of every service; a close takes `chunk` partners in one transaction."""
    months, month = Months(surroundings, store, chunk), "/v1/months/{month}"
    return [
        get(month, months.look, "invoices:read", answers=ShownMonth),
        get(f"{month}/documents/{{document}}", months.document, "invoices:read", answers=ShownDocument),
        post(
            f"{month}/close",
            months.close,
            "invoices:approve",
            answers=ClosedMonth,
            problems=[MONTH_NOT_OVER],
            seconds=CLOSE_SECONDS,
        ),
        post(f"{month}/merge", months.merge, "invoices:manage", answers=dict[str, Any]),
        post(
            f"{month}/correct",
            months.correct,
            "invoices:manage",
            answers=dict[str, Any],
            problems=[CANNOT_CORRECT],
        ),
    ]
