"""What each SQLSTATE means, one by one: what repeats, what blocks a key, what halves a batch."""

import asyncpg
import pytest

from shared.runtime.retry import TRANSIENT, meaning_of_trouble
from shared.sqlstates import BY_CLASS, BY_STATE, Concern, meaning_of

EXPECTED = {
    Concern.SYSTEM: """
        03000 0A000 0F000 0F001 0L000 0LP01 0P000 0Z000 0Z002 22001 22002 22004 22005 22009 2200B
        2200C 2200D 2200F 2200G 2200H 2200L 2200M 2200N 2200S 2200T 22010 22011 22013 22014 22015
        22016 22019 2201B 2201E 2201F 2201G 2201W 2201X 22022 22024 22025 22026 22027 2202E 2202G
        2202H 22031 22033 22034 22035 22036 22037 22038 22039 2203A 2203B 2203C 2203D 2203E 2203F
        2203G 22P01 22P04 22P06 23502 25006 28000 28P01 2B000 2BP01 2F000 2F002 2F003 2F004 2F005
        38000 38001 38002 38003 38004 39000 39001 39004 39P01 39P02 39P03 3D000 3F000 42000 42501
        42601 42602 42611 42622 42701 42702 42703 42704 42710 42712 42723 42725 42803 42804 42809
        42830 42846 42883 428C9 42939 42P01 42P02 42P03 42P04 42P06 42P07 42P08 42P09 42P10 42P11
        42P12 42P13 42P14 42P15 42P16 42P17 42P18 42P19 42P20 42P21 42P22 53000 53100 53200 53300
        53400 54001 54011 54023 55000 55006 55P02 55P04 57P04 58000 58030 58P01 58P02 58P03 F0000
        F0001 HV000 HV001 HV002 HV004 HV005 HV006 HV007 HV008 HV009 HV00A HV00B HV00C HV00D HV00J
        HV00K HV00L HV00M HV00N HV00P HV00Q HV00R HV010 HV014 HV021 HV024 HV090 HV091 XX000 XX001
        XX002
    """,
    Concern.CONNECTION: """
        08000 08001 08003 08004 08006 08007 08P01 0B000 24000 25000 25001 25002 25003 25004 25005 25007
        25008 25P01 25P02 25P03 26000 2D000 34000 3B000 3B001 42P05 57000 57P01 57P02 57P03 57P05
    """,
    Concern.ROW: """
        09000 10608 20000 21000 22000 22003 22007 22008 22012 22018 22021 22023 22030 22032 22P02
        22P03 22P05 23000 23001 23503 23505 23514 23P01 27000 44000 54000 P0000 P0001 P0002 P0003
        P0004
    """,
    Concern.TIME: """
        25P04 55P03 57014
    """,
    Concern.RACE: """
        40000 40001 40002 40003 40P01 72000
    """,
}
EACH = [(state, concern) for concern, states in EXPECTED.items() for state in states.split()]


def errors() -> dict[str, type[asyncpg.PostgresError]]:
    """The error that asyncpg raises for each SQLSTATE."""
    found = {}
    for error in vars(asyncpg.exceptions).values():
        if isinstance(error, type) and issubclass(error, asyncpg.PostgresError) and error.sqlstate:
            found[error.sqlstate] = error
    return found


def test_every_sqlstate_that_the_driver_knows_is_in_the_list() -> None:
    assert set(errors()) == {state for state, _ in EACH}


@pytest.mark.parametrize(("state", "concern"), EACH)
def test_what_a_sqlstate_is_about(state: str, concern: Concern) -> None:
    meaning, error = meaning_of(state), errors()[state]

    assert meaning.concern is concern
    assert issubclass(error, TRANSIENT) == (concern is not Concern.ROW)
    assert meaning_of_trouble(error("said")) == meaning


@pytest.mark.parametrize("state", ["99999", "ZZ001", "XX999", "42XYZ", "22999", "54999", ""])
def test_a_state_that_nobody_has_named_blocks_no_event(state: str) -> None:
    assert meaning_of(state).concern is not Concern.ROW


@pytest.mark.parametrize("state", ["23XYZ", "P0999"])
def test_a_new_state_of_a_class_means_what_its_class_means(state: str) -> None:
    assert meaning_of(state).concern is Concern.ROW


def test_an_error_that_the_driver_does_not_know_is_repeated() -> None:
    unknown = asyncpg.PostgresError.new({"C": "ZZ001", "M": "something of an extension", "S": "ERROR"})

    assert isinstance(unknown, TRANSIENT)
    assert meaning_of_trouble(unknown).concern is Concern.SYSTEM  # type: ignore[union-attr]


def test_every_fault_that_somebody_mends_says_what_is_wrong_and_what_to_do() -> None:
    for meaning in (*BY_CLASS.values(), *BY_STATE.values()):
        assert (meaning.concern is Concern.ROW) == (not meaning.wrong) == (not meaning.todo)
