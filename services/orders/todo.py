"""What needs somebody in orders: quarantined money, deposits about to expire, partners that want to leave."""

from collections.abc import Iterator, Sequence
from typing import Final

from shared.operators.commands import pawl
from shared.operators.every_service import every_service
from shared.operators.todo import Cause, Group, Moment, Row

ORDERS: Final = "orders"


def quarantine(rows: Sequence[Row], moment: Moment) -> Iterator[Group]:
    """Cases by reason. Somebody's money waits for a decision; how long it may is a threshold."""
    patience = moment.thresholds.quarantine
    for row in rows:
        yield Group(
            ORDERS,
            "quarantine",
            row["reason"],
            row["count"],
            row["won"],
            row["since"],
            "operator",
            pawl("quarantine", "show", row["oldest"]),
            overdue=row["overdue"],
            overdue_since=row["since"] + patience if row["overdue"] else None,
            members=tuple(row["members"]),
        )


def deposits(rows: Sequence[Row], moment: Moment) -> Iterator[Group]:
    """Deposits that have not come. One past its deadline still has its grace."""
    for row in rows:
        yield Group(
            ORDERS,
            "deposit_expires",
            "",
            row["count"],
            row["won"],
            row["since"],
            "partner",
            pawl("order", row["members"][0]),
            due=row["due"],
            overdue=row["overdue"],
            overdue_since=row["first_due"] if row["overdue"] else None,
            members=tuple(row["members"]),
        )


def partners(rows: Sequence[Row], moment: Moment) -> Iterator[Group]:
    """Partners that want to leave and have something unfinished."""
    for row in rows:
        yield Group(
            ORDERS,
            "partner_wants_to_leave",
            "",
            row["count"],
            None,
            row["since"],
            "operator",
            pawl("partner", "check", row["members"][0]),
            members=tuple(row["members"]),
        )


TODO: Final = (
    Cause("todo_quarantine", lambda moment: (moment.now - moment.thresholds.quarantine,), quarantine),
    Cause("todo_deposits", lambda moment: (moment.now + moment.thresholds.deposit, moment.now), deposits),
    Cause("todo_partners", lambda moment: (moment.now,), partners),
    *every_service(ORDERS),
)
"""The causes of orders: statement, arguments, groups."""
