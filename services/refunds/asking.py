"""Asking for a refund over HTTP: what could be refunded, what a request would give, and the request itself.

What is told before is judged as the request is, over one snapshot and without a lock.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Final, Literal

from fastapi import Path, Request
from pydantic import BaseModel

from services.refunds.commands import NOT_PAID, REQUEST, RequestBody, no_such_order
from services.refunds.decisions.eligibility import Eligibility, LineEligibility, eligibility, tax_effect
from services.refunds.decisions.units import unknown_line
from services.refunds.policies.app_stores import stores_to_ask
from services.refunds.policies.explaining import EFFECTS, MODIFICATIONS, STEPS, Step, unlocking, words_of
from services.refunds.policies.holds import HOLDS
from services.refunds.state import DestinationKind, Order
from services.refunds.store import Store
from shared.clock import now
from shared.events.canonical import content_hash
from shared.events.checkout import RefundRequested, check_line_ids, check_refund
from shared.events.faults import Fault
from shared.events.fields import Id, Lines
from shared.runtime.surroundings import Surroundings
from shared.tax_documents import Effect, IssuedInvoice, TaxEffect
from shared.units import LineUnits, line_units
from shared.web.callers import Caller
from shared.web.fields import Body, ToldEvent, WireInstant, WireWon
from shared.web.problems import LIMITED_TO_PARTNER, Problem, of_faults
from shared.web.routes import Asking, HttpRoute, Requested, get, post

OrderId = Annotated[Id, Path(description="the id of an order")]
REQUESTED: Final = "refund.requested.v1"
"""The event that a request over HTTP is as good as: its content is hashed in the same way."""


class PreviewBody(Body):
    """What a refund of these units would be; of everything refundable without `lines`."""

    order_id: Id
    lines: Lines | None = None


class Why(BaseModel):
    """A reason, by its stable code and in words. A reason without words is told by its code alone."""

    code: str
    text: str | None
    text_ko: str | None


class NextStep(BaseModel):
    """What has to come next, and who does it; `who` is null where it comes by itself."""

    next: str
    who: Literal["operator", "finance", "partner", "checkout"] | None
    what_to_do: str
    what_to_do_ko: str


class FreeUnits(BaseModel):
    """Free units that go with the last priced ones."""

    line_id: str
    quantity: int


class LineAnswer(BaseModel):
    """What may be refunded of a line. `asked` is null where all was asked for, `open` are unclaimed units.

    `supply`, `vat`, `fee` and `amount` are its share of the refund of all lines here that can be refunded.
    It can be refunded until `last_instant`; null: until it is issued. `reason` says why not, and `since`
    when; `hold` what its refund would wait for first; `unlock` what would have to come for either.
    """

    line_id: str
    kind: str
    asked: int | None
    paid: int
    open: int
    refundable: int
    supply: WireWon
    vat: WireWon
    fee: WireWon
    amount: WireWon
    last_instant: WireInstant | None
    reason: Why | None
    since: WireInstant | None
    hold: Why | None
    unlock: NextStep | None


class Destination(BaseModel):
    """Where the money would go. `needs_account`: the request has to name a bank account."""

    kind: DestinationKind
    needs_account: bool


class ShownStore(BaseModel):
    """An app store, and the page from which it is asked for a refund."""

    store: str
    link: str


class ModifiedDocument(BaseModel):
    """A modified tax invoice that the refund would make; its won are negative. Issued until `issue_by`."""

    modification: Literal["contract_cancelled", "supply_value_changed"]
    modification_ko: str
    original_document_key: str
    supply: WireWon
    vat: WireWon
    total: WireWon
    written_date: date
    issue_by: date


class TaxDocuments(BaseModel):
    """What the refund would do to the tax document of its payment, paid on the expected day.

    The fee pays no supply, so no document belongs to it.
    """

    effect: Effect | Literal["unknown"]
    text: str
    text_ko: str
    documents: list[ModifiedDocument]


class RefundPreview(BaseModel):
    """What a refund would give at the instant `at`, in won: `amount` = `supply` + `vat` - `fee`.

    `units` of named lines are all of them or 0. All of it can be refunded until `last_instant`; null: until
    it is issued. With `holds` it waits first, for each in turn, and is paid later than `expected_on`.
    `stores` are the app stores to ask where only they can refund it.
    """

    order_id: str
    partner_id: str
    at: WireInstant
    lines: list[LineAnswer]
    units: int
    given_up: list[FreeUnits]
    supply: WireWon
    vat: WireWon
    fee: WireWon
    amount: WireWon
    reason: Why | None
    since: WireInstant | None
    holds: list[Why]
    unlock: NextStep | None
    stores: list[ShownStore]
    last_instant: WireInstant | None
    destination: Destination
    expected_on: date | None
    expected_until: date | None
    legal_on: date
    tax_documents: TaxDocuments


class RequestedRefund(BaseModel):
    """What became of a request: its refund as it stands, and the events that followed.

    `why` is why it waits or ended. `who` does what is `next`; null where it comes by itself or has ended.
    `stores` are the app stores to ask where only they can refund it.
    """

    refund_id: str
    refund_request_id: str
    order_id: str
    state: str
    why: str | None
    why_text: str | None
    why_text_ko: str | None
    next: str | None
    who: Literal["operator", "finance", "partner", "checkout"] | None
    what_to_do: str | None
    what_to_do_ko: str | None
    stores: list[ShownStore]
    events: list[ToldEvent]


class AskingEndpoints:
    """The endpoints. A token that is limited to a partner may ask about that partner's orders."""

    def __init__(self, surroundings: Surroundings, store: Store, *, card_is_slip: bool) -> None:
        self._pool, self._send, self._store = surroundings.pool, surroundings.send, store
        self._card_is_slip = card_is_slip

    async def eligibility(self, order_id: OrderId, caller: Asking) -> Any:
        """What of an order can be refunded, what that would give, and why the rest cannot."""
        return await self._preview(order_id, None, caller)

    async def preview(self, body: PreviewBody, caller: Asking) -> Any:
        """What a refund of these units would give: won, days, and the tax documents that it makes."""
        _require_no(check_line_ids(body.lines or ()))
        asked = None if body.lines is None else line_units(body.lines)
        return await self._preview(body.order_id, asked, caller)

    async def request(self, body: RefundRequested, raw: Request, origin: Requested) -> Any:
        """Asks for a refund, as `refund.requested` does; the same request again changes nothing."""
        _require_no(check_refund(body))
        if body.role == "operator":
            origin.caller.require("refunds:manage")
            if origin.caller.partner_id is not None:
                raise Problem(LIMITED_TO_PARTNER, partner=origin.caller.partner_id)
        content = content_hash(REQUESTED, await raw.body()).hex()
        data = RequestBody(request=body, content=content)
        said = {"reason": body.reason, "subject": body.refund_request_id}
        return await self._send(REQUEST, body.order_id, data, origin, **said)

    async def _preview(self, order_id: str, asked: Sequence[LineUnits] | None, caller: Caller) -> Any:
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            order = await self._store.look_at_order(connection, order_id)
            if order is None or not caller.may_see(order.partner_id):
                raise no_such_order(order_id)
            issued = await self._store.issued_invoice(connection, order)
        return preview(order, issued, asked, card_is_slip=self._card_is_slip)


