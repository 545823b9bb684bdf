"""`pawl close`: what it asks of the service, what it shows, and when it does nothing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import orjson
import pytest
from typer.testing import CliRunner

from ops.cli import app
from ops.shell.http_client import Answer
from ops.shell.problem import Problem
from tests.unit.watch.test_month import OPEN_REFUND, a_month

SUMS = {"documents": 2, "payments": 3, "supply": 320, "vat": 32, "total": 352, "merged": 1, "issue_failed": 0}
DECLARED = {"documents": 3, "supply": -40, "vat": -4, "total": -44}
CORRECTION = {
    "document_key": "2026-10-1168200276-000001",
    "partner_id": "P-17",
    "business_number": "1168200276",
    "right_number": "1348672683",
    "state": "proposed",
}
URL = ["--invoices", "http://invoices"]


class Service:
    """The invoices service, as far as `pawl close` asks it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.tokens: list[str] = []
        self.answer = Answer(200, "{}")

    def say(self, status: int, **data: Any) -> None:
        self.answer = Answer(status, orjson.dumps(data).decode())

    async def fetch(
        self, url: str, body: bytes | None = None, timeout: float = 5.0, token: str = ""
    ) -> Answer:
        self.tokens.append(token)
        self.asked.append((url, None if body is None else orjson.loads(body)))
        return self.answer


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setenv("PAWL_TOKEN", "a-token")
    service = Service()
    with (
        patch("ops.watch.close.fetch", service.fetch),
        patch("ops.shell.asking.fetch", service.fetch),
    ):
        yield service


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["close", *arguments, *URL])


def test_a_close_shows_its_sums_and_what_is_proposed(service: Service) -> None:
    service.say(200, month="2026-10", already_issued=1, drafts=0, corrections=[CORRECTION], **SUMS)
    result = run("2026-10", "--reason", "all is well", "--yes")
    assert result.exit_code == 0
    (asked,) = service.asked
    assert asked == (
        "http://invoices/v1/months/2026-10/close",
        {"at": None, "reason": "all is well", "despite_open_refunds": False},
    )
    assert "2026-10 is closed" in result.output
    assert "2026-10-1168200276-000001 of P-17 should be under 1348672683." in result.output


def test_a_close_that_left_drafts_says_so(service: Service) -> None:
    service.say(200, month="2026-10", already_issued=0, drafts=2, corrections=[], **SUMS)
    result = run("2026-10", "--reason", "all is well", "--yes")
    assert "2026-10 is closed in part" in result.output
    assert "2 documents are left: a refund of theirs opened meanwhile" in result.output
    assert result.exit_code == 5


def test_refunds_in_progress_can_be_overruled(service: Service) -> None:
    service.say(200, month="2026-10", already_issued=0, drafts=0, corrections=[], **SUMS)
    run("2026-10", "--reason", "the tenth", "--despite-open-refunds", "--yes")
    assert service.asked[0][1]["despite_open_refunds"] is True


def test_a_close_without_a_reason_closes_nothing(service: Service) -> None:
    result = run("2026-10", "--yes", "--reason", " ")
    assert isinstance(result.exception, Problem)
    assert (result.exception.exit_code, service.asked) == (2, [])


def test_a_close_that_is_refused_says_where_to_look(service: Service) -> None:
    service.answer = Answer(409, '{"code": "open_refund", "detail": "1 refunds are in progress"}')
    result = run("2026-10", "--reason", "all is well", "--yes")
    assert isinstance(result.exception, Problem)
    assert result.exception.message == "2026-10 was not closed: 1 refunds are in progress"
    assert result.exception.hint.endswith("pawl month 2026-10")
    assert result.exception.exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "code", "then"),
    [
        ([], 5, "pawl close 2026-10 --reason WHY --yes"),
        (["--despite-open-refunds"], 0, "pawl close 2026-10 --despite-open-refunds --reason WHY --yes"),
        (
            ["--at", "2026-11-05T18:00:00+09:00"],
            5,
            "pawl close 2026-10 --at 2026-11-05T18:00:00+09:00 --reason WHY --yes",
        ),
    ],
)
def test_without_yes_the_month_is_shown_and_nothing_is_done(
    service: Service, arguments: list[str], code: int, then: str
) -> None:
    service.say(200, **a_month(blockers=[OPEN_REFUND]))
    result = run("2026-10", "--reason", "all is well", *arguments)
    ((url, body),) = service.asked
    assert (url.partition("?")[0], body) == ("http://invoices/v1/months/2026-10/preview", None)
    assert f"Nothing was done. Close it: {then}" in result.output
    assert result.exit_code == code


