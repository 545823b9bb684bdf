"""The monthly merge: who is in it, who is not and why, and how it is undone."""

from typing import Any
from uuid import UUID

import pytest

from services.invoices.state import World
from shared.runtime.decisions import Applied, Reject
from tests.unit.invoices.books import CLOSED_AT, GANADA, OTHER, PARTNER, WRONG, Books, line


def merged_books(*orders: str) -> Books:
    books = Books()
    for order_id in orders:
        books.paid_and_issued(order_id)
    books.take(books.events.merge())
    return books


def reasons(world: World, request_id: str = "mr-1") -> dict[str, str]:
    return {e.payment_id: e.reason for e in world.explanations.values() if e.request_id == request_id}


def test_two_payments_of_a_month_become_one_draft() -> None:
    books = Books()
    books.paid_and_issued("A-1")
    books.paid_and_issued("A-2", lines=[line(quantity=60)])
    books.take(books.events.merge(orders=["A-1", "A-2"]))
    merged = books.last("invoice.merged")
    assert merged.key == PARTNER
    assert merged.data["payment_ids"] == ["pay-A-1", "pay-A-2"]
    assert (merged.data["supply"], merged.data["vat"], merged.data["total"]) == (256_000, 25_600, 281_600)
    assert (merged.data["written_date"], merged.data["due_on"]) == ("2026-10-31", "2026-11-10")
    assert merged.data["excluded"] == []
    drafts = [books.world.documents[p.draft_id] for p in books.world.payments.values() if p.draft_id]
    assert [draft.state for draft in drafts] == ["in_merge", "in_merge"]


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        ({"at": "2026-09-30T23:59:59+09:00"}, "other_month"),
        ({"number": OTHER}, "other_business"),
        ({"evidence": "cash_receipt"}, "not_a_tax_invoice"),
    ],
)
def test_a_payment_of_another_kind_is_left_out_with_the_reason(details: dict[str, Any], reason: str) -> None:
    books = Books()
    for order_id in ("A-1", "A-2"):
        books.paid_and_issued(order_id)
    books.paid_and_issued("A-3", **details)
    books.take(books.events.merge(orders=["A-1", "A-2", "A-3"]))
    assert books.last("invoice.merged").data["excluded"] == [{"payment_id": "pay-A-3", "reason": reason}]
    assert reasons(books.world) == {"pay-A-1": "merged", "pay-A-2": "merged", "pay-A-3": reason}


def test_a_payment_with_units_still_to_be_issued_is_left_out() -> None:
    books = Books()
    for order_id in ("A-1", "A-2"):
        books.paid_and_issued(order_id)
    books.paid("A-3")
    books.take(books.events.issued("A-3", 99), books.events.merge())
    assert reasons(books.world)["pay-A-3"] == "units_not_issued"


def test_units_of_several_lines_that_were_issued_together_all_count() -> None:
    books = Books()
    books.paid_and_issued("A-1")
    books.paid("A-2", lines=[line("1", quantity=10), line("2", quantity=20)])
    books.take(books.events.issued("A-2", 10, more={"2": 20}), books.events.merge())
    assert set(reasons(books.world).values()) == {"merged"}


def test_refunded_units_need_not_be_issued() -> None:
    books = Books()
    books.paid_and_issued("A-1")
    books.paid("A-2")
    books.take(books.events.issued("A-2", 60))
    books.refund("A-2", "r-1", 40)
    books.take(books.events.merge())
    assert set(reasons(books.world).values()) == {"merged"}


def test_lines_of_other_kinds_have_no_serials_to_wait_for() -> None:
    books = Books()
    books.paid_and_issued("A-1")
    books.paid("A-2", lines=[line(kind="goods")])
    books.take(books.events.merge())
    assert set(reasons(books.world).values()) == {"merged"}


def test_an_open_refund_keeps_its_payment_out_until_it_ends() -> None:
    books = Books()
    books.paid_and_issued("A-1")
    books.paid_and_issued("A-2", lines=[line(), line("2", kind="goods")])
    books.take(books.events.accepted("A-2", "r-1"), books.events.merge())
    assert reasons(books.world) == {"pay-A-1": "only_one_payment", "pay-A-2": "open_refund"}

    released = books.events.refund(
        "refund.released.v1", "A-2", "r-1", lines=[], actor="operator:kim", reason="-"
    )
    books.take(released, books.events.merge("mr-2"))
    assert set(reasons(books.world, "mr-2").values()) == {"merged"}


def test_a_denial_that_overtakes_its_refund_leaves_nothing_open() -> None:
    books = Books()
    books.paid("A-1")
    denied = books.events.refund("refund.denied.v1", "A-1", "r-1", lines=[], reason="issued")
    books.take(denied, books.events.accepted("A-1", "r-1"))
    assert books.world.payments["A-1"].open_refunds == 0


def test_a_payment_refunded_in_full_has_nothing_left_to_merge() -> None:
    books = Books()
    for order_id in ("A-1", "A-2", "A-3"):
        books.paid_and_issued(order_id, lines=[line(kind="goods")])
    books.take(books.events.completed("A-3", "r-1", 100, 160_000, 16_000), books.events.merge())
    assert reasons(books.world)["pay-A-3"] == "nothing_left"


