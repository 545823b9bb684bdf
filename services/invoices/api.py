"""The HTTP routes of invoices: look at a month, at answers to merges; close a month, merge, correct."""

from collections.abc import Sequence
from datetime import date
from functools import partial
from typing import Annotated, Any

from fastapi import Path, Query
from msgspec.structs import asdict
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from services.invoices.approving import (
    FourEyes,
    Issuer,
    Step,
    WithAgent,
    WithoutAgent,
    approve,
    heard_from_hometax,
    issue,
    transmitted,
)
from services.invoices.closes import MonthClose, Sizes
from services.invoices.closing import MonthNotOver, OpenRefunds, close_month
from services.invoices.commands import (
    BUYER_INCOMPLETE,
    CANNOT_CORRECT,
    PARTNER_INCOMPLETE,
    PARTNER_PURGED,
    CorrectBody,
    MergeBody,
    OptionalText,
    PartnerBody,
    ValidNumber,
    correct,
    merge_month_of_business,
)
from services.invoices.decisions.transmitting import APPROVAL_NUMBER, Result
from services.invoices.document_routes import SUPPLIER_NOT_CONFIGURED, document_routes
from services.invoices.documents.tax_document import Party
from services.invoices.plan import plan_of_partner, plans_of_business
from services.invoices.previewing import preview_month
from services.invoices.recalling import AgentSilent, NotWithAgent, recall_document
from services.invoices.state import Reason
from services.invoices.store import CORRECT_PARTNER, SQL, Store
from services.invoices.tax_agent import TaxAgent
from services.invoices.viewing import (
    NoSuchDocument,
    NoSuchRequest,
    corrections_of,
    look_at_answer,
    look_at_business,
    look_at_document,
    look_at_month,
    page_of_businesses,
)
from shared.business_number import normalise
from shared.clock import now
from shared.events.fields import Day, Id, Instant, Month, Name, Text, Total
from shared.hometax_list import ListedDocument
from shared.ids import uuid7
from shared.kst import wire_time
from shared.runtime.commands import Work
from shared.runtime.surroundings import Surroundings
from shared.web.callers import Caller, Origin
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
FOUR_EYES = Kind(
    "four_eyes",
    409,
    "Whoever approves does not issue",
    "{who}; nothing was issued. Have somebody else do it: pawl close {month} issue (INVOICES_FOUR_EYES)",
    "승인한 사람은 발행할 수 없습니다",
    "발행된 것은 없습니다. 다른 담당자가 pawl close {month} issue 명령으로 발행해야 합니다 ({who})",
)
TAX_AGENT = Kind(
    "tax_agent",
    409,
    "A tax agent issues the documents",
    "a close in one stroke would issue {month} without the tax agent; nothing was issued. "
    "First pawl close {month} approve, then pawl close {month} issue (INVOICES_TAX_AGENT_URL)",
    "세금계산서는 발행 대행사를 통해 발행됩니다",
    "한 번에 마감하면 대행사를 거치지 않습니다. 발행된 것은 없습니다. "
    "pawl close {month} approve 다음에 pawl close {month} issue 명령을 실행하십시오",
)
NOT_WITH_AGENT = Kind(
    "not_with_agent",
    409,
    "The document is not with the tax agent",
    "{what}; nothing was taken back. See pawl close {month} status DOCUMENT",
    "발행 대행사에 있는 세금계산서가 아닙니다",
    "회수된 것은 없습니다 ({what}). pawl close {month} status DOCUMENT 명령으로 확인하십시오",
)
TAX_AGENT_SILENT = Kind(
    "tax_agent_silent",
    503,
    "The tax agent does not answer",
    "{what}; whether the document was taken back is not known. Say the same again in two minutes",
    "발행 대행사가 응답하지 않습니다",
    "회수 여부를 알 수 없습니다 ({what}). 2분 후에 다시 시도하십시오",
)
CLOSE_SECONDS = 600.0
"""A close goes on for as long as it takes to issue a large month; so does its preview."""
NAMED = 20
"""So many refunds are named with a close that they stop."""


