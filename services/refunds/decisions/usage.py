"""What was used of a line: running totals, told late, repeated, or lower than before; and its bonus cash."""

from datetime import datetime

from msgspec.structs import replace

from services.refunds.decisions.units import with_lines
from services.refunds.policies.rules import NOT_USED, Usage
from services.refunds.policies.usage import uses
from services.refunds.state import USED_KINDS, Bonus, Line, Order, Reading
from shared.runtime.decisions import Decided, Decision, Reject, Wait


def record_usage(order: Order | None, line_id: str, used: int, at: datetime) -> Decision[Order]:
    """So much of a line was used until `at`. It waits for the payment; a line that is not used up is a fault.

    A running total never falls, so a reading counts only where none before it is as high; one that is told
    late has its place by its own time.
    """
    line = _line_of_kind(order, line_id, USED_KINDS)
    if not isinstance(line, Line):
        return line
    assert order is not None, "it has the line"
    if used <= max((each.used for each in line.readings if each.recorded_at <= at), default=0):
        return Decided(order)
    return Decided(with_lines(order, [_with_reading(line, Reading(order.order_id, line_id, at, used))]))


def grant_balance(
    order: Order | None, line_id: str, won: int, at: datetime, expires_at: datetime
) -> Decision[Order]:
    """Bonus cash of so many won is there since `at`. What was spent since then is judged anew."""
    line = _line_of_kind(order, line_id, frozenset({"prepaid"}))
    if not isinstance(line, Line):
        return line
    assert order is not None, "it has the line"
    bonus = Bonus(order.order_id, line_id, len(line.bonuses), won, at, expires_at)
    return Decided(with_lines(order, [replace(line, bonuses=(*line.bonuses, bonus))]))


def usage_of(order: Order, line: Line) -> Usage:
    """What was used, as far as it was told.

    Metered lines of an order are one service, its fee and its quota, so the use of either is the use of all.
    """
    is_metered = line.kind == "metered"
    lines = [each for each in order.lines.values() if each.kind == "metered"] if is_metered else [line]
    single = [use for each in lines for use in uses(each.readings)]
    if not single:
        return NOT_USED
    return Usage(sum(use.used for use in single), max(use.at for use in single))


def _line_of_kind(order: Order | None, line_id: str, kinds: frozenset[str]) -> Line | Wait | Reject:
    """The line of a paid order that something is told of; else what becomes of that."""
    if order is None or order.state == "registered":
        return Wait(f"the order of line {line_id} to be paid")
    line = order.lines.get(line_id)
    if line is None:
        return Reject("inconsistent", "/line_id", f"order {order.order_id} has no line {line_id}")
    if line.kind not in kinds:
        wanted = " or ".join(sorted(kinds))
        return Reject("inconsistent", "/line_id", f"line {line_id} must be of kind {wanted}, is {line.kind}")
    return line


def _with_reading(line: Line, reading: Reading) -> Line:
    others = [each for each in line.readings if each.recorded_at != reading.recorded_at]
    return replace(line, readings=tuple(sorted((*others, reading), key=lambda each: each.recorded_at)))
