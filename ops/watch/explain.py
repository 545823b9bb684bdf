"""`pawl explain DOCUMENT|PAYMENT`: any won of it traced to payment, line, units, refunds and events."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote, urlencode

import typer
from rich.console import Console

from ops.shell.asking import look
from ops.shell.databases import connected, urls_of
from ops.shell.options import Directory, Json, PostgresUrl, TokenFile
from ops.shell.output import print_json
from ops.shell.problem import Exit, Problem
from ops.shell.system import System, find_system
from ops.shell.tokens import token_for
from ops.watch.month.command import Invoices, invoices_url
from ops.watch.show.rows import minute, print_lines, words
from shared.evidence.entries import won
from shared.operators.commands import pawl
from shared.queries import load

SCOPE: Final = "invoices:read"
FEW: Final = 20
ALL: Final = 1_000
"""So many payments of a document are shown, or named in JSON."""
SECONDS: Final = 120.0
SQL = load("ops.watch")

KOREAN: Final[Mapping[str, str]] = {
    "": "",
    "won": "금액",
    "payment": "결제",
    "others": "다른 거래처",
    "stands": "증빙",
    "missing": "설명 안 됨",
    "event": "이벤트",
    "events": "이벤트",
    "because of": "원인",
    "original": "당초 문서",
    "modified by": "수정",
    "replaced by": "대체",
    "taken back by": "취소",
    "stands on": "합산",
    "tax agent": "발행 대행",
    "given up": "버린 키",
}
"""What a line is about, in Korean."""

Shown = Mapping[str, Any]
Language = Literal["en", "ko"]


async def read_explanation(
    url: str, name: str, limit: int, token: str, system: System | None
) -> Shown | None:
    """What invoices says of a document (by key or id) or a payment (by order, or by its own id).

    The id of a payment is looked up in `system`, where its database is known. None when nothing has this
    name. Raises Problem.
    """
    asked = f"{url}/v1/documents/{quote(name, safe='')}/explain?{urlencode({'limit': limit})}"
    found = await _ask(asked, token) or await _ask(_of_order(url, name), token)
    if found is None and system is not None and (order_id := await _order_of(system, name)) is not None:
        found = await _ask(_of_order(url, order_id), token)
    return found


async def _ask(url: str, token: str) -> Shown | None:
    try:
        found: Shown = await look(url, token, SCOPE, "Is this the invoices service?", timeout=SECONDS)
    except Problem as problem:
        if problem.exit_code != Exit.NOTHING_MATCHED:
            raise
        return None
    return found


def _of_order(url: str, order_id: str) -> str:
    return f"{url}/v1/orders/{quote(order_id, safe='')}/explain"


async def _order_of(system: System, payment_id: str) -> str | None:
    if "\0" in payment_id:
        return None
    async with connected({"orders": urls_of(system)["orders"]}) as connections:
        order_id: str | None = await connections["orders"].fetchval(SQL.order_of_payment, payment_id)
    return order_id


def exit_code_of(found: Shown) -> Exit:
    """0 where all is explained; 3 where nobody knows why won are missing, 5 where that is known."""
    causes = {each["cause"] for each in found["missing"]}
    if "not_explained" in causes:
        return Exit.RULE_BROKEN
    return Exit.SOMETHING_WAITS if causes else Exit.OK


def explain(
    name: Annotated[
        str,
        typer.Argument(
            metavar="DOCUMENT|PAYMENT",
            help="The key or the id of a document; the id of a payment or of its order.",
        ),
    ],
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, max=ALL, help=f"How many payments of a document (default: {FEW}, of JSON {ALL:,})."
        ),
    ] = None,
    korean: Annotated[bool, typer.Option("--ko", help="In Korean.")] = False,
    invoices: Invoices = None,
    postgres: PostgresUrl = None,
    directory: Directory = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Explain the won of a document or a payment: payments, lines, units, refunds, and the events of them.

    It adds up what was sold and what went back. Exit code 0: that is the document, to the won; 5: won are
    missing, and it says why; 3: nobody knows why, which breaks a rule; 4: there is none.

    Example: [bold]pawl explain 2026-10-1168200276-000002[/bold]

    Example: [bold]pawl explain A-1001 --json | jq .stands[/bold]
    """
    system = None if invoices is not None and postgres is None else find_system(None, postgres, directory)
    url, token = invoices_url(invoices, directory), token_for(SCOPE, directory, token_file)
    most = limit or (ALL if as_json else FEW)
    found = asyncio.run(read_explanation(url, name, most, token, system))
    if found is None:
        raise Problem(
            f"There is no document and no payment {name!r}.",
            f"Look for it: {pawl('find', name)}. A payment is also found by the id of its order.",
            Exit.NOTHING_MATCHED,
        )
    if as_json:
        print_json(dict(found))
    else:
        print_explanation(Console(), found, "ko" if korean else "en")
    code = exit_code_of(found)
    if code != Exit.OK:
        raise typer.Exit(code)


