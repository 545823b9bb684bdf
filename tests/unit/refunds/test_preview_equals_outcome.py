"""What a preview says is what then happens, when nothing changed in between: units, won, days, documents.

Orders, refunds and invoices decide here as they do when they run; only their events are carried by hand.
"""

from collections import deque
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

import services.invoices.handlers as invoices
import services.orders.handlers as orders
import services.refunds.handlers as refunds
from services.invoices.decisions.closing import issue_month
from services.invoices.state import Document, DocumentCounter, Policy
from services.invoices.state import World as InvoicesWorld
from services.orders.state import World as OrdersWorld
from services.refunds.decisions.eligibility import Eligibility, eligibility, tax_effect
from services.refunds.policies.holds import HOLDS
from services.refunds.state import Order, Refund
from services.refunds.state import World as RefundsWorld
from shared.events.canonical import content_hash
from shared.events.catalogue import TYPES
from shared.events.checkout import IMPOSSIBLE_EVIDENCE
from shared.kst import KST
from shared.money import NOTHING, Money, payment_money
from shared.runtime.decisions import Applied, Context, Event, Position, Wait
from shared.tax_documents import IssuedInvoice, TaxEffect
from shared.units import LineUnits
from tests.unit.refunds.desk import ACCOUNT, line

ORDER = "A-1"
GANADA = "1168200276"
PAID_AT = datetime(2026, 10, 21, 14, 3, 5, tzinfo=KST)
CLOSED_AT = datetime(2026, 11, 2, 9, tzinfo=KST)
KINDS = ("serials", "metered", "prepaid", "goods")


class Town:
    """Three services and the events between them; `now` is the time of what is said next."""

    def __init__(self) -> None:
        self.now = PAID_AT
        self.refunds = RefundsWorld()
        self.invoices = InvoicesWorld(Policy(), counters={GANADA: DocumentCounter(GANADA)})
        self._services: list[tuple[Any, Any]] = [
            (orders, OrdersWorld()),
            (refunds, self.refunds),
            (invoices, self.invoices),
        ]
        self.said: list[tuple[str, dict[str, Any]]] = []
        self._numbers = count(1)

    def say(self, type_name: str, key: str = ORDER, **data: Any) -> None:
        """Checkout says something about the order, and everything that follows happens at once."""
        self._carry(deque([(type_name, key, {"order_id": ORDER, **data})]))

    def close(self) -> None:
        """The documents of October are issued."""
        self.now = CLOSED_AT
        self.invoices.closed["2026-10"] = CLOSED_AT
        issued = issue_month(self.invoices, "2026-10", CLOSED_AT, self.new_id)
        self._carry(deque((event.type, event.key or ORDER, event.data) for event in issued))

    def new_id(self) -> UUID:
        return UUID(int=next(self._numbers))

    @property
    def order(self) -> Order:
        return self.refunds.orders[ORDER]

    @property
    def refund(self) -> Refund:
        return list(self.order.refunds.values())[-1]

    @property
    def issued(self) -> IssuedInvoice | None:
        """What refunds was told of the invoice of the payment."""
        told = [each for each in self.refunds.invoiced if each.payment_id == self.order.payment_id]
        if not told:
            return None
        return IssuedInvoice(told[0].document_key, Money(told[0].supply, told[0].vat), told[0].written_date)

    @property
    def documents(self) -> dict[UUID, Document]:
        return dict(self.invoices.documents)

    def last(self, type_name: str) -> dict[str, Any]:
        return [data for name, data in self.said if name == type_name][-1]

    def _carry(self, way: deque[tuple[str, str, dict[str, Any]]]) -> None:
        turns = 0
        while way:
            turns += 1
            assert turns < 1_000, "an event waits for ever"
            type_name, key, data = way.popleft()
            self.said.append((type_name, data))
            event = self._event(type_name, key, data)
            for service, world in self._services:
                if type_name in service.ROUTES:
                    outcome = service.ROUTES[type_name].handle(world, event, Context(self.new_id))
                    if isinstance(outcome, Wait):
                        way.append((type_name, key, data))
                        continue
                    assert isinstance(outcome, Applied), outcome
                    way.extend((new.type, new.key or key, new.data) for new in outcome.events)

    def _event(self, type_name: str, key: str, data: dict[str, Any]) -> Event[Any]:
        body, number = orjson.dumps(data), next(self._numbers)
        return Event(
            source="test",
            id=f"evt-{number}",
            type=type_name,
            subject=key,
            key=key,
            time=self.now,
            correlation=key,
            sequence=None,
            content=content_hash(type_name, body),
            data=TYPES[type_name].model.model_validate_json(body),
            position=Position("test", 0, number),
        )


