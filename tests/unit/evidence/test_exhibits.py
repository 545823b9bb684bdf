"""What services tell of a disputed order: everything that happened, in both languages, and no secret."""

import re
from pathlib import Path
from typing import Any, get_args

import orjson
import pytest

from ops.watch.evidence.collecting import EVIDENCE
from services.invoices import state as invoices
from services.orders.state import ClaimState, OrderState, Purpose
from services.refunds import state as refunds
from services.refunds.policies.reasons import REASONS
from services.serials.state import Form, GrantState, SerialState
from shared.events.catalogue import SERVICES, TYPES
from shared.events.examples import golden
from shared.evidence.entries import Entry, written
from shared.evidence.every_service import BY_OTHERS, EVERY_SERVICE, TOLD, told
from shared.evidence.reading import SQL
from shared.evidence.words import EVENTS, KINDS, LABELS, VALUES, korean
from shared.queries import load
from tests.support import disputed
from tests.support.web import service_of

HANGUL = re.compile("[가-힣]")


def every_detail(item: Any) -> set[str]:
    """The names of all details."""
    return {name for _, entry in item for name in entry.details}


def of_kind(kind: str) -> list[Entry]:
    return [entry for _, entry in disputed.entries() if entry.kind == kind]


def test_every_statement_has_its_exhibit_and_every_exhibit_its_statement() -> None:
    for service in SERVICES:
        own = {name for name in load(f"services.{service}") if name.startswith("evidence_")}
        evidence = EVIDENCE[service]
        assert {evidence.owner, *(exhibit.query for exhibit in evidence.exhibits)} == own
        assert service_of(service).evidence is evidence
    assert {exhibit.query for exhibit in EVERY_SERVICE} == set(SQL)


def test_no_serial_and_no_whole_account_is_told_wherever_somebody_wrote_one() -> None:
    text = orjson.dumps(disputed.bundle()).decode()

    for secret in (disputed.SERIAL, disputed.SERIAL.replace("-", ""), disputed.ACCOUNT):
        assert secret not in text
    assert "paid twice, back to ***" in text
    assert "the customer says that *** does not work" in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("7KQ2-M0ZV-3XWJ-AB9T", "***"),
        ("7KQ2M0ZV3XWJAB9T is dead", "*** is dead"),
        ("7KQ2 M0ZV 3XWJ AB9T", "***"),
        ("7kq2-m0zv-3xwj-ab9t", "***"),
        ("7kq2m0zv3xwjab9t", "***"),
        ("internationalise", "internationalise"),
        ("to 110-123-456789, please", "to ***, please"),
        ("call 010-1234-5678", "call ***"),
        ("seen on 2026-11-22 at 14:03", "seen on 2026-11-22 at 14:03"),
        ("see 0199f0c1-0000-7c11-9a51-2f6f3f3c1b01", "see 0199f0c1-0000-7c11-9a51-2f6f3f3c1b01"),
        ("2026-10-1168200276-000001", "2026-10-1168200276-000001"),
        ("that item will stay", "that item will stay"),
        ("70400 won", "70400 won"),
        ("", ""),
    ],
)
def test_what_looks_like_an_account_or_a_serial_is_hidden_in_what_people_wrote(text: str, shown: str) -> None:
    assert written(text) == shown


def test_an_event_tells_fields_that_are_named_and_only_the_hash_of_all_else() -> None:
    secret = {"partner": {"name": "hidden"}, "destination": {"masked": "hidden"}, "account": "hidden"}
    row = disputed.event("order.paid.v1", disputed.PAID_AT, **secret)
    entry = told(row)

    assert "hidden" not in orjson.dumps(entry.content("orders")).decode()
    assert entry.details["amount"] == 176_000
    assert entry.details["lines"] == [{"line_id": "1", "kind": "serials", "quantity": 100}]
    assert len(entry.details["data_sha256"]) == 64
    assert not TOLD & {"account", "account_number", "holder", "partner", "destination", "serial_id", "note"}


def test_an_answer_to_checkout_says_what_was_received_and_why_it_was_refused() -> None:
    accepted, rejected = of_kind("answer")

    assert accepted.says == (
        "수신: 결제 완료. 접수했습니다.",
        "Received: a payment was made. It was accepted.",
    )
    assert rejected.details["code"] == "out_of_range"
    assert rejected.details["place"] == "checkout.events/5/41782"


def test_a_partner_does_not_see_who_of_others_did_what() -> None:
    (of_case, approved, refused) = of_kind("decision")
    seen = approved.content("refunds", whole=False)["details"]

    assert {name for name, value in seen.items() if value is None} >= BY_OTHERS & set(approved.details)
    assert seen["action"] == "refund.approve"
    assert of_case.content("orders")["details"]["actor"] == "finance-kim"
    assert refused.says.en.startswith("Refused")


def test_a_partner_sees_its_own_hand_outs_whole_and_of_others_only_that_there_was_one() -> None:
    own, of_support = (entry.content("serials", whole=False)["details"] for entry in of_kind("hand_out"))

    assert (own["actor"], own["client"], own["watermark"]) == ("partner-lee", "203.0.113.7", "WM-7K2Q")
    assert (of_support["actor"], of_support["client"], of_support["reason"]) == (None, None, None)
    assert of_support["serials"] == 1


def test_everything_is_said_in_both_languages() -> None:
    for _, entry in disputed.entries():
        assert HANGUL.search(entry.says.ko), entry
        assert re.search("[A-Za-z]", entry.says.en), entry
        assert "None" not in entry.says.ko + entry.says.en, entry
        assert entry.kind in KINDS


def test_every_detail_has_a_name_in_both_languages() -> None:
    assert every_detail(disputed.entries()) <= set(LABELS)
    assert TOLD - {"cancelled_at", "expired_at", "locked_at", "left"} <= set(LABELS)


def test_every_type_of_event_has_words() -> None:
    answers = {"event.accepted.v1", "event.rejected.v1"}

    assert set(EVENTS) == set(TYPES) - answers
    for name in golden():
        if TYPES[name].topic != "checkout.events":
            assert HANGUL.search(told(disputed.event(name, disputed.PAID_AT)).says.ko), name


def test_every_word_of_a_closed_list_has_its_korean() -> None:
    enums: tuple[Any, ...] = (OrderState, ClaimState, Purpose, Form, GrantState, SerialState)
    literals = (
        *(refunds.RefundState, refunds.PayoutState, refunds.DestinationKind),
        *(invoices.Evidence, invoices.DocumentKind, invoices.DocumentState),
        *(invoices.Modification, invoices.CorrectionState),
    )
    words = {str(each) for kind in enums for each in kind}
    words |= {word for listed in literals for word in get_args(listed)}

    assert words - set(VALUES) == set()
    assert {name: korean(name) for name in REASONS.values()} == {name: ko for ko, name in REASONS.items()}


def test_every_reason_that_checkout_may_read_has_its_korean() -> None:
    guide = Path("docs/events.md").read_text()
    parts = [part for part in guide.split("\n### ") if part.startswith("Reasons of a ")]
    listed = {
        name
        for part in parts
        if not part.startswith(("Reasons of a merge", "Reasons of a refund request"))
        for name in re.findall(r"^\| `(\w+)`", part, re.MULTILINE)
    }

    assert len(listed) > 20
    assert listed - set(VALUES) == set()