def preview(
    order: Order, issued: IssuedInvoice | None, asked: Sequence[LineUnits] | None, *, card_is_slip: bool
) -> dict[str, Any]:
    """What a refund of these units, None for everything, would give now, as JSON.

    Raises Problem (422) for a line that the order does not have.
    """
    fault = unknown_line(order, asked or ())
    if fault is not None:
        raise of_faults([Fault(fault.code, fault.pointer, fault.detail)])
    at = now()
    given = eligibility(order, at, asked)
    effect = tax_effect(order, given, issued, card_is_slip=card_is_slip)
    return {
        **given._asdict(),
        "partner_id": order.partner_id,
        "at": at,
        "lines": [_line(line) for line in given.lines],
        "given_up": [each.document() for each in given.given_up],
        "supply": given.money.supply,
        "vat": given.money.vat,
        "reason": _why(given.reason),
        "holds": [_why(hold) for hold in given.holds],
        "unlock": _unlock_of_all(given),
        "stores": stores_to_ask(given.reason),
        "destination": {"kind": given.destination, "needs_account": given.needs_account},
        "tax_documents": _tax_documents(effect),
    }


def _require_no(faults: Iterable[Fault]) -> None:
    found = list(faults)
    if found:
        raise of_faults(found)


def _line(line: LineEligibility) -> dict[str, Any]:
    step = _step_of_hold(line.hold) or unlocking(line.reason, is_some_open=bool(line.open))
    return {
        **line._asdict(),
        "supply": line.money.supply,
        "vat": line.money.vat,
        "amount": line.money.total - line.fee,
        "reason": _why(line.reason),
        "hold": _why(line.hold),
        "unlock": _next(step),
    }


def _unlock_of_all(given: Eligibility) -> dict[str, Any] | None:
    is_some_open = any(line.open for line in given.lines)
    first = given.holds[0] if given.holds else None
    return _next(_step_of_hold(first) or unlocking(given.reason, is_some_open=is_some_open))


def _step_of_hold(hold: str | None) -> Step | None:
    return None if hold is None else STEPS[HOLDS[hold].next]


def _next(step: Step | None) -> dict[str, Any] | None:
    return None if step is None else step.document()


def _why(code: str | None) -> dict[str, str | None] | None:
    if code is None:
        return None
    words = words_of(code)
    return {"code": code, "text": words and words.text, "text_ko": words and words.text_ko}


def _tax_documents(effect: TaxEffect | None) -> dict[str, Any]:
    kind = "unknown" if effect is None else effect.kind
    return {"effect": kind, **EFFECTS[kind]._asdict(), "documents": list(_documents(effect))}


def _documents(effect: TaxEffect | None) -> Iterator[Mapping[str, Any]]:
    if effect is None or effect.modified is None:
        return
    modified = effect.modified
    yield {
        "modification": modified.modification,
        "modification_ko": MODIFICATIONS[modified.modification],
        "original_document_key": modified.original_key,
        "supply": modified.amount.supply,
        "vat": modified.amount.vat,
        "total": modified.amount.total,
        "written_date": modified.written_date,
        "issue_by": modified.issue_by,
    }


def asking_routes(surroundings: Surroundings, store: Store, *, card_is_slip: bool) -> Sequence[HttpRoute]:
    """The routes for whoever wants a refund; a partner for its own orders."""
    asking = AskingEndpoints(surroundings, store, card_is_slip=card_is_slip)
    return [
        get(
            "/v1/orders/{order_id:path}/refund-eligibility",
            asking.eligibility,
            "refunds:read",
            answers=RefundPreview,
            partners=True,
        ),
        post("/v1/refund-previews", asking.preview, "refunds:read", answers=RefundPreview, partners=True),
        post(
            "/v1/refunds",
            asking.request,
            "refunds:request",
            answers=RequestedRefund,
            partners=True,
            problems=[NOT_PAID],
        ),
    ]
