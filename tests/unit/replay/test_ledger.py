"""The ledger folds answers in any order, any number of times, and ignores what is not about the file."""

from datetime import UTC, datetime
from itertools import permutations
from typing import Any

from ops.replay.ends import outcome
from ops.replay.ledger import Ledger
from ops.replay.plan import SOURCE
from ops.replay.settling import missing, settled, unpaid
from ops.replay.states import Answer
from ops.replay.summary import count_invoices, count_won, months
from tests.unit.replay.histories import line, planned, steps

AT = datetime(2011, 3, 1, tzinfo=UTC)


def answer(type_: str, key: str = "1001", **data: Any) -> Answer:
    return Answer(key, f"{type_}.v1", AT, data)


def verdict(id_: str, code: str = "", source: str = SOURCE) -> Answer:
    outcome = {"outcome": "rejected", "code": code} if code else {"outcome": "accepted"}
    return answer("event.accepted", event={"source": source, "id": id_}, **outcome)


def fold(ledger: Ledger, *answers: Answer) -> Ledger:
    for one in answers:
        ledger.record(one)
    return ledger


PAID = answer("order.paid", supply=16000, vat=1600)


def test_a_payment_is_settled_by_its_answer_and_its_event_together() -> None:
    plan = planned(line())
    [paid] = steps(plan, "payment")
    assert not settled(fold(Ledger(plan), PAID), paid)
    assert not settled(fold(Ledger(plan), verdict(paid.id)), paid)
    assert settled(fold(Ledger(plan), verdict(paid.id), PAID), paid)


def test_a_denied_refund_is_known_in_whichever_order_its_events_arrive() -> None:
    plan = planned(line(), line("C1002", quantity=-1))
    [asked] = steps(plan, "refund")
    facts = [
        PAID,
        verdict(asked.id),
        answer(
            "refund.accepted",
            refund_id="r",
            refund_request_id="C1002-1",
            lines=[{"line_id": "1", "quantity": 1}],
        ),
        answer(
            "refund.denied",
            refund_id="r",
            reason="issued",
            lines=[{"line_id": "1", "quantity": 1, "left": 0}],
        ),
    ]
    for order in permutations(facts):
        ledger = fold(Ledger(plan), *order, *order)
        assert settled(ledger, asked)
        assert outcome(ledger, plan.fates[max(plan.fates)]) == "refund_denied_issued"


def test_an_issuance_waits_for_every_line_that_still_has_units() -> None:
    plan = planned(line(), line(product="33333"), line("C1002", quantity=-10))
    [asked] = steps(plan, "issuance")
    refunded = answer(
        "refund.completed",
        refund_id="r",
        refund_request_id="C1002-1",
        lines=[{"line_id": "1", "quantity": 10}],
        amount=1,
        supply=1,
        vat=0,
    )
    issue = {"line_id": "2", "grant_id": "g", "quantity": 10}
    ledger = fold(Ledger(plan), PAID, verdict(asked.id), refunded)
    for type_, expected in (
        ("issuance.granted", "issuance.granted for line 2 from orders"),
        ("serials.issued", "serials.issued for line 2 from serials"),
        ("refund.locked", "refund.locked for line 2 from refunds"),
    ):
        assert list(missing(ledger, asked)) == [expected]
        fold(ledger, answer(type_, **issue))
    assert settled(ledger, asked)


def test_an_issuance_that_is_denied_is_settled_with_or_without_a_line() -> None:
    plan = planned(line())
    [asked] = steps(plan, "issuance")
    for denied in (answer("issuance.denied", line_id="1"), answer("issuance.denied")):
        assert settled(fold(Ledger(plan), PAID, verdict(asked.id), denied), asked)


def test_a_quarantined_payment_gives_its_lines_that_reason_and_asks_nothing_more() -> None:
    plan = planned(line())
    [paid], [asked] = steps(plan, "payment"), steps(plan, "issuance")
    ledger = fold(Ledger(plan), verdict(paid.id), answer("payment.quarantined", reason="order_closed"))
    assert settled(ledger, paid)
    assert unpaid(ledger, asked)
    assert [outcome(ledger, fate) for fate in plan.fates.values()] == ["payment_quarantined_order_closed"]


def test_a_rejected_payment_names_the_code_and_its_cancellation_had_no_order() -> None:
    plan = planned(line(), line("C1002", quantity=-1))
    [paid] = steps(plan, "payment")
    ledger = fold(Ledger(plan), verdict(paid.id, "out_of_range"))
    assert [outcome(ledger, fate) for fate in plan.fates.values()] == [
        "payment_rejected_out_of_range",
        "refund_of_unpaid_order",
    ]


def test_a_refund_that_the_refunds_service_does_not_know_is_open() -> None:
    plan = planned(line(), line("C1002", quantity=-1))
    assert outcome(fold(Ledger(plan), PAID), plan.fates[max(plan.fates)]) == "refund_open"


def test_a_line_spread_over_orders_with_different_answers_is_refunded_in_part() -> None:
    plan = planned(line("1001"), line("1002", quantity=5), line("C1003", quantity=-9))
    ledger = fold(Ledger(plan), PAID)
    for key, type_ in (("1001", "refund.rejected"), ("1002", "refund.completed")):
        names = {"refund_id": key, "refund_request_id": "C1003-1"}
        fold(
            ledger,
            answer(
                type_,
                key,
                **names,
                reason="issued",
                lines=[{"line_id": "1", "quantity": 1}],
                amount=1,
                supply=1,
                vat=0,
            ),
        )
    assert outcome(ledger, plan.fates[max(plan.fates)]) == "refund_completed_in_part"


