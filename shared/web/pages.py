"""Pages for people: /docs for HTTP, /asyncapi for events. Script and style come from here alone."""

import html
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

import orjson
from fastapi import Response

from shared.web.problems import NOT_FOUND, Problem
from shared.web.routes import HttpRoute, get

ASSETS: Final = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}
"""Swagger UI, as the package fastapi-offline ships it."""
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
START: Final = (
    'SwaggerUIBundle({url: "openapi.json", dom_id: "#docs", deepLinking: true, '
    "presets: [SwaggerUIBundle.presets.apis], validatorUrl: null, tryItOutEnabled: false});\n"
)
STYLE: Final = """\
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
body { color: #222; }
h1, h2, h3 { line-height: 1.2; }
h2 { margin-top: 3rem; border-bottom: 1px solid #ccc; }
code, pre { font-size: 14px; }
pre { background: #f6f6f6; padding: .75rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; }
td, th { border-bottom: 1px solid #eee; }
"""
PAGE: Final = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><link rel="icon" href="docs/assets/favicon.png">{head}</head>
<body>{body}</body></html>
"""


def page_routes(service: str, asyncapi: dict[str, Any]) -> Sequence[HttpRoute]:
    """The pages of a service."""
    docs = PAGE.format(
        title=f"Pawl {service}: HTTP",
        head='<link rel="stylesheet" href="docs/assets/swagger-ui.css">',
        body='<div id="docs"></div><script src="docs/assets/swagger-ui-bundle.js"></script>'
        '<script src="docs/assets/start.js"></script>',
    )
    events = PAGE.format(
        title=f"Pawl {service}: events",
        head='<link rel="stylesheet" href="docs/assets/page.css">',
        body=events_page(asyncapi),
    )

    async def show_docs() -> Response:
        """The OpenAPI document as a page."""
        return _page(docs)

    async def show_events() -> Response:
        """The AsyncAPI document as a page."""
        return _page(events)

    return (
        get("/docs", show_docs, is_shown=False),
        get("/docs/assets/{name}", show_asset, is_shown=False),
        get("/asyncapi", show_events, is_shown=False),
    )


async def show_asset(name: str) -> Response:
    """Script or style of a page."""
    if name == "start.js":
        return _asset(START.encode(), "text/javascript")
    if name == "page.css":
        return _asset(STYLE.encode(), "text/css")
    if name not in ASSETS:
        raise Problem(NOT_FOUND, what="no such file")
    return _asset(_shipped(name), ASSETS[name])


@cache
def _shipped(name: str) -> bytes:
    return (files("fastapi_offline") / "static" / name).read_bytes()


def _asset(content: bytes, media_type: str) -> Response:
    return Response(content, media_type=media_type, headers={"Cache-Control": "public, max-age=3600"})


def _page(text: str) -> Response:
    return Response(text, media_type="text/html", headers={"Content-Security-Policy": POLICY})


def events_page(document: dict[str, Any]) -> str:
    """The messages that a service reads and writes, topic by topic, each with its fields."""
    info = document["info"]
    parts = [f"<h1>{_text(info['title'])}: events</h1>"]
    parts += [f"<p>{_text(line)}</p>" for line in info["description"].split("\n\n")]
    parts.append(
        '<p>For programs: <a href="asyncapi.json">asyncapi.json</a>. HTTP: <a href="docs">docs</a>.</p>'
    )
    for action in ("receive", "send"):
        parts.append(f"<h2>What this service {'reads' if action == 'receive' else 'writes'}</h2>")
        for operation in document["operations"].values():
            if operation["action"] == action:
                parts += _operation(document, operation)
    return "\n".join(parts)


def _operation(document: dict[str, Any], operation: dict[str, Any]) -> list[str]:
    channel = _at(document, operation["channel"])
    parts = [f"<h3>Topic <code>{_text(channel['address'])}</code></h3>"]
    for reference in operation["messages"]:
        message = _at(document, _at(document, reference))
        parts.append(f'<h4 id="{_text(message["name"])}"><code>{_text(message["name"])}</code></h4>')
        parts.append(f"<p>{_text(message.get('summary', ''))}</p>")
        parts.append(_fields(document, message["payload"]))
        for example in message.get("examples", ()):
            said = orjson.dumps(example["payload"], option=orjson.OPT_INDENT_2).decode()
            parts.append(f"<pre>{_text(said)}</pre>")
    return parts


def _fields(document: dict[str, Any], payload: dict[str, Any]) -> str:
    schema = _at(document, payload)
    schema = _at(document, schema.get("schema", schema))
    required = schema.get("required", ())
    rows = [
        f"<tr><td><code>{_text(name)}</code></td><td>{'' if name in required else 'optional'}</td>"
        f"<td>{_text(_kind(each))}</td></tr>"
        for name, each in schema.get("properties", {}).items()
    ]
    return f"<table>{''.join(rows)}</table>"


def _kind(schema: dict[str, Any]) -> str:
    """A field's type and limits in words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"array of {_kind(schema.get('items', {}))}"
    limits = [f"{name} {schema[name]}" for name in ("minimum", "maximum", "maxLength") if name in schema]
    return ", ".join([schema.get("description") or kind, *limits])


def _at(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """What a node refers to, or the node itself."""
    while "$ref" in node:
        here: Any = document
        for part in str(node["$ref"]).removeprefix("#/").split("/"):
            here = here[part.replace("~1", "/").replace("~0", "~")]
        node = here
    return node


def _text(text: object) -> str:
    return html.escape(str(text))
