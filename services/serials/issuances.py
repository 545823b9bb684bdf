"""What partners and operators ask about issuances: how far they are, their serials, and who took them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Final, Literal, NamedTuple
from uuid import UUID

import asyncpg
from fastapi import Depends, Path, Query
from starlette.responses import Response

from services.serials.custody import LONGEST_REASON
from services.serials.handing_out import HandingOut, Wanted
from services.serials.notices import LMS_BYTES, Items, Message, messages_of, shortest
from services.serials.problems import (
    CANNOT_BE_SENT,
    HAND_OUTS_BUSY,
    KEY_MISSING,
    NO_ROOM,
    NOTICE_INCOMPLETE,
)
from services.serials.sheets import filled_texts
from services.serials.state import Grant, SerialState, state_at
from services.serials.store import GRANTS, SQL
from services.serials.viewing import (
    FilesUnderWay,
    HandedOut,
    Issuance,
    Notice,
    ReadableSerials,
    Taken,
    custody_document,
    issuance_document,
    notice_document,
)
from services.serials.watermarks import read_watermark
from shared.clock import now
from shared.events.fields import ONE_LINE, Id
from shared.web.callers import Caller, Origin
from shared.web.paging import USUAL, Cursor, Limit, Page, after, cursor_of, page_of
from shared.web.problems import NOT_FOUND, WRONG_PARAMETER, Language, Problem
from shared.web.routes import Asking, HttpRoute, Looking, get
from shared.web.streaming import Streamed

CSV: Final = "text/csv"
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
BUILDING_SECONDS: Final = 600.0
"""A workbook of a million serials takes a minute or two before its first byte."""
FIRST_ID: Final = str(UUID(int=0))
LAST_ID: Final = str(UUID(int=2**128 - 1))

GrantId = Annotated[UUID, Path(description="the id of an issuance, which is that of its grant")]
OrderId = Annotated[Id, Path(description="the id of an order")]
PartnerId = Annotated[Id, Path(description="the id of a partner")]
Watermark = Annotated[str, Path(max_length=40, description="as it stands in what was handed out")]


class Selection(NamedTuple):
    """Which serials of an issuance are meant, and why they are to leave."""

    state: SerialState | None
    first: int | None
    last: int | None
    reason: str
    language: Language | None


class Wording(NamedTuple):
    """How messages are worded. `product` is how they call the product; empty for its own name."""

    sender: str
    opt_out: str
    product: str


Lang = Annotated[
    Language | None, Query(description="the language of the customers, else as Accept-Language says")
]


def _selection(
    state: Annotated[
        Literal["active", "registered", "expired", "revoked", "all"],
        Query(description="the state of the serials; without it those that a customer can still register"),
    ] = "active",
    first: Annotated[
        int | None, Query(alias="from", ge=1, description="the first unit, counted from 1")
    ] = None,
    last: Annotated[int | None, Query(alias="to", ge=1, description="the last unit")] = None,
    reason: Annotated[
        str, Query(max_length=LONGEST_REASON, pattern=ONE_LINE, description="kept in the custody log")
    ] = "",
    lang: Lang = None,
) -> Selection:
    return Selection(None if state == "all" else SerialState(state), first, last, reason, lang)


def _wording(
    sender: Annotated[
        str,
        Query(max_length=40, pattern=r"^[^\x00-\x1f]*$", description="who sends it, as customers know them"),
    ] = "",
    opt_out: Annotated[
        str,
        Query(
            max_length=20,
            pattern="^[0-9-]*$",
            description="makes them advertisements: the number at which one opts out and pays nothing",
        ),
    ] = "",
    product: Annotated[
        str,
        Query(max_length=200, pattern=ONE_LINE, description="how they call the product, if not by its name"),
    ] = "",
) -> Wording:
    return Wording(sender, opt_out, product.strip())


Selected = Annotated[Selection, Depends(_selection)]
Worded = Annotated[Wording, Depends(_wording)]


class Issuances:
    """The endpoints."""

    def __init__(self, pool: asyncpg.Pool, handing_out: HandingOut) -> None:
        self._pool, self._handing_out = pool, handing_out

    async def of_order(
        self, order_id: OrderId, caller: Asking, limit: Limit = USUAL, cursor: Cursor = None
    ) -> Any:
        """The issuances of an order."""
        behind, partner = _id_of(cursor, FIRST_ID), caller.partner_id
        rows = await self._pool.fetch(SQL.grants_of_order, order_id, partner, behind, limit + 1)
        return await self._page(rows, limit, cursor, f"order {order_id}")

    async def of_partner(
        self, partner_id: PartnerId, caller: Asking, limit: Limit = USUAL, cursor: Cursor = None
    ) -> Any:
        """The issuances of a partner, of all its orders."""
        behind, rows = _id_of(cursor, FIRST_ID), []
        if caller.may_see(partner_id):
            rows = await self._pool.fetch(SQL.grants_of_partner, partner_id, behind, limit + 1)
        return await self._page(rows, limit, cursor, f"partner {partner_id}")

    async def look(self, grant_id: GrantId, caller: Asking) -> Any:
        """How far an issuance is, and how many of its serials are in each state."""
        (issuance,) = await self._issuances([await self._grant(grant_id, caller)])
        return issuance

    async def serials(
        self,
        grant_id: GrantId,
        selected: Selected,
        origin: Looking,
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> Any:
        """Readable serials with what their customers must be told, in the order of their units."""
        wanted = await self._wanted(grant_id, selected, origin)
        (behind,) = after(cursor, (0,))
        watermark, opened, has_more = await self._handing_out.page(
            wanted._replace(first=max(wanted.first, behind + 1)), limit
        )
        items = self._handing_out.items(wanted.grant, wanted.origin.language)
        pages = filled_texts(items.registration_page, [each.serial for each in opened])
        return {
            "watermark": watermark,
            "product_name": items.product_name,
            "usage_period": items.usage_period,
            "registration_period": items.registration_period,
            "items": [
                {
                    "unit": each.unit,
                    "serial_id": each.serial_id,
                    "serial": each.serial,
                    "state": state_at(each.state, wanted.grant.registration_deadline, wanted.at),
                    "registration_page": page,
                }
                for each, page in zip(opened, pages, strict=True)
            ],
            "next": cursor_of(opened[-1].unit) if has_more else None,
        }

    async def csv(self, grant_id: GrantId, selected: Selected, origin: Looking) -> Response:
        """Readable serials with what their customers must be told, as CSV. Its first row is the watermark."""
        wanted = await self._wanted(grant_id, selected, origin)
        return Streamed(self._handing_out.csv(wanted), CSV)

    async def xlsx(self, grant_id: GrantId, selected: Selected, origin: Looking) -> Response:
        """The same as a workbook, made before its first byte leaves. Its properties hold the watermark."""
        wanted = await self._wanted(grant_id, selected, origin)
        return Streamed(self._handing_out.xlsx(wanted), XLSX)

    async def files(self, grant_id: GrantId, caller: Asking) -> Any:
        """The files of an issuance that this process is handing out, and how far they are."""
        await self._grant(grant_id, caller)
        return {
            "items": [
                {
                    "watermark": out.watermark,
                    "form": out.form,
                    "serials": out.serials,
                    "written": out.written,
                    "request": out.wanted.origin.correlation,
                }
                for out in self._handing_out.under_way
                if out.wanted.grant.grant_id == grant_id
            ]
        }

    async def notice(self, grant_id: GrantId, worded: Worded, origin: Looking, lang: Lang = None) -> Any:
        """What customers must be told, and texts for SMS, LMS and e-mail that say it, with their bytes."""
        grant, language = await self._grant(grant_id, origin.caller), lang or origin.language
        items = self._handing_out.items(grant, language)
        return notice_document(grant, language, items, _messages(items, language, worded))

    async def merge_file(
        self, grant_id: GrantId, selected: Selected, worded: Worded, origin: Looking
    ) -> Response:
        """A message for each serial, as CSV for a program that sends them. You fill the phones in."""
        wanted = await self._wanted(grant_id, selected, origin)
        language = wanted.origin.language
        items = self._handing_out.items(wanted.grant, language)
        message = _require_sendable(_messages(items, language, worded))
        return Streamed(self._handing_out.merge(wanted, message), CSV)

    async def custody(
        self, grant_id: GrantId, caller: Asking, limit: Limit = USUAL, cursor: Cursor = None
    ) -> Any:
        """Who was handed serials of an issuance, or looked one up, and when; the newest first."""
        await self._grant(grant_id, caller)
        before = _id_of(cursor, LAST_ID)
        rows = await self._pool.fetch(SQL.custody_of_grant, grant_id, before, limit + 1)
        page = page_of(rows, limit, lambda row: (str(row["custody_id"]),))
        return {**page, "items": [custody_document(row, caller) for row in page["items"]]}

    async def taken(self, watermark: Watermark, caller: Asking) -> Any:
        """Who was handed what carries this watermark."""
        named = read_watermark(watermark)
        row = None if named is None else await self._pool.fetchrow(SQL.custody_of_watermark, named)
        if row is None:
            what = "nothing was handed out under this watermark; look at each of its characters"
            raise Problem(NOT_FOUND, what=what)
        return custody_document(row, caller)

    async def _grant(self, grant_id: UUID, caller: Caller) -> Grant:
        row = await self._pool.fetchrow(SQL.grant_of_id, grant_id)
        if row is None or not caller.may_see(row["partner_id"]):
            what = f"there is no issuance {grant_id}; pawl serials status ORDER names those of an order"
            raise Problem(NOT_FOUND, what=what)
        return GRANTS.read(row)

    async def _wanted(self, grant_id: UUID, selected: Selection, origin: Origin) -> Wanted:
        """Which serials are meant. Raises Problem for units that there are not, or a serial in the reason."""
        grant = await self._grant(grant_id, origin.caller)
        if await self._handing_out.is_told_serial(selected.reason):
            rule = "it must hold no serial, since it is kept; name its id instead"
            raise Problem(WRONG_PARAMETER, name="reason", place="query", rule=rule)
        first, last = selected.first or 1, selected.last or grant.numbers
        if not first <= last <= grant.numbers:
            rule = f"the units of this issuance are 1 to {grant.numbers:,}, and the first comes first"
            raise Problem(WRONG_PARAMETER, name="from, to", place="query", rule=rule)
        asked = replace(origin, language=selected.language or origin.language)
        return Wanted(grant, first, last, selected.state, now(), asked, selected.reason)

    async def _page(
        self, rows: Sequence[Mapping[str, Any]], limit: int, cursor: str | None, whose: str
    ) -> dict[str, Any]:
        if not rows and cursor is None:
            raise Problem(NOT_FOUND, what=f"nothing was granted to be issued for {whose}")
        page = page_of(rows, limit, lambda row: (str(row["grant_id"]),))
        return {**page, "items": await self._issuances([GRANTS.read(row) for row in page["items"]])}

    async def _issuances(self, grants: Sequence[Grant]) -> list[dict[str, Any]]:
        found = await self._pool.fetch(SQL.registered_of_grants, [grant.grant_id for grant in grants])
        registered, at = {row["grant_id"]: row["registered"] for row in found}, now()
        return [issuance_document(grant, registered[grant.grant_id], at) for grant in grants]


def _messages(items: Items, language: Language, worded: Wording) -> list[Message]:
    told = items._replace(product_name=worded.product or items.product_name)
    return messages_of(told, language, sender=worded.sender, opt_out=worded.opt_out)


def _require_sendable(messages: Sequence[Message]) -> Message:
    """The message that goes to phones. Raises Problem (422) where none can, with the reason."""
    message = shortest(messages)
    if message is not None:
        return message
    longest = next(each for each in messages if each.kind == "lms")
    lacking = [each._asdict() for each in longest.unsendable]
    said = ", ".join(f"{each['character']} ({each['name']})" for each in lacking)
    why = f"CP949 has no {said}" if lacking else f"it has more than {LMS_BYTES:,} bytes"
    raise Problem(CANNOT_BE_SENT, why=why, more={"cannot_be_sent": lacking})


def _id_of(cursor: str | None, first: str) -> UUID:
    """The id that a page begins behind. Raises Problem (400)."""
    (text,) = after(cursor, (first,))
    try:
        return UUID(text)
    except ValueError:
        rule = "send `next` of the page before"
        raise Problem(WRONG_PARAMETER, name="cursor", place="query", rule=rule) from None


def issuance_routes(pool: asyncpg.Pool, handing_out: HandingOut) -> Sequence[HttpRoute]:
    """What can be asked about issuances."""
    issuances, issuance = Issuances(pool, handing_out), "/v1/issuances/{grant_id}"
    look: dict[str, Any] = {"scope": "serials:read", "partners": True}
    take: dict[str, Any] = {"scope": "serials:export", "partners": True}
    against_page = [NOTICE_INCOMPLETE, KEY_MISSING]
    against_file = [*against_page, HAND_OUTS_BUSY]
    return [
        get("/v1/orders/{order_id:path}/issuances", issuances.of_order, answers=Page[Issuance], **look),
        get("/v1/partners/{partner_id:path}/issuances", issuances.of_partner, answers=Page[Issuance], **look),
        get(issuance, issuances.look, answers=Issuance, **look),
        get(f"{issuance}/serials", issuances.serials, answers=ReadableSerials, problems=against_page, **take),
        get(f"{issuance}/serials.csv", issuances.csv, file=CSV, problems=against_file, **take),
        get(
            f"{issuance}/serials.xlsx",
            issuances.xlsx,
            file=XLSX,
            seconds=BUILDING_SECONDS,
            problems=[*against_file, NO_ROOM],
            **take,
        ),
        get(f"{issuance}/files", issuances.files, answers=FilesUnderWay, **look),
        get(f"{issuance}/notice", issuances.notice, answers=Notice, problems=[NOTICE_INCOMPLETE], **look),
        get(
            f"{issuance}/notice.csv",
            issuances.merge_file,
            file=CSV,
            problems=[*against_file, CANNOT_BE_SENT],
            **take,
        ),
        get(f"{issuance}/custody", issuances.custody, answers=Page[HandedOut], **look),
        get("/v1/custody/{watermark}", issuances.taken, "serials:read", answers=Taken),
    ]
