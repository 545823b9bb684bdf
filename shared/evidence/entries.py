"""One thing that a bundle of evidence says of an order, and the statements that it is read with. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeAlias

from shared.documents import as_json, json_value
from shared.evidence.words import KINDS, Says

Row: TypeAlias = Mapping[str, Any]

HIDDEN: Final = "***"
_ALONE: Final = r"(?![0-9A-Za-z]|-[0-9A-Za-z])"
# Ten digits or more, grouped with hyphens or not: a date has eight, the key of a document twenty-two.
_DIGITS: Final = re.compile(r"(?<![0-9A-Za-z-])\d(?:-?\d){9,18}" + _ALONE)
# Four groups of four as they are printed or typed; without hyphens small letters need a digit among them.
_SERIAL: Final = re.compile(
    r"(?<![0-9A-Za-z-])(?:"
    r"[0-9A-Z]{4}(?:[-_. ]?[0-9A-Z]{4}){3}|[0-9A-Za-z]{4}(?:-[0-9A-Za-z]{4}){3}"
    r"|(?=[A-Za-z]*\d)[0-9A-Za-z]{16}"
    r")" + _ALONE
)


@dataclass(slots=True, frozen=True)
class Entry:
    """One thing that happened, or that stands. `name` is the id of what it is about.

    `at` is when it happened, `recorded_at` when the service wrote it down; both are None of what only stands.
    `details` are JSON values, won as integers. `inside` names those that are for operators alone: who of
    others did it, from where, and what was noted.
    """

    kind: str
    name: str
    says: Says
    details: Mapping[str, Any]
    at: datetime | None = None
    recorded_at: datetime | None = None
    inside: frozenset[str] = field(default=frozenset())

    def content(self, service: str, *, whole: bool = True) -> dict[str, Any]:
        """The entry of a service as it is linked into a chain. Unless `whole`, as the partner may see it."""
        return {
            "service": service,
            "kind": self.kind,
            "name": self.name,
            "at": json_value(self.at),
            "recorded_at": json_value(self.recorded_at),
            "says": self.says._asdict(),
            "details": {
                name: value if whole or name not in self.inside else None
                for name, value in self.details.items()
            },
        }


class Exhibit(NamedTuple):
    """A statement of a service's catalogue that is given the order's id, and the entry that a row is."""

    query: str
    entry: Callable[[Row], Entry]


class Evidence(NamedTuple):
    """What a service knows of an order: `owner` is the statement that says whose order it is."""

    owner: str
    exhibits: Sequence[Exhibit]


def details_of(row: Row, *left_out: str) -> dict[str, Any]:
    """The columns of a row as JSON, without some. The statement names every column that may be told."""
    return {name: value for name, value in as_json(row).items() if name not in left_out}


def written(text: str | None) -> str | None:
    """What a person wrote, without anything that looks like an account or a serial."""
    return None if text is None else _SERIAL.sub(HIDDEN, _DIGITS.sub(HIDDEN, text))


def won(amount: int | None) -> str:
    """Won as both languages write them; a dash where they are not known."""
    return "-" if amount is None else f"{'-' if amount < 0 else ''}₩{abs(amount):,}"


def in_order(entries: Sequence[tuple[str, Entry]]) -> list[tuple[str, Entry]]:
    """Entries of services as they are told: what stands, by kind, then what happened, as it was recorded."""
    places = {kind: place for place, kind in enumerate(KINDS)}
    return sorted(
        entries,
        key=lambda each: (
            (0, places[each[1].kind], 0.0)
            if each[1].recorded_at is None
            else (1, 0, each[1].recorded_at.timestamp())
        ),
    )
