"""Upstream in the simulation: partners who buy and ask, a payment gateway that fails, operators who decide.

Everything it says is drawn from one seeded generator. What it says about one order may arrive in any order
and any number of times; that is what the contract allows it.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from random import Random
from typing import Any

import orjson

from shared import business_number
from shared.events.checkout import IMPOSSIBLE_EVIDENCE
from shared.events.envelope import write_headers
from shared.kst import KST, month_of, next_month, wire_time
from shared.money import payment_money
from shared.runtime.records import StoredRecord
from tests.simulation.memory import Broker, Row

SOURCE = "/checkout/kr"
TOPIC = "checkout.events"
START = datetime(2026, 8, 3, 9, tzinfo=KST)
PRICES = (1600, 2400, 2000, 333, 101)
BALANCES = (1000, 10_000, 3000, 333)
"""Prices of a unit of prepaid cash."""
KINDS = {"serials": 16, "goods": 4, "metered": 4, "prepaid": 5}
LIKE_THE_FIRST = {"serials": 0.5, "metered": 0.8}
"""How often a line is of each kind, and a second one of that of the first: a top-up, or given units."""
METHODS = ("card", "virtual_account", "bank_transfer", "mycash", "bank_transfer", "virtual_account")
HOLDER = "가나다교육"
COMMON_NUMBER = business_number.from_seed(4)
"""That of a business for which three of the partners buy."""


def line_won(line: Mapping[str, Any]) -> int:
    """What a line of a snapshot costs, in won of its VAT mode."""
    return int(line["unit_price"] * line["quantity"] - line.get("discount", 0))


def _reduced(line: dict[str, Any]) -> dict[str, Any]:
    """The line as it is sold: most second lines of serials are given free, some cost a round number less."""
    is_given = line["quantity"] not in (3, 5) if line["kind"] == "serials" else line["quantity"] == 6
    if line["line_id"] == "2" and is_given:
        return {**line, "unit_price": 0}
    return {**line, "discount": 100} if line["quantity"] in (3, 5) else line


@dataclass(slots=True)
class Said:
    """One document on its way into the topic."""

    key: str
    id: str
    type: str
    time: datetime
    data: dict[str, Any]
    structured: bool = False
    raw: tuple[bytes | None, bytes | None, tuple[tuple[str, bytes], ...]] | None = None

    def put(self, broker: Broker) -> StoredRecord:
        """Appends the document to the topic."""
        if self.raw is not None:
            key, value, headers = self.raw
            return broker.append(TOPIC, key, value, headers)
        if self.structured:
            document = {
                "specversion": "1.0", "id": self.id, "source": SOURCE, "type": self.type,
                "subject": self.key, "time": wire_time(self.time), "data": self.data,
            }  # fmt: skip
            mode = [("content-type", b"application/cloudevents+json")]
            return broker.append(TOPIC, self.key.encode(), orjson.dumps(document), mode)
        named = write_headers(id=self.id, source=SOURCE, type=self.type, subject=self.key, time=self.time)
        return broker.append(TOPIC, self.key.encode(), orjson.dumps(self.data), named)


@dataclass(slots=True)
class Checkout:
    """What is still to be said, by key, and what the gateway and the operators remember."""

    random: Random
    broker: Broker
    orders: int
    queues: dict[str, deque[Said]] = field(default_factory=lambda: defaultdict(deque))
    ghosts: set[str] = field(default_factory=set)
    payouts: dict[str, int] = field(default_factory=dict)
    payout_ids: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    paid_by: dict[str, str] = field(default_factory=dict)
    buyers: dict[str, str] = field(default_factory=dict)
    lines: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    strays: set[str] = field(default_factory=set)
    partners: list[dict[str, Any]] = field(default_factory=list)
    asked_for_merges: bool = False
    now: datetime = START
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _read: dict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))
    _heard: set[str] = field(default_factory=set)

    def plan(self) -> None:
        """Draws the whole history, as far as it does not react to anything."""
        partners = self.partners = [self._partner(number) for number in range(1, 5)]
        for number in range(1, self.orders + 1):
            _Purchase(self, f"A-{number}", self._buyer()).plan()
        for partner in partners:
            self._plan_partner(partner)
        self._plan_trouble()

    def _buyer(self) -> dict[str, Any]:
        """Mostly the first partner, and next to it the other account of its business."""
        return self.random.choice(
            [self.partners[0], *self.partners[: self.random.randint(1, 3)], self.partners[3]]
        )

    def say(self) -> bool:
        """Puts the next document into the topic; False when nothing is left."""
        keys = [key for key, queue in self.queues.items() if queue]
        if not keys:
            return False
        queue = self.queues[self.random.choice(keys)]
        if len(queue) > 1 and self.random.random() < 0.2:
            queue[0], queue[1] = queue[1], queue[0]
        said = queue.popleft()
        self.now = max(self.now, said.time)
        said.put(self.broker)
        self._maybe_again(queue, said)
        return True

    def listen(self) -> None:
        """The gateway and the operators read what orders and refunds say, as far as it is published."""
        for (topic, place), log in self.broker.logs.items():
            if topic in ("refunds.events", "orders.events"):
                for record in log[self._read[topic, place] :]:
                    self._hear(record)
                self._read[topic, place] = len(log)

    def nudge(self, refund: Row) -> None:
        """An operator looks at a refund that waits, and does what it waits for."""
        refund_id = str(refund["refund_id"])
        about = {"order_id": refund["order_id"], "refund_id": refund_id}
        state = refund["state"]
        if state == "held" and refund["why"] == "return_awaited":
            self._send_back(about)
        elif state == "held":
            self.queue(refund["order_id"], "refund.proof_attached.v1", {**about, "actor": "partner"})
        elif state == "in_review":
            self._review(about, self.random.choice(["approve", "approve", "reject"]))
        elif state == "failed":
            self._review(about, self.random.choice(["retry", "release"]))
        elif state == "unknown":
            self._review(about, "retry")
        elif state == "paying_out":
            self._pay_out(about, _owed(refund), self.keys.get(refund_id, refund_id))
        elif state == "bounced":
            self._review(about, "retry")
        elif state == "repaying":
            self._pay_out(about, _owed(refund), self.keys.get(refund_id, refund_id))

    def ask_for_merges(self, months: Iterable[str]) -> bool:
        """Before the books are closed every partner asks to merge each month, and often for all serials.

        False when they have asked."""
        if self.asked_for_merges:
            return False
        self.asked_for_merges = True
        for partner in self.partners:
            for month in months:
                wish = {name: partner[name] for name in ("partner_id", "business_number")}
                wish |= {"month": month, "request_id": f"before-the-close-{month}"}
                in_time = datetime.fromisoformat(f"{next_month(month)}-04T12:00:00+09:00")
                self.queue(partner["partner_id"], "merge.requested.v1", wish, in_time)
        if self.random.random() < 0.6:
            for order_id in self.buyers:
                rest = {"order_id": order_id, "request_id": "before-the-close"}
                self.queue(order_id, "issuance.requested.v1", rest)
        return True

    def ask_to_undo_merges(self, months: Iterable[str]) -> None:
        """Some partners want separate invoices after all, whoever has merged them."""
        for partner in self.partners:
            for month in months:
                if self.random.random() < 0.7:
                    number = self.random.choice((partner["business_number"], COMMON_NUMBER))
                    wish = {"partner_id": partner["partner_id"], "business_number": number}
                    wish |= {"month": month, "request_id": f"after-all-{month}"}
                    self.queue(partner["partner_id"], "merge.undone.v1", wish, self.now)

    def queue(
        self,
        key: str,
        type_name: str,
        data: dict[str, Any],
        time: datetime | None = None,
        id_: str | None = None,
    ) -> Said:
        """One more document of a key."""
        time = time or self.now + timedelta(minutes=self.random.randrange(1, 3_000))
        said = Said(key, id_ or f"e-{next(self._numbers)}", type_name, time, data)
        said.structured = self.random.random() < 0.15
        self.queues[key].append(said)
        return said

    # faults of the transport and of the sender

    def _maybe_again(self, queue: deque[Said], said: Said) -> None:
        chance = self.random.random()
        if chance < 0.1:
            queue.insert(self.random.randint(0, len(queue)), said)
        elif chance < 0.12 and said.raw is None:
            other = {**said.data, "note_of_sender": next(self._numbers)}
            queue.append(Said(said.key, said.id, said.type, said.time, other))

    def _plan_trouble(self) -> None:
        for said in [s for queue in self.queues.values() for s in queue]:
            if self.random.random() < 0.03:
                self.queues["trouble"].append(self._broken(said))
        if self.random.random() < 0.5:
            ghost = f"ghost-{self.random.randrange(100)}"
            self.ghosts.add(ghost)
            self.queue(ghost, "issuance.requested.v1", {"order_id": ghost, "request_id": "r"})

    def _broken(self, said: Said) -> Said:
        id_, key = f"bad-{next(self._numbers)}", said.key.encode()
        headers = write_headers(id=id_, source=SOURCE, type=said.type, subject=said.key, time=said.time)
        body = orjson.dumps(said.data)
        kinds = (
            (key, b"{", headers),
            (key, b"\xff\xfe", headers),
            (key, None, headers),
            (b"other-key", body, headers),
            (None, body, headers),
            (key, b"{}", headers),
            (key, body, [("ce_type", b"\xff"), *headers[:3]]),
            (key, body, [h if h[0] != "ce_type" else ("ce_type", b"order.flew.v1") for h in headers]),
            (key, body, [h for h in headers if h[0] != "ce_id"]),
        )
        chosen = self.random.choice(kinds)
        return Said(said.key, id_, said.type, said.time, {}, raw=(chosen[0], chosen[1], tuple(chosen[2])))

    # partners

    def _partner(self, number: int) -> dict[str, Any]:
        """The third has a wrong number, the fourth is another account of the first one's business."""
        wrong = number == 3
        return {
            "partner_id": f"P-{number}",
            "business_number": "1234567890"
            if wrong
            else business_number.from_seed(1 if number == 4 else number),
            "name": HOLDER,
            "invoice_email": "tax@example.com",
            "representative": "이바다",
        }

    def _plan_partner(self, partner: dict[str, Any]) -> None:
        random, key = self.random, partner["partner_id"]
        for _ in range(random.randrange(0, 3)):
            changed = {**partner, "always_merge": random.random() < 0.7}
            if random.random() < 0.5 and key == "P-3":
                changed["business_number"] = business_number.from_seed(3)
            if random.random() < 0.5 and key == "P-2":  # it moves, or was another company all the time
                changed["business_number"] = business_number.from_seed(20 + random.randrange(2))
            self.queue(key, "partner.changed.v1", changed, START + timedelta(days=random.randrange(60)))
        for number in range(random.randrange(0, 3)):
            month = random.choice(["2026-08", "2026-08", "2026-09"])
            wish: dict[str, Any] = {
                "partner_id": key,
                "business_number": partner["business_number"],
                "month": month,
                "request_id": f"m-{number}",
            }
            if random.random() < 0.4:
                wish["payment_ids"] = [
                    f"pay-A-{n}-1" for n in range(1, self.orders + 1) if random.random() < 0.5
                ]
                if not wish["payment_ids"]:
                    del wish["payment_ids"]
            kind = random.choice(["merge.requested.v1", "merge.requested.v1", "merge.undone.v1"])
            self.queue(key, kind, wish, START + timedelta(days=random.randrange(60)))
        if random.random() < 0.25:
            self.queue(key, "partner.withdrawal_requested.v1", {"partner_id": key, "request_id": "leave"})

    # the payment gateway and the operators

    def _hear(self, record: StoredRecord) -> None:
        headers = dict(record.headers)
        if headers["ce_id"].decode() in self._heard:
            return
        self._heard.add(headers["ce_id"].decode())
        data = orjson.loads(record.value or b"{}")
        about = {name: data.get(name) for name in ("order_id", "refund_id")}
        match headers["ce_type"].decode():
            case "payment.quarantined.v1":
                self._decide(data)
            case "order.paid.v1":
                self.paid_by[data["order_id"]] = data["payment_id"]
            case type_name:
                self._hear_of_refund(type_name, about, data)

    def _hear_of_refund(self, type_name: str, about: dict[str, Any], data: dict[str, Any]) -> None:
        match type_name:
            case "refund.payout_requested.v1":
                self.keys[data["refund_id"]] = data["idempotency_key"]
                self._try_payout(about, data["amount"], data["idempotency_key"])
            case "refund.completed.v1" | "refund.repaid.v1":
                self._undo_payout(about, data["payout_id"], data["amount"])
                self._take_back_refunded(data["order_id"])
                self._use_afterwards(data["order_id"])
            case "refund.bounced.v1":
                self._review(about, self.random.choice(["retry", "retry", "release"]))
            case "refund.held.v1":
                self._do_what_it_waits_for(about, data["next"])
                if self.random.random() < 0.2:
                    self._leave(self.buyers[data["order_id"]])
            case "refund.rejected.v1" | "refund.denied.v1" if self.random.random() < 0.1:
                self._send_back(about)
            case "refund.failed.v1":
                self._review(about, self.random.choice(["retry", "release"]))

    def _leave(self, partner_id: str) -> None:
        """A partner wants to leave while a refund of its waits."""
        wish = {"partner_id": partner_id, "request_id": f"leave-{next(self._numbers)}"}
        self.queue(partner_id, "partner.withdrawal_requested.v1", wish)

    def _do_what_it_waits_for(self, about: dict[str, Any], following: str) -> None:
        chance = self.random.random()
        match following:
            case "attach_proof":
                self.queue(about["order_id"], "refund.proof_attached.v1", {**about, "actor": "partner"})
                self._review(about, self.random.choice(["approve", "reject", "release"]))
                if chance < 0.3:
                    self._send_back(about)
            case "operator_review":
                decision = self.random.choice(["approve", "approve", "approve", "reject"])
                self._review(about, decision, part=decision == "approve" and chance < 0.6)
            case "confirm_return" if chance < 0.8:
                self._send_back(about)
            case "confirm_return":
                self._review(about, self.random.choice(["approve", "reject"]))

    def _send_back(self, about: dict[str, Any]) -> None:
        """Goods come back: all that are asked for, some of them, or more of them than were."""
        time = self.now + timedelta(minutes=self.random.randrange(1, 15_000))
        data: dict[str, Any] = {**about}
        goods = [line for line in self.lines[about["order_id"]] if line["kind"] == "goods"]
        if goods and self.random.random() < 0.5:
            data["lines"] = [
                {"line_id": line["line_id"], "quantity": self.random.randint(1, line["quantity"])}
                for line in goods
            ]
        if self.random.random() < 0.5:
            data["confirmed_at"] = wire_time(time)
        self.queue(about["order_id"], "return.confirmed.v1", data, time)
        if "lines" in data:
            self.queue(about["order_id"], "return.confirmed.v1", dict(about), time + timedelta(hours=1))

    def _use_afterwards(self, order_id: str) -> None:
        """Sometimes a use is heard of when the money is out, or a bonus that was there before it."""
        for line in self.lines[order_id]:
            if line["kind"] in ("metered", "prepaid") and self.random.random() < 0.4:
                most = line_won(line) if line["kind"] == "prepaid" else line["quantity"]
                at = self.now + timedelta(minutes=self.random.randrange(-20_000, 1_000))
                data = {"order_id": order_id, "line_id": line["line_id"]}
                use = {**data, "used": self.random.randint(0, most + 1), "recorded_at": wire_time(at)}
                self.queue(order_id, "usage.recorded.v1", use, self.now + timedelta(hours=1))
                if line["kind"] == "prepaid" and self.random.random() < 0.3:
                    ends = wire_time(at + timedelta(days=7))
                    bonus = {**data, "bonus": self.random.randint(1, 2_000), "expires_at": ends}
                    self.queue(order_id, "balance.granted.v1", bonus, at)

    def _try_payout(self, about: dict[str, Any], amount: int, key: str) -> None:
        chance = self.random.random()
        if chance < 0.55 or key in self.payout_ids:
            self._pay_out(about, amount, key)
            if self.random.random() < 0.15:
                self._pay_out(about, amount, key)
        elif chance < 0.8:
            if chance < 0.65:
                self._answer_of(key)
                self.payouts[about["refund_id"]] = amount
            self._fail(about, "timeout")
        else:
            self._fail(about, "account_closed")

    def _undo_payout(self, about: dict[str, Any], payout_id: str, amount: int) -> None:
        """Sometimes the money comes back, and sometimes a bank sends it once more."""
        chance = self.random.random()
        if chance < 0.12:
            self._fail(about, "account_closed", payout_id)
        elif chance < 0.2:
            again = {**about, "payout_id": f"twice-{next(self._numbers)}", "amount": amount}
            if amount and self.random.random() < 0.5:
                again["amount"] = self.random.randint(1, amount)
            self.queue(about["order_id"], "refund.paid_out.v1", again)

    def _take_back_refunded(self, order_id: str) -> None:
        """Sometimes upstream takes a payment back that was refunded, wholly or in part."""
        if order_id in self.paid_by and self.random.random() < 0.08:
            at = self.now + timedelta(minutes=self.random.randrange(1, 3_000))
            data = {"order_id": order_id, "payment_id": self.paid_by[order_id], "cancelled_at": wire_time(at)}
            self.queue(order_id, "payment.cancelled.v1", data, at)

    def _fail(self, about: dict[str, Any], reason: str, payout_id: str | None = None) -> None:
        payout_id = payout_id or f"try-{next(self._numbers)}"
        data = {**about, "payout_id": payout_id, "reason": reason}
        self.queue(about["order_id"], "refund.payout_failed.v1", data)

    def _answer_of(self, key: str) -> str:
        """The payout of an idempotency key: however often it is asked, the money goes out once."""
        return self.payout_ids.setdefault(key, f"out-{next(self._numbers)}")

    def _pay_out(self, about: dict[str, Any], amount: int, key: str) -> None:
        self.payouts[about["refund_id"]] = amount
        payout_id = self._answer_of(key)
        time = self.now + timedelta(minutes=self.random.randrange(1, 60_000))
        data = {**about, "payout_id": payout_id, "paid_out_at": wire_time(time)}
        if amount > 1 and self.random.random() < 0.1:
            wrong = {**data, "amount": amount + self.random.choice([-1, 10])}
            self.queue(about["order_id"], "refund.paid_out.v1", wrong, time)
        if self.random.random() < 0.3:
            data["amount"] = amount
        self.queue(about["order_id"], "refund.paid_out.v1", data, time)

    def _decide(self, case: dict[str, Any]) -> None:
        """An operator decides about money in quarantine, sometimes twice, sometimes never."""
        decisions = ["returned", "kept", "applied"]
        if case["reason"] == "wrong_amount":
            decisions += ["applied"] * 3
        for _ in range(self.random.choice([0, 0, 1, 1, 2])):
            time = self.now + timedelta(minutes=self.random.randrange(1, 3_000))
            data = {
                "order_id": case["order_id"],
                "payment_id": case["payment_id"],
                "decision": self.random.choice(decisions),
                "actor": "operator-7",
                "note": "looked at",
                "decided_at": wire_time(time),
            }
            self.queue(case["order_id"], "quarantine.decided.v1", data, time)

    def _review(self, about: dict[str, Any], decision: str, *, part: bool = False) -> None:
        """An operator decides; of a part it approves an amount, which sometimes is more than there is."""
        data = {**about, "decision": decision, "actor": "operator-7"}
        if self.random.random() < 0.3:
            data["note"] = self.random.choice(["looked at", "requester_withdrew"])
        if part:
            cost = sum(map(line_won, self.lines[about["order_id"]]))
            data["amount"] = self.random.randint(1, cost + cost // 8 + 1)
        self.queue(about["order_id"], "refund.reviewed.v1", data)


@dataclass(slots=True)
class _Purchase:
    """One order's story, drawn before it happens."""

    checkout: Checkout
    order_id: str
    partner: dict[str, Any]
    lines: list[dict[str, Any]] = field(default_factory=list)
    paid_at: datetime = START
    asked: int = 0
    paid: bool = False
    complete: bool = False
    began: dict[str, datetime] = field(default_factory=dict)

    def plan(self) -> None:
        random = self.checkout.random
        self.paid_at = START + timedelta(minutes=random.randrange(0, 50 * 24 * 60))
        if int(self.order_id.removeprefix("A-")) % 4 == 0:
            # The first hours of a month in Seoul, which are the last of the month before elsewhere.
            self.paid_at = self.paid_at.replace(month=9, day=1, hour=self.paid_at.hour % 9)
        self.checkout.buyers[self.order_id] = self.partner["partner_id"]
        self.lines.append(self._line("1"))
        if random.random() < (0.7 if self.lines[0]["kind"] == "metered" else 0.33):
            self.lines.append(self._line("2"))
        self.checkout.lines[self.order_id] = self.lines
        snapshot = self._snapshot()
        amount = payment_money(snapshot["vat_mode"], sum(map(line_won, self.lines))).total
        if snapshot["payment_method"] == "virtual_account":
            self._deposit(snapshot, amount)
        else:
            self._pay(snapshot, amount, self.paid_at, 1)
        self._afterwards(snapshot, amount)

    def _line(self, line_id: str) -> dict[str, Any]:
        random = self.checkout.random
        kind = random.choices(list(KINDS), list(KINDS.values()))[0]
        if line_id == "2" and random.random() < LIKE_THE_FIRST.get(self.lines[0]["kind"], 0):
            kind = self.lines[0]["kind"]
        line = {
            "line_id": line_id,
            "kind": kind,
            "product_id": f"product-{random.randrange(3)}",
            "product_name": "스터디 이용권 30일",
            "unit_price": random.choice(BALANCES if kind == "prepaid" else PRICES),
            "quantity": random.randint(1, 6),
            "usage_days": 30,
        }
        return _reduced(line)

    def _snapshot(self) -> dict[str, Any]:
        random = self.checkout.random
        snapshot = {
            "order_id": self.order_id,
            "partner": self._buyer(),
            "payment_method": random.choice(METHODS),
            "evidence": random.choice(["tax_invoice"] * 4 + ["cash_receipt"]),
            "issue_policy": random.choice(["automatic", "on_request"]),
            "vat_mode": random.choice(["exclusive", "inclusive"]),
            "lines": self.lines,
        }
        if (snapshot["payment_method"], snapshot["evidence"]) in IMPOSSIBLE_EVIDENCE:
            snapshot["evidence"] = "tax_invoice"
        return snapshot

    def _buyer(self) -> dict[str, Any]:
        """Every second order is for the business that three of the partners have in common."""
        if self.partner["partner_id"] != "P-3" and int(self.order_id.removeprefix("A-")) % 2 == 0:
            return {**self.partner, "business_number": COMMON_NUMBER}
        return self.partner

    def _deposit(self, snapshot: dict[str, Any], amount: int) -> None:
        random = self.checkout.random
        deadline = self.paid_at + timedelta(days=7)
        data = {**snapshot, "deposit_deadline": wire_time(deadline)}
        self._say("payment.pending.v1", data, self.paid_at - timedelta(hours=1))
        if random.random() < 0.3:
            before = {**data, "lines": [self._line("1")], "issue_policy": "on_request"}
            self._say("payment.pending.v1", before, self.paid_at - timedelta(hours=random.choice([0, 2])))
        if random.random() < 0.2:
            failed = {"order_id": self.order_id, "attempt_id": "try-1", "reason": "declined"}
            at = self.paid_at + timedelta(minutes=5)
            self._say("payment.failed.v1", {**failed, "failed_at": wire_time(at)}, at)
            self._cancel(8, at)
        chance = random.random()
        if chance < 0.7:
            self._pay(snapshot, amount, self.paid_at + timedelta(hours=random.randrange(160)), 1)
        elif chance < 0.8:
            self._pay(snapshot, amount, deadline + timedelta(hours=3), 1)
        elif chance < 0.9:
            self._cancel(1, self.paid_at + timedelta(hours=5))

    def _pay(self, snapshot: dict[str, Any], amount: int, at: datetime, number: int) -> None:
        self.paid, self.paid_at = True, max(self.paid_at, at)
        if number == 1 and self.checkout.random.random() < 0.1:
            self._say_payment(snapshot, amount + 10, at - timedelta(minutes=5), 9)
        if number == 1 and self.checkout.random.random() < 0.1 and amount > 20:
            self._say_payment(snapshot, amount - 20, at - timedelta(minutes=4), 6)
            rest = self.checkout.random.choice([20, 20, 19])
            self._say_payment(snapshot, rest, at - timedelta(minutes=3), 7)
            if self.checkout.random.random() < 0.5:
                return  # where the two come to the price, an operator may apply them
        self.complete = True
        self._say_payment(snapshot, amount, at, number)

    def _say_payment(
        self, snapshot: dict[str, Any], amount: int, at: datetime, number: int, shared: str | None = None
    ) -> None:
        payment_id = shared or f"pay-{self.order_id}-{number}"
        data = {**snapshot, "payment_id": payment_id, "amount": amount, "paid_at": wire_time(at)}
        self._say("payment.completed.v1", data, at)

    def _cancel(self, number: int, at: datetime, **more: Any) -> None:
        data = {
            "order_id": self.order_id,
            "payment_id": f"pay-{self.order_id}-{number}",
            "cancelled_at": wire_time(at),
            **more,
        }
        self._say("payment.cancelled.v1", data, at)

    def _afterwards(self, snapshot: dict[str, Any], amount: int) -> None:
        random = self.checkout.random
        steps: list[Any] = [self._issue] * random.choice([0, 1, 1, 2, 3])
        is_asked = self.lines[0]["kind"] != "serials"
        steps += [self._refund] * random.choice([int(is_asked), 1, 1, 2, 3])
        steps += list(self._uses())
        random.shuffle(steps)
        at = self.paid_at
        for step in steps:
            if step in (self._issue, self._refund):
                at += timedelta(minutes=random.randrange(1, 20_000))
                step(self._at_an_edge() if step == self._refund and random.random() < 0.5 else at)
            else:
                step()
        if self.paid and random.random() < 0.15:
            self._say_payment(snapshot, amount, self.paid_at + timedelta(hours=2), 2)
            if random.random() < 0.5:
                self._cancel(2, max(at, self.paid_at + timedelta(hours=3)))
        if self.paid and random.random() < 0.1:
            self._say_payment(snapshot, amount, self.paid_at + timedelta(hours=2), 5, "pay-shared")
        if self.paid and random.random() < 0.1:
            self._cancel(1, at + timedelta(minutes=30), refund_id="echo", amount=random.randint(1, amount))
        self._change_of_mind(snapshot, amount, at)

    def _change_of_mind(self, snapshot: dict[str, Any], amount: int, at: datetime) -> None:
        """Other won under the same id, and what upstream takes back: a part, or all; it may come again."""
        random = self.checkout.random
        if self.complete and random.random() < 0.1:
            more = self.paid_at + timedelta(minutes=random.randint(1, 90))
            self._say_payment(snapshot, amount + 7, more, 1)
        if self.complete and random.random() < 0.2:
            self._cancel_in_parts(amount, at)
        if self.paid and not self.complete and random.random() < 0.3:
            self._cancel(6, at + timedelta(minutes=40))  # one of several payments
        if self.paid and random.random() < 0.25:
            self._cancel(1, at + timedelta(hours=1))
            if random.random() < 0.2:
                self._say_payment(snapshot, amount, at + timedelta(hours=2), 1)

    def _cancel_in_parts(self, amount: int, at: datetime) -> None:
        """A part, or all in two parts, without the id of a refund."""
        random = self.checkout.random
        first = random.randint(1, amount)
        self._cancel(1, at + timedelta(minutes=10), amount=first)
        if first < amount and random.random() < 0.4:
            second = random.choice([amount - first, random.randint(1, amount - first)])
            self._cancel(1, at + timedelta(minutes=20), amount=second)

    def _uses(self) -> Iterator[Callable[[], None]]:
        """What is told of lines that are delivered, activated and used up, each at a time of its own."""
        random = self.checkout.random
        for line in self.lines:
            match line["kind"]:
                case "goods":
                    yield from [partial(self._begin, line, "delivered")] * random.choice([0, 1, 1, 2])
                case "metered":
                    yield from [partial(self._begin, line, "activated")] * random.choice([0, 1, 1, 2])
                    yield from [partial(self._use, line)] * random.choice([0, 0, 0, 1, 2, 3])
                case "prepaid":
                    yield from [partial(self._use, line)] * random.choice([0, 0, 1, 2, 3, 4])
                    yield from [partial(self._bonus, line)] * random.choice([0, 0, 1, 2, 3])

    def _begin(self, line: dict[str, Any], what: str) -> None:
        """The line can be used, or has arrived; some sayings name no instant, or one before the payment."""
        random = self.checkout.random
        at = self.paid_at + timedelta(minutes=random.randrange(0, 14_000))
        data = {"order_id": self.order_id, "line_id": line["line_id"]}
        if random.random() < 0.85:
            self.began[line["line_id"]] = min(at, self.began.get(line["line_id"], at))
            data[f"{what}_at"] = wire_time(at if random.random() < 0.95 else self.paid_at - timedelta(days=1))
        self._say(f"line.{what}.v1", data, at + timedelta(minutes=random.randrange(0, 10_000)))

    def _use(self, line: dict[str, Any]) -> None:
        """A running total: some are lower than before, and some more than there is."""
        random = self.checkout.random
        most = line_won(line) if line["kind"] == "prepaid" else line["quantity"]
        at = self.paid_at + timedelta(minutes=random.randrange(0, 18_000))
        data = {
            "order_id": self.order_id,
            "line_id": line["line_id"] if random.random() < 0.97 else "no-such-line",
            "used": random.randint(0, random.choice([most // 3, most, most + 2])),
            "recorded_at": wire_time(at),
        }
        self._say("usage.recorded.v1", data, at + timedelta(minutes=random.randrange(0, 20_000)))

    def _bonus(self, line: dict[str, Any]) -> None:
        random = self.checkout.random
        at = self.paid_at + timedelta(minutes=random.randrange(0, random.choice([100, 10_000])))
        data = {
            "order_id": self.order_id,
            "line_id": line["line_id"],
            "bonus": random.randint(1, 1 + line_won(line) // 3),
            "expires_at": wire_time(at + timedelta(days=random.choice([1, 3, 7, 9]))),
        }
        self._say("balance.granted.v1", data, at)

    def _at_an_edge(self) -> datetime:
        """A moment on one of the days on which a window ends, or of the day after."""
        random = self.checkout.random
        began = random.choice([self.paid_at, *self.began.values()])
        day = (began + timedelta(days=random.choice([6, 7, 7, 8, 8]))).astimezone(KST)
        return max(day.replace(hour=random.choice([0, 23])), self.paid_at)

    def _issue(self, at: datetime) -> None:
        self.asked += 1
        data: dict[str, Any] = {"order_id": self.order_id, "request_id": f"i-{self.asked}"}
        self._maybe_lines(data)
        self._say("issuance.requested.v1", data, at)
        if self.checkout.random.random() < 0.1:
            self._say("issuance.requested.v1", dict(data), at)

    def _refund(self, at: datetime) -> None:
        random = self.checkout.random
        self.asked += 1
        data: dict[str, Any] = {
            "order_id": self.order_id,
            "refund_request_id": f"r-{self.asked}",
            "requested_by": "partner-user",
            "role": "partner",
            "reason": "서비스 불만",
            "message": "환불해 주세요",
            "destination": self._destination(),
        }
        self._maybe_lines(data)
        self._say("refund.requested.v1", data, at)
        if random.random() < 0.1:
            again = {**data, "message": random.choice([data["message"], "다른 말"])}
            self._say("refund.requested.v1", again, at)

    def _destination(self) -> dict[str, Any]:
        holder = HOLDER if self.checkout.random.random() < 0.75 else "홍길동"
        return {
            "method": "bank_account",
            "bank_code": "088",
            "account_number": "110123456789",
            "holder": holder,
        }

    def _maybe_lines(self, data: dict[str, Any]) -> None:
        random = self.checkout.random
        if random.random() < 0.4:
            return
        chosen = [li for li in self.lines if random.random() < 0.7] or self.lines[-1:]
        least = {
            li["line_id"]: li["quantity"] if li["kind"] == "prepaid" and random.random() < 0.8 else 1
            for li in chosen
        }
        data["lines"] = [
            {"line_id": li["line_id"], "quantity": random.randint(least[li["line_id"]], li["quantity"])}
            for li in chosen
        ]
        if random.random() < 0.05:
            data["lines"].append({"line_id": "no-such-line", "quantity": 1})

    def _say(self, type_name: str, data: dict[str, Any], at: datetime) -> None:
        self.checkout.queue(self.order_id, type_name, data, at)


def _owed(refund: Row) -> int:
    won: int = refund["supply"] + refund["vat"] - refund["fee"]
    return won


def months_of(broker: Broker) -> Sequence[str]:
    """The months in which something was paid, as far as it was said."""
    months = set()
    for record in broker.records_of(TOPIC):
        if record.value and b"paid_at" in record.value:
            try:
                document = orjson.loads(record.value)
            except orjson.JSONDecodeError:
                continue
            data = document.get("data", document)
            months.add(month_of(datetime.fromisoformat(data["paid_at"])))
    return sorted(months)
