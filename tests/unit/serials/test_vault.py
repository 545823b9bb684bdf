"""Serials at rest: found by whoever types them, read by nobody without the keys."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.serials.codes import RANDOM_BYTES, make_serials
from services.serials.vault import SerialKeys, Vault, WrongSerialError
from shared.ids import random_bytes
from tests.support.granted import new_vault

FIRST = SerialKeys("first", b"a" * 32, b"b" * 32)
SECOND = SerialKeys("second", b"c" * 32, b"d" * 32)
COUNTS = st.integers(1, 300)


@given(COUNTS)
def test_every_kept_serial_is_found_and_opened_again(count: int) -> None:
    serials = make_serials(random_bytes(count * RANDOM_BYTES))
    vault = new_vault()

    kept = vault.keep(serials)

    opened = {
        vault.open(kept.key_id, text.tobytes(), tag.tobytes())
        for text, tag in zip(kept.texts, kept.tags, strict=True)
    }
    assert opened == {bytes(row).decode() for row in serials}
    tags = {tag.tobytes() for tag in kept.tags}
    assert tags == {vault.tags_of(serial)[0] for serial in opened}


@given(COUNTS)
def test_the_last_four_characters_stay_with_their_serial(count: int) -> None:
    vault = new_vault()
    kept = vault.keep(make_serials(random_bytes(count * RANDOM_BYTES)))

    for row in range(count):
        serial = vault.open(kept.key_id, kept.texts[row].tobytes(), kept.tags[row].tobytes())
        assert kept.last_four[row].tobytes().decode() == serial[-4:]


def test_serials_come_in_the_order_of_their_tags() -> None:
    kept = new_vault().keep(make_serials(random_bytes(5_000 * RANDOM_BYTES)))

    tags = [tag.tobytes() for tag in kept.tags]

    assert tags == sorted(tags)


def test_nothing_that_is_kept_can_be_read() -> None:
    serials = make_serials(random_bytes(1_000 * RANDOM_BYTES))
    kept = new_vault().keep(serials)
    stored = kept.tags.tobytes() + kept.texts.tobytes()

    assert not any(bytes(row)[:6] in stored for row in serials)


def test_another_key_finds_and_opens_nothing() -> None:
    serials = make_serials(random_bytes(RANDOM_BYTES))
    kept = Vault(FIRST).keep(serials)
    stranger = Vault(SerialKeys("first", b"x" * 32, b"y" * 32))

    assert stranger.tags_of(bytes(serials[0]).decode()) != [kept.tags[0].tobytes()]
    with pytest.raises(WrongSerialError):
        stranger.open("first", kept.texts[0].tobytes(), kept.tags[0].tobytes())


@given(st.integers(0, 15), st.integers(1, 255))
def test_a_changed_text_or_tag_is_noticed(place: int, change: int) -> None:
    vault = new_vault()
    kept = vault.keep(make_serials(bytes(RANDOM_BYTES)))
    mask = np.zeros(16, dtype=np.uint8)
    mask[place] = change

    for text, tag in ((kept.texts[0] ^ mask, kept.tags[0]), (kept.texts[0], kept.tags[0] ^ mask)):
        with pytest.raises(WrongSerialError):
            vault.open(kept.key_id, text.tobytes(), tag.tobytes())


@given(st.lists(st.sampled_from([FIRST, SECOND]), min_size=1, max_size=50))
def test_rows_of_several_generations_are_opened_together_in_their_order(made_with: list[SerialKeys]) -> None:
    serials = make_serials(random_bytes(len(made_with) * RANDOM_BYTES))
    kept = [Vault(keys).keep(serials[row : row + 1]) for row, keys in enumerate(made_with)]
    columns = (
        [each.key_id for each in kept],
        [each.texts.tobytes() for each in kept],
        [each.tags.tobytes() for each in kept],
    )

    opened = Vault(SECOND, [FIRST]).open_all(*columns)

    assert opened.tobytes() == serials.tobytes()
    with pytest.raises(WrongSerialError):
        Vault(SECOND, [FIRST]).open_all(columns[0], columns[1], [*columns[2][1:], b"x" * 16])
    with pytest.raises(WrongSerialError):
        Vault(SerialKeys("third", b"e" * 32, b"f" * 32)).open_all(*columns)


def test_a_vault_says_which_keys_it_has() -> None:
    assert Vault(SECOND, [FIRST]).key_ids == {"first", "second"}


def test_after_a_rotation_old_serials_are_found_and_opened_and_new_ones_made_with_the_new_keys() -> None:
    serials = make_serials(random_bytes(RANDOM_BYTES))
    old = Vault(FIRST).keep(serials)
    rotated = Vault(SECOND, [FIRST])

    assert old.tags[0].tobytes() in rotated.tags_of(bytes(serials[0]).decode())
    assert rotated.open("first", old.texts[0].tobytes(), old.tags[0].tobytes()) == bytes(serials[0]).decode()
    assert rotated.keep(serials).key_id == "second"
    with pytest.raises(WrongSerialError):
        Vault(SECOND).open("first", old.texts[0].tobytes(), old.tags[0].tobytes())


def test_neither_keys_nor_serials_are_ever_shown() -> None:
    serials = make_serials(bytes(range(15)))
    vault = Vault(SECOND, [FIRST])

    shown = f"{vault!r} {FIRST!r} {vault.keep(serials)!r} {vars(WrongSerialError('x'))}"

    for secret in ("aaaa", "bbbb", "cccc", "dddd", bytes(serials[0]).decode(), "ABCD", "array"):
        assert secret not in shown


def test_unfit_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        SerialKeys("k", b"short", b"b" * 32)
    with pytest.raises(ValueError, match="differ"):
        SerialKeys("k", b"a" * 32, b"a" * 32)
    with pytest.raises(ValueError, match="ASCII"):
        SerialKeys("k" * 17, b"a" * 32, b"b" * 32)
    with pytest.raises(ValueError, match="one id"):
        Vault(FIRST, [SerialKeys("first", b"x" * 32, b"y" * 32)])