def test_what_would_be_done_says_in_json_that_it_was_not(service: Service) -> None:
    service.say(200, **a_month())
    result = run("2026-10", "--json")
    assert orjson.loads(result.stdout)["applied"] is False
    assert result.exit_code == 0


def test_the_status_of_a_month_closes_nothing(service: Service) -> None:
    service.say(200, month="2026-10", closed_at=None, declared=DECLARED, corrections=[], **SUMS)
    result = run("2026-10", "status", "--json")
    assert service.asked == [("http://invoices/v1/months/2026-10", None)]
    assert orjson.loads(result.output)["closed_at"] is None


def test_a_document_is_shown_line_by_line(service: Service) -> None:
    lines = [{"name": "이용권", "unit_price": 1600, "quantity": -40, "supply": -64_000, "vat": -6_400}]
    service.say(
        200, document_key="K-1", invoice_id="i", state="issued", business_number="1168200276",
        written_date="2026-11-12", total=-70_400, supply=-64_000, vat=-6_400, lines=lines,
    )  # fmt: skip
    result = run("2026-11", "status", "K/1")
    assert service.asked == [("http://invoices/v1/months/2026-11/documents/K%2F1", None)]
    assert "-64,000" in result.output
    assert "이용권" in result.output


@pytest.mark.parametrize(
    ("yes", "end"), [([], "nothing was done. Do it with --yes"), (["--yes"], "on one invoice")]
)
def test_a_business_is_merged_only_with_yes(service: Service, yes: list[str], end: str) -> None:
    payment = {"payment_id": "pay-1", "order_id": "A-1", "partner_id": "P-17", "total": 176_000}
    service.say(
        200, business_number="1168200276", applied=bool(yes), undone=False, merged=[payment],
        excluded=[{**payment, "payment_id": "pay-2", "reason": "open_refund"}],
    )  # fmt: skip
    result = run("2026-10", "merge", "--business", "116-82-00276", *yes)
    (url, body) = service.asked[0]
    assert url == "http://invoices/v1/months/2026-10/merge"
    assert (body["business_number"], body["undo"], body["apply"]) == ("116-82-00276", False, bool(yes))
    assert end in result.output
    assert "open_refund" in result.output


def test_a_document_is_corrected_with_a_reason(service: Service) -> None:
    made = {"modification": "correction", "business_number": "1348672683", "written_date": "2026-10-21"}
    documents = [{**made, "total": 176_000, "document_key": "K-2"}]
    service.say(200, document="K-1", applied=True, documents=documents)
    result = run("2026-10", "correct", "K-1", "--reason", "another company", "--yes")
    (url, body) = service.asked[0]
    assert url == "http://invoices/v1/months/2026-10/correct"
    assert body == {
        "document": "K-1", "reason": "another company", "twice": False, "apply": True
    }  # fmt: skip
    assert "1 documents correct K-1" in result.output


def test_a_correction_says_what_is_not_known_of_a_buyer_and_tells_it(service: Service) -> None:
    command = "pawl partner correct P-17 --representative NAME --of 1348672683 --reason WHY --yes"
    lacking = {"business_number": "1348672683", "missing": ["representative"], "command": command}
    service.say(200, document="K-1", applied=False, documents=[], incomplete=[lacking])
    result = run("2026-10", "amend", "K-1", "--reason", "wrong", "--representative", "이바다")
    assert service.asked[0][1]["representative"] == "이바다"
    assert f"1348672683 has no representative: {command}" in " ".join(result.output.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["2026-10", "merge"],
        ["2026-10", "merge", "--business", "123-45-67890"],
        ["2026-10", "correct", "K-1"],
        ["2026-10", "correct", "--reason", "why"],
        ["2026-10", "correct", "K-1", "--reason", "why", "--number", "1"],
        ["2026-10", "burn"],
        ["2026-13", "status"],
    ],
)
def test_a_wrong_command_asks_nothing(service: Service, arguments: list[str]) -> None:
    assert run(*arguments).exit_code != 0
    assert service.asked == []


@pytest.mark.parametrize(("status", "code"), [(409, 1), (404, 2), (400, 2), (0, 1)])
def test_a_refusal_says_why(service: Service, status: int, code: int) -> None:
    service.answer = Answer(status, '{"detail": "it was corrected before"}')
    result = run("2026-10", "correct", "K-1", "--reason", "why")
    assert isinstance(result.exception, Problem)
    assert result.exception.exit_code == code


