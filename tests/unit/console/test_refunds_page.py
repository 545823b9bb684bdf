"""*Refunds* in the console: what waits, what a decision would change, and the decision."""

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.requests import Request
from starlette.responses import Response

from console.people import Role
from console.reading import Reader
from console.screens import refunds
from ops.shell.problem import Problem
from ops.shell.system import System
from shared.clock import now
from shared.operators.todo import Thresholds
from tests.support.console_pages import PreparedServices, request_of, text_of, visit_of

REFUND_ID = "0199a0b0-0000-7000-8000-000000000077"
ONE = f"/v1/refunds/{REFUND_ID}"


def page_of(**asked: str) -> str:
    """The path of the first refunds of a list."""
    return f"/v1/refunds?{urlencode({'limit': refunds.MOST, **asked})}"


WAITING, FILE = page_of(waiting="true"), "/v1/refunds?limit=1000&waiting=true"


def lists() -> dict[str, Any]:
    """How many refunds wait: 5,000 that failed, one that is held and one that is overdue."""
    since = "2026-11-20T10:00:00+09:00"
    return {
        "items": [
            {"name": "waiting", "count": 5_002, "won": 27_500, "since": since},
            {"name": "overdue", "count": 1, "won": 27_500, "since": since},
            {"name": "held", "count": 1, "won": None, "since": since},
            {"name": "failed", "count": 5_000, "won": None, "since": since},
            {"name": "bounced", "count": 0, "won": None, "since": None},
        ]
    }


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


class WatchedReader(Reader):
    """Knows the mark of what is watched, and reads nothing."""

    def __init__(self) -> None:
        super().__init__(System(directory=Path()), Thresholds())

    async def watched(self, of: str) -> str:
        return f"of={of}&mark=1"


async def shown(asked: PreparedServices, request: Request) -> Response:
    """The list, as a viewer sees it."""
    return await refunds.show(WatchedReader(), asked, request, visit_of("viewer"))


def services(**answers: Any) -> PreparedServices:
    return PreparedServices(
        System(directory=None),
        lambda person, scope: "",
        {
            refunds.LISTS: lists(),
            WAITING: {"items": [refund()], "next": None},
            FILE: {"items": [refund()], "next": None},
            ONE: refund(),
            **answers,
        },
    )


def reader() -> Reader:
    return Reader(System(directory=None), Thresholds())  # type: ignore[arg-type]


async def test_what_waits_stands_in_a_table_that_leads_to_each_of_it() -> None:
    asked = services()

    html = text_of(await shown(asked, request_of("/refunds")))
    assert 'data-watched="of=refunds&amp;mark=1"' in html

    assert f'href="/refund?id={REFUND_ID}">rr-77</a>' in html
    assert "₩27,500" in html
    assert "late" in html
    assert {(each.who, each.scope) for each in asked.asked} == {("demo:viewer", "refunds:read")}


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

    answer = await refunds.show(
        WatchedReader(), asked, request_of("/refunds", format="csv"), visit_of("viewer")
    )

    head, row = text_of(answer).splitlines()
    assert head.startswith("\ufeffrefund_request_id,order_id,state")
    assert row.startswith("rr-77,A-1001,failed,account_closed,27500,2026-11-20T10:00:00")


def preview(**changed: Any) -> dict[str, Any]:
    """What a refund of A-1001 would give."""
    return {
        "order_id": "A-1001",
        "partner_id": "P-17",
        "at": "2026-11-30T18:00:00+09:00",
        "lines": [
            {
                "line_id": "<b>1</b>",
                "kind": "serials",
                "paid": 100,
                "open": 40,
                "refundable": 40,
                "amount": 70_400,
                "reason": None,
                "hold": None,
                "unlock": None,
                "since": None,
            }
        ],
        "units": 40,
        "given_up": [],
        "supply": 64_000,
        "vat": 6_400,
        "fee": 0,
        "amount": 70_400,
        "reason": None,
        "since": None,
        "holds": [],
        "unlock": None,
        "stores": [],
        "last_instant": None,
        "destination": {"kind": "bank_account", "needs_account": True},
        "expected_on": "2026-12-03",
        "expected_until": "2026-12-03",
        "legal_on": "2026-12-04",
        "tax_documents": {
            "effect": "modified",
            "text": "a modified tax invoice is issued",
            "text_ko": "수정세금계산서를 발행합니다",
            "documents": [
                {
                    "modification": "contract_cancelled",
                    "modification_ko": "계약의 해제",
                    "original_document_key": "2026-11/P-17/1",
                    "supply": -64_000,
                    "vat": -6_400,
                    "total": -70_400,
                    "written_date": "2026-12-03",
                    "issue_by": "2027-01-11",
                }
            ],
        },
        **changed,
    }


ELIGIBILITY = "/v1/orders/A-1001/refund-eligibility"
REQUEST = {
    "order": "A-1001",
    "key": "console-1",
    "reason": "financial_burden",
    "message": "by phone",
    "bank_code": "088",
    "account_number": "110-234-567890",
    "holder": "가나다",
}


