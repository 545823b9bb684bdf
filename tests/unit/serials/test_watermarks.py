"""Watermarks: what a person reads off a leaked file is found again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.serials.codes import LENGTH, make_serials, read_serial
from services.serials.codes import RANDOM_BYTES as BYTES_OF_A_SERIAL
from services.serials.watermarks import RANDOM_BYTES, make_watermark, read_watermark

DRAWS = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)


def test_a_watermark_is_twelve_characters_in_groups_of_four() -> None:
    assert make_watermark(bytes(range(20, 32))) == "MNPQ-RSTV-WXYZ"


@given(DRAWS)
def test_it_carries_sixty_random_bits(draw: bytes) -> None:
    bare = make_watermark(draw).replace("-", "")

    assert len(bare) * 5 == 60
    assert make_watermark(bytes(byte | 0b1110_0000 for byte in draw)) == make_watermark(draw)


@pytest.mark.parametrize("typed", ["7KP2-M0ZV-3XW1", "7kp2m0zv3xw1", "7KP2 M0ZV 3XW1 ", "7kp2-mOzv-3xwl"])
def test_it_is_read_as_a_person_types_it(typed: str) -> None:
    assert read_watermark(typed) == "7KP2-M0ZV-3XW1"


@pytest.mark.parametrize(
    "typed", ["", "7KP2-M0ZV", "7KP2-M0ZV-3XWU", "7KP2-M0ZV-3XW1-0000", "칼P2-M0ZV-3XW1"]
)
def test_anything_else_is_none(typed: str) -> None:
    assert read_watermark(typed) is None


@given(st.binary(min_size=BYTES_OF_A_SERIAL, max_size=BYTES_OF_A_SERIAL), DRAWS)
def test_neither_is_taken_for_a_serial_nor_a_serial_for_it(serial: bytes, watermark: bytes) -> None:
    typed = make_serials(serial).tobytes().decode()

    assert len(typed) == LENGTH
    assert read_watermark(typed) is None
    assert read_serial(make_watermark(watermark)) is None
