"""A tax document (세금계산서) as one value: all that stands on it, nothing that has to be looked up.

It is built from what invoices knows, and each form of it (PDF, XML, a row of a sheet) is made of it alone.
What has to be on it: 부가가치세법 제32조 제1항 and 시행령 제67조 제2항.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from services.invoices.decisions.lines import PrintedLine, folded, grouped, sum_of
from services.invoices.state import (
    REGISTERED,
    BusinessRegistration,
    Buyer,
    Correction,
    Document,
    Modification,
    Partner,
    Snapshot,
)
from shared.money import Money
from shared.operators.commands import pawl

Purpose = Literal["receipt", "claim"]
"""영수 or 청구: whether the money has arrived or is asked for."""

REASONS: Final[Mapping[Modification, str]] = {
    "correction": "기재사항의 착오·정정 등",
    "supply_value_changed": "공급가액 변동",
    "contract_cancelled": "계약의 해제",
    "issued_twice": "착오에 의한 이중발급",
}
"""The modification as the form says it (부가가치세법 시행령 제70조 제1항)."""
NOT_KEPT: Final = "공급 합계"
"""The only line of a document whose lines are not known any more."""

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff]+")


class CannotShow(Exception):
    """Why there is no document to be shown, in words for an operator."""


class Party(Struct, frozen=True):
    """One half of a document. What is not known is empty; the law wants number, name and representative.

    `branch_number` (종사업장번호) tells places of business of one number apart.
    """

    business_number: str
    name: str
    representative: str = ""
    address: str = ""
    business_type: str = ""
    business_item: str = ""
    branch_number: str = ""
    email: str = ""

    @property
    def missing(self) -> tuple[str, ...]:
        """What the authority wants of it and that is not known."""
        return tuple(name for name in ("name", "representative") if not getattr(self, name))


class Original(Struct, frozen=True):
    """The document that a modified one modifies. `approval_number` is None while it has none."""

    document_key: str
    written_date: date
    approval_number: str | None = None


class TaxDocument(Struct, frozen=True):
    """What stands on one tax document; won, KST days and instants.

    `lines` sum to `amount`, and are at most 99. `approval_number` (승인번호) is None while nobody has told
    one. `modification` and `original` are those of a modified document.
    """

    document_key: str
    month: str
    partner_id: str
    supplier: Party
    buyer: Party
    written_date: date
    issued_at: datetime
    lines: tuple[PrintedLine, ...]
    amount: Money
    purpose: Purpose = "receipt"
    modification: Modification | None = None
    original: Original | None = None
    approval_number: str | None = None
    late: bool = False

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the field 비고 says: of a modified document when its original was written."""
        if self.original is None:
            return ()
        said = [f"당초 작성일자 {self.original.written_date}"]
        if self.original.approval_number is not None:
            said.append(f"당초 승인번호 {self.original.approval_number}")
        return tuple(said)

    @property
    def missing(self) -> tuple[str, ...]:
        """What the authority wants of both and that is not known: `supplier.name`, `buyer.representative`."""
        halves = (("supplier", self.supplier), ("buyer", self.buyer))
        return tuple(f"{half}.{name}" for half, party in halves for name in party.missing)

    @property
    def agent_key(self) -> str:
        """Our own key as agents and authorities take it: without hyphens, 22 characters of at most 24."""
        return self.document_key.replace("-", "")


