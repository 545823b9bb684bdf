"""What the pages say: each text in both languages, with the same values in it."""

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
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
    """What is given to whatever translates, also under a name: sentences begin with a capital."""
    for file in sources():
        for function in ast.walk(ast.parse(file.read_text())):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module):
                given = [argument for call in calls(function) for argument in call.args]
                names = {argument.id for argument in given if isinstance(argument, ast.Name)}
                yield from (text for part in given for text in said(part))
                yield from (text for part in assigned(function, names) for text in said(part))


def sources() -> list[Path]:
    """The code that has texts, but for the texts themselves."""
    return [file for file in sorted(FOLDER.rglob("*.py")) if file.name != "texts.py"]


def calls(function: ast.AST) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in _TRANSLATING
    ]


def assigned(function: ast.AST, names: set[str]) -> list[ast.expr]:
    """What these names may be."""
    return [
        node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and {getattr(target, "id", "") for target in node.targets} & names
    ]


def said(argument: ast.expr) -> Iterator[str]:
    """The text, or both of a choice; a name in code is none."""
    match argument:
        case ast.IfExp(body=body, orelse=orelse):
            yield from said(body)
            yield from said(orelse)
        case ast.Constant(value=str(text)) if text[:1].isupper():
            yield text


def test_each_text_is_there_in_korean_with_the_same_values() -> None:
    texts = {*texts_of_templates(), *texts_of_code(), *ENGLISH} - {"GET", "POST"}

    assert sorted(texts - KOREAN.keys()) == []
    assert [text for text in KOREAN if values(KOREAN[text]) != values(ENGLISH.get(text, text))] == []
    assert len(texts) > 100


def test_no_text_is_left_that_no_page_says() -> None:
    """One of a code is named by its first word and the code, which pages put together."""
    templates = "".join(file.read_text() for file in (FOLDER / "templates").glob("*.html"))
    in_code = {
        node.value
        for file in sources()
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    beginnings = {text for text in in_code if re.fullmatch("[a-z]+ ", text)}
    beginnings |= set(re.findall(r"\bt\([\"']([a-z]+ )[\"']", templates))

    left = [
        text
        for text in KOREAN
        if text not in in_code
        and not any(f"{quote}{text}{quote}" in templates for quote in "\"'")
        and not text.startswith(tuple(beginnings))
    ]

    assert left == []


def test_each_class_of_the_style_sheet_is_on_a_page() -> None:
    style = re.sub(
        r"/\*.*?\*/|\{[^{}]*\}", " ", (FOLDER / "static" / "console.css").read_text(), flags=re.DOTALL
    )
    classes = set(re.findall(r"\.([a-z][\w-]*)", style))
    files = [*(FOLDER / "templates").glob("*.html"), FOLDER / "static" / "console.js", *sources()]
    words = {word for file in files for word in re.findall(r"[\w-]+", file.read_text())}
    beginnings = tuple(word for word in words if word.endswith("-"))

    assert [name for name in sorted(classes - words) if not name.startswith(beginnings)] == []


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
