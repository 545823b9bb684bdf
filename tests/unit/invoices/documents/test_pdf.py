"""The page of a document, as pypdf reads it."""

from io import BytesIO

import pytest
from pypdf import PdfReader

from services.invoices.documents.pdf import TEMPLATE, page_pictures, page_values, pdf
from services.invoices.documents.tax_document import Original, Party, TaxDocument
from shared.typesetting import CannotTypeset, typeset
from tests.unit.invoices.documents.pictures import IMAGES, SHOWN, drawn
from tests.unit.invoices.documents.samples import APPROVAL, BUYER, SUPPLIER, document, modified, printed


def text_of(each: TaxDocument) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(BytesIO(pdf(each))).pages)


def squeezed(text: str) -> str:
    return "".join(text.split()).replace("\u200b", "")


def test_everything_of_a_document_stands_on_its_page() -> None:
    shown = squeezed(text_of(document(approval_number=APPROVAL)))
    for party in (SUPPLIER, BUYER):
        for said in (party.name, party.representative, party.address, party.business_type, party.email):
            assert squeezed(said) in shown
    for said in ("118-81-20586", "116-82-00276", "2026-10-31", "160,000", "16,000", "176,000", APPROVAL):
        assert said in shown
    for said in ("전자세금계산서", "공급받는자", "스터디이용권30일", "영수", "2026-10-1168200276-000001"):
        assert said in shown


def test_a_modified_document_says_why_of_what_and_that_nobody_has_approved_it() -> None:
    of = Original("2026-10-1168200276-000001", document().written_date, APPROVAL)
    shown = squeezed(text_of(modified(original=of)))
    for said in ("수정전자세금계산서", "공급가액변동", "당초작성일자2026-10-31", f"당초승인번호{APPROVAL}"):
        assert said in shown
    for said in ("-64,000", "-6,400", "-70,400", "-40", "전자서명이없습니다"):
        assert said in shown


def test_ninety_nine_lines_go_on_over_pages_with_their_header() -> None:
    lines = [printed(f"상품 {number}", 1_000 + number, 1) for number in range(99)]
    pages = PdfReader(BytesIO(pdf(document(*lines)))).pages
    texts = [squeezed(page.extract_text()) for page in pages]
    assert len(texts) > 1
    assert all("품목" in text and "단가" in text for text in texts)
    assert all(f"{number}/{len(texts)}" in text for number, text in enumerate(texts, start=1))
    assert "합계금액" in texts[-1]
    assert all(f"1,{number:03d}" in "".join(texts) for number in range(99))


def test_it_is_an_archive_with_its_fonts_in_it() -> None:
    made = pdf(document())
    reader = PdfReader(BytesIO(made))
    assert reader.xmp_metadata is not None
    assert b"pdfaid:part" in made
    assert reader.metadata is not None
    assert reader.metadata.title == "전자세금계산서 2026-10-1168200276-000001"
    fonts = [font.get_object() for page in reader.pages for font in page["/Resources"]["/Font"].values()]
    assert fonts
    for font in fonts:
        (below,) = font["/DescendantFonts"]
        described = below.get_object()["/FontDescriptor"].get_object()
        assert any(name.startswith("/FontFile") for name in described)


def test_the_same_document_is_the_same_bytes() -> None:
    assert pdf(document()) == pdf(document())
    assert pdf(document()) != pdf(modified())


def test_a_character_that_no_font_has_is_an_error_and_a_name_shows_its_code_point() -> None:
    values = page_values(document())
    with pytest.raises(CannotTypeset):
        typeset(TEMPLATE, {**values, "remarks": "\N{SLIGHTLY SMILING FACE}"})
    smiling = document(buyer=Party("1168200276", "가나다 \N{SLIGHTLY SMILING FACE}", "이도윤"))
    assert "[U+1F642]" in squeezed(text_of(smiling))


def test_a_name_as_long_as_names_may_be_stays_on_the_page() -> None:
    long = Party("1168200276", "가" * 200, "나" * 100, "다" * 300, "라" * 100, "마" * 100, "", "x" * 100)
    assert "가" * 200 in squeezed(text_of(document(buyer=long)))
    assert len(page_pictures(document(buyer=long), ppi=20)) == 1


@pytest.mark.parametrize("name", SHOWN)
def test_the_pictures_in_the_docs_are_the_pages_as_they_are(name: str) -> None:
    redraw = "python -m tests.unit.invoices.documents.pictures"
    assert drawn(SHOWN[name]) == (IMAGES / name).read_bytes(), redraw
