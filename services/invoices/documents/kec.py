"""The tax authority's XML: KEC standard e-tax-invoice 3.0 (표준전자세금계산서). Pure.

Element order, codes and formats follow the public field list of its guide; `kec.xsd` is our own
schema of that list, since no public copy of the authority's was found. What comes out here is not
signed and says so in a comment, which no signature covers: whoever holds the supplier's certificate takes
`to_be_signed`, and puts what it makes of that in with `with_signature`.
"""

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Final

from services.invoices.decisions.lines import PrintedLine
from services.invoices.documents.tax_document import CannotShow, Party, Purpose, TaxDocument, cut
from services.invoices.state import Modification
from shared.kst import KST

NAMESPACE: Final = "urn:kr:or:kec:standard:Tax:ReusableAggregateBusinessInformationEntitySchemaModule:1:0"
SIGNATURE: Final = "http://www.w3.org/2000/09/xmldsig#"
UNSIGNED: Final = " unsigned: no tax invoice in law until the supplier's certificate has signed it "
NOT_APPROVED: Final = " IssueID is the supplier's own key: no approval number is known "

ORIGINAL: Final = "0101"
"""세금계산서, 일반."""
MODIFIED: Final = "0201"
"""수정세금계산서, 일반."""
AMENDMENTS: Final[Mapping[Modification, str]] = {
    "correction": "01",
    "supply_value_changed": "02",
    "contract_cancelled": "04",
    "issued_twice": "06",
}
PURPOSES: Final[Mapping[Purpose, str]] = {"receipt": "01", "claim": "02"}
BUSINESS: Final = "01"
"""The buyer is a business, and its id a business number."""

LONGEST: Final[Mapping[str, int]] = {
    "NameText": 200,
    "DescriptionText": 150,
    "TypeCode": 100,
    "ClassificationCode": 100,
    "LineOneText": 300,
    "URICommunication": 100,
    "PersonName": 100,
}
"""Characters of texts that somebody else wrote; longer ones are cut and end in an ellipsis."""

_DAY, _SECOND = "%Y%m%d", "%Y%m%d%H%M%S"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_LOCATION = f"{NAMESPACE} http://www.kec.or.kr/standard/Tax/TaxInvoiceSchemaModule_1.0.xsd"


def kec_xml(document: TaxDocument) -> bytes:
    """The document as XML in UTF-8, unsigned; the same bytes for the same document.

    Raises CannotShow where the format wants what is `missing` of it.
    """
    comments = [UNSIGNED] if document.approval_number else [UNSIGNED, NOT_APPROVED]
    told = "".join(f"<!--{comment}-->\n" for comment in comments)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + told.encode() + to_be_signed(document) + b"\n"


def to_be_signed(document: TaxDocument) -> bytes:
    """The seam for a signature: the unsigned document in canonical form, without comments.

    A signature is RSA-SHA256 over these bytes after the transforms of the standard, which leave out
    `ExchangedDocument` and the signature itself; it is a `ds:Signature` element. Raises CannotShow.
    """
    if document.missing:
        raise CannotShow(f"document {document.document_key} lacks {', '.join(document.missing)}")
    return ET.canonicalize(ET.tostring(_tree(document), encoding="unicode")).encode()


def with_signature(unsigned: bytes, signature: bytes) -> bytes:
    """The document with its signature between `ExchangedDocument` and `TaxInvoiceDocument`.

    `unsigned` is what `to_be_signed` gave; not a byte of it changes. Raises ValueError for anything else than
    a ds:Signature that stands by itself.
    """
    element = ET.fromstring(signature)  # noqa: S314 - of our own signer
    if element.tag != f"{{{SIGNATURE}}}Signature":
        raise ValueError("a signature is a ds:Signature element")
    before, end, after = unsigned.partition(b"</ExchangedDocument>")
    if not end:
        raise ValueError("what is signed is what to_be_signed gave")
    return before + end + signature.strip() + after


