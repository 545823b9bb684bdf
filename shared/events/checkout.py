"""What upstream checkout says on `checkout.events`: payments, requests that it relays, answers on payouts.

Required is what `docs/events.md` calls required; what only the golden documents show is optional, so that a
checkout may leave it out. The rules that span several fields are plain functions beside the models: they are
cheaper there, and their faults keep an exact pointer.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, StringConstraints

from shared.events.faults import Fault, shown
from shared.events.fields import (
    MAX_LINES,
    NO_CONTROL,
    Amount,
    BusinessNumber,
    Data,
    Deadline,
    Id,
    Instant,
    Lines,
    LineUnits,
    Month,
    Name,
    PaymentIds,
    Text,
    UnitPrice,
    UsageDays,
    Won,
)
from shared.money import payment_money, price_sum

PaymentMethod = Literal["card", "virtual_account", "bank_transfer", "mycash", "app_store"]
Evidence = Literal["tax_invoice", "card_slip", "cash_receipt"]
IssuePolicy = Literal["automatic", "on_request"]
VatMode = Literal["exclusive", "inclusive"]
Kind = Literal["serials", "metered", "prepaid", "goods"]
Role = Literal["partner", "operator"]
Decision = Literal["approve", "reject", "retry", "release"]
QuarantineDecision = Literal["returned", "applied", "kept"]
IMPOSSIBLE_EVIDENCE: Final[frozenset[tuple[PaymentMethod, Evidence]]] = frozenset(
    {
        ("virtual_account", "card_slip"),
        ("bank_transfer", "card_slip"),
        ("mycash", "card_slip"),
        ("app_store", "tax_invoice"),
        ("card", "cash_receipt"),
    }
)
"""Methods and evidence that never go together.

