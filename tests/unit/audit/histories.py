"""Histories by hand: what an outside client would have recorded, a second between two lines."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ops.audit.history.entries import ENDED, RECORDER, Entry

BEGINS = datetime(2031, 10, 21, 5, 3, tzinfo=UTC)
SHOP = "https://checkout.example/by-hand"
ORDER = "A-1"
SNAPSHOT = {
    "partner": {"partner_id": "P-1"},
    "vat_mode": "exclusive",
    "issue_policy": "on_request",
    "lines": [{"line_id": "1", "kind": "serials", "unit_price": 1600, "quantity": 100}],
}


def share(units: int, **more: Any) -> list[dict[str, Any]]:
    return [{"line_id": "1", "quantity": units, **more}]


class Tape:
    """Records line after line what is about one key. `lines` is the history."""

    def __init__(self, key: str = ORDER, *, of_order: bool = True) -> None:
        self.lines: list[Entry] = []
        self._key, self._order_id = key, key if of_order else None
        self._sequences: dict[tuple[str, str], int] = {}

    @property
    def now(self) -> datetime:
        return BEGINS + timedelta(seconds=len(self.lines))

    def asks(
        self, type_name: str, event_id: str, *, answer: str = "ok", content: str = "", **data: Any
    ) -> "Tape":
        """A request and its answer: `ok`, a code, or none."""
        place = f"checkout.events/0/{len(self.lines)}"
        self._add(
            "checkout",
            "invoke",
            f"{type_name}.v1",
            event_id,
            data,
            source=SHOP,
            at=place,
            content=content or event_id,
        )
        if answer:
            op, code = ("ok", "") if answer == "ok" else ("fail", answer)
            self.answers(type_name, event_id, place, op=op, code=code)
        return self

    def answers(self, type_name: str, event_id: str, place: str, op: str = "ok", code: str = "") -> "Tape":
        told = f"answer-{len(self.lines)}"
        return self._add(
            "orders", op, f"{type_name}.v1", event_id, {}, source=SHOP, at=place, answer=told, code=code
        )

    def tells(
        self,
        type_name: str,
        cause: str,
        *,
        event_id: str = "",
        by: str = "orders",
        version: int = 1,
        **data: Any,
    ) -> "Tape":
        """An event of a service."""
        subject = data.get("refund_id") or data.get("grant_id") if by != "orders" else self._key
        number = self._sequences.get((by, str(subject)), 0) + 1
        self._sequences[by, str(subject)] = number
        return self._add(
            by,
            "info",
            f"{type_name}.v{version}",
            event_id or f"{type_name}-{len(self.lines)}",
            data,
            cause=cause,
            subject=str(subject),
            sequence=number,
        )

    def decides(self, command: str, command_id: str, **data: Any) -> "Tape":
        """An operator has something done over HTTP."""
        return self._add("operator", "info", command, command_id, data)

    def ends(self, quiet: bool = True, **more: Any) -> list[Entry]:
        return [*self.lines, Entry(self.now, RECORDER, "info", ENDED, data={"quiet": quiet, **more})]

    def _add(
        self, process: str, op: str, type_name: str, event_id: str, data: Mapping[str, Any], **more: Any
    ) -> "Tape":
        entry = Entry(
            self.now, process, op, type_name, self._key, self._order_id, id=event_id, data=data, **more
        )
        self.lines.append(entry)
        return self

    # -- what most histories begin with ----------------------------------------------------------------------

    def pays(
        self, event_id: str = "pay", payment: str = "pay-1", amount: int = 176_000, **more: Any
    ) -> "Tape":
        paid_at = "2031-10-21T14:03:05+09:00"
        data = {**SNAPSHOT, "payment_id": payment, "amount": amount, "paid_at": paid_at, **more}
        return self.asks("payment.completed", event_id, **data)

    def is_paid(self) -> "Tape":
        won = {"supply": 160_000, "vat": 16_000, "amount": 176_000}
        return self.pays().tells(
            "order.paid",
            "pay",
            payment_id="pay-1",
            lines=SNAPSHOT["lines"],
            **won,  # type: ignore[arg-type]
        )

    def opens_case(self, cause: str, payment: str, amount: int, reason: str, **more: Any) -> "Tape":
        """A case with its proposal: what is here goes back, and nothing where it is missing."""
        proposal = {"refund": amount, "destination": "bank_account"} if amount > 0 else {"refund": 0}
        data = {"payment_id": payment, "amount": amount, "reason": reason, "proposal": proposal, **more}
        return self.tells("payment.quarantined", cause, **data)

    def issues(self, units: int, event_id: str = "iss", **data: Any) -> "Tape":
        self.asks("issuance.requested", event_id, request_id=f"r-{event_id}", lines=share(units), **data)
        self.grants(units, event_id)
        return self.tells(
            "serials.issued",
            f"grant-{event_id}",
            by="serials",
            grant_id=f"g-{event_id}",
            line_id="1",
            quantity=units,
        )

    def grants(self, units: int, cause: str) -> "Tape":
        return self.tells("issuance.granted", cause, grant_id=f"g-{cause}", line_id="1", quantity=units)

    def asks_refund(self, units: int, event_id: str = "ref", everything: bool = False) -> "Tape":
        """Asked and accepted by refunds; orders has to answer. Of `everything` no units are named."""
        named = {} if everything else {"lines": share(units)}
        self.asks("refund.requested", event_id, refund_request_id=f"rr-{event_id}", **named)
        return self.tells(
            "refund.accepted",
            event_id,
            event_id=f"accepted-{event_id}",
            by="refunds",
            refund_id=f"R-{event_id}",
            refund_request_id=f"rr-{event_id}",
            lines=share(units),
        )

    def grants_refund(self, units: int, supply: int, vat: int, event_id: str = "ref") -> "Tape":
        return self.tells(
            "refund.granted",
            f"accepted-{event_id}",
            refund_id=f"R-{event_id}",
            lines=share(units),
            supply=supply,
            vat=vat,
        )

    def pays_out(self, units: int, supply: int, vat: int, event_id: str = "ref") -> "Tape":
        refund = {"refund_id": f"R-{event_id}", "refund_request_id": f"rr-{event_id}"}
        self.tells(
            "refund.payout_requested", f"granted-{event_id}", by="refunds", amount=supply + vat, **refund
        )
        self.asks("refund.paid_out", f"out-{event_id}", refund_id=f"R-{event_id}", payout_id="po")
        return self.completes(units, supply, vat, event_id)

    def completes(
        self,
        units: int,
        supply: int,
        vat: int,
        event_id: str = "ref",
        cause: str = "",
        payout: str = "po",
    ) -> "Tape":
        return self.tells(
            "refund.completed",
            cause or f"out-{event_id}",
            by="refunds",
            refund_id=f"R-{event_id}",
            refund_request_id=f"rr-{event_id}",
            lines=share(units),
            supply=supply,
            vat=vat,
            fee=0,
            amount=supply + vat,
            payout_id=payout,
        )
