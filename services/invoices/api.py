"""The one HTTP command of the invoices service: close a month."""

from collections.abc import Sequence
from datetime import datetime

import orjson
from msgspec.structs import asdict
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from services.invoices.closing import MonthNotOver, close_month
from services.invoices.store import Store
from shared.clock import now
from shared.events.fields import Instant, Month
from shared.runtime.http import problem
from shared.runtime.surroundings import Surroundings


class CloseCommand(BaseModel):
    """Close `month` at the instant `at`; without one at the present."""

    month: Month
    at: Instant | None = None


def http_routes(surroundings: Surroundings, store: Store, chunk: int) -> Sequence[BaseRoute]:
    """The routes beside those of every service; a close takes `chunk` partners in one transaction."""

    async def close(request: Request) -> Response:
        """Closes a month at the instant of the body, {"at": "2026-11-05T18:00:00+09:00"}, or now."""
        command = await _command(request)
        if isinstance(command, Response):
            return command
        at: datetime = command.at or now()
        try:
            summary = await close_month(surroundings, store, command.month, at, chunk=chunk)
        except MonthNotOver as early:
            return problem(409, "the month is not over", str(early))
        return JSONResponse(asdict(summary))

    return [Route("/months/{month}/close", close, methods=["POST"])]


async def _command(request: Request) -> CloseCommand | Response:
    try:
        body = orjson.loads(await request.body() or b"{}")
        return CloseCommand(month=request.path_params["month"], at=body.get("at"))
    except (orjson.JSONDecodeError, AttributeError):
        return problem(400, "no such command", 'send {"at": "2026-11-05T18:00:00+09:00"} or {"at": null}')
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        return problem(400, f"wrong {first['loc'][0]}", str(first["msg"]))
