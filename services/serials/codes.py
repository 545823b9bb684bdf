"""What a serial looks like: 15 random characters and a check character, Crockford base32, in groups of four.

    7KQ2-M0ZV-3XWJ-AB9T

Pure: random bytes are passed in. Each of the 15 characters carries five random bits, 75 in all, so that
neither guessing nor enumeration finds one (domain.md section 3).

The check character makes a weighted sum over the field GF(32) vanish: the sum of w(i) * c(i) is 0, with 16
weights w(i) = a^(15-i), a primitive. A changed character changes the sum by w(i) * difference, two exchanged
ones change it by (w(i) - w(j)) * difference, and neither is ever zero in a field where all weights differ and
none is zero. So every single wrong character and every exchange of two is noticed without a look-up.
"""

import re
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.serials.korean_keys import as_keys

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base32: no I, L, O or U, so no two characters are taken for each other."""

LENGTH: Final = 16
RANDOM_BYTES: Final = LENGTH - 1
"""Random bytes that one serial takes: the low five bits of each make one character."""

LONGEST_INPUT: Final = 64
"""Nobody types more than this; longer texts are not looked at."""

_FIELD_POLYNOMIAL = 0b100101  # x^5 + x^2 + 1, primitive over GF(2): x generates all 31 non-zero elements
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_LOOK_ALIKES = str.maketrans("OIL", "011")
# White space, hyphens and dots of any kind, the underscore, and what is pasted along without being seen: soft
# hyphens, characters without width, marks of direction.
_GAPS = re.compile(
    r"[\s\-_.\u00b7\u2010-\u2015\u2022\u2027\u2212\u30fb\u318d\ufe58\ufe63"
    r"\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]+"
)
_SERIAL = re.compile(f"[{ALPHABET}]{{{LENGTH}}}", re.ASCII)
_BETWEEN = re.compile("[^0-9A-Za-z]+")


def _multiply(left: int, right: int) -> int:
    product = 0
    while right:
        if right & 1:
            product ^= left
        left <<= 1
        if left & 0b100000:
            left ^= _FIELD_POLYNOMIAL
        right >>= 1
    return product


def _weights() -> list[int]:
    weights = [1]
    while len(weights) < LENGTH:
        weights.append(_multiply(weights[-1], 2))
    return weights[::-1]


_VALUES: Final = {character: value for value, character in enumerate(ALPHABET)}
_WEIGHTED: Final = [[_multiply(weight, value) for value in range(32)] for weight in _weights()]
_LETTERS: Final = np.frombuffer(ALPHABET.encode(), dtype=np.uint8)
_LETTER_OF_BYTE: Final = np.tile(_LETTERS, 8)
_WEIGHTED_BYTE: Final = np.tile(np.array(_WEIGHTED[:RANDOM_BYTES], dtype=np.uint8), 8)


def make_serials(random: bytes) -> NDArray[np.uint8]:
    """Serials out of random bytes, `RANDOM_BYTES` each: one row of 16 ASCII characters a serial.

    Raises ValueError when the bytes do not come out even.
    """
    if len(random) % RANDOM_BYTES:
        raise ValueError(f"a serial takes {RANDOM_BYTES} random bytes, {len(random)} do not come out even")
    draws = np.frombuffer(random, dtype=np.uint8).reshape(-1, RANDOM_BYTES)
    serials = np.empty((len(draws), LENGTH), dtype=np.uint8)
    serials[:, :RANDOM_BYTES] = _LETTER_OF_BYTE[draws]
    check = np.zeros(len(draws), dtype=np.uint8)
    for place in range(RANDOM_BYTES):
        check ^= _WEIGHTED_BYTE[place][draws[:, place]]
    serials[:, RANDOM_BYTES] = _LETTERS[check]
    return serials


def read_serial(typed: str) -> str | None:
    """The serial that somebody typed, as 16 characters without gaps; None when it cannot be one.

    Lower case, O for 0, I and L for 1, full-width forms, gaps of any kind, also those that nobody sees, and
    what is typed while the keyboard is set to Korean are understood.
    """
    if len(typed) > LONGEST_INPUT:
        return None
    bare = _GAPS.sub("", _keys_of(typed))
    if not bare.isascii():
        return None
    serial = bare.upper().translate(_LOOK_ALIKES)
    return serial if _SERIAL.fullmatch(serial) and _check_sum(serial) == 0 else None


def serials_in(text: str) -> list[str]:
    """What in a text may be a serial, whatever stands around it or between its characters.

    One of 32 runs of 16 letters and digits is right in itself, so most of these were never issued.
    """
    bare = _BETWEEN.sub("", _keys_of(text)).upper().translate(_LOOK_ALIKES)
    runs = (bare[start : start + LENGTH] for start in range(len(bare) - LENGTH + 1))
    return [run for run in dict.fromkeys(runs) if _SERIAL.fullmatch(run) and _check_sum(run) == 0]


def grouped(serial: str) -> str:
    """As it is printed: four groups of four."""
    return "-".join(serial[start : start + 4] for start in range(0, LENGTH, 4))


def _keys_of(typed: str) -> str:
    """What was typed in full width, or with a Korean keyboard, as the keys that were meant."""
    return typed if typed.isascii() else as_keys(typed.translate(_FULL_WIDTH))


def _check_sum(serial: str) -> int:
    total = 0
    for products, character in zip(_WEIGHTED, serial, strict=True):
        total ^= products[_VALUES[character]]
    return total
