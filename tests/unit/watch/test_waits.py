"""What an order is said to wait for."""

from datetime import UTC, date, datetime, timedelta

import pytest

from ops.watch.story.model import Case, Dead, Event, Grant, Invoice, Line, Parked, Refund, Story
from ops.watch.story.timeline import elapsed, words
from ops.watch.story.waits import waits_of

NOW = datetime(2026, 10, 21, 5, 3, 7, tzinfo=UTC)


def waits_for(story: Story) -> list[str]:
    """As a person reads it."""
    return [str(wait) for wait in waits_of(story)]


def paid_story() -> Story:
    return Story(
        "A-1",
        partner_id="P-17",
        state="paid",
        payment_id="pay-1",
        amount=176_000,
        know_payment={"refunds", "invoices"},
        lines=[Line("1", "serials", "a voucher", 100, 0, 100, 0, 0)],
    )


def refund(state: str, reason: str = "financial_burden", amount: int = 70_400) -> Refund:
    return Refund("r-1", "rr-77", state, reason, amount, date(2026, 10, 27))


def dead_letter(row: int, topic: str, state: str) -> Dead:
    return Dead(
        "invoices", row, "out_of_range", "/lines/0", "too many", topic, "order.paid.v1", "e", state, NOW
    )


def test_a_wrong_document_is_checkouts_to_mend() -> None:
    story = paid_story()
    story.dead = [dead_letter(7, "checkout.events", "open")]
    (sentence,) = waits_for(story)
    assert sentence.startswith("checkout to send it right: invoices refused order.paid.v1 e, out_of_range")


def test_a_finished_order_waits_for_nothing() -> None:
    assert waits_for(paid_story()) == []


def test_a_pending_order_waits_for_its_deposit() -> None:
    story = Story("A-1", state="pending_deposit", deposit_deadline=NOW)
    assert waits_for(story) == ["the deposit, until 2026-10-21T14:03:07+09:00"]


def test_issuing_units_wait_for_serials() -> None:
    story = paid_story()
    story.lines = [Line("1", "serials", "a voucher", 100, 100, 0, 0, 0)]
    story.grants = [Grant("g", "1", 100, 40, "issuing", [])]
    assert waits_for(story) == ["serials to issue 100 units of line 1, 40 are done"]


def test_open_units_wait_for_the_partner() -> None:
    story = paid_story()
    story.lines = [Line("1", "serials", "a voucher", 100, 0, 60, 0, 0)]
    assert waits_for(story) == ["the partner to ask for its 40 open units of line 1"]


def test_open_units_of_other_kinds_wait_for_nobody() -> None:
    story = paid_story()
    story.lines = [Line("1", "goods", "postage", 1, 0, 0, 0, 0)]
    assert waits_for(story) == []


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("accepted", "orders to grant refund rr-77"),
        ("paying_out", "checkout to pay out refund rr-77 of 70,400 won, expected on 2026-10-27"),
        ("held", "a proof for refund rr-77: financial_burden; pawl refund proof r-1"),
        ("in_review", "an operator to review refund rr-77; pawl refund approve r-1"),
        (
            "failed",
            (
                "an operator to retry or release refund rr-77 of 70,400 won: financial_burden;"
                " pawl refund retry r-1"
            ),
        ),
        (
            "unknown",
            (
                "checkout to say whether refund rr-77 of 70,400 won was paid out, after a retry;"
                " pawl refund retry r-1"
            ),
        ),
        (
            "bounced",
            (
                "an operator to retry refund rr-77 of 70,400 won, which came back: financial_burden;"
                " pawl refund retry r-1"
            ),
        ),
        ("repaying", "checkout to pay out again refund rr-77 of 70,400 won, expected on 2026-10-27"),
    ],
)
def test_a_refund_says_who_is_next(state: str, expected: str) -> None:
    story = paid_story()
    story.refunds = [refund(state)]
    assert waits_for(story) == [expected]


@pytest.mark.parametrize(
    ("state", "reason", "expected"),
    [
        ("held", "return_awaited", "the goods of refund rr-77 to come back; pawl refund show r-1"),
        (
            "held",
            "holder_check",
            "the bank to say whose the account of refund rr-77 is; pawl refund show r-1",
        ),
        (
            "in_review",
            "second_approval",
            "somebody else to approve refund rr-77 too; pawl refund approve r-1",
        ),
    ],
)
def test_a_wait_says_whom_it_is_for(state: str, reason: str, expected: str) -> None:
    story = paid_story()
    story.refunds = [refund(state, reason)]
    assert waits_for(story) == [expected]


@pytest.mark.parametrize("state", ["completed", "rejected", "denied", "released"])
def test_a_refund_that_is_over_waits_for_nobody(state: str) -> None:
    story = paid_story()
    story.refunds = [refund(state)]
    assert waits_for(story) == []


