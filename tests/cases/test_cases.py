"""Every case that a real report showed, played against the four services and judged by the contract."""

import re
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest

from ops.audit.topics.check import audit_topics
from ops.local.running import RunningSystem
from shared.events.catalogue import FEEDBACK
from tests.cases.expectations import EARLIER, ENDS, EXCLUSIONS
from tests.support.cases import Case, matches
from tests.support.driver import Checkout

FOLDER = Path(__file__).parent


def _closes(path: Path) -> bool:
    return "~close" in path.read_text(encoding="utf-8")


FILES = sorted(
    [*FOLDER.glob("*.jsonl"), *FOLDER.glob("held/*.jsonl")], key=lambda path: (_closes(path), path)
)
"""Those that close a month come last: the others want it open."""
VERIFY = sorted(FOLDER.glob("verify/*.json"))


def name_of(path: Path) -> str:
    return path.stem.partition("-")[0]


def test_every_case_has_an_end() -> None:
    assert sorted(map(name_of, FILES)) == sorted(ENDS)


@pytest.fixture
async def all_topics_are_right(system: RunningSystem) -> Any:
    """After the test the topics hold what the services have committed, and every event is answered."""
    yield
    report = await audit_topics(system.system)
    assert report.violations == []


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
async def test_a_case_ends_as_the_contract_says(
    path: Path, checkout: Checkout, close_month: Any, all_topics_are_right: None
) -> None:
    end = ENDS[name_of(path)]
    case = await Case(checkout, path, close_month, EARLIER.get(name_of(path), {})).play()

    answers = [answer.outcome for answer in case.answers()]
    wanted = [end.answers.get(place, "accepted") for place in range(len(answers))]
    assert answers == wanted, case.told()
    wrong = [kind for kind, events in end.events.items() if not matches(case, case.events(kind), events)]
    assert wrong == [], case.told()
    assert case.payments_without_a_place() == [], case.told()
    assert case.orders_that_differ_from_their_payment() == [], case.told()
    assert [f for f in case.events("payment.quarantined") if not f.data.get("proposal")] == [], case.told()
    sums = {(kind, name): sum(f.data[name] for f in case.events(kind)) for kind, name in end.sums}
    assert sums == end.sums, case.told()
    refused = case.events("partner.withdrawal_refused")
    assert end.blockers <= {b["kind"] for event in refused for b in event.data["blockers"]}, case.told()
    assert_merges_are_answered(case)
    assert_documents_are_dated(case)


def assert_merges_are_answered(case: Case) -> None:
    """Each request to merge, or to undo a merge, has one answer; the first says why nothing came of it."""
    asked = Counter(data["request_id"] for kind, _, data in case.said if kind.startswith("merge."))
    answers = case.events("merge.answered")
    assert Counter(event.data["request_id"] for event in answers) == asked, case.told()
    if (reasons := EXCLUSIONS.get(case.name)) is not None:
        excluded = {each["payment_id"]: each["reason"] for each in answers[0].data["excluded"]}
        assert excluded == {case.id(payment): reason for payment, reason in reasons.items()}, case.told()


def assert_documents_are_dated(case: Case) -> None:
    """No document is dated before the one that it modifies."""
    dated = {
        event.data["document_key"]: event.data["written_date"] for event in case.events("invoice.issued")
    }
    for event in case.events("invoice.modified"):
        assert event.data["written_date"] >= dated[event.data["original_document_key"]], case.told()


def records_of(path: Path, name: str) -> list[dict[str, Any]]:
    """The records of a file, with ids that nobody else uses."""
    text = path.read_text(encoding="utf-8")
    for ours in ('"1001', '"A', '"pay-1001', '"pay-A', '"P-17', '"w1'):
        text = re.sub(f'{ours}(?=[-/"])', f"{ours}-{name}", text)
    return list(orjson.loads(text)["records"])


@pytest.mark.parametrize("backwards", [False, True], ids=["as written", "the other way round"])
@pytest.mark.parametrize("path", VERIFY, ids=[path.stem for path in VERIFY])
async def test_no_two_events_share_source_subject_and_number(
    path: Path, backwards: bool, checkout: Checkout, all_topics_are_right: None
) -> None:
    records = records_of(path, uuid4().hex[:8])
    for record in reversed(records) if backwards else records:
        data = record["data"]
        at = data.get("paid_at") or data["requested_at"]
        await checkout.say(record["type"], record["key"], data, at=at, event_id=f"evt-{uuid4().hex}")
        await checkout.drain()

    keys = {record["key"] for record in records}
    events = {r.id: r for key in keys for r in checkout.by_key[key] if r.is_ours and r.topic != FEEDBACK}
    places = Counter((event.source, event.subject, event.sequence) for event in events.values())
    assert events
    assert [place for place, count in places.items() if count > 1] == []
