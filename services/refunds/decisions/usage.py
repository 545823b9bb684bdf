"""What was used of a line: running totals, told late, repeated, or lower than before; and its bonus cash."""

from collections.abc import Iterable
from datetime import datetime

from msgspec.structs import replace

from services.refunds.decisions.steps import CHECKOUT, enter
from services.refunds.decisions.units import with_lines
from services.refunds.events import decided, refund_overpaid, refund_underpaid
from services.refunds.policies.balance import paid_spent
from services.refunds.policies.rules import NOT_USED, Usage
from services.refunds.policies.usage import uses
from services.refunds.state import PAID_OUT, USED_KINDS, Bonus, Line, Order, Reading, Refund
from shared.money import left_worth, line_worth, payment_money
from shared.runtime.decisions import Decided, Decision, Reject, Wait


def record_usage(
    order: Order | None, line_id: str, used: int, recorded_at: datetime, at: datetime
) -> Decision[Order]:
    """So much of a line was used until `recorded_at`. It waits for the payment; a line that is not used up is
    a fault. What went back already of the line is told.

    A running total never falls, so a reading counts only where none before it is as high; one that is told
    late has its place by its own time.
    """
    line = _line_of_kind(order, line_id, USED_KINDS)
    if not isinstance(line, Line):
        return line
    assert order is not None, "it has the line"
    known = (each.used for each in line.readings if each.recorded_at <= recorded_at)
    if used <= max(known, default=0):
        return Decided(order)
    reading = Reading(order.order_id, line_id, recorded_at, used)
    return judge_anew(with_lines(order, [_with_reading(line, reading)]), line_id, at)


def judge_anew(order: Order, line_id: str, at: datetime) -> Decided[Order]:
    """Tells what went back of a line although it had been used, or did not go back although it was left.

    Only what was not told before, and nothing where the money is not out. Orders makes it a case: an operator
    decides what becomes of it. The fee stays as it was accepted.
    """
    line, paid_out = order.lines[line_id], _paid_out(order, line_id)
    if not paid_out:
        return Decided(order)
    more, refund = _overpaid(line, paid_out, won_used(line)) - line.overpaid + line.underpaid, paid_out[-1]
    amount = payment_money(order.vat_mode, abs(more)).total
    if more > 0:
        refund = enter(refund, refund.state, at, CHECKOUT, "used_after_refund")
        used_at = max(use.at for use in uses(line.readings))
        order = with_lines(order, [replace(line, overpaid=line.overpaid + more)])
        return decided(order, refund, refund_overpaid(refund, order.payment_id, line_id, amount, used_at))
    if more < 0 and line.kind == "prepaid":
        refund = enter(refund, refund.state, at, CHECKOUT, "bonus_after_refund")
        order = with_lines(order, [replace(line, underpaid=line.underpaid - more)])
        return decided(order, refund, refund_underpaid(refund, order.payment_id, line_id, amount, at))
    return Decided(order)


def allow_known_use(order: Order, refund: Refund) -> Order:
    """What an operator knew to be used when it approved the refund counts as told."""
    lines = []
    for line_id, used in refund.known_use.items():
        line = order.lines[line_id]
        allowed = _overpaid(line, _paid_out(order, line_id), used)
        lines.append(replace(line, overpaid=max(line.overpaid, allowed)))
    return with_lines(order, lines)


def won_used(line: Line) -> int:
    """Won of the price of a line that were used. Units of a metered line are used at their price."""
    if line.kind == "prepaid":
        return min(paid_spent(line.readings, line.bonuses), line_worth(line))
    return left_worth(line, min(sum(use.used for use in uses(line.readings)), line.quantity))


def _paid_out(order: Order, line_id: str) -> list[Refund]:
    """The refunds of a line whose money is out."""
    return [
        refund
        for refund in order.refunds.values()
        if refund.state in PAID_OUT and any(each.line_id == line_id for each in refund.lines)
    ]


def _overpaid(line: Line, paid_out: Iterable[Refund], used: int) -> int:
    """Of so many won that were used, those that neither stay paid nor are of units that no refund paid out.

    A refund whose money is not out may still be given up, and what upstream took back is none of a refund.
    Of a balance, which goes back whole, it is negative where more stays paid than was spent.
    """
    stays = sum(refund.consumed.get(line.line_id, 0) for refund in paid_out)
    overpaid = used - stays - left_worth(line, line.paid - line.refunded)
    return overpaid if line.kind == "prepaid" else max(overpaid, 0)


def grant_balance(
    order: Order | None, line_id: str, won: int, at: datetime, expires_at: datetime
) -> Decision[Order]:
    """Bonus cash of so many won is there since `at`. What was spent since then is judged anew, also where the
    money is out already.
    """
    line = _line_of_kind(order, line_id, frozenset({"prepaid"}))
    if not isinstance(line, Line):
        return line
    assert order is not None, "it has the line"
    bonus = Bonus(order.order_id, line_id, len(line.bonuses), won, at, expires_at)
    return judge_anew(with_lines(order, [replace(line, bonuses=(*line.bonuses, bonus))]), line_id, at)


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