# In steps

STEPPED = {
    "month": "2026-10",
    "is_closed": False,
    "drafts": 1,
    "approved": 2,
    "approved_total": 352,
    "issue_failed": 0,
    "issued": 0,
    "issued_total": 0,
    "left": [],
}
LEFT = {"reason": "four_eyes", "count": 1, "won": 176, "businesses": ["1168200276"]}


def test_a_business_is_approved_with_a_reason(service: Service) -> None:
    service.say(200, **STEPPED)
    result = run(
        "2026-10", "approve", "--business", "116-82-00276", "--reason", "all is there", "--yes",
        "--at", "2026-11-05T18:00:00+09:00",
    )  # fmt: skip
    assert result.exit_code == 0
    (asked,) = service.asked
    assert asked == (
        "http://invoices/v1/months/2026-10/approve",
        {
            "reason": "all is there",
            "businesses": ["116-82-00276"],
            "at": "2026-11-05T18:00:00+09:00",
            "despite_open_refunds": False,
        },
    )
    assert "₩352" in result.output


def test_without_yes_an_approval_shows_the_month(service: Service) -> None:
    service.say(200, **a_month())
    result = run("2026-10", "approve")
    assert "Approve it: pawl close 2026-10 approve --reason WHY --yes" in result.output.replace("\n", "")
    assert [body for _, body in service.asked] == [None]


def test_an_issue_that_leaves_businesses_says_why_and_what_to_do(service: Service) -> None:
    service.say(200, **STEPPED | {"left": [LEFT]})
    result = run("2026-10", "issue", "--reason", "as approved", "--yes")
    assert result.exit_code == 5
    assert "1 businesses are left, whoever issues has approved them" in result.output.replace("\n", " ")


def test_without_yes_an_issue_only_looks(service: Service) -> None:
    service.say(
        200, month="2026-10", closed_at=None, drafts=0, declared=DECLARED, corrections=[],
        businesses={"approved": 2}, **SUMS,
        board=[{"state": "approved", "businesses": 2, "documents": 3, "won": 528_000}],
    )  # fmt: skip
    result = run("2026-10", "issue")
    assert [body for _, body in service.asked] == [None]
    assert "businesses: approved 2" in result.output
    assert "approved: 2 businesses, 3 documents, ₩528,000" in result.output
    assert "3 documents, ₩-40 and ₩-4 VAT" in result.output
    assert "Nothing was issued" in result.output


@pytest.mark.parametrize("action", ["approve", "issue"])
def test_a_step_says_why(service: Service, action: str) -> None:
    result = run("2026-10", action, "--yes")
    assert isinstance(result.exception, Problem)
    assert result.exception.exit_code == 2
    assert service.asked == []


def test_how_a_business_stands(service: Service) -> None:
    business = {
        "business_number": "1168200276", "partners": ["P-17"], "state": "review", "drafts": 1, "approved": 0,
        "issue_failed": 0, "issued": 0, "transmitted": 0, "transmission_failed": 0,
        "to_issue": 281, "total": 0,
        "approved_by": {"actor": "kim", "at": "2026-11-05T18:00:00+09:00", "reason": "all is there"},
        "issued_by": None, "due_on": "2026-11-10", "days_left": 5,
        "drift": {
            "changed": 1, "new": 1, "gone": 0, "approved_total": 352, "total": 457,
            "arrived": [
                {"what": "refund", "at": "2026-11-06T00:30:00Z", "payment_id": "pay-[1]", "order_id": "A-1",
                 "partner_id": "P-17", "refund_id": "r-1", "won": -71},
                *[{"what": "payment", "at": "2026-11-06T09:31:00+09:00", "payment_id": f"pay-{n}",
                   "order_id": f"A-{n}", "partner_id": "P-17", "refund_id": None, "won": 176}
                  for n in range(2, 23)],
            ],
            "has_more": True,
        },
        "command": "pawl close 2026-10 approve --business 1168200276 --reason WHY --yes",
    }  # fmt: skip
    service.say(200, **business)
    result = run("2026-10", "status", "--business", "1168200276")
    assert service.asked == [("http://invoices/v1/months/2026-10/businesses/1168200276", None)]
    for told in (
        "1 changed, 1 new, 0 gone",
        "kim at",
        "2026-11-06 09:30  refund r-1 of pay-[1] (order A-1)  ₩-71",
        "2026-11-06 09:31  payment pay-20 (order A-20)  ₩176",
        "and 2+ more, as --json names them",
        "Next: pawl close 2026-10 approve",
    ):
        assert told in result.output
    assert "pay-21" not in result.output
    service.say(200, **business)
    as_json = json.loads(run("2026-10", "status", "--business", "1168200276", "--json").output)
    assert len(as_json["drift"]["arrived"]) == 22


