"""What was used of a line: running totals, told late, repeated, or lower than before."""

from datetime import datetime

from msgspec.structs import replace

from services.refunds.decisions.units import with_lines
from services.refunds.policies.rules import NOT_USED, Usage
from services.refunds.policies.usage import uses
from services.refunds.state import USED_KINDS, Line, Order, Reading
from shared.runtime.decisions import Decided, Decision, Reject, Wait


def record_usage(order: Order | None, line_id: str, used: int, at: datetime) -> Decision[Order]:
    """So much of a line was used until `at`. It waits for the payment; a line that is not used up is a fault.

    A running total never falls, so a reading counts only where none before it is as high; one that is told
    late has its place by its own time.
    """
    if order is None or order.state == "registered":
        return Wait(f"the order of line {line_id} to be paid")
    line = order.lines.get(line_id)
    if line is None:
        return Reject("inconsistent", "/line_id", f"order {order.order_id} has no line {line_id}")
    if line.kind not in USED_KINDS:
        return Reject("inconsistent", "/line_id", f"line {line_id} is of kind {line.kind}: it is not used up")
    if used <= max((each.used for each in line.readings if each.recorded_at <= at), default=0):
        return Decided(order)
    return Decided(with_lines(order, [_with_reading(line, Reading(order.order_id, line_id, at, used))]))


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


def _with_reading(line: Line, reading: Reading) -> Line:
    others = [each for each in line.readings if each.recorded_at != reading.recorded_at]
    return replace(line, readings=tuple(sorted((*others, reading), key=lambda each: each.recorded_at)))
