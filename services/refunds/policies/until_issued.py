"""The rule of serials: a unit can be refunded until it is granted to be issued, and never after that.

By unit, without a fee and without a last day (domain.md section 1).
"""

from services.refunds.policies.rules import Answer, Question
from services.refunds.state import Line


def until_issued(question: Question) -> Answer:
    """All units that are asked for, or none; of everything those that nobody has claimed."""
    line, quantity = question.line, question.quantity
    if quantity is None:
        return Answer(line.open) if line.open else _nothing_left(line)
    if quantity <= line.open:
        return Answer(quantity)
    return _what_took_them(line, quantity)


def _nothing_left(line: Line) -> Answer:
    if line.granted:
        return _issued(line)
    return Answer(0, reason="refund_in_progress" if line.refunding else "nothing_left")


def _what_took_them(line: Line, quantity: int) -> Answer:
    """Issuing when the line is locked, else the first claim without which the units would still be there."""
    if quantity > line.paid:
        return Answer(0, reason="more_than_paid")
    locked = line.granted > 0 and line.open == 0
    if locked or quantity > line.paid - line.granted:
        return _issued(line)
    if quantity > line.paid - line.granted - line.refunded - line.taken_back:
        return Answer(0, reason="already_refunded")
    return Answer(0, reason="refund_in_progress")


def _issued(line: Line) -> Answer:
    return Answer(0, reason="issued", since=line.last_granted_at)
