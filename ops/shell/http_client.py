"""A small HTTP client for the services' own endpoints."""

import asyncio
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from email.message import Message
from typing import BinaryIO, NamedTuple

PART_BYTES = 1 << 18
ANSWERS_IN: ContextVar[str] = ContextVar("language of answers", default="")
"""The language in which services answer who asks in this task (`Accept-Language`); empty: they choose."""


class Answer(NamedTuple):
    """The answer of a service. Status 0: nobody answered, and `text` says why."""

    status: int
    text: str


class Downloaded(NamedTuple):
    """The end of a download: its answer, whose text is in the file where it is good, and then its headers."""

    answer: Answer
    headers: Mapping[str, str]


async def fetch(
    url: str, body: bytes | None = None, timeout: float = 5.0, token: str = "", key: str = ""
) -> Answer:
    """GET the URL, or POST a JSON body to it, with a token and an Idempotency-Key.

    Never raises for an answer of any status.
    """
    return await asyncio.to_thread(_fetch, url, body, timeout, token, key)


def fetch_now(url: str, timeout: float, token: str) -> Answer:
    """GET the URL and wait for the answer. Never raises for an answer of any status."""
    return _fetch(url, None, timeout, token, "")


def download(
    url: str,
    file: BinaryIO,
    headers: Mapping[str, str],
    received: Callable[[int, int | None], None],
    timeout: float,
) -> Downloaded:
    """GET the URL into a file. `received` is told how many bytes are in it, and of how many if that is known.

    It waits here, so that Ctrl-C ends it at once. A body that breaks off is an answer of status 0.
    """
    request = urllib.request.Request(url, headers={**_language(), **headers})  # noqa: S310 our own address
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:  # noqa: S310
            length = response.headers.get("content-length")
            there, of = 0, int(length) if length else None
            while part := response.read(PART_BYTES):
                file.write(part)
                there += len(part)
                received(there, of)
            if of not in (None, there):
                raise http.client.IncompleteRead(b"")
            return Downloaded(Answer(response.status, ""), _by_lower_name(response.headers))
    except urllib.error.HTTPError as error:
        return Downloaded(Answer(error.code, error.read().decode("utf-8", "replace")), {})
    except http.client.IncompleteRead:
        return Downloaded(Answer(0, "the file broke off before its end"), {})
    except (TimeoutError, ConnectionError, urllib.error.URLError, http.client.HTTPException) as error:
        return Downloaded(Answer(0, str(error)), {})


def _by_lower_name(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _language() -> dict[str, str]:
    language = ANSWERS_IN.get()
    return {"accept-language": language} if language else {}


def _fetch(url: str, body: bytes | None, timeout: float, token: str, key: str) -> Answer:
    headers = {**_language(), **({"content-type": "application/json"} if body is not None else {})}
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
