"""A month is issued by a tax agent: sent, asked about and kept on Postgres, whatever the agent does."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from ops.tax_agent.desk import Desk
from ops.tax_agent.run import open_tax_agent
from services.invoices.approving import Step, WithAgent, WithoutAgent, approve, issue, transmitted
from services.invoices.business_registry import BusinessState, NoRegistry
from services.invoices.closes import MonthClose, Sizes
from services.invoices.commands import CorrectBody, correct
from services.invoices.decisions.transmitting import Result
from services.invoices.documents.tax_document import Party
from services.invoices.explain import explanation_of_document
from services.invoices.posting import Poster
from services.invoices.recalling import AgentSilent, NotWithAgent, recall_document
from services.invoices.state import Policy
from services.invoices.store import SQL, Store
from services.invoices.submitting import LOST_AFTER, Outside, ask_some, send_some
from services.invoices.tax_agent import HttpTaxAgent
from shared.clock import now
from shared.ids import uuid7
from shared.runtime.commands import Done, Refused
from shared.runtime.decisions import Wait
from shared.runtime.outgoing import Cause
from shared.web.callers import Caller
from tests.integration.invoices.conftest import StoredBooks
from tests.support.patience import PATIENCE
from tests.unit.invoices.books import CLOSED_AT, GANADA, OTHER, instant, line

MONTH = "2026-10"
LATER = "2026-11-06T09:00:00+09:00"
TOLD_AT = "2026-12-20T09:00:00+09:00"
SUPPLIER = Party("1188120586", "주식회사 스터디웍스", "김하늘")
ALL = timedelta(hours=1)


class Agency:
    """A month's books with a tax agent, and the instants at which the service looks at it."""

    def __init__(self, books: StoredBooks, desk: Desk, url: str) -> None:
        self.books, self.desk = books, desk
        self.outside = Outside(HttpTaxAgent(Poster(url, lambda: "", PATIENCE)), NoRegistry(), SUPPLIER)
        self.at = now()

    async def given(self, *numbers: str, who: str = "lee") -> dict[str, Any]:
        """The month approved by one and issued by another, which gives it to the agent."""
        chosen = list(numbers) or None
        await approve(
            self.books.surroundings, self.books.store, _step("kim", CLOSED_AT, chosen), sizes=Sizes(1, 0)
        )
        issuer = WithAgent(self.books.surroundings, self.books.store, Sizes(1, 0))
        return await issue(self.books.surroundings, self.books.store, _step(who, LATER, chosen), issuer)

    async def send(self) -> int:
        return await send_some(self.books.surroundings, self.books.store, self.outside, self.at)

    async def ask(self, later: timedelta = ALL) -> int:
        self.at += later
        return await ask_some(self.books.surroundings, self.books.store, self.outside, self.at)

    async def recall(self, key: str) -> str:
        close = MonthClose(MONTH, self.at, uuid7(), "kim", "asked by phone", action="document.recall")
        surroundings, store = self.books.surroundings, self.books.store
        said = await recall_document(surroundings, store, self.outside.agent, close, key)
        return str(said["state"])

    async def states(self) -> list[tuple[str, str]]:
        rows = await self.books.pool.fetch(
            "SELECT d.state, s.state AS given FROM documents d JOIN submissions s USING (invoice_id)"
            " ORDER BY s.document_key"
        )
        return [(row["state"], row["given"]) for row in rows]

    @property
    def sendings(self) -> list[Sequence[str]]:
        return [
            [each["key"] for each in said["documents"]]
            for path, said in self.desk.calls
            if path == "/documents"
        ]


def _step(who: str, at: str, numbers: list[str] | None) -> Step:
    return Step(MonthClose(MONTH, instant(at), uuid7(), who, "as planned", False, "month.issue"), numbers)


@pytest.fixture
def agency(books: StoredBooks) -> Iterator[Agency]:
    """Books whose documents are issued by an agent that does it at once and without a fault."""
    books.store = Store(Policy(tax_agent=True))
    desk = Desk(1, pace=0.0, is_faultless=True, demands=())
    with open_tax_agent(desk, silence=0.2) as url:
        yield Agency(books, desk, url)


