"""Which tax document the refund of a payment makes (domain.md section 5). Pure.

One rule for two services: invoices makes the document, and refunds tells of it before.
"""

from datetime import date
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from shared.business_days import next_business_day
from shared.events.checkout import Evidence
from shared.events.invoices import Modification
from shared.kst import next_month, parse_month
from shared.money import NOTHING, Money

Effect = Literal["none", "draft_lowered", "modified"]
_DUE_DAY: Final = 10


class IssuedInvoice(NamedTuple):
    """An issued tax invoice that a payment stands on.

    `amount` is what it was issued over: of a merged one that of all its payments. `is_duplicate`: it was
    issued twice and taken back, so another document holds the same won.
    """

    document_key: str
    amount: Money
    written_date: date
    is_duplicate: bool = False


class ModifiedInvoice(NamedTuple):
    """A modified tax invoice (수정세금계산서): a negative `amount`, to be issued until `issue_by`."""

    original_key: str
    modification: Modification
    amount: Money
    written_date: date
    issue_by: date

    @property
    def month(self) -> str:
        """The month that it belongs to, `2026-10`."""
        return f"{self.written_date:%Y-%m}"


class TaxEffect(NamedTuple):
    """What a refund does to the evidence of its payment.

    `none`: no tax document belongs to it, or another one holds its won. `draft_lowered`: the invoice is not
    issued yet, and is issued over less. `modified`: the invoice stays, and `modified` is added to it.
    """

    kind: Effect
    modified: ModifiedInvoice | None = None


def evidence_of(asked: Evidence, payment_method: str, *, card_is_slip: bool) -> Evidence:
    """The one evidence of a payment. A card payment has its card slip already.

    부가가치세법 제33조 제2항; `card_is_slip` is a policy.
    """
    return "card_slip" if payment_method == "card" and card_is_slip else asked


def effect_of_refund(
    evidence: Evidence, issued: IssuedInvoice | None, back: Money, returned_on: date
) -> TaxEffect:
    """What becomes of the evidence when so many won go `back` on a day in Seoul.

    `issued` is the invoice that the payment stands on, None while it is not issued. An issued invoice is
    never touched again: a modified one states the difference (부가가치세법 시행령 제70조). It is dated on the
    refund, but never before the document that it modifies.
    """
    if evidence != "tax_invoice" or not back.total:
        return TaxEffect("none")
    if issued is None:
        return TaxEffect("draft_lowered")
    if issued.is_duplicate:
        return TaxEffect("none")
    written = max(returned_on, issued.written_date)
    modified = ModifiedInvoice(
        issued.document_key,
        modification_of(issued.amount, back),
        NOTHING.minus(back),
        written,
        due_on(f"{written:%Y-%m}"),
    )
    return TaxEffect("modified", modified)


def modification_of(issued: Money, back: Money) -> Modification:
    """Why an issued invoice is modified: the whole of it in one go is 계약의 해제, a part is 공급가액 변동.

    Only an invoice that stands on one payment can equal a single refund, so a payment of a merged invoice is
    always a change of its supply value.
    """
    return "contract_cancelled" if back == issued else "supply_value_changed"


@lru_cache(maxsize=512)
def due_on(month: str) -> date:
    """The last day to issue the invoices of `month`: the 10th of the next month, or the next business day.

    부가가치세법 제34조 제3항 (the 10th), 국세기본법 제5조 제1항 (moved past weekends and holidays).
    """
    return next_business_day(parse_month(next_month(month)).replace(day=_DUE_DAY))
