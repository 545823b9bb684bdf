"""Everybody asks for units of one line at once, over Kafka and over HTTP: nobody gets what is not there.

What a service reads next, when a relay publishes, who is at work within whose transaction, and which way a
request takes are drawn by a seed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from random import Random
from typing import Any, Final, Literal
from unittest.mock import patch

import pytest

import services.orders.decisions.refunds as orders_refunds
import services.refunds.decisions.requests as refund_requests
from services.orders.state import Line
from shared.events.catalogue import SERVICES
from shared.kst import wire_time
from shared.runtime.records import StoredRecord
from tests.simulation.bug import Bug
from tests.simulation.checkout import START
from tests.simulation.checks import Checks
from tests.simulation.memory import Held, Row, Running
from tests.simulation.promises import Violation
from tests.simulation.story import ORDER, PRICE, Story, payment, refund_request, told
from tests.simulation.system import to_ask_refund

UNITS: Final = 100
REQUESTS: Final = 100
Way = Literal["kafka", "http"]
WAYS: Final[Sequence[Way]] = ("kafka", "http")
TOMORROW: Final = START + timedelta(days=1)
Act = Callable[[], Any]


class Rush(Story):
    """An order of a hundred units that everybody knows to be paid, and all that is asked of it at once."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.checks = Checks(self.system)
        self._random = Random(seed)
        self.told: list[Mapping[str, Any]] = []

    def begin(self) -> None:
        """The order is paid."""
        self.say("payment.completed.v1", **payment(units=UNITS))
        self.settle()

    def issuance(self, units: int) -> Act:
        """Somebody asks to have units issued."""
        lines = [{"line_id": "1", "quantity": units}]
        return lambda: self.say("issuance.requested.v1", request_id="i-1", lines=lines)

    def refund(self, way: Way, request: str, units: int) -> Act:
        """Somebody asks for a refund, in one of the two ways."""
        said = refund_request(request, units)
        if way == "kafka":
            return lambda: self.say("refund.requested.v1", **said)
        return lambda: self._ask_over_http({"order_id": ORDER, **said})

    def run(self, asked: Iterable[Act]) -> None:
        """Asks for all of it in any order while the services are at work, and comes to rest."""
        left = list(asked)
        self._random.shuffle(left)
        while left:
            act = self._random.choice((left.pop, lambda: self._read_some, lambda: self._publish_some))()
            act()
            self.checks.step()
        self.settle()
        self.checks.step()

    def pay_out(self) -> None:
        """Every payout that is asked for is made, and every promise was kept."""
        payouts = {}
        for refund in self.refunds("paying_out"):
            about = {"refund_id": str(refund["refund_id"]), "payout_id": f"po-{refund['refund_id']}"}
            payouts[about["refund_id"]] = refund["supply"] + refund["vat"] - refund["fee"]
            self.say("refund.paid_out.v1", TOMORROW, **about, paid_out_at=wire_time(TOMORROW))
        self.settle()
        self.checks.rest(frozenset(), payouts)

    def refunds(self, *states: str) -> list[Row]:
        """The refunds in one of these states."""
        rows = self.system.sites["refunds"].database.tables["refunds"].values()
        return [row for row in rows if row["state"] in states]

    @property
    def line(self) -> Row:
        """The line, as orders keeps it."""
        line: Row = self.system.sites["orders"].database.tables["order_lines"][ORDER, "1"]
        return line

    @property
    def claimed(self) -> int:
        """So many units of the line are issued or refunded, or will be."""
        return sum(self.line[name] for name in ("issuing", "issued", "refunding", "refunded"))

    def _ask_over_http(self, document: Mapping[str, Any]) -> None:
        """A request is decided while the service reads, the one within the transaction of the other."""
        site, records = self.system.sites["refunds"], self._some("refunds")
        command = to_ask_refund(site, document, START)
        works: list[Callable[[], Any]] = [
            lambda: site.fold.decide([command]),
            lambda: site.fold.handle(records),
        ]
        self._random.shuffle(works)
        slow, quick = map(Running, (work() for work in works))
        steps = self._random.randint(0, 6)
        site.database.pausing = True
        while steps and slow.step() is not None:
            steps -= 1
        site.database.pausing = False
        try:
            quick.finish()
        except Held:
            slow.finish()
            quick = Running(works[1]())
            quick.finish()
        ((answer,),) = [work.result for work in (slow, quick) if work.finish() is not None]
        self._take("refunds", records)
        assert answer.status == 200, answer
        self.told.append(answer.document)

    def _read_some(self) -> None:
        service = self._random.choice(SERVICES)
        records = self._some(service)
        self.system.sites[service].handle(records)
        self._take(service, records)
        if service == "serials":
            self.system.sites[service].issue_chunk()

    def _publish_some(self) -> None:
        leader = self._leaders[self._random.choice(SERVICES)]
        rows = leader.waiting(self._random.randint(1, 8))
        if rows:
            leader.send(rows)
            leader.acknowledged(rows)
            leader.mark()

    def _some(self, service: str) -> list[StoredRecord]:
        """What a poll returns: some of each topic, in its order."""
        records = []
        for topic, at in self._at[service].items():
            log = self.system.broker.logs[topic, 0]
            records += log[at : at + self._random.randint(0, 4)]
        return records

    def _take(self, service: str, records: Iterable[StoredRecord]) -> None:
        for record in records:
            self._at[service][record.topic] = record.offset + 1


