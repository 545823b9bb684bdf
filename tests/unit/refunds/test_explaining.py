"""Every reason and every next step has words in both languages, and says who acts."""

import re

import pytest

from services.refunds.policies.explaining import (
    EFFECTS,
    REASONS,
    STEPS,
    step_of,
    unlocking,
    words_of,
)
from services.refunds.policies.holds import HOLDS
from services.refunds.state import RefundState
from shared.operators.deciding import OF_REFUND
from tests.support.guides import ROOT, section, table

EVENTS = ROOT / "docs" / "events.md"
ENDED = {"requested", "granted", "completed", "rejected", "denied", "released"}


@pytest.mark.parametrize(
    "heading",
    ["Reasons of a denied refund", "Reasons of a rejected refund", "Reasons of a held refund"],
)
def test_every_reason_of_the_guide_has_words(heading: str) -> None:
    listed = {row[0].strip("` ") for row in table(section(EVENTS, heading)) if "`" in row[0]}

    assert listed
    assert listed <= set(REASONS)


@pytest.mark.parametrize("words", [*REASONS.values(), *EFFECTS.values()], ids=lambda words: words.text)
def test_a_reason_speaks_both_languages(words: tuple[str, str]) -> None:
    english, korean = words
    assert re.search("[a-z]", english)
    assert re.search("[가-힣]", korean)


def test_every_wait_says_what_ends_it_and_who_does_that() -> None:
    for reason, hold in HOLDS.items():
        step = step_of(hold.state, reason)
        assert step == STEPS[hold.next]
        assert step.who in ("partner", "operator")


@pytest.mark.parametrize("state", RefundState.__args__)
def test_a_refund_that_is_not_at_its_end_says_what_comes_next(state: str) -> None:
    assert (step_of(state, "used") is None) == (state in ENDED)


def test_who_decides_is_an_operator_where_only_operators_can() -> None:
    of_operators = {state for state in OF_REFUND if step_of(state, "used").who == "operator"}

    assert of_operators == {"held", "in_review", "failed", "bounced"}


def test_what_was_lost_is_unlocked_by_asking_for_what_is_left() -> None:
    less = unlocking("issued", is_some_open=True)

    assert less is not None
    assert less.code == "ask_for_less"
    assert unlocking("issued") is None
    assert unlocking("window_over") is None
    assert unlocking(None) is None


def test_what_checkout_says_of_a_payout_has_no_words_here() -> None:
    assert words_of("account_closed") is None
    assert words_of(None) is None
