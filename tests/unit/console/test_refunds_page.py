"""*Refunds* in the console: what waits, what a decision would change, and the decision."""

from typing import Any

import pytest

from console.reading import Reader
from console.screens import refunds
from ops.shell.problem import Problem
from ops.shell.system import System
from shared.operators.todo import Thresholds
from tests.support.console_pages import PreparedServices, request_of, text_of, visit_of

REFUND_ID = "0199a0b0-0000-7000-8000-000000000077"
ONE = f"/v1/refunds/{REFUND_ID}"
WAITING = "/v1/refunds?limit=1000&waiting=true"


def refund(**changed: Any) -> dict[str, Any]:
    """A refund whose payout failed."""
    return {
        "refund_id": REFUND_ID,
        "refund_request_id": "rr-77",
        "order_id": "A-1001",
        "partner_id": "P-17",
        "state": "failed",
        "why": "account_closed",
        "why_text": "the account is closed",
        "why_text_ko": "해지된 계좌입니다",
        "since": "2026-11-20T10:00:00+09:00",
        "next": "retry",
        "who": "operator",
        "what_to_do": "retry or release it",
        "what_to_do_ko": "다시 지급하거나 포기하세요",
        "deadline": None,
        "overdue": False,
        "proof": None,
        "stores": [],
        "reason": "financial_burden",
        "requested_by": "buyer",
        "requested_at": "2026-11-19T10:00:00+09:00",
        "everything": False,
        "destination_kind": "bank_account",
        "destination_masked": "088 ****4321",
        "supply": 25_000,
        "vat": 2_500,
        "fee": 0,
        "amount": 27_500,
        "expected_on": "2026-11-23",
        "expected_until": "2026-11-23",
        "legal_on": "2026-11-24",
        "late": {"days": 6, "interest": 68},
        "completed_at": None,
        "lines": [{"line_id": "1", "quantity": 10}],
        "payouts": [],
        "steps": [
            {
                "state": "failed",
                "at": "2026-11-20T10:00:00+09:00",
                "reason": "payout_failed",
                "actor": None,
                "note": None,
            }
        ],
        "decisions": ["retry", "release"],
        **changed,
    }


def decided(**changed: Any) -> dict[str, Any]:
    """What a retry would change."""
    return {
        "refund_id": REFUND_ID,
        "refund_request_id": "rr-77",
        "order_id": "A-1001",
        "decision": "retry",
        "applied": False,
        "before": {"state": "failed", "why": "account_closed", "won": 27_500},
        "after": {"state": "paying_out", "why": None, "won": 27_500},
        "events": [{"type": "refund.payout_requested.v1", "key": "A-1001", "data": {}}],
        **changed,
    }


def services(**answers: Any) -> PreparedServices:
    return PreparedServices(
        System(directory=None),
        lambda person, scope: "",
        {WAITING: {"items": [refund()], "next": None}, ONE: refund(), **answers},  # type: ignore[arg-type]
    )


def reader() -> Reader:
    return Reader(System(directory=None), Thresholds())  # type: ignore[arg-type]


async def test_what_waits_stands_in_a_table_that_leads_to_each_of_it() -> None:
    asked = services()

    html = text_of(await refunds.show(asked, request_of("/refunds"), visit_of("viewer")))

    assert f'href="/refund?id={REFUND_ID}">rr-77</a>' in html
    assert "₩27,500" in html
    assert "late" in html
    assert [(each.who, each.scope) for each in asked.asked] == [("demo:viewer", "refunds:read")]


async def test_nobody_sees_an_account_by_looking() -> None:
    for role in ("viewer", "admin"):
        html = text_of(
            await refunds.show_one(services(), request_of("/refund", id=REFUND_ID), visit_of(role))
        )  # type: ignore[arg-type]
        assert "4321" not in html


async def test_a_viewer_has_no_button() -> None:
    html = text_of(
        await refunds.show_one(services(), request_of("/refund", id=REFUND_ID), visit_of("viewer"))
    )

    assert "/refund/decision" not in html
    assert "Your role looks, and changes nothing." in html


async def test_an_operator_is_shown_first_what_a_decision_would_change() -> None:
    asked = services(**{f"{ONE}/retry": decided()})
    asks = request_of("/refund/decision", id=REFUND_ID, decision="retry")

    html = text_of(await refunds.try_decision(asked, asks, visit_of("operator")))

    assert asked.asked[0].body == {"reason": "only shown", "apply": False}
    assert "paying out" in html
    assert "refund.payout_requested.v1" in html
    assert 'action="/refund/decide"' in html


async def test_a_decision_is_made_with_its_reason_and_the_key_of_its_form() -> None:
    asked = services(**{f"{ONE}/retry": decided(applied=True)})
    form = {"id": REFUND_ID, "decision": "retry", "reason": " the account is open again ", "key": "k-1"}

    answer = await refunds.decide(reader(), asked, request_of("/refund"), visit_of("operator"), form)

    (told,) = asked.asked
    assert told.body == {"reason": "the account is open again", "apply": True}
    assert (told.who, told.key, told.scope) == ("demo:operator", "k-1", "refunds:manage")
    assert answer.headers["location"] == f"/refund?id={REFUND_ID}&done=decided"


@pytest.mark.parametrize(
    "form",
    [
        {"id": REFUND_ID, "decision": "retry", "reason": "  "},
        {"id": REFUND_ID, "decision": "proof", "reason": "why"},
        {"id": "../months/2011-03", "decision": "retry", "reason": "why"},
    ],
)
async def test_without_a_reason_a_decision_and_an_id_nothing_is_asked(form: dict[str, str]) -> None:
    asked = services()

    with pytest.raises(Problem):
        await refunds.decide(reader(), asked, request_of("/refund"), visit_of("operator"), form)
    assert not asked.asked


async def test_in_korean_the_page_says_what_to_do_in_korean() -> None:
    html = text_of(
        await refunds.show_one(services(), request_of("/refund", id=REFUND_ID), visit_of("operator", "ko"))
    )

    assert "다시 지급하거나 포기하세요" in html
    assert "해지된 계좌입니다" in html


async def test_what_a_buyer_wrote_is_text_and_no_markup() -> None:
    name = "<img src=x onerror=alert(1)>\u202eأهلا 🙂" + "가" * 200
    asked = services(**{ONE: refund(refund_request_id=name)})

    html = text_of(await refunds.show_one(asked, request_of("/refund", id=REFUND_ID), visit_of("viewer")))

    assert "<img src=x" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html


async def test_the_same_rows_are_there_as_csv() -> None:
    asked = services()

    answer = await refunds.show(asked, request_of("/refunds", format="csv"), visit_of("viewer"))

    head, row = text_of(answer).splitlines()
    assert head.startswith("\ufeffrefund_request_id,order_id,state")
    assert row.startswith("rr-77,A-1001,failed,account_closed,27500,2026-11-20T10:00:00")
