"""Serials that leave the service over HTTP: who asks, what was committed, and files read back."""

import csv
import io
from collections.abc import Callable
from typing import Any

import asyncpg
import httpx
from fastapi import FastAPI

from services.serials.api import http_routes
from services.serials.attempts import Limits
from services.serials.state import Policy
from services.serials.store import Store
from services.serials.vault import Vault
from services.serials.writer import SerialWriter
from shared.runtime.outbox import Outbox
from shared.runtime.surroundings import Surroundings
from tests.support.tokens import Provider
from tests.support.web import ALL, SEALER, app_of, client_of

PAGE = "https://register.example/s?code={serial}"
PROVIDER = Provider()
As = Callable[..., httpx.AsyncClient]


def serials_app(pool: asyncpg.Pool, vault: Vault, page: str = PAGE) -> FastAPI:
    """The HTTP side of serials on this database, with these keys."""
    surroundings = Surroundings(pool, Outbox("serials", {}))
    store = Store(SerialWriter(vault), Policy(), SEALER)
    return app_of(http_routes(surroundings, store, Limits(), page), PROVIDER.tokens(), "serials")


def asking(app: FastAPI, scope: str = ALL, *, language: str = "en", **claims: Any) -> httpx.AsyncClient:
    """Somebody with a token of this scope who wants to read in a language."""
    headers = {**PROVIDER.allowing(scope, **claims), "accept-language": language}
    return client_of(app, headers)


def rows_of_csv(content: bytes) -> list[list[str]]:
    """The rows of a CSV file that a spreadsheet knows to be UTF-8."""
    assert content.startswith(b"\xef\xbb\xbf")
    text = content.decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert text.count("\r\n") == len(rows), "RFC 4180 ends every row with CR LF"
    return rows
