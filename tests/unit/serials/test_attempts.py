"""Whose failures count together, and until when somebody who failed too often waits."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.serials.attempts import SHARES, everybody, network_of, seconds_left, who_asks, window_of
from tests.support.granted import new_vault

HASHED = new_vault().pseudonym
BEGINS = datetime(2026, 1, 1, tzinfo=UTC)
INSTANTS = st.timedeltas(timedelta(0), timedelta(days=3_650)).map(BEGINS.__add__)


@given(INSTANTS, st.integers(1, 86_400))
def test_every_instant_lies_in_one_window_and_the_next_begins_when_it_is_told(
    at: datetime, seconds: int
) -> None:
    window, left = window_of(at, seconds), seconds_left(at, seconds)

    assert window <= at < window + timedelta(seconds=seconds)
    assert window_of(window, seconds) == window
    assert 1 <= left <= seconds
    assert window_of(at + timedelta(seconds=left), seconds) == window + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
        ("testclient", "testclient"),
    ],
)
def test_whoever_has_one_address_of_ipv6_has_its_whole_network(address: str, network: str) -> None:
    assert network_of(address) == network


def test_the_failures_of_accounts_addresses_and_everybody_are_told_apart_and_cannot_be_read() -> None:
    one, same, other = (
        who_asks(HASHED, account, address)
        for account, address in (("a", "192.0.2.7"), ("a", "192.0.2.7"), ("192.0.2.7", "a"))
    )

    assert one == same
    assert len({*one, *other[:2]}) == 5
    assert not any(b"192" in each for each in one)


def test_the_failures_of_everybody_are_spread_over_all_of_their_rows() -> None:
    shares = everybody(HASHED)
    met = {who_asks(HASHED, "a", f"192.0.2.{number}").everybody for number in range(250)}

    assert met == set(shares)
    assert len(shares) == SHARES