def test_what_the_authority_says_is_read_from_a_file(service: Service, tmp_path: Path) -> None:
    file = tmp_path / "approvals.csv"
    file.write_text(
        "document_key,approval_number,failed\nK-1,202610314100008500000001,\nK-2,,business_closed\n"
    )
    service.say(200, month="2026-10", told=1, refused=[{"document_key": "K-2", "code": "not_issued"}])

    assert "2 results were read" in run("2026-10", "transmit", "--results", str(file)).output
    assert service.asked == []
    result = run("2026-10", "transmit", "--results", str(file), "--yes")

    ((url, body),) = service.asked
    assert url == "http://invoices/v1/months/2026-10/transmit"
    assert body["results"] == [
        {"document_key": "K-1", "approval_number": "202610314100008500000001"},
        {"document_key": "K-2", "failed": "business_closed"},
    ]
    assert "K-2: not_issued" in result.output
    assert result.exit_code == 5


@pytest.mark.parametrize("text", ["", "document_key,approval_number\n", "document_key\nK-1\n", "\xff"])
def test_a_file_that_is_no_list_of_results_is_refused(service: Service, tmp_path: Path, text: str) -> None:
    file = tmp_path / "approvals.csv"
    file.write_text(text, encoding="latin-1")
    result = run("2026-10", "transmit", "--results", str(file), "--yes")
    assert isinstance(result.exception, Problem)
    assert result.exception.exit_code == 2
    assert service.asked == []


def test_an_amendment_is_a_correction(service: Service) -> None:
    service.say(200, month="2026-10", document="K-1", applied=False, documents=[])
    run("2026-10", "amend", "K-1", "--reason", "wrong company")
    ((url, body),) = service.asked
    assert url == "http://invoices/v1/months/2026-10/amend"
    assert body == {"apply": False, "reason": "wrong company", "document": "K-1", "twice": False}


def test_an_amendment_says_what_is_right(service: Service) -> None:
    service.say(200, month="2026-10", document="K-1", applied=False, documents=[])
    run("2026-10", "amend", "K-1", "--reason", "renamed", "--name", "가나다라", "--representative", "이도윤")
    ((_, body),) = service.asked
    assert (body["name"], body["representative"]) == ("가나다라", "이도윤")
    assert "address" not in body
    assert "business_number" not in body


# The plan

WON = {"supply": 160_000, "vat": 16_000, "total": 176_000}
NOTHING = {"supply": 0, "vat": 0, "total": 0}
UNLOCK = {"what": "issue_units", "units": 70, "refund_ids": [], "until": None, "command": None}
PLAN = {
    "partner_id": "P-17",
    "month": "2026-10",
    "always_merge_at_cut_off": True,
    "businesses": [
        {
            "business_number": "1168200276",
            "invoice_id": None,
            "merged": [],
            "payments": [
                {
                    "payment_id": "pay-1",
                    "order_id": "A-1",
                    "reason": "units_not_issued",
                    "unlocks": [UNLOCK],
                    **WON,
                }
            ],
            "totals": {
                "now": {"merged": NOTHING, "single": WON},
                "issued": {"merged": NOTHING, "single": WON},
            },
        }
    ],
}


def test_the_plan_of_a_business_says_what_would_change_it(service: Service) -> None:
    service.say(200, items=[PLAN], next=None)
    result = run("2026-10", "plan", "--business", "116-82-00276")
    assert service.asked == [
        ("http://invoices/v1/months/2026-10/plan?business=116-82-00276&limit=1000", None)
    ]
    for told in ("P-17, which always merges", "units_not_issued", "issue the other 70 units"):
        assert told in result.output
    assert "₩0 merged, ₩176,000 single: as it is, when all units are issued" in result.output.replace(
        "\n", " "
    )


def test_without_a_business_the_plan_is_that_of_the_month(service: Service) -> None:
    service.say(200, **a_month())
    result = run("2026-10", "plan")
    assert "preview" in service.asked[0][0]
    assert "Close it" in result.output
