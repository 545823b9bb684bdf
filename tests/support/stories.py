"""One order as a story: what its buyer, its partner and the operator say, with defaults for everything.

Every story has an order and a partner of its own, so that many can be told at once on one system. Its clock
is logical: each sentence is said a minute after the one before.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

from shared import business_number
from shared.events.catalogue import FEEDBACK, UPSTREAM
from shared.kst import KST, month_of, wire_time
from shared.money import payment_money
from tests.support.driver import Checkout, Heard
from tests.support.patience import PATIENCE

BEGINS = datetime(2031, 10, 21, 14, 3, 5, tzinfo=KST)
MINUTE = timedelta(minutes=1)
NO_KINDS: Mapping[str, str] = {}
ACCOUNT = {"method": "bank_account", "bank_code": "088", "account_number": "110123456789"}

_seeds = count(1)
_months = count(0)


def fresh_month() -> str:
    """A month that no other story of this session lives in, so that closing it disturbs nobody."""
    number = next(_months)
    return f"{2040 + number // 12}-{number % 12 + 1:02d}"


def first_day(month: str) -> datetime:
    """Nine in the morning of the first day of a month."""
    return datetime.fromisoformat(f"{month}-01T09:00:00+09:00")


class Buyer:
    """A partner that orders; its stories share the partner id and the business number."""

    def __init__(
        self, checkout: Checkout, number: str | None = None, *, representative: str | None = None
    ) -> None:
        self.checkout = checkout
        self.representative = representative
        self.id = f"P-{uuid4().hex[:12]}"
        self.name = "가나다 주식회사"
        self.number = number or business_number.from_seed(next(_seeds))

    def snapshot(self) -> dict[str, str]:
        named = {} if self.representative is None else {"representative": self.representative}
        return {
            "partner_id": self.id,
            "business_number": self.number,
            "name": self.name,
            "invoice_email": "tax@ganada.example",
            **named,
        }

    async def says(self, type_name: str, at: datetime, **data: Any) -> str:
        """Says something about the partner itself."""
        event_id = f"evt-{uuid4().hex}"
        return await self.checkout.say(
            type_name, self.id, {"partner_id": self.id, **data}, at=at, event_id=event_id
        )

    async def changes(self, at: datetime, *, always_merge: bool = False, number: str | None = None) -> str:
        return await self.says(
            "partner.changed.v1",
            at,
            business_number=number or self.number,
            name=self.name,
            invoice_email="tax@ganada.example",
            always_merge=always_merge,
            changed_at=wire_time(at),
        )

    async def asks_merge(self, month: str, at: datetime, payment_ids: Sequence[str] | None = None) -> str:
        named = {} if payment_ids is None else {"payment_ids": list(payment_ids)}
        request_id = f"mr-{uuid4().hex[:8]}"
        return await self.says(
            "merge.requested.v1", at, request_id=request_id, business_number=self.number, month=month, **named
        )

    async def undoes_merge(self, month: str, at: datetime) -> str:
        request_id = f"mu-{uuid4().hex[:8]}"
        return await self.says(
            "merge.undone.v1", at, request_id=request_id, business_number=self.number, month=month
        )

    async def asks_to_leave(self, at: datetime) -> str:
        return await self.says("partner.withdrawal_requested.v1", at, request_id=f"wd-{uuid4().hex[:8]}")

    async def until(self, type_name: str, times: int = 1, **fields: Any) -> Heard:
        """The latest of `times` events about this partner of a type and with these fields."""
        return await until(self.checkout, (self.id,), type_name, times, fields)


class Story:
    """One order. Sentences return the id of the event they said; `until` waits for what follows."""

    def __init__(
        self,
        checkout: Checkout,
        buyer: Buyer | None = None,
        begins: datetime = BEGINS,
        structured: bool = False,
    ) -> None:
        self.checkout = checkout
        self.buyer = buyer or Buyer(checkout)
        self.order_id = f"A-{uuid4().hex[:12]}"
        self.payment_id = f"pay-{self.order_id}"
        self.now = begins
        self.structured = structured
        self.order: dict[str, Any] = {}
        self.events: list[str] = []

    async def says(self, type_name: str, *, event_id: str | None = None, **data: Any) -> str:
        """Says something about the order, a minute after the last sentence."""
        event_id = event_id or f"evt-{uuid4().hex}"
        document = {"order_id": self.order_id, **data}
        await self.checkout.say(
            type_name, self.order_id, document, at=self.now, event_id=event_id, structured=self.structured
        )
        self.events.append(event_id)
        self.now += MINUTE
        return event_id

    def snapshot(
        self,
        quantity: int = 100,
        *,
        policy: str = "on_request",
        price: int = 1600,
        method: str = "bank_transfer",
        evidence: str = "tax_invoice",
        vat_mode: str = "exclusive",
        kind: str = "serials",
        kinds: Mapping[str, str] = NO_KINDS,
        lines: Sequence[tuple[str, int, int]] | None = None,
    ) -> dict[str, Any]:
        """The order as checkout says it; `lines` are (line id, units, price).

        Those that `kinds` names are of their own kind, the others of `kind`.
        """
        sold = lines or [("1", quantity, price)]
        self.order = {
            "partner": self.buyer.snapshot(),
            "payment_method": method,
            "evidence": evidence,
            "issue_policy": policy,
            "vat_mode": vat_mode,
            "lines": [
                {
                    "line_id": line_id,
                    "kind": kinds.get(line_id, kind),
                    "product_id": "study-30",
                    "product_name": "스터디 이용권 30일",
                    "unit_price": unit_price,
                    "quantity": units,
                    "usage_days": 30,
                }
                for line_id, units, unit_price in sold
            ],
        }
        return self.order

    @property
    def amount(self) -> int:
        """What the order costs, in won."""
        worth = sum(line["unit_price"] * line["quantity"] for line in self.order["lines"])
        return payment_money(self.order["vat_mode"], worth).total

    async def waits_for_deposit(self, deadline: datetime, **order: Any) -> str:
        snapshot = self.snapshot(method="virtual_account", **order)
        return await self.says("payment.pending.v1", **snapshot, deposit_deadline=wire_time(deadline))

    async def pays(
        self,
        *,
        payment_id: str | None = None,
        amount: int | None = None,
        paid_at: datetime | None = None,
        **order: Any,
    ) -> str:
        snapshot = self.order if self.order and not order else self.snapshot(**order)
        return await self.says(
            "payment.completed.v1",
            **snapshot,
            payment_id=payment_id or self.payment_id,
            amount=self.amount if amount is None else amount,
            paid_at=wire_time(paid_at or self.now),
        )

    async def is_paid(self, **order: Any) -> "Story":
        """Pays and waits until the order is."""
        await self.pays(**order)
        await self.until("order.paid.v1")
        return self

    async def is_issued(self, **order: Any) -> "Story":
        """Pays an order that issues everything by itself, and waits until it has."""
        await self.pays(policy="automatic", **order)
        await self.until("serials.issued.v2")
        await self.until("refund.locked.v2")
        return self

    async def is_cancelled(self, payment_id: str | None = None) -> str:
        return await self.says(
            "payment.cancelled.v1",
            payment_id=payment_id or self.payment_id,
            cancelled_at=wire_time(self.now),
        )

    async def is_decided(self, payment_id: str, decision: str) -> str:
        """An operator decides about money in quarantine."""
        return await self.says(
            "quarantine.decided.v1",
            payment_id=payment_id,
            decision=decision,
            actor="op-kim",
            note="looked at",
            decided_at=wire_time(self.now),
        )

    async def asks_to_issue(
        self, units: int | None = None, *, line: str = "1", request: str = "iss-1"
    ) -> str:
        lines: dict[str, Any] = {} if units is None else {"lines": [{"line_id": line, "quantity": units}]}
        return await self.says("issuance.requested.v1", request_id=request, **lines)

    def refund(
        self, units: int | None = None, *, line: str = "1", request: str = "rr-1", holder: str | None = None
    ) -> dict[str, Any]:
        """The document that asks for a refund of so many units of a line, or of everything."""
        return {
            "order_id": self.order_id,
            "refund_request_id": request,
            "requested_by": self.buyer.id,
            "role": "partner",
            **({} if units is None else {"lines": [{"line_id": line, "quantity": units}]}),
            "reason": "financial_burden",
            "message": "수량을 잘못 주문했습니다",
            "destination": {**ACCOUNT, "holder": holder or self.buyer.name},
        }

    async def asks_refund(
        self,
        units: int | None = None,
        *,
        line: str = "1",
        request: str = "rr-1",
        holder: str | None = None,
        event_id: str | None = None,
    ) -> str:
        document = self.refund(units, line=line, request=request, holder=holder)
        return await self.says("refund.requested.v1", event_id=event_id, **document)

    async def is_activated(self, line: str = "1") -> str:
        return await self.says("line.activated.v1", line_id=line, activated_at=wire_time(self.now))

    async def is_delivered(self, line: str = "1") -> str:
        return await self.says("line.delivered.v1", line_id=line, delivered_at=wire_time(self.now))

    async def is_used(self, used: int, line: str = "1") -> str:
        """So much of a line was used by now, in all: units, or won of a balance."""
        return await self.says("usage.recorded.v1", line_id=line, used=used, recorded_at=wire_time(self.now))

    async def is_given(self, bonus: int, expires_at: datetime, line: str = "1") -> str:
        """A prepaid line has so many won of bonus cash."""
        return await self.says(
            "balance.granted.v1", line_id=line, bonus=bonus, expires_at=wire_time(expires_at)
        )

    async def comes_back(self, refund_id: str, units: int | None = None, line: str = "1") -> str:
        """The goods of a refund are back: so many units of a line, or all of them."""
        some: dict[str, Any] = {} if units is None else {"lines": [{"line_id": line, "quantity": units}]}
        return await self.says(
            "return.confirmed.v1", refund_id=refund_id, confirmed_at=wire_time(self.now), **some
        )

    async def attaches_proof(self, refund_id: str) -> str:
        proof = {"reference": "s3://proofs/bankbook.pdf", "kind": "bankbook_copy"}
        return await self.says(
            "refund.proof_attached.v1", refund_id=refund_id, proof=proof, actor=self.buyer.id
        )

    async def is_reviewed(self, refund_id: str, decision: str, **more: Any) -> str:
        return await self.says(
            "refund.reviewed.v1", refund_id=refund_id, decision=decision, actor="operator:kim", **more
        )

    async def is_paid_out(self, refund_id: str, payout_id: str = "po-1") -> str:
        return await self.says(
            "refund.paid_out.v1", refund_id=refund_id, payout_id=payout_id, paid_out_at=wire_time(self.now)
        )

    async def payout_fails(self, refund_id: str, reason: str, payout_id: str = "po-0") -> str:
        return await self.says(
            "refund.payout_failed.v1", refund_id=refund_id, payout_id=payout_id, reason=reason
        )

    async def is_refunded(self, units: int | None = None, *, request: str = "rr-1") -> Heard:
        """Asks for a refund, pays it out, and returns the completion."""
        await self.asks_refund(units, request=request)
        asked = await self.until("refund.payout_requested.v1", refund_request_id=request)
        await self.is_paid_out(asked.data["refund_id"], f"po-{request}")
        return await self.until("refund.completed.v1", refund_request_id=request)

    async def until(self, type_name: str, times: int = 1, **fields: Any) -> Heard:
        """The latest of `times` events of a type with these fields, about this order or its partner."""
        return await until(self.checkout, (self.order_id, self.buyer.id), type_name, times, fields)

    async def answer_to(self, event_id: str) -> Heard:
        """The answer to one event of this story."""
        (answer,) = await self.checkout.until(
            lambda: self.checkout.answers_to(event_id), f"an answer to {event_id} ({self.told()})"
        )
        return answer

    def facts(self, type_name: str = "") -> list[Heard]:
        """What the services have said about this order, each event once."""
        found = {
            record.id: record
            for record in self.checkout.by_key[self.order_id]
            if record.topic not in (UPSTREAM, FEEDBACK) and record.type.startswith(type_name)
        }
        return list(found.values())

    def told(self) -> str:
        """The story so far, for a message."""
        return told(self.checkout, (self.order_id, self.buyer.id))

    @property
    def month(self) -> str:
        return month_of(self.now)


async def until(
    checkout: Checkout, keys: Sequence[str], type_name: str, times: int, fields: dict[str, Any]
) -> Heard:
    """The latest of `times` events of a type under one of these keys whose data has these fields."""

    def found() -> Heard | None:
        facts = {
            record.id: record
            for key in keys
            for record in checkout.by_key[key]
            if record.type == type_name
            and all(record.data.get(name) == value for name, value in fields.items())
        }
        return list(facts.values())[times - 1] if len(facts) >= times else None

    try:
        return await checkout.until(found, "", PATIENCE)
    except AssertionError:
        wanted = f"{times} x {type_name} with {fields}"
        raise AssertionError(f"not within {PATIENCE:.0f} s: {wanted}; {told(checkout, keys)}") from None


def told(checkout: Checkout, keys: Sequence[str]) -> str:
    """What was heard under these keys, in a line each."""
    lines = [
        f"  {record.topic}[{record.partition}]@{record.offset} {record.type} {record.data}"
        for key in keys
        for record in checkout.by_key[key]
    ]
    return "heard so far:\n" + "\n".join(lines)
