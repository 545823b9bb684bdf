"""What needs somebody: one list over the services, in groups by cause. Pure.

A group is read from the state and kept nowhere, so that it clears itself when its cause is gone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from shared.kst import wire_time

Who = Literal["operator", "finance", "partner", "checkout"]
"""Who must act: whoever decides, whoever answers for papers, who bought, and the systems upstream."""

SHOWN: Final = 20
"""So many members of a group are named, the oldest first."""

Row: TypeAlias = Mapping[str, Any]


class Thresholds(Struct, frozen=True):
    """From when on something needs somebody.

    `waiting`: an event waits longer than that. `grant`: a grant made no progress for so long. `deposit`: a
    deposit has so long left. `quarantine`: money may be in quarantine so long before it is overdue.
    """

    waiting: timedelta = timedelta(minutes=10)
    grant: timedelta = timedelta(minutes=10)
    deposit: timedelta = timedelta(hours=24)
    quarantine: timedelta = timedelta(days=3)


class Moment(NamedTuple):
    """What things are judged by: the present instant and the thresholds."""

    now: datetime
    thresholds: Thresholds = Thresholds()


class Group(Struct, frozen=True):
    """What waits in one service for one cause.

    `code` is the cause, `reason` tells apart the groups of one code (may be empty). `won` is None where no
    money waits, negative where it is missing. `since`: since when the oldest waits. `due`: by when the next
    of them has to be done, if there is such an instant. `overdue` counts those past theirs, `overdue_since`
    is the due instant of the longest one. `interest` is what may be owed on top of those, in won, None where
    nothing is. `members` are names of the oldest, `command` is what to do next.
    """

    service: str
    code: str
    reason: str
    count: int
    won: int | None
    since: datetime
    who: Who
    command: str
    due: datetime | None = None
    overdue: int = 0
    overdue_since: datetime | None = None
    interest: int | None = None
    members: tuple[str, ...] = ()

    def with_command(self, command: str) -> "Group":
        """The group with what to do next."""
        return replace(self, command=command)

    def to_document(self, now: datetime) -> dict[str, Any]:
        """The group as JSON: instants in RFC 3339, ages in whole seconds."""
        return {
            "service": self.service,
            "code": self.code,
            "reason": self.reason,
            "count": self.count,
            "won": self.won,
            "since": wire_time(self.since),
            "age_seconds": _seconds(now - self.since),
            "who": self.who,
            "due": None if self.due is None else wire_time(self.due),
            "overdue": self.overdue,
            "overdue_seconds": None if self.overdue_since is None else _seconds(now - self.overdue_since),
            "interest": self.interest,
            "command": self.command,
            "members": list(self.members),
        }


def _seconds(age: timedelta) -> int:
    return max(0, int(age.total_seconds()))


class Cause(NamedTuple):
    """One statement of a service's catalogue, its arguments, and the groups that its rows are."""

    query: str
    arguments: Callable[[Moment], Sequence[Any]]
    groups: Callable[[Sequence[Row], Moment], Iterable[Group]]


def no_arguments(moment: Moment) -> tuple[()]:
    """For a statement that asks for everything."""
    return ()


class Part(Struct, frozen=True):
    """Things of one cause that share their due instant; groups are made of such parts.

    `interest` is what may be owed on top of their won because they are late.
    """

    count: int
    won: int | None
    since: datetime
    due: datetime | None = None
    members: tuple[str, ...] = ()
    interest: int = 0


def add_up(service: str, code: str, reason: str, who: Who, parts: Iterable[Part], moment: Moment) -> Group:
    """The parts of one cause as its group, without a command. There is at least one part."""
    oldest_first = sorted(parts, key=lambda part: part.since)
    won = [part.won for part in oldest_first if part.won is not None]
    dues = sorted(part.due for part in oldest_first if part.due is not None)
    past = [part for part in oldest_first if part.due is not None and part.due < moment.now]
    members = [name for part in oldest_first for name in part.members]
    return Group(
        service,
        code,
        reason,
        sum(part.count for part in oldest_first),
        sum(won) if won else None,
        oldest_first[0].since,
        who,
        "",
        due=next((due for due in dues if due >= moment.now), None),
        overdue=sum(part.count for part in past),
        overdue_since=dues[0] if past else None,
        interest=sum(part.interest for part in oldest_first) or None,
        members=tuple(members[:SHOWN]),
    )


def todo_document(groups: Iterable[Group], now: datetime) -> dict[str, Any]:
    """The list as JSON, of one service or of all of them."""
    return {"at": wire_time(now), "groups": [group.to_document(now) for group in groups]}


def most_urgent_first(groups: Iterable[Group]) -> list[Group]:
    """The longest overdue first, then what waits longest."""
    return sorted(
        groups, key=lambda g: (g.overdue_since is None, g.overdue_since or g.since, g.code, g.reason)
    )