def _tree(document: TaxDocument) -> ET.Element:
    root = ET.Element("TaxInvoice", {"xmlns": NAMESPACE, "xmlns:xsi": _XSI, "xsi:schemaLocation": _LOCATION})
    exchanged = ET.SubElement(root, "ExchangedDocument")
    _text(exchanged, "ID", document.agent_key)
    _text(exchanged, "IssueDateTime", document.issued_at.astimezone(KST).strftime(_SECOND))
    _add_document(ET.SubElement(root, "TaxInvoiceDocument"), document)
    _add_settlement(ET.SubElement(root, "TaxInvoiceTradeSettlement"), document)
    for number, line in enumerate(document.lines, start=1):
        day = document.written_date.strftime(_DAY)
        _add_line(ET.SubElement(root, "TaxInvoiceTradeLineItem"), number, line, day)
    return root


def _add_document(element: ET.Element, document: TaxDocument) -> None:
    _text(element, "IssueID", document.approval_number or document.agent_key)
    _text(element, "TypeCode", ORIGINAL if document.modification is None else MODIFIED)
    for remark in document.remarks:
        _text(element, "DescriptionText", remark)
    _text(element, "IssueDateTime", document.written_date.strftime(_DAY))
    if document.modification is not None:
        _text(element, "AmendmentStatusCode", AMENDMENTS[document.modification])
    _text(element, "PurposeCode", PURPOSES[document.purpose])
    if document.original is not None and document.original.approval_number is not None:
        _text(element, "OriginalIssueID", document.original.approval_number)


def _add_settlement(element: ET.Element, document: TaxDocument) -> None:
    _add_supplier(ET.SubElement(element, "InvoicerParty"), document.supplier)
    _add_buyer(ET.SubElement(element, "InvoiceeParty"), document.buyer)
    sums = ET.SubElement(element, "SpecifiedMonetarySummation")
    _text(sums, "ChargeTotalAmount", str(document.amount.supply))
    _text(sums, "TaxTotalAmount", str(document.amount.vat))
    _text(sums, "GrandTotalAmount", str(document.amount.total))


def _add_supplier(element: ET.Element, party: Party) -> None:
    _add_business(element, party)
    if party.branch_number:
        _text(ET.SubElement(element, "SpecifiedOrganization"), "TaxRegistrationID", party.branch_number)
    _add_person(element, party, "DefinedContact")


def _add_buyer(element: ET.Element, party: Party) -> None:
    _add_business(element, party)
    organization = ET.SubElement(element, "SpecifiedOrganization")
    _optional(organization, "TaxRegistrationID", party.branch_number)
    _text(organization, "BusinessTypeCode", BUSINESS)
    _add_person(element, party, "PrimaryDefinedContact")


def _add_business(element: ET.Element, party: Party) -> None:
    _text(element, "ID", party.business_number)
    _optional(element, "TypeCode", cut(party.business_type, LONGEST["TypeCode"]))
    _text(element, "NameText", cut(party.name, LONGEST["NameText"]))
    _optional(element, "ClassificationCode", cut(party.business_item, LONGEST["ClassificationCode"]))


def _add_person(element: ET.Element, party: Party, contact: str) -> None:
    person = ET.SubElement(element, "SpecifiedPerson")
    _text(person, "NameText", cut(party.representative, LONGEST["PersonName"]))
    if party.email:
        _text(
            ET.SubElement(element, contact), "URICommunication", cut(party.email, LONGEST["URICommunication"])
        )
    if party.address:
        address = ET.SubElement(element, "SpecifiedAddress")
        _text(address, "LineOneText", cut(party.address, LONGEST["LineOneText"]))


def _add_line(element: ET.Element, number: int, line: PrintedLine, day: str) -> None:
    _text(element, "SequenceNumeric", str(number))
    _text(element, "InvoiceAmount", str(line.amount.supply))
    if line.quantity is not None:
        _text(element, "ChargeableUnitQuantity", str(line.quantity))
    _optional(element, "NameText", cut(line.name, LONGEST["NameText"]))
    _text(element, "PurchaseExpiryDateTime", day)
    _text(ET.SubElement(element, "TotalTax"), "CalculatedAmount", str(line.amount.vat))
    if line.unit_price is not None:
        _text(ET.SubElement(element, "UnitPrice"), "UnitAmount", str(line.unit_price))


def _optional(parent: ET.Element, name: str, text: str) -> None:
    if text:
        _text(parent, name, text)


def _text(parent: ET.Element, name: str, text: str) -> None:
    ET.SubElement(parent, name).text = text
