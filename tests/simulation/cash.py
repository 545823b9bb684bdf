"""What checkout has said about the money of one order, and how much of it is still here.

The books are kept from accepted documents alone. Only how upstream's cancellations, refunds and decisions
follow on each other is asked of the rows of the order and of its cases.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from shared.kst import wire_time
from tests.simulation.memory import Row

GATEWAY = ("card", "mycash")
"""Methods whose refunds go back through the gateway, which then tells of a cancellation."""
MISSING = (
    *("cancelled_after_issue", "cancelled_after_refund", "partly_cancelled", "payout_twice"),
    "used_after_refund",
)
"""The reasons of cases about money that went, or that went too far and is here again."""


@dataclass(slots=True)
class Cash:
    """Won of one order by payment id: `came` by instant, for what it `paid`, `gone` when all of it was last
    taken back, `parts` that were, and `twice` what payouts sent that nobody was owed. Instants are as on the
    wire.
    """

    came: dict[tuple[str, str], int] = field(default_factory=dict)
    paid: dict[tuple[str, str], Any] = field(default_factory=dict)
    gone: dict[str, str] = field(default_factory=dict)
    parts: dict[str, dict[str, int]] = field(default_factory=dict)
    twice: dict[str, int] = field(default_factory=dict)

    def hear(self, type_name: str, data: Mapping[str, Any]) -> None:
        """One document that was accepted."""
        payment_id = data.get("payment_id", "")
        match type_name:
            case "payment.completed.v1":
                what = (payment_id, data["paid_at"])
                if what not in self.came:
                    self.came[what] = data["amount"]
                    self.paid[what] = data["amount"], data["partner"]["partner_id"], data["lines"]
            case "payment.cancelled.v1" if "refund_id" in data:
                """The echo of a refund of ours."""
            case "payment.cancelled.v1" if "amount" in data:
                self.parts.setdefault(payment_id, {})[data["cancelled_at"]] = data["amount"]
            case "payment.cancelled.v1":
                self.gone[payment_id] = max(self.gone_at(payment_id), data["cancelled_at"])
            case "refund.paid_out.v1" if data["payout_id"].startswith("twice-"):
                self.twice[data["payout_id"]] = data["amount"]

    def gone_at(self, payment_id: str) -> str:
        return self.gone.get(payment_id, "")

    def is_told_twice(self, payment_id: str, paid_at: str) -> bool:
        """Whether the same was paid before, and upstream did not take any of that back since."""
        went = {*self.parts.get(payment_id, ()), self.gone_at(payment_id)}
        return any(
            known == payment_id
            and at < paid_at
            and what == self.paid[payment_id, paid_at]
            and not any(at <= instant <= paid_at for instant in went)
            for (known, at), what in self.paid.items()
        )


@dataclass(slots=True)
class Account:
    """The cash of an order beside its row and its cases."""

    cash: Cash
    order: Row
    cases: Sequence[Row]

    @property
    def paying(self) -> set[str]:
        """The ids of the payments that pay the order."""
        return {self.order["payment_id"], *self.order["payment_ids"]}

    @property
    def is_gone(self) -> bool:
        """Whether its payment was taken back as a whole after it was paid."""
        payment_id, paid_at = self.order["payment_id"], self.order["paid_at"]
        return paid_at is not None and self.gone_at(payment_id) >= wire_time(paid_at)

    def gone_at(self, payment_id: str) -> str:
        """When all of a payment was last taken back. Of an order that was refunded through the gateway a
        cancellation is the echo of that."""
        return "" if self._is_echo(payment_id) else self.cash.gone_at(payment_id)

    def parts(self, payment_id: str) -> int:
        """Won of a payment that went back in parts, and not again with all of it."""
        gone_at = self.gone_at(payment_id)
        return sum(won for at, won in self.cash.parts.get(payment_id, {}).items() if at > gone_at)

    def here(self) -> int:
        """Won that came and are here: less what upstream took back, and what operators returned or kept."""
        here = Counter[str]()
        for (payment_id, paid_at), won in self.cash.came.items():
            # What ended a case of missing money counts as less that went.
            is_here = paid_at in self._pays_since(payment_id) or paid_at > self.gone_at(payment_id)
            is_repeat = self._is_echo(payment_id) and self._is_paid_anew(payment_id, paid_at, won)
            is_repeat = is_repeat or self.cash.is_told_twice(payment_id, paid_at)
            if is_here and not is_repeat and paid_at not in self._came_again(payment_id):
                here[payment_id] += won
        for case in self.cases:
            payment_id = case["payment_id"]
            was_here = case["reason"] in MISSING or wire_time(case["opened_at"]) > self.gone_at(payment_id)
            if case["decision"] in ("returned", "kept") and was_here:
                here[payment_id] -= case["amount"]
        own = {self.order["payment_id"]} - self._applied
        for payment_id in own:
            here[payment_id] -= self._parts_of_cases(payment_id)
        for payment_id in self.cash.parts.keys() - own:
            here[payment_id] = max(here[payment_id] - self.parts(payment_id), 0)
        return sum(here.values()) - int(self.order["taken_back"])

    def told(self) -> int | None:
        """Won of its payment that must count as taken back by what upstream says; None where that depends on
        what went through the gateway, or on several payments."""
        if self.order["payment_method"] in GATEWAY or self.order["payment_ids"]:
            return None
        amount, payment_id = self.order["amount"], self.order["payment_id"]
        parts = self.parts(payment_id) - self._parts_of_cases(payment_id)
        went = amount if self.is_gone else min(parts, amount)
        return int(went - self._again())

    def _parts_of_cases(self, payment_id: str) -> int:
        """Won of parts that went from other money under the id of a payment, which stands in quarantine: from
        one case to the next of the same money. What went when nothing was left is none of them."""
        gone_at, parts = self.gone_at(payment_id), self.cash.parts.get(payment_id, {})
        money: dict[Any, list[Row]] = {}
        for case in sorted(self.cases, key=lambda case: case["number"]):
            if case["payment_id"] == payment_id and case["reason"] not in MISSING:
                money.setdefault((case["opened_at"], case["content"]), []).append(case)
        return sum(
            int(case["amount"] - (following["amount"] if following else 0))
            for cases in money.values()
            for case, following in zip_longest(cases, cases[1:])
            if case["decision"] == "taken_back" and gone_at < wire_time(case["settled_at"]) in parts
        )

    def _is_echo(self, payment_id: str) -> bool:
        is_refunded = self.order["state"] == "refunded" and self.order["payment_method"] in GATEWAY
        return is_refunded and payment_id == self.order["payment_id"]

    def _is_paid_anew(self, payment_id: str, paid_at: str, won: int) -> bool:
        """Paid again after its cancellation. Where that counts as an echo, this counts as told twice: both
        together change nothing.
        """
        gone_at = self.cash.gone_at(payment_id)
        came_before = any(known == payment_id and at <= gone_at for known, at in self.cash.came)
        return came_before and gone_at < paid_at and won == self.order["amount"]

    @property
    def _applied(self) -> set[str]:
        """Payments whose cases were applied: a part of one that went back before went from its case."""
        return {case["payment_id"] for case in self.cases if case["decision"] == "applied"}

    def _pays_since(self, payment_id: str) -> set[str]:
        if payment_id not in self.paying:
            return set()
        applied = {case["opened_at"] for case in self._ended(payment_id, "applied")}
        return {wire_time(instant) for instant in applied or {self.order["paid_at"]}}

    def _came_again(self, payment_id: str) -> set[str]:
        return {wire_time(case["settled_at"]) for case in self._ended(payment_id, "reinstated")}

    def _again(self) -> int:
        """Won that came again since the payment was last taken back."""
        payment_id = self.order["payment_id"]
        ended = self._ended(payment_id, "reinstated")
        gone_at = self.gone_at(payment_id)
        return sum(-int(case["amount"]) for case in ended if wire_time(case["settled_at"]) > gone_at)

    def _ended(self, payment_id: str, decision: str) -> Iterable[Row]:
        return (c for c in self.cases if c["payment_id"] == payment_id and c["decision"] == decision)