def test_a_request_after_the_cut_off_merges_nobody_and_says_so() -> None:
    books = Books()
    for order_id in ("A-1", "A-2"):
        books.paid_and_issued(order_id)
    books.take(books.events.merge(at="2026-11-05T18:00:00+09:00"))
    assert set(reasons(books.world).values()) == {"after_cut_off"}
    books.close(at="2026-11-05T18:00:01+09:00")
    assert "invoice.merged" not in books.types()


def test_a_payment_nobody_knows_is_named_as_such() -> None:
    books = merged_books("A-1", "A-2")
    books.take(books.events.merge("mr-2", orders=["A-1", "A-9"]))
    assert reasons(books.world, "mr-2")["pay-A-9"] == "unknown_payment"


def test_a_payment_of_another_partner_cannot_be_asked_for() -> None:
    books = Books()
    books.paid_and_issued("A-1")
    books.paid_and_issued("B-1", partner="P-18")
    books.take(books.events.merge(orders=["A-1", "B-1"]))
    assert reasons(books.world) == {"pay-A-1": "only_one_payment", "pay-B-1": "unknown_payment"}


def test_a_later_request_joins_the_merge_that_is_there() -> None:
    books = merged_books("A-1", "A-2")
    books.paid_and_issued("A-3")
    books.take(books.events.merge("mr-2", orders=["A-3"]))
    first, second = (event for event in books.published if event.type == "invoice.merged.v1")
    assert (first.subject, first.sequence, second.subject, second.sequence) == (
        first.subject,
        1,
        first.subject,
        2,
    )
    assert second.data["payment_ids"] == ["pay-A-1", "pay-A-2", "pay-A-3"]


def test_the_same_request_again_changes_nothing() -> None:
    books = Books()
    books.paid_and_issued("A-1")
    books.paid_and_issued("A-2")
    request = books.events.merge()
    assert len(getattr(books.take(request), "events", ())) == 2
    assert books.take(request) == Applied()


def test_a_request_id_with_other_content_is_refused() -> None:
    books = merged_books("A-1", "A-2")
    outcome = books.take(books.events.merge(undo=True, number=OTHER, orders=["A-9"]))
    assert isinstance(outcome, Reject)
    assert (outcome.code, outcome.pointer) == ("duplicate_request", "/request_id")


def test_a_payment_named_twice_is_refused_with_its_place() -> None:
    books = Books()
    outcome = books.take(books.events.merge(orders=["A-1", "A-2", "A-1"]))
    assert isinstance(outcome, Reject)
    assert (outcome.code, outcome.pointer) == ("inconsistent", "/payment_ids/2")


def test_an_undone_merge_gives_every_payment_its_draft_back() -> None:
    books = merged_books("A-1", "A-2")
    books.take(books.events.merge("mr-2", undo=True))
    unmerged = books.last("invoice.unmerged")
    assert unmerged.data["payment_ids"] == ["pay-A-1", "pay-A-2"]
    undone = books.world.documents[UUID(unmerged.subject)]
    assert (undone.state, undone.amount.total, undone.sequence) == ("undone", 0, 2)
    books.close()
    assert sorted(
        len(event.data["payment_ids"]) for event in books.published if event.type == "invoice.issued.v1"
    ) == [1, 1]


def test_a_refund_inside_a_merge_comes_back_with_the_undo() -> None:
    books = Books()
    for order_id in ("A-1", "A-2"):
        books.paid_and_issued(order_id, lines=[line(kind="goods")])
    books.take(books.events.merge())
    books.refund("A-1", "r-1", 100)
    books.refund("A-2", "r-2", 10)
    books.take(books.events.merge("mr-2", undo=True))
    own = {
        p.order_id: books.world.documents[p.invoice_id] for p in books.world.payments.values() if p.invoice_id
    }
    assert (own["A-1"].state, own["A-2"].state) == ("void", "draft")
    assert own["A-2"].amount == (144_000, 14_400)


def test_undoing_when_nothing_is_merged_changes_no_document() -> None:
    books = Books()
    books.paid_and_issued("A-1")
    books.take(books.events.merge(undo=True))
    assert books.types() == ["invoice.drafted", "merge.answered"]
    answer = books.last("merge.answered")
    assert (answer.data["merged"], answer.data["excluded"]) == (
        [],
        [{"payment_id": "pay-A-1", "order_id": "A-1", "reason": "not_merged"}],
    )


def test_an_issued_merge_is_not_undone() -> None:
    books = merged_books("A-1", "A-2")
    books.close()
    books.take(books.events.merge("mr-2", undo=True, at="2026-11-06T09:00:00+09:00"))
    assert "invoice.unmerged" not in books.types()