AMonth = Annotated[Month, Path(description="a month in Seoul, YYYY-MM")]
PartnerId = Annotated[Id, Path(description="the id of a partner")]
At = Annotated[Instant | None, Query(description="as of this instant; without one at present")]
BusinessNumber = Annotated[Id, Path(description="a business number")]
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


Businesses = Annotated[
    list[ValidNumber] | None, Field(description="only these; without it all of the month", max_length=1_000)
]


class StepBody(Body):
    """A step of a close at the instant `at` (without one at the present), of these businesses (all).

    Documents with a refund in progress are left, unless they are to be issued whole
    (`despite_open_refunds`).
    """

    reason: Text
    businesses: Businesses = None
    at: Instant | None = None
    despite_open_refunds: bool = False


class TransmissionResult(Body):
    """What the tax authority said of a document: its approval number (승인번호), or why it was not taken."""

    document_key: Id
    approval_number: Annotated[str, StringConstraints(pattern=f"^{APPROVAL_NUMBER.pattern}$")] | None = None
    failed: Name | None = None

    @model_validator(mode="after")
    def _is_one_of_both(self) -> "TransmissionResult":
        if (self.approval_number is None) == (self.failed is None):
            raise ValueError("names an approval number, or why it failed, and not both")
        return self


class TransmitBody(Body):
    """What the tax authority made of issued documents, at the instant `at` or now."""

    results: Annotated[list[TransmissionResult], Field(min_length=1, max_length=1_000)]
    reason: OptionalText = ""
    at: Instant | None = None


class HometaxLine(Body):
    """A line of Hometax's list (매출전자세금계산서목록): the approval number of a document of so many won."""

    written_date: Day
    approval_number: Annotated[str, StringConstraints(pattern=f"^{APPROVAL_NUMBER.pattern}$")]
    buyer_number: Annotated[str, StringConstraints(pattern="^[0-9]{10}$")]
    total: Total
    issued_on: Day | None = None


class HometaxBody(Body):
    """Lines of Hometax's list, at the instant `at` or now. Lines alike (day, buyer, won) come at once."""

    lines: Annotated[list[HometaxLine], Field(min_length=1, max_length=5_000)]
    reason: OptionalText = ""
    at: Instant | None = None


class RecallBody(Body):
    """Take a document back from the tax agent, by its key."""

    document: Id
    reason: Text


class RecalledDocument(BaseModel):
    """A document that is approved again, and not with the tax agent."""

    month: str
    document_key: str
    state: str


class LeftBusinesses(BaseModel):
    """Businesses that are still to be issued, for one reason; some of them are named."""

    reason: str
    count: int
    won: WireWon
    businesses: list[str]


class SteppedMonth(BaseModel):
    """What of a month, or of the businesses asked for, is drafted, approved, failed and issued.

    `left` are businesses that the step has left, and why: `open_refund`, `not_approved`, `with_agent` until
    the tax agent has answered, `answer_doubted` where its answer cannot be, `four_eyes`, or `not_issued`
    where it was interrupted.
    """

    month: str
    is_closed: bool
    drafts: int
    approved: int
    approved_total: WireWon
    issue_failed: int
    issued: int
    issued_total: WireWon
    left: list[LeftBusinesses]


class RefusedResult(BaseModel):
    """A result that cannot be: `not_issued`, `wrong_approval_number`, `approval_number_used`, or
    `transmitted_already`.
    """

    document_key: str
    code: str


class TransmittedMonth(BaseModel):
    """How many results were told for the first time, and those that cannot be."""

    month: str
    told: int
    refused: list[RefusedResult]


class ListedLine(BaseModel):
    """A line of Hometax's list that a person has to look at."""

    written_date: date
    approval_number: str
    buyer_number: str
    total: WireWon
    issued_on: date | None


class HeardFromHometax(TransmittedMonth):
    """What a list was good for: `told` numbers are new, `known` ones were told before.

    `ambiguous` lines fit several documents alike, or several lines fit one: say which with `transmit`.
    `unknown` ones fit none of the month. `waiting` documents still have no approval number.
    """

    known: int
    ambiguous: list[ListedLine]
    unknown: list[ListedLine]
    waiting: int