async def test_each_list_says_how_many_how_much_and_how_old() -> None:
    held = refund(refund_id="0199a0b0-0000-7000-8000-000000000078", state="held", amount=None, late=None)
    asked = services(**{page_of(state="held"): {"items": [held], "next": None}})

    html = text_of(await shown(asked, request_of("/refunds", tab="held")))

    waiting, *_, empty = refunds.tabs_of(lists()["items"], now())
    assert (waiting.number, waiting.won) == (5_002, 27_500)
    assert waiting.oldest is not None
    assert (empty.name, empty.number, empty.won, empty.oldest) == ("bounced", 0, None, None)
    assert 'href="/refunds?tab=overdue"' in html
    assert "<b>5,002</b>" in html
    assert "000000000078" in html


@pytest.mark.parametrize(
    ("tab", "asked_for"),
    [("", {"waiting": "true"}), ("overdue", {"overdue": "true"}), ("failed", {"state": "failed"})],
)
async def test_a_page_reads_the_first_of_its_list_and_says_that_there_are_more(
    tab: str, asked_for: dict[str, str]
) -> None:
    path = page_of(**asked_for)
    asked = services(**{path: {"items": [refund()], "next": "c-1"}})

    html = text_of(await shown(asked, request_of("/refunds", tab=tab)))

    assert [each.path for each in asked.asked] == [refunds.LISTS, path]
    assert "there are more" in html


async def test_a_file_has_all_pages_of_a_list() -> None:
    more = f"{FILE}&cursor=c-1"
    asked = services(
        **{FILE: {"items": [refund()], "next": "c-1"}, more: {"items": [refund()], "next": None}}
    )

    file = text_of(await shown(asked, request_of("/refunds", format="csv")))

    assert [each.path for each in asked.asked] == [refunds.LISTS, FILE, more]
    assert file.count("rr-77") == 2


async def test_what_a_review_would_give_stands_beside_it_with_its_documents() -> None:
    held = refund(state="in_review", why="used", everything=True, decisions=["approve", "reject"])
    asked = services(**{ONE: held, ELIGIBILITY: preview()})

    html = text_of(await refunds.show_one(asked, request_of("/refund", id=REFUND_ID), visit_of("operator")))

    assert "a modified tax invoice is issued" in html
    assert "2026-11/P-17/1" in html
    assert 'value="approve"' in html


async def test_nobody_approves_alone_what_two_people_have_to_approve() -> None:
    step = {"state": "in_review", "at": "2026-11-20T10:00:00+09:00", "reason": "second_approval"}
    steps = [{**step, "actor": "demo:operator", "note": None}]
    held = refund(state="in_review", why="second_approval", decisions=["approve", "reject"], steps=steps)

    for role, may_approve in (("operator", False), ("admin", True)):
        html = text_of(
            await refunds.show_one(
                services(**{ONE: held}), request_of("/refund", id=REFUND_ID), visit_of(role)
            )  # type: ignore[arg-type]
        )
        assert ('value="approve"' in html) == may_approve
        assert "demo:operator approved it first" in html
        assert ("That is you." in html) != may_approve


async def test_what_people_wrote_is_masked_until_it_is_asked_for() -> None:
    step = {"state": "in_review", "at": "2026-11-20T10:00:00+09:00", "reason": "proof", "actor": "P-17"}
    held = refund(steps=[{**step, "note": "call kim@shop.example, 110-234-567890"}])
    asked = services(**{ONE: held, "/v1/ops/reveals": {}})
    shows = request_of("/refund", id=REFUND_ID)

    html = text_of(await refunds.show_one(asked, shows, visit_of("operator")))
    assert "kim@shop" not in html
    assert "567890" not in html
    assert "proof" in html

    form = {"id": REFUND_ID, "reason": "the shop calls"}
    html = text_of(await refunds.show_hidden(asked, shows, visit_of("operator"), form))

    assert "kim@shop.example, 110-234-567890" in html
    told = next(each for each in asked.asked if each.path == "/v1/ops/reveals")
    assert (told.scope, told.body) == ("evidence:read", {"target": "rr-77", "reason": "the shop calls"})


async def test_without_the_audit_row_nothing_is_shown() -> None:
    with pytest.raises(Problem):
        await refunds.show_hidden(
            services(), request_of("/refund"), visit_of("operator"), {"id": REFUND_ID, "reason": "why"}
        )


