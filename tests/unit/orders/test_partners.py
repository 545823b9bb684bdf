"""A partner leaves when nothing is unfinished, and hears about everything that is."""

from datetime import UTC, datetime, timedelta

from services.orders.decisions.partners import purge, withdraw
from services.orders.state import Blocker, Partner
from shared.kst import wire_time
from shared.runtime.decisions import Decided, Reject, Wait
from tests.unit.orders.builders import AT, events, payment, pending, settled, snapshot, types, withdrawal
from tests.unit.orders.shop import Shop

UNISSUED = Blocker("unissued_units", "A-1", "1", 40)
UNINVOICED = Blocker("uninvoiced_payment", "A-2", "2", 100)
CONTENT = b"c" * 16
ASKED_AT = datetime(2026, 10, 20, 1, 0, tzinfo=UTC)


def ask(partner=None, *blockers, request_id="wd-1", content=CONTENT, requested_at=None):
    asked = withdrawal(request_id, requested_at)
    return withdraw(partner or Partner("P-17"), asked, content, AT, blockers)


def test_a_partner_with_nothing_unfinished_leaves():
    decision = ask(requested_at=ASKED_AT)

    assert events(decision) == [
        ("partner.withdrawn.v1", {"partner_id": "P-17", "withdrawn_at": "2026-10-20T10:00:00+09:00"})
    ]
    assert settled(decision).withdrawn_at == ASKED_AT


def test_a_request_that_does_not_say_when_counts_from_its_event():
    assert settled(ask()).withdrawn_at == AT


def test_every_blocker_is_listed_and_the_partner_stays():
    decision = ask(None, UNISSUED, UNINVOICED)

    assert events(decision) == [
        (
            "partner.withdrawal_refused.v1",
            {
                "partner_id": "P-17",
                "blockers": [
                    {"kind": "unissued_units", "order_id": "A-1", "line_id": "1", "quantity": 40},
                    {"kind": "uninvoiced_payment", "order_id": "A-2", "line_id": "2", "quantity": 100},
                ],
            },
        )
    ]
    assert settled(decision).withdrawn_at is None


def test_a_partner_that_was_refused_leaves_with_a_new_request_when_nothing_is_left():
    refused = settled(ask(None, UNISSUED))

    decision = ask(refused, request_id="wd-2")

    assert types(decision) == ["partner.withdrawn"]
    assert [event.sequence for event in decision.events] == [2]
    assert set(settled(decision).requests) == {"wd-1", "wd-2"}


def test_the_same_request_is_answered_once_whatever_has_ended_since():
    refused = settled(ask(None, UNISSUED))

    assert ask(refused) == Decided(refused)


def test_the_same_request_id_with_other_content_is_refused():
    decision = ask(settled(ask(None, UNISSUED)), content=b"d" * 16)

    assert isinstance(decision, Reject)
    assert (decision.code, decision.pointer) == ("duplicate_request", "/request_id")


def test_who_has_left_stays_away_from_that_moment_on():
    gone = settled(ask(requested_at=ASKED_AT))

    assert ask(gone, request_id="wd-2", requested_at=ASKED_AT + timedelta(days=1)) == Decided(gone)


def test_requests_without_an_id_are_each_looked_at_anew():
    refused = settled(ask(None, UNISSUED, request_id=None))

    assert refused.requests == {}
    assert types(ask(refused, request_id=None)) == ["partner.withdrawn"]


# One batch


def test_a_partner_whose_order_came_in_the_same_batch_is_judged_when_that_is_kept():
    """What keeps a partner is read when the batch begins, and cannot tell of what came with it."""
    shop = Shop()
    shop.take(pending())

    assert isinstance(shop.take(withdrawal()), Wait)

    pending_deposit = [Blocker("pending_deposit", "A-1", "1", 100)]
    assert shop.begin_another_batch(**{"P-17": pending_deposit}) == ["partner.withdrawal_refused"]


def test_money_of_the_partner_that_came_in_the_same_batch_is_news_of_it_too():
    shop = Shop()
    shop.take(payment(amount=170_000))

    assert isinstance(shop.take(withdrawal()), Wait)


def test_the_order_of_another_partner_is_no_news():
    shop = Shop()
    shop.take(pending(partner={**snapshot()["partner"], "partner_id": "P-18"}))

    shop.take(withdrawal())

    assert shop.types[-1] == "partner.withdrawn"


def test_an_order_that_comes_after_its_partner_left_in_the_same_batch_is_refused():
    shop = Shop()
    shop.take(withdrawal())

    refused = shop.take(pending())

    assert isinstance(refused, Reject)
    assert (refused.code, refused.pointer) == ("inconsistent", "/partner/partner_id")


def test_a_partner_is_purged_once_and_everybody_is_told_since_when():
    left = settled(ask(requested_at=ASKED_AT))

    decision = purge(left, AT)

    assert events(decision) == [
        (
            "partner.purged.v1",
            {
                "partner_id": "P-17",
                "withdrawn_at": "2026-10-20T10:00:00+09:00",
                "purged_at": wire_time(AT),
            },
        )
    ]
    assert [event.sequence for event in decision.events] == [left.sequence + 1]
    assert settled(decision).purged_at == AT
    assert purge(settled(decision), AT + timedelta(days=1)) == Decided(settled(decision))


def test_a_partner_that_stays_is_never_purged():
    assert purge(Partner("P-17"), AT) == Decided(Partner("P-17"))
