"""Serials that a person can type: every single slip is noticed, nothing is ambiguous."""

import re
from unicodedata import lookup, name, normalize

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
    serials_in,
)
from services.serials.korean_keys import as_keys

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


LATIN, JAMO = "qwertyuiopasdfghjklzxcvbnm", "ㅂㅈㄷㄱㅅㅛㅕㅑㅐㅔㅁㄴㅇㄹㅎㅗㅓㅏㅣㅋㅌㅊㅍㅠㅜㅡ"
HANGUL = dict(zip(LATIN, JAMO, strict=True))
UNSEEN = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u202a\u200e_.·ㆍ・"


def syllable(*jamo: str) -> str:
    """Letters put together, as a keyboard that is set to Korean shows them."""
    first, vowel, *last = jamo
    parts = normalize("NFKD", first) + normalize("NFKD", vowel)
    for each in last:
        parts += lookup(name(each).replace("HANGUL LETTER", "HANGUL JONGSEONG"))
    return normalize("NFC", parts)


@given(DRAWS)
def test_a_serial_typed_on_the_korean_keyboard_is_read_whether_its_letters_came_together_or_not(
    draw: bytes,
) -> None:
    serial = serial_of(draw)
    apart = "".join(HANGUL.get(c.lower(), c) for c in serial)
    together = re.sub(r"([ㄱ-ㅎ])([ㅏ-ㅣ])", lambda pair: syllable(*pair.groups()), apart)

    assert read_serial(apart) == read_serial(together) == serial
    assert read_serial(normalize("NFD", together)) == serial


@pytest.mark.parametrize(
    ("keys", "jamo"),
    [("ab", "ㅁㅠ"), ("gks", "ㅎㅏㄴ"), ("dks", "ㅇㅏㄴ"), ("rkx", "ㄱㅏㅌ"), ("ep", "ㄷㅔ"), ("zh", "ㅋㅗ")],
)
def test_a_syllable_is_the_keys_that_made_it(keys: str, jamo: str) -> None:
    assert len(syllable(*jamo)) == 1
    assert as_keys(syllable(*jamo)) == keys


@pytest.mark.parametrize(
    ("shown", "keys"),
    [
        ("ㄲ", "R"),
        ("ㅆ", "T"),
        ("ㅘ", "hk"),
        ("ㄳ", "rt"),
        ("ㅀ", "fg"),
        ("ㅖ", "P"),
        ("쉑", "tnpr"),
        ("닭", "ekfr"),
    ],
)
def test_double_letters_are_two_keys_or_one_with_shift(shown: str, keys: str) -> None:
    assert as_keys(shown) == keys


@pytest.mark.parametrize("unseen", UNSEEN)
@given(DRAWS, st.lists(PLACES, max_size=6))
def test_what_comes_along_unseen_does_not_hurt(unseen: str, draw: bytes, places: list[int]) -> None:
    serial = serial_of(draw)
    typed = list(serial)
    for place in places:
        typed[place] = f"{unseen}{typed[place]}"

    assert read_serial("".join(typed)) == serial


@given(
    DRAWS,
    st.text(max_size=20),
    st.sampled_from(["", "-", " ", ".", ",", "/", "\n", "–", "-\u200b"]),
    st.sampled_from(["", "x", "123", "lost", "고객", "("]),
)
def test_a_text_that_holds_a_serial_is_noticed(draw: bytes, around: str, gap: str, close: str) -> None:
    serial = serial_of(draw)
    written = grouped(serial).replace("-", gap)

    assert serial in serials_in(f"{around} {close}{written}{close} {around}")
    assert serial in serials_in(f"({written.lower()})")


def test_a_serial_typed_with_the_korean_keyboard_or_in_full_width_is_noticed() -> None:
    serial = serial_of(bytes(range(15)))
    wide = "".join(chr(ord(character) + 0xFEE0) for character in serial)

    assert serial in serials_in(f"고객님 코드 {wide}")


@pytest.mark.parametrize("text", ["", "lost in the mail", "고객이 요청함", "ticket 4711"])
def test_a_text_without_a_serial_is_left_alone(text: str) -> None:
    assert serials_in(text) == []


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