@st.composite
def lines(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Lines of all four kinds, some of them free, some with a discount."""
    sold = []
    for number in range(1, draw(st.integers(1, 4)) + 1):
        price, quantity = draw(st.sampled_from([10_000, 1_605, 333, 1, 0])), draw(st.integers(1, 6))
        worth = price * quantity
        discount = draw(st.sampled_from([0, 0, 0, worth // 3, min(worth, 7), worth]))
        kind = draw(st.sampled_from(KINDS))
        sold.append(line(str(number), quantity, price, kind, discount=discount))
    return sold


@st.composite
def purchases(draw: st.DrawFn) -> dict[str, Any]:
    """What `payment.completed` says of an order."""
    methods = ["card", "virtual_account", "bank_transfer", "mycash", "app_store"]
    kinds = ["tax_invoice", "card_slip", "cash_receipt"]
    ways = [(m, e) for m in methods for e in kinds if (m, e) not in IMPOSSIBLE_EVIDENCE]
    method, evidence = draw(st.sampled_from([*ways, *[("bank_transfer", "tax_invoice")] * len(ways)]))
    sold, mode = draw(lines()), draw(st.sampled_from(["exclusive", "inclusive"]))
    price = sum(each["unit_price"] * each["quantity"] - each["discount"] for each in sold)
    return {
        "payment_id": "pay-1",
        "amount": payment_money(mode, price).total,
        "paid_at": PAID_AT.isoformat(),
        "partner": {
            "partner_id": "P-17",
            "business_number": GANADA,
            "name": "가나다 주식회사",
            "invoice_email": "tax@ganada.example",
        },
        "payment_method": method,
        "evidence": evidence,
        "issue_policy": "on_request",
        "vat_mode": mode,
        "lines": sold,
    }


def live(town: Town, data: st.DataObject, sold: list[dict[str, Any]]) -> None:
    """Something happens to the order: units are issued, goods arrive, something is used or refunded."""
    for each in sold:
        line_id, kind = each["line_id"], each["kind"]
        town.now += timedelta(hours=data.draw(st.integers(0, 30)))
        some = data.draw(st.integers(0, each["quantity"]))
        if kind == "serials" and some:
            wanted = [{"line_id": line_id, "quantity": some}]
            town.say("issuance.requested.v1", request_id=f"iss-{line_id}", lines=wanted)
        if kind == "goods" and some:
            town.say("line.delivered.v1", line_id=line_id, delivered_at=town.now.isoformat())
        if kind == "metered" and some:
            town.say("line.activated.v1", line_id=line_id, activated_at=town.now.isoformat())
        if kind == "prepaid" and data.draw(st.booleans()):
            expires = (town.now + timedelta(days=some)).isoformat()
            town.say("balance.granted.v1", line_id=line_id, bonus=500, expires_at=expires)
        if kind in ("metered", "prepaid") and data.draw(st.booleans()):
            used = data.draw(st.sampled_from([0, 1, 400, 5_000]))
            town.say("usage.recorded.v1", line_id=line_id, used=used, recorded_at=town.now.isoformat())


def asked_units(data: st.DataObject, sold: list[dict[str, Any]]) -> tuple[LineUnits, ...] | None:
    """Everything, or some units of some lines; sometimes more than were paid."""
    if data.draw(st.booleans()):
        return None
    named = data.draw(st.lists(st.sampled_from(sold), min_size=1, unique_by=lambda each: each["line_id"]))
    return tuple(
        LineUnits(
            each["line_id"], data.draw(st.integers(1, each["quantity"] + 1) | st.just(each["quantity"]))
        )
        for each in named
    )


def request(town: Town, asked: tuple[LineUnits, ...] | None, request_id: str) -> None:
    named = {} if asked is None else {"lines": [each.document() for each in asked]}
    town.say(
        "refund.requested.v1",
        refund_request_id=request_id,
        requested_by="P-17",
        role="partner",
        reason="financial_burden",
        message="수량을 잘못 주문했습니다",
        destination=ACCOUNT,
        **named,
    )


def go_through(town: Town) -> list[str]:
    """Everything that a refund waits for comes at once; what it waited for, in turn."""
    waited: list[str] = []
    while town.refund.state in ("held", "in_review"):
        why = town.refund.why
        assert why is not None
        waited.append(why)
        refund_id = str(town.refund.refund_id)
        if HOLDS[why].next == "confirm_return":
            town.say("return.confirmed.v1", refund_id=refund_id)
        else:
            town.say("refund.reviewed.v1", refund_id=refund_id, decision="approve", actor="operator:kim")
    return waited


def pay_out(town: Town, told: Eligibility) -> None:
    """The gateway pays on the day that was expected, unless there was nothing to pay."""
    if town.refund.state != "paying_out":
        return
    asked = town.last("refund.payout_requested.v1")
    assert told.expected_on is not None
    assert asked["expected_on"] == told.expected_on.isoformat()
    assert asked.get("expected_until", asked["expected_on"]) == str(told.expected_until)
    assert asked["destination"]["method"] == told.destination
    town.now = datetime(told.expected_on.year, told.expected_on.month, told.expected_on.day, 10, tzinfo=KST)
    refund_id = str(town.refund.refund_id)
    town.say("refund.paid_out.v1", refund_id=refund_id, payout_id="po-1", paid_out_at=town.now.isoformat())


def check_documents(
    before: dict[UUID, Document], after: dict[UUID, Document], effect: TaxEffect, money: Money
) -> None:
    made = [document for invoice_id, document in after.items() if invoice_id not in before]
    lowered = NOTHING
    for invoice_id, document in before.items():
        lowered = lowered.plus(document.amount.minus(after[invoice_id].amount))
    assert lowered == (money if effect.kind == "draft_lowered" else NOTHING)
    told = [] if effect.modified is None else [effect.modified]
    assert [(d.modification, d.amount, d.written_date) for d in made] == [
        (each.modification, each.amount, each.written_date) for each in told
    ]
    for each in told:
        assert any(document.document_key == each.original_key for document in before.values())


@settings(max_examples=500, deadline=None)
@given(purchases(), st.data())
def test_what_a_preview_says_is_what_happens(bought: dict[str, Any], data: st.DataObject) -> None:
    town = Town()
    town.say("payment.completed.v1", **bought)
    live(town, data, bought["lines"])
    if data.draw(st.booleans()):
        request(town, asked_units(data, bought["lines"]), "rr-earlier")
        go_through(town)
    if data.draw(st.booleans()):
        town.close()
    town.now += timedelta(hours=data.draw(st.integers(0, 24 * 12)))
    asked = asked_units(data, bought["lines"])

    told = eligibility(town.order, town.now, asked)
    effect = tax_effect(town.order, told, town.issued, card_is_slip=True)
    before = town.documents
    request(town, asked, "rr-77")

    if not told.units:
        assert (town.refund.state, town.refund.why) == ("rejected", told.reason)
        assert told.amount == 0
        return
    assert go_through(town) == list(told.holds)
    pay_out(town, told)
    refund = town.refund
    assert (refund.state, refund.money, refund.fee) == ("completed", told.money, told.fee)
    assert refund.amount == told.amount
    named = {line.line_id: line.refundable for line in told.lines if line.refundable}
    assert dict(refund.lines) == {**named, **dict(told.given_up)}
    assert sum(line.money.total - line.fee for line in told.lines) == told.amount
    assert effect is not None
    check_documents(before, town.documents, effect, told.money)


def test_an_issued_invoice_is_modified_and_a_draft_is_lowered() -> None:
    """The property above meets both; here they are told by name."""
    effects = []
    for is_issued in (False, True):
        town = Town()
        sold = [line("1", 10, 1_600)]
        bought = {"payment_id": "pay-1", "amount": 17_600, "paid_at": PAID_AT.isoformat(), "lines": sold}
        partner = {
            "partner_id": "P-17",
            "business_number": GANADA,
            "name": "가나다 주식회사",
            "invoice_email": "tax@ganada.example",
        }
        town.say(
            "payment.completed.v1",
            **bought,
            partner=partner,
            payment_method="bank_transfer",
            evidence="tax_invoice",
            issue_policy="on_request",
            vat_mode="exclusive",
        )
        if is_issued:
            town.close()
        told = eligibility(town.order, town.now)
        effects.append(tax_effect(town.order, told, town.issued, card_is_slip=True))

    draft, issued = effects
    assert draft == TaxEffect("draft_lowered")
    assert issued is not None
    assert issued.modified is not None
    assert (issued.modified.modification, issued.modified.amount.total) == ("contract_cancelled", -17_600)
    assert (str(issued.modified.written_date), str(issued.modified.issue_by)) == ("2026-11-05", "2026-12-10")


def test_an_order_of_before_the_evidence_was_kept_has_no_answer_until_its_invoice_is_told() -> None:
    told = Eligibility(*[None] * len(Eligibility._fields))._replace(  # type: ignore[arg-type]
        money=Money(16_000, 1_600), expected_on=PAID_AT.date()
    )
    old = Order(ORDER, "paid", "bank_transfer", "exclusive", "P-17", "가나다 주식회사", payment_id="pay-1")

    issued = IssuedInvoice("2026-10-1168200276-000001", Money(16_000, 1_600), PAID_AT.date())
    assert tax_effect(old, told, None, card_is_slip=True) is None
    effect = tax_effect(old, told, issued, card_is_slip=True)
    assert effect is not None
    assert effect.kind == "modified"
    duplicate = issued._replace(is_duplicate=True)
    assert tax_effect(old, told, duplicate, card_is_slip=True) == TaxEffect("none")
