"""What the refunds service says on `refunds.events`: every request ends in exactly one outcome."""

from typing import Annotated

from pydantic import Field

from shared.events.fields import (
    MAX_LINES,
    Data,
    Day,
    Deadline,
    Id,
    Instant,
    LineUnits,
    Name,
    RefundedLines,
    Text,
    Total,
)


class RefundLocked(Data):
    """refund.locked.v1: nothing of the line can be refunded any more."""

    order_id: Id
    line_id: Id
    locked_at: Instant
    reason: Name


class LockedLine(Data):
    """A line of which nothing can be refunded any more, since when and why."""

    line_id: Id
    locked_at: Instant
    reason: Name


class RefundLockedTogether(Data):
    """refund.locked.v2: nothing of these lines of the order can be refunded any more."""

    order_id: Id
    lines: Annotated[list[LockedLine], Field(min_length=1, max_length=MAX_LINES)]


class Refund(Data):
    """Which refund, and which request of the partner it answers."""

    order_id: Id
    refund_id: Id
    refund_request_id: Id


class RefundAccepted(Refund):
    """refund.accepted.v1: asks orders for the claim of these units.

    All or nothing. With `everything` the request named no units: these are then the most that orders may
    grant, and it grants what of them is open. What was `consumed` of them stays paid.
    """

    lines: RefundedLines
    everything: bool = False


class RefundHeld(Refund):
    """refund.held.v1: waits for `next` since `since`, and is overdue after `deadline`, where there is one.

    Where it waits for a proof, `proof` is which one, and `detail` and `detail_ko` say what to hand in.
    """

    reason: Name
    next: Name
    since: Instant
    deadline: Deadline | None = None
    proof: Name | None = None
    detail: Text | None = None
    detail_ko: Text | None = None


class AppStore(Data):
    """An app store, and the page from which it is asked for a refund."""

    store: Name
    link: Name


class RefundRejected(Refund):
    """refund.rejected.v1: refused before orders was asked; `at` is when the reason came to be.

    `next` is what the requester can do instead, `detail` and `detail_ko` say it in words. `stores` are the
    app stores to ask, where only one of them can refund it.
    """

    reason: Name
    at: Instant | None = None
    next: Name | None = None
    detail: Text | None = None
    detail_ko: Text | None = None
    stores: Annotated[list[AppStore], Field(max_length=MAX_LINES)] | None = None


class PayoutDestination(Data):
    """Where the money goes, as a reference: the account itself is never in an event of ours."""

    method: Id
    reference: Id | None = None
    masked: Name | None = None


class RefundPayoutRequested(Refund):
    """refund.payout_requested.v1: checkout is to pay `amount` won out, once for each `idempotency_key`."""

    amount: Total
    fee: Total
    payment_id: Id
    destination: PayoutDestination
    idempotency_key: Id
    expected_on: Day | None = None


class RefundCompleted(Refund):
    """refund.completed.v1: the money is out. `amount` = `supply` + `vat` - `fee`, in won.

    A refund of 0 won has no payout: its `payout_id` is its `refund_id`.
    """

    payment_id: Id
    lines: RefundedLines
    supply: Total
    vat: Total
    fee: Total
    amount: Total
    payout_id: Id
    completed_at: Instant


class RefundFailed(Refund):
    """refund.failed.v1: the payout failed; the units stay claimed until it is retried or released."""

    reason: Name
    next: Name


class RefundReleased(Refund):
    """refund.released.v1: an operator gave the units back to the order."""

    lines: Annotated[list[LineUnits], Field(max_length=MAX_LINES)]
    actor: Id
    reason: Name


class RefundBounced(Refund):
    """refund.bounced.v1: `amount` won were paid out and came back; they are owed again.

    `next` says what can be done.
    """

    payout_id: Id
    amount: Total
    reason: Name
    next: Name


class RefundRepaid(Refund):
    """refund.repaid.v1: the money of a refund that had bounced is out again, in won."""

    payout_id: Id
    amount: Total
    paid_out_at: Instant


class RefundPaidTwice(Refund):
    """refund.paid_twice.v1: `amount` won left that nobody was owed.

    The refund was paid out by another payout before, had been given up, or was never granted.
    """

    payment_id: Id
    payout_id: Id
    amount: Total
    paid_out_at: Instant


class RefundOverpaid(Refund):
    """refund.overpaid.v1: `amount` won that were paid out had been used; the use was heard of later."""

    payment_id: Id
    line_id: Id
    amount: Total
    used_at: Instant


class RefundUnderpaid(Refund):
    """refund.underpaid.v1: a bonus that was told after the payout had left `amount` won more."""

    payment_id: Id
    line_id: Id
    amount: Total
    told_at: Instant
