"""Recorded histories, good and bad, before the model."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from ops.audit.history.entries import Entry, entry_of
from ops.audit.history.judge import Judged, judge, judge_file
from ops.audit.history.recorder import sent_right
from ops.shell.problem import Problem
from shared.events.envelope import write_headers
from tests.unit.audit.histories import BEGINS, Tape, share


def rules(judged: Judged) -> set[str]:
    return {broken.rule for broken in judged.violations}


def whole_story() -> Tape:
    """40 units paid back, 60 issued."""
    tape = Tape().is_paid().asks_refund(40).grants_refund(40, 64_000, 6_400).pays_out(40, 64_000, 6_400)
    return tape.issues(60)


def test_a_whole_story_is_explained() -> None:
    judged = judge(whole_story().ends())
    assert judged.violations == []
    assert (judged.orders, judged.requests, judged.quiet) == (1, 4, True)


def test_a_unit_granted_twice_is_found_with_the_lines_that_show_it() -> None:
    judged = judge(Tape().is_paid().issues(60).issues(60, "again").ends())
    assert rules(judged) == {"right_decisions", "issued_xor_refunded"}
    wrong = next(broken for broken in judged.violations if broken.rule == "right_decisions")
    assert "right would be issuance.denied 1 60 40" in wrong.detail
    assert "issuance.granted.v1" in wrong.prefix[-1]
    assert not any("serials.issued" in line and "again" in line for line in wrong.prefix)


def test_a_denial_while_units_were_left_is_found() -> None:
    tape = Tape().is_paid().asks("issuance.requested", "iss", request_id="r", lines=share(60))
    tape.tells("issuance.denied", "iss", line_id="1", quantity=60, left=0, reason="nothing_left")
    assert rules(judge(tape.ends())) == {"right_decisions"}


def test_a_denial_is_right_when_the_race_was_lost_in_time() -> None:
    tape = Tape().is_paid().asks_refund(60)
    tape.asks("issuance.requested", "iss", request_id="r", lines=share(60))
    tape.tells("issuance.denied", "iss", line_id="1", quantity=60, left=40, reason="not_enough_left")
    tape.grants_refund(60, 96_000, 9_600).pays_out(60, 96_000, 9_600)
    assert judge(tape.ends()).violations == []


def test_a_denial_before_the_other_had_asked_is_wrong() -> None:
    tape = Tape().is_paid().asks("issuance.requested", "iss", request_id="r", lines=share(60))
    tape.tells("issuance.denied", "iss", line_id="1", quantity=60, left=40, reason="not_enough_left")
    tape.asks_refund(60).grants_refund(60, 96_000, 9_600).pays_out(60, 96_000, 9_600)
    assert rules(judge(tape.ends())) == {"right_decisions"}


def test_of_everything_refundable_orders_grants_what_is_left() -> None:
    tape = Tape().is_paid().asks_refund(100, everything=True).issues(60)
    tape.grants_refund(40, 64_000, 6_400).pays_out(40, 64_000, 6_400)
    assert judge(tape.ends()).violations == []


def test_a_denial_of_everything_while_units_were_left_is_found() -> None:
    tape = Tape().is_paid().issues(60).asks_refund(100, everything=True)
    tape.tells("refund.denied", "accepted-ref", refund_id="R-ref", lines=share(100, left=40), reason="issued")
    assert rules(judge(tape.ends())) == {"right_decisions"}


def test_less_than_the_units_that_were_named_is_no_grant() -> None:
    tape = Tape().is_paid().issues(60).asks_refund(100)
    tape.grants_refund(40, 64_000, 6_400).pays_out(40, 64_000, 6_400)
    assert rules(judge(tape.ends())) == {"right_decisions"}


def test_a_refund_completed_twice_is_found() -> None:
    tape = whole_story()
    tape.asks("refund.paid_out", "out-2", refund_id="R-ref", payout_id="po-2")
    tape.completes(40, 64_000, 6_400, cause="out-2", payout="po-2")
    assert {"ends_once", "issued_xor_refunded"} <= rules(judge(tape.ends()))


def test_a_refund_that_is_completed_and_denied_is_found() -> None:
    tape = Tape().is_paid().asks_refund(40)
    tape.tells("refund.denied", "accepted-ref", refund_id="R-ref", lines=share(40, left=100))
    tape.pays_out(40, 64_000, 6_400)
    assert {"ends_once", "right_decisions"} <= rules(judge(tape.ends()))


def test_a_missing_answer_is_found_when_all_was_quiet() -> None:
    tape = Tape().is_paid().asks("usage.recorded", "use", answer="")
    assert rules(judge(tape.ends())) == {"answered_once"}
    assert judge(tape.ends(quiet=False)).violations == []


def test_an_answer_for_nothing_is_found() -> None:
    tape = Tape().is_paid().answers("payment.completed", "ghost", "checkout.events/0/99")
    judged = judge(tape.ends())
    assert rules(judged) == {"answered_once"}
    assert "where nobody asked" in judged.violations[0].detail


def test_two_answers_are_found_and_a_repeated_record_is_not() -> None:
    tape = Tape().is_paid()
    tape.lines.append(tape.lines[1])
    assert judge(tape.ends()).violations == []
    tape.answers("payment.completed", "pay", "checkout.events/0/0")
    assert rules(judge(tape.ends())) == {"answered_once"}


def test_an_id_used_again_for_something_else_is_refused_at_its_place() -> None:
    tape = Tape().is_paid().asks("payment.completed", "pay", answer="duplicate_id", content="other")
    assert judge(tape.ends()).violations == []
    silent = Tape().is_paid().asks("payment.completed", "pay", answer="", content="other")
    assert rules(judge(silent.ends())) == {"answered_once"}


def test_the_same_request_again_needs_no_answer() -> None:
    tape = Tape().is_paid()
    tape.pays()
    tape.lines.pop()
    assert judge(tape.ends()).violations == []


def test_wrong_won_are_found() -> None:
    tape = Tape().is_paid().asks_refund(40).grants_refund(40, 64_000, 6_401).pays_out(40, 64_000, 6_401)
    judged = judge(tape.ends())
    assert rules(judged) == {"right_decisions"}
    assert "right would be refund.granted (('1', 40),) 64000 6400" in judged.violations[0].detail


def test_a_payout_of_other_won_than_granted_is_found() -> None:
    tape = Tape().is_paid().asks_refund(40).grants_refund(40, 64_000, 6_400).pays_out(40, 64_000, 6_500)
    assert rules(judge(tape.ends())) == {"refunded_won"}


def test_more_won_back_than_were_paid_are_found() -> None:
    tape = Tape().is_paid().asks_refund(40).grants_refund(40, 264_000, 6_400).pays_out(40, 264_000, 6_400)
    assert {"refunded_won", "right_decisions"} <= rules(judge(tape.ends()))


def test_a_grant_that_is_never_issued_or_issued_twice_is_found() -> None:
    tape = Tape().is_paid().asks("issuance.requested", "iss", request_id="r", lines=share(60))
    tape.grants(60, "iss")
    assert rules(judge(tape.ends())) == {"issued_once"}
    assert judge(tape.ends(quiet=False)).violations == []
    issued = {"by": "serials", "grant_id": "g-iss", "line_id": "1", "quantity": 60}
    tape.tells("serials.issued", "x", **issued).tells("serials.issued", "y", **issued)  # type: ignore[arg-type]
    assert "issued_once" in rules(judge(tape.ends()))


def three_lines() -> tuple[list[dict[str, Any]], Tape]:
    """An order of 100 units of each of three lines, of which 10, 101 and 20 are asked to be issued."""
    price = {"kind": "serials", "unit_price": 1_600, "quantity": 100}
    sold = [{"line_id": each, **price} for each in "123"]
    tape = Tape().pays(amount=528_000, lines=sold)
    won = {"supply": 480_000, "vat": 48_000, "amount": 528_000}
    tape.tells("order.paid", "pay", payment_id="pay-1", lines=sold, **won)  # type: ignore[arg-type]
    asked = [{"line_id": each, "quantity": units} for each, units in zip("123", (10, 101, 20), strict=True)]
    return asked, tape.asks("issuance.requested", "iss", request_id="r", lines=asked)


def denied(tape: Tape) -> Tape:
    return tape.tells("issuance.denied", "iss", request_id="r", line_id="2", quantity=101, left=100)


def test_a_decision_about_several_lines_is_right_whether_it_is_told_together_or_line_by_line() -> None:
    asked, together = three_lines()
    grants = [{"grant_id": f"g-{one['line_id']}", **one} for one in (asked[0], asked[2])]
    denied(together.tells("issuance.granted", "iss", version=2, request_id="r", grants=grants))
    together.tells("serials.issued", "g", by="serials", version=2, grants=grants)
    assert judge(together.ends()).violations == []

    _, by_line = three_lines()
    denied(by_line.tells("issuance.granted", "iss", request_id="r", **grants[0]))
    by_line.tells("issuance.granted", "iss", request_id="r", **grants[1])
    for grant in grants:
        by_line.tells("serials.issued", "g", by="serials", **grant)
    assert judge(by_line.ends()).violations == []


def test_one_grant_of_several_that_is_not_issued_or_too_large_is_found() -> None:
    asked, tape = three_lines()
    grants = [{"grant_id": f"g-{one['line_id']}", **one} for one in (asked[0], asked[2])]
    denied(tape.tells("issuance.granted", "iss", version=2, request_id="r", grants=grants))
    tape.tells("serials.issued", "g", by="serials", version=2, grants=grants[:1])
    assert rules(judge(tape.ends())) == {"issued_once"}

    _, other = three_lines()
    larger = [grants[0], {**grants[1], "quantity": 21}]
    denied(other.tells("issuance.granted", "iss", version=2, request_id="r", grants=larger))
    other.tells("serials.issued", "g", by="serials", version=2, grants=larger)
    assert rules(judge(other.ends())) == {"right_decisions"}


def test_a_decision_that_nobody_asked_for_is_found() -> None:
    assert "caused" in rules(judge(Tape().is_paid().grants(5, "nothing").ends()))


def test_an_accepted_payment_that_came_to_nothing_is_found() -> None:
    tape = Tape().is_paid().pays("pay-b", "pay-2")
    judged = judge(tape.ends())
    assert rules(judged) == {"right_decisions", "payments_placed"}
    assert "was accepted and nothing followed" in judged.violations[0].detail


def test_a_second_payment_goes_to_quarantine() -> None:
    tape = Tape().is_paid().pays("pay-b", "pay-2")
    tape.opens_case("pay-b", "pay-2", 176_000, "second_payment")
    assert judge(tape.ends()).violations == []


def test_a_request_that_waits_for_its_payment_is_no_loss() -> None:
    tape = Tape().asks("issuance.requested", "iss", request_id="r", lines=share(5))
    assert judge(tape.ends()).violations == []


def test_a_request_that_waited_is_explained_when_the_payment_comes() -> None:
    tape = Tape().asks("issuance.requested", "iss", request_id="r", lines=share(100)).is_paid()
    tape.grants(100, "iss")
    tape.tells("serials.issued", "g", by="serials", grant_id="g-iss", line_id="1", quantity=100)
    assert judge(tape.ends()).violations == []


def test_a_cancelled_payment_takes_open_units_back_and_misses_the_rest() -> None:
    tape = Tape().is_paid().issues(60)
    tape.asks("payment.cancelled", "back", payment_id="pay-1", cancelled_at="2031-10-22T00:00:00+09:00")
    won = {"supply": 64_000, "vat": 6_400, "amount": 70_400}
    tape.tells("order.cancelled", "back", payment_id="pay-1", lines=share(40), **won)
    tape.opens_case("back", "pay-1", -105_600, "cancelled_after_issue")
    assert judge(tape.ends()).violations == []


def test_a_rejected_refund_is_right_only_when_its_units_are_gone() -> None:
    def rejected(tape: Tape) -> Judged:
        tape.asks("refund.requested", "ref", refund_request_id="rr", lines=share(50))
        tape.tells(
            "refund.rejected", "ref", by="refunds", refund_id="R", refund_request_id="rr", reason="issued"
        )
        return judge(tape.ends())

    assert rejected(Tape().is_paid().issues(60)).violations == []
    assert rules(rejected(Tape().is_paid())) == {"right_decisions"}


def refunded() -> Tape:
    tape = Tape().is_paid().asks_refund(100).grants_refund(100, 160_000, 16_000)
    return tape.pays_out(100, 160_000, 16_000)


def of_refund(tape: Tape, *names: str) -> Tape:
    for number, name in enumerate(names):
        won = {"supply": 160_000, "vat": 16_000, "fee": 0, "amount": 176_000, "lines": share(100)}
        refund = {"refund_id": "R-ref", "refund_request_id": "rr-ref", "payment_id": "pay-1", **won}
        tape.tells(name, f"cause-{number}", by="refunds", event_id=f"step-{number}-{name}", **refund)
    return tape


def test_a_payout_that_bounces_is_repaid() -> None:
    again = ("refund.payout_requested", "refund.failed", "refund.payout_requested", "refund.repaid")
    tape = of_refund(refunded(), "refund.bounced", *again, "refund.bounced", "refund.repaid")
    assert judge(tape.ends()).violations == []


@pytest.mark.parametrize("wrong", ["refund.released", "refund.completed", "refund.accepted"])
def test_a_refund_that_bounced_has_no_other_end(wrong: str) -> None:
    tape = of_refund(refunded(), "refund.bounced", "refund.payout_requested", "refund.failed", wrong)
    assert "ends_once" in rules(judge(tape.ends()))


def test_a_refund_that_never_was_paid_out_cannot_be_repaid() -> None:
    tape = Tape().is_paid().asks_refund(100).grants_refund(100, 160_000, 16_000)
    of_refund(tape, "refund.payout_requested", "refund.repaid")
    assert "ends_once" in rules(judge(tape.ends()))


def test_money_that_left_twice_is_a_case() -> None:
    tape = of_refund(refunded(), "refund.paid_twice")
    tape.opens_case("step-0-refund.paid_twice", "pay-1", -176_000, "payout_twice")
    assert judge(tape.ends()).violations == []


@pytest.mark.parametrize("amount", [None, 176_000, -70_400])
def test_money_that_left_twice_is_a_case_of_its_won_or_wrong(amount: int | None) -> None:
    tape = of_refund(refunded(), "refund.paid_twice")
    if amount is not None:
        tape.opens_case("step-0-refund.paid_twice", "pay-1", amount, "payout_twice")
    assert "right_decisions" in rules(judge(tape.ends()))


def test_a_late_duplicate_of_a_request_is_denied() -> None:
    tape = Tape().is_paid().issues(60)
    tape.asks("issuance.requested", "late", request_id="r-iss", lines=share(30))
    denied = {"line_id": "1", "quantity": 30, "left": 40, "reason": "duplicate_request"}
    tape.tells("issuance.denied", "late", **denied)  # type: ignore[arg-type]
    assert judge(tape.ends()).violations == []


def test_units_of_a_released_refund_can_be_issued() -> None:
    tape = Tape().is_paid().asks_refund(100).grants_refund(100, 160_000, 16_000)
    refund = {"refund_id": "R-ref", "refund_request_id": "rr-ref"}
    tape.tells("refund.payout_requested", "x", by="refunds", **refund)  # type: ignore[arg-type]
    tape.tells("refund.failed", "y", by="refunds", reason="account_closed", **refund)  # type: ignore[arg-type]
    tape.tells("refund.released", "z", by="refunds", lines=share(100), **refund)  # type: ignore[arg-type]
    tape.issues(100)
    assert judge(tape.ends()).violations == []


def test_an_order_that_begins_before_the_recording_is_judged_by_its_answers_only() -> None:
    tape = whole_story()
    del tape.lines[:3]
    judged = judge(tape.ends())
    assert judged.partial == 1
    assert judged.violations == []


def test_a_line_of_the_file_reads_back_as_it_was() -> None:
    for entry in whole_story().ends():
        assert entry_of(entry.to_line()) == entry


def test_a_history_is_judged_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_bytes(b"".join(entry.to_line() for entry in whole_story().ends()))
    judged = judge_file(file)
    assert judged.ok
    assert judged.orders == 1


@pytest.mark.parametrize(
    "line",
    ["no json", "[]", '{"time": "now"}', '{"time":"2031-01-01T00:00:00","process":"a","op":"ok","type":"b"}'],
)
def test_a_file_that_is_no_history_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    file = tmp_path / "history.jsonl"
    file.write_text(line)
    with pytest.raises(Problem, match="line 1 is no entry of a history"):
        judge_file(file)


def test_what_happens_at_once_may_have_happened_in_any_order() -> None:
    """Six grants of one instant for a hundred units: the two that were denied came last."""
    tape = Tape().is_paid()
    at = BEGINS + timedelta(minutes=5)
    lines: list[Entry] = []
    for number in range(6):
        other = Tape().asks("issuance.requested", f"i{number}", request_id=f"r{number}", lines=share(25))
        if number in (0, 3):
            other.tells(
                "issuance.denied", f"i{number}", line_id="1", quantity=25, left=0, reason="nothing_left"
            )
        else:
            other.grants(25, f"i{number}")
            issued = {"grant_id": f"g-i{number}", "line_id": "1", "quantity": 25}
            other.tells("serials.issued", "g", by="serials", **issued)  # type: ignore[arg-type]
        for entry in other.lines:
            named = {name: getattr(entry, name) for name in Entry.__slots__}
            place = f"checkout.events/1/{number}" if entry.at else ""
            answer = f"answer-i{number}" if entry.answer else ""
            unique = {"id": f"{entry.id}-{number}"} if entry.op == "info" else {}
            moment = {"time": at, "at": place, "answer": answer, "sequence": None}
            lines.append(Entry(**{**named, **moment, **unique}))
    judged = judge([*tape.lines, *lines, *Tape().ends()])
    assert judged.violations == []


# -- what operators decide over HTTP ------------------------------------------------------------------------


def paid_again() -> Tape:
    """The order has money that it does not need."""
    tape = Tape().is_paid().pays("pay-again", "pay-2")
    return tape.opens_case("pay-again", "pay-2", 176_000, "second_payment")


def ended(tape: Tape, decision: str, cause: str) -> Tape:
    told = {"payment_id": "pay-2", "amount": 176_000, "reason": "second_payment"}
    return tape.tells("quarantine.settled", cause, decision=decision, **told)


def test_a_case_that_an_operator_decided_has_its_end_explained() -> None:
    tape = paid_again().decides("quarantine.decide", "c-1", payment_id="pay-2", decision="returned")
    assert judge(ended(tape, "returned", "c-1").ends()).violations == []


def test_a_case_that_ends_otherwise_than_it_was_decided_is_found() -> None:
    tape = paid_again().decides("quarantine.decide", "c-1", payment_id="pay-2", decision="kept")
    assert rules(judge(ended(tape, "returned", "c-1").ends())) == {"cases_end_as_decided"}


def test_a_case_that_nobody_decided_is_found() -> None:
    assert rules(judge(ended(paid_again(), "returned", "c-1").ends())) == {"caused", "cases_end_as_decided"}


def waiting_request(**data: Any) -> Tape:
    """A request to issue that comes before its order, and is cancelled."""
    tape = Tape().asks("issuance.requested", "early", request_id="r-1", **data)
    return tape.decides("request.cancel", "c-1", event_id="early")


def test_a_request_that_was_cancelled_is_denied_and_takes_nothing_of_the_order_that_comes() -> None:
    tape = waiting_request(lines=share(60))
    tape.tells("issuance.denied", "c-1", line_id="1", quantity=60, left=0, reason="cancelled_by_operator")
    assert judge(tape.is_paid().issues(100).ends()).violations == []


def test_a_request_for_everything_that_was_cancelled_is_denied_without_a_line() -> None:
    tape = waiting_request()
    tape.tells("issuance.denied", "c-1", left=0, reason="cancelled_by_operator")
    assert judge(tape.is_paid().ends()).violations == []


def test_a_denial_that_nobody_asked_for_is_found() -> None:
    tape = Tape().asks("issuance.requested", "iss", request_id="r-1", lines=share(60))
    tape.tells("issuance.denied", "c-1", line_id="1", quantity=60, left=0, reason="cancelled_by_operator")
    assert "caused" in rules(judge(tape.ends()))


def test_a_refund_request_that_was_cancelled_ends_rejected() -> None:
    tape = Tape().asks("refund.requested", "ref", refund_request_id="rr-1", lines=share(40))
    tape.decides("request.cancel", "c-1", event_id="ref")
    told = {"refund_id": "r-1", "refund_request_id": "rr-1", "reason": "cancelled_by_operator"}
    tape.tells("refund.rejected", "c-1", by="refunds", **told)
    assert judge(tape.is_paid().ends()).violations == []


def test_what_an_operator_sent_right_is_a_request_of_the_history() -> None:
    """The recorder makes it of the refused record and of what the audit log says was changed."""
    tape = Tape().is_paid()
    tape.asks("issuance.requested", "iss", answer="out_of_range", request_id="r", lines=share(-60))
    refused = tape.lines[-2]
    made = sent_right(
        {
            **dict(zip(("topic", "partition", "offset"), refused.at.split("/"), strict=True)),
            "closed_at": tape.now,
            "before": orjson.dumps({"data": {"/lines/0/quantity": -60}}),
            "after": orjson.dumps(
                {
                    "event": {
                        "id": "edited-1",
                        "source": "/pawl/orders/edited",
                        "type": "issuance.requested.v1",
                        "key": "A-1",
                    },
                    "data": {"/lines/0/quantity": 60},
                }
            ),
        },
        record_of({"order_id": "A-1", "request_id": "r", "lines": share(-60)}),
    )
    tape.lines.append(made)
    tape.lines.append(
        replace(
            tape.lines[-2],
            op="ok",
            code="",
            id=made.id,
            source=made.source,
            time=tape.now,
            answer="answer-of-edit",
        )
    )
    tape.tells("issuance.granted", "edited-1", event_id="g", grant_id="g", line_id="1", quantity=60)
    tape.tells("serials.issued", "g", by="serials", grant_id="g", line_id="1", quantity=60)

    assert (made.process, made.op, made.data["lines"]) == ("operator", "invoke", share(60))
    assert judge(tape.ends()).violations == []
    unexplained = [line for line in tape.lines if line is not made]
    assert "caused" in rules(judge([*unexplained, tape.ends()[-1]]))


def record_of(data: dict[str, Any]) -> SimpleNamespace:
    """A record of checkout as a consumer gives it."""
    headers = write_headers(
        id="iss", source="https://checkout.example", type="issuance.requested.v1", subject="A-1", time=BEGINS
    )
    return SimpleNamespace(
        topic="checkout.events", partition=0, offset=2, key=b"A-1", headers=headers, value=orjson.dumps(data)
    )
