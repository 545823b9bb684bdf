"""Serials cannot be guessed: each of their 75 bits is chance, and none was ever made before."""

import numpy as np

from services.serials.codes import ALPHABET, LENGTH, RANDOM_BYTES, make_serials
from services.serials.writer import SerialWriter
from shared.ids import random_bytes
from tests.support.chance import assert_even, assert_fair_bits, assert_no_repeats
from tests.support.granted import new_vault

VALUES = np.zeros(256, dtype=np.uint8)
VALUES[np.frombuffer(ALPHABET.encode(), dtype=np.uint8)] = np.arange(32, dtype=np.uint8)


def test_serials_never_repeat_and_each_place_has_every_letter_as_often_as_the_others() -> None:
    """200,000 of them: that chance repeats 75 bits has a chance of 5 * 10^-13."""
    values = VALUES[make_serials(random_bytes(200_000 * RANDOM_BYTES))]

    assert values.shape == (200_000, LENGTH)
    assert_no_repeats(values)
    assert_even(values[:, :RANDOM_BYTES], 32)


async def test_what_a_writer_makes_is_chance_whether_in_bulk_or_one_by_one() -> None:
    """Seen through the vault, which is a permutation: what repeats there was made twice."""
    writer = SerialWriter(new_vault())
    bulk = await writer.make(100_000)
    singles = [await writer.make(1) for _ in range(2_000)]

    tags = np.concatenate([bulk.tags, *(one.tags for one in singles)])
    texts = np.concatenate([bulk.texts, *(one.texts for one in singles)])
    fours = np.concatenate([bulk.last_four, *(one.last_four for one in singles)])
    assert len(tags) == 102_000
    assert_no_repeats(tags)
    assert_no_repeats(texts)
    assert_even(VALUES[fours[:, :3]], 32)


def test_a_tag_says_nothing_about_its_serial() -> None:
    """Serials that follow each other have tags as far apart as any."""
    draws = np.zeros((100_000, RANDOM_BYTES), dtype=np.uint8)
    for place in range(4):
        draws[:, RANDOM_BYTES - 1 - place] = np.arange(100_000) >> (5 * place) & 31

    kept = new_vault().keep(make_serials(draws.tobytes()))

    assert_no_repeats(kept.tags)
    # Sorted by tag, so that its first bytes only grow; the texts come in that order, which is chance to them.
    assert_fair_bits(kept.texts)
    assert_fair_bits(kept.tags[:, 6:])
