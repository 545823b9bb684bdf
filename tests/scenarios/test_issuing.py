"""Paid units become serials: by themselves, when asked for, and in any number."""

import asyncpg
import pytest

from ops.setup.provision import Database
from tests.support.driver import Checkout
from tests.support.stories import Story

LARGE = 120_000


@pytest.mark.smoke
async def test_an_automatic_order_is_issued_and_locked_by_its_payment(checkout: Checkout) -> None:
    story = await Story(checkout).is_issued(quantity=100)

    assert [fact.type for fact in story.facts("order.")] == ["order.paid.v1"]
    granted = await story.until("issuance.granted.v2")
    issued = await story.until("serials.issued.v2")
    (grant,), (whole,) = granted.data["grants"], issued.data["grants"]
    assert whole["grant_id"] == grant["grant_id"]
    assert whole["quantity"] == grant["quantity"] == 100
    locked = await story.until("refund.locked.v2")
    assert (locked.subject, locked.data["lines"][0]["line_id"]) == (story.order_id, "1")
    draft = await story.until("invoice.drafted.v1")
    assert (draft.data["supply"], draft.data["vat"], draft.data["total"]) == (160_000, 16_000, 176_000)


async def test_an_order_of_many_lines_is_told_in_one_event_a_step(checkout: Checkout) -> None:
    lines = [(str(number), number, 1_600) for number in range(1, 23)]
    story = await Story(checkout).is_issued(lines=lines)
    await checkout.drain()

    for step, items in (
        ("issuance.granted", "grants"),
        ("serials.issued", "grants"),
        ("refund.locked", "lines"),
    ):
        (said,) = story.facts(step)
        assert [one["line_id"] for one in said.data[items]] == [line_id for line_id, *_ in lines]


async def test_a_partner_asks_for_units_in_parts_until_nothing_is_left(checkout: Checkout) -> None:
    story = await Story(checkout).is_paid(quantity=100)

    await story.asks_to_issue(60, request="iss-1")
    await story.until("issuance.granted.v2", request_id="iss-1")
    assert not story.facts("refund.locked")
    await story.asks_to_issue(request="iss-2")
    rest = await story.until("issuance.granted.v2", request_id="iss-2")
    await story.asks_to_issue(1, request="iss-3")
    denied = await story.until("issuance.denied.v1", request_id="iss-3")

    assert rest.data["grants"][0]["quantity"] == 40
    assert (denied.data["reason"], denied.data["left"]) == ("nothing_left", 0)
    await story.until("serials.issued.v2", 2)
    await story.until("refund.locked.v2")


async def test_asking_for_more_than_is_left_gets_nothing_and_hears_what_is_left(checkout: Checkout) -> None:
    story = await Story(checkout).is_paid(quantity=100)

    await story.asks_to_issue(101)
    denied = await story.until("issuance.denied.v1")

    assert (denied.data["reason"], denied.data["left"]) == ("not_enough_left", 100)
    assert not story.facts("issuance.granted")


async def test_the_same_request_under_a_new_event_id_changes_nothing(checkout: Checkout) -> None:
    story = await Story(checkout).is_paid(quantity=100)
    await story.asks_to_issue(60, request="iss-1")
    await story.until("serials.issued.v2")

    again = await story.answer_to(await story.asks_to_issue(60, request="iss-1"))
    other = await story.answer_to(await story.asks_to_issue(61, request="iss-1"))

    assert again.type == "event.accepted.v1"
    assert (other.data["code"], other.data["pointer"]) == ("duplicate_request", "/request_id")
    assert len(story.facts("issuance.granted")) == 1


async def test_a_request_that_comes_before_its_payment_waits_for_it(checkout: Checkout) -> None:
    story = Story(checkout)
    story.snapshot(quantity=100)

    early = await story.answer_to(await story.asks_to_issue(30))
    assert early.type == "event.accepted.v1"
    await story.pays()

    issued = await story.until("serials.issued.v2")
    assert issued.data["grants"][0]["quantity"] == 30


async def test_a_late_rejection_of_a_request_that_waited_becomes_an_event(checkout: Checkout) -> None:
    story = Story(checkout)
    story.snapshot(quantity=100)
    await story.answer_to(await story.asks_to_issue(30, line="no such line"))

    await story.pays()

    denied = await story.until("issuance.denied.v1")
    assert denied.data["reason"] == "unknown_line"


@pytest.mark.smoke
async def test_a_large_grant_is_issued_in_chunks_that_report_progress(
    checkout: Checkout, database: Database
) -> None:
    story = Story(checkout)
    small = Story(checkout)

    await story.pays(policy="automatic", quantity=LARGE)
    await small.is_issued(quantity=1)
    issued = await story.until("serials.issued.v2")

    progress = [fact.data["issued"] for fact in story.facts("issuance.progressed")]
    assert progress == sorted(progress)
    assert len(progress) >= 2
    (grant,) = issued.data["grants"]
    assert grant["quantity"] == LARGE
    connection = await asyncpg.connect(database.admin_url)
    units = await connection.fetchval(
        "SELECT count(DISTINCT lookup_tag) FROM serials.serials WHERE grant_id = $1", grant["grant_id"]
    )
    await connection.close()
    assert units == LARGE
