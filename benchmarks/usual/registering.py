"""The least that registers a serial: one statement that finds it and changes it, and nothing beside.

No token, no rule, no limit, no grant, no event, no audit; what is stored of the account is the text itself.
"""

from collections.abc import Callable

import asyncpg
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

REGISTER = """
    UPDATE serials
    SET state = 'registered', account = $2, registered_at = now(), usage_ends_at = now() + interval '30 days'
    WHERE lookup_tag = $1 AND state = 'active'
    RETURNING serial_id
"""


def application(pool: asyncpg.Pool, tag_of: Callable[[str], bytes]) -> Starlette:
    """An application that registers what is posted to /v1/registrations."""

    async def register(request: Request) -> Response:
        body = orjson.loads(await request.body())
        serial_id = await pool.fetchval(REGISTER, tag_of(body["serial"]), body["account"].encode())
        if serial_id is None:
            return Response(status_code=404)
        return Response(orjson.dumps({"serial_id": str(serial_id)}), media_type="application/json")

    return Starlette(routes=[Route("/v1/registrations", register, methods=["POST"])])
