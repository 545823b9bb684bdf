"""A command that somebody could type leads to the page that shows the same."""

import ast
import re
from pathlib import Path

import pytest

from ops.shell.ways import way_of
from shared.operators.commands import pawl
from shared.operators.deciding import OF_REFUND

ROOT = Path(__file__).parents[3]
KEY = "2011-03-1168200276-000001"
REFUND_ID = "0199a0b0-0000-7000-8000-000000000077"


@pytest.mark.parametrize(
    ("command", "way"),
    [
        ("pawl order A-1001", "/order?id=A-1001"),
        ("pawl order 'A 10/01&x'", "/order?id=A+10%2F01%26x"),
        ("pawl dead show orders:17", "/refused/orders:17"),
        (f"pawl refund show {REFUND_ID}", f"/refund?id={REFUND_ID}"),
        ("pawl month 2011-03", "/month?month=2011-03"),
        ("pawl lag", "/needs"),
        ("pawl todo --code document_refused", "/needs?only=document_refused"),
        ("pawl quarantine show P-1", ""),
        ("pawl close 2011-03", "/month?month=2011-03"),
        ("pawl close 2011-03 transmit --results FILE --yes", "/month?month=2011-03"),
        (
            "pawl close 2011-03 approve --business 1168200276 --reason WHY --yes",
            "/business?month=2011-03&number=1168200276",
        ),
        (f"pawl close 2011-03 amend {KEY}", f"/document?id={KEY}"),
        (f"pawl document {KEY}", f"/document?id={KEY}"),
        (f"pawl explain {KEY}", f"/document?id={KEY}"),
        ("pawl partner P-17", "/partner?id=P-17"),
        ("pawl partner correct --business-number NUMBER --reason WHY P-22", "/partner?id=P-22"),
        ("pawl partner purge --reason WHY", "/partner"),
        (f"pawl serials status {REFUND_ID}", f"/issuance?id={REFUND_ID}"),
        ("pawl refund 'never closed", ""),
        ("", ""),
    ],
)
def test_a_command_leads_to_its_page(command: str, way: str) -> None:
    assert way_of(command) == way


def test_the_first_decision_about_a_refund_leads_to_the_refund() -> None:
    """That is the one which `pawl todo` and `pawl order` name."""
    for usual, *_ in OF_REFUND.values():
        assert way_of(pawl("refund", usual, REFUND_ID)) == f"/refund?id={REFUND_ID}"


def test_a_command_has_no_address_of_a_page_of_its_own() -> None:
    """Those that `pawl demo` prints are ways of commands too."""
    pages = re.compile(r"/(order|refused|refund|month|business|document|partner|issuance|serial)[/?]")
    sources = [file for file in (ROOT / "ops").rglob("*.py") if file.name != "ways.py"]
    written = {
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in sources
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and pages.match(node.value)
    }

    assert written == set()
