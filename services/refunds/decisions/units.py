"""The units and the won of an order: what units are worth, and how both move with a refund."""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec.structs import replace

from services.refunds.state import Line, Order
from shared.money import Money, left_worth, units_money
from shared.runtime.decisions import Reject
from shared.units import LineUnits

NOT_CONSUMED: Final[Mapping[str, int]] = {}
"""Nothing of the units was used up."""


def worth(order: Order, units: Iterable[LineUnits], consumed: int = 0) -> Money:
    """What a refund of these units would give back now (events.md, "Amounts on the wire").

    `consumed` won of their price were used up, and stay paid.
    """
    return units_money(order.vat_mode, order.remaining, order.lines, units, consumed)


def price_of(line: Line, quantity: int) -> int:
    """What so many of the units left of a line cost, in won: supply value or gross, by the VAT mode."""
    return left_worth(line, line.left) - left_worth(line, line.left - quantity)


def are_free(order: Order, units: Iterable[LineUnits]) -> bool:
    """Whether these units go back for nothing, at once: no payout, no account."""
    return all(order.lines[line_id].is_free for line_id, _ in units)


def unknown_line(order: Order, units: Iterable[LineUnits]) -> Reject | None:
    """The fault of a document that names a line which the order does not have."""
    for index, each in enumerate(units):
        if each.line_id not in order.lines:
            detail = f"order {order.order_id} has no line {each.line_id}"
            return Reject("inconsistent", f"/lines/{index}/line_id", detail)
    return None


def unanswered(order: Order) -> Mapping[str, int]:
    """Units by line that orders was asked for and has not answered yet."""
    asked: dict[str, int] = {}
    for refund in order.refunds.values():
        if refund.state == "accepted":
            for line_id, quantity in refund.lines:
                asked[line_id] = asked.get(line_id, 0) + quantity
    return asked


def move(line: Line, *, granted: int = 0, refunding: int = 0, refunded: int = 0, taken_back: int = 0) -> Line:
    """The line when so many units more count as each of these; negative: so many fewer."""
    moved = replace(
        line,
        granted=line.granted + granted,
        refunding=line.refunding + refunding,
        refunded=line.refunded + refunded,
        taken_back=line.taken_back + taken_back,
    )
    counts = (moved.granted, moved.refunding, moved.refunded, moved.taken_back)
    assert min(counts) >= 0, "a negative count of units"
    assert moved.open >= 0, "more units are claimed than were paid"
    return moved


def with_lines(order: Order, lines: Iterable[Line]) -> Order:
    """The order with these lines in the place of those with their ids."""
    return replace(order, lines={**order.lines, **{line.line_id: line for line in lines}})


def claim(
    order: Order, units: Iterable[LineUnits], money: Money, consumed: Mapping[str, int] = NOT_CONSUMED
) -> Order:
    """Units and money leave for a refund that orders has granted; what was used up stays."""
    lines = [
        _consume(move(order.lines[line_id], refunding=quantity), consumed.get(line_id, 0))
        for line_id, quantity in units
    ]
    return _with_remaining(with_lines(order, lines), order.remaining.minus(money))


def confirm(order: Order, units: Iterable[LineUnits]) -> Order:
    """The money has arrived: claimed units are refunded for ever."""
    return with_lines(
        order,
        [move(order.lines[line_id], refunding=-quantity, refunded=quantity) for line_id, quantity in units],
    )


def void(
    order: Order, units: Iterable[LineUnits], money: Money, consumed: Mapping[str, int] = NOT_CONSUMED
) -> Order:
    """A claim is given up. Its units are open again, or gone when the payment was taken back."""
    is_gone = order.state == "cancelled"
    lines = [
        _consume(
            _unlocked(move(order.lines[line_id], refunding=-quantity, taken_back=quantity if is_gone else 0)),
            -consumed.get(line_id, 0),
        )
        for line_id, quantity in units
    ]
    return _with_remaining(with_lines(order, lines), order.remaining.plus(money))


def _consume(line: Line, won: int) -> Line:
    return replace(line, consumed=line.consumed + won) if won else line


def _with_remaining(order: Order, remaining: Money) -> Order:
    assert remaining.supply >= 0, "refunds exceed the supply value that was paid"
    assert remaining.vat >= 0, "refunds exceed the VAT that was paid"
    return replace(order, remaining=remaining)


def _unlocked(line: Line) -> Line:
    """A line with open units is not locked; its next lock is a new event."""
    return replace(line, locked=False) if line.locked and line.open else line
