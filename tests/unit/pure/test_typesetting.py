"""Documents as PDF: embedded Korean fonts, the same bytes every time, and no character that nobody sees."""

from io import BytesIO
from pathlib import Path

import pytest
from pypdf import PdfReader

from shared.typesetting import CannotTypeset, all_legible, legible, pictures, typeset

TEMPLATE = """
#set document(date: datetime(year: 2026, month: 12, day: 1))
#set text(font: "Noto Sans KR", fallback: false)
#json(bytes(sys.inputs.values)).text
"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "page.typ"
    path.write_text(TEMPLATE)
    return path


def test_korean_is_drawn_with_an_embedded_font_and_read_back(template: Path) -> None:
    pdf = typeset(template, {"text": "가나다 주식회사 ₩176,000 漢字 – 뷁"})
    page = PdfReader(BytesIO(pdf)).pages[0]
    fonts = [font.get_object() for font in page["/Resources"]["/Font"].values()]
    embedded = [font["/DescendantFonts"][0].get_object()["/FontDescriptor"] for font in fonts]

    assert page.extract_text() == "가나다 주식회사 ₩176,000 漢字 – 뷁"
    assert embedded
    assert all("/FontFile3" in each.get_object() for each in embedded)


def test_the_same_values_make_the_same_bytes(template: Path) -> None:
    assert typeset(template, {"text": "가"}) == typeset(template, {"text": "가"})
    assert typeset(template, {"text": "가"}) != typeset(template, {"text": "나"})


def test_a_character_that_no_font_has_is_an_error_and_never_a_box(template: Path) -> None:
    with pytest.raises(CannotTypeset, match="could not be displayed"):
        typeset(template, {"text": "thanks 🙂"})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("가나다 ABC ₩ – … 漢", "가나다 ABC ₩ – … 漢"),
        ("thanks 🙂", "thanks [U+1F642]"),
        ("a\tb\nc", "a[U+0009]b[U+000A]c"),
        ("a\u202eb\u200bc", "a[U+202E]b[U+200B]c"),
        ("각", "각"),
        ("مرحبا", "[U+0645][U+0631][U+062D][U+0628][U+0627]"),
    ],
)
def test_what_cannot_be_shown_is_shown_by_its_code_point(template: Path, text: str, shown: str) -> None:
    assert legible(text) == shown
    assert typeset(template, {"text": legible(text)})


def test_every_text_of_a_document_becomes_legible() -> None:
    assert all_legible({"a": ["🙂", 1, None, {"b": "가"}]}) == {"a": ["[U+1F642]", 1, None, {"b": "가"}]}


def test_what_people_wrote_is_no_markup(template: Path) -> None:
    said = '#panic("x") *bold* $x$ \\ @ref <label> // no comment'
    page = PdfReader(BytesIO(typeset(template, {"text": said}))).pages[0]

    assert page.extract_text() == said


def test_pages_can_be_looked_at_as_pictures(template: Path) -> None:
    (picture,) = pictures(template, {"text": "가"}, 72)

    assert picture.startswith(b"\x89PNG")
