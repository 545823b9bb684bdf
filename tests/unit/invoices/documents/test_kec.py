"""The authority's XML, read and checked by libxml2, which shares nothing with what wrote it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from services.invoices.documents import kec
from services.invoices.documents.kec import NAMESPACE, SIGNATURE, kec_xml, to_be_signed, with_signature
from services.invoices.documents.tax_document import CannotShow, Original, Party, plain
from shared.money import Money
from tests.unit.invoices.documents.samples import APPROVAL, BUYER, SUPPLIER, document, modified, printed
from tests.unit.invoices.test_golden_cases import expected

SCHEMA = etree.XMLSchema(etree.parse(Path(kec.__file__).with_name("kec.xsd")))


def read(xml: bytes) -> Any:
    """The root of a document that the schema takes."""
    tree = etree.fromstring(xml)
    SCHEMA.assertValid(tree)
    return tree


def names(element: Any) -> list[str]:
    return [etree.QName(each).localname for each in element]


def text(root: Any, path: str) -> str | None:
    return root.findtext("/".join(f"{{{NAMESPACE}}}{name}" for name in path.split("/")))


def test_an_original_says_both_parties_its_date_and_its_won() -> None:
    root = read(kec_xml(document(approval_number=APPROVAL)))

    assert root.tag == f"{{{NAMESPACE}}}TaxInvoice"
    said = {
        "TaxInvoiceDocument/IssueID": APPROVAL,
        "TaxInvoiceDocument/TypeCode": "0101",
        "TaxInvoiceDocument/IssueDateTime": "20261031",
        "TaxInvoiceDocument/PurposeCode": "01",
        "ExchangedDocument/IssueDateTime": "20261105180001",
        "TaxInvoiceTradeSettlement/InvoicerParty/ID": SUPPLIER.business_number,
        "TaxInvoiceTradeSettlement/InvoicerParty/SpecifiedPerson/NameText": SUPPLIER.representative,
        "TaxInvoiceTradeSettlement/InvoiceeParty/NameText": BUYER.name,
        "TaxInvoiceTradeSettlement/InvoiceeParty/TypeCode": BUYER.business_type,
        "TaxInvoiceTradeSettlement/InvoiceeParty/ClassificationCode": BUYER.business_item,
        "TaxInvoiceTradeSettlement/InvoiceeParty/SpecifiedOrganization/TaxRegistrationID": "0001",
        "TaxInvoiceTradeSettlement/InvoiceeParty/SpecifiedOrganization/BusinessTypeCode": "01",
        "TaxInvoiceTradeSettlement/SpecifiedMonetarySummation/ChargeTotalAmount": "160000",
        "TaxInvoiceTradeSettlement/SpecifiedMonetarySummation/TaxTotalAmount": "16000",
        "TaxInvoiceTradeSettlement/SpecifiedMonetarySummation/GrandTotalAmount": "176000",
        "TaxInvoiceTradeLineItem/ChargeableUnitQuantity": "100",
        "TaxInvoiceTradeLineItem/PurchaseExpiryDateTime": "20261031",
        "TaxInvoiceTradeLineItem/TotalTax/CalculatedAmount": "16000",
        "TaxInvoiceTradeLineItem/UnitPrice/UnitAmount": "1600",
    }
    assert {path: text(root, path) for path in said} == said


def test_a_modified_document_has_the_order_of_the_standard() -> None:
    of_october = Original("2026-10-1168200276-000001", document().written_date, APPROVAL)
    root = read(kec_xml(modified(original=of_october)))
    (told,) = root.findall(f"{{{NAMESPACE}}}TaxInvoiceDocument")

    order = [name for place, name in enumerate(names(told)) if name not in names(told)[:place]]
    assert order == expected("X1")["TaxInvoiceDocument"]
    assert text(root, "TaxInvoiceDocument/TypeCode") == "0201"
    assert text(root, "TaxInvoiceDocument/AmendmentStatusCode") == expected("D2")["kec_amendment"]
    assert text(root, "TaxInvoiceDocument/OriginalIssueID") == APPROVAL
    assert text(root, "TaxInvoiceDocument/DescriptionText") == "당초 작성일자 2026-10-31"
    # Amounts and quantity are negative, the price is not.
    assert text(root, "TaxInvoiceTradeLineItem/InvoiceAmount") == "-64000"
    assert text(root, "TaxInvoiceTradeLineItem/ChargeableUnitQuantity") == "-40"
    assert text(root, "TaxInvoiceTradeLineItem/UnitPrice/UnitAmount") == "1600"


@pytest.mark.parametrize(("case", "modification"), [("D5", "correction"), ("D6", "issued_twice")])
def test_each_reason_has_its_code(case: str, modification: str) -> None:
    root = read(kec_xml(modified(modification=modification)))
    assert text(root, "TaxInvoiceDocument/AmendmentStatusCode") == expected(case)["kec_amendment"]


def test_a_cancelled_contract_has_the_codes_of_the_golden_case() -> None:
    root = read(kec_xml(modified(-100, modification="contract_cancelled")))
    codes = expected("D1")["codes"]
    assert text(root, "TaxInvoiceDocument/TypeCode") == codes["kec_type"]
    assert text(root, "TaxInvoiceDocument/AmendmentStatusCode") == codes["kec_amendment"]


def test_what_is_not_signed_and_has_no_approval_number_says_so() -> None:
    comments = [each.text for each in etree.fromstring(kec_xml(document())).itersiblings(preceding=True)]
    assert any("unsigned" in comment for comment in comments)
    assert any("no approval number" in comment for comment in comments)
    assert text(read(kec_xml(document())), "TaxInvoiceDocument/IssueID") == expected("K1")["agent_key"]

    approved = kec_xml(document(approval_number=APPROVAL))
    comments = [each.text for each in etree.fromstring(approved).itersiblings(preceding=True)]
    assert [("unsigned" in comment, "approval" in comment) for comment in comments] == [(True, False)]


def test_what_is_to_be_signed_is_canonical() -> None:
    unsigned = to_be_signed(document())
    canonical = etree.tostring(etree.fromstring(unsigned), method="c14n", with_comments=False)
    assert unsigned == canonical
    of_the_whole = etree.fromstring(kec_xml(document())).getroottree()
    assert etree.tostring(of_the_whole, method="c14n", with_comments=False) == canonical


def test_a_signature_goes_in_between_and_changes_nothing_else() -> None:
    signature = f'<ds:Signature xmlns:ds="{SIGNATURE}"><ds:SignedInfo/></ds:Signature>'.encode()
    unsigned = to_be_signed(document())

    signed = with_signature(unsigned, signature)

    assert names(read(signed))[:3] == ["ExchangedDocument", "Signature", "TaxInvoiceDocument"]
    assert signed.replace(signature, b"") == unsigned


@pytest.mark.parametrize("wrong", [b"<Signature/>", b'<ds:Other xmlns:ds="urn:x"/>'])
def test_nothing_but_a_signature_goes_in(wrong: bytes) -> None:
    with pytest.raises(ValueError, match="ds:Signature"):
        with_signature(to_be_signed(document()), wrong)


def test_ninety_nine_lines_are_valid_and_a_hundred_are_not() -> None:
    lines = [printed(f"상품 {number}", 1_000, 1) for number in range(100)]
    assert len(read(kec_xml(document(*lines[:99]))).findall(f"{{{NAMESPACE}}}TaxInvoiceTradeLineItem")) == 99
    with pytest.raises(etree.DocumentInvalid):
        read(kec_xml(document(*lines)))


def test_a_document_without_its_buyers_representative_is_none_for_the_authority() -> None:
    nameless = document(buyer=Party("1168200276", "가나다 주식회사"))
    assert nameless.missing == ("buyer.representative",)
    with pytest.raises(CannotShow, match=r"buyer\.representative"):
        kec_xml(nameless)


TEXTS = st.text(min_size=1, max_size=400).map(plain).filter(bool)


@settings(max_examples=60, deadline=None)
@given(name=TEXTS, address=TEXTS, product=TEXTS, supply=st.integers(1, 10**15))
def test_whatever_people_are_called_the_xml_is_valid_and_says_it(
    name: str, address: str, product: str, supply: int
) -> None:
    buyer = Party("1168200276", name, name, address, name, name, email="a@b.example")
    line = printed(product, 1, 1)._replace(quantity=None, unit_price=None, amount=Money(supply, supply // 10))
    root = read(kec_xml(document(line, buyer=buyer)))
    said = text(root, "TaxInvoiceTradeSettlement/InvoiceeParty/NameText") or ""
    assert said == name or (len(said) == 200 and name.startswith(said[:-1]))


def test_the_same_document_is_the_same_bytes() -> None:
    assert kec_xml(document()) == kec_xml(document())


def _shown(root: Any) -> Iterator[str]:
    yield from (each.text or "" for each in root.iter())


def test_markup_in_a_name_is_text() -> None:
    buyer = Party("1168200276", "<b>&amp; ]]> 회사", "이도윤")
    root = read(kec_xml(document(buyer=buyer)))
    assert "<b>&amp; ]]> 회사" in list(_shown(root))
