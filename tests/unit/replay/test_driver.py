"""The driver says the history in causal order and ends with the same outcomes, whatever arrives first."""

from datetime import datetime

import orjson
import pytest

from ops.replay.driver import Driver, Stalled
from ops.replay.ledger import Ledger
from ops.replay.plan import Plan
from ops.replay.summary import count_outcomes, most_interesting, summarise
from tests.unit.replay.histories import line, planned
from tests.unit.replay.toy_system import ToySystem


def story(close_months: bool = False) -> Plan:
    """Bought, partly refunded on day three, issued on day five, asked back on day six; with postage."""
    return planned(
        line("1001", quantity=10),
        line("1001", product="POST", quantity=1, price="18"),
        line("C1002", quantity=-4, at="2011-03-04T10:00"),
        line("C1003", quantity=-2, at="2011-03-07T10:00"),
        line("C1003", product="POST", quantity=-1, at="2011-03-07T10:00"),
        line("C1003", product="99999", quantity=-1, at="2011-03-07T10:00"),
        line("2001", quantity=5, at="2011-04-02T10:00", customer="12584"),
        line("C2002", quantity=-5, at="2011-04-03T10:00", customer="12584"),
        close_months=close_months,
    )


async def drive(plan: Plan, system: ToySystem, window: int = 2_000) -> Ledger:
    return await Driver(plan, system, system.close, system.clock, window=window).run()


@pytest.mark.parametrize("seed", range(20))
async def test_a_replay_ends_the_same_way_whatever_arrives_first(seed: int) -> None:
    plan = story()
    ledger = await drive(plan, ToySystem(seed))
    assert count_outcomes(plan, ledger) == {
        "cancel_without_order": 1,
        "issued_and_refunded": 1,
        "refund_completed": 3,
        "refund_rejected_issued": 1,
        "refunded": 2,
    }


async def test_an_order_hears_its_next_events_only_when_those_before_are_settled() -> None:
    system = ToySystem()
    await drive(story(), system)
    said = [event.type.rsplit(".", 1)[0] for event in system.published if event.key == "1001"]
    assert said == [
        "payment.completed",
        "refund.requested",
        "refund.paid_out",
        "issuance.requested",
        "refund.requested",
        "refund.requested",
        "return.confirmed",
        "refund.paid_out",
    ]


async def test_a_second_replay_says_everything_again_and_reports_the_same() -> None:
    plan, system = story(close_months=True), ToySystem()
    driver = Driver(plan, system, system.close, system.clock)
    first = await driver.run()
    assert not driver.is_known
    before = len(system.log)
    driver = Driver(plan, system, system.close, system.clock)
    second = await driver.run()
    assert driver.is_known
    assert system.repeats == plan.steps
    assert len(system.log) == before
    documents = [summarise(plan, ledger, 0, 0.0, None).document for ledger in (first, second)]
    assert documents[0] == documents[1]


async def test_a_replay_that_was_interrupted_goes_on_where_it_stopped() -> None:
    plan = story()
    system = ToySystem(mute=frozenset({"refund.paid_out.v1"}))
    with pytest.raises(Stalled):
        await drive(plan, system)
    system.mute = frozenset()
    ledger = await drive(plan, system)
    assert count_outcomes(plan, ledger) == count_outcomes(plan, await drive(plan, ToySystem()))


async def test_answers_that_the_feedback_topic_no_longer_keeps_are_asked_of_the_services() -> None:
    plan, system = story(), ToySystem()
    first = await drive(plan, system)
    system.log = [answer for answer in system.log if not answer.type.startswith("event.")]
    assert count_outcomes(plan, await drive(plan, system)) == count_outcomes(plan, first)


async def test_many_orders_are_in_flight_but_never_more_than_the_window() -> None:
    plan = planned(*(line(str(number)) for number in range(1000, 1300)))
    system = ToySystem()
    await drive(plan, system, window=40)
    assert 30 <= system.most_unanswered <= 40


async def test_a_month_is_closed_before_its_orders_go_on_and_no_other_order_waits_for_it() -> None:
    plan = planned(
        line("1001", quantity=10),
        line("C1002", quantity=-4, at="2011-04-06T10:00"),
        line("2001", at="2011-04-20T10:00"),
        close_months=True,
    )
    system = ToySystem()

    ledger = await drive(plan, system)

    assert [month for month, _ in system.closed] == ["2011-03", "2011-04"] == list(ledger.books.closed)
    told = [(answer.key, answer.type) for answer in system.log]
    closed = told.index(("2011-03", "month.closed.v1"))
    assert told.index(("1001", "serials.issued.v2")) < closed < told.index(("1001", "refund.rejected.v1"))
    assert told.index(("2001", "order.paid.v1")) < closed


async def test_a_month_of_which_nothing_is_said_is_closed_all_the_same() -> None:
    class Silent(ToySystem):
        async def close(self, month: str, at: datetime) -> None:
            """Invoices answers, and has nothing to say: everything was refunded."""
            self.closed.append((month, at))

    system = Silent()
    await drive(story(close_months=True), system)
    assert [month for month, _ in system.closed] == ["2011-03", "2011-04"]


async def test_a_close_that_fails_ends_the_replay() -> None:
    class Broken(ToySystem):
        async def close(self, month: str, at: datetime) -> None:
            raise LookupError(month)

    with pytest.raises(LookupError, match="2011-03"):
        await drive(story(close_months=True), Broken())


async def test_payouts_are_left_to_a_gateway_that_answers_them() -> None:
    plan, system = story(), ToySystem()
    driver = Driver(plan, system, system.close, system.clock, pays=False)

    with pytest.raises(Stalled, match=r"\(payout_requested\)"):
        await driver.run()

    assert "refund.paid_out.v1" not in {event.type for event in system.published}


@pytest.mark.parametrize(
    ("mute", "named"),
    [
        ("payment.completed.v1", "1001 waits for the answer of orders to payment.completed.v1"),
        ("refund.paid_out.v1", r"1001 waits for the end of refund request C1002-1 \(payout_requested\)"),
        ("return.confirmed.v1", r"1001 waits for the end of refund request C1003-2 \(held\)"),
        ("partner.changed.v1", "C12583 waits for the answer of invoices"),
    ],
)
async def test_a_silent_system_ends_the_replay_with_what_it_waits_for(mute: str, named: str) -> None:
    with pytest.raises(Stalled, match=named):
        await drive(story(), ToySystem(mute=frozenset({mute})))


async def test_the_summary_adds_up() -> None:
    plan = story(close_months=True)
    ledger = await drive(plan, ToySystem())
    document = summarise(plan, ledger, published=9, seconds=2.0, check={"ok": True}).document
    rates = "orders_per_second events_per_second units_per_second"
    keys = f"lines outcomes orders units refunds won months seconds {rates} check"
    assert list(document) == keys.split()
    assert orjson.loads(orjson.dumps(document)) == document
    assert document["lines"] == sum(document["outcomes"].values()) == 8
    assert document["units"] == {"paid": 16, "issued": 6, "refunded": 10, "open": 0}
    refunds = document["refunds"]
    assert (refunds["requested"], refunds["granted"], refunds["completed"]) == (4, 3, 3)
    assert refunds["rejected"] == {"issued": 1}
    assert document["months"].keys() == {"2011-03", "2011-04"}
    assert (document["orders_per_second"], document["units_per_second"]) == (1.0, 8.0)
    assert document["events_per_second"] == (9 + ledger.records) / 2
    assert most_interesting(ledger) == "1001"
