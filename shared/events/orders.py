"""What the orders service says on `orders.events`: the state of orders and every claim to their units."""

from typing import Annotated, Literal

from pydantic import Field

from shared.events.checkout import Kind, Snapshot
from shared.events.fields import (
    MAX_LINES,
    Count,
    Data,
    Deadline,
    Id,
    Instant,
    LineUnits,
    Name,
    Quantity,
    RefundedLines,
    SignedWon,
    Total,
    UnitPrice,
    Units,
    UsageDays,
    Won,
)

QuarantineReason = Literal[
    "second_payment",
    "wrong_amount",
    "late_deposit",
    "told_late",
    "order_closed",
    "cancelled_after_issue",
    "cancelled_after_refund",
    "partly_cancelled",
    "payment_conflict",
    "payment_used",
    "payout_twice",
    "used_after_refund",
    "bonus_after_refund",
]
Settlement = Literal["returned", "applied", "kept", "taken_back", "reinstated"]
"""How a case ends: by an operator's decision, with the payment taken back, or by its money coming again."""


class OrderRegistered(Snapshot):
    """order.registered.v1: an order waits for its deposit."""

    deposit_deadline: Deadline
    amount: Won | None = None


class OrderPaid(Snapshot):
    """order.paid.v1: the order's money is here; `amount` = `supply` + `vat`, in won.

    `differs` are the JSON Pointers in which the snapshot differs from the one of the pending order. Where
    several payments pay together, `payment_ids` are all of them, and `payment_id` the last.
    """

    payment_id: Id
    amount: Total
    supply: Total
    vat: Total
    paid_at: Instant
    payment_ids: list[Id] | None = None
    differs: list[str] | None = None


class OrderExpired(Data):
    """order.expired.v1: no deposit came in time. Terminal."""

    order_id: Id
    expired_at: Instant


class OpenUnits(Data):
    """Units of a line that a cancelled payment took back, maybe none."""

    line_id: Id
    quantity: Units


class OrderCancelled(Data):
    """order.cancelled.v1: the payment was taken back. Terminal.

    `lines` are the open units taken back with it, `supply`, `vat` and `amount` their won: nothing and 0 for
    an order that was never paid.
    """

    order_id: Id
    payment_id: Id
    cancelled_at: Instant
    lines: Annotated[list[OpenUnits], Field(default_factory=list, max_length=MAX_LINES)]
    supply: Total = 0
    vat: Total = 0
    amount: Total = 0


class IssuanceGranted(Data):
    """issuance.granted.v1: these units are claimed for issue. No `request_id` where the policy asked."""

    order_id: Id
    grant_id: Id
    request_id: Id | None = None
    quantity: Quantity
    partner_id: Id
    line_id: Id
    kind: Kind
    product_id: Id
    product_name: Name
    unit_price: UnitPrice
    usage_days: UsageDays


class LineGrant(Data):
    """Units of one line that are claimed for issue, with what the line sells."""

    grant_id: Id
    line_id: Id
    quantity: Quantity
    kind: Kind
    product_id: Id
    product_name: Name
    unit_price: UnitPrice
    usage_days: UsageDays


class IssuanceGrantedTogether(Data):
    """issuance.granted.v2: the units of one decision are claimed for issue, a grant for each line.

    No `request_id` where the policy asked.
    """

    order_id: Id
    request_id: Id | None = None
    partner_id: Id
    grants: Annotated[list[LineGrant], Field(min_length=1, max_length=MAX_LINES)]


class IssuanceDenied(Data):
    """issuance.denied.v1: these units cannot be issued; `left` units of the line could be."""

    order_id: Id
    request_id: Id | None = None
    line_id: Id | None = None
    quantity: Units | None = None
    reason: Name
    left: Units


class RefundGranted(Data):
    """refund.granted.v1: these units are claimed for a refund and can never be issued.

    `supply` and `vat` are what they are worth in won, decided with the claim; absent only in older events.
    """

    order_id: Id
    refund_id: Id
    refund_request_id: Id | None = None
    lines: RefundedLines
    supply: Total | None = None
    vat: Total | None = None


class DeniedUnits(LineUnits):
    """Units asked for, and how many of the line were left."""

    left: Units


class RefundDenied(Data):
    """refund.denied.v1: the claim was refused; `lost_at` is the moment the units went elsewhere."""

    order_id: Id
    refund_id: Id
    refund_request_id: Id | None = None
    lines: Annotated[list[DeniedUnits], Field(max_length=MAX_LINES)]
    reason: Name
    lost_at: Instant | None = None


class Proposal(Data):
    """What to do about money in quarantine: give `refund` won back, and where to; 0 where it is missing."""

    refund: Won
    destination: Name | None = None


class PaymentQuarantined(Data):
    """payment.quarantined.v1: money that does not fit its order. Negative where it is missing, in won."""

    order_id: Id
    payment_id: Id
    amount: SignedWon
    reason: QuarantineReason
    proposal: Proposal | None = None


class QuarantineSettled(Data):
    """quarantine.settled.v1: a case of quarantine ended, with its won."""

    order_id: Id
    payment_id: Id
    amount: SignedWon
    reason: QuarantineReason
    decision: Settlement


class PartnerWithdrawn(Data):
    """partner.withdrawn.v1: the partner left; its new orders are refused."""

    partner_id: Id
    withdrawn_at: Instant


class Blocker(Data):
    """One thing that must end before a partner can leave."""

    kind: Id
    order_id: Id | None = None
    line_id: Id | None = None
    quantity: Units | None = None


class PartnerWithdrawalRefused(Data):
    """partner.withdrawal_refused.v1: the partner cannot leave yet; the first 1,000 blockers are listed.

    `count` are all of them where there are `more`; GET /v1/partners/ID/withdrawal-preflight has the rest.
    """

    partner_id: Id
    blockers: list[Blocker]
    count: Count | None = None
    more: bool | None = None


class PartnerPurged(Data):
    """partner.purged.v1: a partner that left years ago is named no more; who keeps its name erases it."""

    partner_id: Id
    withdrawn_at: Instant
    purged_at: Instant