def rush(seed: int, asked: Callable[[Rush], Iterable[Act]]) -> Rush:
    """An order, all that is asked of it, and its end."""
    story = Rush(seed)
    with told(story):
        story.begin()
        story.run(asked(story))
        story.pay_out()
    return story


def names(refunds: Iterable[Row]) -> set[str]:
    """Their request ids."""
    return {refund["refund_request_id"] for refund in refunds}


def units_of(number: int) -> int:
    """So many units are asked for by a request."""
    return number % 3 + 1


def a_hundred_and_an_issuance(story: Rush) -> Iterable[Act]:
    yield story.issuance(40)
    for number in range(REQUESTS):
        yield story.refund(WAYS[number % 2], f"r-{number}", units_of(number))


def two_for_the_same_units(story: Rush) -> Iterable[Act]:
    return [story.refund("kafka", "r-1", 70), story.refund("http", "r-2", 70)]


def one_request_a_hundred_times(story: Rush) -> Iterable[Act]:
    return [story.refund(WAYS[number % 2], "r-1", 40) for number in range(REQUESTS)]


@pytest.mark.parametrize("seed", range(1, 21))
def test_a_hundred_requests_and_an_issuance_never_exceed_what_was_paid(seed: int) -> None:
    story = rush(seed, a_hundred_and_an_issuance)

    assert story.claimed <= UNITS
    completed, refused = story.refunds("completed"), story.refunds("denied", "rejected")
    assert len(completed) + len(refused) == REQUESTS
    assert story.line["issued"] in (0, 40)
    won = sum(refund["supply"] + refund["vat"] for refund in completed)
    assert won == story.line["refunded"] * PRICE
    in_vain = [units_of(number) for number in range(REQUESTS) if f"r-{number}" in names(refused)]
    assert min(in_vain) > UNITS - story.claimed, "nobody was refused what is still there"


@pytest.mark.parametrize("seed", range(1, 31))
def test_of_two_for_the_same_units_exactly_one_wins(seed: int) -> None:
    story = rush(seed, two_for_the_same_units)

    (lost,) = story.refunds("denied", "rejected")
    assert len(story.refunds("completed")) == 1
    assert lost["why"] in ("already_refunded", "refund_in_progress")


def test_over_either_way_a_request_can_be_the_one_that_wins() -> None:
    winners = set()
    for seed in range(1, 31):
        winners |= names(rush(seed, two_for_the_same_units).refunds("completed"))

    assert winners == {"r-1", "r-2"}


@pytest.mark.parametrize("seed", range(1, 21))
def test_one_request_a_hundred_times_is_one_refund(seed: int) -> None:
    story = rush(seed, one_request_a_hundred_times)

    (refund,) = story.refunds("completed")
    assert len(story.system.sites["refunds"].database.tables["refunds"]) == 1
    assert {said["refund_id"] for said in story.told} == {str(refund["refund_id"])}
    assert (story.claimed, story.facts("refunds").count("refund.payout_requested.v1")) == (40, 1)


_claim_refund = orders_refunds.claim_refund


def _claim_without(counter: str) -> Callable[..., Any]:
    """The claim of a refund that takes no notice of units which somebody else has."""
    others = {"issuing", "issued", "refunding", "refunded"} - {counter}
    is_open = property(lambda line: line.paid - sum(getattr(line, name) for name in others))

    def claim(*arguments: Any) -> Any:
        with patch.object(Line, "open", is_open):
            return _claim_refund(*arguments)

    return claim


@pytest.mark.parametrize(
    ("bug", "story"),
    [
        (Bug("issued units are refunded", orders_refunds, "claim_refund", _claim_without("issued")),
         a_hundred_and_an_issuance),
        (Bug("units are refunded twice", orders_refunds, "claim_refund", _claim_without("refunding")),
         two_for_the_same_units),
        (Bug("a known request is asked again", refund_requests, "refund_of_request", lambda *_: None),
         one_request_a_hundred_times),
    ],
    ids=lambda given: getattr(given, "name", ""),
)  # fmt: skip
def test_a_planted_bug_is_noticed(bug: Bug, story: Callable[[Rush], Iterable[Act]]) -> None:
    with bug.planted(), pytest.raises((Violation, AssertionError)):
        [rush(seed, story) for seed in range(1, 11)]
