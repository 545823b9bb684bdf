"""`pawl refund check`, `request`, `ls` and `review`: what is asked of the service, shown, and how it ends."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ops.cli import app
from ops.shell.problem import Exit, Problem
from ops.watch.decide.answers import Asker

REFUND = "0199f0c0-7d4a-7c11-9a51-2f6f3f3c1a01"
PLAIN = "110123456789"
STEP = {"next": "ask_for_less", "who": "partner", "what_to_do": "ask for the units that are left"}
NOTHING = {"next": None, "who": None, "what_to_do": None, "what_to_do_ko": None}


def preview(units: int = 40, **changes: Any) -> dict[str, Any]:
    won = 1_760 * units
    line = {
        "line_id": "1",
        "paid": 100,
        "refundable": units,
        "amount": won,
        "hold": None,
        "reason": None,
        "since": None,
        "unlock": None,
    }
    modified = {
        "modification": "supply_value_changed",
        "original_document_key": "2026-10-1168200276-000001",
        "total": -won,
        "written_date": "2026-11-12",
        "issue_by": "2026-12-10",
    }
    return {
        "order_id": "A-1001",
        "units": units,
        "supply": 1_600 * units,
        "vat": 160 * units,
        "fee": 0,
        "amount": won,
        "reason": None,
        "since": None,
        "holds": [],
        "unlock": None,
        "stores": [],
        "last_instant": None,
        "given_up": [],
        "destination": {"kind": "bank_account", "needs_account": True},
        "expected_on": "2026-11-12",
        "expected_until": "2026-11-12",
        "legal_on": "2026-11-12",
        "lines": [line],
        "tax_documents": {"text": "a modified tax invoice is issued", "documents": [modified]},
        **changes,
    }


def refused() -> dict[str, Any]:
    why = {"code": "more_than_paid", "text": "more units than were paid", "text_ko": ""}
    nothing = preview(0, reason=why, unlock=STEP)
    nothing["lines"][0] |= {"reason": why, "unlock": STEP}
    nothing["tax_documents"] = {"text": "", "documents": []}
    return nothing


def requested(state: str = "accepted", **changes: Any) -> dict[str, Any]:
    return {
        "refund_id": REFUND,
        "refund_request_id": "rr-77",
        "order_id": "A-1001",
        "state": state,
        "why": None,
        "why_text": None,
        **NOTHING,
        "stores": [],
        "events": [],
        **changes,
    }


class Service:
    """What the service is asked, and what it answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.answers: dict[str, Any] = {}

    def __call__(self, scope: str, path: str, body: Any = None) -> Any:
        self.asked.append((scope, path, body))
        return self.answers[path.partition("?")[0]]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setenv("PAWL_POSTGRES", "postgresql://nobody@127.0.0.1:1/nothing")
    monkeypatch.setenv("PAWL_KAFKA", "127.0.0.1:1")
    fake = Service()
    monkeypatch.setattr(Asker, "ask", lambda self, of, scope, path, body, then: fake(scope, path, body))
    monkeypatch.setattr(Asker, "look", lambda self, of, scope, path, then="": fake(scope, path))
    return fake


def run(*words: str, stdin: str | None = None) -> Any:
    return CliRunner().invoke(app, ["refund", *words], input=stdin)


def test_what_can_be_refunded_is_shown_with_its_days_and_its_documents(service: Service) -> None:
    service.answers["/v1/orders/A%2F1/refund-eligibility"] = preview()

    shown = run("check", "A/1")

    assert shown.exit_code == Exit.OK, shown.output
    assert service.asked == [("refunds:read", "/v1/orders/A%2F1/refund-eligibility", None)]
    assert "40 units, ₩70,400" in shown.output
    assert "by law until 2026-11-12" in shown.output
    assert "supply value changed, ₩-70,400, written 2026-11-12, until 2026-12-10" in shown.output


def test_units_of_lines_are_a_preview(service: Service) -> None:
    service.answers["/v1/refund-previews"] = preview()

    run("check", "A-1001", "--line", "1=40", "--line", "2=x=3")

    lines = [{"line_id": "1", "quantity": 40}, {"line_id": "2=x", "quantity": 3}]
    assert service.asked[0][2] == {"order_id": "A-1001", "lines": lines}


def test_what_cannot_be_refunded_says_why_and_what_would_help(service: Service) -> None:
    service.answers["/v1/orders/A-1001/refund-eligibility"] = refused()

    shown, document = run("check", "A-1001"), run("check", "A-1001", "--json")

    assert (shown.exit_code, document.exit_code) == (Exit.SOMETHING_WAITS, Exit.SOMETHING_WAITS)
    assert "more_than_paid: more units than were paid" in shown.output
    assert "partner: ask for the units that are left" in shown.output
    assert json.loads(document.stdout)["units"] == 0


def test_a_line_without_units_is_a_usage_error(service: Service) -> None:
    wrong = run("check", "A-1001", "--line", "1").exception

    assert isinstance(wrong, Problem)
    assert wrong.exit_code is Exit.USAGE
    assert service.asked == []


ASK = ("request", "A-1001", "--reason", "financial_burden", "--message", "by phone")


