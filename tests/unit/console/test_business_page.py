"""*Business* in the console: who merges and why not, drift, four eyes, and the merge of a business."""

from typing import Any, get_args

import pytest

from console.reading import Reader, Unreadable
from console.screens import business as screen
from console.texts import ENGLISH, KOREAN
from ops.shell.problem import Problem
from ops.shell.system import System
from services.invoices.decisions.planning import OUTCOMES, What
from services.invoices.penalties import PenaltyKind
from services.invoices.state import DocumentState, SubmissionState
from services.invoices.viewing import BOARD
from shared.operators.todo import Thresholds
from tests.support.console_pages import PreparedServices, request_of, text_of, visit_of
from tests.unit.console.test_month_page import REFUND_ID, business

MONTH, NUMBER = "2011-03", "1168200276"
WON = {"supply": 160_000, "vat": 16_000, "total": 176_000}
NOTHING = {"supply": 0, "vat": 0, "total": 0}
UNLOCK = {"units": None, "refund_ids": [], "until": None, "command": None}
PLAN = {
    "partner_id": "P-17",
    "cut_off": "2011-04-05T18:00:00+09:00",
    "always_merge_at_cut_off": True,
    "businesses": [
        {
            "payments": [
                {
                    "payment_id": "pay-1",
                    "order_id": "A-1",
                    "paid_at": "2011-03-05T10:00:00+09:00",
                    **WON,
                    "reason": "merged",
                    "unlocks": [{**UNLOCK, "what": "undo"}],
                    "pending_refunds": [],
                },
                {
                    "payment_id": "pay-2",
                    "order_id": "A-2",
                    "paid_at": "2011-03-06T10:00:00+09:00",
                    **WON,
                    "reason": "open_refund",
                    "unlocks": [
                        {**UNLOCK, "what": "refund_ends", "refund_ids": [REFUND_ID]},
                        {**UNLOCK, "what": "issue_units", "units": 1_000},
                    ],
                    "pending_refunds": [{"refund_id": REFUND_ID, **WON}],
                },
            ],
            "totals": {name: {"merged": WON, "single": NOTHING} for name in OUTCOMES},
        }
    ],
}
DRIFT = {"changed": 1, "new": 0, "gone": 0, "approved_total": 352_000, "total": 300_000}
DRIFTED = {
    "invoice_id": "0199a0b0-0000-7000-8000-000000000001",
    "document_key": "2011-03-1168200276-000001",
    "what": "changed",
    "approved_total": 352_000,
    "total": 300_000,
    "events": [
        {"at": "2011-04-06T10:00:00+09:00", "type": "refund.completed.v1", "key": "A-1", "service": "refunds"}
    ],
}


class PreparedReader(Reader):
    """Reads what a test has prepared."""

    def __init__(self, drifted: Any) -> None:
        super().__init__(System(directory=None), Thresholds())  # type: ignore[arg-type]
        self._drifted = drifted

    async def drift(self, month: str, number: str) -> list[dict[str, Any]]:
        if isinstance(self._drifted, Exception):
            raise self._drifted
        return list(self._drifted)


def services(**changed: Any) -> PreparedServices:
    document = {
        "invoice_id": "x",
        "document_key": None,
        "state": "issue_failed",
        "kind": "payment",
        "modification": None,
        "late": False,
        "total": 176_000,
    }
    shown = {"command": None, "penalties": [], "days_left": 5, "transmitted": 0, "transmission_failed": 0}
    shown |= {"four_eyes": True, "with_agent": False}
    return PreparedServices(
        System(directory=None),  # type: ignore[arg-type]
        lambda person, scope: "token",
        {
            f"/v1/months/{MONTH}/businesses/{NUMBER}": business(**{**shown, **changed}),
            f"/v1/months/{MONTH}/plan?business={NUMBER}&limit=1000": {"items": [PLAN], "next": None},
            f"/v1/documents?month={MONTH}&business={NUMBER}&limit=1000": {"items": [document], "next": None},
            f"/v1/months/{MONTH}/merge": {"merged": [], "excluded": [], "applied": False, "undone": False},
        },
    )


