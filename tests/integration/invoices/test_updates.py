"""What is written of a change: after each commit every column of the row is compared with what it was."""

from datetime import date, datetime
from typing import Any

from msgspec import structs

from tests.integration.invoices.conftest import StoredBooks
from tests.unit.invoices.books import CLOSED_AT, GANADA, OTHER, THIRD, WRONG, line

NOVEMBER = "2026-11-12T10:00:00+09:00"
CORRECTED_AT = "2026-11-07T09:00:00+09:00"
OVERDUE = "2026-11-11T00:00:00+09:00"
CUT_OFF = "2026-11-05T18:00:00+09:00"


async def test_each_event_of_a_payment_changes_its_own_columns(books: StoredBooks) -> None:
    events = books.events
    await books.take(events.paid("A-1", lines=[line(), line("2", unit_price=100), line("3", "goods", 1)]))
    payment = await books.row("payments")

    await books.take(events.issued("A-1", 60))
    payment |= {"issued_units": 60}
    assert await books.row("payments") == payment

    await books.take(events.accepted("A-1", "r-1"))
    payment |= {"open_refunds": 1}
    assert await books.row("payments") == payment

    # Of the second line and of the goods too; goods are not counted in units.
    await books.take(events.completed("A-1", "r-1", 10, 18_005, 1_801, more={"2": 20, "3": 5}))
    payment |= {"refunded_supply": 18_005, "refunded_vat": 1_801, "standing_supply": 152_095}
    payment |= {"standing_vat": 15_209, "returned_units": 30, "open_refunds": 0}
    assert await books.row("payments") == payment

    await books.close()
    await books.take(events.completed("A-1", "r-2", 10, 16_000, 1_600, at=NOVEMBER))
    payment |= {"refunded_supply": 34_005, "refunded_vat": 3_401, "returned_units": 40}
    assert await books.row("payments") == payment