class ByWhom(BaseModel):
    """Who took a step, when, and why."""

    actor: str
    at: str
    reason: str


class ExpectedPenalty(BaseModel):
    """What is to be expected for late documents of one kind, in won, as an estimate.

    `kind` is issued_late, not_issued, transmitted_late or not_transmitted.
    """

    kind: str
    documents: int
    won: WireWon


class Drift(BaseModel):
    """What is no more as it was approved: `changed` documents, `new` ones, `gone` ones.

    `approved_total` won were approved, documents over `total` won are to be issued or are issued.
    """

    changed: int
    new: int
    gone: int
    approved_total: WireWon
    total: WireWon


class Arrived(BaseModel):
    """What came for a business since its approval: a payment, or what went back (negative won), and when.

    `what` is payment, refund or cancellation. `refund_id` is null of a payment.
    """

    what: str
    at: str
    payment_id: str
    order_id: str
    partner_id: str
    refund_id: str | None
    won: WireWon


class ExplainedDrift(Drift):
    """The same, with what has `arrived` since the approval, the oldest first; `has_more`: not all is named.

    A merge, and another business number, drift too, and are not among them.
    """

    arrived: list[Arrived]
    has_more: bool


class ShownBusiness(BaseModel):
    """How a business stands in a month: its state, its documents, each step by whom, and what is next.

    `state` is collecting, review, approved, submitted (its issue has begun), issued, transmitted,
    issue_failed, transmission_failed, or void where nothing is left of it. `drift` is null where everything
    is as it was approved.
    """

    business_number: str
    partners: list[str]
    state: str
    drafts: int
    approved: int
    issue_failed: int
    issued: int
    transmitted: int
    transmission_failed: int
    to_issue: WireWon
    total: WireWon
    approved_by: ByWhom | None
    issued_by: ByWhom | None
    drift: Drift | None
    due_on: str
    days_left: int
    command: str | None


class LookedAtBusiness(ShownBusiness):
    """One business, with what is to be expected for its late documents as of today, and what has drifted.

    `four_eyes`: who approved is not who issues; `with_agent`: a tax agent issues.
    """

    drift: ExplainedDrift | None
    penalties: list[ExpectedPenalty]
    four_eyes: bool
    with_agent: bool


class BusinessesInState(BaseModel):
    """Businesses of a month that are in a state; `won` are those of their `documents`, issued or to be."""

    state: str
    businesses: int
    documents: int
    won: WireWon


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


class Declared(BaseModel):
    """All that is issued of a month, modified documents too; negative where more went back than was paid."""

    documents: int
    supply: WireWon
    vat: WireWon
    total: WireWon