async def page(role: Any, drifted: Any = (), language: Any = "en", **changed: Any) -> str:
    asked = request_of("/business", month=MONTH, number="116-82-00276")
    answer = await screen.show(PreparedReader(drifted), services(**changed), asked, visit_of(role, language))
    return text_of(answer)


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_each_payment_says_whether_it_merges_why_and_what_would_change_that(language: Any) -> None:
    html = await page("viewer", language=language)

    assert REFUND_ID in html
    assert "1,000" in html
    said = {"en": "issue the other 1,000 units", "ko": "나머지 1,000개 발급"}
    assert said[language] in html


async def test_what_stands_against_it_leads_to_where_it_is_mended() -> None:
    html = await page("viewer")

    assert f'href="/refund?id={REFUND_ID}"' in html
    assert 'href="/document?id=x"' in html


async def test_drift_names_the_documents_and_the_events_that_moved_them() -> None:
    html = await page("viewer", [DRIFTED], drift=DRIFT)

    assert "₩352,000 were approved, ₩300,000 it is now" in html
    assert "refund.completed.v1" in html
    assert 'href="/order?id=A-1"' in html


async def test_without_the_databases_the_page_is_there_and_says_what_is_missing() -> None:
    html = await page("viewer", Unreadable("nobody answers"), drift=DRIFT)

    assert "What changed it cannot be read now." in html
    assert "nobody answers" in html


async def test_whoever_approved_reads_that_somebody_else_issues_and_has_no_button() -> None:
    own, other = await page("finance"), await page("admin")

    assert "You approved this business" in own
    assert "action=issue" not in own
    assert "You approved this business" not in other
    assert "action=issue" in other


async def test_what_a_penalty_comes_to_is_said_with_its_kind() -> None:
    html = await page("viewer", penalties=[{"kind": "issued_late", "documents": 2, "won": 3_200}])

    assert "penalty for a late issue 2 · ₩3,200" in html


@pytest.mark.parametrize(
    ("state", "with_agent", "steps"),
    [
        ("collecting", False, ()),
        ("review", False, ("approve",)),
        ("approved", False, ("approve", "issue")),
        ("issue_failed", True, ("approve", "issue")),
        ("transmission_failed", True, ("issue",)),
        ("transmission_failed", False, ()),
        ("issued", False, ()),
        ("transmitted", False, ()),
    ],
)
def test_a_business_has_the_steps_that_its_state_leaves(
    state: str, with_agent: bool, steps: tuple[str, ...]
) -> None:
    assert screen.actions_of(state, with_agent=with_agent) == steps


async def test_a_merge_is_tried_without_a_reason_and_done_with_one() -> None:
    asked, form = services(), {"month": MONTH, "number": NUMBER}
    reader = PreparedReader(())

    await screen.try_merge(asked, request_of("/business"), visit_of("finance"), form)
    with pytest.raises(Problem):
        await screen.merge(reader, asked, request_of("/business"), visit_of("finance"), form)
    done = {**form, "reason": "they asked", "key": "k-1", "undo": "yes"}
    await screen.merge(reader, asked, request_of("/business"), visit_of("finance"), done)

    tried, told = asked.asked
    assert tried.body == {"business_number": NUMBER, "undo": False, "reason": "", "apply": False}
    assert told.body == {"business_number": NUMBER, "undo": True, "reason": "they asked", "apply": True}
    assert told.key == "k-1"


def test_every_code_that_a_page_names_has_its_words_in_both_languages() -> None:
    named = [
        *(f"stand {state}" for state in {*BOARD, *get_args(DocumentState)}),
        *(f"unlock {what}" for what in get_args(What)),
        *(f"outcome {name}" for name in OUTCOMES),
        *(f"penalty {kind}" for kind in get_args(PenaltyKind)),
        *(f"agent {state}" for state in get_args(SubmissionState)),
    ]

    assert [name for name in named if name not in ENGLISH or name not in KOREAN] == []
