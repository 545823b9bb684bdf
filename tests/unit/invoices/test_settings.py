"""Who sells is a setting, whole or not at all."""

from typing import Any

import pytest
from pydantic import ValidationError

from services.invoices.documents.tax_document import Party
from services.invoices.settings import InvoicesSettings
from tests.support.web import OF_A_SERVICE

WHOLE = {
    "invoices_supplier_number": "118-81-20586",
    "invoices_supplier_name": "주식회사 스터디웍스",
    "invoices_supplier_representative": "김하늘",
}


def settings(**more: Any) -> InvoicesSettings:
    return InvoicesSettings(**OF_A_SERVICE, **more)


def test_without_a_number_there_is_no_supplier() -> None:
    assert settings().supplier() is None


def test_a_supplier_is_its_number_and_what_else_is_told() -> None:
    supplier = settings(**WHOLE, invoices_supplier_branch="0001").supplier()
    assert supplier == Party("1188120586", "주식회사 스터디웍스", "김하늘", branch_number="0001")


@pytest.mark.parametrize(
    "wrong",
    [
        {**WHOLE, "invoices_supplier_number": "123-45-67890"},
        {**WHOLE, "invoices_supplier_name": " "},
        {"invoices_supplier_number": "118-81-20586"},
        {**WHOLE, "invoices_supplier_branch": "1"},
    ],
)
def test_half_a_supplier_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        settings(**wrong)
