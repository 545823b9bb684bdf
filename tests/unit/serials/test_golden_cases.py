"""The cases of serials that were worked out by hand, as far as they are decided without a server."""

from datetime import datetime
from typing import Any

import numpy as np
import orjson
import pytest

from services.serials.codes import ALPHABET, LENGTH, grouped, make_serials, read_serial
from services.serials.decisions import Ruling, register_serial, reissue_serial
from services.serials.state import Product, SerialState
from services.serials.vault import SerialKeys, Vault
from shared.kst import window_end
from shared.runtime.decisions import Decided
from shared.web.problems import Problem
from tests.support.guides import ROOT
from tests.unit.serials.builders import AT, grant, serial

CASES: dict[str, Any] = {
    case["id"]: case for case in orjson.loads((ROOT / "tests/golden/serials.json").read_bytes())
}
HERE = {"E1", "E2", "E3", "E4", "E5", "R1", "R2", "R3", "R5", "I1", "K1"}
ON_A_DATABASE = {"R4", "I2"}
"""Answers that look alike, and kills: tests/integration/serials and tests/reliability."""
HANDED_OUT = {"N1", "N2", "N3", "X1", "X2", "X3"}
"""Texts and files that a partner takes with it."""
SAMPLE = 300


def pairs_of(case: str, given: str, *expected: str) -> list[Any]:
    """What is given, each beside what is expected of it."""
    found = CASES[case]
    return list(zip(found["given"][given], *(found["expect"][name] for name in expected), strict=True))


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_every_case_is_told_here_or_said_to_be_told_elsewhere() -> None:
    assert set(CASES) == HERE | ON_A_DATABASE | HANDED_OUT


def test_e1_the_check_character() -> None:
    for values, expected in pairs_of("E1", "values", "serials"):
        (made,) = make_serials(bytes(values))
        assert grouped(bytes(made).decode()) == expected


@pytest.mark.parametrize(
    ("typed", "expected"), [*pairs_of("E2", "typed", "serial"), *pairs_of("E3", "typed", "serial")]
)
def test_e2_e3_what_is_understood(typed: str, expected: str) -> None:
    assert read_serial(typed) == expected


def test_e4_typed_with_the_korean_keyboard_on() -> None:
    assert read_serial(CASES["E4"]["given"]["typed_jamo"]) == CASES["E4"]["expect"]["serial"]


def test_e4_every_key_of_the_korean_keyboard_is_known() -> None:
    """Each letter in the place of a character: what stands for it alone is read like the letter itself."""
    for key, jamo in CASES["E4"]["given"]["map"].items():
        for place in range(LENGTH):
            typed, meant = (f"{'0' * place}{letter}{'0' * (LENGTH - 1 - place)}" for letter in (jamo, key))
            assert read_serial(typed) == read_serial(meant)


class TestE5:
    """Errors that are noticed without a look-up, by brute force over positions and symbols."""

    serials = make_serials(np.random.default_rng(5).bytes(SAMPLE * (LENGTH - 1)))
    symbols = np.frombuffer(ALPHABET.encode(), dtype=np.uint8)

    def noticed(self, changed: list[Any]) -> list[bool]:
        return [read_serial(bytes(each).decode()) is None for each in changed]

    def test_every_single_wrong_character_is_noticed(self) -> None:
        changed = []
        for made in self.serials:
            for place in range(LENGTH):
                for symbol in self.symbols[self.symbols != made[place]]:
                    wrong = made.copy()
                    wrong[place] = symbol
                    changed.append(wrong)

        noticed = self.noticed(changed)

        assert f"{sum(noticed):,} of {len(noticed):,}" == CASES["E5"]["expect"]["single"]

    def test_every_exchange_of_any_two_characters_is_noticed(self) -> None:
        changed = []
        for made in self.serials:
            for one in range(LENGTH):
                for other in range(one):
                    if made[one] != made[other]:
                        wrong = made.copy()
                        wrong[[one, other]] = made[[other, one]]
                        changed.append(wrong)

        assert all(self.noticed(changed))
        assert len(changed) == pytest.approx(34_860, abs=200)

    def test_every_twin_that_becomes_another_twin_is_noticed(self) -> None:
        changed = []
        for place in range(LENGTH - 1):
            for symbol in self.symbols:
                twins = self.serials[self.serials[:, place] == self.serials[:, place + 1]]
                for wrong in twins.copy():
                    if wrong[place] != symbol:
                        wrong[[place, place + 1]] = symbol
                        changed.append(wrong)

        assert len(changed) > 1_000
        assert all(self.noticed(changed))

    @pytest.mark.parametrize(
        ("case", "of"), [("two_wrong", 31), ("random_16", 32), ("rotated_or_groups_swapped", 32)]
    )
    def test_of_other_mistakes_so_many_are_noticed(self, case: str, of: int) -> None:
        missed = 1 - np.mean(self.noticed(self.mistaken(case)))

        assert CASES["E5"]["expect"][case].startswith(f"{of - 1} of {of}")
        assert missed == pytest.approx(1 / of, rel=0.2)

    def mistaken(self, case: str) -> list[Any]:
        """Serials with a mistake of this kind in each, some thousands of them."""
        chance, each = np.random.default_rng(6), np.arange(SAMPLE * 30)
        made = self.serials.repeat(30, axis=0)
        match case:
            case "two_wrong":
                places = chance.permuted(np.tile(np.arange(LENGTH), (len(each), 1)), axis=1)
                for place in places[:, :2].T:
                    values = np.searchsorted(self.symbols, made[each, place])
                    made[each, place] = self.symbols[(values + chance.integers(1, 32, len(each))) % 32]
                return list(made)
            case "random_16":
                return list(chance.choice(self.symbols, made.shape))
        groups = make_serials(chance.bytes(len(each) * (LENGTH - 1))).reshape(-1, 4, 4)
        return [*np.roll(groups.reshape(-1, LENGTH), 1, axis=1), *groups[:, [1, 0, 2, 3]].reshape(-1, LENGTH)]