def test_a_duplicate_id_of_an_earlier_run_says_nothing_about_this_file() -> None:
    plan = planned(line())
    [paid] = steps(plan, "payment")
    ledger = fold(Ledger(plan), verdict(paid.id), PAID)
    ledger.record(verdict(paid.id, "duplicate_id"), live=False)
    assert settled(ledger, paid)
    fold(ledger, verdict(paid.id, "duplicate_id"))
    assert outcome(ledger, plan.fates[max(plan.fates)]) == "payment_rejected_duplicate_id"


def test_what_others_say_is_none_of_its_business() -> None:
    ledger = Ledger(planned(line()))
    for other in (
        answer("order.paid", "A-1", supply=1, vat=0),
        verdict("1001:payment", source="https://checkout.example"),
        answer(
            "invoice.drafted", "A-1", invoice_id="i", payment_id="pay-A-1", month="2011-03", supply=1, vat=0
        ),
    ):
        assert ledger.record(other) is None
    assert ledger.records == 0


def test_goods_are_to_come_back_until_the_refund_goes_on() -> None:
    ledger = Ledger(planned(line()))
    names = {"refund_id": "r", "refund_request_id": "q"}
    fold(ledger, answer("refund.held", **names, reason="holder_mismatch"))
    assert not ledger.returns
    names["refund_id"] = "s"
    fold(ledger, answer("refund.held", **names, reason="return_awaited"))
    assert list(ledger.returns) == ["s"]
    fold(ledger, answer("refund.accepted", **names, lines=[]))
    assert not ledger.returns
    fold(ledger, answer("refund.held", **names, reason="return_awaited"))
    assert not ledger.returns


def test_a_payout_is_due_until_the_refund_is_over() -> None:
    ledger = Ledger(planned(line()))
    names = {"refund_id": "r", "refund_request_id": "q"}
    fold(ledger, answer("refund.payout_requested", **names))
    assert list(ledger.payouts) == ["r"]
    fold(ledger, answer("refund.completed", **names, lines=[], amount=1, supply=1, vat=0))
    assert not ledger.payouts
    fold(ledger, answer("refund.payout_requested", **names))
    assert not ledger.payouts


def test_a_payout_that_timed_out_is_not_over_and_one_that_surely_failed_is() -> None:
    ledger = Ledger(planned(line()))
    names = {"refund_id": "r", "refund_request_id": "q"}

    fold(ledger, answer("refund.failed", **names, reason="timeout"))
    assert not ledger.orders["1001"].refund("r").over
    fold(ledger, answer("refund.failed", **names, reason="account_closed"))
    assert ledger.orders["1001"].refund("r").over


def test_a_month_shows_what_is_left_of_its_payments_until_it_is_closed() -> None:
    plan = planned(line("1001"), line("1002"))
    refund = {"refund_id": "r", "refund_request_id": "q", "lines": []}
    ledger = fold(Ledger(plan), PAID, answer("order.paid", "1002", supply=16000, vat=1600))
    fold(ledger, answer("refund.completed", **refund, supply=1000, vat=100, amount=1100))
    left = {"payments": 2, "documents": 0, "supply": 31000, "vat": 3100, "total": 34100}
    assert months(plan, ledger) == {"2011-03": left}
    closed = {"payments": 2, "documents": 1, "supply": 31000, "vat": 3100, "total": 34100}
    fold(ledger, answer("month.closed", "2011-03", month="2011-03", **closed))
    assert months(plan, ledger) == {"2011-03": closed}


def test_invoices_are_counted_once_by_how_they_were_made() -> None:
    plan = planned(line("1001"), line("1002"), line("1003"))
    ledger = Ledger(plan)
    for order_id in plan.orders:
        draft = {
            "invoice_id": f"i{order_id}",
            "payment_id": f"pay-{order_id}",
            "month": "2011-03",
            "supply": 100,
            "vat": 10,
        }
        fold(ledger, answer("invoice.drafted", order_id, **draft))
    both = {
        "invoice_id": "m",
        "payment_ids": ["pay-1001", "pay-1002"],
        "month": "2011-03",
        "supply": 200,
        "vat": 20,
    }
    alone = {"invoice_id": "i1003", "payment_ids": ["pay-1003"], "month": "2011-03", "supply": 100, "vat": 10}
    less = {"invoice_id": "x", "payment_id": "pay-1003", "supply": -50, "vat": -5}
    for _ in range(2):
        fold(ledger, answer("invoice.merged", "C1", **both), answer("invoice.issued", "C1", **both))
        fold(ledger, answer("invoice.issued", "C1", **alone), answer("invoice.modified", "C1", **less))
    assert count_invoices(ledger) == {
        "per payment": 1,
        "merged by month": 1,
        "payments in merged ones": 2,
        "modified": 1,
        "failed": 0,
    }
    assert count_won(ledger) == {"paid": 0, "refunded": 0, "invoiced": 275, "modified": -55}
