"""A small HTTP client for the services' own endpoints."""

import asyncio
import http.client
import urllib.error
import urllib.request
from typing import NamedTuple


class Answer(NamedTuple):
    """The answer of a service. Status 0: nobody answered, and `text` says why."""

    status: int
    text: str


async def fetch(
    url: str, body: bytes | None = None, timeout: float = 5.0, token: str = "", key: str = ""
) -> Answer:
    """GET the URL, or POST a JSON body to it, with a token and an Idempotency-Key.

    Never raises for an answer of any status.
    """
    return await asyncio.to_thread(_fetch, url, body, timeout, token, key)


def _fetch(url: str, body: bytes | None, timeout: float, token: str, key: str) -> Answer:
    headers = {"content-type": "application/json"} if body is not None else {}
    if token:
        headers["authorization"] = f"Bearer {token}"
    if key:
        headers["idempotency-key"] = key
    request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 our own address
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:  # noqa: S310
            return Answer(response.status, response.read().decode("utf-8", "replace"))
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read().decode("utf-8", "replace"))
    except (OSError, ValueError, http.client.HTTPException) as error:
        return Answer(0, str(error))