Only who takes a card gives its slip; an app store sells in its own name; a card payment is no cash.
"""
AccountPart = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=NO_CONTROL)]

_SERIALS_NEED_DAYS: dict[str, Any] = {
    "if": {"properties": {"kind": {"const": "serials"}}, "required": ["kind"]},
    "then": {"required": ["usage_days"], "properties": {"usage_days": {"type": "integer"}}},
}
_ACCOUNT_FIELDS = ("bank_code", "account_number", "holder")
_ACCOUNTS_NEED_FIELDS: dict[str, Any] = {
    "if": {"properties": {"method": {"const": "bank_account"}}, "required": ["method"]},
    "then": {
        "required": list(_ACCOUNT_FIELDS),
        "properties": {name: {"type": "string"} for name in _ACCOUNT_FIELDS},
    },
}


class Partner(Data):
    """The buyer as it was when it paid. A wrong business number is no reason to refuse its money."""

    partner_id: Id
    business_number: BusinessNumber
    name: Name
    invoice_email: Name
    representative: Name | None = None
    address: Name | None = None
    business_type: Name | None = None
    business_item: Name | None = None
    branch_number: Id | None = None


class Line(LineUnits):
    """One order line. `unit_price` is won per unit, supply value or gross by the order's `vat_mode`.

    `usage_days` (how long a customer uses one unit) is required for kind `serials`. `discount` lowers what
    the line is worth, in won of the same kind as `unit_price`: 0 .. price x quantity.
    """

    model_config = ConfigDict(json_schema_extra=_SERIALS_NEED_DAYS)

    kind: Kind
    product_id: Id
    product_name: Name
    unit_price: UnitPrice
    usage_days: UsageDays | None = None
    discount: Won | None = None


class Snapshot(Data):
    """Everything about an order that later decisions need, as it was at payment."""

    order_id: Id
    partner: Partner
    payment_method: PaymentMethod
    evidence: Evidence
    issue_policy: IssuePolicy
    vat_mode: VatMode
    lines: Annotated[list[Line], Field(min_length=1, max_length=MAX_LINES)]


class PaymentPending(Snapshot):
    """payment.pending.v1: an order waits until `deposit_deadline` for a deposit of `amount` won with VAT."""

    deposit_deadline: Deadline
    amount: Won | None = None


class PaymentCompleted(Snapshot):
    """payment.completed.v1: the money of an order arrived. `amount` is won with VAT, 0 only for what
    costs nothing.
    """

    payment_id: Id
    amount: Won
    paid_at: Instant


class PaymentFailed(Data):
    """payment.failed.v1: an attempt that brought no money; a pending order stays pending."""

    order_id: Id
    attempt_id: Id
    reason: Name
    failed_at: Instant


class PaymentCancelled(Data):
    """payment.cancelled.v1: upstream took a payment back; the money is already with the payer.

    `amount` is what went back in won, absent for all of it. `refund_id` says that this is the payment
    gateway's echo of a refund of ours.
    """

    order_id: Id
    payment_id: Id
    cancelled_at: Instant
    amount: Amount | None = None
    refund_id: Id | None = None


class QuarantineDecided(Data):
    """quarantine.decided.v1: an operator decided about the money of a payment in quarantine."""

    order_id: Id
    payment_id: Id
    decision: QuarantineDecision
    actor: Id
    note: Text
    decided_at: Instant


class LineActivated(Data):
    """line.activated.v1: a metered or prepaid line can be used since `activated_at`, or since its payment."""

    order_id: Id
    line_id: Id
    activated_at: Instant | None = None


class LineDelivered(Data):
    """line.delivered.v1: the goods of a line arrived at `delivered_at`, or count from its payment."""

    order_id: Id
    line_id: Id
    delivered_at: Instant | None = None


class IssuanceRequested(Data):
    """issuance.requested.v1: issue these units; without `lines` everything left."""

    order_id: Id
    request_id: Id
    lines: Lines | None = None


class UsageRecorded(Data):
    """usage.recorded.v1: `used` is the running total of a metered or prepaid line, in units or won."""

    order_id: Id
    line_id: Id
    used: Won
    recorded_at: Instant


class BalanceGranted(Data):
    """balance.granted.v1: bonus cash in won on a prepaid line; never refunded."""

    order_id: Id
    line_id: Id
    bonus: Amount
    expires_at: Deadline


class Destination(Data):
    """Where a refund goes. The method `bank_account` needs the account; its values are never repeated."""

    model_config = ConfigDict(json_schema_extra=_ACCOUNTS_NEED_FIELDS)

    method: Id
    bank_code: AccountPart | None = Field(default=None, repr=False)
    account_number: AccountPart | None = Field(default=None, repr=False)
    holder: Name | None = Field(default=None, repr=False)


class RefundRequested(Data):
    """refund.requested.v1: refund these units; without `lines` everything refundable.

    `reason` is free here, 1..200 characters: which reasons there are is a rule of the refunds service.
    """

    order_id: Id
    refund_request_id: Id
    requested_by: Id
    role: Role
    lines: Lines | None = None
    reason: Name
    message: Text
    destination: Destination


class Proof(Data):
    """A document that the requester handed in; `reference` says where it is kept."""

    reference: Text
    kind: Id | None = None


class RefundProofAttached(Data):
    """refund.proof_attached.v1: the requester handed in a proof for a refund that is held."""

    order_id: Id
    refund_id: Id
    proof: Proof | None = None
    actor: Id | None = None
    note: Text | None = None


class RefundReviewed(Data):
    """refund.reviewed.v1: an operator decided. `amount` is won, for an approval of a part."""

    order_id: Id
    refund_id: Id
    decision: Decision
    actor: Id
    amount: Amount | None = None
    note: Text | None = None


class ReturnConfirmed(Data):
    """return.confirmed.v1: the goods of a refund are back; without `lines` all of them.

    `lines` are the units that came back: of the goods of a refund those, and no others, are refunded then.
    """

    order_id: Id
    refund_id: Id
    confirmed_at: Instant | None = None
    lines: Lines | None = None


class RefundPaidOut(Data):
    """refund.paid_out.v1: the payment gateway paid a refund out; `amount` is what it paid, in won."""

    order_id: Id
    refund_id: Id
    payout_id: Id
    paid_out_at: Instant | None = None
    reason: Name | None = None
    amount: Amount | None = None


class RefundPayoutFailed(Data):
    """refund.payout_failed.v1: the payment gateway could not pay a refund out.

    Of a payout that was said to be paid out it is a bounce: the money came back.
    """

    order_id: Id
    refund_id: Id
    payout_id: Id
    reason: Name
    amount: Amount | None = None


class MergeRequested(Data):
    """merge.requested.v1: one invoice for these payments of a month; without `payment_ids` for all."""

    partner_id: Id
    business_number: BusinessNumber
    month: Month
    request_id: Id | None = None
    payment_ids: PaymentIds | None = None


class MergeUndone(MergeRequested):
    """merge.undone.v1: the partner wants separate invoices again."""


class PartnerChanged(Data):
    """partner.changed.v1: the partner's invoice data and its standing preference to merge.

    What is registered of its business (`representative` and what follows) stays as it was where it is absent.
    """

    partner_id: Id
    business_number: BusinessNumber
    name: Name
    invoice_email: Name
    always_merge: bool
    changed_at: Instant | None = None
    representative: Name | None = None
    address: Name | None = None
    business_type: Name | None = None
    business_item: Name | None = None
    branch_number: Id | None = None


class PartnerWithdrawalRequested(Data):
    """partner.withdrawal_requested.v1: a partner wants to leave."""

    partner_id: Id
    request_id: Id | None = None
    requested_at: Instant | None = None


def check_pending(order: PaymentPending) -> Iterator[Fault]:
    """The faults of a pending order that contradicts itself: its lines, its evidence, its amount."""
    faults = list(check_snapshot(order))
    yield from faults
    if faults or order.amount is None:
        return
    costs = _costs(order)
    if order.amount != costs:
        detail = f"amount must be the {costs} won of the lines, got {order.amount}"
        yield Fault("inconsistent", "/amount", detail)


def check_completed(order: PaymentCompleted) -> Iterator[Fault]:
    """The faults of a payment whose order contradicts itself, or that brings no won for what costs some.

    Any other amount that does not fit is money that arrived, and is never refused.
    """
    faults = list(check_snapshot(order))
    yield from faults
    costs = 0 if faults or order.amount else _costs(order)
    if costs:
        yield Fault("inconsistent", "/amount", f"amount must be more than 0 for lines of {costs} won, got 0")


def check_snapshot(order: Snapshot) -> Iterator[Fault]:
    """The faults of lines or evidence that cannot be."""
    if (order.payment_method, order.evidence) in IMPOSSIBLE_EVIDENCE:
        rule = f"evidence must fit the payment method {order.payment_method}"
        yield Fault("inconsistent", "/evidence", f"{rule}, got {shown(order.evidence)}")
    for index, line in enumerate(order.lines):
        if line.usage_days is None and line.kind == "serials":
            yield _absent(line, "usage_days", f"/lines/{index}/usage_days", "for a line of kind serials")
        if line.discount and line.discount > line.unit_price * line.quantity:
            yield _too_much_discount(index, line)
    yield from check_line_ids(order.lines)


def _costs(order: Snapshot) -> int:
    """What the payment of this order has to come to, in won with VAT."""
    return payment_money(order.vat_mode, price_sum(order.lines)).total


def _too_much_discount(index: int, line: Line) -> Fault:
    most = line.unit_price * line.quantity
    detail = f"discount must be 0..{most}, the price of the line, got {line.discount}"
    return Fault("out_of_range", f"/lines/{index}/discount", detail)


def check_lines(request: IssuanceRequested | RefundRequested | ReturnConfirmed) -> Iterator[Fault]:
    """The faults of a document that names a line twice."""
    if request.lines is not None:
        yield from check_line_ids(request.lines)


def check_refund(request: RefundRequested) -> Iterator[Fault]:
    """The faults of a refund request whose lines or destination contradict themselves."""
    yield from check_lines(request)
    to = request.destination
    if to.method != "bank_account":
        return
    for name in _ACCOUNT_FIELDS:
        if getattr(to, name) is None:
            yield _absent(to, name, f"/destination/{name}", "for the method bank_account")


def check_line_ids(lines: Sequence[LineUnits]) -> Iterator[Fault]:
    """`inconsistent` at each line whose id an earlier one has."""
    if len(lines) == 1 or len({line.line_id for line in lines}) == len(lines):
        return
    seen: set[str] = set()
    for index, line in enumerate(lines):
        if line.line_id in seen:
            detail = f"line_id must be unique in the document, got {shown(line.line_id)} again"
            yield Fault("inconsistent", f"/lines/{index}/line_id", detail)
        seen.add(line.line_id)


def _absent(data: Data, name: str, pointer: str, when: str) -> Fault:
    if name in data.model_fields_set:
        return Fault("wrong_type", pointer, f"{name} must not be null {when}")
    return Fault("missing_field", pointer, f"{name} is required {when}")