def test_an_app_store_payment_is_sent_to_its_store(service: Service) -> None:
    stores = [{"store": "ONE store", "link": "https://m.onestore.co.kr"}]
    service.answers["/v1/orders/A-1001/refund-eligibility"] = {**refused(), "stores": stores}

    shown = run("check", "A-1001")

    assert "ONE store  https://m.onestore.co.kr" in shown.output


def test_a_request_without_the_account_that_it_needs_would_be_refused(service: Service) -> None:
    service.answers["/v1/orders/A-1001/refund-eligibility"] = preview()

    shown = run(*ASK)

    assert shown.exit_code == Exit.SOMETHING_WAITS
    assert "Ask with --account FILE, without which it is refused, and --yes" in shown.output


def test_a_request_is_only_shown_until_yes(service: Service) -> None:
    card = {"kind": "original_card", "needs_account": False}
    service.answers["/v1/orders/A-1001/refund-eligibility"] = preview(destination=card)

    shown = run(*ASK)

    assert shown.exit_code == Exit.OK
    assert [path for _, path, _ in service.asked] == ["/v1/orders/A-1001/refund-eligibility"]
    assert "nothing was asked for" in shown.output


def test_with_yes_it_is_asked_for_and_the_account_is_told_nowhere(service: Service, tmp_path: Path) -> None:
    service.answers["/v1/refunds"] = requested()
    account = {"bank_code": "088", "account_number": PLAIN, "holder": "가나다 주식회사"}
    file = tmp_path / "account.json"
    file.write_text(json.dumps(account))

    options = ("--request-id", "rr-77", "--line", "1=40", "--account", str(file), "--actor", "kim", "--yes")
    done = run(*ASK, *options)

    assert done.exit_code == Exit.OK, done.output
    ((scope, _, body),) = service.asked
    assert scope == "refunds:request refunds:manage"
    assert body == {
        "order_id": "A-1001",
        "refund_request_id": "rr-77",
        "requested_by": "kim",
        "role": "operator",
        "reason": "financial_burden",
        "message": "by phone",
        "destination": {"method": "bank_account", **account},
        "lines": [{"line_id": "1", "quantity": 40}],
    }
    assert PLAIN not in done.output


@pytest.mark.parametrize("text", ["no json " + PLAIN, "[]", '{"bank_code": "088"}'])
def test_an_account_that_cannot_be_read_is_a_usage_error_that_repeats_nothing(
    service: Service, text: str
) -> None:
    wrong = run(*ASK, "--account", "-", "--yes", stdin=text).exception

    assert isinstance(wrong, Problem)
    assert wrong.exit_code is Exit.USAGE
    assert PLAIN not in str(wrong)
    assert service.asked == []


def test_a_request_that_is_refused_ends_so(service: Service) -> None:
    service.answers["/v1/refunds"] = requested("rejected", why="issued", why_text="they are issued")

    done = run(*ASK, "--yes")

    assert done.exit_code == Exit.SOMETHING_WAITS
    assert "issued: they are issued" in done.output


def test_what_waits_is_listed_with_who_must_act(service: Service) -> None:
    waits = {
        **requested("held", why="holder_mismatch"),
        **STEP,
        "since": "2026-10-22T11:00:00+09:00",
        "amount": None,
        "legal_on": "2026-10-27",
        "deadline": "2026-10-27T23:59:59.999999+09:00",
        "overdue": False,
    }
    service.answers["/v1/refunds"] = {"items": [waits, {**waits, "overdue": True}], "next": "more"}

    shown = run("ls", "--waiting", "--partner", "P-17")
    document = run("ls", "--waiting", "--json")

    assert shown.exit_code == Exit.OK, shown.output
    assert service.asked[0][1] == "/v1/refunds?waiting=true&partner_id=P-17&limit=100"
    assert "held (holder_mismatch)" in shown.output
    step = "partner: ask for the units that are left"
    assert f"{step}; by law until 2026-10-27" in shown.output
    assert f"{step}; its deadline of 2026-10-27 23:59 is over; by law until 2026-10-27" in shown.output
    assert "there are more" in shown.output
    assert json.loads(document.stdout)["next"] == "more"


def test_no_refund_like_that_matches_nothing(service: Service) -> None:
    service.answers["/v1/refunds"] = {"items": [], "next": None}

    refusal, document = run("ls").exception, run("ls", "--json")

    assert isinstance(refusal, Problem)
    assert refusal.exit_code is Exit.NOTHING_MATCHED
    assert document.exit_code == Exit.NOTHING_MATCHED


def test_a_review_says_its_decision(service: Service) -> None:
    standing = {"state": "in_review", "why": "used", "won": 70_400}
    service.answers[f"/v1/refunds/{REFUND}/review"] = {
        **requested(),
        "decision": "approve",
        "applied": False,
        "before": standing,
        "after": {"state": "accepted", "why": None, "won": 10_000},
    }

    shown = run("review", REFUND, "approve", "--amount", "10000")

    assert shown.exit_code == Exit.OK, shown.output
    body = {"decision": "approve", "amount": 10_000, "reason": "only shown", "apply": False}
    assert service.asked == [("refunds:manage", f"/v1/refunds/{REFUND}/review", body)]
    assert "in review (used) → accepted" in shown.output