def tax_document(
    document: Document,
    lines: Iterable[PrintedLine],
    supplier: Party,
    buyer: Party,
    original: Original | None = None,
    approval_number: str | None = None,
) -> TaxDocument:
    """The document as it is shown: lines grouped, and those beyond 99 folded into the last, never split.

    Lines that do not come to the document are not known any more: it then has one line over its amount.
    Raises CannotShow for a document without key and dates, and for a modified one without its original.
    """
    key, day, at = document.document_key, document.written_date, document.issued_at
    if key is None or day is None or at is None:
        raise CannotShow(f"document {document.invoice_id} is {document.state}, and not issued yet")
    if (original is None) != (document.modification is None):
        raise CannotShow(f"document {key} is modified, and its original is not there")
    shown = folded(grouped(line for line in lines if _says_something(line)))
    if sum_of(shown) != document.amount or not shown:
        shown = [PrintedLine("", NOT_KEPT, None, None, document.amount)]
    return TaxDocument(
        document_key=key,
        month=document.month,
        partner_id=document.partner_id,
        supplier=_plain_party(supplier),
        buyer=_plain_party(buyer),
        written_date=day,
        issued_at=at,
        lines=tuple(line._replace(name=plain(line.name)) for line in shown),
        amount=document.amount,
        modification=document.modification,
        original=original,
        approval_number=approval_number,
        late=document.late,
    )


def buyer_of(
    document: Document,
    sold: Sequence[Snapshot],
    partner: Partner | None,
    registered: BusinessRegistration | None = None,
) -> Party:
    """Who a document is for: as of the latest of its payments, `sold` in the order they were paid.

    A document under another number than that of its payments names the partner as it is known now. What the
    payments did not tell is as the partner has `registered` of that number since. A business of the same name
    under another number has the same representative, unless somebody told another one.
    """
    number = document.business_number
    told = next((s.buyer for s in reversed(sold) if s.buyer is not None and s.buyer.name), None)
    known = told if told is not None and told.business_number == number else None
    if known is None and partner is not None and partner.business_number == number:
        party = Party(number, partner.name, email=partner.invoice_email)
    else:
        party = _party_of(number, known or told)
    if registered is not None:
        said = {name: getattr(party, name) or getattr(registered, name) for name in REGISTERED}
        party = replace(party, **said)
    if not party.representative and told is not None and told.name == party.name:
        party = replace(party, representative=told.representative)
    return party


def corrected(party: Party, corrections: Iterable[Correction]) -> Party:
    """The buyer with what corrections of the document have said of it, the latest first.

    What was said under another number was said of another business.
    """
    right: dict[str, str] = {}
    for correction in corrections:
        if correction.buyer is not None and correction.business_number == party.business_number:
            said = correction.buyer._asdict().items()
            right = {name: value for name, value in said if value is not None} | right
    return replace(party, **right)


def _party_of(number: str, buyer: Buyer | None) -> Party:
    if buyer is None:
        return Party(number, "")
    if buyer.business_number != number:  # of another business nothing but who pays is true
        return Party(number, buyer.name, email=buyer.email)
    return Party(
        number,
        buyer.name,
        buyer.representative,
        buyer.address,
        buyer.business_type,
        buyer.business_item,
        buyer.branch_number,
        buyer.email,
    )


def way_to_tell(partner_id: str, buyer: Party) -> str:
    """The command that tells what is missing of a buyer."""
    command = pawl("partner", "correct", partner_id)
    if "representative" in buyer.missing:
        return f"{command} --representative NAME --of {buyer.business_number} --reason WHY --yes"
    return f"{command} --name NAME --reason WHY --yes"


def plain(text: str) -> str:
    """Text of one line: whatever is no character of a text is a blank."""
    return " ".join(_UNPRINTABLE.sub(" ", text).split())


def cut(text: str, most: int) -> str:
    """At most so many characters; what is cut off is said with an ellipsis."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _plain_party(party: Party) -> Party:
    texts = {name: plain(getattr(party, name)) for name in party.__struct_fields__}
    return replace(party, **{**texts, "branch_number": _branch(texts["branch_number"])})


def _branch(number: str) -> str:
    """A branch number has four digits; anything else is none."""
    return number if len(number) == 4 and number.isascii() and number.isdigit() else ""


def _says_something(line: PrintedLine) -> bool:
    return bool(line.quantity or line.amount.supply or line.amount.vat)
