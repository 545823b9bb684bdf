"""Each request to merge, or to undo a merge, gets one answer that says what became of each payment."""

import pytest

from services.invoices.handlers import refuse_late
from shared.runtime.decisions import Applied, Context, NewEvent, Reject
from tests.unit.invoices.books import GANADA, OTHER, PARTNER, Books, line


def answers(books: Books) -> list[NewEvent]:
    return [event for event in books.published if event.type == "merge.answered.v1"]


def reasons(event: NewEvent) -> dict[str, str]:
    return {each["payment_id"]: each["reason"] for each in event.data["excluded"]}


def books_of(*orders: str) -> Books:
    books = Books()
    for order_id in orders:
        books.paid_and_issued(order_id)
    return books


def test_a_merge_is_answered_with_its_document_and_who_is_left_out() -> None:
    books = books_of("A-1", "A-2")
    books.paid("A-3")
    books.take(books.events.merge())
    (answer,) = answers(books)
    assert (answer.subject, answer.key, answer.sequence) == (f"{PARTNER}/mr-1", PARTNER, 1)
    assert answer.data == {
        "partner_id": PARTNER,
        "request_id": "mr-1",
        "business_number": GANADA,
        "month": "2026-10",
        "invoice_id": books.last("invoice.merged").subject,
        "merged": ["pay-A-1", "pay-A-2"],
        "excluded": [{"payment_id": "pay-A-3", "order_id": "A-3", "reason": "units_not_issued"}],
    }


def test_a_merge_that_merges_nothing_says_why() -> None:
    books = books_of("A-1")
    books.paid("A-2")
    books.take(books.events.merge("mr-1", ["A-1", "A-2"]))
    books.take(books.events.merge("mr-2", at="2026-11-06T10:00:00+09:00"))
    first, second = answers(books)
    assert "invoice_id" not in first.data
    assert reasons(first) == {"pay-A-1": "only_one_payment", "pay-A-2": "units_not_issued"}
    assert reasons(second) == {"pay-A-1": "after_cut_off", "pay-A-2": "units_not_issued"}


def test_a_repeated_request_has_one_answer_only() -> None:
    books = books_of("A-1", "A-2")
    books.take(books.events.merge(), books.events.merge())
    assert len(answers(books)) == 1


def test_a_request_without_an_id_is_answered_by_the_id_of_its_event() -> None:
    books = books_of("A-1", "A-2")
    event = books.events.merge(None)
    books.take(event)
    (answer,) = answers(books)
    assert answer.subject == f"{PARTNER}/{event.id}"


def test_two_pairs_of_ids_never_make_one_subject() -> None:
    books = Books()
    books.take(books.events.merge("b/c", partner="a"), books.events.merge("c", partner="a/b"))
    books.take(books.events.merge("c", partner="a%2Fb"))
    subjects = [answer.subject for answer in answers(books)]
    assert subjects == ["a/b%2Fc", "a%2Fb/c", "a%252Fb/c"]


def test_a_payment_that_is_merged_already_stays_merged_in_the_answer() -> None:
    """Also after the cut-off, and while a refund of it is open: a merge is never judged again."""
    books = books_of("A-1", "A-2")
    books.take(books.events.merge(), books.events.accepted("A-1", "r-1", 1))
    books.take(books.events.merge("mr-2", at="2026-11-06T10:00:00+09:00"))
    assert answers(books)[-1].data["merged"] == ["pay-A-1", "pay-A-2"]
    assert answers(books)[-1].data["invoice_id"] == books.last("invoice.merged").subject


def test_an_undo_says_which_payments_have_their_own_documents_again() -> None:
    books = books_of("A-1", "A-2")
    books.paid("A-3")
    books.take(books.events.merge(), books.events.merge("mr-2", undo=True))
    answer = answers(books)[-1]
    assert answer.data["merged"] == []
    assert answer.data["invoice_id"] == books.last("invoice.unmerged").subject
    assert reasons(answer) == {"pay-A-1": "undone", "pay-A-2": "undone", "pay-A-3": "not_merged"}


