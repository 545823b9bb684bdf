"""What the orders service says on `orders.events`: the state of orders and every claim to their units."""

from typing import Annotated, Literal

from pydantic import Field

from shared.events.checkout import Kind, Snapshot
from shared.events.fields import (
    MAX_LINES,
    Amount,
    Data,
    Deadline,
    Id,
    Instant,
    Lines,
    LineUnits,
    Name,
    Quantity,
    SignedWon,
    Total,
    UnitPrice,
    Units,
    UsageDays,
)

QuarantineReason = Literal[
    "second_payment", "wrong_amount", "late_deposit", "order_closed", "cancelled_after_issue"
]


class OrderRegistered(Snapshot):
    """order.registered.v1: an order waits for its deposit."""

    deposit_deadline: Deadline
    amount: Amount | None = None


class OrderPaid(Snapshot):
    """order.paid.v1: the order's money is here; `amount` = `supply` + `vat`, in won."""

    payment_id: Id
    amount: Total
    supply: Total
    vat: Total
    paid_at: Instant


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
    lines: Lines
    supply: Total | None = None
    vat: Total | None = None


class DeniedUnits(LineUnits):
    """Units asked for, and how many of the line were left."""

    left: Units


class RefundDenied(Data):
    """refund.denied.v1: the claim was refused; `lost_at` is the moment the units went elsewhere."""

    order_id: Id
    refund_id: Id
    lines: Annotated[list[DeniedUnits], Field(max_length=MAX_LINES)]
    reason: Name
    lost_at: Instant | None = None


class PaymentQuarantined(Data):
    """payment.quarantined.v1: money that does not fit its order. Negative where it is missing, in won."""

    order_id: Id
    payment_id: Id
    amount: SignedWon
    reason: QuarantineReason


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
    """partner.withdrawal_refused.v1: the partner cannot leave yet; every blocker is listed."""

    partner_id: Id
    blockers: list[Blocker]
