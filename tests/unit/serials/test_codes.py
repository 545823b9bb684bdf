"""Serials that a person can type: every single slip is noticed, nothing is ambiguous."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.serials.codes import (
    ALPHABET,
    LENGTH,
    LONGEST_INPUT,
    RANDOM_BYTES,
    grouped,
    make_serials,
    read_serial,
)

DRAWS = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)
PLACES = st.integers(0, LENGTH - 1)


def serial_of(draw: bytes) -> str:
    return make_serials(draw).tobytes().decode()


def test_a_serial_is_sixteen_characters_of_crockford_in_groups_of_four() -> None:
    serial = serial_of(bytes(range(RANDOM_BYTES)))

    assert serial[:RANDOM_BYTES] == "0123456789ABCDE"
    assert len(serial) == LENGTH
    assert grouped(serial) == f"0123-4567-89AB-CDE{serial[-1]}"


def test_the_alphabet_has_no_letters_that_are_taken_for_others() -> None:
    assert len(set(ALPHABET)) == 32
    assert not set("ILOU") & set(ALPHABET)


@given(DRAWS)
def test_each_serial_carries_seventy_five_random_bits(draw: bytes) -> None:
    serial = serial_of(draw)

    assert [ALPHABET.index(character) for character in serial[:RANDOM_BYTES]] == [byte & 31 for byte in draw]


@given(st.lists(DRAWS, max_size=50))
def test_serials_made_in_bulk_are_those_made_one_by_one(draws: list[bytes]) -> None:
    assert [bytes(row).decode() for row in make_serials(b"".join(draws))] == [
        serial_of(draw) for draw in draws
    ]


@given(DRAWS)
def test_what_was_printed_can_be_typed(draw: bytes) -> None:
    serial = serial_of(draw)

    assert read_serial(serial) == serial
    assert read_serial(grouped(serial)) == serial
    assert read_serial(f"  {grouped(serial).lower()}\n") == serial


@given(DRAWS, st.data())
def test_look_alikes_are_understood(draw: bytes, data: st.DataObject) -> None:
    serial = serial_of(draw)
    looks = {"0": "0oO", "1": "1iIlL"}
    typed = "".join(data.draw(st.sampled_from(looks.get(c, c + c.lower()))) for c in serial)

    assert read_serial(typed) == serial


def test_full_width_characters_and_all_hyphens_are_understood() -> None:
    serial = serial_of(bytes(range(RANDOM_BYTES)))
    wide = "".join(chr(ord(c) + 0xFEE0) for c in serial)

    assert read_serial(wide) == serial
    for gap in ("-", " ", "\u2011", "\u2013", "\u2014", "\u2212", "\u3000", "\uff0d", "\t"):
        assert read_serial(grouped(serial).replace("-", gap)) == serial


def test_a_letter_of_another_alphabet_is_no_look_alike() -> None:
    serial = serial_of(bytes([1] * RANDOM_BYTES))
    assert serial.startswith("1")
    assert read_serial("i" + serial[1:]) == serial
    assert read_serial("\u0131" + serial[1:]) is None  # the dotless i, whose capital is the Latin I


def test_what_is_too_long_to_be_typed_is_not_looked_at() -> None:
    serial = serial_of(bytes(range(RANDOM_BYTES)))
    assert read_serial(serial.ljust(LONGEST_INPUT)) == serial
    assert read_serial(serial.ljust(LONGEST_INPUT + 1)) is None


@given(DRAWS, PLACES, st.integers(1, 31))
def test_every_single_wrong_character_is_noticed(draw: bytes, place: int, shift: int) -> None:
    serial = serial_of(draw)
    wrong = ALPHABET[(ALPHABET.index(serial[place]) + shift) % 32]

    assert read_serial(serial[:place] + wrong + serial[place + 1 :]) is None


@given(DRAWS, PLACES, PLACES)
def test_every_exchange_of_two_characters_is_noticed(draw: bytes, one: int, other: int) -> None:
    serial = serial_of(draw)
    swapped = list(serial)
    swapped[one], swapped[other] = swapped[other], swapped[one]

    expected = serial if serial[one] == serial[other] else None
    assert read_serial("".join(swapped)) == expected


@given(DRAWS, PLACES)
def test_a_missing_or_repeated_character_is_noticed(draw: bytes, place: int) -> None:
    serial = serial_of(draw)

    assert read_serial(serial[:place] + serial[place + 1 :]) is None
    assert read_serial(serial[: place + 1] + serial[place:]) is None


@given(st.text(max_size=80))
def test_whatever_is_typed_reading_never_fails(typed: str) -> None:
    serial = read_serial(typed)

    assert serial is None or read_serial(serial) == serial


@pytest.mark.parametrize(
    "typed", ["", "U" * 16, "ı" * 16, "0" * 17, "0000-0000-0000-000½", "0" * 16 + " " * 60]
)
def test_what_cannot_be_a_serial_is_none(typed: str) -> None:
    assert read_serial(typed) is None


def test_of_random_texts_one_in_thirty_two_has_the_right_check_character() -> None:
    symbols = np.random.default_rng(7).integers(0, 32, (20_000, LENGTH))
    right = sum(read_serial("".join(ALPHABET[s] for s in row)) is not None for row in symbols)

    assert 500 < right < 750


def test_random_bytes_must_come_out_even() -> None:
    assert len(make_serials(b"")) == 0
    with pytest.raises(ValueError, match="even"):
        make_serials(bytes(RANDOM_BYTES + 1))
