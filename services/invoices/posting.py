"""Questions in JSON to one address outside, by POST: for the adapters of the tax agent and the registry.

A redirection is not followed, so that neither a document nor a token goes anywhere else, and nothing of a
document stands in a path, a log line or an error.
"""

import asyncio
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError

import orjson

LONGEST_ANSWER: Final = 1_000_000
"""Bytes."""
TOO_MANY: Final = 429
USUAL_PAUSE: Final = 60.0
LONGEST_PAUSE: Final = 3_600.0
"""Seconds to wait after TOO_MANY: where the answer says nothing of it, and at most."""


class NoAnswer(Exception):
    """Nobody knows what became of a question: no answer in time, or none of the contract."""


class RateLimited(Exception):
    """The question was not taken; `seconds` are to be waited before the next one."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"asked too often; again in {seconds:.0f} s")
        self.seconds = seconds


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


class Poster:
    """Asks under `url`, as the bearer of what `token` says by now (may be empty), for at most `seconds`."""

    def __init__(self, url: str, token: Callable[[], str], seconds: float) -> None:
        self._url, self._token, self._seconds = url.rstrip("/"), token, seconds
        self._opener = urllib.request.build_opener(_NoRedirect)

    async def post(self, path: str, said: Any) -> dict[str, Any]:
        """The answer, a JSON object. Raises RateLimited, and NoAnswer for everything else."""
        try:
            async with asyncio.timeout(self._seconds):
                text = await asyncio.to_thread(self._post, path, orjson.dumps(said))
            if len(text) > LONGEST_ANSWER:
                raise NoAnswer("too long")
            answer = orjson.loads(text)
        except HTTPError as refused:
            with refused:
                if refused.code == TOO_MANY:
                    raise RateLimited(_pause(refused.headers.get("Retry-After"))) from None
            raise NoAnswer(f"status {refused.code}") from None
        except (OSError, HTTPException, ValueError) as trouble:  # time-outs are OSErrors
            raise NoAnswer(type(trouble).__name__) from None
        if not isinstance(answer, dict):
            raise NoAnswer("no object")
        return answer

    def _post(self, path: str, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if token := self._token():
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(self._url + path, body, headers)  # noqa: S310 checked by settings
        with self._opener.open(request, timeout=self._seconds) as response:
            text: bytes = response.read(LONGEST_ANSWER + 1)
        return text


def _pause(said: str | None) -> float:
    try:
        return min(max(float(said or USUAL_PAUSE), 0.0), LONGEST_PAUSE)
    except ValueError:
        return USUAL_PAUSE
