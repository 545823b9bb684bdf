"""The HTTP routes of invoices: look at a month, at answers to merges; close a month, merge, correct."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

from fastapi import Path, Query
from msgspec.structs import asdict
from pydantic import BaseModel, ConfigDict

from services.invoices.closing import MonthNotOver, OpenRefunds, close_month
from services.invoices.commands import (
    CANNOT_CORRECT,
    PARTNER_INCOMPLETE,
    PARTNER_PURGED,
    CorrectBody,
    MergeBody,
    OptionalText,
    PartnerBody,
    correct,
    merge_month_of_business,
)
from services.invoices.previewing import preview_month
from services.invoices.state import Reason
from services.invoices.store import CORRECT_PARTNER, SQL, Store
from services.invoices.viewing import (
    NoSuchDocument,
    NoSuchRequest,
    corrections_of,
    look_at_answer,
    look_at_document,
    look_at_month,
)
from shared.clock import now
from shared.events.fields import Id, Instant, Month
from shared.kst import wire_time
from shared.runtime.commands import Work
from shared.runtime.surroundings import Surroundings
from shared.web.callers import Origin
from shared.web.fields import Body, ToldEvent, WireInstant, WireWon
from shared.web.paging import USUAL, Cursor, Limit, Page, after, page_of
from shared.web.problems import NOT_FOUND, Kind, Problem
from shared.web.routes import Asking, HttpRoute, Requested, RequestedOnce, get, post

MONTH_NOT_OVER = Kind(
    "month_not_over",
    409,
    "The month is not over",
    "{month} can be closed from {ends_at} on; this issued nothing",
    "아직 끝나지 않은 달입니다",
    "{month}은 {ends_at}부터 마감할 수 있습니다. 발행된 것은 없습니다",
)
OPEN_REFUND = Kind(
    "open_refund",
    409,
    "Payments of the month have a refund in progress",
    "{count} refunds of payments of {month} are in progress, and a close would issue those payments whole; "
    "nothing was issued. See {month}/preview, then say despite_open_refunds, or wait for their end",
    "환불이 진행 중인 결제가 있습니다",
    "{month}에 진행 중인 환불이 {count}건 있어, 마감하면 해당 결제가 전액 발행됩니다. 발행된 것은 없습니다. "
    "{month}/preview를 확인한 뒤 despite_open_refunds를 지정하거나 환불이 끝나기를 기다리십시오",
)
CLOSE_SECONDS = 600.0
"""A close goes on for as long as it takes to issue a large month; so does its preview."""
NAMED = 20
"""So many refunds are named with a close that they stop."""


AMonth = Annotated[Month, Path(description="a month in Seoul, YYYY-MM")]
PartnerId = Annotated[Id, Path(description="the id of a partner")]
RequestId = Annotated[Id, Path(description="the id of a request to merge or to undo a merge")]
DocumentName = Annotated[Id, Path(description="the key or the id of a document")]


class CloseBody(Body):
    """Close a month at the instant `at`; without one at the present.

    With `despite_open_refunds` payments with a refund in progress are issued whole; each such refund becomes
    a modified invoice when it is paid out.
    """

    at: Instant | None = None
    reason: OptionalText = ""
    despite_open_refunds: bool = False


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
    drafts: int
    corrections: list[dict[str, Any]]


class ShownMonth(MonthTotals):
    """A month as it is. `closed_at` is null until it is closed."""

    closed_at: str | None


class ClosedMonth(MonthTotals):
    """A month that was closed; `already_issued` of its documents were issued before.

    `drafts` are left, and the month is to be closed again: a refund of theirs opened meanwhile.
    """

    already_issued: int


class ShownBlocker(BaseModel):
    """Something that stands against a close, or is to be known before it, with what to do next."""

    code: str
    count: int
    won: WireWon | None
    who: str
    command: str
    members: list[dict[str, Any]]
    detail: str


class PreviewedMonth(BaseModel):
    """A month as it is, and what a close would issue: `to_be` counts documents with open refunds whole.

    A close is refused while there are `blockers`; `warnings` do not hold it up. `state` is running, open,
    interrupted or closed. Lists name so many as `limit` says; counts and won are of all.
    """

    month: str
    state: str
    at: str
    ends_at: str
    due_on: str
    days_left: int
    closed_at: str | None
    closes: list[dict[str, str]]
    issued: dict[str, int]
    to_be: dict[str, int]
    merges: list[dict[str, Any]]
    left_out: list[dict[str, Any]]
    blockers: list[ShownBlocker]
    warnings: list[ShownBlocker]


class PrintedLine(BaseModel):
    """A line as it is printed on a document."""

    product_id: str
    name: str
    unit_price: WireWon
    quantity: int
    supply: WireWon
    vat: WireWon


class PaymentOnDocument(BaseModel):
    """A payment that stands on a document."""

    payment_id: str
    order_id: str


class ShownDocument(BaseModel):
    """A document. `on_it` are all its payments; `lines` is null where they are not known any more."""

    model_config = ConfigDict(extra="allow")

    invoice_id: str
    kind: str
    state: str
    month: str
    supply: WireWon
    vat: WireWon
    total: WireWon
    on_it: list[PaymentOnDocument]
    lines: list[PrintedLine] | None


class Months:
    """The endpoints; a close takes `chunk` partners in one transaction."""

    def __init__(self, surroundings: Surroundings, store: Store, chunk: int) -> None:
        self._surroundings, self._store, self._chunk = surroundings, store, chunk

    async def look(self, month: AMonth) -> Any:
        """What is issued of a month, and which corrections are proposed or made."""
        return await look_at_month(self._surroundings.pool, month)

    async def preview(
        self,
        month: AMonth,
        at: Annotated[Instant | None, Query(description="as of this instant; without one at present")] = None,
        limit: Limit = USUAL,
    ) -> Any:
        """What a close of the month would issue, what stands against it, and who closed it already.

        It changes nothing and holds nobody up. A month that is not over is shown as of its end.
        """
        pool = self._surroundings.pool
        return await preview_month(pool, self._store, month, at or now(), most=limit, chunk=self._chunk)

    async def document(self, month: AMonth, document: DocumentName) -> Any:
        """A document of a month, by key or id, with its lines."""
        try:
            return await look_at_document(self._surroundings.pool, month, document)
        except NoSuchDocument as unknown:
            raise Problem(NOT_FOUND, what=str(unknown)) from None

    async def close(self, month: AMonth, body: CloseBody, caller: Asking) -> Any:
        """Closes a month at the instant `at`, or now: issues its documents. Safe to repeat.

        A refund in progress of a payment that would be issued is 409, and nothing is issued.
        """
        try:
            summary = await close_month(
                self._surroundings,
                self._store,
                month,
                body.at or now(),
                chunk=self._chunk,
                actor=caller.sub,
                reason=body.reason,
                despite_open_refunds=body.despite_open_refunds,
            )
        except MonthNotOver as early:
            raise Problem(MONTH_NOT_OVER, month=month, ends_at=wire_time(early.ends_at)) from None
        except OpenRefunds as open_ones:
            more = {"refunds": [dict(row) for row in open_ones.refunds[:NAMED]]}
            raise Problem(OPEN_REFUND, month=month, count=len(open_ones.refunds), more=more) from None
        async with self._surroundings.pool.acquire() as connection:
            corrections = await corrections_of(connection, month)
        return {**asdict(summary), "corrections": corrections}

    async def merge(self, month: AMonth, body: MergeBody, origin: Requested) -> Any:
        """Merges a month over the partners of a business number; only shows it unless `apply`."""
        action = "business.unmerge" if body.undo else "business.merge"
        work, key = partial(merge_month_of_business, self._store, month), f"{month} {body.business_number}"
        return await self._carry_out(action, key, body, origin, work)

    async def correct(self, month: AMonth, body: CorrectBody, origin: Requested) -> Any:
        """Takes a document back and says it again under the right number; only shows it unless `apply`."""
        work, key = partial(correct, self._store, month), f"{month} {body.document}"
        return await self._carry_out("document.correct", key, body, origin, work)

    async def _carry_out(
        self, action: str, key: str, body: MergeBody | CorrectBody, origin: Origin, work: Work
    ) -> Any:
        alone = self._surroundings.send_alone
        return await alone(action, key, body, origin, work, reason=body.reason, dry_run=not body.apply)


class KnownPartner(BaseModel):
    """What invoices knows of a partner."""

    business_number: str
    name: str
    invoice_email: str
    always_merge: bool


class PartnersDocument(BaseModel):
    """A document of the partner under its number; a draft has no key yet."""

    invoice_id: str
    document_key: str | None
    month: str
    business_number: str
    total: WireWon


class PartnersCorrection(BaseModel):
    """That an issued document names the wrong business: proposed now, or withdrawn."""

    document_key: str | None
    month: str
    right_number: str
    state: str


class CorrectedPartner(BaseModel):
    """What a correction of a partner changes; only shown unless `applied`."""

    partner_id: str
    applied: bool
    before: KnownPartner | None
    after: KnownPartner
    issued: list[PartnersDocument]
    renumbered: list[PartnersDocument]
    corrections: list[PartnersCorrection]
    events: list[ToldEvent]


class AnsweredPayment(BaseModel):
    """What became of a payment: `merged`, or why it was left out. `order_id` is null of an unknown one."""

    payment_id: str
    order_id: str | None
    reason: Reason


class AnsweredRequest(Page[AnsweredPayment]):
    """A request to merge, or to `undo` a merge, with the payments of its answer, `count` in all."""

    partner_id: str
    request_id: str
    undo: bool
    business_number: str
    month: str
    requested_at: WireInstant
    count: int


class Partners:
    """The endpoints."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._pool, self._send = surroundings.pool, surroundings.send

    async def answer(
        self, partner_id: PartnerId, request_id: RequestId, limit: Limit = USUAL, cursor: Cursor = None
    ) -> Any:
        """What became of each payment of a request to merge or to undo a merge, as of now, by payment id."""
        (behind,) = after(cursor, ("",))
        try:
            request, payments = await look_at_answer(
                self._pool, partner_id, request_id, behind=behind, most=limit + 1
            )
        except NoSuchRequest as unknown:
            raise Problem(NOT_FOUND, what=f"{unknown}; pawl find WORD looks for one") from None
        return {**request, **page_of(payments, limit, lambda row: (row["payment_id"],))}

    async def correct(self, partner_id: PartnerId, body: PartnerBody, origin: RequestedOnce) -> Any:
        """Changes what is known of a partner; only shows what becomes of its documents unless `apply`."""
        if not await self._pool.fetchval(SQL.is_partner_known, partner_id):
            raise Problem(NOT_FOUND, what=f"there is no partner {partner_id}; pawl find WORD looks for one")
        dry_run = not body.apply
        return await self._send(
            CORRECT_PARTNER, partner_id, body, origin, reason=body.reason, dry_run=dry_run
        )


def http_routes(surroundings: Surroundings, store: Store, chunk: int) -> Sequence[HttpRoute]:
    """The routes beside those of every service; a close takes `chunk` partners in one transaction."""
    months, month = Months(surroundings, store, chunk), "/v1/months/{month}"
    partners = Partners(surroundings)
    return [
        get(month, months.look, "invoices:read", answers=ShownMonth),
        get(
            f"{month}/preview", months.preview, "invoices:read", answers=PreviewedMonth, seconds=CLOSE_SECONDS
        ),
        get(f"{month}/documents/{{document}}", months.document, "invoices:read", answers=ShownDocument),
        post(
            f"{month}/close",
            months.close,
            "invoices:approve",
            answers=ClosedMonth,
            problems=[MONTH_NOT_OVER, OPEN_REFUND],
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
        get(
            "/v1/partners/{partner_id:path}/merges/{request_id:path}",
            partners.answer,
            "invoices:read",
            answers=AnsweredRequest,
        ),
        post(
            "/v1/partners/{partner_id:path}/correct",
            partners.correct,
            "partners:manage",
            answers=CorrectedPartner,
            problems=[PARTNER_INCOMPLETE, PARTNER_PURGED],
        ),
    ]