def test_an_undo_that_comes_too_late_says_so() -> None:
    books = books_of("A-1", "A-2")
    books.take(books.events.merge())
    books.close()
    books.take(books.events.merge("mr-2", undo=True, at="2026-11-06T10:00:00+09:00"))
    assert reasons(answers(books)[-1]) == {"pay-A-1": "already_issued", "pay-A-2": "already_issued"}


@pytest.mark.parametrize("undo", [False, True])
def test_a_payment_named_twice_that_was_accepted_before_counts_once(undo: bool) -> None:
    books = books_of("A-1", "A-2")
    event = books.events.merge("mr-1", ["A-1", "A-2", "A-1"], undo=undo)
    refused = books.take(event)
    assert isinstance(refused, Reject)
    outcome = refuse_late(books.world, event, refused, Context(books.new_id))
    (answer,) = (each for each in outcome.events if each.type == "merge.answered.v1")
    named = [*answer.data["merged"], *reasons(answer)]
    assert named == ["pay-A-1", "pay-A-2"]


def test_a_known_request_id_with_other_content_changes_nothing_when_it_was_accepted_before() -> None:
    books = books_of("A-1", "A-2")
    books.take(books.events.merge())
    event = books.events.merge(orders=["A-1", "A-2"])
    refused = books.take(event)
    assert isinstance(refused, Reject)
    assert refuse_late(books.world, event, refused, Context(books.new_id)) == Applied()


def test_the_last_word_wins_also_against_earlier_wishes() -> None:
    """An undo takes earlier requests back, and a new request takes the undo back."""
    books = books_of("A-1", "A-2")
    books.take(books.events.merge("mr-1"), books.events.merge("mr-2", undo=True))
    standing = {each.request_id: each.standing for each in books.world.requests.values()}
    assert standing == {"mr-1": False, "mr-2": True}
    books.take(books.events.merge("mr-3"))
    standing = {each.request_id: each.standing for each in books.world.requests.values()}
    assert standing == {"mr-1": False, "mr-2": False, "mr-3": True}


def test_an_undo_answers_for_the_payments_that_it_names_and_no_others() -> None:
    books = books_of("A-1", "A-2", "A-3")
    books.take(books.events.accepted("A-2", "r-1", 1))
    books.take(books.events.merge("mr-1", ["A-1", "A-2", "A-9"], undo=True))
    (answer,) = answers(books)
    assert reasons(answer) == {
        "pay-A-1": "not_merged",
        "pay-A-2": "not_merged",
        "pay-A-9": "unknown_payment",
    }


def test_a_request_for_named_payments_says_nothing_of_others_of_the_business() -> None:
    books = books_of("A-1", "A-2")
    books.paid_and_issued("B-1", partner="P-18")
    books.know_others()
    books.take(books.events.merge("mr-1", ["A-1", "A-2"]), books.events.merge("mr-2"))
    first, second = answers(books)
    assert (reasons(first), reasons(second)) == ({}, {"pay-B-1": "other_partner"})


def test_a_payment_of_another_business_is_no_business_of_the_answer_about_strangers() -> None:
    books = books_of("A-1", "A-2")
    books.paid_and_issued("B-1", partner="P-18", number=OTHER)
    books.know_others()
    books.take(books.events.merge(orders=["A-1", "A-2", "B-1"]))
    assert reasons(answers(books)[-1]) == {"pay-B-1": "unknown_payment"}


# Two accounts of one business


def two_accounts() -> Books:
    books = Books()
    books.paid_and_issued("A-1", at="2026-10-05T10:00:00+09:00")
    books.paid_and_issued("B-1", partner="P-18", at="2026-10-06T10:00:00+09:00")
    books.know_others()
    return books


def test_a_request_covers_the_partners_own_payments() -> None:
    books = two_accounts()
    books.take(books.events.merge("mr-1", ["A-1", "B-1"]), books.events.merge("mr-2"))
    for answer in answers(books):
        assert answer.data["merged"] == []
        assert answer.data["excluded"] == [
            {"payment_id": "pay-A-1", "order_id": "A-1", "reason": "only_one_payment"},
            {"payment_id": "pay-B-1", "order_id": "B-1", "reason": "other_partner"},
        ]


