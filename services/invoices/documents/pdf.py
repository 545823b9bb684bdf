"""A tax document as PDF: Korean fonts embedded, PDF/A, the same bytes for the same document."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from services.invoices.decisions.lines import PrintedLine
from services.invoices.documents.tax_document import REASONS, Party, Purpose, TaxDocument
from shared.kst import KST
from shared.typesetting import all_legible, pictures, typeset

TEMPLATE: Final = Path(__file__).with_name("tax_invoice.typ")
FEWEST_ROWS: Final = 4
"""The form has four rows for items, whether they are needed or not."""
NOT_APPROVED: Final = "국세청 승인번호를 받기 전의 문서로, 전자서명이 없습니다."
APPROVED: Final = "승인번호를 받은 전자세금계산서의 내용을 인쇄한 것입니다."
PURPOSES: Final[Mapping[Purpose, str]] = {"receipt": "영수", "claim": "청구"}


def pdf(document: TaxDocument) -> bytes:
    """The page or pages of a document. A character that no font has is shown by its code point."""
    return typeset(TEMPLATE, page_values(document))


def page_pictures(document: TaxDocument, ppi: float = 110) -> list[bytes]:
    """Each page as PNG."""
    return pictures(TEMPLATE, page_values(document), ppi)


def page_values(document: TaxDocument) -> dict[str, Any]:
    """What the template shows, as texts."""
    at = document.issued_at.astimezone(KST)
    values = {
        "document_key": document.document_key,
        "title": "전자세금계산서" if document.modification is None else "수정전자세금계산서",
        "approval_number": document.approval_number or "",
        "supplier": _half(document.supplier),
        "buyer": _half(document.buyer),
        "written_date": f"{document.written_date:%Y-%m-%d}",
        "supply": won(document.amount.supply),
        "vat": won(document.amount.vat),
        "total": won(document.amount.total),
        "reason": "" if document.modification is None else REASONS[document.modification],
        "remarks": ", ".join(document.remarks),
        "lines": [_line(line, document) for line in document.lines],
        "empty": max(FEWEST_ROWS - len(document.lines), 0),
        "purpose": PURPOSES[document.purpose],
        "notes": _notes(document, at),
    }
    legible: dict[str, Any] = all_legible(values)
    return {**legible, "empty": values["empty"], "at": _date_parts(at)}


def won(amount: int | None) -> str:
    """Won with commas, negative ones with a minus sign; nothing where they are not known."""
    return "" if amount is None else f"{amount:,}"


def _half(party: Party) -> dict[str, str]:
    number = party.business_number
    return {
        "number": f"{number[:3]}-{number[3:5]}-{number[5:]}",
        "branch": party.branch_number,
        "name": party.name,
        "representative": party.representative,
        "address": party.address,
        "type": party.business_type,
        "item": party.business_item,
        "email": party.email,
    }


def _line(line: PrintedLine, document: TaxDocument) -> dict[str, str]:
    return {
        "month": f"{document.written_date:%m}",
        "day": f"{document.written_date:%d}",
        "name": line.name,
        "quantity": won(line.quantity),
        "unit_price": won(line.unit_price),
        "supply": won(line.amount.supply),
        "vat": won(line.amount.vat),
    }


def _notes(document: TaxDocument, at: datetime) -> list[str]:
    told = [f"관리번호 {document.document_key}", f"발급일시 {at:%Y-%m-%d %H:%M:%S}"]
    if document.original is not None:
        told.insert(1, f"당초 관리번호 {document.original.document_key}")
    return [" · ".join(told), NOT_APPROVED if document.approval_number is None else APPROVED]


def _date_parts(at: datetime) -> dict[str, int]:
    return {name: getattr(at, name) for name in ("year", "month", "day", "hour", "minute", "second")}
