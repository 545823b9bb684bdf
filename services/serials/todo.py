"""What needs somebody in serials: grants that do not move."""

from collections.abc import Iterator, Sequence
from typing import Final

from shared.operators.commands import pawl
from shared.operators.every_service import every_service
from shared.operators.todo import Cause, Group, Moment, Row

SERIALS: Final = "serials"


def grants(rows: Sequence[Row], moment: Moment) -> Iterator[Group]:
    """Grants that the issuing worker has not gone on with."""
    for row in rows:
        yield Group(
            SERIALS,
            "grant_stands_still",
            f"{row['units']:,} units to issue",
            row["count"],
            None,
            row["since"],
            "operator",
            pawl("order", row["members"][0]),
            members=tuple(row["members"]),
        )


TODO: Final = (
    Cause("todo_grants", lambda moment: (moment.now - moment.thresholds.grant,), grants),
    *every_service(SERIALS),
)
"""The causes of serials: statement, arguments, groups."""