def print_explanation(console: Console, found: Shown, language: Language = "en") -> None:
    """What is explained, part by part with its won, where it stands, and what is missing."""
    lines = _lines(found, language)
    if language == "ko":
        lines = ((KOREAN[name], text) for name, text in lines)
    print_lines(console, found["says"][language], lines)


def _lines(found: Shown, language: Language) -> Iterator[tuple[str, str]]:
    supply, vat = won(found["supply"]), won(found["vat"])
    yield "won", f"공급가액 {supply}, 세액 {vat}" if language == "ko" else f"{supply} supply and {vat} VAT"
    if "stands" in found:
        yield from _contribution(found, language)
        yield from (("stands", each["says"][language]) for each in found["stands"])
    else:
        yield from _of_document(found, language)
    for each in found["missing"]:
        yield "missing", f"{won(each['total'])}: {each['says'][language]}"
        if each["names"]:
            yield "", ", ".join(each["names"])
    if found["events_since"]:
        since = minute(found["events_since"])
        yield (
            "events",
            f"{since} 이전의 이벤트는 남아 있지 않을 수 있습니다"
            if language == "ko"
            else (f"from before {since} may be forgotten"),
        )


def _of_document(found: Shown, language: Language) -> Iterator[tuple[str, str]]:
    is_korean, others = language == "ko", found["others"]
    for each in found["payments"]:
        yield "payment", f"{won(each['total'])}  {each['payment_id']}  {pawl('order', each['order_id'])}"
        yield from _contribution(each, language)
    if (more := found["count"] - len(found["payments"])) > 0:
        limit = f"--limit {ALL}"
        yield "", f"외 결제 {more:,}건 ({limit})" if is_korean else f"and {more:,} more payments ({limit})"
    if others["payments"]:
        total, count = won(others["total"]), f"{others['payments']:,}"
        yield "others", f"{total}, 결제 {count}건" if is_korean else f"{total} of {count} more payments"
    yield from _events(found["events"], language)
    if at_agent := found.get("at_agent"):
        why = f"  {words(at_agent['why'])}" if at_agent["why"] else ""
        yield "tax agent", f"{at_agent['document_key']}  {words(at_agent['state'])}{why}"
        for each in at_agent["given_up"]:
            yield "given up", f"{each['document_key']}  {minute(each['at'])}  {words(each['why'])}"
    for each in found["related"]:
        command = pawl("explain", each["document_key"] or each["invoice_id"])
        yield words(each["relation"]), f"{won(each['total'])}  {command}"


def _contribution(found: Shown, language: Language) -> Iterator[tuple[str, str]]:
    yield from (("", part["says"][language]) for part in found["parts"])
    yield from _events(found["events"], language)


def _events(events: Sequence[Shown], language: Language) -> Iterator[tuple[str, str]]:
    for event in events:
        yield "event", f"{minute(event['time'])}  {event['says'][language]}"
        yield "", event["event_id"]
        yield "because of", event["cause"]