def test_a_draft_waits_for_the_close_of_its_month() -> None:
    story = paid_story()
    story.invoices = [Invoice("i", "payment", None, "2026-12", "draft", 176_000)]
    assert waits_for(story) == ["the close of 2026-12, from 2027-01-01 on; pawl month 2026-12"]


def test_an_invoice_that_failed_waits_for_the_partner_to_be_corrected() -> None:
    story = paid_story()
    story.invoices = [Invoice("i", "payment", None, "2026-10", "issue_failed", 176_000)]
    assert waits_for(story) == [
        "a valid business number of P-17, to issue its invoice of 2026-10; pawl partner correct P-17"
    ]


def test_an_invoice_that_the_tax_agent_refused_says_why() -> None:
    story = paid_story()
    story.invoices = [Invoice("i", "payment", None, "2026-10", "issue_failed", 176_000, "business_closed")]
    assert waits_for(story) == [
        (
            "its invoice of 2026-10, which the tax agent refused: business closed; "
            "pawl todo --code document_refused"
        )
    ]


def test_an_invoice_about_which_the_tax_agent_says_what_cannot_be_says_so() -> None:
    story = paid_story()
    invoice = Invoice("i", "payment", "K", "2026-10", "approved", 176_000, doubted="wrong_approval_number")
    story.invoices = [invoice]
    assert waits_for(story) == [
        (
            "the right answer about its invoice of 2026-10, of which the tax agent says what cannot be: "
            "wrong approval number; pawl todo --code document_answer_doubted"
        )
    ]


@pytest.mark.parametrize(
    ("kind", "type_name", "command"),
    [
        ("waiting", "issuance.requested.v1", "pawl order cancel-request A-1 evt-2"),
        ("waiting", "payment.cancelled.v1", "pawl dead show orders:p5"),
        ("behind", "issuance.requested.v1", "pawl dead show orders:p5"),
    ],
)
def test_a_parked_event_names_its_reason_and_the_command(kind: str, type_name: str, command: str) -> None:
    story = Story("A-1")
    story.parked = [Parked("orders", 5, kind, "order A-1 to be paid", type_name, "evt-2", NOW, False)]
    (sentence,) = waits_for(story)
    assert sentence.startswith(f"order A-1 to be paid: {type_name} evt-2 is parked in orders")
    assert sentence.endswith(f"; {command}")


def test_a_blocked_event_and_an_open_dead_letter_wait_for_an_operator() -> None:
    story = paid_story()
    story.parked = [Parked("invoices", 1, "blocked", "KeyError: 'x'", "refund.completed.v1", "e", NOW, True)]
    story.dead = [
        dead_letter(7, "orders.events", "open"),
        dead_letter(8, "orders.events", "replayed"),
    ]
    sentences = waits_for(story)
    assert [sentence.partition(":")[0] for sentence in sentences] == ["an operator"] * 2
    assert sentences[1].endswith("pawl dead show invoices:7")


def test_money_in_quarantine_waits_for_a_decision() -> None:
    story = paid_story()
    story.cases = [Case("pay-2", "second_payment", 176_000)]
    assert waits_for(story) == [
        (
            "a decision about 176,000 won in quarantine: second_payment (payment pay-2);"
            " pawl quarantine show pay-2"
        )
    ]


def test_events_that_are_not_published_wait_for_the_relay() -> None:
    story = paid_story()
    story.know_payment = {"refunds"}
    story.events = [Event("2026-10-21T14:03:07+09:00", "orders", "orders.events", "order.paid.v1", "e", NOW)]
    story.events[0].published = False
    assert waits_for(story) == [
        "the relay of orders to publish its events; pawl lag",
        "invoices to read the payment; pawl lag",
    ]


def test_a_merged_document_of_others_is_not_this_orders_money() -> None:
    story = paid_story()
    story.invoice_id, story.standing = "m", 176_000
    story.invoices = [Invoice("m", "merged", "2026-10-1168200276-000001", "2026-10", "issued", 281_600)]
    assert story.invoiced_won == 176_000


@pytest.mark.parametrize(
    ("delta", "expected"),
    [
        (timedelta(milliseconds=38), "+38ms"),
        (timedelta(seconds=4.25), "+4.2s"),
        (timedelta(minutes=1, seconds=12), "+1m12s"),
        (timedelta(hours=3, minutes=5), "+3h05m"),
        (timedelta(days=2, hours=4), "+2d04h"),
    ],
)
def test_a_wait_is_told_in_the_unit_that_matters(delta: timedelta, expected: str) -> None:
    assert elapsed(delta) == expected


def test_a_type_is_told_in_words() -> None:
    assert words("refund.payout_requested.v1") == "refund payout requested"


def test_a_refund_that_came_back_is_refunded_and_owed() -> None:
    for state in ("completed", "bounced", "repaying"):
        story = paid_story()
        story.refunds = [refund(state)]
        assert story.refunded_won == 70_400
