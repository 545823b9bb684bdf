"""Which tax document a refund makes: by its evidence, by the state of its document, by its won."""

from datetime import date

import pytest

from shared.money import Money
from shared.tax_documents import (
    IssuedInvoice,
    ModifiedInvoice,
    TaxEffect,
    due_on,
    effect_of_refund,
    evidence_of,
)

WHOLE, PART = Money(160_000, 16_000), Money(64_000, 6_400)
INVOICE = IssuedInvoice("2026-10-1168200276-000001", WHOLE, date(2026, 10, 31))
DAY = date(2026, 11, 12)


@pytest.mark.parametrize("evidence", ["card_slip", "cash_receipt"])
def test_no_tax_document_belongs_to_a_slip_or_a_receipt(evidence: str) -> None:
    assert effect_of_refund(evidence, None, PART, DAY) == TaxEffect("none")


def test_a_refund_of_nothing_changes_no_document() -> None:
    assert effect_of_refund("tax_invoice", INVOICE, Money(0, 0), DAY) == TaxEffect("none")


def test_before_the_invoice_is_issued_it_is_lowered() -> None:
    assert effect_of_refund("tax_invoice", None, PART, DAY) == TaxEffect("draft_lowered")


def test_a_part_of_an_issued_invoice_changes_its_supply_value_on_the_day_of_the_refund() -> None:
    effect = effect_of_refund("tax_invoice", INVOICE, PART, DAY)

    assert effect.kind == "modified"
    assert effect.modified == ModifiedInvoice(
        INVOICE.document_key, "supply_value_changed", Money(-64_000, -6_400), DAY, date(2026, 12, 10)
    )


def test_the_whole_of_it_in_one_refund_cancels_the_contract() -> None:
    effect = effect_of_refund("tax_invoice", INVOICE, WHOLE, DAY)

    assert effect.modified is not None
    assert effect.modified.modification == "contract_cancelled"


def test_it_is_never_dated_before_the_invoice_that_it_modifies() -> None:
    effect = effect_of_refund("tax_invoice", INVOICE, PART, date(2026, 10, 22))

    assert effect.modified is not None
    assert (effect.modified.written_date, effect.modified.month) == (date(2026, 10, 31), "2026-10")
    assert effect.modified.issue_by == due_on("2026-10")


def test_of_an_invoice_that_was_issued_twice_another_one_holds_the_won() -> None:
    assert effect_of_refund("tax_invoice", INVOICE._replace(is_duplicate=True), PART, DAY).kind == "none"


def test_a_card_payment_has_its_slip_where_that_is_the_policy() -> None:
    assert evidence_of("tax_invoice", "card", card_is_slip=True) == "card_slip"
    assert evidence_of("tax_invoice", "card", card_is_slip=False) == "tax_invoice"
    assert evidence_of("tax_invoice", "bank_transfer", card_is_slip=True) == "tax_invoice"
