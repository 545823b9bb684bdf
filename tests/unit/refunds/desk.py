"""A refunds service without servers: events take the real routes, every promise is checked after each."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import orjson

from services.refunds.handlers import ROUTES, refuse_late
from services.refunds.state import CLAIMED, Order, Refund, World
from shared.events.canonical import content_hash
from shared.events.catalogue import TYPES
from shared.events.successors import newest
from shared.kst import KST
from shared.money import payment_money
from shared.runtime.decisions import Applied, Context, Event, NewEvent, Outcome, Position, Reject, Wait
from shared.units import refunded_lines

ORDER = "A-1001"
PAID_AT = datetime(2026, 10, 21, 14, 3, 5, tzinfo=KST)
ACCOUNT = {
    "method": "bank_account",
    "bank_code": "088",
    "account_number": "110123456789",
    "holder": "가나다 주식회사",
}


def line(
    line_id: str = "1", quantity: int = 100, unit_price: int = 1600, kind: str = "serials", **more: Any
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


def units(line_id: str, quantity: int) -> dict[str, Any]:
    return {"line_id": line_id, "quantity": quantity}


class Desk:
    """One order at the refund desk. `now` is the time of the next event; only the test moves it."""

    def __init__(self) -> None:
        self.world = World()
        self.now = datetime(2026, 10, 22, 11, 0, tzinfo=KST)
        self.published: list[NewEvent] = []
        self._numbers = count(1)
        self._ids = count(1)

    # what orders publishes

    def registered(self, *lines: Mapping[str, Any], **changes: Any) -> Outcome:
        return self.deliver(
            "order.registered.v1", {**self._snapshot(lines, changes), "deposit_deadline": _wire(self.now)}
        )

    def paid(self, *lines: Mapping[str, Any], **changes: Any) -> Outcome:
        snapshot = self._snapshot(lines, changes)
        price = sum(row["unit_price"] * row["quantity"] - row.get("discount", 0) for row in snapshot["lines"])
        money = payment_money(snapshot["vat_mode"], price)
        payment = {"payment_id": "pay-9001", "paid_at": snapshot.pop("paid_at", _wire(PAID_AT))}
        won = {"supply": money.supply, "vat": money.vat, "amount": money.total}
        return self.deliver("order.paid.v1", {**snapshot, **payment, **won})

    def expired(self) -> Outcome:
        return self.deliver("order.expired.v1", {"expired_at": _wire(self.now)})

    def cancelled(self) -> Outcome:
        return self.deliver("order.cancelled.v1", {"payment_id": "pay-9001", "cancelled_at": _wire(self.now)})

    def issuance_granted(self, quantity: int, line_id: str = "1") -> Outcome:
        return self.issuance_of((line_id, quantity))

    def issuance_of(self, *asked: tuple[str, int]) -> Outcome:
        """The units of one decision about several lines."""
        grants = [
            {"grant_id": f"g-{next(self._ids)}", **line(line_id), "quantity": quantity}
            for line_id, quantity in asked
        ]
        return self.deliver("issuance.granted.v2", {"partner_id": "P-17", "grants": grants})

    def granted(
        self, refund: Refund | None = None, lines: Sequence[Mapping[str, Any]] = (), **won: int
    ) -> Outcome:
        """The units that were asked for, or other `lines`; with the won that orders decided."""
        refund = refund or self.refund
        lines = lines or refunded_lines(refund.lines, refund.consumed)
        return self.deliver("refund.granted.v1", {"refund_id": str(refund.refund_id), "lines": lines, **won})

    def denied(self, lost_at: datetime, reason: str = "issued", refund: Refund | None = None) -> Outcome:
        refund = refund or self.refund
        lines = [{**units.document(), "left": 0} for units in refund.lines]
        data = {
            "refund_id": str(refund.refund_id),
            "lines": lines,
            "reason": reason,
            "lost_at": _wire(lost_at),
        }
        return self.deliver("refund.denied.v1", data)

    # what checkout publishes

    def asked(self, quantity: int | None = None, request_id: str = "rr-77", **changes: Any) -> Outcome:
        data = {
            "refund_request_id": request_id,
            "requested_by": "P-17",
            "role": "partner",
            "reason": "financial_burden",
            "message": "수량을 잘못 주문했습니다",
            "destination": ACCOUNT,
            **changes,
        }
        if quantity is not None:
            data["lines"] = [units("1", quantity)]
        return self.deliver("refund.requested.v1", data)

    def proof_attached(self, **said: Any) -> Outcome:
        proof = {"reference": "s3://proofs/rr-77/bankbook.pdf", "kind": "bankbook_copy"}
        said = said or {"proof": proof, "actor": "P-17"}
        return self.deliver("refund.proof_attached.v1", {**self._named(), **said})

    def reviewed(self, decision: str, of: Refund | None = None, **more: Any) -> Outcome:
        data = {**self._named(of), "decision": decision, "actor": "operator:kim", **more}
        return self.deliver("refund.reviewed.v1", data)

    def paid_out(self, payout_id: str = "po-551", of: Refund | None = None, **more: Any) -> Outcome:
        return self.deliver("refund.paid_out.v1", {**self._named(of), "payout_id": payout_id, **more})

    def payout_failed(
        self,
        reason: str = "account_closed",
        payout_id: str = "po-551",
        of: Refund | None = None,
        **more: Any,
    ) -> Outcome:
        data = {**self._named(of), "payout_id": payout_id, "reason": reason, **more}
        return self.deliver("refund.payout_failed.v1", data)

    def activated(self, line_id: str = "1", at: datetime | None = None) -> Outcome:
        instant = {} if at is None else {"activated_at": _wire(at)}
        return self.deliver("line.activated.v1", {"line_id": line_id, **instant})

    def delivered(self, line_id: str = "1", at: datetime | None = None) -> Outcome:
        instant = {} if at is None else {"delivered_at": _wire(at)}
        return self.deliver("line.delivered.v1", {"line_id": line_id, **instant})

    def used(self, used: int, at: datetime | None = None, line_id: str = "1") -> Outcome:
        """So much of a line was used until `at`, else until now."""
        data = {"line_id": line_id, "used": used, "recorded_at": _wire(at or self.now)}
        return self.deliver("usage.recorded.v1", data)

    def returned(self, *lines: Mapping[str, Any], of: Refund | None = None, **more: Any) -> Outcome:
        """The goods of a refund are back; of some of its units with `lines`."""
        some = {"lines": list(lines)} if lines else {}
        return self.deliver("return.confirmed.v1", {**self._named(of), **some, **more})

    def bonus(self, won: int, expires_at: datetime, line_id: str = "1") -> Outcome:
        """Bonus cash is granted now."""
        data = {"line_id": line_id, "bonus": won, "expires_at": _wire(expires_at)}
        return self.deliver("balance.granted.v1", data)

    # what there is to see

    @property
    def order(self) -> Order:
        return self.world.orders[ORDER]

    @property
    def refunds(self) -> Sequence[Refund]:
        return list(self.order.refunds.values())

    @property
    def refund(self) -> Refund:
        return self.refunds[-1]

    @property
    def last(self) -> NewEvent:
        return self.published[-1]

    def types(self) -> list[str]:
        return [event.type.rpartition(".v")[0] for event in self.published]

    def story(self) -> list[tuple[str, str, str]]:
        return [(change.state, change.actor, change.reason) for change in self.refund.changes]

    # how an event arrives

    def event(self, type_name: str, data: Mapping[str, Any]) -> Event[Any]:
        document = {"order_id": ORDER, **data}
        said_today, newest_document = newest(type_name, document)
        model = TYPES[said_today].model
        number = next(self._numbers)
        return Event(
            source="test",
            id=f"evt-{number}",
            type=type_name,
            subject=ORDER,
            key=ORDER,
            time=self.now,
            correlation=ORDER,
            sequence=None,
            content=content_hash(type_name, orjson.dumps(document)),
            data=model.model_validate_json(orjson.dumps(newest_document)),
            position=Position("test", 0, number),
        )

    def deliver(self, type_name: str, data: Mapping[str, Any]) -> Outcome:
        return self.handle(self.event(type_name, data))

    def handle(self, event: Event[Any]) -> Outcome:
        before = dict(self.world.orders)
        outcome = ROUTES[event.type].handle(self.world, event, Context(self._new_id))
        self._keep(outcome, before)
        return outcome

    def refuse_late(self, event: Event[Any], reject: Reject) -> Applied:
        applied = refuse_late(self.world, event, reject, Context(self._new_id))
        self._keep(applied, {})
        return applied

    def _new_id(self) -> UUID:
        return UUID(int=next(self._ids))

    def _named(self, of: Refund | None = None) -> dict[str, str]:
        return {"refund_id": str((of or self.refund).refund_id)}

    def _snapshot(self, lines: Sequence[Mapping[str, Any]], changes: Mapping[str, Any]) -> dict[str, Any]:
        partner = {
            "partner_id": "P-17",
            "business_number": "1168200276",
            "name": "가나다 주식회사",
            "invoice_email": "tax@ganada.example",
        }
        return {
            "partner": partner,
            "payment_method": "bank_transfer",
            "evidence": "tax_invoice",
            "issue_policy": "on_request",
            "vat_mode": "exclusive",
            "lines": list(lines) or [line()],
            **changes,
        }

    def _keep(self, outcome: Outcome, before: Mapping[str, Order]) -> None:
        if isinstance(outcome, Wait | Reject):
            assert self.world.orders == before, "only what was applied may change the world"
            return
        self.published.extend(outcome.events)
        check_events(self.published)
        for order in self.world.orders.values():
            check_order(order)


def check_events(published: Sequence[NewEvent]) -> None:
    """Sequences are contiguous from 1 for each subject; an account is in no event."""
    sequences: dict[str, int] = {}
    for event in published:
        assert event.sequence == sequences.get(event.subject, 0) + 1
        sequences[event.subject] = event.sequence
        assert "110123456789" not in str(event.data)


def check_order(order: Order) -> None:
    """Not a won and not a unit is lost or made."""
    claims = [refund for refund in order.refunds.values() if refund.state in CLAIMED]
    moneys = [refund.money for refund in claims if refund.money is not None]
    remaining = order.remaining
    assert len(moneys) == len(claims)
    assert min(remaining) >= 0
    assert remaining.supply + sum(money.supply for money in moneys) == order.paid.supply
    assert remaining.vat + sum(money.vat for money in moneys) == order.paid.vat
    for row in order.lines.values():
        claimed = sum(u.quantity for r in claims for u in r.lines if u.line_id == row.line_id)
        assert claimed == row.refunding + row.refunded
        assert row.granted + claimed <= row.paid
        assert not row.locked or (row.granted and not row.open)


def _wire(instant: datetime) -> str:
    return instant.isoformat()


def minutes(number: int) -> timedelta:
    return timedelta(minutes=number)
