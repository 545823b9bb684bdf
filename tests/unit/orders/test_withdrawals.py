"""A partner that leaves by command, as `partner.withdrawal_requested` has it leave."""

from datetime import datetime
from typing import Any

import pytest

from services.orders.blockers import ADVICE, document_of
from services.orders.commands import COMMANDS, WithdrawalBody
from services.orders.decisions.partners import archived_until
from services.orders.state import Blocker
from shared.runtime.commands import CommandOutcome, Done, Refused
from shared.runtime.decisions import Context, Reject
from tests.support.commands import Person
from tests.support.guides import ROOT, codes, read, section, table
from tests.unit.orders.builders import AT, payment, pending
from tests.unit.orders.shop import Shop

KIM = Person("operator:kim")
UNISSUED = Blocker("unissued_units", "A-1", "1", 40)
HELD_MONEY = Blocker("quarantined_money", "A-2")
LEFT = "2026-10-21T14:03:05+09:00"


def withdraw(shop: Shop, *, apply: bool = True) -> CommandOutcome:
    body = WithdrawalBody(reason="by letter", apply=apply)
    command = KIM.commands("partner.withdraw", "P-17", body, reason=body.reason, at=AT)
    return COMMANDS[command.type].handle(shop.world, command, Context(shop._new_id))


def answer(outcome: CommandOutcome) -> dict[str, Any]:
    assert isinstance(outcome, Done)
    return dict(outcome.answer)


def test_a_partner_with_nothing_unfinished_leaves_and_can_order_no_more() -> None:
    shop = Shop()

    outcome = withdraw(shop)

    assert answer(outcome) == {
        "partner_id": "P-17",
        "applied": True,
        "withdrawn_at": LEFT,
        "blockers": [],
        "events": [
            {"type": "partner.withdrawn.v1", "data": {"partner_id": "P-17", "withdrawn_at": LEFT}},
        ],
    }
    assert isinstance(outcome, Done)
    assert (outcome.before, outcome.after) == ({"withdrawn_at": None}, {"withdrawn_at": LEFT})
    assert isinstance(shop.take(pending()), Reject)


def test_every_blocker_is_answered_with_what_to_do_and_told_as_an_event() -> None:
    shop = Shop()
    shop.world.blockers = {"P-17": [UNISSUED, HELD_MONEY]}

    said = answer(withdraw(shop))

    assert said["withdrawn_at"] is None
    assert [each["kind"] for each in said["blockers"]] == ["unissued_units", "quarantined_money"]
    assert [each["type"] for each in said["events"]] == ["partner.withdrawal_refused.v1"]
    assert shop.world.partners["P-17"].withdrawn_at is None


def test_a_partner_that_has_left_stays_away_from_that_moment_on_and_nothing_is_told_again() -> None:
    shop = Shop()
    withdraw(shop)
    shop.world.blockers = {"P-17": [UNISSUED]}

    said = answer(withdraw(shop))

    assert (said["withdrawn_at"], said["blockers"], said["events"]) == (LEFT, [], [])


def test_a_partner_is_not_judged_beside_an_order_of_it_that_is_not_kept_yet() -> None:
    """What keeps a partner is read when the batch begins, and cannot tell of what was decided with it."""
    shop = Shop()
    shop.take(payment())

    outcome = withdraw(shop)

    assert isinstance(outcome, Refused)
    assert outcome.problem.document()["code"] == "partner_busy"
    assert "P-17" not in shop.world.partners


@pytest.mark.parametrize(
    ("left", "kept_until"),
    [
        ("2026-10-21T00:00:00+09:00", "2031-10-21T23:59:59.999999+09:00"),
        ("2028-02-29T10:00:00+09:00", "2033-02-28T23:59:59.999999+09:00"),
        ("2026-10-21T15:00:00Z", "2031-10-22T23:59:59.999999+09:00"),
    ],
)
def test_who_left_is_named_to_the_end_of_the_same_day_in_seoul_five_years_later(
    left: str, kept_until: str
) -> None:
    assert archived_until(datetime.fromisoformat(left), 5).isoformat() == kept_until


@pytest.mark.parametrize("kind", ADVICE)
def test_each_blocker_says_who_does_what_and_where_it_is_explained(kind: str) -> None:
    said = document_of(Blocker(kind, "A-1", "1", 40))

    assert said["who"] in ("partner", "operator", "finance")
    assert said["command"].startswith("pawl ")
    assert said["command"].endswith(" A-1")
    page, _, anchor = said["link"].partition("#")
    assert f"\n### {anchor}\n" in read(ROOT / page)


def test_the_blockers_are_those_of_the_published_language() -> None:
    listed = table(section(ROOT / "docs" / "events.md", "Blockers of a withdrawal"))

    assert [codes(row[0])[0] for row in listed] == list(ADVICE)
