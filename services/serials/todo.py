"""What needs somebody in serials: grants that do not move, old keys that serials are under."""

from collections.abc import Iterator, Sequence
from typing import Final

from shared.operators.commands import pawl
from shared.operators.every_service import every_service
from shared.operators.sentences import Sentence
from shared.operators.todo import Cause, Group, Moment, Row, no_arguments

SERIALS: Final = "serials"


def grants(rows: Sequence[Row], moment: Moment) -> Iterator[Group]:
    """Grants that the issuing worker has not gone on with."""
    for row in rows:
        yield Group(
            SERIALS,
            "grant_stands_still",
            Sentence("{units:,} units to issue", units=row["units"]),
            row["count"],
            None,
            row["since"],
            "operator",
            pawl("order", row["members"][0]),
            members=tuple(row["members"]),
        )


def keys(rows: Sequence[Row], moment: Moment) -> Iterator[Group]:
    """Old keys that serials are still under, one group each; whoever changed the keys ends that."""
    for row in rows:
        yield Group(
            SERIALS,
            "key_not_retired",
            Sentence("key {key}, {how_far}", key=row["key_id"], how_far=_how_far(row)),
            1,
            None,
            row["since"],
            "operator",
            pawl("serials", "rotate"),
            members=(row["key_id"],),
        )


def _how_far(row: Row) -> Sentence:
    if row["rotated_to"] is None:
        return Sentence("not rotated")
    if row["stands_at"] is not None:
        return Sentence("stands still at serial {serial}", serial=row["stands_at"])
    return Sentence("its serials are put under key {key}", key=row["rotated_to"])


TODO: Final = (
    Cause("todo_grants", lambda moment: (moment.now - moment.thresholds.grant,), grants),
    Cause("todo_keys", no_arguments, keys),
    *every_service(SERIALS),
)
"""The causes of serials: statement, arguments, groups."""