class ShownMonth(MonthTotals):
    """A month as it is. `closed_at` is null until it is closed. `businesses` counts them by their state.

    `board` says the same with documents and won, from the first state to the last.
    """

    closed_at: str | None
    declared: Declared
    businesses: dict[str, int]
    board: list[BusinessesInState]


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
    interrupted or closed. `closes`: who closed it, or (`step` is issue) issued of it, when and why.
    `in_steps`: it is approved, and then issued; a close in one stroke is refused, by `four_eyes` or because a
    tax agent issues (`with_agent`). Lists name so many as `limit` says; counts and won are of all.
    """

    month: str
    state: str
    at: str
    ends_at: str
    due_on: str
    days_left: int
    closed_at: str | None
    closes: list[dict[str, str]]
    in_steps: bool
    four_eyes: bool
    with_agent: bool
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


class StepOfDocument(BaseModel):
    """A step of a document: approved, issue_begun, transmitted or transmission_failed; when, by whom, why.

    `note` is the key that it was approved under, its approval number, or why it was not taken.
    """

    step: str
    at: str
    actor: str
    reason: str
    note: str


class ShownSubmission(BaseModel):
    """Where a document is with the tax agent; `next_at`: when it is looked at again, or when it ended."""

    state: str
    actor: str
    next_at: str
    tries: int
    approval_number: str | None
    detail: str


class Refusal(BaseModel):
    """Why a document is not taken, and what mends that."""

    why: str
    next: str
    command: str | None


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
    steps: list[StepOfDocument]
    agent: ShownSubmission | None
    refusal: Refusal | None


class ShownWon(BaseModel):
    """Won of a document."""

    supply: WireWon
    vat: WireWon
    total: WireWon


class ShownUnlock(BaseModel):
    """What would change what becomes of a payment: `issue_units`, `refund_ends`, `another_payment`,
    `ask_to_merge`, `merge_business`, `undo_business_merge`, or `undo`, which is possible until the issue.

    `command` is an operator's; null for what the partner does, or what only happens.
    """

    what: str
    units: int | None
    refund_ids: list[str]
    until: str | None
    command: str | None


class PendingRefund(ShownWon):
    """A refund in progress, and what it would take back."""

    refund_id: str


class ShownPlannedPayment(ShownWon):
    """A payment, whether it is on the merged document after the close, and why (not)."""

    payment_id: str
    order_id: str
    paid_at: str
    merges: bool
    reason: str
    unlocks: list[ShownUnlock]
    pending_refunds: list[PendingRefund]


class ShownTotals(BaseModel):
    """Won on the merged document, and on documents of single payments that are still to be issued."""

    merged: ShownWon
    single: ShownWon


class ShownBusinessPlan(BaseModel):
    """The plan of one business number; payments of two numbers never share a document.

    `totals`: `now`, and if what is pending arrives: `issued`, `refunded`, `released`, `issued_and_refunded`.
    """

    business_number: str
    invoice_id: str | None
    merged: list[str]
    payments: list[ShownPlannedPayment]
    totals: dict[str, ShownTotals]


class ShownPlan(BaseModel):
    """What a close would make of a partner's month. `always_merge_at_cut_off`: its standing preference."""

    partner_id: str
    month: str
    at: str
    cut_off: str
    due_on: str
    always_merge_at_cut_off: bool
    businesses: list[ShownBusinessPlan]


