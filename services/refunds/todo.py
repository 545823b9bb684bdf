"""What needs somebody in refunds: those that somebody has to decide or pay, and those past their day."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Final, NamedTuple

from shared.business_days import legal_refund_day
from shared.kst import end_of_day, kst_date
from shared.late_interest import late_interest
from shared.operators.commands import pawl
from shared.operators.every_service import every_service
from shared.operators.todo import Cause, Group, Moment, Part, Row, Who, add_up, no_arguments

REFUNDS: Final = "refunds"


class Kind(NamedTuple):
    """What a state of a refund is called here, and who acts."""

    code: str
    who: Who


WAITING: Final = {
    "held": Kind("refund_held", "partner"),
    "in_review": Kind("refund_in_review", "operator"),
    "failed": Kind("refund_failed", "operator"),
    "bounced": Kind("refund_bounced", "operator"),
    "unknown": Kind("refund_unknown", "checkout"),
}
"""States that somebody has to end."""
ON_THEIR_WAY: Final = {
    "accepted": Kind("refund_overdue", "operator"),
    "paying_out": Kind("refund_overdue", "checkout"),
    "repaying": Kind("refund_overdue", "checkout"),
}
"""States that end by themselves, and are listed when their day is over."""

AWAITED: Final = {"holder_check": Kind("refund_held", "operator")}
"""Reasons to wait for somebody who is not listed: who looks after them here."""

NEXT: Final = {
    "refund_held": "proof",
    "refund_in_review": "approve",
    "refund_failed": "retry",
    "refund_bounced": "retry",
}
"""The usual decision about each; of the others nothing is decided here."""
NOTHING_TO_DECIDE: Final = frozenset({"return_awaited", "holder_check"})
"""Reasons to wait for goods, and for the bank."""


def refunds(rows: Sequence[Row], moment: Moment) -> Iterator[Group]:
    """Refunds by state and reason."""
    parts: dict[tuple[Kind, str], list[Part]] = {}
    for row in rows:
        part = _part(row, moment)
        if row["state"] in WAITING:
            kind = AWAITED.get(row["why"], WAITING[row["state"]])
            parts.setdefault((kind, row["why"]), []).append(part)
        elif part.due is not None and part.due < moment.now:
            parts.setdefault((ON_THEIR_WAY[row["state"]], row["state"]), []).append(part)
    for (kind, reason), of_kind in parts.items():
        group = add_up(REFUNDS, kind.code, reason, kind.who, of_kind, moment)
        decision = "show" if reason in NOTHING_TO_DECIDE else NEXT.get(kind.code, "show")
        yield group.with_command(pawl("refund", decision, group.members[0]))


def _part(row: Row, moment: Moment) -> Part:
    owed_anew = row["state"] in ("bounced", "repaying")
    since = row["state_since"] if owed_anew else row["requested_at"]
    due = row["deadline"] or end_of_day(due_on(row["day"], row["expected_on"]))
    return Part(row["count"], row["won"], since, due, tuple(row["members"]), _interest(row, moment))


def _interest(row: Row, moment: Moment) -> int:
    """What may be owed on top of these refunds since their legal day, in won."""
    legal_on, today = legal_refund_day(row["day"]), kst_date(moment.now)
    late = (late_interest(amount, legal_on, today) for amount in row["amounts"] or ())
    return sum(each.won for each in late if each is not None)


def due_on(day: date, expected_on: date | None) -> date:
    """The legal day, counted from a request, return or bounce; the expected day where that comes first."""
    legal = legal_refund_day(day)
    return legal if expected_on is None or expected_on < day else min(legal, expected_on)


TODO: Final = (Cause("todo_refunds", no_arguments, refunds), *every_service(REFUNDS))
"""The causes of refunds: statement, arguments, groups."""
