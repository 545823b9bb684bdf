"""What the system has answered so far: the fold of the five answer topics, for the orders of one plan.

Pure and harmless to repeat: a record seen twice changes nothing, and records of different topics may come in
any order. The outcome of a line is read here and nowhere else; nothing is concluded from the plan alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, assert_never

from ops.replay.outcomes import OrderEnd, RefundEnd, Surprise, together, with_reason
from ops.replay.plan import SOURCE, Bought, Cancelled, Fate, Plan, Planned, Step, StepKind
from shared.money import Money

NOTHING = Money(0, 0)


@dataclass(slots=True, frozen=True)
class Answer:
    """One record of an answer topic. `time` is its ce_time, `data` its body."""

    key: str
    type: str
    time: datetime
    data: dict[str, Any]


class Verdict(NamedTuple):
    """The answer on checkout.feedback; `code` is empty when the event was accepted."""

    accepted: bool
    code: str


@dataclass(slots=True)
class RefundState:
    """One refund as far as it has come. `state` is the word of the event type that led here.

    `money` is the supply value and VAT that went back, `amount` what was paid out (less the fee), in won.
    """

    refund_id: str
    request_id: str | None = None
    state: str = "requested"
    reason: str = ""
    granted: dict[str, int] = field(default_factory=dict)
    completed: dict[str, int] = field(default_factory=dict)
    money: Money = NOTHING
    amount: int = 0

    @property
    def over(self) -> bool:
        """Whether nothing more will come of it by itself."""
        return self.state in ("completed", "rejected", "denied", "released", "failed", "held")


@dataclass(slots=True)
class LineState:
    """The units of one order line: grants to issue, and which of them have their serials."""

    granted: dict[str, int] = field(default_factory=dict)
    issued: dict[str, int] = field(default_factory=dict)
    denied: bool = False
    locked: bool = False

    @property
    def units_issued(self) -> int:
        """Units that have a serial."""
        return sum(self.issued.values())

    @property
    def complete(self) -> bool:
        """Whether every grant has its serials and the refunds service knows that the line is closed to it."""
        return bool(self.granted) and self.granted.keys() <= self.issued.keys() and self.locked


@dataclass(slots=True)
class OrderState:
    """One order of the plan as the system sees it.

    `paid` is the recorded payment, `nothing_left` that an issuance of everything left was denied as a whole.
    """

    paid: Money | None = None
    quarantined: str = ""
    nothing_left: bool = False
    lines: dict[str, LineState] = field(default_factory=dict)
    refunds: dict[str, RefundState] = field(default_factory=dict)

    def line(self, line_id: str) -> LineState:
        """The state of a line, fresh when nothing was heard of it."""
        found = self.lines.get(line_id)
        if found is None:
            found = self.lines[line_id] = LineState()
        return found

    def deny(self, line_id: str | None) -> None:
        """Orders issues nothing of a line, or of the whole order."""
        if line_id is None:
            self.nothing_left = True
        else:
            self.line(line_id).denied = True

    def refund(self, refund_id: str) -> RefundState:
        """The state of a refund, fresh when nothing was heard of it."""
        return self.refunds.setdefault(refund_id, RefundState(refund_id))

    def requested(self, request_id: str) -> RefundState | None:
        """The refund that answers a request, once it has an id."""
        return next((r for r in self.refunds.values() if r.request_id == request_id), None)

    def refunded(self, line_id: str) -> int:
        """Units of a line paid back."""
        return sum(refund.completed.get(line_id, 0) for refund in self.refunds.values())

    def claimed(self, line_id: str) -> int:
        """Units of a line that refunds hold or have paid back."""
        holding = (refund for refund in self.refunds.values() if refund.state not in ("released", "denied"))
        return sum((refund.completed or refund.granted).get(line_id, 0) for refund in holding)


class Payout(NamedTuple):
    """A payout that the refunds service asked for and nobody has answered."""

    order_id: str
    refund_id: str
    asked_at: datetime


@dataclass(slots=True)
class Books:
    """The tax documents of the plan's payments, by id, so that a repeated record counts once."""

    drafts: set[str] = field(default_factory=set)
    merged: dict[str, frozenset[str]] = field(default_factory=dict)
    issued: dict[str, tuple[frozenset[str], Money]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    modified: dict[str, Money] = field(default_factory=dict)
    closed: dict[str, dict[str, Any]] = field(default_factory=dict)


class Ledger:
    """Folds answers and says which steps are settled, what the others wait for, and how each line ended."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.orders = {order_id: OrderState() for order_id in plan.orders}
        self.verdicts: dict[str, Verdict] = {}
        self.payouts: dict[str, Payout] = {}
        self.books = Books()
        self.records = 0
        self._payments = {order.payment_id: order_id for order_id, order in plan.orders.items()}
        self._others = {e.key for e in plan.history if isinstance(e, Step) and e.kind is StepKind.PARTNER}

    def record(self, answer: Answer, live: bool = True) -> str | None:
        """Takes one record in; the key it is about, or None when it is none of this plan's business.

        A `duplicate_id` from before this run (`live` false) says nothing about this file.
        """
        order = self.orders.get(answer.key)
        if answer.type.startswith(("invoice.", "month.")):
            touched = self._record_invoice(answer)
        elif answer.type.startswith("event."):
            touched = self._record_verdict(answer.data, live)
        else:
            touched = order is not None and self._record_order(order, answer)
        if not touched:
            return None
        self.records += 1
        return answer.key

    def remember(self, codes: Mapping[str, str]) -> None:
        """Answers kept longer than the feedback topic keeps them: ce_id and code, empty for accepted."""
        for id_, code in codes.items():
            self.verdicts.setdefault(id_, Verdict(not code, code))

    def _record_verdict(self, data: dict[str, Any], live: bool) -> bool:
        event = data.get("event") or {}
        if event.get("source") != SOURCE:
            return False
        code = "" if data["outcome"] == "accepted" else data["code"]
        if code != "duplicate_id" or live:
            self.verdicts[event["id"]] = Verdict(not code, code)
        return True

    def _record_order(self, order: OrderState, answer: Answer) -> bool:
        data = answer.data
        match answer.type:
            case "order.paid.v1":
                order.paid = Money(data["supply"], data["vat"])
            case "payment.quarantined.v1":
                order.quarantined = data["reason"]
            case "issuance.granted.v1":
                order.line(data["line_id"]).granted[data["grant_id"]] = data["quantity"]
            case "issuance.denied.v1":
                order.deny(data.get("line_id"))
            case "serials.issued.v1":
                order.line(data["line_id"]).issued[data["grant_id"]] = data["quantity"]
            case "refund.locked.v1":
                order.line(data["line_id"]).locked = True
            case refund if refund.startswith("refund."):
                self._record_refund(order, answer)
            case _:
                pass
        return True

    def _record_refund(self, order: OrderState, answer: Answer) -> None:
        data, word = answer.data, answer.type.split(".")[1]
        refund = order.refund(data["refund_id"])
        refund.request_id = data.get("refund_request_id", refund.request_id)
        if word == "granted":
            refund.granted = _quantities(data)
        if word == "completed":
            refund.completed, refund.amount = _quantities(data), data["amount"]
            refund.money = Money(data["supply"], data["vat"])
        if word == "payout_requested" and refund.state != "completed":
            asked = Payout(answer.key, refund.refund_id, answer.time)
            self.payouts[refund.refund_id] = asked
        if refund.state not in ("completed", "rejected", "denied", "released"):
            refund.state, refund.reason = word, data.get("reason", "")
        if refund.over:
            self.payouts.pop(refund.refund_id, None)

    def _record_invoice(self, answer: Answer) -> bool:
        data, books = answer.data, self.books
        if answer.type == "month.closed.v1":
            books.closed[data["month"]] = data
            return True
        ours = frozenset(data.get("payment_ids") or [data.get("payment_id")]) & self._payments.keys()
        if not ours and data["invoice_id"] not in books.merged and data["invoice_id"] not in books.drafts:
            return False
        self._keep_document(answer.type, data, ours)
        return True

    def _keep_document(self, type_: str, data: dict[str, Any], ours: frozenset[str]) -> None:
        books, document = self.books, data["invoice_id"]
        match type_:
            case "invoice.drafted.v1":
                books.drafts.add(document)
            case "invoice.merged.v1":
                books.merged[document] = ours
            case "invoice.unmerged.v1":
                books.merged.pop(document, None)
            case "invoice.issued.v1":
                books.issued[document] = (ours, Money(data["supply"], data["vat"]))
                books.failed.pop(document, None)
            case "invoice.issue_failed.v1":
                books.failed[document] = data["reason"]
            case "invoice.modified.v1":
                books.modified[document] = Money(data["supply"], data["vat"])
            case _:
                pass

    def unpaid(self, step: Step) -> bool:
        """Whether the step is about an order that was never paid, because its payment was refused."""
        if step.kind not in (StepKind.REFUND, StepKind.ISSUANCE):
            return False
        order = self.orders[step.key]
        verdict = self.verdicts.get(f"{step.key}:payment")
        refused = verdict is not None and not verdict.accepted
        return order.paid is None and (refused or bool(order.quarantined))

    def settled(self, step: Step) -> bool:
        """Whether everything that follows from a step has been answered."""
        return next(self.missing(step), None) is None

    def missing(self, step: Step) -> Iterator[str]:
        """What a step still waits for, and from whom. Nothing when it is settled."""
        verdict = self.verdicts.get(step.id)
        if verdict is None:
            owner = {StepKind.PARTNER: "invoices", StepKind.REFUND: "refunds"}.get(step.kind, "orders")
            yield f"the answer of {owner} to {step.type} on checkout.feedback"
        elif not verdict.accepted:
            return
        match step.kind:
            case StepKind.PARTNER:
                return
            case StepKind.DOCUMENT:
                order = self.orders[step.key]
                if order.paid is None and not order.quarantined:
                    yield "order.paid from orders"
            case StepKind.REFUND:
                refund = self.orders[step.key].requested(step.data["refund_request_id"])
                if refund is None or not refund.over:
                    state = refund.state if refund else "not known yet"
                    yield f"the end of refund request {step.data['refund_request_id']} ({state})"
            case StepKind.ISSUANCE:
                yield from self._missing_issues(step.key)
            case _:
                assert_never(step.kind)

    def _missing_issues(self, order_id: str) -> Iterator[str]:
        order, planned = self.orders[order_id], self.plan.orders[order_id]
        if order.nothing_left:
            return
        for line_id in planned.serials:
            line = order.line(line_id)
            if line.denied or line.complete or order.claimed(line_id) >= planned.units[line_id]:
                continue
            if not line.granted:
                yield f"issuance.granted for line {line_id} from orders"
            elif not line.granted.keys() <= line.issued.keys():
                yield f"serials.issued for line {line_id} from serials"
            else:
                yield f"refund.locked for line {line_id} from refunds"

    def outcome(self, fate: Fate) -> str:
        """The name of the end of one source line."""
        match fate:
            case Surprise():
                return fate.value
            case Bought():
                return self._end_of_line(self.plan.orders[fate.order_id], fate.line_id)
            case Cancelled():
                return together([self._end_of_refund(*request) for request in fate.requests])
            case _:
                assert_never(fate)

    def _end_of_line(self, planned: Planned, line_id: str) -> str:
        order = self.orders[planned.order_id]
        verdict = self.verdicts.get(f"{planned.order_id}:payment")
        if verdict is not None and not verdict.accepted:
            return with_reason(OrderEnd.REJECTED, verdict.code)
        if order.paid is None:
            return (
                with_reason(OrderEnd.QUARANTINED, order.quarantined) if order.quarantined else OrderEnd.OPEN
            )
        issued, refunded = order.line(line_id).units_issued, order.refunded(line_id)
        if issued + refunded < planned.units[line_id]:
            return OrderEnd.OPEN if line_id in planned.serials else OrderEnd.CHARGED
        if issued and refunded:
            return OrderEnd.ISSUED_AND_REFUNDED
        return OrderEnd.ISSUED if issued else OrderEnd.REFUNDED

    def _end_of_refund(self, order_id: str, request_id: str) -> str:
        order = self.orders[order_id]
        verdict = self.verdicts.get(f"{order_id}:{request_id}")
        if verdict is not None and not verdict.accepted:
            unsupported = verdict.code == "not_supported"
            return RefundEnd.NOT_SUPPORTED if unsupported else with_reason(RefundEnd.INVALID, verdict.code)
        refund = order.requested(request_id)
        if refund is None:
            return RefundEnd.NOT_PAID if order.paid is None else RefundEnd.OPEN
        match refund.state:
            case "completed":
                return RefundEnd.COMPLETED
            case "rejected" if refund.reason == "not_supported":
                # Said on checkout.feedback when the order is known already, else as a fact of its own.
                return RefundEnd.NOT_SUPPORTED
            case "rejected" | "denied" | "held" | "failed" | "released":
                return with_reason(RefundEnd(f"refund_{refund.state}"), refund.reason)
            case _:
                return RefundEnd.OPEN


def _quantities(data: dict[str, Any]) -> dict[str, int]:
    return {line["line_id"]: line["quantity"] for line in data["lines"]}
