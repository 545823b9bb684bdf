"""Units claimed for a refund, with the won of it; then paid out for good, or given back.

Orders also notes which refunds go on without a claim here, since they keep a partner from leaving.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from services.orders.decisions.cancellations import take_back_released
from services.orders.decisions.claims import change_lines, claims_of, open_units, settle, worth
from services.orders.events import decided, refund_denied, refund_granted
from services.orders.state import Claim, ClaimState, Line, Order, OrderState, Purpose
from shared.money import line_worth
from shared.runtime.decisions import Decided, Decision, Wait
from shared.units import LineUnits, line_units, with_given_up

NOT_CONSUMED: Final[Mapping[str, int]] = {}


def note_open_refund(order: Order | None, refund_id: UUID) -> Decision[Order]:
    """A refund waits for a proof or a review, or its payout came back: it is not at its end."""
    if order is None:
        return Wait(f"order of refund {refund_id}")
    if str(refund_id) in order.open_refunds:
        return Decided(order)
    return Decided(replace(order, open_refunds=(*order.open_refunds, str(refund_id))))


def note_ended_refund(order: Order, refund_id: UUID) -> Decided[Order]:
    """A refund was rejected, or its money is out again."""
    return Decided(_without_open(order, refund_id))


def claim_refund(
    order: Order | None,
    refund_id: UUID,
    asked: Sequence[LineUnits],
    request_id: str,
    at: datetime,
    everything: bool = False,
    consumed: Mapping[str, int] = NOT_CONSUMED,
) -> Decision[Order]:
    """Claims units for a refund and decides its won; or denies it and says what is left.

    All or nothing; but of `everything` whatever is still open, since refunds may have asked before it read
    what was issued. Denied when that is nothing, or only free units where priced ones were asked for too.
    `consumed` are the won by line that were used up of the units; they stay paid. Such a line goes whole or
    not at all.
    """
    if order is None or order.state in (OrderState.UNPAID, OrderState.PENDING_DEPOSIT):
        return Wait(f"order of refund {refund_id} to be paid")
    order = _without_open(order, refund_id)
    if refund_id in order.claims:
        return Decided(order)
    short = [units for units in asked if open_units(order, units.line_id) < units.quantity]
    if not short:
        return _grant(order, refund_id, asked, request_id, at, consumed)
    whole = [units for units in asked if units not in short or units.line_id not in consumed]
    rest = _still_open(order, whole) if everything else []
    if not rest or (_are_free(order, rest) and not _are_free(order, asked)):
        return _deny(order, refund_id, asked, request_id, short[0])
    going = {line_id: won for line_id, won in consumed.items() if line_id in dict(rest)}
    return _grant(order, refund_id, rest, request_id, at, going)


def complete_refund(order: Order | None, refund_id: UUID, at: datetime) -> Decision[Order]:
    """The payout of a granted refund happened: its units are refunded for good.

    An order of which something was used up was not refunded whole, and stays paid.
    """
    if order is None:
        return Wait(f"refund {refund_id} to be known")
    claims = claims_of(order, refund_id, Purpose.REFUND)
    if claims[0].state is not ClaimState.CLAIMED:
        return Decided(order)
    order = replace(
        order,
        lines=change_lines(order, line_units(claims), _refund),
        claims={**order.claims, refund_id: settle(claims, ClaimState.CONFIRMED, at)},
    )
    lines = order.lines.values()
    is_whole = all(line.refunded == line.paid and not line.consumed for line in lines)
    if order.state is OrderState.PAID and is_whole:
        order = replace(order, state=OrderState.REFUNDED, closed_at=at)
    return Decided(order)


def release_refund(order: Order | None, refund_id: UUID, at: datetime) -> Decision[Order]:
    """A granted refund will not be paid out: its units are open again, or follow a cancelled payment."""
    if order is None:
        return Wait(f"refund {refund_id} to be known")
    claims = claims_of(order, refund_id, Purpose.REFUND)
    if claims[0].state is not ClaimState.CLAIMED:
        return Decided(order)
    units = line_units(claims)
    order = replace(
        order,
        lines=_without_consumed(change_lines(order, units, _release), claims),
        remaining=order.remaining.plus(claims[0].money),
        claims={**order.claims, refund_id: settle(claims, ClaimState.VOID, at)},
    )
    if order.state is OrderState.CANCELLED:
        return take_back_released(order, units, at)
    return Decided(order)


def _without_open(order: Order, refund_id: UUID) -> Order:
    if str(refund_id) not in order.open_refunds:
        return order
    left = tuple(each for each in order.open_refunds if each != str(refund_id))
    return replace(order, open_refunds=left)


def _still_open(order: Order, asked: Iterable[LineUnits]) -> list[LineUnits]:
    left = [LineUnits(line_id, min(quantity, open_units(order, line_id))) for line_id, quantity in asked]
    return [units for units in left if units.quantity]


def _are_free(order: Order, units: Iterable[LineUnits]) -> bool:
    lines = [order.lines[line_id] for line_id, _ in units if line_id in order.lines]
    return not any(map(line_worth, lines))


def _without_consumed(lines: dict[str, Line], claims: Iterable[Claim]) -> dict[str, Line]:
    for claim in claims:
        if claim.consumed:
            line = lines[claim.line_id]
            lines[claim.line_id] = replace(line, consumed=line.consumed - claim.consumed)
    return lines


def _grant(
    order: Order,
    refund_id: UUID,
    units: Sequence[LineUnits],
    request_id: str,
    at: datetime,
    consumed: Mapping[str, int],
) -> Decided[Order]:
    """Claims the units with their won; with the last priced units go the open free ones."""

    def claim(line: Line, quantity: int) -> Line:
        return replace(
            line,
            refunding=line.refunding + quantity,
            refund_claimed_at=at,
            consumed=line.consumed + consumed.get(line.line_id, 0),
        )

    units = with_given_up(order.lines, units)
    money = worth(order, units, sum(consumed.values()))
    claims = tuple(
        Claim(
            refund_id,
            line_id,
            order.order_id,
            position,
            Purpose.REFUND,
            quantity,
            request_id,
            money,
            at,
            consumed=consumed.get(line_id, 0),
        )
        for position, (line_id, quantity) in enumerate(units)
    )
    order = replace(
        order,
        lines=change_lines(order, units, claim),
        remaining=order.remaining.minus(money),
        claims={**order.claims, refund_id: claims},
    )
    return decided(order, refund_granted(order, refund_id, request_id, units, money, consumed))


def _deny(
    order: Order, refund_id: UUID, asked: Sequence[LineUnits], request_id: str, short: LineUnits
) -> Decided[Order]:
    reason, lost_at = _why_not_refundable(order, order.lines.get(short.line_id))
    lines = [(units, open_units(order, units.line_id)) for units in asked]
    return decided(order, refund_denied(order, refund_id, request_id, lines, reason, lost_at))


def _why_not_refundable(order: Order, line: Line | None) -> tuple[str, datetime]:
    if line is None:
        return "unknown_line", order.registered_at
    if order.is_closed and order.state is not OrderState.REFUNDED:
        return f"order_{order.state}", order.closed_at or order.registered_at
    if line.issue_claimed_at is not None and line.issuing + line.issued:
        return "issued", line.issue_claimed_at
    return "already_refunded", line.refund_claimed_at or order.registered_at


def _refund(line: Line, quantity: int) -> Line:
    return replace(line, refunding=line.refunding - quantity, refunded=line.refunded + quantity)


def _release(line: Line, quantity: int) -> Line:
    return replace(line, refunding=line.refunding - quantity)
