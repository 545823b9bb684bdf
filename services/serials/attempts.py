"""How often somebody may type a serial that there is not. Pure; failures are counted in Postgres.

Time is cut into windows of one length. A failure counts for an account (or for whoever asks), for an address
and for everybody. Who has failed too often waits for the next window, whatever is typed until then. Everybody
together is only watched: a limit for all would let anybody lock all out.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address
from math import ceil
from typing import Final, NamedTuple

Hashed = Callable[[str], bytes]
"""A keyed hash: nobody can read in a table who has mistyped, nor guess it."""

SHARES: Final = 16
"""Rows over which the failures of everybody are spread."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NETWORK_BITS: Final = 64
"""Whoever has one IPv6 address has all of such a network."""


class Limits(NamedTuple):
    """Failures in one window: of an account, from an address, of everybody before the alarm is raised."""

    seconds: int = 600
    account: int = 10
    address: int = 100
    alarm: int = 1_000


class Who(NamedTuple):
    """Whose failures count, as keyed hashes."""

    account: bytes
    address: bytes
    everybody: bytes


def who_asks(hashed: Hashed, account: str, address: str) -> Who:
    """Whose failures an attempt counts among."""
    network = hashed(f"address {network_of(address)}")
    return Who(hashed(f"account {account}"), network, _share(hashed, network[0] % SHARES))


def everybody(hashed: Hashed) -> list[bytes]:
    """The rows over which the failures of everybody are spread."""
    return [_share(hashed, number) for number in range(SHARES)]


def window_of(at: datetime, seconds: int) -> datetime:
    """When the window began that an instant lies in."""
    return at - (at - _EPOCH) % timedelta(seconds=seconds)


def seconds_left(at: datetime, seconds: int) -> int:
    """Whole seconds until the next window."""
    return max(1, ceil((window_of(at, seconds) + timedelta(seconds=seconds) - at).total_seconds()))


@lru_cache(maxsize=1_000)  # to read an address takes as long as ten of these hashes
def network_of(address: str) -> str:
    """The address whose failures count together: one of IPv4, a network of IPv6; else the text as it is."""
    try:
        read = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(read, IPv6Address):
        return str(read)
    return str(read.ipv4_mapped or IPv6Network((read, _NETWORK_BITS), strict=False))


def _share(hashed: Hashed, number: int) -> bytes:
    return hashed(f"everybody {number}")
