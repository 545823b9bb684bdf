"""The invoices service without servers: events go through the real handlers; after each the won add up."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from pydantic import BaseModel

from services.invoices.calendar import ends_at
from services.invoices.decisions.businesses import BusinessMerge, merge_business, undo_business_merge
from services.invoices.decisions.closing import issue_month
from services.invoices.decisions.corrections import Order, correct_document
from services.invoices.decisions.preview import Tried, try_close
from services.invoices.handlers import ROUTES
from services.invoices.state import Document, DocumentCounter, OtherPayment, Payment, Policy, World
from shared.events.catalogue import TYPES
from shared.money import payment_money, refund_money
from shared.runtime.decisions import LONG_AGO, Applied, Context, Event, NewEvent, Outcome, Position

PARTNER = "P-17"
GANADA = "1168200276"
OTHER = "1348672683"
THIRD = "1188120586"
WRONG = "1234567890"

PAID_AT = "2026-10-21T14:03:05+09:00"
ASKED_AT = "2026-11-02T10:00:00+09:00"
CLOSED_AT = "2026-11-05T18:00:01+09:00"


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def line(
    line_id: str = "1", kind: str = "serials", unit_price: int = 1600, quantity: int = 100, **more: Any
) -> dict[str, Any]:
    return {
        "line_id": line_id,
        "kind": kind,
        "product_id": "study-30",
        "product_name": "스터디 이용권 30일",
        "unit_price": unit_price,
        "quantity": quantity,
        "usage_days": 30,
        **more,
    }


@dataclass
class Events:
    """Makes the events that other services and checkout would send."""

    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    sequences: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))

    def event(self, type_name: str, key: str, time: str, subject: str | None = None, **data: Any) -> Event:
        kind = TYPES[type_name]
        number = next(self.numbers)
        upstream = kind.topic == "checkout.events"
        subject = subject or key
        self.sequences[type_name, subject] += 1
        return Event(
            source="https://checkout.example/shop-1" if upstream else f"/pawl/{kind.topic.partition('.')[0]}",
            id=f"evt-{number}",
            type=type_name,
            subject=subject,
            key=key,
            time=instant(time),
            correlation=key,
            sequence=None if upstream else self.sequences[type_name, subject],
            content=_content(type_name, data) if upstream else None,
            data=_model(kind.model, data),
            position=Position(kind.topic, 0, number),
        )

    def paid(
        self,
        order_id: str,
        *,
        at: str = PAID_AT,
        partner: str = PARTNER,
        number: str = GANADA,
        lines: Sequence[dict[str, Any]] | None = None,
        method: str = "bank_transfer",
        evidence: str = "tax_invoice",
        vat_mode: str = "exclusive",
        published_at: str | None = None,
    ) -> Event:
        sold = list(lines or [line()])
        money = payment_money(
            vat_mode, sum(item["unit_price"] * item["quantity"] - item.get("discount", 0) for item in sold)
        )
        return self.event(
            "order.paid.v1",
            order_id,
            published_at or at,
            order_id=order_id,
            payment_id=f"pay-{order_id}",
            amount=money.total,
            supply=money.supply,
            vat=money.vat,
            paid_at=at,
            partner={
                "partner_id": partner,
                "business_number": number,
                "name": "가나다 주식회사",
                "invoice_email": "tax@ganada.example",
            },
            payment_method=method,
            evidence=evidence,
            issue_policy="on_request",
            vat_mode=vat_mode,
            lines=sold,
        )

    def issued(
        self,
        order_id: str,
        quantity: int = 100,
        *,
        line_id: str = "1",
        more: Mapping[str, int] | None = None,
        at: str = PAID_AT,
    ) -> Event:
        """All units of a grant exist, and those of `more` lines at the same time."""
        whole = {line_id: quantity, **(more or {})}
        return self.event(
            "serials.issued.v2",
            order_id,
            at,
            order_id=order_id,
            grants=[
                {"grant_id": f"grant-{name}", "batch_id": "batch", "line_id": name, "quantity": units}
                for name, units in whole.items()
            ],
            issued_at=at,
            registration_deadline="2027-01-22T23:59:59.999999+09:00",
        )

    def refund(
        self, type_name: str, order_id: str, refund_id: str, *, at: str = PAID_AT, **data: Any
    ) -> Event:
        subject = order_id if type_name == "refund.denied.v1" else refund_id
        common = {"order_id": order_id, "refund_id": refund_id}
        if type_name != "refund.denied.v1":
            common["refund_request_id"] = f"rr-{refund_id}"
        return self.event(type_name, order_id, at, subject=subject, **common, **data)

    def accepted(self, order_id: str, refund_id: str, quantity: int = 40, *, at: str = PAID_AT) -> Event:
        lines = [{"line_id": "1", "quantity": quantity}]
        return self.refund("refund.accepted.v1", order_id, refund_id, at=at, lines=lines)

    def completed(
        self,
        order_id: str,
        refund_id: str,
        quantity: int,
        supply: int,
        vat: int,
        *,
        at: str = PAID_AT,
        line_id: str = "1",
        more: Mapping[str, int] | None = None,
    ) -> Event:
        """`more` names the units of other lines that the refund has besides."""
        units = {line_id: quantity, **(more or {})}
        return self.refund(
            "refund.completed.v1",
            order_id,
            refund_id,
            at=at,
            payment_id=f"pay-{order_id}",
            lines=[{"line_id": line_id, "quantity": quantity} for line_id, quantity in units.items()],
            supply=supply,
            vat=vat,
            fee=0,
            amount=supply + vat,
            payout_id="po-1",
            completed_at=at,
        )

    def cancelled(
        self, order_id: str, quantity: int, supply: int, vat: int, *, at: str = PAID_AT, line_id: str = "1"
    ) -> Event:
        lines = [{"line_id": line_id, "quantity": quantity}] if quantity else []
        return self.event(
            "order.cancelled.v1",
            order_id,
            at,
            order_id=order_id,
            payment_id=f"pay-{order_id}",
            cancelled_at=at,
            lines=lines,
            supply=supply,
            vat=vat,
            amount=supply + vat,
        )

    def merge(
        self,
        request_id: str | None = "mr-1",
        orders: Sequence[str] | None = None,
        *,
        at: str = ASKED_AT,
        number: str = GANADA,
        partner: str = PARTNER,
        month: str = "2026-10",
        undo: bool = False,
    ) -> Event:
        id_: dict[str, Any] = {} if request_id is None else {"request_id": request_id}
        named = {} if orders is None else {"payment_ids": [f"pay-{order_id}" for order_id in orders]}
        return self.event(
            "merge.undone.v1" if undo else "merge.requested.v1",
            partner,
            at,
            **id_,
            partner_id=partner,
            business_number=number,
            month=month,
            **named,
        )

    def partner(
        self,
        *,
        number: str = GANADA,
        always_merge: bool = True,
        at: str = ASKED_AT,
        partner: str = PARTNER,
        **more: str,
    ) -> Event:
        return self.event(
            "partner.changed.v1",
            partner,
            at,
            partner_id=partner,
            business_number=number,
            invoice_email="tax@ganada.example",
            always_merge=always_merge,
            changed_at=at,
            **{"name": "가나다 주식회사", **more},
        )

    def purged(self, partner: str = PARTNER, *, at: str) -> Event:
        return self.event("partner.purged.v1", partner, at, partner_id=partner, withdrawn_at=at, purged_at=at)


def _content(type_name: str, data: dict[str, Any]) -> bytes:
    return blake2b(f"{type_name} {sorted(data.items())}".encode(), digest_size=16).digest()


def _model(model: type[BaseModel], data: dict[str, Any]) -> BaseModel:
    return model.model_validate(data)


class Books:
    """A world, the events it has published, and the promise that no won is ever lost."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.events = Events()
        counters = {number: DocumentCounter(number) for number in (GANADA, OTHER, THIRD)}
        self.world = World(policy or Policy(), counters=counters)
        self.published: list[NewEvent] = []
        self.handled_at = LONG_AGO
        self._ids = count(1)

    def new_id(self) -> UUID:
        return UUID(int=next(self._ids))

    def take(self, *events: Event) -> Outcome:
        """Hands events to the service; returns the outcome of the last one."""
        outcome: Outcome = Applied()
        for event in events:
            context = Context(self.new_id, handled_at=self.handled_at)
            outcome = ROUTES[event.type].handle(self.world, event, context)
            if isinstance(outcome, Applied):
                self.published += outcome.events
            self.check()
        return outcome

    def paid(self, order_id: str, **details: Any) -> Payment:
        self.take(self.events.paid(order_id, **details))
        return self.world.payments[order_id]

    def paid_and_issued(self, order_id: str, **details: Any) -> None:
        event = self.events.paid(order_id, **details)
        self.take(event)
        for item in event.data.lines:
            if item.kind == "serials":
                self.take(self.events.issued(order_id, item.quantity, line_id=item.line_id))

    def refund(
        self, order_id: str, refund_id: str, quantity: int, *, at: str = PAID_AT, price: int = 1600
    ) -> Outcome:
        """Refunds units of an order from request to payout, with the VAT that the rule gives."""
        payment = self.world.payments[order_id]
        money = refund_money("exclusive", payment.paid.minus(payment.refunded), price * quantity)
        self.take(self.events.accepted(order_id, refund_id, quantity, at=at))
        return self.take(self.events.completed(order_id, refund_id, quantity, money.supply, money.vat, at=at))

    def close(
        self,
        month: str = "2026-10",
        at: str = CLOSED_AT,
        partners: Sequence[str] | None = None,
        *,
        despite: bool = False,
    ) -> list[NewEvent]:
        closed_at = instant(at)
        assert closed_at >= ends_at(month)
        self.world.closed.setdefault(month, closed_at)
        events = issue_month(
            self.world, month, closed_at, self.new_id, partners, despite_open_refunds=despite
        )
        self.published += events
        self.check()
        return events

    def try_close(self, month: str = "2026-10", at: str = CLOSED_AT) -> Tried:
        """What a close would do, tried out for one partner after another as in so many transactions."""
        unissued = (d for d in self.world.documents.values() if d.is_unissued and d.month == month)
        tried = [
            try_close(deepcopy(self.world), month, instant(at), uuid4, [partner_id])
            for partner_id in sorted({document.partner_id for document in unissued})
        ]
        return Tried(
            [document for each in tried for document in each.documents],
            [left_out for each in tried for left_out in each.left_out],
        )

    def correct(self, document: Document, order: Order) -> list[NewEvent]:
        """What an operator has corrected."""
        made = correct_document(self.world, document, order, self.new_id)
        self.world.put(made.state)
        self.published += made.events
        self.check()
        return list(made.events)

    def merge_business(self, number: str = GANADA, month: str = "2026-10") -> BusinessMerge:
        """What an operator has merged over all partners of a business number."""
        made = merge_business(self.world, number, month, "operator:1", self.new_id)
        self.published += made.events
        self.check()
        return made

    def undo_business(self, number: str = GANADA, month: str = "2026-10") -> None:
        """What an operator has merged is taken apart."""
        self.published += undo_business_merge(self.world, number, month).events
        self.check()

    def know_others(self) -> None:
        """Each payment, as the store reads those that an answer to a merge may have to name."""
        self.world.others = [
            OtherPayment(p.payment_id, p.order_id, p.partner_id, p.business_number, p.month)
            for p in self.world.payments.values()
        ]

    def types(self) -> list[str]:
        return [event.type.removesuffix(".v1") for event in self.published]

    def last(self, type_name: str) -> NewEvent:
        return [event for event in self.published if event.type == f"{type_name}.v1"][-1]

    def documents(self, *states: str) -> list[Document]:
        return [document for document in self.world.documents.values() if document.state in states]

    def check(self) -> None:
        """Payments - refunds == issued + modified + un-issued + slips and receipts; documents == lines."""
        self._check_sums()
        self._check_lines()
        self._check_sequences()

    def _check_sums(self) -> None:
        payments = self.world.payments.values()
        kept = sum(p.paid.total - p.refunded.total for p in payments)
        standing = sum(d.amount.total for d in self.documents("draft", "approved", "issue_failed", "issued"))
        elsewhere = sum(p.standing.total for p in payments if self._is_elsewhere(p))
        assert kept == standing + elsewhere

    def _is_elsewhere(self, payment: Payment) -> bool:
        """Whether its won stand on no document here: a slip, a receipt, or what was issued twice."""
        document = self.world.document_of(payment)
        return document is None or document.modification == "issued_twice"

    def _check_lines(self) -> None:
        corrected = {d.original_id for d in self.world.documents.values() if d.refund_id is None}
        for document in self.documents("draft", "approved", "issue_failed", "void", "undone", "issued"):
            if document.invoice_id in corrected:
                continue
            lines = [p.standing for p in self.world.payments.values() if p.invoice_id == document.invoice_id]
            if document.kind != "modified":
                assert document.amount.supply == sum(part.supply for part in lines)
                assert document.amount.vat == sum(part.vat for part in lines)
            if document.state in ("draft", "approved", "issue_failed", "issued"):
                assert document.amount.total != 0

    def _check_sequences(self) -> None:
        published: dict[str, list[int]] = defaultdict(list)
        for event in self.published:
            TYPES[event.type].model.model_validate(event.data)
            published[event.subject].append(event.sequence)
        for subject, sequences in published.items():
            assert sequences == list(range(1, len(sequences) + 1)), subject
