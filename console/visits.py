"""One request: who asks, in which language, what they may do, and whether they meant it."""

from collections.abc import Iterator, Mapping, Sequence
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP
from secrets import compare_digest
from typing import Final
from urllib.parse import parse_qsl, urlencode

from msgspec import Struct
from starlette.requests import Request

from console.formats import Language
from console.people import Person, Role, may
from console.sessions import Session
from shared.web.problems import language_of

LANGUAGE_COOKIE: Final = "pawl_language"
LARGEST_FORM: Final = 1_000_000
LARGEST_FILE: Final = 10_000_000
MOST_FIELDS: Final = 50


class FormTooLarge(Exception):
    """Nobody types as much as that."""


class Visit(Struct, frozen=True):
    """A request of somebody. `session` is None only on pages that are open to everybody."""

    session: Session | None
    language: Language
    scopes: Mapping[Role, Sequence[str]]

    @property
    def person(self) -> Person:
        """Who asks; only of a page that needs a session."""
        assert self.session is not None
        return self.session.person

    def may(self, scope: str | None) -> bool:
        """Whether who asks may do what needs this scope; nobody may anything who is not signed in."""
        return self.session is not None and may(self.scopes, self.session.person.role, scope)


def cookie_of(request: Request) -> str:
    """The name of the cookie: two consoles on one machine share their cookies, but for the port."""
    return f"pawl_console_{request.url.port or request.url.scheme}"


def chosen_language(request: Request) -> Language:
    """By the address, which a cookie then repeats; else by the browser."""
    said = request.query_params.get("lang") or request.cookies.get(LANGUAGE_COOKIE, "")
    if said not in ("ko", "en"):
        said = language_of(request.headers.get("accept-language", ""))
    return "ko" if said == "ko" else "en"


def comes_from_here(request: Request, own_url: str = "") -> bool:
    """Whether a page of ours sent this form. Every browser says so, and no page can make it lie."""
    host = request.headers.get("host", "")
    return request.headers.get("origin") == (own_url or f"{request.url.scheme}://{host}")


def is_key_of(session: Session, form: Mapping[str, str]) -> bool:
    """Whether the form was made for this session."""
    return compare_digest(form.get("form_key", "").encode(), session.form_key.encode())


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form; the content of a file is a text with one character for each byte.

    Raises FormTooLarge.
    """
    content_type = request.headers.get("content-type", "")
    has_file = content_type.startswith("multipart/form-data")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > (LARGEST_FILE if has_file else LARGEST_FORM):
            raise FormTooLarge
    if has_file:
        return dict(_fields_of(content_type, bytes(body)))
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:
        raise FormTooLarge from None


def _fields_of(content_type: str, body: bytes) -> Iterator[tuple[str, str]]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1")
    parts = BytesParser(policy=HTTP).parsebytes(head + body).get_payload()
    if not isinstance(parts, list) or len(parts) > MOST_FIELDS:
        raise FormTooLarge
    for part in parts:
        assert isinstance(part, EmailMessage), "the policy makes these"
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            yield name, content.decode("latin-1" if part.get_filename() is not None else "utf-8", "replace")


NOT_TYPED: Final = frozenset({"form_key", "key", "back"})
NEVER_KEPT: Final = frozenset({"account_number"})
"""What nobody keeps for somebody, not even their own browser."""


def typed_in(form: Mapping[str, str]) -> dict[str, str]:
    """What a person typed or chose in a form, and may be given back."""
    return {name: text for name, text in form.items() if name not in NOT_TYPED | NEVER_KEPT and text}


def here(request: Request) -> str:
    """The page as it is asked for, in no particular language, to come back to; never a page of others."""
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "lang"]
    path = "/" + request.url.path.lstrip("/\\")
    return f"{path}{f'?{urlencode(query)}' if query else ''}"


def local(path: str) -> str:
    """A page of ours; the first one for what leads elsewhere."""
    elsewhere = not path.startswith("/") or path.startswith(("//", "/\\")) or not path.isprintable()
    return "/" if elsewhere else path
