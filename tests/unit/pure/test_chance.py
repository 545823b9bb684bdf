"""Random bytes, nonces and ids are chance itself: nothing repeats, nothing can be foreseen."""

import os
import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shared import ids
from shared.ids import random_bytes, uuid7, uuid7_batch, uuid7_run
from shared.sealing import Sealer
from tests.support.chance import assert_fair_bits, assert_no_repeats

KEY_ID, NONCE_BYTES = b"2026-11", 12
# After 48 bits of milliseconds and without the four of the version and the two of the variant.
RANDOM_BITS = [*range(52, 64), *range(66, 128)]


def rows(draws: Sequence[bytes]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(draws), dtype=np.uint8).reshape(len(draws), -1)


def nonce(sealed: bytes) -> bytes:
    start = 1 + len(KEY_ID)
    return sealed[start : start + NONCE_BYTES]


def test_a_million_draws_of_one_block_never_repeat_and_every_bit_is_fair() -> None:
    """Repeats of 128 bits have a chance of 10^-27; a source with 16 bits of state repeats nearly all."""
    draws = rows([random_bytes(16_000_000)]).reshape(-1, 16)

    assert_no_repeats(draws)
    assert_fair_bits(draws)


def test_draws_one_by_one_never_repeat_and_every_bit_is_fair() -> None:
    draws = rows([random_bytes(16) for _ in range(200_000)])

    assert_no_repeats(draws)
    assert_fair_bits(draws)


def test_two_thousand_seals_of_one_text_have_two_thousand_fair_nonces() -> None:
    """A nonce that repeats under one key gives away both texts, and the key that authenticates them.

    Half of them come from sealers of their own, as processes that start have them.
    """
    sealer = Sealer(b"k" * 32, KEY_ID.decode())
    seals = [sealer.seal(b"110123456789", b"row") for _ in range(10_000)]
    seals += [Sealer(b"k" * 32, KEY_ID.decode()).seal(b"110123456789", b"row") for _ in range(1_000)]
    nonces = rows([nonce(sealed) for sealed in seals])

    assert nonces.shape == (11_000, NONCE_BYTES)
    assert_no_repeats(nonces)
    assert_fair_bits(nonces)


def test_the_first_ids_of_as_many_processes_never_repeat_and_their_bits_are_fair() -> None:
    """Ids of one process count up; what keeps processes apart are the 74 random bits of each first id."""
    first = [ids._uuid_of(ids._Counter().take()).bytes for _ in range(100_000)]
    made = rows(first)

    assert len(RANDOM_BITS) == 74
    assert_no_repeats(made)
    assert_fair_bits(made, RANDOM_BITS)


def test_the_steps_between_ids_of_one_millisecond_cannot_be_foreseen() -> None:
    batch = [each.int for each in uuid7_batch(100_000)]
    free = [(one >> 80 << 74) | ((one >> 64 & 0xFFF) << 62) | (one & (1 << 62) - 1) for one in batch]
    steps = [(later - earlier - 1).to_bytes(4, "big") for earlier, later in pairwise(free)]

    assert_fair_bits(rows(steps))


def test_the_steps_between_ids_that_are_asked_for_one_by_one_cannot_be_foreseen_either() -> None:
    """Where the clock was set back, every id counts on from the last one."""
    counter = ids._Counter()
    counter._last = counter.take() + (1 << 100)
    taken = [counter.take() for _ in range(20_000)]
    steps = [(later - earlier - 1).to_bytes(4, "big") for earlier, later in pairwise(taken)]

    assert_fair_bits(rows(steps))


def every_kind() -> list[Any]:
    sealed = Sealer(b"k" * 32, KEY_ID.decode()).seal(b"text", b"")
    return [random_bytes(32), nonce(sealed), uuid7().int, uuid7_batch(2)[1].int, uuid7_run(1).int]


def test_whoever_seeds_a_generator_foresees_nothing() -> None:
    drawn = []
    for _ in range(2):
        random.seed(7)
        np.random.seed(7)
        drawn.append(every_kind())

    assert all(one != other for one, other in zip(*drawn, strict=True))


def test_every_random_byte_is_one_that_the_operating_system_gave(monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator of our own would pass every count above, and be foreseen by whoever learns its state."""
    given: list[bytes] = []
    urandom = os.urandom

    def remembered(count: int) -> bytes:
        given.append(urandom(count))
        return given[-1]

    monkeypatch.setattr(os, "urandom", remembered)

    drawn = random_bytes(32)
    assert drawn == given[-1]
    assert nonce(Sealer(b"k" * 32, KEY_ID.decode()).seal(b"text", b"")) == given[-1]
    first = ids._Counter().take()
    assert first % (1 << 74) == int.from_bytes(given[-1], "big") >> 6
