"""Whose account is it? The port to a bank that answers by account and business number, and its HTTP adapter.

The contract of the adapter (docs/operating.md, "Asking the bank whose account it is"):

    POST the URL of the setting, with Authorization: Bearer and the token of the setting, where there is one
    {"bank_code": "088", "account_number": "110123456789", "business_number": "1168200276"}
    200 {"answer": "match"}      or "mismatch", "no_such_account", "unavailable"

Anything else, and silence, is `unavailable`. Nothing of an account stands in a log line, a path or an error.
"""

import asyncio
import urllib.request
from http.client import HTTPException
from typing import Any, Final, Protocol, get_args

import orjson
import structlog

from services.refunds.decisions.reviews import HolderAnswer
from services.refunds.state import BankAccount

LONGEST_ANSWER: Final = 10_000
"""Bytes."""
UNAVAILABLE: Final[HolderAnswer] = "unavailable"
ANSWERS: Final[tuple[HolderAnswer, ...]] = get_args(HolderAnswer)

log = structlog.get_logger("pawl.refunds.holder_check")


class HolderCheck(Protocol):
    """Asks a bank whether an account is of a business number. It never raises for a bank that is down."""

    async def ask(self, account: BankAccount, business_number: str) -> HolderAnswer:
        """What the bank says; `unavailable` where it does not, or not in time."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Neither the account nor the token goes anywhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


class HttpHolderCheck:
    """Asks over HTTP, at `url`; waits at most `seconds` for an answer."""

    def __init__(self, url: str, token: str, seconds: float) -> None:
        self._url, self._token, self._seconds = url, token, seconds
        self._opener = urllib.request.build_opener(_NoRedirect)

    async def ask(self, account: BankAccount, business_number: str) -> HolderAnswer:
        """Asks once."""
        said = {
            "bank_code": account.bank_code,
            "account_number": account.account_number,
            "business_number": business_number,
        }
        try:
            async with asyncio.timeout(self._seconds):
                text = await asyncio.to_thread(self._post, orjson.dumps(said))
            return answer_of(text)
        except (OSError, HTTPException, ValueError) as trouble:  # time-outs are OSErrors
            log.warning("the bank does not answer", why=type(trouble).__name__)
            return UNAVAILABLE

    def _post(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        request = urllib.request.Request(self._url, body, headers)  # noqa: S310 checked by settings
        with self._opener.open(request, timeout=self._seconds) as response:
            text: bytes = response.read(LONGEST_ANSWER + 1)
        return text


def answer_of(text: bytes) -> HolderAnswer:
    """The answer in a response. Raises ValueError for what is none."""
    if len(text) > LONGEST_ANSWER:
        raise ValueError("too long")
    document = orjson.loads(text)
    said = document.get("answer") if isinstance(document, dict) else None
    for answer in ANSWERS:
        if said == answer:
            return answer
    raise ValueError("no answer of the contract")
