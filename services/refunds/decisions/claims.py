"""Who got the units of an order, as orders decides: grants to issue, grants and denials of refunds, locks."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from services.refunds.decisions.judging import fee_of
from services.refunds.decisions.payouts import complete_free, request_payout
from services.refunds.decisions.steps import ORDERS, REFUNDS, decided_silently, enter
from services.refunds.decisions.units import NOT_CONSUMED, claim, move, with_lines, worth
from services.refunds.events import refund_locked
from services.refunds.state import Order, Refund
from shared.money import Money
from shared.runtime.decisions import Decided
from shared.units import LineUnits


def record_issuance(order: Order, units: Sequence[LineUnits], at: datetime) -> Decided[Order]:
    """Units were granted to issue: they are lost for refunds, and a line is locked when nothing is left."""
    lines = [
        replace(move(order.lines[line_id], granted=quantity), last_granted_at=at)
        for line_id, quantity in units
    ]
    return _lock(with_lines(order, lines), units, at)


def record_grant(
    order: Order,
    refund_id: UUID,
    units: tuple[LineUnits, ...],
    money: Money | None,
    at: datetime,
    consumed: Mapping[str, int] = NOT_CONSUMED,
) -> Decided[Order]:
    """Orders has given the units: ask checkout to pay them out, unless they are worth nothing.

    By line, `consumed` won of their price were used up. The units may be more than were asked for: the open
    free units go with the last priced ones. `money` is what orders decided with the claim. It stands,
    because only orders sees all claims in their order; where the event has none it is computed by the same
    rule. Raises ValueError for a refund that this service never asked for.
    """
    refund = _asked_of_orders(order, refund_id)
    money = worth(order, units, sum(consumed.values())) if money is None else money
    fee = _fee(order, refund, units, money)
    refund = replace(refund, lines=units, money=money, fee=fee, consumed=dict(consumed))
    order, refund = claim(order, units, money, consumed), enter(refund, "granted", at, ORDERS, "granted")
    paying = request_payout(order, refund, at, REFUNDS, "granted") if refund.amount else None
    paying = paying or complete_free(order, refund, at)
    locking = _lock(paying.state, units, at)
    return Decided(locking.state, [*paying.events, *locking.events])


def record_denial(
    order: Order, refund_id: UUID, reason: str, lost_at: datetime, at: datetime
) -> Decided[Order]:
    """Orders has given the units to somebody else first. Its own event is enough.

    Raises ValueError when this service never asked for them.
    """
    refund = replace(_asked_of_orders(order, refund_id), why=reason, why_at=lost_at)
    return decided_silently(order, enter(refund, "denied", at, ORDERS, reason))


def _asked_of_orders(order: Order, refund_id: UUID) -> Refund:
    refund = order.refunds.get(refund_id)
    if refund is None or refund.state != "accepted":
        raise ValueError(f"orders answered refund {refund_id}, which was not asked")
    return refund


def _fee(order: Order, refund: Refund, units: tuple[LineUnits, ...], money: Money) -> int:
    """The fee that was accepted; of a refund of everything that is granted less, that of what is granted.

    Where what is not granted has no fee, all of the accepted one is of what is: a use that was heard of since
    changes nothing of what was accepted. Free units that go with the others have none. The fee leaves a won
    at least of what is worth one: this refund is granted, and has to be paid.
    """
    priced = tuple(each for each in units if not order.lines[each.line_id].is_free)
    accepted = tuple(each for each in refund.lines if not order.lines[each.line_id].is_free)
    lost = [each for each in accepted if each not in priced]
    is_kept = not fee_of(order, lost, refund.requested_at)
    fee = refund.fee if is_kept else fee_of(order, priced, refund.requested_at)
    return min(fee, max(money.total - 1, 0))


def _lock(order: Order, units: Iterable[LineUnits], at: datetime) -> Decided[Order]:
    """Locks those of these lines of which nothing is left to refund and some units are issued."""
    lines = (order.lines[line_id] for line_id, _ in units)
    locked = [
        replace(line, locked=True) for line in lines if line.granted and not line.open and not line.locked
    ]
    if not locked:
        return Decided(order)
    said = refund_locked(order, locked, at)
    return Decided(replace(with_lines(order, locked), sequence=said.sequence), [said])
