"""Business registration numbers and their check digit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.business_number import from_seed, is_valid, normalise

SEEDS = st.integers(0, 10**12)


@pytest.mark.parametrize(
    "number", ["116-82-00276", "134-86-72683", "118-81-20586", "1168200276", " 116 82 00276 "]
)
def test_numbers_of_real_companies_are_valid(number: str) -> None:
    assert is_valid(number)


@pytest.mark.parametrize(
    "number", ["123-45-67890", "116-82-00277", "11682002760", "116820027", "", "1168200a76"]
)
def test_a_wrong_check_digit_or_length_is_not(number: str) -> None:
    assert not is_valid(number)


def test_only_ten_western_digits_are_a_number() -> None:
    assert normalise("116-82-00276") == "1168200276"
    assert normalise("１１６-82-00276") is None
    assert normalise("116.82.00276") is None


@given(SEEDS)
def test_every_seed_gives_a_valid_number_and_always_the_same(seed: int) -> None:
    assert is_valid(from_seed(seed))
    assert from_seed(seed) == from_seed(seed)


def test_neighbouring_seeds_give_different_numbers() -> None:
    assert len({from_seed(seed) for seed in range(12_000, 32_000)}) == 20_000


@given(SEEDS, st.integers(0, 9), st.integers(1, 9))
def test_a_single_wrong_digit_is_always_noticed(seed: int, place: int, shift: int) -> None:
    number = from_seed(seed)
    wrong = str((int(number[place]) + shift) % 10)

    assert not is_valid(number[:place] + wrong + number[place + 1 :])