async def test_a_payment_moves_to_its_merge_and_back(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1", "A-2")
    payment = await books.row("payments", "order_id = 'A-1'")

    await books.take(books.events.merge())
    merge = await books.row("documents", "kind = 'merged'")
    merged = payment | {"invoice_id": merge["invoice_id"]}
    assert await books.row("payments", "order_id = 'A-1'") == merged

    await books.take(books.events.merge("mr-2", undo=True))
    assert await books.row("payments", "order_id = 'A-1'") == payment


async def test_a_draft_follows_its_refunds_and_is_issued(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1")
    draft = await books.row("all_documents")

    await books.take(books.events.completed("A-1", "r-1", 10, 16_000, 1_600))
    draft |= {"supply": 144_000, "vat": 14_400, "total": 158_400}
    assert await books.row("all_documents") == draft

    await books.close()
    draft |= issued(f"2026-10-{GANADA}-000001", CLOSED_AT, sequence=2)
    assert await books.row("all_documents") == draft
    assert await books.row("document_counters") == {"business_number": GANADA, "last_number": 1}


async def test_a_late_document_waits_for_a_number_and_is_issued_late(books: StoredBooks) -> None:
    await books.close()
    await books.paid_and_issued("A-1", number=WRONG, published_at="2026-11-06T09:00:00+09:00")
    failed = await books.row("documents")
    assert (failed["state"], failed["late"], failed["sequence"]) == ("issue_failed", False, 2)

    await books.take(books.events.partner(at=OVERDUE))
    failed |= issued(f"2026-10-{GANADA}-000001", OVERDUE, sequence=3) | {"late": True}
    assert await books.row("documents") == failed | {"business_number": GANADA}


async def test_a_draft_of_an_open_month_fails_without_being_late(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1", number=WRONG)
    draft = await books.row("all_documents")
    await books.close()
    assert await books.row("all_documents") == draft | {"state": "issue_failed", "sequence": 2}


async def test_a_merge_counts_its_payments_and_its_events(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1", "A-2")
    own = await books.row("all_documents", "kind = 'payment' AND supply > 0 ORDER BY invoice_id LIMIT 1")
    await books.take(books.events.merge())
    merge = await books.row("all_documents", "kind = 'merged'")
    key = f"invoice_id = '{own['invoice_id']}'"
    assert await books.row("all_documents", key) == own | {"state": "in_merge"}

    await books.paid_and_issued("A-3")
    await books.take(books.events.merge("mr-2"))
    merge |= {"supply": 480_000, "vat": 48_000, "total": 528_000, "sequence": 2}
    assert await books.row("all_documents", "kind = 'merged'") == merge

    await books.close()
    merge |= issued(f"2026-10-{GANADA}-000001", CLOSED_AT, sequence=3) | {"payments": 3}
    merge |= {"written_date": date(2026, 10, 31)}
    assert await books.row("all_documents", "kind = 'merged'") == merge


async def test_an_undone_merge_keeps_its_row_and_no_won(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1", "A-2")
    await books.take(books.events.merge())
    merge = await books.row("documents", "kind = 'merged'")
    await books.take(books.events.merge("mr-2", undo=True))
    merge |= {"state": "undone", "supply": 0, "vat": 0, "total": 0, "sequence": 2}
    assert await books.row("documents", "kind = 'merged'") == merge


async def test_a_refund_is_noted_open_and_completed(books: StoredBooks) -> None:
    await books.take(books.events.paid("A-1"))
    await books.take(books.events.accepted("A-1", "r-1"))
    refund = await books.row("refunds")
    assert refund == {
        "refund_id": "r-1", "order_id": "A-1", "state": "open", "supply": 0, "vat": 0, "cancellation": False,
        "lines": '[["1",40]]', "consumed": "{}", "heard_at": None,
    }  # fmt: skip

    ended = books.events.completed("A-1", "r-1", 30, 48_000, 4_800)
    await books.take(ended)
    completed = {"state": "completed", "supply": 48_000, "vat": 4_800, "lines": '[["1",30]]'}
    assert await books.row("refunds") == refund | completed | {"heard_at": ended.time}


async def test_an_open_refund_keeps_its_payment_out_of_a_merge_after_a_commit(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1", "A-2", "A-3")
    await books.take(books.events.accepted("A-3", "r-1"))
    await books.take(books.events.merge())
    (merged,) = await books.published("invoice.merged")
    assert merged["data"]["payment_ids"] == ["pay-A-1", "pay-A-2"]
    assert merged["data"]["excluded"] == [{"payment_id": "pay-A-3", "reason": "open_refund"}]


async def test_a_partner_is_as_its_last_change_says(books: StoredBooks) -> None:
    await books.take(books.events.partner(number=WRONG, always_merge=False, at="2026-11-01T10:00:00+09:00"))
    partner = await books.row("partners")
    change = books.events.partner(number=OTHER, at="2026-11-02T10:00:00+09:00")
    await books.take(with_data(change, name="나다라 주식회사", invoice_email="bill@nadara.example"))

    at = datetime.fromisoformat("2026-11-02T10:00:00+09:00")
    assert await books.row("partners") == partner | {
        "business_number": OTHER,
        "name": "나다라 주식회사",
        "invoice_email": "bill@nadara.example",
        "always_merge": True,
        "always_merge_since": at,
        "changed_at": at,
        "preferences": '[["2026-11-01T10:00:00+09:00",false],["2026-11-02T10:00:00+09:00",true]]',
    }


async def test_a_preference_counts_from_the_change_that_turned_it_on(books: StoredBooks) -> None:
    """Turned on at the cut-off it is too late for the month, however long the partner has been recorded."""
    await books.paid_and_issued("A-1", "A-2")
    await books.take(books.events.partner(always_merge=False, at="2026-10-01T10:00:00+09:00"))
    await books.take(books.events.partner(always_merge=True, at=CUT_OFF))
    assert (await books.row("partners"))["always_merge_since"] == datetime.fromisoformat(CUT_OFF)
    assert (await books.close()).merged == 0


async def test_a_preference_that_is_repeated_keeps_its_date_after_a_commit(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1", "A-2")
    await books.take(books.events.partner(at="2026-10-01T10:00:00+09:00"))
    partner = await books.row("partners")
    await books.take(books.events.partner(at=CUT_OFF))
    assert await books.row("partners") == partner | {"changed_at": datetime.fromisoformat(CUT_OFF)}
    assert (await books.close()).merged == 1


async def test_the_number_of_a_draft_and_what_was_told_of_it_are_kept(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1", "A-2")
    await books.take(books.events.merge())
    payment, merge = (
        await books.row("payments", "order_id = 'A-1'"),
        await books.row("documents", "kind = 'merged'"),
    )
    await books.take(books.events.partner(number=OTHER, at=CORRECTED_AT))
    assert await books.row("payments", "order_id = 'A-1'") == payment | {"business_number": OTHER}
    moved = {"business_number": OTHER, "sequence": 2}
    assert await books.row("documents", "kind = 'merged'") == merge | moved
    assert (await books.row("merge_requests"))["business_number"] == OTHER
    assert await books.row("partner_numbers") == {
        "partner_id": "P-17",
        "since": datetime.fromisoformat(CORRECTED_AT),
        "business_number": OTHER,
    }


async def test_a_proposed_correction_is_kept_and_withdrawn(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1")
    await books.close()
    await books.take(books.events.partner(number=OTHER, at=OVERDUE))
    document, proposed = await books.row("documents"), await books.row("corrections")
    assert proposed == {
        "invoice_id": document["invoice_id"],
        "partner_id": "P-17",
        "month": "2026-10",
        "business_number": OTHER,
        "state": "proposed",
        "proposed_at": datetime.fromisoformat(OVERDUE),
        "reason": None,
        "actor": None,
        "decided_at": None,
        "buyer": None,
    }
    before = "2026-10-01T09:00:00+09:00"
    await books.take(books.events.partner(number=GANADA, at=before))
    assert await books.row("corrections") == proposed | {"state": "withdrawn"}
    assert (await books.row("partner_numbers", "since < '2026-11-01'"))["business_number"] == GANADA

    await books.take(books.events.partner(number=THIRD, at=before))
    assert (await books.row("partner_numbers", "since < '2026-11-01'"))["business_number"] == THIRD
    assert await books.row("corrections") == proposed | {"proposed_at": datetime.fromisoformat(before)}


async def test_a_modified_document_is_filed_in_the_month_of_its_own_date(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1")
    await books.close()
    await books.take(books.events.completed("A-1", "r-1", 10, 16_000, 1_600, at=NOVEMBER))
    modified = await books.row("documents", "kind = 'modified'")
    assert (modified["month"], modified["written_date"]) == ("2026-11", date(2026, 11, 12))
    assert modified["document_key"] == f"2026-11-{GANADA}-000002"


async def test_the_sums_of_a_month_leave_modified_documents_out(books: StoredBooks) -> None:
    """Also one that is filed in the same month, since its refund was paid out in it."""
    await books.paid_and_issued("A-1")
    before = await books.close()
    await books.take(books.events.completed("A-1", "r-1", 10, 16_000, 1_600, at="2026-10-25T10:00:00+09:00"))
    assert (await books.row("documents", "kind = 'modified'"))["month"] == "2026-10"
    again = await books.close()
    assert again == structs.replace(before, already_issued=1)


async def test_a_repeated_close_issues_what_had_failed(books: StoredBooks) -> None:
    """Its number may have become known in a way that issued nothing, as before an upgrade."""
    await books.paid_and_issued("A-1", number=WRONG)
    assert (await books.close()).issue_failed == 1
    told = datetime.fromisoformat(CORRECTED_AT)
    await books.pool.execute("INSERT INTO partner_numbers VALUES ('P-17', $1, $2)", told, GANADA)
    again = await books.close()
    assert (again.documents, again.issue_failed) == (1, 0)


async def test_the_vat_of_a_merge_is_the_sum_of_its_payments(books: StoredBooks) -> None:
    """3 x 1,809 won have 540 won of VAT; together they would have 542."""
    await books.paid_and_issued("A-1", "A-2", "A-3", lines=[line(kind="goods", unit_price=603, quantity=3)])
    await books.take(books.events.merge())
    await books.close()
    merge = await books.row("documents", "kind = 'merged'")
    assert (merge["supply"], merge["vat"]) == (5_427, 540)


async def test_a_request_changes_only_whether_it_stands(books: StoredBooks) -> None:
    await books.take(books.events.merge("mr-1", orders=["A-1", "A-2"]))
    first = await books.row("merge_requests")
    assert first["payment_ids"] == '["pay-A-1", "pay-A-2"]'

    await books.take(books.events.merge("mr-2", undo=True))
    undo = await books.row("merge_requests", "undo")
    assert await books.row("merge_requests", "request_id = 'mr-1'") == first | {"standing": False}
    assert (undo["standing"], undo["payment_ids"]) == (True, None)

    await books.take(books.events.merge("mr-3"))
    assert await books.row("merge_requests", "undo") == undo | {"standing": False}


async def test_the_close_explains_a_payment_anew(books: StoredBooks) -> None:
    await books.paid_and_issued("A-1")
    await books.take(books.events.merge(orders=["A-1", "A-2"]))
    unknown = await books.row("merge_explanations", "payment_id = 'pay-A-2'")
    assert (unknown["order_id"], unknown["reason"]) == (None, "unknown_payment")

    await books.paid_and_issued("A-2")
    await books.close()
    explained = await books.row("merge_explanations", "payment_id = 'pay-A-2'")
    assert explained == unknown | {"order_id": "A-2", "reason": "merged"}


async def test_the_lines_of_a_payment_are_kept_as_they_were_sold(books: StoredBooks) -> None:
    await books.take(books.events.paid("A-1", lines=[line(quantity=2), line("2", "goods", 500, 3)]))
    assert await books.row("payment_lines") == {
        "order_id": "A-1",
        "vat_mode": "exclusive",
        "lines": '[["1","serials","study-30","스터디 이용권 30일",1600,2,0],'
        '["2","goods","study-30","스터디 이용권 30일",500,3,0]]',
        "buyer": '["1168200276","가나다 주식회사","tax@ganada.example","","","","",""]',
    }


def issued(document_key: str, at: str, *, sequence: int) -> dict[str, Any]:
    return {
        "state": "issued",
        "sequence": sequence,
        "document_key": document_key,
        "written_date": date(2026, 10, 21),
        "issued_at": datetime.fromisoformat(at),
    }


def with_data(event: Any, **data: Any) -> Any:
    return structs.replace(event, data=event.data.model_copy(update=data))