async def test_an_order_is_checked_and_units_of_it_are_reckoned() -> None:
    asked = services(**{ELIGIBILITY: preview(), "/v1/refund-previews": preview(units=5, amount=8_800)})

    whole = text_of(
        await refunds.check(asked, request_of("/refund/check", order="A-1001"), visit_of("viewer"))
    )
    part = request_of("/refund/check", **{"order": "A-1001", "units 1": "5", "units 2": "", "units 3": "-1"})
    html = text_of(await refunds.check(asked, part, visit_of("operator")))

    assert "&lt;b&gt;1&lt;/b&gt;" in whole
    assert "/refund/request" not in whole
    assert "₩8,800" in html
    assert "/refund/request" in html
    assert asked.asked[-1].body == {"order_id": "A-1001", "lines": [{"line_id": "1", "quantity": 5}]}


async def test_a_refund_is_asked_for_once_and_its_account_is_shown_nowhere() -> None:
    answer = {"refund_id": REFUND_ID}
    asked = services(**{ELIGIBILITY: preview(), "/v1/refunds": answer})

    done = await refunds.request_refund(
        reader(), asked, request_of("/refund/request"), visit_of("operator"), REQUEST
    )

    told = asked.asked[-1]
    assert told.body is not None
    assert (told.body["refund_request_id"], told.body["role"]) == ("console-1", "operator")
    assert told.body["destination"]["account_number"] == "110-234-567890"
    assert done.headers["location"] == f"/refund?id={REFUND_ID}&done=requested"


@pytest.mark.parametrize("missing", ["message", "reason", "account_number"])
async def test_a_request_that_lacks_something_asks_for_nothing_and_keeps_no_account(missing: str) -> None:
    asked = services(**{ELIGIBILITY: preview()})

    answer = await refunds.request_refund(
        reader(), asked, request_of("/refund/request"), visit_of("operator"), {**REQUEST, missing: " "}
    )

    assert answer.status_code == 422
    assert "110-234-567890" not in text_of(answer)
    assert all(each.path != "/v1/refunds" for each in asked.asked)


async def test_a_role_that_decides_nothing_asks_for_nobody_else() -> None:
    with pytest.raises(Problem):
        await refunds.request_refund(
            reader(), services(), request_of("/refund/request"), visit_of("finance"), REQUEST
        )


HELD = refund(state="held", why="holder_mismatch", decisions=["proof", "reject", "withdraw"])
PROOF = {
    "id": REFUND_ID,
    "kind": "bankbook_copy",
    "reference": " s3://proofs/77 ",
    "reason": "by mail",
    "key": "k-2",
}


@pytest.mark.parametrize(
    ("role", "decisions", "has_form"),
    [
        ("operator", ["proof", "reject"], True),
        ("admin", ["proof", "reject"], True),
        ("operator", ["retry"], False),
        ("finance", ["proof", "reject"], False),
        ("viewer", ["proof", "reject"], False),
    ],
)
async def test_a_refund_that_takes_a_proof_has_a_form_for_whoever_may(
    role: Role, decisions: list[str], has_form: bool
) -> None:
    asked = services(**{ONE: {**HELD, "decisions": decisions}})

    html = text_of(await refunds.show_one(asked, request_of("/refund", id=REFUND_ID), visit_of(role)))

    assert ('action="/refund/proof"' in html) == has_form


async def test_a_proof_is_attached_by_its_person_with_the_key_of_its_form() -> None:
    asked = services(**{ONE: HELD, f"{ONE}/proofs": decided(decision="proof", applied=True)})

    answer = await refunds.attach_proof(
        reader(), asked, request_of("/refund/proof"), visit_of("operator"), PROOF
    )

    (told,) = asked.asked
    assert told.body == {
        "kind": "bankbook_copy",
        "reference": "s3://proofs/77",
        "reason": "by mail",
        "apply": True,
    }
    assert (told.who, told.key, told.scope) == ("demo:operator", "k-2", "refunds:request")
    assert answer.headers["location"] == f"/refund?id={REFUND_ID}&done=proof"


@pytest.mark.parametrize(
    "wrong",
    [
        {"reference": "  "},
        {"reference": "x" * 2_001},
        {"reference": "s3://a\0b"},
        {"reference": "line\nanother"},
        {"kind": "selfie"},
        {"kind": ""},
        {"reason": " "},
    ],
)
async def test_what_is_no_proof_is_not_attached_and_what_was_typed_stays(wrong: dict[str, str]) -> None:
    asked = services(**{ONE: HELD})
    form = {**PROOF, **wrong}

    answer = await refunds.attach_proof(
        reader(), asked, request_of("/refund/proof"), visit_of("operator"), form
    )

    assert answer.status_code == 422
    assert 'role="alert"' in text_of(answer)
    if "reason" not in wrong:
        assert "by mail" in text_of(answer)
    assert not any(each.path.endswith("/proofs") for each in asked.asked)


async def test_a_proof_that_the_service_refuses_is_given_back_with_what_it_says() -> None:
    html = text_of(
        await refunds.attach_proof(
            reader(), services(**{ONE: HELD}), request_of("/refund/proof"), visit_of("operator"), PROOF
        )
    )

    assert f"nothing at {ONE}/proofs" in html
    assert "s3://proofs/77" in html