@pytest.mark.parametrize(("granted_at", "deadline"), pairs_of("R1", "granted_at", "deadline"))
def test_r1_the_window_ends_with_the_ninety_first_day(granted_at: str, deadline: str) -> None:
    assert window_end(instant(granted_at), 91) == instant(deadline)


@pytest.mark.parametrize(
    ("at", "answer", "usage_ends_at"),
    pairs_of("R2", "at", "answer", "usage_ends_at"),
)
def test_r2_the_last_microsecond_keeps_all_of_its_usage(
    at: str, answer: str, usage_ends_at: str | None
) -> None:
    ending = grant(registration_deadline=instant(CASES["R2"]["given"]["deadline"]))

    decided = register_serial(serial(), ending, "acct-1", instant(at))

    if usage_ends_at is None:
        assert isinstance(decided, Problem)
        assert decided.kind.code == f"registration_{answer}"
    else:
        assert isinstance(decided, Decided)
        assert decided.state.state == answer
        assert decided.state.registration is not None
        assert decided.state.registration.usage_ends_at == instant(usage_ends_at)


@pytest.mark.parametrize(
    ("days", "registered_and_ends"),
    list(zip(CASES["R3"]["given"]["days"], pairs_of("R3", "registered_at", "ends"), strict=True)),
)
def test_r3_usage_ends_with_a_day_in_seoul(days: int, registered_and_ends: tuple[str, str]) -> None:
    at, ends = map(instant, registered_and_ends)
    sold = grant(product=Product("p", "P", 0, days), registration_deadline=at)

    decided = register_serial(serial(), sold, "acct-1", at)

    assert isinstance(decided, Decided)
    assert decided.state.registration is not None
    assert decided.state.registration.usage_ends_at == ends


def test_r5_the_same_account_twice_and_another_one() -> None:
    case = CASES["R5"]
    first = register_serial(serial(), grant(), case["given"]["first"], AT)
    assert isinstance(first, Decided)

    same, other = (register_serial(first.state, grant(), account, AT) for account in case["given"]["then"])

    assert isinstance(same, Decided)
    assert (same.state, same.events) == (first.state, ())
    assert isinstance(other, Problem)
    assert (other.kind.code, other.kind.status) == ("already_registered", 409)
    assert case["given"]["first"] not in str(other.document())


@pytest.mark.parametrize(("state", "allowed"), pairs_of("I1", "state", "allowed"))
def test_i1_what_may_be_reissued(state: str, allowed: bool) -> None:
    is_over = state == "expired"
    stored = serial(SerialState.ACTIVE if is_over else SerialState(state))
    at = grant().registration_deadline.replace(year=2028) if is_over else AT

    decided = reissue_serial(stored, grant(), Ruling("kim", "lost", at), None)

    assert isinstance(decided, Decided) is allowed
    if isinstance(decided, Decided):
        assert decided.state.dead.revocation is not None
        assert decided.state.dead.revocation.reason == "reissued"
        assert (decided.state.grant.quantity, decided.state.grant.issued) == (100, 100)
        assert decided.state.new is not None
        assert decided.state.new.replaces == stored.serial_id


def test_k1_every_generation_finds_and_the_present_one_keeps() -> None:
    generations = [SerialKeys(str(n), bytes([n]) * 32, bytes([n + 9]) * 32) for n in range(3)]
    *earlier, present = generations
    vault, made = Vault(present, earlier), make_serials(bytes(range(LENGTH - 1)))
    text = bytes(made[0]).decode()

    kept = [bytes(Vault(each).keep(made).tags[0]) for each in generations]

    assert vault.keep(made).key_id == present.key_id
    assert set(kept) == set(vault.tags_of(text))
    assert vault.key_ids == {"0", "1", "2"}
