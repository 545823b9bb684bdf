"""An in-memory stand-in for the topics and the four services: just enough of the rules to drive a replay.

Answers of different topics are handed out in an order drawn from a seed, one topic's answers of one key in
theirs, as Kafka would.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from random import Random
from typing import Any

from ops.replay.driver import UpstreamEvent
from ops.replay.plan import SOURCE
from ops.replay.states import Answer


class ToySystem:
    """Decides at once, answers in small shuffled portions. `mute` names event types that nobody answers."""

    def __init__(self, seed: int = 1, mute: frozenset[str] = frozenset()) -> None:
        self.random, self.mute, self.now = Random(seed), mute, 0.0
        self.log: list[Answer] = []
        self.unheard: dict[tuple[str, str], deque[Answer]] = {}
        self.seen: dict[str, str] = {}
        self.published: list[UpstreamEvent] = []
        self.repeats = 0
        self.most_unanswered = 0
        self.open: dict[str, dict[str, int]] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self.refunds: dict[str, tuple[str, list[dict[str, Any]]]] = {}
        self.merging: set[str] = set()
        self.closed: list[tuple[str, datetime]] = []

    def clock(self) -> float:
        return self.now

    async def backlog(self) -> Iterable[Answer]:
        self.unheard.clear()
        return list(self.log)

    async def answered(self) -> Mapping[str, str]:
        return dict(self.seen)

    async def caught_up(self, seconds: float) -> bool:
        return True

    async def publish(self, events: Sequence[UpstreamEvent]) -> None:
        for event in events:
            self.published.append(event)
            if event.id in self.seen:
                self.repeats += 1
            elif event.type not in self.mute:
                self._decide(event)
        self.most_unanswered = max(
            self.most_unanswered, sum(topic == "feedback" for topic, _ in self.unheard)
        )

    async def next_answers(self, seconds: float) -> Sequence[Answer]:
        await asyncio.sleep(0)
        if not self.unheard:
            self.now += seconds
            return []
        portion = []
        for _ in range(self.random.randint(1, 5)):
            if self.unheard:
                place = self.random.choice(list(self.unheard))
                portion.append(self.unheard[place].popleft())
                if not self.unheard[place]:
                    del self.unheard[place]
        return portion

    async def close(self, month: str, at: datetime) -> None:
        self.closed.append((month, at))
        drafts = [o for o in self.orders.values() if o["paid_at"][:7] == month]
        sums = {n: sum(o[n] for o in drafts) for n in ("supply", "vat", "total")}
        data = {"month": month, "payments": len(drafts), "documents": len(drafts), **sums}
        self._answer("invoices", month, "month.closed.v1", at, data)

    def _decide(self, event: UpstreamEvent) -> None:
        data: dict[str, Any] = dict(event.data)
        code = ""
        match event.type:
            case "payment.completed.v1":
                self._pay(event, data)
            case "issuance.requested.v1":
                self._issue(event)
            case "refund.requested.v1":
                code = self._refund(event, data)
            case "return.confirmed.v1":
                self._accept(event, data["refund_id"])
            case "refund.paid_out.v1":
                self._complete(event, data)
            case "partner.changed.v1":
                self.merging.add(event.key)
        self.seen[event.id] = code
        told = {"source": SOURCE, "id": event.id, "type": event.type}
        outcome = {"outcome": "rejected", "code": code} if code else {"outcome": "accepted"}
        self._answer("feedback", event.key, "event.accepted.v1", event.time, {"event": told, **outcome})

    def _pay(self, event: UpstreamEvent, data: dict[str, Any]) -> None:
        supply = sum(line["unit_price"] * line["quantity"] for line in data["lines"])
        money = {"supply": supply, "vat": data["amount"] - supply, "total": data["amount"]}
        self.orders[event.key] = data | money
        self.open[event.key] = {line["line_id"]: line["quantity"] for line in data["lines"]}
        self._answer("orders", event.key, "order.paid.v1", event.time, data | money)
        draft = {
            "invoice_id": f"i-{event.key}",
            "payment_id": data["payment_id"],
            "month": data["paid_at"][:7],
            **money,
        }
        self._answer("invoices", event.key, "invoice.drafted.v1", event.time, draft)

    def _issue(self, event: UpstreamEvent) -> None:
        grants: list[dict[str, Any]] = []
        for line in self.orders[event.key]["lines"]:
            left = self.open[event.key][line["line_id"]]
            if line["kind"] != "serials" or not left:
                continue
            self.open[event.key][line["line_id"]] = 0
            grant_id = f"{event.id}/{line['line_id']}"
            grants.append({"line_id": line["line_id"], "grant_id": grant_id, "quantity": left})
        if grants:
            locked = [{"line_id": grant["line_id"]} for grant in grants]
            self._answer("orders", event.key, "issuance.granted.v2", event.time, {"grants": grants})
            self._answer("serials", event.key, "serials.issued.v2", event.time, {"grants": grants})
            self._answer("refunds", event.key, "refund.locked.v2", event.time, {"lines": locked})

    def _refund(self, event: UpstreamEvent, data: dict[str, Any]) -> str:
        kinds = {line["line_id"]: line["kind"] for line in self.orders[event.key]["lines"]}
        names = {
            "refund_id": f"r-{event.id}",
            "refund_request_id": data["refund_request_id"],
            "lines": data["lines"],
        }
        left = self.open[event.key]
        if any(left[line["line_id"]] < line["quantity"] for line in data["lines"]):
            self._answer("refunds", event.key, "refund.rejected.v1", event.time, names | {"reason": "issued"})
            return ""
        for line in data["lines"]:
            left[line["line_id"]] -= line["quantity"]
        self.refunds[names["refund_id"]] = (data["refund_request_id"], data["lines"])
        if any(kinds[line["line_id"]] == "goods" for line in data["lines"]):
            held = names | {"reason": "return_awaited"}
            self._answer("refunds", event.key, "refund.held.v1", event.time, held)
        else:
            self._accept(event, names["refund_id"])
        return ""

    def _accept(self, event: UpstreamEvent, refund_id: str) -> None:
        request, lines = self.refunds[refund_id]
        names = {"refund_id": refund_id, "refund_request_id": request, "lines": lines}
        self._answer("refunds", event.key, "refund.accepted.v1", event.time, names)
        granted = {"refund_id": refund_id, "lines": lines}
        self._answer("orders", event.key, "refund.granted.v1", event.time, granted)
        self._answer("refunds", event.key, "refund.payout_requested.v1", event.time, names | {"amount": 1})

    def _complete(self, event: UpstreamEvent, data: dict[str, Any]) -> None:
        request, lines = self.refunds[data["refund_id"]]
        prices = {line["line_id"]: line["unit_price"] for line in self.orders[event.key]["lines"]}
        supply = sum(prices[line["line_id"]] * line["quantity"] for line in lines)
        done = {
            "refund_id": data["refund_id"],
            "refund_request_id": request,
            "lines": lines,
            "amount": supply,
            "supply": supply,
            "vat": 0,
        }
        self._answer("refunds", event.key, "refund.completed.v1", event.time, done)

    def _answer(self, topic: str, key: str, type_: str, at: datetime, data: dict[str, Any]) -> None:
        answer = Answer(key, type_, at, data)
        self.log.append(answer)
        self.unheard.setdefault((topic, key), deque()).append(answer)
