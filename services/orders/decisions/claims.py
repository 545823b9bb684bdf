"""What issuing and refunding share: units that are open, what they are worth, and the claims on them."""

from collections.abc import Callable, Iterable
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from services.orders.state import Claim, ClaimState, Line, Order, Purpose
from shared.money import Money, Priced, payment_money, price_sum, units_money
from shared.units import LineUnits


def order_cost(vat_mode: str, lines: Iterable[Priced]) -> Money:
    """What an order of these lines costs: the money that its payment has to come to."""
    return payment_money(vat_mode, price_sum(lines))


def pay_lines(order: Order) -> Order:
    """The order with the money of its lines and with every unit paid."""
    money = order_cost(order.vat_mode, order.lines.values())
    return replace(
        order,
        amount=money.total,
        paid=money,
        remaining=money,
        lines={line_id: replace(line, paid=line.quantity) for line_id, line in order.lines.items()},
    )


def worth(order: Order, units: Iterable[LineUnits], consumed: int = 0) -> Money:
    """What a refund of these units gives back now, of whose price so many won were used up."""
    return units_money(order.vat_mode, order.remaining, order.lines, units, consumed)


def open_units(order: Order, line_id: str) -> int:
    """Units of the line that nobody has claimed; none of a line that the order does not have."""
    line = order.lines.get(line_id)
    return 0 if line is None else line.open


def change_lines(
    order: Order, units: Iterable[LineUnits], change: Callable[[Line, int], Line]
) -> dict[str, Line]:
    """The lines of the order as they are when each of these units has made its change."""
    lines = dict(order.lines)
    for line_id, quantity in units:
        lines[line_id] = change(lines[line_id], quantity)
    return lines


def claims_of(order: Order, claim_id: UUID, purpose: Purpose) -> tuple[Claim, ...]:
    """The claims under this id, one for each line. Raises ValueError for an id that was never made so."""
    claims = order.claims.get(claim_id, ())
    if not claims or claims[0].purpose is not purpose:
        raise ValueError(f"order {order.order_id} never granted {claim_id} to {purpose}")
    return claims


def settle(claims: Iterable[Claim], state: ClaimState, at: datetime) -> tuple[Claim, ...]:
    """The claims as they are when they have ended."""
    return tuple(replace(claim, state=state, settled_at=at) for claim in claims)
