"""How a simulated tax agent behaves about a document, a call, a business: by its seed alone. Pure."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from hashlib import sha256
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

Behaviour = Literal["issued", "slow", "dropped", "lost", "refused", "not_transmitted"]
CallFault = Literal["silent", "rate_limited", "down", "garbage"]
BusinessState = Literal["active", "suspended", "closed"]

SHARES: Final[Mapping[Behaviour, int]] = MappingProxyType(
    {"issued": 74, "slow": 10, "dropped": 5, "lost": 5, "refused": 3, "not_transmitted": 3}
)
"""How many of a hundred documents go each way. `dropped` and `lost` are left out of the answer to a call; the
first was not taken either, and is when it is sent again."""
CALLS: Final[Mapping[CallFault, int]] = MappingProxyType(
    {"silent": 5, "rate_limited": 5, "down": 2, "garbage": 2}
)
"""How many of a hundred calls go wrong. A `silent` or `garbage` one was carried out all the same."""
REASONS: Final = ("business_closed", "business_suspended", "wrong_number")
"""Why a document is refused."""
NOT_TRANSMITTED: Final = "authority_unavailable"
INACTIVE: Final = 1
"""So many of a hundred businesses are closed, and as many suspended."""

SOON: Final = (1.0, 5.0)
LATE: Final = (15.0, 30.0)
TRANSMISSION: Final = (5.0, 15.0)
"""Seconds until a document is issued, soon or late, and from then on until it is transmitted."""


class Held(NamedTuple):
    """A document that the agent has: since when, and what of it matters to its answers; `total` in won."""

    key: str
    written_date: date
    total: int
    since: datetime


class Standing(NamedTuple):
    """Where a document is; `at` is the instant of its issue, or of its transmission."""

    standing: str
    approval_number: str | None = None
    at: datetime | None = None
    reason: str | None = None


def behaviour_of(seed: int, key: str) -> Behaviour:
    """How the agent behaves about the document of this key."""
    place = _draw(seed, key, "behaviour") * sum(SHARES.values())
    for behaviour, share in SHARES.items():
        place -= share
        if place < 0:
            return behaviour
    raise AssertionError("a draw is below 1")


def fault_of(seed: int, number: int) -> CallFault | None:
    """What goes wrong with the call of this number; None for most."""
    place = _draw(seed, str(number), "call") * 100
    for fault, share in CALLS.items():
        place -= share
        if place < 0:
            return fault
    return None


def standing_of(seed: int, held: Held, behaviour: Behaviour, at: datetime, pace: float = 1.0) -> Standing:
    """Where a document is at an instant; a second of the delays takes `pace` seconds."""
    within = LATE if behaviour == "slow" else SOON
    issued = held.since + timedelta(seconds=_between(*within, _draw(seed, held.key, "issue")) * pace)
    if at < issued:
        return Standing("working")
    if behaviour == "refused":
        return Standing("refused", reason=REASONS[int(_draw(seed, held.key, "reason") * len(REASONS))])
    number = approval_number(seed, held)
    seconds = _between(*TRANSMISSION, _draw(seed, held.key, "transmission")) * pace
    transmitted = issued + timedelta(seconds=seconds)
    if at < transmitted:
        return Standing("issued", number, issued)
    if behaviour == "not_transmitted":
        return Standing("not_transmitted", number, transmitted, NOT_TRANSMITTED)
    return Standing("transmitted", number, transmitted)


def approval_number(seed: int, held: Held) -> str:
    """The number of a document, as the authority makes them: its written date and sixteen more."""
    return f"{held.written_date:%Y%m%d}" + sha256(f"{seed}/number/{held.key}".encode()).hexdigest()[:16]


def state_of_business(seed: int, number: str) -> BusinessState:
    """How a business stands."""
    place = _draw(seed, number, "business") * 100
    if place < INACTIVE:
        return "closed"
    return "suspended" if place < 2 * INACTIVE else "active"


def _between(least: float, most: float, share: float) -> float:
    return least + (most - least) * share


def _draw(seed: int, key: str, what: str) -> float:
    """A number of [0, 1) that depends on nothing else."""
    digest = sha256(f"{seed}/{what}/{key}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48
