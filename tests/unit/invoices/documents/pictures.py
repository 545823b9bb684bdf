"""The pages in docs/images: `python -m tests.unit.invoices.documents.pictures` draws them anew."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from services.invoices.documents.pdf import page_pictures
from services.invoices.documents.tax_document import Original, TaxDocument
from tests.unit.invoices.documents.samples import APPROVAL, document, modified, printed

IMAGES: Final = Path(__file__).parents[4] / "docs" / "images"
PIXELS_AN_INCH: Final = 90
_ISSUED = document(
    printed("스터디 이용권 30일", 1_600, 12_000),
    printed("스터디 이용권 60일", 2_400, 350),
    printed("알림 문자 충전 10,000건", 150_000, 2),
    approval_number=APPROVAL,
)
SHOWN: Final[Mapping[str, TaxDocument]] = {
    "tax-invoice.png": _ISSUED,
    "modified-tax-invoice.png": modified(
        original=Original(_ISSUED.document_key, _ISSUED.written_date, APPROVAL)
    ),
}


def drawn(each: TaxDocument) -> bytes:
    """The only page of a document as PNG."""
    (page,) = page_pictures(each, PIXELS_AN_INCH)
    return page


if __name__ == "__main__":
    for name, each in SHOWN.items():
        (IMAGES / name).write_bytes(drawn(each))
