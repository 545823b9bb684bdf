"""Units are claimed once: issuing and refunding race for one row; whoever is second hears when it lost."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.orders.decisions import cancellations, issuance, payments, refunds
from services.orders.decisions.payments import Arrival
from services.orders.state import ClaimState, OrderState, Purpose
from shared.events.catalogue import TYPES
from shared.runtime.decisions import Reject, Wait
from shared.units import LineUnits, line_units
from tests.unit.orders.builders import (
    AT,
    cancelled,
    events,
    ids,
    line,
    new_id,
    paid_order,
    payment,
    pending,
    request,
    settled,
    types,
)

CONTENT = b"c" * 16


def issue(order, *lines, request_id="iss-1", content=CONTENT, at=AT):
    return issuance.request_issuance(order, request(*lines, request_id=request_id), content, at, ids())


def refund(order, *asked, refund_id=None, at=AT, everything=False):
    wanted = [LineUnits(*pair) for pair in asked]
    return refunds.claim_refund(order, refund_id or new_id(), wanted, "rr-1", at, everything)


def grant_of(order):
    return claims(order, Purpose.ISSUE)[0]


def claims(order, purpose):
    return [claim for each in order.claims.values() for claim in each if claim.purpose is purpose]


def test_a_request_without_lines_claims_everything_left():
    decision = issue(paid_order(line(), line("2", 5, 100), amount=176_550))
    ((_, data),) = events(decision)
    assert [(grant["line_id"], grant["quantity"]) for grant in data["grants"]] == [("1", 100), ("2", 5)]


def test_each_line_is_all_or_nothing():
    decision = issue(paid_order(line(), line("2", 5, 100), amount=176_550), ("1", 60), ("2", 6))
    assert types(decision) == ["issuance.granted", "issuance.denied"]
    assert events(decision)[1][1] == {
        "order_id": "A-1",
        "request_id": "iss-1",
        "line_id": "2",
        "quantity": 6,
        "reason": "not_enough_left",
        "left": 5,
    }


def test_nothing_left_is_said_for_every_line_of_serials():
    order = settled(issue(paid_order()))
    decision = issue(order, request_id="iss-2")
    assert [(d["reason"], d["left"]) for _, d in events(decision)] == [("nothing_left", 0)]


def test_a_request_that_names_a_line_twice_is_refused_and_would_not_claim_its_units_twice():
    asked = request(("1", 60), ("1", 60))
    check = TYPES["issuance.requested.v1"].check
    assert check is not None
    [fault] = check(asked)
    assert (fault.code, fault.pointer) == ("inconsistent", "/lines/1/line_id")

    decision = issue(paid_order(), ("1", 60), ("1", 60))
    assert types(decision) == ["issuance.granted", "issuance.denied"]
    twice = settled(decision)
    assert (twice.lines["1"].issuing, twice.lines["1"].open) == (60, 40)


def test_nothing_left_is_said_of_serials_only():
    order = settled(issue(paid_order(line(), line("2", 1, 0, kind="goods"))))
    assert [data["line_id"] for _, data in events(issue(order, request_id="iss-2"))] == ["1"]


def test_nothing_of_a_cancelled_order_can_be_issued_and_the_reason_says_so():
    order = settled(cancellations.cancel_payment(paid_order(), cancelled()))
    assert events(issue(order, ("1", 1)))[0][1]["reason"] == "order_cancelled"


def test_only_serials_can_be_issued():
    order = paid_order(line(kind="goods"))
    assert events(issue(order, ("1", 1)))[0][1]["reason"] == "not_issuable"
    assert events(issue(order))[0][1]["reason"] == "not_issuable"


def test_the_same_request_changes_nothing_and_another_content_is_refused():
    order = settled(issue(paid_order(), ("1", 60)))
    assert types(issue(order, ("1", 60))) == []
    other = issue(order, ("1", 10), content=b"d" * 16)
    assert isinstance(other, Reject)
    assert (other.code, other.pointer) == ("duplicate_request", "/request_id")


def test_a_line_that_the_order_does_not_have_is_inconsistent():
    decision = issue(paid_order(), ("1", 1), ("9", 1))
    assert isinstance(decision, Reject)
    assert (decision.code, decision.pointer) == ("inconsistent", "/lines/1/line_id")


def test_a_request_waits_for_the_payment():
    assert isinstance(issue(None), Wait)
    order = settled(payments.register_order(None, pending(), "evt-0", AT, False))
    assert isinstance(issue(order), Wait)


def test_issued_units_are_confirmed_once():
    order = settled(issue(paid_order(), ("1", 60)))
    grant = grant_of(order)
    confirmed = settled(issuance.confirm_issuance(order, {grant.claim_id: 60}, AT))
    assert (confirmed.lines["1"].issuing, confirmed.lines["1"].issued) == (0, 60)
    assert settled(issuance.confirm_issuance(confirmed, {grant.claim_id: 60}, AT)) is confirmed


def test_grants_that_are_whole_together_are_confirmed_together_and_the_known_one_stays():
    order = settled(issue(paid_order(line(), line("2", 5, 100), amount=176_550)))
    first, second = claims(order, Purpose.ISSUE)
    order = settled(issuance.confirm_issuance(order, {first.claim_id: 100}, AT))

    whole = {first.claim_id: 100, second.claim_id: 5}
    confirmed = settled(issuance.confirm_issuance(order, whole, AT + timedelta(hours=1)))

    assert [(each.issuing, each.issued) for each in confirmed.lines.values()] == [(0, 100), (0, 5)]
    settled_at = [claim.settled_at for claim in claims(confirmed, Purpose.ISSUE)]
    assert settled_at == [AT, AT + timedelta(hours=1)]


def test_all_grants_that_become_whole_at_once_are_confirmed_line_by_line():
    three = paid_order(line(), line("2", 5, 100), line("3", 7, 100), amount=177_320)
    order = settled(issue(three, ("1", 60), ("2", 5), ("3", 6)))
    whole = {grant.claim_id: grant.quantity for grant in claims(order, Purpose.ISSUE)}

    confirmed = settled(issuance.confirm_issuance(order, whole, AT))

    assert [(each.issuing, each.issued) for each in confirmed.lines.values()] == [(0, 60), (0, 5), (0, 6)]
    assert [claim.state for claim in claims(confirmed, Purpose.ISSUE)] == [ClaimState.CONFIRMED] * 3


def test_one_grant_of_the_wrong_size_confirms_none_of_them():
    order = settled(issue(paid_order(line(), line("2", 5, 100), amount=176_550)))
    first, second = claims(order, Purpose.ISSUE)

    with pytest.raises(ValueError, match="is for 5 units"):
        issuance.confirm_issuance(order, {first.claim_id: 100, second.claim_id: 4}, AT)


def test_what_is_granted_is_one_event_before_what_is_denied():
    three = paid_order(line(), line("2", 5, 100), line("3", 7, 100), amount=177_320)
    decision = issue(three, ("1", 101), ("2", 5), ("3", 7))
    assert types(decision) == ["issuance.granted", "issuance.denied"]
    (_, granted), _ = events(decision)
    assert [grant["line_id"] for grant in granted["grants"]] == ["2", "3"]
    assert settled(decision).sequence == three.sequence + 2


def test_a_refund_of_units_being_issued_is_denied_with_the_moment_they_were_lost():
    order = settled(issue(paid_order(), ("1", 60), at=AT + timedelta(hours=1)))

    decision = refund(order, ("1", 41))

    assert types(decision) == ["refund.denied"]
    data = events(decision)[0][1]
    assert (data["reason"], data["lost_at"]) == ("issued", "2026-10-21T15:03:05+09:00")
    assert data["lines"] == [{"line_id": "1", "quantity": 41, "left": 40}]


def test_a_line_knows_when_units_of_it_were_last_claimed_for_either_whichever_came_first():
    first, second, third = (AT + timedelta(hours=hours) for hours in (1, 2, 3))
    issued_first = settled(refund(settled(issue(paid_order(), ("1", 60), at=first)), ("1", 30), at=second))
    refunded_first = settled(issue(settled(refund(paid_order(), ("1", 30), at=first)), ("1", 60), at=second))

    moments = [
        (o.lines["1"].issue_claimed_at, o.lines["1"].refund_claimed_at)
        for o in (issued_first, refunded_first)
    ]
    assert moments == [(first, second), (second, first)]
    again = settled(refund(issued_first, ("1", 5), at=third)).lines["1"]
    assert (again.issue_claimed_at, again.refund_claimed_at) == (first, third)


def denied(order, *asked):
    """Reason and moment of a denial."""
    ((name, data),) = events(refund(order, *asked, at=AT + timedelta(days=9)))
    assert name == "refund.denied.v1"
    return data["reason"], data["lost_at"]


def test_a_denial_says_since_when_there_is_nothing_to_give():
    at, told = AT + timedelta(hours=1), "2026-10-21T15:03:05+09:00"
    refunding = settled(refund(paid_order(), ("1", 100), at=at))
    taken_back = settled(cancellations.cancel_payment(paid_order(), cancelled(at=at)))
    late = payments.record_payment(
        settled(payments.register_order(None, pending(), "e", AT, False)),
        payment(at=AT + timedelta(days=30)),
        Arrival("e2", AT),
        ids(),
    )

    assert denied(refunding, ("1", 1)) == ("already_refunded", told)
    assert denied(taken_back, ("1", 1)) == ("order_cancelled", told)
    assert denied(settled(late), ("1", 1)) == ("order_expired", "2026-10-29T00:00:00+09:00")
    assert denied(paid_order(), ("9", 1)) == ("unknown_line", "2026-10-21T14:03:05+09:00")


def test_the_units_that_were_asked_for_first_and_are_short_say_why_a_refund_is_denied():
    order = paid_order(line(), line("2", 5, 100), amount=176_550)
    order = settled(refund(order, ("2", 5), at=AT + timedelta(hours=1)))
    order = settled(issue(order, ("1", 100), at=AT + timedelta(hours=2)))

    assert denied(order, ("2", 1), ("1", 1)) == ("already_refunded", "2026-10-21T15:03:05+09:00")
    assert denied(order, ("1", 1), ("2", 1)) == ("issued", "2026-10-21T16:03:05+09:00")


def test_a_granted_refund_keeps_its_units_from_being_issued():
    order = settled(refund(paid_order(), ("1", 40)))
    decision = issue(order)
    assert events(decision)[0][1]["grants"][0]["quantity"] == 60


def test_a_refund_request_is_all_or_nothing_over_its_lines():
    order = paid_order(line(), line("2", 5, 100), amount=176_550)
    decision = refund(order, ("1", 1), ("2", 6))
    assert types(decision) == ["refund.denied"]
    assert settled(decision).lines["1"].refunding == 0


def test_a_refund_of_everything_takes_what_is_still_open():
    """Refunds asked before it heard that 60 units were granted to issue."""
    order = settled(issue(paid_order(line(), line("2", 5, 100), amount=176_550), ("1", 60), ("2", 5)))

    decision = refund(order, ("1", 100), ("2", 5), everything=True)

    assert types(decision) == ["refund.granted"]
    assert events(decision)[0][1]["lines"] == [{"line_id": "1", "quantity": 40}]
    assert events(decision)[0][1]["supply"] == 40 * 1600
    after = settled(decision)
    assert [(li.refunding, li.open) for li in after.lines.values()] == [(40, 0), (0, 0)]
    assert line_units(claims(after, Purpose.REFUND)) == (LineUnits("1", 40),)


def test_a_refund_of_everything_takes_what_is_open_of_every_line():
    order = settled(issue(paid_order(line(), line("2", 5, 100), amount=176_550), ("1", 60), ("2", 1)))

    after = settled(refund(order, ("1", 100), ("2", 5), everything=True))

    assert line_units(claims(after, Purpose.REFUND)) == (LineUnits("1", 40), LineUnits("2", 4))


def test_a_refund_of_everything_is_denied_when_nothing_is_open():
    order = settled(issue(paid_order(), ("1", 100)))

    decision = refund(order, ("1", 100), everything=True)

    assert types(decision) == ["refund.denied"]
    assert events(decision)[0][1]["reason"] == "issued"
    assert events(decision)[0][1]["lines"] == [{"line_id": "1", "quantity": 100, "left": 0}]


def test_a_refund_of_everything_is_denied_when_only_free_units_are_open():
    order = settled(issue(paid_order(line(), line("2", 5, 0), amount=176_000), ("1", 100)))

    decision = refund(order, ("1", 100), ("2", 5), everything=True)

    assert types(decision) == ["refund.denied"]
    assert [row["left"] for row in events(decision)[0][1]["lines"]] == [0, 5]


def test_the_won_of_a_refund_are_decided_with_its_claim():
    order = paid_order(line(quantity=5, unit_price=2_000), amount=10_000, vat_mode="inclusive")
    vats = []
    for _ in range(5):
        decision = refund(order, ("1", 1))
        vats.append(events(decision)[0][1]["vat"])
        order = settled(decision)
    assert (sum(vats), sorted(vats)) == (909, [181, 182, 182, 182, 182])


def test_a_refund_is_completed_once_and_the_last_unit_closes_the_order():
    refund_id = new_id()
    order = settled(refund(paid_order(), ("1", 100), refund_id=refund_id))
    done = settled(refunds.complete_refund(order, refund_id, AT))
    assert (done.state, done.lines["1"].refunded) == (OrderState.REFUNDED, 100)
    assert settled(refunds.complete_refund(done, refund_id, AT)) is done


def test_a_released_refund_opens_its_units_and_its_won_again():
    refund_id = new_id()
    order = settled(refund(paid_order(), ("1", 40), refund_id=refund_id))
    open_again = settled(refunds.release_refund(order, refund_id, AT))
    assert (open_again.lines["1"].open, open_again.remaining.total) == (100, 176_000)


def test_a_cancelled_payment_leaves_issued_units_issued_and_their_money_missing():
    order = settled(issue(paid_order(), ("1", 60)))
    decision = cancellations.cancel_payment(order, cancelled())
    assert types(decision) == ["order.cancelled", "payment.quarantined"]
    assert [data["amount"] for _, data in events(decision)] == [70_400, -105_600]


def test_units_of_a_refund_released_after_the_cancellation_follow_the_payment():
    refund_id = new_id()
    order = settled(
        cancellations.cancel_payment(
            settled(refund(paid_order(), ("1", 40), refund_id=refund_id)), cancelled()
        )
    )
    decision = refunds.release_refund(order, refund_id, AT)
    assert types(decision) == ["order.cancelled", "payment.quarantined"] + ["quarantine.settled"] * 2
    assert [data["amount"] for _, data in events(decision)] == [70_400, 70_400, -70_400, 70_400]
    assert [case.decision for case in settled(decision).cases.values()] == ["taken_back", "taken_back"]


def test_no_units_of_an_expired_order_are_granted():
    order = settled(
        payments.record_payment(
            settled(payments.register_order(None, pending(), "e", AT, False)),
            payment(at=AT + timedelta(days=30)),
            Arrival("e2", AT),
            ids(),
        )
    )
    assert events(issue(order, ("1", 1)))[0][1]["reason"] == "order_expired"


@pytest.mark.parametrize("decide", [refunds.complete_refund, refunds.release_refund])
def test_the_end_of_a_refund_waits_for_its_order(decide):
    assert isinstance(decide(None, new_id(), AT), Wait)


def test_a_refund_of_a_line_that_the_order_does_not_have_is_denied():
    for everything in (False, True):
        decision = refund(settled(issue(paid_order())), ("1", 1), ("9", 1), everything=everything)
        assert types(decision) == ["refund.denied"]
    decision = refund(paid_order(), ("9", 1))
    assert events(decision)[0][1]["reason"] == "unknown_line"
    assert events(decision)[0][1]["lines"] == [{"line_id": "9", "quantity": 1, "left": 0}]


def test_more_of_a_refunded_order_is_denied_as_refunded_already():
    refund_id = new_id()
    order = settled(refund(paid_order(), ("1", 100), refund_id=refund_id))
    order = settled(refunds.complete_refund(order, refund_id, AT))
    assert order.state is OrderState.REFUNDED
    assert events(refund(order, ("1", 1)))[0][1]["reason"] == "already_refunded"


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("issue"), st.integers(1, 6)),
        st.tuples(st.just("refund"), st.integers(1, 6)),
        st.tuples(st.just("confirm"), st.integers(0, 5)),
        st.tuples(st.just("complete"), st.integers(0, 5)),
        st.tuples(st.just("release"), st.integers(0, 5)),
        st.tuples(st.just("cancel"), st.just(0)),
    ),
    max_size=14,
)


@settings(max_examples=300)
@given(STEPS, st.sampled_from(["exclusive", "inclusive"]), st.integers(1, 333))
def test_whatever_happens_no_unit_is_claimed_twice_and_no_won_is_lost(steps, vat_mode, price):
    amount = price * 6 + (price * 6 // 10 if vat_mode == "exclusive" else 0)
    order = paid_order(line(quantity=6, unit_price=price), amount=amount, vat_mode=vat_mode)
    back = 0
    for number, (step, size) in enumerate(steps):
        order, returned = _take(order, step, size, number)
        back += returned
        one = order.lines["1"]
        assert one.open >= 0
        assert min(one.issuing, one.issued, one.refunding, one.refunded) >= 0
        claimed = sum(c.money.total for c in claims(order, Purpose.REFUND) if c.state != "void")
        assert order.remaining.total + claimed + back == amount


def _take(order, step, size, number):
    grants, granted = claims(order, Purpose.ISSUE), claims(order, Purpose.REFUND)
    decision = None
    if step == "issue":
        decision = issue(order, ("1", size), request_id=f"iss-{number}")
    elif step == "refund":
        decision = refund(order, ("1", size))
    elif step == "confirm" and grants:
        claim = grants[size % len(grants)]
        decision = issuance.confirm_issuance(order, {claim.claim_id: claim.quantity}, AT)
    elif step == "complete" and granted:
        decision = refunds.complete_refund(order, granted[size % len(granted)].claim_id, AT)
    elif step == "release" and granted:
        decision = refunds.release_refund(order, granted[size % len(granted)].claim_id, AT)
    elif step == "cancel":
        decision = cancellations.cancel_payment(order, cancelled())
    if decision is None:
        return order, 0
    return settled(decision), sum(d["amount"] for name, d in events(decision) if name == "order.cancelled.v1")