def test_a_merge_that_a_correction_has_just_issued_is_not_undone() -> None:
    books = Books()
    for order_id in ("A-1", "A-2"):
        books.paid_and_issued(order_id, number=WRONG)
    books.take(books.events.merge(number=WRONG))
    books.close()
    books.take(books.events.partner(at="2026-11-07T09:00:00+09:00"))
    (issued,) = books.documents("issued")
    books.take(books.events.merge("mr-2", undo=True, number=WRONG, at="2026-11-08T09:00:00+09:00"))
    assert books.world.documents[issued.invoice_id] == issued
    assert "invoice.unmerged" not in books.types()


def test_a_closed_month_takes_no_more_merges() -> None:
    books = Books()
    books.paid_and_issued("A-1", number="1234567890")
    books.paid_and_issued("A-2", number="1234567890")
    books.close(at="2026-11-01T00:00:00+09:00")
    books.take(books.events.merge(number="1234567890"))
    assert set(reasons(books.world).values()) == {"month_closed"}


def test_a_standing_preference_merges_at_the_close() -> None:
    books = Books()
    books.take(books.events.partner())
    for order_id in ("A-1", "A-2"):
        books.paid_and_issued(order_id)
    events = books.close()
    assert [event.type for event in events] == ["invoice.merged.v1", "invoice.issued.v1"]


def test_what_the_close_merges_by_preference_is_explained_under_its_month() -> None:
    books = Books()
    books.take(books.events.partner())
    for order_id in ("A-1", "A-2"):
        books.paid_and_issued(order_id)
    books.paid("A-3")

    books.close()

    explained = {e.payment_id: (e.partner_id, e.reason) for e in books.world.explanations.values()}
    assert {e.request_id for e in books.world.explanations.values()} == {"always_merge:2026-10"}
    assert explained == {
        "pay-A-1": (PARTNER, "merged"),
        "pay-A-2": (PARTNER, "merged"),
        "pay-A-3": (PARTNER, "units_not_issued"),
    }


def test_a_partner_without_a_preference_has_separate_invoices() -> None:
    books = Books()
    books.take(books.events.partner(always_merge=False))
    for order_id in ("A-1", "A-2"):
        books.paid_and_issued(order_id)

    books.close()

    assert not [document for document in books.world.documents.values() if document.kind == "merged"]


def test_a_payment_that_joins_a_merge_later_is_named_where_it_was_paid() -> None:
    books = Books()
    books.paid_and_issued("A-2", at="2026-10-22T09:00:00+09:00")
    books.paid_and_issued("A-3", at="2026-10-23T09:00:00+09:00")
    books.take(books.events.merge())
    books.paid_and_issued("A-1", at="2026-10-21T09:00:00+09:00")

    books.take(books.events.merge("mr-2"))

    merged = [event.data["payment_ids"] for event in books.published if event.type == "invoice.merged.v1"]
    assert merged[-1] == [books.world.payments[order_id].payment_id for order_id in ("A-1", "A-2", "A-3")]


def test_a_standing_preference_from_after_the_cut_off_waits_for_the_next_month() -> None:
    books = Books()
    books.take(books.events.partner(at="2026-11-05T18:00:00+09:00"))
    for order_id in ("A-1", "A-2"):
        books.paid_and_issued(order_id)
    assert [event.type for event in books.close()] == ["invoice.issued.v1", "invoice.issued.v1"]


def test_a_preference_that_is_merely_repeated_keeps_its_date() -> None:
    books = Books()
    books.take(books.events.partner(), books.events.partner(at=CLOSED_AT))
    for order_id in ("A-1", "A-2"):
        books.paid_and_issued(order_id)
    assert "invoice.merged.v1" in [event.type for event in books.close()]


def test_an_undo_beats_the_standing_preference_for_its_month() -> None:
    books = Books()
    books.take(books.events.partner(), books.events.merge(undo=True))
    for order_id in ("A-1", "A-2"):
        books.paid_and_issued(order_id)
    assert "invoice.merged.v1" not in [event.type for event in books.close()]


def test_a_new_request_takes_an_undo_back() -> None:
    books = merged_books("A-1", "A-2")
    books.take(books.events.merge("mr-2", undo=True), books.events.merge("mr-3"))
    assert [event.type for event in books.close()] == ["invoice.issued.v1"]


def test_a_request_stands_for_payments_that_become_fit_before_the_close() -> None:
    books = Books()
    books.paid_and_issued("A-1")
    books.paid("A-2")
    books.take(books.events.merge())
    assert books.types() == ["invoice.drafted", "invoice.drafted", "merge.answered"]
    books.take(books.events.issued("A-2"))
    events = books.close()
    assert [event.type for event in events] == ["invoice.merged.v1", "invoice.issued.v1"]
    assert set(reasons(books.world).values()) == {"merged"}


def test_a_request_for_named_payments_takes_only_those_at_the_close() -> None:
    books = Books()
    for order_id in ("A-1", "A-2", "A-3"):
        books.paid(order_id)
    books.take(books.events.merge(orders=["A-1", "A-2"]))
    for order_id in ("A-1", "A-2", "A-3"):
        books.take(books.events.issued(order_id))
    books.close()
    merged = books.last("invoice.merged")
    assert merged.data["payment_ids"] == ["pay-A-1", "pay-A-2"]
    assert merged.data["business_number"] == GANADA
