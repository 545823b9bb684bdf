"""The HTTP commands of the invoices service: close a month, merge a business, correct a document, look."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, TypeVar

import orjson
from msgspec.structs import asdict
from pydantic import AfterValidator, BaseModel, StringConstraints, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from services.invoices.closing import MonthNotOver, close_month
from services.invoices.commands import BusinessCommand, CorrectCommand, correct, merge_month_of_business
from services.invoices.decisions.corrections import CannotCorrect, Order
from services.invoices.store import Store
from services.invoices.viewing import NoSuchDocument, corrections_of, look_at_document, look_at_month
from shared import business_number
from shared.clock import now
from shared.events.fields import Id, Instant, Month
from shared.runtime.http import problem
from shared.runtime.surroundings import Surroundings

B = TypeVar("B", bound=BaseModel)


def _valid_number(text: str) -> str:
    digits = business_number.normalise(text)
    if digits is None or not business_number.is_valid(digits):
        raise ValueError("no valid business number")
    return digits


ValidNumber = Annotated[str, AfterValidator(_valid_number)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=2_000)]


class CloseBody(BaseModel):
    """Close `month` at the instant `at`; without one at the present."""

    month: Month
    at: Instant | None = None


class MergeBody(BaseModel):
    """Merge the payments of a business number in `month`, or undo that; only shown unless `apply`."""

    month: Month
    business_number: ValidNumber
    undo: bool = False
    apply: bool = False


class CorrectBody(BaseModel):
    """Correct a document of `month` under the proposed number or this one, or as a duplicate (`twice`)."""

    month: Month
    document: Id
    reason: Reason
    actor: Id
    business_number: ValidNumber | None = None
    twice: bool = False
    apply: bool = False


class LookBody(BaseModel):
    """Look at `month`."""

    month: Month


class Months:
    """The handlers of the routes; a close takes `chunk` partners in one transaction."""

    def __init__(self, surroundings: Surroundings, store: Store, chunk: int) -> None:
        self._surroundings, self._store, self._chunk = surroundings, store, chunk

    async def look(self, request: Request) -> Response:
        """What is issued of a month, and which corrections are proposed or made."""
        body = await _read(request, LookBody)
        if isinstance(body, Response):
            return body
        return JSONResponse(await look_at_month(self._surroundings.pool, body.month))

    async def document(self, request: Request) -> Response:
        """A document of a month, by key or id, with its lines."""
        body = await _read(request, LookBody)
        if isinstance(body, Response):
            return body
        try:
            name = request.path_params["document"]
            return JSONResponse(await look_at_document(self._surroundings.pool, body.month, name))
        except NoSuchDocument as unknown:
            return problem(404, "no such document", str(unknown))

    async def close(self, request: Request) -> Response:
        """Closes a month at the instant of the body, {"at": "2026-11-05T18:00:00+09:00"}, or now."""
        body = await _read(request, CloseBody)
        if isinstance(body, Response):
            return body
        at: datetime = body.at or now()
        try:
            summary = await close_month(self._surroundings, self._store, body.month, at, chunk=self._chunk)
        except MonthNotOver as early:
            return problem(409, "the month is not over", str(early))
        async with self._surroundings.pool.acquire() as connection:
            corrections = await corrections_of(connection, body.month)
        return JSONResponse({**asdict(summary), "corrections": corrections})

    async def merge(self, request: Request) -> Response:
        """Merges a month over the partners of {"business_number": "116-82-00276", "apply": true}."""
        body = await _read(request, MergeBody)
        if isinstance(body, Response):
            return body
        command = BusinessCommand(body.month, body.business_number, body.undo, body.apply, now())
        return JSONResponse(await merge_month_of_business(self._surroundings, self._store, command))

    async def correct(self, request: Request) -> Response:
        """Corrects the document {"document": KEY, "reason": TEXT, "actor": NAME, "apply": true}."""
        body = await _read(request, CorrectBody)
        if isinstance(body, Response):
            return body
        order = Order(body.business_number, body.twice, body.reason, body.actor, now())
        command = CorrectCommand(body.month, body.document, order, body.apply)
        try:
            return JSONResponse(await correct(self._surroundings, self._store, command))
        except NoSuchDocument as unknown:
            return problem(404, "no such document", str(unknown))
        except CannotCorrect as refused:
            return problem(409, "the document is not corrected", str(refused))


def http_routes(surroundings: Surroundings, store: Store, chunk: int) -> Sequence[BaseRoute]:
    """The routes beside those of every service; a close takes `chunk` partners in one transaction."""
    months = Months(surroundings, store, chunk)
    return [
        Route("/months/{month}", months.look, methods=["GET"]),
        Route("/months/{month}/documents/{document}", months.document, methods=["GET"]),
        Route("/months/{month}/close", months.close, methods=["POST"]),
        Route("/months/{month}/merge", months.merge, methods=["POST"]),
        Route("/months/{month}/correct", months.correct, methods=["POST"]),
    ]


async def _read(request: Request, model: type[B]) -> B | Response:
    try:
        body = orjson.loads(await request.body() or b"{}")
        return model.model_validate({**body, "month": request.path_params["month"]})
    except (orjson.JSONDecodeError, TypeError):
        return problem(400, "no such command", 'send {"at": "2026-11-05T18:00:00+09:00"} or {"at": null}')
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        return problem(400, f"wrong {first['loc'][0]}", str(first["msg"]))