class Months:
    """The endpoints; `sizes` are those of the transactions of a close."""

    def __init__(
        self,
        surroundings: Surroundings,
        store: Store,
        sizes: Sizes,
        supplier: Party | None,
        agent: TaxAgent | None,
    ) -> None:
        self._surroundings, self._store, self._sizes = surroundings, store, sizes
        self._agent = agent
        self._has_supplier = supplier is not None

    async def look(self, month: AMonth) -> Any:
        """What is issued of a month, and which corrections are proposed or made."""
        return await look_at_month(self._surroundings.pool, month)

    async def preview(
        self,
        month: AMonth,
        at: At = None,
        limit: Limit = USUAL,
    ) -> Any:
        """What a close of the month would issue, what stands against it, and who closed it already.

        It changes nothing and holds nobody up. A month that is not over is shown as of its end.
        """
        pool = self._surroundings.pool
        return await preview_month(pool, self._store, month, at or now(), most=limit, chunk=self._sizes.chunk)

    async def document(self, month: AMonth, document: DocumentName) -> Any:
        """A document of a month, by key or id, with its lines."""
        try:
            return await look_at_document(self._surroundings.pool, month, document)
        except NoSuchDocument as unknown:
            raise Problem(NOT_FOUND, what=str(unknown)) from None

    async def close(self, month: AMonth, body: CloseBody, caller: Asking) -> Any:
        """Closes a month at the instant `at`, or now: issues its documents. Safe to repeat.

        A refund in progress of a payment that would be issued is 409, and nothing is issued. Where four eyes
        are asked for, or a tax agent issues, a month is approved and issued in two steps instead.
        """
        if self._store.policy.tax_agent:
            raise Problem(TAX_AGENT, month=month)
        if self._store.policy.four_eyes:
            who = "a close in one stroke approves and issues; first pawl close " + f"{month} approve"
            raise Problem(FOUR_EYES, month=month, who=who)
        try:
            summary = await close_month(
                self._surroundings,
                self._store,
                month,
                body.at or now(),
                sizes=self._sizes,
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

    async def approve(self, month: AMonth, body: StepBody, caller: Asking) -> Any:
        """Merges what partners want merged, then freezes documents: key, written date, lines. Repeatable."""
        if not self._has_supplier:
            raise Problem(SUPPLIER_NOT_CONFIGURED)
        step = _step("month.approve", month, body, caller)
        try:
            return await approve(self._surroundings, self._store, step, sizes=self._sizes)
        except MonthNotOver as early:
            raise Problem(MONTH_NOT_OVER, month=month, ends_at=wire_time(early.ends_at)) from None

    async def issue(self, month: AMonth, body: StepBody, caller: Asking) -> Any:
        """Issues the businesses all of whose documents are as they were approved. Safe to repeat.

        A tax agent issues them in its own time; they are left, `with_agent`, until it has answered.
        """
        step = _step("month.issue", month, body, caller)
        with_what = (self._surroundings, self._store, self._sizes)
        issuer: Issuer = WithAgent(*with_what) if self._store.policy.tax_agent else WithoutAgent(*with_what)
        try:
            return await issue(self._surroundings, self._store, step, issuer)
        except FourEyes as own:
            who = f"{caller.sub} has approved {', '.join(own.businesses[:NAMED])}"
            raise Problem(FOUR_EYES, month=month, who=who) from None

    async def transmit(self, month: AMonth, body: TransmitBody, caller: Asking) -> Any:
        """Keeps the approval numbers of issued documents, or why the authority did not take them."""
        close = MonthClose(month, body.at or now(), uuid7(), caller.sub, body.reason, action="month.transmit")
        results = [Result(each.document_key, each.approval_number, each.failed) for each in body.results]
        return await transmitted(self._surroundings, self._store, close, results)

    async def hometax(self, month: AMonth, body: HometaxBody, caller: Asking) -> Any:
        """Keeps the approval numbers of Hometax's list: of each line that fits one document alone."""
        close = MonthClose(month, body.at or now(), uuid7(), caller.sub, body.reason, action="month.transmit")
        lines = [ListedDocument(**line.model_dump()) for line in body.lines]
        return await heard_from_hometax(self._surroundings, self._store, close, lines)

    async def recall(self, month: AMonth, body: RecallBody, caller: Asking) -> Any:
        """Takes a document back from the tax agent that is not issued yet: it is approved, and may change."""
        if self._agent is None:
            raise Problem(NOT_WITH_AGENT, month=month, what="no tax agent issues documents here")
        close = MonthClose(month, now(), uuid7(), caller.sub, body.reason, action="document.recall")
        try:
            return await recall_document(self._surroundings, self._store, self._agent, close, body.document)
        except NotWithAgent as wrong:
            raise Problem(NOT_WITH_AGENT, month=month, what=str(wrong)) from None
        except AgentSilent as silent:
            raise Problem(TAX_AGENT_SILENT, what=str(silent)) from None

    async def plan(
        self,
        month: AMonth,
        business: Annotated[Id, Query(description="a business number")],
        at: At = None,
        cursor: Cursor = None,
        limit: Limit = USUAL,
    ) -> Any:
        """The merge plans of the partners of a business number, page by page. It changes nothing."""
        (last,) = after(cursor, ("",))
        number, instant = normalise(business) or business, at or now()
        pool = self._surroundings.pool
        rows = await plans_of_business(pool, self._store, month, number, last, limit, instant)
        return page_of(rows, limit, lambda row: (row["partner_id"],))

    async def plan_of_partner(
        self, partner_id: PartnerId, month: AMonth, caller: Asking, at: At = None
    ) -> Any:
        """Which payments of a partner's month merge, which do not and why, and what would change that."""
        found = None
        if caller.may_see(partner_id):
            pool = self._surroundings.pool
            found = await plan_of_partner(pool, self._store, partner_id, month, at or now())
        if found is None:
            raise Problem(NOT_FOUND, what=f"{partner_id} has no payment in {month}")
        return found

    async def businesses(
        self,
        month: AMonth,
        state: Annotated[str | None, Query(description="only those in this state")] = None,
        cursor: Cursor = None,
        limit: Limit = USUAL,
    ) -> Any:
        """How the businesses of a month stand, page by page."""
        (last,) = after(cursor, ("",))
        rows = await page_of_businesses(self._surroundings.pool, month, last, limit, state, now())
        return page_of(rows, limit, lambda row: (row["business_number"],))

    async def business(self, month: AMonth, number: BusinessNumber) -> Any:
        """How one business stands in a month."""
        pool, policy = self._surroundings.pool, self._store.policy
        found = await look_at_business(pool, month, normalise(number) or number, now())
        if found is None:
            raise Problem(NOT_FOUND, what=f"{month} has nothing of business {number}")
        return {**found, "four_eyes": policy.four_eyes, "with_agent": policy.tax_agent}

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


def _step(action: str, month: str, body: StepBody, caller: Caller) -> Step:
    close = MonthClose(
        month, body.at or now(), uuid7(), caller.sub, body.reason, body.despite_open_refunds, action
    )
    return Step(close, body.businesses)


class KnownPartner(BaseModel):
    """What invoices knows of a partner."""

    business_number: str
    name: str
    invoice_email: str
    always_merge: bool
    representative: str
    address: str
    business_type: str
    business_item: str
    branch_number: str


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


def http_routes(
    surroundings: Surroundings,
    store: Store,
    sizes: Sizes,
    supplier: Party | None,
    agent: TaxAgent | None = None,
) -> Sequence[HttpRoute]:
    """The routes beside those of every service; `sizes` are those of the transactions of a close.

    Documents are shown as those of the `supplier`, and not at all without one. An `agent` issues them, where
    there is one.
    """
    months, month = Months(surroundings, store, sizes, supplier, agent), "/v1/months/{month}"
    partners = Partners(surroundings)
    return [
        *document_routes(surroundings, supplier),
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
            problems=[MONTH_NOT_OVER, OPEN_REFUND, FOUR_EYES, TAX_AGENT],
            seconds=CLOSE_SECONDS,
        ),
        get(f"{month}/plan", months.plan, "invoices:read", answers=Page[ShownPlan]),
        get(
            "/v1/partners/{partner_id:path}/months/{month}/plan",
            months.plan_of_partner,
            "invoices:read",
            partners=True,
            answers=ShownPlan,
        ),
        get(f"{month}/businesses", months.businesses, "invoices:read", answers=Page[ShownBusiness]),
        get(f"{month}/businesses/{{number}}", months.business, "invoices:read", answers=LookedAtBusiness),
        post(
            f"{month}/approve",
            months.approve,
            "invoices:approve",
            answers=SteppedMonth,
            problems=[MONTH_NOT_OVER, SUPPLIER_NOT_CONFIGURED],
            seconds=CLOSE_SECONDS,
        ),
        post(
            f"{month}/issue",
            months.issue,
            "invoices:approve",
            answers=SteppedMonth,
            problems=[FOUR_EYES],
            seconds=CLOSE_SECONDS,
        ),
        post(
            f"{month}/recall",
            months.recall,
            "invoices:approve",
            answers=RecalledDocument,
            problems=[NOT_WITH_AGENT, TAX_AGENT_SILENT],
        ),
        post(f"{month}/transmit", months.transmit, "invoices:manage", answers=TransmittedMonth),
        post(f"{month}/hometax", months.hometax, "invoices:manage", answers=HeardFromHometax),
        post(f"{month}/merge", months.merge, "invoices:manage", answers=dict[str, Any]),
        post(
            f"{month}/correct",
            months.correct,
            "invoices:manage",
            answers=dict[str, Any],
            problems=[CANNOT_CORRECT, BUYER_INCOMPLETE],
        ),
        get(
            "/v1/partners/{partner_id:path}/merges/{request_id:path}",
            partners.answer,
            "invoices:read",
            answers=AnsweredRequest,
        ),
        post(
            f"{month}/amend",
            months.correct,
            "invoices:manage",
            answers=dict[str, Any],
            problems=[CANNOT_CORRECT, BUYER_INCOMPLETE],
        ),
        post(
            "/v1/partners/{partner_id:path}/correct",
            partners.correct,
            "partners:manage",
            answers=CorrectedPartner,
            problems=[PARTNER_INCOMPLETE, PARTNER_PURGED],
        ),
    ]
