"""*Order*: the story drawn, its ledgers, what it waits for, and all of it as one file."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from console.formats import Language
from console.reading import Reader
from console.screens import order
from ops.shell.system import System
from ops.watch.audit_log import Audited, Entry
from ops.watch.story.model import Case, Change, Event, Invoice, Line, Refund, Story, Wait
from shared.operators.sentences import Sentence
from shared.operators.todo import Thresholds
from tests.support.console_pages import request_of, text_of, visit_of

THE_CLOSE = Sentence("the close of {month}, from {day} on", month="2026-11", day="2026-12-01")
AT = datetime(2026, 11, 30, 1, 0, tzinfo=UTC)


def event(number: int, service: str, type_name: str, caused_by: int | None = None, **data: Any) -> Event:
    return Event(
        "2026-11-30T10:00:00+09:00",
        service,
        f"{service}.events",
        type_name,
        f"e{number}",
        AT + timedelta(seconds=number),
        (number, 1),
        data,
        caused_by="" if caused_by is None else f"e{caused_by}",
    )


def story(**changed: Any) -> Story:
    """A payment that was refunded four times, and waits for its month."""
    events = [
        event(0, "checkout", "payment.completed.v1"),
        event(1, "orders", "order.paid.v1", 0, amount=110_000),
    ]
    for number in range(4):
        asked = 2 + number * 2
        events.append(event(asked, "checkout", "refund.requested.v1"))
        events.append(event(asked + 1, "refunds", "refund.accepted.v1", asked))
    usual = {
        "state": "paid",
        "payment_id": "pay-1",
        "amount": 110_000,
        "lines": [Line("1", "serials", "<b>ticket</b>", 10, 0, 6, 0, 4)],
        "refunds": [Refund("r-1", "rr-1", "completed", "changed mind", 44_000, None)],
        "invoices": [Invoice("i-1", "original", None, "2026-11", "draft", 66_000)],
        "cases": [Case("pay-9", "paid_twice", 5)],
        "changes": [Change("refunds", AT, "kim", "refund.approve", "A-1", "a friend", "done")],
        "events": events,
        "waits": [Wait(THE_CLOSE, "pawl month 2026-11")],
    }
    return Story("A-1", **{**usual, **changed})


class ReaderOf(Reader):
    """Reads one story."""

    def __init__(self, told: Story) -> None:
        super().__init__(System(directory=Path()), Thresholds())
        self.told = told

    async def order(self, order_id: str) -> Story | None:
        return self.told if order_id == self.told.order_id else None

    async def watched(self, of: str) -> str:
        return f"of={of}&mark=1"

    async def audited(self, *_: Any) -> Audited:
        entry = Entry("refunds", AT, "a-1", "kim", "refund.approve", "A-1", "a friend", "done", "q", 1, 2)
        return Audited([entry])


async def shown(told: Story, language: Language = "en", **query: str) -> str:
    request = request_of("/order", id="A-1", **query)
    return text_of(await order.show(ReaderOf(told), request, visit_of("viewer", language)))


async def test_what_repeats_is_told_once_and_can_be_opened() -> None:
    steps = order.steps_of(story(changes=[]))

    assert [(step.place, step.says, len(step.told)) for step in steps] == [
        ("checkout", "payment completed  e0", 1),
        ("orders", "order paid  ₩110,000", 1),
        ("checkout", "refund requested", 4),
        ("refunds", "refund accepted", 4),
    ]
    html = await shown(story())
    assert html.count("4 times, until 2026-11-30 10:00:00") == 2


async def test_a_step_says_which_one_led_to_it_and_how_long_after() -> None:
    steps = order.steps_of(story(changes=[]))

    assert [(step.number, step.cause, step.delay) for step in steps] == [
        (1, None, "+0ms"),
        (2, 1, "+1.0s"),
        (3, None, "+2.0s"),
        (4, 3, "+1.0s"),
    ]


async def test_what_a_person_did_leads_to_what_followed() -> None:
    kim = Change("refunds", AT, "kim", "refund.retry", "A-1", "a friend", "done", id="audit-1")
    after = event(1, "refunds", "refund.payout_requested.v1")
    after.caused_by = "audit-1"

    did, followed = order.steps_of(story(changes=[kim], events=[after]))

    assert (did.kind, followed.cause) == ("change", did.number)


async def test_both_ledgers_foot_to_zero_and_a_mistake_is_seen() -> None:
    units = order.unit_ledger(story())

    assert (units.total.paid, units.total.left, list(units.parts)) == (10, 0, ["issued", "refunded"])
    assert sum(won for _, won in order.won_ledger(story())) == 0
    assert 'class="wrong"' not in await shown(story())
    more = story(lines=[Line("1", "serials", "x", 10, 0, 8, 0, 4)])
    assert 'class="wrong"' in await shown(more)


async def test_what_is_missing_is_drawn_where_it_is_missing_with_its_way() -> None:
    html = await shown(story())

    assert '<i class="node at-invoices">' in html
    assert 'href="/month?month=2026-11"' in html
    assert "&lt;b&gt;ticket&lt;/b&gt;" in html


@pytest.mark.parametrize(
    ("says", "place"),
    [
        ("serials to issue 3 units of line 1, 0 are done", "serials"),
        ("an operator: refund.requested.v1 e-1 is blocked in orders, no_payment", "orders"),
        ("an operator to retry or release refund rr-1 of 5 won: account_closed", "refunds"),
        ("the close of 2026-11, from 2026-12-01 on", "invoices"),
        ("a decision about 5 won in quarantine: paid_twice (payment pay-9)", "orders"),
        ("the deposit, until 2026-12-01T00:00:00+09:00", "checkout"),
    ],
)
def test_a_wait_has_a_place(says: str, place: str) -> None:
    assert order.missing_of(Wait(Sentence(says))).place == place


async def test_in_korean_nothing_of_a_story_is_english_but_what_people_wrote() -> None:
    html = await shown(story(), language="ko")

    assert "2026-11 마감 (2026-12-01부터)" in html
    assert "결제가 확인되었습니다" in html
    assert "kim: 환불 승인 (a friend)" in html
    assert "refund approve" not in html
    assert "waits" not in re.sub("<[^>]+>", " ", html)


async def test_everything_about_an_order_is_one_file() -> None:
    answer = await order.show(
        ReaderOf(story()), request_of("/order", id="A-1", format="bundle"), visit_of("viewer")
    )

    assert answer.headers["content-disposition"] == 'attachment; filename="order-A-1.json"'
    bundle = json.loads(text_of(answer))
    assert bundle["order"]["order_id"] == "A-1"
    assert bundle["documents"][0]["total"] == 66_000
    assert bundle["cases"] == [{"payment_id": "pay-9", "reason": "paid_twice", "amount": 5}]
    assert (bundle["audit"][0]["actor"], bundle["audit"][0]["after"]) == ("kim", 2)


async def test_what_people_did_leads_to_the_audit_log() -> None:
    html = await shown(story())

    assert 'href="/audit?target=A-1"' in html
    assert 'href="/audit?actor=kim"' in html
    assert "Nobody has changed anything about it." in await shown(story(changes=[]))


async def test_a_page_watches_its_order_and_says_when_it_was_read() -> None:
    html = await shown(story())

    assert 'data-watched="of=key:A-1&amp;mark=1"' in html
    assert "Read again" in html
