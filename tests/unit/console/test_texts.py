"""What the pages say: each text in both languages, with the same values in it."""

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from string import Formatter

import pytest

from console.formats import age, instant, won
from console.pages import FOLDER
from console.texts import ENGLISH, KOREAN, code_in, translate

_NAMED = re.compile(r"""\bt\((["'])((?:(?!\1).)+)\1[,)]""")
_TRANSLATING = ("translate", "_refuse", "Column")


def texts_of_templates() -> Iterator[str]:
    for file in sorted((FOLDER / "templates").glob("*.html")):
        for _, text in _NAMED.findall(file.read_text()):
            yield text


def texts_of_code() -> Iterator[str]:
    """String arguments of what translates: sentences begin with a capital."""
    for file in sorted(FOLDER.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in _TRANSLATING:
                for argument in node.args:
                    said = argument.value if isinstance(argument, ast.Constant) else None
                    if isinstance(said, str) and said[:1].isupper():
                        yield said


def test_each_text_is_there_in_korean_with_the_same_values() -> None:
    texts = {*texts_of_templates(), *texts_of_code(), *ENGLISH} - {"GET", "POST"}

    assert sorted(texts - KOREAN.keys()) == []
    assert [text for text in KOREAN if values(KOREAN[text]) != values(ENGLISH.get(text, text))] == []
    assert len(texts) > 100


def values(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_a_text_that_nobody_translated_is_an_error_and_a_code_is_shown_as_it_is() -> None:
    with pytest.raises(KeyError):
        translate("ko", "Nobody has said this.")
    assert code_in("ko", "some_new_code") == "some new code"


def test_won_instants_and_ages_read_as_people_write_them() -> None:
    assert (won(55_000), won(-5), won(0), won(None)) == ("₩55,000", "−₩5", "₩0", "–")
    assert instant(datetime(2026, 11, 30, 15, 0, 1, tzinfo=UTC)) == "2026-12-01 00:00:01 KST"
    spans = [timedelta(minutes=41), timedelta(hours=5), timedelta(days=47), timedelta(days=900)]
    assert [age(span, "en") for span in spans] == ["41m", "5h", "47d", "2y"]
    assert [age(span, "ko") for span in spans] == ["41분", "5시간", "47일", "2년"]
    assert age(timedelta(seconds=-5), "en") == "0m"


def test_no_page_has_a_script_or_a_style_in_it() -> None:
    for file in sorted((FOLDER / "templates").glob("*.html")):
        text = file.read_text()
        assert not re.search(r"<script(?! src=)|<style|\sstyle=|\son[a-z]+=|javascript:", text), file.name
        assert "| safe" not in text, file.name


def test_the_script_of_others_is_the_one_whose_licence_stands_beside_it() -> None:
    from hashlib import sha256

    said = (FOLDER.parent / "console/static/htmx.md").read_text()
    assert sha256((FOLDER / "static" / "htmx.min.js").read_bytes()).hexdigest() in said


@pytest.mark.parametrize("code", ["granted", "until_issued", "tax_invoice", "cash_receipt"])
def test_what_the_pages_of_orders_and_refunds_say_is_korean_in_korean(code: str) -> None:
    assert not code_in("ko", code).isascii()
