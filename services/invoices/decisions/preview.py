"""What a month close would do, before anybody decides it: the close, in a world that is thrown away."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from services.invoices.calendar import (
    cut_off,
    estimated_penalty,
    is_late,
    late_percent,
    penalty_of_percent,
)
from services.invoices.decisions.closing import issue_month
from services.invoices.decisions.eligibility import judge, scope_of
from services.invoices.decisions.merging import wish_at_close
from services.invoices.state import Document, MergeRequest, NewId, Payment, Reason, Verdict, World
from shared.kst import kst_date
from shared.money import NOTHING, Money

IN_SOME_MERGE: tuple[Reason, ...] = ("merged", "merged_by_operator")


class DocumentToBe(NamedTuple):
    """A document as the close would leave it, with its payments that have won.

    Its state is `issued`, or `issue_failed` where its business number is wrong. `penalty` is what a late one
    is expected to cost, in won; None for one in time.
    """

    document: Document
    payments: Sequence[Payment]
    penalty: int | None


class LeftOut(NamedTuple):
    """A payment that its partner wants merged, and why it is not. `won` stand on its own document."""

    payment_id: str
    order_id: str | None
    partner_id: str
    reason: Reason
    won: int


class Tried(NamedTuple):
    """What the close would make of some partners of a month."""

    documents: Sequence[DocumentToBe]
    left_out: Sequence[LeftOut]


def try_close(world: World, month: str, at: datetime, new_id: NewId, partner_ids: Collection[str]) -> Tried:
    """Closes `month` for these partners in this world, and tells what came of it.

    Documents with a refund in progress are told as they would be issued: whole. The world is not to be saved.
    Document keys are given by the close alone, so they are not told.
    """
    chosen = frozenset(partner_ids)
    explained_before = dict(world.explanations)
    before = {d.invoice_id for d in world.documents.values() if d.state == "issued"}
    too_late = list(_asked_too_late(world, month, chosen))
    issue_month(world, month, at, new_id, chosen, despite_open_refunds=True)
    documents = [
        _to_be(world, document, at)
        for document in world.documents.values()
        if document.month == month
        and document.partner_id in chosen
        and document.state in ("issued", "issue_failed")
        and document.invoice_id not in before
    ]
    explained = (
        _left_out(world, each.payment_id, each.order_id, each.partner_id, each.reason)
        for key, each in world.explanations.items()
        if each is not explained_before.get(key) and each.reason not in IN_SOME_MERGE
    )
    left_out = {each.payment_id: each for each in (*too_late, *explained)}
    return Tried(documents, list(left_out.values()))


def _to_be(world: World, document: Document, at: datetime) -> DocumentToBe:
    payments = [payment for payment in world.payments_in(document) if payment.standing.total]
    is_issued = document.state == "issued"
    penalty = estimated_penalty(document.month, at, document.amount.supply) if is_issued else None
    return DocumentToBe(document, payments, penalty)


def _asked_too_late(world: World, month: str, chosen: frozenset[str]) -> Iterator[LeftOut]:
    """The payments that only the cut-off keeps out of a merge; an operator may still merge them."""
    last_moment = cut_off(month, world.policy.cut_off_day, world.policy.cut_off_hour)
    late = (
        each
        for each in world.requests.values()
        if each.month == month and each.partner_id in chosen and each.requested_at >= last_moment
    )
    for request in late:
        for verdict in _verdicts_of_late(world, request):
            if verdict.reason == "after_cut_off":
                yield _left_out(
                    world, verdict.payment_id, verdict.order_id, request.partner_id, verdict.reason
                )


def _verdicts_of_late(world: World, request: MergeRequest) -> Sequence[Verdict]:
    """What such a request would have got in time; nothing for an undo, or where the close merges anyway."""
    scope = scope_of(request)
    wishes = world.standing_requests(*scope)
    partner = world.partners.get(request.partner_id)
    if request.undo or wish_at_close(scope, partner, wishes, world.policy) is not None:
        return ()
    wanted = None if request.payment_ids is None else frozenset(request.payment_ids)
    return judge(world, scope, wanted, "after_cut_off")


def _left_out(
    world: World, payment_id: str, order_id: str | None, partner_id: str, reason: Reason
) -> LeftOut:
    payment = None if order_id is None else world.payments.get(order_id)
    won = 0 if payment is None else payment.standing.total
    return LeftOut(payment_id, order_id, partner_id, reason, won)


@dataclass(slots=True)
class Sums:
    """So many documents, with their payments and won, and 1 % and 2 % of each, should it be late."""

    documents: int = 0
    payments: int = 0
    amount: Money = NOTHING
    one_percent: int = 0
    two_percent: int = 0

    def add(self, each: DocumentToBe) -> None:
        """Counts one more document."""
        self.documents += 1
        self.payments += len(each.payments)
        self.amount = self.amount.plus(each.document.amount)
        self.one_percent += penalty_of_percent(each.document.amount.supply, 1)
        self.two_percent += penalty_of_percent(each.document.amount.supply, 2)


@dataclass(slots=True)
class MonthPreview:
    """What the close would make of a month, added up partner by partner; at most `most` of each are named."""

    most: int
    single: Sums = field(default_factory=Sums)
    merged: Sums = field(default_factory=Sums)
    failed: Sums = field(default_factory=Sums)
    merges: list[DocumentToBe] = field(default_factory=list)
    failures: list[DocumentToBe] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    reasons: Counter[Reason] = field(default_factory=Counter)
    won_of: Counter[Reason] = field(default_factory=Counter)

    def add(self, tried: Tried) -> None:
        """Adds what became of some more partners, and names it."""
        self.count(tried)
        self.name(tried)

    def count(self, tried: Tried) -> None:
        """Adds what became of some more partners, without naming it."""
        for each in tried.documents:
            if each.document.state == "issue_failed":
                self.failed.add(each)
            elif each.document.kind == "merged":
                self.merged.add(each)
            else:
                self.single.add(each)
        for left in tried.left_out:
            self.reasons[left.reason] += 1
            self.won_of[left.reason] += left.won

    def count_kept(self, sums: Mapping[str, Any], left_out: Sequence[Mapping[str, Any]]) -> None:
        """Adds what is kept of partners: rows of `kept_sums` and `kept_left_out`.

        What is kept does not say what of the won is on merged documents; all is counted with the single ones.
        """
        self.single.documents += sums["single"]
        self.single.payments += sums["payments"]
        self.single.amount = self.single.amount.plus(Money(sums["supply"], sums["vat"]))
        self.single.one_percent += sums["one_percent"]
        self.single.two_percent += sums["two_percent"]
        self.merged.documents += sums["merged"]
        self.failed.documents += sums["failed"]
        self.failed.amount = self.failed.amount.plus(Money(sums["failed_total"], 0))
        for row in left_out:
            self.reasons[row["reason"]] += row["count"]
            self.won_of[row["reason"]] += row["won"]

    def name(self, tried: Tried) -> None:
        """Names what became of partners that are counted."""
        for each in tried.documents:
            if each.document.state == "issue_failed":
                self._name(self.failures, each)
            elif each.document.kind == "merged":
                self._name(self.merges, each)
        named = Counter(each.reason for each in self.left_out)
        for left in tried.left_out:
            named[left.reason] += 1
            if named[left.reason] <= self.most:
                self.left_out.append(left)

    def _name(self, named: list[DocumentToBe], each: DocumentToBe) -> None:
        if len(named) < self.most:
            named.append(each)

    def to_be(self, month: str, at: datetime) -> Mapping[str, int]:
        """The documents that a close at the instant `at` would issue, in all, with the penalty of late ones.

        `failed` would not be issued, for their business number.
        """
        amount = self.single.amount.plus(self.merged.amount)
        documents, is_late_then = self.single.documents + self.merged.documents, is_late(month, at)
        percent = late_percent(month, kst_date(at))
        name = "one_percent" if percent == 1 else "two_percent"
        penalty = getattr(self.single, name) + getattr(self.merged, name)
        return {
            "documents": documents,
            "payments": self.single.payments + self.merged.payments,
            "supply": amount.supply,
            "vat": amount.vat,
            "total": amount.total,
            "single": self.single.documents,
            "merged": self.merged.documents,
            "failed": self.failed.documents,
            "late": documents if is_late_then else 0,
            "penalty": penalty if is_late_then else 0,
        }