def test_an_operator_merges_a_month_over_the_partners_of_a_business() -> None:
    books = two_accounts()
    made = books.merge_business()
    assert made.document is not None
    assert made.document.partners == (PARTNER, "P-18")
    assert [(v.payment_id, v.reason) for v in made.verdicts] == [("pay-A-1", "merged"), ("pay-B-1", "merged")]
    merged = books.last("invoice.merged")
    assert (merged.key, merged.data["payment_ids"]) == (PARTNER, ["pay-A-1", "pay-B-1"])
    (issued,) = books.close()
    assert (issued.data["payment_ids"], issued.data["total"]) == (["pay-A-1", "pay-B-1"], 352_000)


def test_an_operator_merges_in_what_partners_have_merged() -> None:
    books = two_accounts()
    books.paid_and_issued("B-2", partner="P-18", at="2026-10-07T10:00:00+09:00")
    books.take(books.events.merge("mr-1", partner="P-18"))
    books.merge_business()
    assert books.types()[-2:] == ["invoice.unmerged", "invoice.merged"]
    (issued,) = books.close()
    assert issued.data["payment_ids"] == ["pay-A-1", "pay-B-1", "pay-B-2"]


def test_an_operator_who_merges_again_takes_in_what_came_since() -> None:
    books = two_accounts()
    books.merge_business()
    books.paid_and_issued("C-1", partner="P-19", at="2026-10-08T10:00:00+09:00")
    made = books.merge_business()
    assert made.document is not None
    assert made.document.partners == (PARTNER, "P-18", "P-19")
    assert len(books.close()) == 1
    assert books.merge_business().events == ()


def test_what_an_operator_merged_a_partner_neither_undoes_nor_merges_elsewhere() -> None:
    books = two_accounts()
    books.paid_and_issued("B-2", partner="P-18", at="2026-10-07T10:00:00+09:00")
    books.know_others()
    books.merge_business()
    books.take(books.events.merge("mr-1", undo=True), books.events.merge("mr-2", partner="P-18"))
    undo, merge = answers(books)
    assert reasons(undo) == {
        "pay-A-1": "merged_by_operator", "pay-B-1": "other_partner", "pay-B-2": "other_partner"
    }  # fmt: skip
    assert reasons(merge)["pay-B-1"] == reasons(merge)["pay-B-2"] == "merged_by_operator"
    assert len(books.close()) == 1


def test_an_operator_takes_such_a_merge_apart_again() -> None:
    books = two_accounts()
    books.merge_business()
    books.undo_business()
    assert [len(event.data["payment_ids"]) for event in books.close()] == [1, 1]


def test_one_payment_of_a_business_is_not_merged_by_an_operator_either() -> None:
    books = books_of("A-1")
    made = books.merge_business()
    assert (made.document, [v.reason for v in made.verdicts]) == (None, ["only_one_payment"])


def test_an_operator_merges_nothing_of_a_closed_month() -> None:
    books = two_accounts()
    books.close()
    assert {v.reason for v in books.merge_business().verdicts} == {"already_issued"}


def test_a_refund_inside_a_merge_of_a_business_nets_and_modifies_as_any_other() -> None:
    books = Books()
    for order_id, partner in (("A-1", PARTNER), ("B-1", "P-18")):
        books.paid_and_issued(order_id, partner=partner, lines=[line(kind="goods")])
    books.merge_business()
    books.refund("B-1", "r-1", 40)
    (issued,) = books.close()
    assert issued.data["total"] == 281_600
    books.refund("B-1", "r-2", 60, at="2026-11-12T10:00:00+09:00")
    assert books.last("invoice.modified").data["modification"] == "supply_value_changed"


def test_the_close_of_another_partner_leaves_a_merge_of_a_business_alone() -> None:
    books = two_accounts()
    books.merge_business()
    assert books.close(partners=["P-18"]) == []
    assert len(books.close(partners=[PARTNER])) == 1
