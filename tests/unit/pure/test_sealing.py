"""Sealed texts open with their key, in their place, unchanged, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.sealing import BrokenSealError, Sealer

OLD, NEW = bytes(range(32)), bytes(range(1, 33))


@given(st.binary(max_size=2_000), st.binary(max_size=50))
def test_what_is_sealed_opens_in_its_context(plain: bytes, context: bytes) -> None:
    sealer = Sealer(NEW, "2026-11")

    assert sealer.open(sealer.seal(plain, context), context) == plain


def test_a_bank_account_cannot_be_read_in_the_sealed_text_and_no_two_seals_are_alike() -> None:
    sealer = Sealer(NEW, "2026-11")

    first, second = sealer.seal(b"110123456789", b"row 1"), sealer.seal(b"110123456789", b"row 1")

    assert b"110123456789" not in first
    assert first != second


def test_a_text_copied_to_another_row_does_not_open() -> None:
    sealer = Sealer(NEW, "2026-11")

    with pytest.raises(BrokenSealError):
        sealer.open(sealer.seal(b"secret", b"row 1"), b"row 2")


@given(st.integers(0, 49), st.integers(1, 255))
def test_any_changed_byte_is_noticed(place: int, change: int) -> None:
    sealer = Sealer(NEW, "k")
    sealed = bytearray(sealer.seal(b"twenty bytes of text", b""))
    assert len(sealed) == 50
    sealed[place] ^= change

    with pytest.raises(BrokenSealError):
        sealer.open(bytes(sealed), b"")


@given(st.binary(max_size=60))
def test_arbitrary_bytes_do_not_open(sealed: bytes) -> None:
    with pytest.raises(BrokenSealError):
        Sealer(NEW, "k").open(sealed, b"")


def test_after_a_rotation_the_old_key_only_opens() -> None:
    sealed_before = Sealer(OLD, "old").seal(b"text", b"c")
    rotated = Sealer(NEW, "new", {"old": OLD})

    assert rotated.open(sealed_before, b"c") == b"text"
    with pytest.raises(BrokenSealError):
        Sealer(OLD, "old").open(rotated.seal(b"text", b"c"), b"c")


def test_a_key_of_the_wrong_size_or_name_is_refused_at_start() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Sealer(b"short", "k")
    with pytest.raises(ValueError, match="ASCII"):
        Sealer(NEW, "")


def test_a_sealer_never_shows_its_key() -> None:
    shown = repr(Sealer(NEW, "2026-11"))

    assert "2026-11" in shown
    assert NEW.hex() not in shown
    assert repr(NEW) not in shown


def test_a_data_key_seals_for_its_subject_and_opens_nothing_without_it() -> None:
    sealer = Sealer(NEW, "2026-11")
    sealed_key = sealer.new_data_key(b"P-17")

    sealed = sealer.with_data_key(sealed_key, "1", b"P-17").seal(b"110123456789", b"row")

    assert sealer.with_data_key(sealed_key, "1", b"P-17").open(sealed, b"row") == b"110123456789"
    with pytest.raises(BrokenSealError):
        sealer.open(sealed, b"row")
    with pytest.raises(BrokenSealError):
        sealer.with_data_key(sealer.new_data_key(b"P-17"), "1", b"P-17").open(sealed, b"row")


def test_a_data_key_of_another_subject_does_not_open() -> None:
    sealer = Sealer(NEW, "2026-11")
    with pytest.raises(BrokenSealError):
        sealer.with_data_key(sealer.new_data_key(b"P-17"), "1", b"P-18")


def test_data_keys_outlive_a_rotation_of_the_key_that_seals_them() -> None:
    sealed_key = Sealer(OLD, "old").new_data_key(b"P-17")
    sealed = Sealer(OLD, "old").with_data_key(sealed_key, "1", b"P-17").seal(b"text", b"row")

    rotated = Sealer(NEW, "new", {"old": OLD})

    assert rotated.with_data_key(sealed_key, "1", b"P-17").open(sealed, b"row") == b"text"