async def two_businesses(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1")
    await books.paid_and_issued("B-1", partner="P-18", number=OTHER)


async def test_a_month_is_issued_transmitted_and_closed_by_the_answers_of_the_agent(agency: Agency) -> None:
    books = agency.books
    await two_businesses(books)

    said = await agency.given()
    assert [(each["reason"], each["count"]) for each in said["left"]] == [("with_agent", 2)]
    assert await agency.states() == [("approved", "to_send")] * 2
    assert await books.published("invoice.issued") == []

    assert await agency.send() == 2
    assert await agency.states() == [("approved", "sent")] * 2
    assert not (await agency.given())["is_closed"]

    assert await agency.ask() == 2
    assert await agency.states() == [("issued", "transmitted")] * 2
    assert len(await books.published("invoice.transmitted")) == 2
    (closed,) = await books.published("month.closed")
    assert (closed["data"]["documents"], closed["data"]["actor"]) == (2, "lee")
    before = await books.pool.fetchval("SELECT count(*) FROM outbox")
    assert (await agency.send(), await agency.ask()) == (0, 0)
    assert await books.pool.fetchval("SELECT count(*) FROM outbox") == before


async def test_one_business_alone_closes_no_month(agency: Agency) -> None:
    await two_businesses(agency.books)
    await agency.given(GANADA)
    await agency.send()
    await agency.ask()
    assert await agency.states() == [("issued", "transmitted")]
    assert await agency.books.published("month.closed") == []


async def test_a_document_of_a_lost_answer_is_asked_about_and_not_sent_again(agency: Agency) -> None:
    await agency.books.paid_and_issued("A-1")
    await agency.given()
    agency.desk.faults = ["silent"]
    await agency.send()
    assert await agency.states() == [("approved", "sending")]

    assert await agency.ask(timedelta(0)) == 0, "the call may still be on its way"
    assert await agency.ask(LOST_AFTER) == 1
    assert await agency.states() == [("issued", "transmitted")]
    assert len(agency.sendings) == 1


async def test_what_never_came_to_the_agent_is_sent_again_once_it_was_asked(agency: Agency) -> None:
    await agency.books.paid_and_issued("A-1")
    await agency.given()
    agency.desk.faults = ["down"]
    await agency.send()
    await agency.ask(LOST_AFTER)
    assert await agency.states() == [("approved", "to_send")]

    agency.at += ALL
    await agency.send()
    assert [len(keys) for keys in agency.sendings] == [1, 1]
    await agency.ask()
    assert await agency.states() == [("issued", "transmitted")]


async def test_an_agent_that_wants_a_pause_gets_it(agency: Agency) -> None:
    await agency.books.paid_and_issued("A-1")
    await agency.given()
    agency.desk.faults = ["rate_limited"]
    await agency.send()
    assert await agency.states() == [("approved", "to_send")]
    assert await agency.send() == 0

    agency.at += timedelta(seconds=3)
    assert await agency.send() == 1
    assert await agency.states() == [("approved", "sent")]


async def test_a_bulk_of_which_some_is_left_out_comes_to_its_end(agency: Agency, books: StoredBooks) -> None:
    """Whatever the seed does to 30 documents, each is transmitted or has failed, under one key."""
    for number in range(30):
        await books.paid_and_issued(f"A-{number}")
    await agency.given()
    unruly = Desk(3, pace=0.0, demands=())
    agency.desk.answer = unruly.answer  # type: ignore[method-assign]
    for _ in range(30):
        await agency.send()
        await agency.ask()
        agency.at += ALL

    ended = await agency.states()
    assert set(ended) <= {("issued", "transmitted"), ("issued", "failed"), ("issue_failed", "failed")}
    assert len(unruly.held) == 30
    numbers = await books.pool.fetch("SELECT approval_number FROM transmissions WHERE state = 'transmitted'")
    assert len({row["approval_number"] for row in numbers}) == ended.count(("issued", "transmitted")) > 20
    assert {len(key) for key in unruly.held} == {22}


async def test_a_hundred_documents_go_in_one_call(agency: Agency, books: StoredBooks) -> None:
    for number in range(101):
        await books.paid_and_issued(f"A-{number}")
    await agency.given()
    assert [await agency.send(), await agency.send(), await agency.send()] == [100, 1, 0]
    assert [len(keys) for keys in agency.sendings] == [100, 1]


async def test_a_duplicate_of_ours_is_ours_and_one_of_other_won_is_refused(agency: Agency) -> None:
    books = agency.books
    await two_businesses(books)
    await agency.given()
    await agency.send()
    (mine, other) = sorted(agency.desk.held)
    agency.desk.held[other] = agency.desk.held[other]._replace(total=1)
    await books.pool.execute("UPDATE submissions SET state = 'to_send', next_at = $1", agency.at)

    await agency.send()

    rows = await books.pool.fetch("SELECT document_key, state, detail FROM submissions ORDER BY document_key")
    assert [(row["document_key"].replace("-", ""), row["state"], row["detail"]) for row in rows] == [
        (mine, "transmitted", ""),
        (other, "failed", "duplicate_key"),
    ]


async def test_a_schema_that_forgot_what_it_gave_the_agent_gives_it_under_the_same_keys(
    agency: Agency, owner: asyncpg.Connection
) -> None:
    """As a restore to before the issue leaves it: approved here, and issued there."""
    await two_businesses(agency.books)
    await agency.given()
    await agency.send()
    await owner.execute("DELETE FROM submissions")
    await owner.execute("DELETE FROM closed_businesses")

    await agency.given()
    await agency.send()

    assert await agency.states() == [("issued", "transmitted")] * 2
    assert len(agency.desk.held) == 2


async def test_a_number_that_cannot_be_is_doubted_until_a_person_tells_the_right_one(agency: Agency) -> None:
    """The refund that waits for it goes on, and the last answer, given by hand, closes the month."""
    books = agency.books
    await books.paid_and_issued("A-1")
    await agency.given()
    await agency.send()
    right = agency.desk._told
    agency.desk._told = lambda held, at: {**right(held, at), "approval_number": "199901011234"}  # type: ignore[method-assign]
    await agency.ask()
    back = books.events.completed("A-1", "r-1", 40, 64_000, 6_400)
    (waiting,) = await books.take(back)

    (doubted,) = await books.pool.fetch(SQL.todo_doubted)
    key = doubted["members"][0]
    assert (doubted["why"], doubted["won"]) == ("wrong_approval_number", 176_000)
    assert isinstance(waiting, Wait)
    said = await agency.given()
    assert [each["reason"] for each in said["left"]] == ["answer_doubted"]

    close = _step("kim", LATER, None).close
    told = await transmitted(
        books.surroundings, books.store, close, [Result(key, f"20261021{'1' * 16}", None)]
    )

    assert (told["told"], told["refused"]) == (1, [])
    assert await agency.states() == [("issued", "transmitted")]
    assert await books.pool.fetch(SQL.todo_doubted) == []
    assert [event["data"]["actor"] for event in await books.published("month.closed")] == ["kim"]
    (taken,) = await books.take(back)
    assert not isinstance(taken, Wait)
    assert await agency.ask() == 0


async def test_what_is_refused_as_incomplete_goes_on_once_the_representative_is_told(agency: Agency) -> None:
    """What is issued here is sent again by itself; the rest is approved and issued again."""
    books = agency.books
    await two_businesses(books)
    await agency.given(GANADA)
    agency.desk.demands = ("representative",)
    await agency.send()
    assert await agency.states() == [("issue_failed", "failed")]
    (listed,) = await books.pool.fetch(SQL.todo_refused)
    assert (listed["why"], listed["is_told"]) == ("incomplete", False)

    await books.take(books.events.partner(representative="이바다", at=TOLD_AT))

    (listed,) = await books.pool.fetch(SQL.todo_refused)
    assert listed["is_told"]
    await agency.given(GANADA)
    agency.at += ALL
    await agency.send()
    assert _sent(agency)[-1]["buyer"]["representative"] == "이바다"
    await agency.ask()
    assert await agency.states() == [("issued", "transmitted")]

    await books.paid_and_issued("A-2", number=GANADA, partner="P-19")  # late: issued at once
    agency.at += ALL
    await agency.send()
    assert (await agency.states())[-1] == ("issued", "failed")
    await books.take(books.events.partner(partner="P-19", representative="박하루", at=TOLD_AT))
    agency.at += ALL
    await agency.send()
    await agency.ask()
    assert await agency.states() == [("issued", "transmitted")] * 2


async def test_a_correction_whose_halves_the_agent_would_refuse_makes_none_of_them(agency: Agency) -> None:
    books = agency.books
    await books.paid_and_issued("A-1")
    await agency.given()
    await agency.send()
    await agency.ask()
    key = await books.pool.fetchval("SELECT document_key FROM documents")

    async def amend(**said: Any) -> Any:
        body = CorrectBody(document=key, reason="wrong", business_number=OTHER, apply=True, **said)
        command: Any = SimpleNamespace(data=body, actor="kim", time=agency.at)
        async with books.outbox.transaction(books.pool) as (connection, events):
            outcome = await correct(books.store, MONTH, connection, command)
            if isinstance(outcome, Done):
                events.add_all(outcome.events, Cause("a correction", key, agency.at, key))
            return outcome

    refused = await amend(representative="박하루")
    assert isinstance(refused, Refused)
    detail = str(refused.problem)
    assert f"{GANADA} has no representative" in detail
    assert f"pawl partner correct P-17 --representative NAME --of {GANADA}" in detail
    assert OTHER not in detail
    assert await agency.states() == [("issued", "transmitted")]

    await books.take(books.events.partner(representative="이바다", at=TOLD_AT))
    made = await amend(representative="박하루")
    assert isinstance(made, Done)
    assert made.answer["incomplete"] == []
    agency.desk.demands = ("representative",)
    for _ in range(2):
        agency.at += ALL
        await agency.send()
        await agency.ask()
    assert await agency.states() == [("issued", "transmitted")] * 3
    assert {each["buyer"]["representative"] for each in _sent(agency)[1:]} == {"이바다", "박하루"}


class Closed:
    """A registry to which one business is closed."""

    async def look_up(self, numbers: Sequence[str]) -> dict[str, BusinessState]:
        return {number: "closed" if number == OTHER else "active" for number in numbers}


async def test_of_a_closed_business_nothing_is_sent(agency: Agency) -> None:
    await two_businesses(agency.books)
    await agency.given()
    agency.outside = agency.outside._replace(registry=Closed())

    await agency.send()

    (failed,) = await agency.books.published("invoice.issue_failed")
    told = {name: failed["data"][name] for name in ("business_number", "reason", "next")}
    assert told == {"business_number": OTHER, "reason": "business_closed", "next": "correct_partner"}
    assert [len(keys) for keys in agency.sendings] == [1]


async def test_what_was_refused_is_approved_and_given_again_under_its_key(agency: Agency) -> None:
    books = agency.books
    await two_businesses(books)
    await agency.given()
    registry = agency.outside.registry
    agency.outside = agency.outside._replace(registry=Closed())
    await agency.send()
    await agency.ask()
    assert sorted(await agency.states()) == [("issue_failed", "failed"), ("issued", "transmitted")]
    assert len(await books.published("month.closed")) == 1

    agency.outside = agency.outside._replace(registry=registry)
    await agency.given()
    agency.at += ALL
    await agency.send()
    await agency.ask()

    assert await agency.states() == [("issued", "transmitted")] * 2
    assert len(agency.desk.held) == 2
    assert len(await books.published("month.closed")) == 2


async def test_a_modified_document_waits_for_the_success_of_its_original(agency: Agency) -> None:
    books = agency.books
    await books.paid_and_issued("A-1")
    await agency.given()
    await agency.send()
    agency.desk.pace = 600.0  # issued, and not transmitted for long
    completed = books.events.completed("A-1", "r-1", 40, 64_000, 6_400, at="2026-11-06T09:00:10+09:00")
    (waits,) = await books.take(completed)
    assert isinstance(waits, Wait)
    held = next(iter(agency.desk.held.values()))
    agency.desk.held[held.key] = held._replace(since=held.since - timedelta(seconds=5 * 600 + 1))
    await agency.ask()
    assert await agency.states() == [("issued", "issued")]

    await books.take(completed)
    agency.at += ALL
    assert await agency.send() == 0, "its original has no success yet"

    agency.desk.pace = 0.0
    await agency.ask()
    assert await agency.send() == 1
    ((_, said),) = [call for call in agency.desk.calls if call[0] == "/documents"][1:]
    (modified,) = said["documents"]
    assert (modified["modification"], modified["total"]) == ("supply_value_changed", -70_400)
    assert modified["original_key"] == held.key
    assert modified["original_approval_number"].startswith("20261021")
    await agency.ask()
    assert await agency.states() == [("issued", "transmitted")] * 2


def _sent(agency: Agency) -> list[dict[str, Any]]:
    calls = [said for path, said in agency.desk.calls if path == "/documents"]
    return [document for said in calls for document in said["documents"]]


def _golden(case: str) -> dict[str, Any]:
    golden = json.loads((Path(__file__).parents[2] / "golden" / "invoices.json").read_bytes())
    (found,) = [each for each in golden if each["id"] == case]
    return dict(found)


async def test_golden_case_m1_many_documents_go_in_few_calls(agency: Agency, books: StoredBooks) -> None:
    """One call gets no answer in time, one leaves a document out, one refuses one: those alone go again."""
    m1 = _golden("M1")
    count, submissions = m1["given"]["documents"], m1["expect"]["submissions"]
    await books.take(
        *(books.events.paid(f"A-{number:03d}", lines=[line(kind="goods")]) for number in range(count))
    )
    await agency.given()
    keys = [
        row["document_key"].replace("-", "")
        for row in await books.pool.fetch("SELECT document_key FROM submissions ORDER BY document_key")
    ]
    desk, take = agency.desk, agency.desk._take
    left_out, refused = {keys[7]}, {keys[-1]}

    def take_but_two(document: Any, at: Any) -> Any:
        if document["key"] in left_out:
            return left_out.discard(document["key"])
        if document["key"] in refused:
            refused.discard(document["key"])
            return {"key": document["key"], "answer": "refused", "reason": "busy"}
        return take(document, at)

    desk._take = take_but_two  # type: ignore[method-assign]
    sent = [await agency.send()]
    desk.faults = ["silent"]
    sent += [await agency.send(), await agency.send(), await agency.send()]

    assert sent == [*submissions, 0]
    assert [len(said) for said in agency.sendings] == submissions
    assert sorted(key for said in agency.sendings for key in said) == keys, "each document goes once"
    assert max(map(len, keys)) <= m1["expect"]["submit_id_max"]
    given = Counter(await agency.states())
    assert given == {("approved", "sent"): 148, ("approved", "sending"): 101, ("issue_failed", "failed"): 1}

    while await agency.ask(LOST_AFTER):
        pass
    assert await agency.send() == 1, "what the agent never had is sent again, under its key"
    assert agency.sendings[-1] == [keys[7]]
    await agency.ask()
    await agency.given()
    assert await agency.send() == 1, "what it refused is approved and given again"
    assert agency.sendings[-1] == [keys[-1]]
    await agency.ask()

    assert Counter(await agency.states()) == {("issued", "transmitted"): count}
    assert sorted(desk.held) == keys
    assert len(await books.published("invoice.issued")) == count
    numbers = await books.pool.fetchval("SELECT count(DISTINCT approval_number) FROM transmissions")
    assert numbers == count
    said = await books.pool.fetchval("SELECT count(*) FROM outbox")
    await books.pool.execute("UPDATE submissions SET state = 'to_send', next_at = $1", agency.at)
    assert [await agency.send() for _ in submissions] == submissions
    assert Counter(await agency.states()) == {("issued", "transmitted"): count}
    assert (sorted(desk.held), await books.pool.fetchval("SELECT count(*) FROM outbox")) == (keys, said)


async def test_golden_case_d9_a_modified_document_waits_for_its_original(agency: Agency) -> None:
    """Not transmitted: it waits. Failed: the original goes under a new key. Succeeded: it follows."""
    d9 = _golden("D9")
    expected = dict(zip(d9["given"]["original_state"], d9["expect"]["submit"], strict=True))
    books = agency.books
    await books.paid_and_issued("A-1")
    await agency.given()
    await agency.send()
    right, agency.desk._behaviour = agency.desk._behaviour, lambda key: "not_transmitted"  # type: ignore[method-assign]
    agency.desk.pace = 600.0
    (held,) = agency.desk.held.values()
    agency.desk.held[held.key] = held._replace(since=held.since - timedelta(seconds=5 * 600 + 1))
    await agency.ask()
    assert await agency.states() == [("issued", "issued")]
    await books.take(books.events.completed("A-1", "r-1", 40, 64_000, 6_400))

    assert expected["issued, not transmitted"] == "wait"
    agency.at += ALL
    assert await agency.send() == 0

    agency.desk.pace = 0.0
    await agency.ask()
    (failed,) = await books.published("invoice.transmission_failed")
    assert (failed["data"]["reason"], failed["data"]["next"]) == ("authority_unavailable", "send_again")
    assert expected["transmission failed"] == "no: the original is issued anew under a new key"
    assert await agency.send() == 0
    agency.desk._behaviour = right  # type: ignore[method-assign]
    await agency.given()
    agency.at += ALL
    assert await agency.send() == 1
    first, anew = _sent(agency)
    assert (anew["key"] != first["key"], anew["total"], anew["modification"]) == (True, first["total"], None)
    await agency.ask()

    assert expected["transmission succeeded"] == "yes, with the original's approval number"
    agency.at += ALL
    assert await agency.send() == 1
    modified = _sent(agency)[-1]
    number = await books.pool.fetchval(
        "SELECT approval_number FROM transmissions WHERE state = 'transmitted'"
    )
    assert (modified["original_key"], modified["original_approval_number"]) == (anew["key"], number)
    await agency.ask()
    assert await agency.states() == [("issued", "transmitted")] * 2

    key = await books.pool.fetchval("SELECT document_key FROM documents WHERE modification IS NULL")
    said = await explanation_of_document(books.pool, key, Caller("kim", frozenset()), behind="", limit=10)
    at_agent = said["at_agent"]
    assert at_agent["document_key"].replace("-", "") == anew["key"]
    assert [(each["document_key"], each["why"]) for each in at_agent["given_up"]] == [
        (key, "authority_unavailable")
    ]
    (noted,) = await books.pool.fetch("SELECT * FROM audit_log WHERE action = 'document.new_key_at_agent'")
    assert (noted["actor"], noted["target"]) == ("lee", f"{MONTH} {key}")


async def test_what_another_document_has_the_key_of_is_issued_under_a_new_one(agency: Agency) -> None:
    """It can be told of by both keys."""
    books = agency.books
    await books.paid_and_issued("A-1")
    await agency.given()
    await agency.send()
    (theirs,) = agency.desk.held.values()
    agency.desk.held[theirs.key] = theirs._replace(total=1)
    await agency.ask()
    assert await agency.states() == [("issue_failed", "failed")]

    await agency.given()
    agency.at += ALL
    await agency.send()

    assert [each["key"] for each in _sent(agency)] == [theirs.key, theirs.key[:-1] + "2"]
    assert agency.desk.held[theirs.key].total == 1
    await agency.ask()
    assert await agency.states() == [("issued", "transmitted")]
    (issued,) = await books.published("invoice.issued")
    assert issued["data"]["document_key"].replace("-", "") == theirs.key
    for key in (issued["data"]["document_key"], issued["data"]["document_key"][:-1] + "2"):
        close = _step("kim", LATER, None).close
        told = await transmitted(books.surroundings, books.store, close, [Result(key, "0" * 24, None)])
        assert told["refused"] == [{"document_key": key, "code": "wrong_approval_number"}]


async def test_a_document_is_taken_back_before_it_is_issued(agency: Agency) -> None:
    books = agency.books
    await books.paid_and_issued("A-1")
    await agency.given()
    key = await books.pool.fetchval("SELECT document_key FROM submissions")
    completed = books.events.completed("A-1", "r-1", 40, 64_000, 6_400)

    assert await agency.recall(key) == "approved"
    assert (await agency.states(), agency.desk.calls) == ([("approved", "failed")], [])

    await agency.given()
    agency.desk.pace = 600.0
    agency.at += ALL
    await agency.send()
    assert await agency.recall(key) == "approved"
    assert agency.desk.held == {}
    (taken,) = await books.take(completed)
    assert not isinstance(taken, Wait)


async def test_what_is_not_with_the_agent_or_may_be_on_its_way_is_not_taken_back(agency: Agency) -> None:
    books = agency.books
    await books.paid_and_issued("A-1")
    with pytest.raises(NotWithAgent, match="is not with"):
        await agency.recall("2026-10-1168200276-000001")

    await agency.given()
    key = await books.pool.fetchval("SELECT document_key FROM submissions")
    agency.desk.faults = ["down", "silent"]
    await agency.send()
    for _ in range(2):
        with pytest.raises(AgentSilent):
            await agency.recall(key)

    await agency.ask(LOST_AFTER)
    agency.at += ALL
    await agency.send()
    with pytest.raises(NotWithAgent, match="has transmitted"):
        await agency.recall(key)
    await agency.ask()
    with pytest.raises(NotWithAgent, match="is not with"):
        await agency.recall(key)


async def test_what_is_issued_here_is_never_taken_back_from_the_agent(agency: Agency) -> None:
    """A modified document is issued before the agent hears of it: in our books it cannot go away again."""
    books = agency.books
    await books.paid_and_issued("A-1")
    await agency.given()
    await agency.send()
    await agency.ask()
    await books.take(books.events.completed("A-1", "r-1", 40, 64_000, 6_400))
    key = await books.pool.fetchval("SELECT document_key FROM submissions WHERE state = 'to_send'")
    agency.desk.pace = 600.0
    agency.at += ALL
    assert await agency.send() == 1

    with pytest.raises(NotWithAgent, match="is issued"):
        await agency.recall(key)

    assert key.replace("-", "") in agency.desk.held
    assert await agency.states() == [("issued", "transmitted"), ("issued", "sent")]


@pytest.mark.parametrize("in_a_set", [0, 1])
async def test_without_the_agent_nothing_is_issued_that_is_with_it(agency: Agency, in_a_set: int) -> None:
    await two_businesses(agency.books)
    await agency.given(GANADA)
    step = _step("lee", LATER, None)
    await approve(agency.books.surroundings, agency.books.store, _step("kim", CLOSED_AT, None))

    issuer = WithoutAgent(agency.books.surroundings, Store(Policy()), Sizes(1, in_a_set))
    said = await issue(agency.books.surroundings, Store(Policy()), step, issuer)

    assert (said["issued"], [each["reason"] for each in said["left"]]) == (1, ["with_agent"])
    assert await agency.states() == [("approved", "to_send")]


async def test_the_schema_refuses_to_change_what_is_with_the_agent(
    agency: Agency, owner: asyncpg.Connection
) -> None:
    await agency.books.paid_and_issued("A-1")
    await agency.given()
    with pytest.raises(asyncpg.CheckViolationError, match="with the tax agent"):
        await owner.execute("UPDATE documents SET state = 'draft', document_key = NULL, written_date = NULL")


async def test_two_processes_send_a_document_once(agency: Agency) -> None:
    await agency.books.paid_and_issued("A-1")
    await agency.given()
    async with agency.books.pool.acquire() as other, other.transaction():
        await other.execute("SELECT FROM submissions FOR UPDATE")
        assert await agency.send() == 0
    assert await agency.send() == 1
    assert await agency.send() == 0
