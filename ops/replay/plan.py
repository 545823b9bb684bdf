"""The history that a file becomes: events and month closes in order, and the fate of each line. Pure."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any, NamedTuple

from ops.replay.outcomes import Surprise

SOURCE = "https://replay.pawl.example/online-retail"


class StepKind(IntEnum):
    """The kind of a step. Steps of the same instant have this order."""

    PARTNER = 0
    DOCUMENT = 1
    REFUND = 2
    ISSUANCE = 3


@dataclass(slots=True, frozen=True)
class Step:
    """One event of the upstream checkout. `key` is the record key, `id` the ce_id, `time` the ce_time."""

    kind: StepKind
    id: str
    type: str
    key: str
    time: datetime
    data: dict[str, Any]


@dataclass(slots=True, frozen=True)
class Close:
    """The close of one KST month, due at the instant `at`."""

    month: str
    at: datetime


class Bought(NamedTuple):
    """A source line that became a line of an order."""

    order_id: str
    line_id: str


class Cancelled(NamedTuple):
    """A source line that became refund requests: (order id, refund_request_id), most recent order first."""

    requests: tuple[tuple[str, str], ...]


Fate = Surprise | Bought | Cancelled


@dataclass(slots=True)
class Planned:
    """An order as it will be paid: its units by line, `serials` the lines that can be issued."""

    order_id: str
    payment_id: str
    month: str
    units: dict[str, int]
    serials: frozenset[str]


@dataclass(slots=True)
class Plan:
    """The history in order, the orders in it, and the fate of each source line by its number."""

    history: list[Step | Close] = field(default_factory=list)
    orders: dict[str, Planned] = field(default_factory=dict)
    fates: dict[int, Fate] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """How many events the history holds, payouts not counted."""
        return sum(isinstance(entry, Step) for entry in self.history)
