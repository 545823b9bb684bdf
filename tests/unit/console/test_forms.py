"""Forms that are sent: fields, and files whose bytes come through as they are."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from console.visits import LARGEST_FILE, FormTooLarge, form_of


def sent(body: bytes, content_type: str) -> Request:
    """POST with this body, in two parts."""
    parts = iter([body[: len(body) // 2], body[len(body) // 2 :]])

    async def receive() -> dict[str, Any]:
        part = next(parts, None)
        return {"type": "http.request", "body": part or b"", "more_body": part is not None}

    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"",
             "headers": [(b"content-type", content_type.encode())]}  # fmt: skip
    return Request(scope, receive)


async def encoded(fields: dict[str, str], file: bytes) -> Request:
    asked = httpx.Request("POST", "http://x/", data=fields, files={"file": ("목록.xls", file)})
    body: AsyncIterator[bytes] | bytes = asked.read()
    assert isinstance(body, bytes)
    return sent(body, asked.headers["content-type"])


async def test_a_file_comes_through_byte_for_byte_beside_fields_in_any_language() -> None:
    content = bytes(range(256)) * 3 + b"\r\n--\r\n"

    form = await form_of(await encoded({"month": "2011-03", "reason": "이유 👩‍💻"}, content))

    assert form["file"].encode("latin-1") == content
    assert (form["month"], form["reason"]) == ("2011-03", "이유 👩‍💻")


async def test_a_file_that_is_too_large_is_refused() -> None:
    with pytest.raises(FormTooLarge):
        await form_of(await encoded({}, b"x" * LARGEST_FILE))


@pytest.mark.parametrize("body", [b"", b"--x", b"--x\r\n\r\n", b"no parts at all"])
async def test_what_is_no_such_form_is_refused_or_empty(body: bytes) -> None:
    with suppress(FormTooLarge):
        assert await form_of(sent(body, "multipart/form-data; boundary=x")) == {}
