"""Whatever the order of payments, refunds, merges, undo and closes: the won add up after every step.

`Books.check` runs after each event: payments minus refunds equal what stands on issued, modified and
un-issued documents, slips and receipts; every document equals the sum of its lines; every sequence is
contiguous. A close issues what it said that it would when it was tried out. At the end each document and each
payment is explained to the won.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, rule

from services.invoices.decisions.corrections import CannotCorrect, Order
from services.invoices.decisions.explaining import explain_document, explain_payment
from services.invoices.decisions.issuing import has_open_refund
from services.invoices.decisions.preview import IN_SOME_MERGE, DocumentToBe, Tried
from services.invoices.state import Explanation
from shared.money import Money, refund_money
from shared.runtime.decisions import NewEvent
from tests.unit.invoices.books import GANADA, OTHER, WRONG, Books, instant, line
from tests.unit.invoices.tracing import sources_of, sources_of_payment

MONTHS = ("2026-10", "2026-11")
PARTNERS = ("P-17", "P-18")
NUMBERS = (GANADA, OTHER, WRONG)
KINDS = st.sampled_from(["serials", "goods"])
DAYS = {"2026-10": "2026-10-{:02d}T12:00:00+09:00", "2026-11": "2026-11-{:02d}T12:00:00+09:00"}
AFTER = "2026-12-05T18:00:00+09:00"
CORRECTED = instant("2026-12-20T10:00:00+09:00")


def told(each: DocumentToBe) -> tuple[Any, ...]:
    """A document as its preview tells it."""
    document, names = each.document, [payment.payment_id for payment in each.payments]
    return document.partner_id, document.business_number, document.amount, names, each.penalty or 0


def said(data: dict[str, Any]) -> tuple[Any, ...]:
    """A document as invoice.issued says it."""
    amount = Money(data["supply"], data["vat"])
    penalty = data.get("estimated_penalty", 0)
    return data["partner_id"], data["business_number"], amount, data["payment_ids"], penalty


class Bookkeeping(RuleBasedStateMachine):
    """Random lives of a few partners over two months."""

    orders = Bundle("orders")
    open_refunds = Bundle("open_refunds")

    @initialize()
    def start(self) -> None:
        self.books = Books()
        self.count = 0

    def next(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}-{self.count}"

    @rule(
        target=orders,
        month=st.sampled_from(MONTHS),
        day=st.integers(1, 28),
        partner=st.sampled_from(PARTNERS),
        number=st.sampled_from(NUMBERS),
        price=st.integers(0, 10**9),
        quantity=st.integers(1, 1_000),
        kind=KINDS,
        vat_mode=st.sampled_from(["exclusive", "inclusive"]),
        evidence=st.sampled_from(["tax_invoice", "tax_invoice", "tax_invoice", "card_slip", "cash_receipt"]),
    )
    def pay(
        self,
        month: str,
        day: int,
        partner: str,
        number: str,
        price: int,
        quantity: int,
        kind: str,
        vat_mode: str,
        evidence: str,
    ) -> tuple[str, str]:
        order_id = self.next("A")
        lines = [line(kind=kind, unit_price=price, quantity=quantity), line("2", "metered", 1, 1)]
        self.books.paid(
            order_id,
            at=DAYS[month].format(day),
            partner=partner,
            number=number,
            lines=lines,
            evidence=evidence,
            vat_mode=vat_mode,
        )
        return order_id, vat_mode

    @rule(order=orders, share=st.integers(1, 4))
    def issue(self, order: tuple[str, str], share: int) -> None:
        payment = self.books.world.payments[order[0]]
        left = payment.serial_units - payment.issued_units - payment.returned_units
        if quantity := -(-left // share):
            self.books.take(self.books.events.issued(order[0], quantity))

    @rule(target=open_refunds, order=orders)
    def ask_back(self, order: tuple[str, str]) -> tuple[str, str, str]:
        refund_id = self.next("r")
        self.books.take(self.books.events.accepted(order[0], refund_id))
        return *order, refund_id

    @rule(refund=consumes(open_refunds), share=st.integers(1, 4), day=st.integers(1, 28), again=st.booleans())
    def pay_back(self, refund: tuple[str, str, str], share: int, day: int, again: bool) -> None:
        order_id, vat_mode, refund_id = refund
        payment = self.books.world.payments[order_id]
        left = Money(payment.paid.supply - payment.refunded.supply, payment.paid.vat - payment.refunded.vat)
        whole = left.supply if vat_mode == "exclusive" else left.total
        back = refund_money(vat_mode, left, -(-whole // share))
        completed = self.books.events.completed(
            order_id, refund_id, 1, back.supply, back.vat, at=DAYS["2026-11"].format(day), line_id="2"
        )
        self.books.take(completed)
        if again:
            before = len(self.books.published)
            self.books.take(completed)
            assert len(self.books.published) == before

    @rule(refund=consumes(open_refunds))
    def give_up(self, refund: tuple[str, str, str]) -> None:
        released = self.books.events.refund(
            "refund.released.v1", refund[0], refund[2], lines=[], actor="operator:kim", reason="withdrew"
        )
        self.books.take(released)

    @rule(order=orders, share=st.integers(1, 4))
    def cancel(self, order: tuple[str, str], share: int) -> None:
        payment = self.books.world.payments[order[0]]
        open_units = payment.serial_units - payment.issued_units - payment.returned_units
        left = Money(payment.paid.supply - payment.refunded.supply, payment.paid.vat - payment.refunded.vat)
        whole = left.supply if order[1] == "exclusive" else left.total
        back = refund_money(order[1], left, whole // share)
        self.books.take(self.books.events.cancelled(order[0], open_units, back.supply, back.vat))

    @rule(
        month=st.sampled_from(MONTHS),
        partner=st.sampled_from(PARTNERS),
        number=st.sampled_from(NUMBERS),
        undo=st.booleans(),
    )
    def wish(self, month: str, partner: str, number: str, undo: bool) -> None:
        request = self.books.events.merge(
            self.next("mr"),
            at="2026-11-02T10:00:00+09:00",
            month=month,
            partner=partner,
            number=number,
            undo=undo,
        )
        self.books.take(request)

    @rule(partner=st.sampled_from(PARTNERS), number=st.sampled_from(NUMBERS), always_merge=st.booleans())
    def correct(self, partner: str, number: str, always_merge: bool) -> None:
        self.books.take(self.books.events.partner(number=number, always_merge=always_merge, partner=partner))

    @rule(month=st.sampled_from(MONTHS), number=st.sampled_from((GANADA, OTHER)), undo=st.booleans())
    def merge_a_business(self, month: str, number: str, undo: bool) -> None:
        if undo:
            self.books.undo_business(number, month)
        else:
            self.books.merge_business(number, month)

    @rule(data=st.data(), number=st.sampled_from((GANADA, OTHER)), twice=st.booleans())
    def correct_document(self, data: st.DataObject, number: str, twice: bool) -> None:
        issued = sorted(self.books.documents("issued"), key=lambda document: document.invoice_id)
        if not issued:
            return
        document = data.draw(st.sampled_from(issued))
        before = dict(self.books.world.documents)
        with suppress(CannotCorrect):
            self.books.correct(document, Order(number, twice, "wrong", "kim", CORRECTED))
        assert {each: self.books.world.documents[each] for each in before} == before

    @rule(month=st.sampled_from(MONTHS), despite=st.booleans())
    def close(self, month: str, despite: bool) -> None:
        tried, explained = self.books.try_close(month, AFTER), dict(self.books.world.explanations)
        published = self.books.close(month, AFTER, despite=despite)
        self.is_what_was_tried(tried, published, month, despite=despite)
        self.leaves_out_who_was_told(tried, explained)
        assert self.books.close(month, AFTER, despite=despite) == []
        for document in self.books.documents("issued"):
            if document.original_id is not None:
                original = self.books.world.documents[document.original_id]
                assert document.written_date is not None
                assert original.written_date is not None
                assert document.written_date >= original.written_date

    def is_what_was_tried(
        self, tried: Tried, published: Sequence[NewEvent], month: str, *, despite: bool
    ) -> None:
        """Issued is what was said, but for what has a refund in progress and nobody wanted whole."""
        kept = [] if despite else [e for e in tried.documents if any(map(has_open_refund, e.payments))]
        failed = [each for each in tried.documents if each.document.state == "issue_failed"]
        issued = [each for each in tried.documents if each not in kept and each not in failed]
        unissued = [d for d in self.books.documents("draft", "issue_failed") if d.month == month]

        assert sorted(map(told, issued)) == sorted(
            said(event.data) for event in published if event.type == "invoice.issued.v1"
        )
        assert sorted((d.partner_id, d.amount) for d in unissued) == sorted(
            (e.document.partner_id, e.document.amount) for e in tried.documents if e in kept or e in failed
        )
        assert {d.state for d in unissued} <= ({"draft", "issue_failed"} if kept else {"issue_failed"})

    def leaves_out_who_was_told(self, tried: Tried, before: Mapping[Any, Explanation]) -> None:
        now = self.books.world.explanations.items()
        new = [each for key, each in now if each is not before.get(key)]
        assert {each.payment_id for each in tried.left_out} == {
            each.payment_id for each in new if each.reason not in IN_SOME_MERGE
        }

    def teardown(self) -> None:
        if hasattr(self, "books"):
            issued = self.books.documents("issued")
            assert len({d.document_key for d in issued}) == len(issued)
            self.every_won_is_explained()

    def every_won_is_explained(self) -> None:
        """The sum of an explanation is the document, and what is left of a payment; else it knows why not."""
        world = self.books.world
        for document in world.documents.values():
            found = explain_document(sources_of(world, document))
            known = sum((each.amount.total for each in found.missing), found.explained.total)
            assert known == found.amount.total
            assert {each.cause for each in found.missing} <= {"after_taken_back"}
        for payment in world.payments.values():
            told = explain_payment(sources_of_payment(world, payment))
            assert told.explained == told.amount
            assert {each.cause for each in told.missing} <= {"on_another_document"}


Bookkeeping.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestBookkeeping = Bookkeeping.TestCase
