"""What the system has answered so far: the fold of the five answer topics, for the orders of one plan.

Pure and harmless to repeat: a record read twice changes nothing, and records of different topics may come in
any order. The ends of lines come from here alone; nothing is concluded from the plan.
"""

from collections.abc import Mapping
from typing import Any

from ops.replay.plan import SOURCE, Plan, Step, StepKind
from ops.replay.states import RETURN_AWAITED, Answer, Books, OrderState, Payout, Return, Verdict
from shared.events.successors import newest
from shared.money import Money


class Ledger:
    """Folds answers into the state of each order. `settling` and `ends` read it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.orders = {order_id: OrderState() for order_id in plan.orders}
        self.verdicts: dict[str, Verdict] = {}
        self.payouts: dict[str, Payout] = {}
        self.returns: dict[str, Return] = {}
        self.books = Books()
        self.records = 0
        self._payments = {order.payment_id: order_id for order_id, order in plan.orders.items()}
        self._others = {e.key for e in plan.history if isinstance(e, Step) and e.kind is StepKind.PARTNER}

    def record(self, answer: Answer, live: bool = True) -> str | None:
        """Takes in one record. Returns the key it is about, or None where it is not about this plan.

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
        """Takes in answers that services keep longer than the topic: ce_id and code, empty for accepted."""
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
        type_name, data = newest(answer.type, answer.data)
        match type_name:
            case "order.paid.v1":
                order.paid = Money(data["supply"], data["vat"])
            case "payment.quarantined.v1":
                order.quarantined = data["reason"]
            case "issuance.granted.v2":
                order.grant(data["grants"])
            case "issuance.denied.v1":
                order.deny(data.get("line_id"))
            case "serials.issued.v2":
                order.issue(data["grants"])
            case "refund.locked.v2":
                order.lock(data["lines"])
            case refund if refund.startswith("refund."):
                self._record_refund(order, answer)
            case _:
                pass
        return True

    def _record_refund(self, order: OrderState, answer: Answer) -> None:
        data, word = answer.data, answer.type.split(".")[1]
        refund = order.refund(data["refund_id"])
        refund.request_id = data.get("refund_request_id", refund.request_id)
        if word == "held" and data["reason"] == RETURN_AWAITED and refund.state == "requested":
            self.returns[refund.refund_id] = Return(answer.key, refund.refund_id, answer.time)
        if word != "held":
            self.returns.pop(refund.refund_id, None)
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
                # A long list comes in parts: the first begins it anew.
                before = books.merged.get(document, frozenset()) if data.get("part", 1) > 1 else frozenset()
                books.merged[document] = before | ours
            case "invoice.unmerged.v1":
                books.merged.pop(document, None)
            case "invoice.issued.v1":
                before = books.issued[document][0] if document in books.issued else frozenset()
                books.issued[document] = (before | ours, Money(data["supply"], data["vat"]))
                books.failed.pop(document, None)
            case "invoice.issue_failed.v1":
                books.failed[document] = data["reason"]
            case "invoice.modified.v1":
                books.modified[document] = Money(data["supply"], data["vat"])
            case _:
                pass


def _quantities(data: dict[str, Any]) -> dict[str, int]:
    return {line["line_id"]: line["quantity"] for line in data["lines"]}
