"""Explanations as they are told: JSON, with sentences in Korean and English for what is in them. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from services.invoices.decisions.explaining import (
    Contribution,
    Explanation,
    Missing,
    Part,
    PaymentExplanation,
    SaidEvent,
    Standing,
)
from services.invoices.state import Document, Submission
from shared.documents import json_value
from shared.evidence.entries import won
from shared.evidence.words import Says, english, event_words, korean
from shared.money import NOTHING, Money

CAUSES: Final[Mapping[str, Says]] = {
    "lines_differ": Says(
        "품목의 합계가 결제 금액과 다릅니다", "the lines as they were sold do not come to what was paid"
    ),
    "refund_not_kept": Says(
        "이 문서의 원인이 된 환불이 남아 있지 않습니다", "the refund that caused the document was not kept"
    ),
    "after_taken_back": Says(
        "발행 전에 차감되었거나 이중발급으로 취소된 뒤의 환불입니다. 어느 쪽인지는 남아 있지 않습니다",
        "of these refunds some were netted, others came after the duplicate was taken back: not kept which",
    ),
    "on_another_document": Says(
        "이중발급으로 취소된 문서이며, 금액은 다른 문서에 있습니다",
        "its document was issued twice and taken back; these won stand on the other one",
    ),
    "not_explained": Says(
        "설명되지 않는 금액입니다. pawl check로 점검하십시오",
        "nothing accounts for these won; run pawl check",
    ),
}
"""Why won are missing."""


def told_document(
    explanation: Explanation,
    contributions: Sequence[Contribution],
    then: str | None,
    at_agent: Submission | None,
) -> dict[str, Any]:
    """The explanation of a document with some of its payments; `then` is the cursor of the next ones.

    `at_agent` is what a tax agent was given of it.
    """
    document = explanation.document
    return {
        **_name_of(document),
        "month": document.month,
        "partner_id": document.partner_id,
        "business_number": document.business_number,
        "written_date": json_value(document.written_date),
        "issued_at": json_value(document.issued_at),
        **_won(explanation.amount),
        "explained": _won(explanation.explained),
        "is_whole": not explanation.missing,
        "says": _of_document(explanation)._asdict(),
        "count": len(explanation.contributions),
        "payments": [_contribution(contribution) for contribution in contributions],
        "next": then,
        "others": {"payments": explanation.others[0], **_won(explanation.others[1])},
        "missing": _missing(explanation.missing),
        "related": [
            {**_name_of(each), "relation": _relation(document, each), **_won(each.amount)}
            for each in explanation.related
        ],
        "events": _events(explanation.events),
        "events_since": _instant(explanation.forgotten_before),
        "at_agent": None if at_agent is None else _at_agent(at_agent),
    }


def _at_agent(given: Submission) -> dict[str, Any]:
    return {
        "document_key": given.document_key,
        "state": given.state,
        "why": given.doubt or given.detail or None,
        "given_up": [
            {"document_key": each.document_key, "why": each.reason, "at": json_value(each.at)}
            for each in given.given_up
        ],
    }


def told_payment(explanation: PaymentExplanation) -> dict[str, Any]:
    """The explanation of a payment."""
    payment = explanation.contribution.payment
    return {
        **_contribution(explanation.contribution),
        "month": payment.month,
        "evidence": payment.evidence,
        **_won(explanation.amount),
        "explained": _won(explanation.explained),
        "is_whole": not explanation.missing,
        "says": _of_payment(explanation)._asdict(),
        "stands": [_standing(each, payment.evidence) for each in explanation.stands],
        "missing": _missing(explanation.missing),
        "events_since": _instant(explanation.forgotten_before),
    }


def _of_document(explanation: Explanation) -> Says:
    document, total = explanation.document, won(explanation.amount.total)
    name = document.document_key or str(document.invoice_id)
    if document.state == "in_merge":
        return Says(
            f"문서 {name}의 결제는 합산되어, 금액은 합산 세금계산서에 있습니다.",
            f"The payment of document {name} is in a merge; its won stand on the merged document.",
        )
    count = len(explanation.contributions) + explanation.others[0]
    explained = won(explanation.explained.total)
    on_it = f"{count:,} payment{'' if count == 1 else 's'}"
    if not explanation.missing:
        return Says(
            f"문서 {name}: {total} 전액이 결제 {count:,}건으로 설명됩니다.",
            f"Document {name}: {total}, all explained by {on_it}.",
        )
    return Says(
        f"문서 {name}: {total} 중 {explained}이 결제 {count:,}건으로 설명됩니다.",
        f"Document {name}: {explained} of {total} explained by {on_it}.",
    )


def _of_payment(explanation: PaymentExplanation) -> Says:
    name = explanation.contribution.payment.payment_id
    total, explained = won(explanation.amount.total), won(explanation.explained.total)
    if not explanation.missing:
        return Says(
            f"결제 {name}: 남은 금액 {total} 전액이 설명됩니다.",
            f"Payment {name}: {total} left, all explained.",
        )
    return Says(
        f"결제 {name}: 남은 금액 {total} 중 {explained}이 품목과 환불로 설명됩니다.",
        f"Payment {name}: {explained} of {total} left explained by lines and refunds.",
    )


def _contribution(contribution: Contribution) -> dict[str, Any]:
    payment = contribution.payment
    return {
        "payment_id": payment.payment_id,
        "order_id": payment.order_id,
        "partner_id": payment.partner_id,
        "paid_at": json_value(payment.paid_at),
        **_won(contribution.amount),
        "parts": [_part(part) for part in contribution.parts],
        "events": _events(contribution.events),
    }


def _part(part: Part) -> dict[str, Any]:
    line, refund = part.line, part.refund
    return {
        "what": part.what,
        "line_id": None if line is None else line.line_id,
        "product_id": None if line is None else line.product_id,
        "name": None if line is None else line.product_name,
        "unit_price": None if line is None else line.unit_price,
        "units": part.units,
        "refund_id": None if refund is None else refund.refund_id,
        "is_cancellation": refund is not None and refund.cancellation,
        "consumed": part.stays,
        **_won(part.amount),
        "says": (_sold(part) if refund is None else _back(part, refund.refund_id))._asdict(),
    }


def _sold(part: Part) -> Says:
    line, amount = part.line, won(part.amount.total)
    if line is None:
        return Says(f"결제 {amount}. 품목은 남아 있지 않습니다", f"{amount} paid; the lines were not kept")
    less = f", 할인 {won(line.discount)}" if line.discount else ""
    less_en = f" less {won(line.discount)}" if line.discount else ""
    price, units = won(line.unit_price), f"{part.units:,}"
    return Says(
        f"{line.product_name} {units}개, 단가 {price}{less}: {amount}",
        f"{units} of {line.product_name} at {price}{less_en}: {amount}",
    )


def _back(part: Part, refund_id: str) -> Says:
    line, amount = part.line, won(part.amount.total)
    is_cancellation = part.refund is not None and part.refund.cancellation
    ko, en = ("취소", "cancellation") if is_cancellation else ("환불", "refund")
    if line is None:
        return Says(
            f"{ko} {refund_id}: {amount}. 수량은 남아 있지 않습니다",
            f"{en} {refund_id}: {amount}; its units were not kept",
        )
    stays = f". 사용한 {won(part.stays)}은 돌려주지 않습니다" if part.stays else ""
    stays_en = f"; {won(part.stays)} were used up and stay paid" if part.stays else ""
    return Says(
        f"{ko} {refund_id}, {line.product_name} {part.units:,}개: {amount}{stays}",
        f"{part.units:,} of {line.product_name} with {en} {refund_id}: {amount}{stays_en}",
    )


def _standing(standing: Standing, evidence: str) -> dict[str, Any]:
    amount = standing.amount
    known: Mapping[str, int | None] = _won(amount) if amount is not None else _won_not_kept()
    total = won(None if amount is None else amount.total)
    if standing.document is None:
        nothing = dict.fromkeys(("invoice_id", "document_key", "kind", "state", "modification"))
        says = Says(f"{korean(evidence)}: {total}", f"{english(evidence)}: {total}")
        return {**nothing, **known, "says": says._asdict()}
    return {**_name_of(standing.document), **known, "says": _named(standing.document, total)._asdict()}


def _named(document: Document, total: str) -> Says:
    name, why = document.document_key or str(document.invoice_id), document.modification or document.kind
    return Says(
        f"세금계산서 {name} ({korean(why)}, {korean(document.state, 'document')}): {total}",
        f"tax invoice {name} ({english(why)}, {english(document.state)}): {total}",
    )


def _relation(document: Document, other: Document) -> str:
    """What another document is to this one."""
    if document.state == "in_merge":
        return "stands_on"
    if other.invoice_id == document.original_id:
        return "original"
    if other.refund_id is not None and document.refund_id is None:
        return "modified_by"
    return "taken_back_by" if other.kind == "modified" else "replaced_by"


def _missing(missing: Iterable[Missing]) -> list[dict[str, Any]]:
    return [
        {
            "cause": each.cause,
            **_won(each.amount),
            "names": list(each.names),
            "says": CAUSES[each.cause]._asdict(),
        }
        for each in missing
    ]


def _events(events: Iterable[SaidEvent]) -> list[dict[str, Any]]:
    return [
        {
            "event_id": str(event.event_id),
            "type": event.type,
            "time": event.time,
            "cause": event.cause,
            "says": event_words(event.type)._asdict(),
        }
        for event in events
    ]


def _name_of(document: Document) -> dict[str, str | None]:
    return {
        "invoice_id": str(document.invoice_id),
        "document_key": document.document_key,
        "kind": document.kind,
        "state": document.state,
        "modification": document.modification,
    }


def _won(amount: Money) -> dict[str, int]:
    return {"supply": amount.supply, "vat": amount.vat, "total": amount.total}


def _won_not_kept() -> dict[str, int | None]:
    return dict.fromkeys(_won(NOTHING))


def _instant(instant: datetime | None) -> Any:
    return json_value(instant)
