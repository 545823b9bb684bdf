"""Tax documents over HTTP: a list of them, the files of one, what explains it, the workbook of a month."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Path, Query
from pydantic import BaseModel
from starlette.responses import Response

from services.invoices.decisions.explaining import Cause, What
from services.invoices.documents.kec import kec_xml
from services.invoices.documents.pdf import pdf
from services.invoices.documents.tax_document import CannotShow, Party, TaxDocument, way_to_tell
from services.invoices.explain import NoSuchPayment, explanation_of_document, explanation_of_payment
from services.invoices.showing import Workbooks, page_of_documents, show_document
from services.invoices.state import DocumentKind, DocumentState, Evidence, Modification, SubmissionState
from services.invoices.viewing import NoSuchDocument
from shared.business_number import normalise
from shared.clock import now
from shared.events.fields import Id, Month
from shared.runtime.surroundings import Surroundings
from shared.web.callers import Caller
from shared.web.fields import WireWon
from shared.web.paging import USUAL, Cursor, Limit, Page, after, page_of
from shared.web.problems import NOT_FOUND, WRONG_PARAMETER, Kind, Problem
from shared.web.routes import Asking, HttpRoute, get
from shared.web.streaming import Parts, Streamed

SUPPLIER_NOT_CONFIGURED: Final = Kind(
    "supplier_not_configured",
    503,
    "Nobody has said who sells",
    "set INVOICES_SUPPLIER_NUMBER, _NAME and _REPRESENTATIVE of invoices (docs/operating.md); until then no "
    "document is approved or shown",
    "공급자가 설정되지 않았습니다",
    "invoices의 INVOICES_SUPPLIER_NUMBER, _NAME, _REPRESENTATIVE를 설정하면 문서를 승인하고 볼 수 있습니다",
)
DOCUMENT_INCOMPLETE: Final = Kind(
    "document_incomplete",
    409,
    "The format wants what is not known",
    "{reason}; {way}, or take the PDF",
    "문서에 필요한 정보가 없습니다",
    "{reason}. 다음과 같이 알리거나 PDF를 받으십시오: {way}",
)
TOO_MANY_DOCUMENTS: Final = Kind(
    "too_many_documents",
    409,
    "The month has more documents than a sheet holds",
    "{reason}; read GET /v1/documents?month={month} page by page",
    "한 시트에 담을 수 없을 만큼 문서가 많습니다",
    "GET /v1/documents?month={month}를 쪽 단위로 읽으십시오 ({reason})",
)
PDF: Final = "application/pdf"
XML: Final = "application/xml"
ZIP: Final = "application/zip"
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
BUILDING_SECONDS: Final = 600.0
"""A workbook of a million documents takes a minute or two before its first byte."""
EXPLAINING_SECONDS: Final = 60.0
"""A document of a hundred thousand payments is explained in some seconds."""
FIRST: Final = ("", str(UUID(int=0)))

AMonth = Annotated[Month, Path(description="a month in Seoul, YYYY-MM")]
OfMonth = Annotated[Month, Query(description="a month in Seoul, YYYY-MM")]
DocumentKey = Annotated[Id, Path(description="the key of an issued document")]
DocumentName = Annotated[Id, Path(description="the key or the id of a document")]
OrderId = Annotated[Id, Path(description="the id of an order that is paid")]
Business = Annotated[Id | None, Query(description="only those of this business number")]
InState = Annotated[DocumentState | None, Query(description="only those in this state")]


class ListedDocument(BaseModel):
    """A document of a month. `pdf` and `xml` are where its files are; null until it is issued."""

    invoice_id: str
    document_key: str | None
    kind: DocumentKind
    state: DocumentState
    partner_id: str
    business_number: str
    month: str
    supply: WireWon
    vat: WireWon
    total: WireWon
    written_date: str | None
    issued_at: str | None
    late: bool
    modification: Modification | None
    original_key: str | None
    pdf: str | None
    xml: str | None


class SaidInBoth(BaseModel):
    """A sentence in Korean and English."""

    ko: str
    en: str


class ExplainedWon(BaseModel):
    """Won of a document or a payment."""

    supply: WireWon
    vat: WireWon
    total: WireWon


class ExplainingPart(ExplainedWon):
    """Won of one line that was sold, or that went back with a refund or a cancellation, with their sign.

    Line and `units` are null where they were not kept. `consumed` won of the units were used up and stay.
    """

    what: What
    line_id: str | None
    product_id: str | None
    name: str | None
    unit_price: WireWon | None
    units: int | None
    refund_id: str | None
    is_cancellation: bool
    consumed: WireWon
    says: SaidInBoth


class ExplainingEvent(BaseModel):
    """An event of invoices; `cause` is the id of what it followed from: an event, or a request over HTTP."""

    event_id: str
    type: str
    time: str
    cause: str
    says: SaidInBoth


class MissingWon(ExplainedWon):
    """Won that the parts lack, or have too many (negative), why, and the payments or refunds it is about."""

    cause: Cause
    names: list[str]
    says: SaidInBoth


class ExplainedContribution(ExplainedWon):
    """What of a payment stands on a document: its parts come to it."""

    payment_id: str
    order_id: str
    partner_id: str
    paid_at: str
    parts: list[ExplainingPart]
    events: list[ExplainingEvent]


class NamedDocument(BaseModel):
    """A document by its names, and what it is."""

    invoice_id: str | None
    document_key: str | None
    kind: DocumentKind | None
    state: DocumentState | None
    modification: Modification | None


class RelatedDocument(NamedDocument, ExplainedWon):
    """A document that has to do with this one.

    `relation`: `original`, `modified_by`, `replaced_by`, `taken_back_by`, or `stands_on`, the merged one.
    """

    relation: str


class OtherContributions(ExplainedWon):
    """Payments that the caller may not see: how many, and what they come to."""

    payments: int


class GivenUpKey(BaseModel):
    """A key under which the tax agent is not given the document any more, why, and since when."""

    document_key: str
    why: str
    at: str


class AtAgent(BaseModel):
    """What a tax agent was given of a document: under which key, how far it is, and `why` no further."""

    document_key: str
    state: SubmissionState
    why: str | None
    given_up: list[GivenUpKey]


class ExplainedDocument(NamedDocument, ExplainedWon):
    """Why a document comes to its won: `explained` and what is `missing` are together its amount.

    `is_whole`: nothing is missing. `count` payments explain it, of which a page is shown. Events from before
    `events_since` may be forgotten; null where none of its are. `at_agent` is null where no tax agent was
    given it.
    """

    month: str
    partner_id: str
    business_number: str
    written_date: str | None
    issued_at: str | None
    explained: ExplainedWon
    is_whole: bool
    says: SaidInBoth
    count: int
    payments: list[ExplainedContribution]
    next: str | None
    others: OtherContributions
    missing: list[MissingWon]
    related: list[RelatedDocument]
    events: list[ExplainingEvent]
    events_since: str | None
    at_agent: AtAgent | None


class StandingWon(NamedDocument):
    """Won of a payment on one of its documents; on its slip or receipt where there is none.

    Null won were not kept: see `missing`.
    """

    supply: WireWon | None
    vat: WireWon | None
    total: WireWon | None
    says: SaidInBoth


class ExplainedPayment(ExplainedContribution):
    """Why what is left of a payment is so many won, and where those stand."""

    month: str
    evidence: Evidence
    explained: ExplainedWon
    is_whole: bool
    says: SaidInBoth
    stands: list[StandingWon]
    missing: list[MissingWon]
    events_since: str | None


class Documents:
    """The endpoints. A token that is limited to a partner sees documents with payments of that partner."""

    def __init__(self, surroundings: Surroundings, supplier: Party | None) -> None:
        self._pool, self._supplier = surroundings.pool, supplier
        self._workbooks = Workbooks(surroundings.pool)

    async def list(
        self,
        month: OfMonth,
        caller: Asking,
        business: Business = None,
        state: InState = None,
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> Any:
        """The documents of a month, drafts too."""
        rows = await page_of_documents(
            self._pool,
            month,
            _place(cursor),
            limit,
            business_number=None if business is None else normalise(business) or business,
            state=state,
            partner_id=caller.partner_id,
        )
        return page_of(rows, limit, lambda row: (row["partner_id"], row["invoice_id"]))

    async def pdf(self, document: DocumentKey, caller: Asking) -> Response:
        """An issued document as it is printed: PDF/A, the same bytes each time."""
        return _file(await self._made(document, caller, pdf), PDF, f"{document}.pdf")

    async def xml(self, document: DocumentKey, caller: Asking) -> Response:
        """An issued document as the tax authority reads it, unsigned: KEC e-tax-invoice 3.0."""
        return _file(await self._made(document, caller, kec_xml), XML, f"{document}.xml")

    async def explain(
        self, document: DocumentName, caller: Asking, limit: Limit = USUAL, cursor: Cursor = None
    ) -> Any:
        """Why a document comes to its won: payments, lines, units, refunds, events, and what is missing."""
        (behind,) = after(cursor, ("",))
        try:
            return await explanation_of_document(self._pool, document, caller, behind=behind, limit=limit)
        except NoSuchDocument as unknown:
            raise Problem(NOT_FOUND, what=str(unknown)) from None

    async def explain_payment(self, order_id: OrderId, caller: Asking) -> Any:
        """Why what is left of the payment of an order is so many won, and which documents they stand on."""
        try:
            return await explanation_of_payment(self._pool, order_id, caller)
        except NoSuchPayment as unknown:
            raise Problem(NOT_FOUND, what=str(unknown)) from None

    async def workbook(self, month: AMonth, caller: Asking) -> Response:
        """The documents of a month, and what they come to by evidence, as a workbook."""
        return Streamed(self._workbook(month, caller), XLSX)

    async def for_hometax(self, month: AMonth) -> Response:
        """Hometax's bulk sheets of what is issued of a month and not transmitted, 100 documents each.

        A ZIP file, with `left_out.csv` where documents go into no sheet. Upload each once, and read Hometax's
        list back before you take the next.
        """
        if self._supplier is None:
            raise Problem(SUPPLIER_NOT_CONFIGURED)
        return Streamed(self._workbooks.for_hometax(month, self._supplier), ZIP)

    async def _made(self, key: str, caller: Caller, make: Callable[[TaxDocument], bytes]) -> bytes:
        if self._supplier is None:
            raise Problem(SUPPLIER_NOT_CONFIGURED)
        try:
            document = await show_document(self._pool, key, self._supplier, caller)
        except NoSuchDocument as unknown:
            raise Problem(NOT_FOUND, what=str(unknown)) from None
        except CannotShow as why:
            raise Problem(DOCUMENT_INCOMPLETE, reason=str(why), way=f"see pawl document {key}") from None
        try:
            return await asyncio.to_thread(make, document)
        except CannotShow as why:
            way = way_to_tell(document.partner_id, document.buyer)
            raise Problem(DOCUMENT_INCOMPLETE, reason=str(why), way=way) from None

    @asynccontextmanager
    async def _workbook(self, month: str, caller: Caller) -> AsyncIterator[Parts]:
        try:
            async with self._workbooks.of_month(month, caller.partner_id, now()) as parts:
                yield parts
        except OverflowError as error:
            raise Problem(TOO_MANY_DOCUMENTS, reason=str(error), month=month) from None


def _place(cursor: str | None) -> Sequence[Any]:
    partner_id, invoice_id = after(cursor, FIRST)
    try:
        return partner_id, UUID(invoice_id)
    except ValueError:
        rule = "send `next` of the page before"
        raise Problem(WRONG_PARAMETER, name="cursor", place="query", rule=rule) from None


def _file(body: bytes, media_type: str, name: str) -> Response:
    return Response(
        body, media_type=media_type, headers={"Content-Disposition": f'inline; filename="{name}"'}
    )


def document_routes(surroundings: Surroundings, supplier: Party | None) -> Sequence[HttpRoute]:
    """The routes about documents. The workbook comes before `/v1/months/{month}`, which would take it."""
    documents, document = Documents(surroundings, supplier), "/v1/documents/{document}"
    look: dict[str, Any] = {"scope": "invoices:read", "partners": True}
    return [
        get("/v1/documents", documents.list, answers=Page[ListedDocument], **look),
        get(f"{document}.pdf", documents.pdf, file=PDF, problems=[SUPPLIER_NOT_CONFIGURED], **look),
        get(
            f"{document}.xml",
            documents.xml,
            file=XML,
            problems=[SUPPLIER_NOT_CONFIGURED, DOCUMENT_INCOMPLETE],
            **look,
        ),
        get(
            f"{document}/explain",
            documents.explain,
            answers=ExplainedDocument,
            seconds=EXPLAINING_SECONDS,
            **look,
        ),
        get(
            "/v1/orders/{order_id:path}/explain", documents.explain_payment, answers=ExplainedPayment, **look
        ),
        get(
            "/v1/months/{month}.xlsx",
            documents.workbook,
            file=XLSX,
            seconds=BUILDING_SECONDS,
            problems=[TOO_MANY_DOCUMENTS],
            **look,
        ),
        get(
            "/v1/months/{month}/hometax.zip",
            documents.for_hometax,
            "invoices:read",
            file=ZIP,
            seconds=BUILDING_SECONDS,
            problems=[SUPPLIER_NOT_CONFIGURED],
        ),
    ]
