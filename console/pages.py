"""Pages from templates, and tables as a page, as CSV or as JSON."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from console import formats
from console.sentences import sentence_in, wait_in
from console.tables import Column, Row, View, arranged, as_csv, as_document, masked, page_of
from console.texts import code_in, translate
from console.visits import LANGUAGE_COOKIE, Visit, here
from shared import __version__
from shared.clock import now

FOLDER: Final = Path(__file__).parent
PART_BYTES: Final = 1 << 18
UNSAFE: Final = re.compile(r"[^0-9A-Za-z._-]")
LANGUAGE_SECONDS: Final = 365 * 24 * 3600


@cache
def templates() -> Environment:
    """The templates; what they put into a page is escaped, and a name that is not given is an error."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["version"] = __version__
    for each in (formats.won, formats.instant, formats.clock, formats.words):
        environment.filters[each.__name__] = each
    return environment


def page(request: Request, visit: Visit, template: str, status: int = 200, **context: Any) -> Response:
    """A page in the language of who asks. `watched`, where a screen says it: what `console.live` tells of."""
    if not visit.may("ops:read"):
        context.pop("watched", None)
    if unreadable := context.get("unreadable"):
        context["unreadable"] = {name: sentence_in(visit.language, why) for name, why in unreadable.items()}
    html = (
        templates()
        .get_template(template)
        .render(
            {
                "t": partial(translate, visit.language),
                "code": partial(code_in, visit.language),
                "say": partial(sentence_in, visit.language),
                "why_waits": partial(wait_in, visit.language),
                "age": lambda span: formats.age(span, visit.language),
                "visit": visit,
                "here": here(request),
                "read_at": now(),
                "watched": "",
                "is_current": request.url.path.startswith,
                "with_language": partial(_with_language, here(request)),
                **context,
            }
        )
    )
    response = HTMLResponse(html, status)
    if request.query_params.get("lang") in ("ko", "en"):
        response.set_cookie(
            LANGUAGE_COOKIE, visit.language, LANGUAGE_SECONDS, httponly=True, samesite="strict"
        )
    return response


def _with_language(path: str, language: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}lang={language}"


def see(path: str) -> Response:
    """After something was done: look there. A page that is read again does nothing twice."""
    return RedirectResponse(path, 303)


def table(
    request: Request,
    rows: Sequence[Row],
    columns: Sequence[Column],
    view: View,
    name: str,
    read_at: datetime,
    as_page: Callable[..., Response],
    whole: Callable[[], Mapping[str, Any]] | None = None,
) -> Response:
    """A table as the address asks for it: a page of it, or all of it as a file that is named `name`.

    `whole` is the JSON document where a command has one of its own. Texts are masked, in files too.
    """
    rows = [masked(row, columns) for row in rows]
    match request.query_params.get("format"):
        case "csv":
            return _file(
                as_csv(arranged(rows, columns, view), columns), "text/csv; charset=utf-8", f"{name}.csv"
            )
        case "json":
            document = (
                as_document(arranged(rows, columns, view), columns, read_at) if whole is None else whole()
            )
            return _file(orjson.dumps(document).decode(), "application/json", f"{name}.json")
    return as_page(shown=page_of(rows, columns, view), columns=columns, read_at=read_at)


def download(file: BinaryIO, media_type: str, name: str) -> Response:
    """A file to keep, under this name; it is read in parts, and closed at its end."""
    file.seek(0)
    safe = UNSAFE.sub("_", name)
    headers = {"Content-Disposition": f'attachment; filename="{safe}"'}
    return StreamingResponse(
        iter(partial(file.read, PART_BYTES), b""),
        media_type=media_type,
        headers=headers,
        background=BackgroundTask(file.close),
    )


def _file(text: str, media_type: str, name: str) -> Response:
    return Response(
        text, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
