"""`pawl refund check`, `request` and `ls`: what can be refunded, asking for it, and what became of it."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote, urlencode

import orjson
import typer
from rich.console import Console

from ops.shell.options import Directory, Json, TokenFile
from ops.shell.output import print_json, visible
from ops.shell.problem import Exit, Problem, explain_os_errors
from ops.shell.system import find_system
from ops.shell.tokens import login
from ops.watch.decide import answers
from ops.watch.decide.answers import Actor, Asker, BaseUrl, Yes
from ops.watch.show.rows import minute, print_lines, won, words
from ops.watch.todo.text import age_text, parse_age
from shared.clock import now
from shared.ids import uuid7
from shared.kst import wire_time
from shared.operators.commands import pawl

SERVICE: Final = "refunds"
READ: Final = "refunds:read"
REQUEST: Final = "refunds:request refunds:manage"
"""Whoever asks as an operator needs both."""
MOST: Final = 1_000
ACCOUNT: Final = ("bank_code", "account_number", "holder")
_UNITS: Final = re.compile(r"(.+)=([1-9][0-9]*)", re.ASCII | re.DOTALL)

OrderId = Annotated[str, typer.Argument(metavar="ORDER", help="The id of the order.")]
LineOption = Annotated[
    list[str] | None,
    typer.Option(
        "--line", metavar="LINE=UNITS", help="Only these units; may be repeated.", show_default=False
    ),
]


def check(
    order_id: OrderId,
    line: LineOption = None,
    actor: Actor = None,
    url: BaseUrl = None,
    directory: Directory = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Show what of an order can be refunded: units, won, fee, days, tax documents, and why the rest cannot.

    Exit code 5: nothing can be refunded now. Exit code 4: nobody knows the order.

    Example: [bold]pawl refund check A-1001[/bold]

    Example: [bold]pawl refund check A-1001 --line 1=40[/bold]
    """
    asker = Asker(find_system(None, None, directory), url, directory, token_file, actor)
    found = _preview(asker, order_id, line)
    if as_json:
        print_json(found)
    else:
        _print_preview(found)
    if not found["units"]:
        raise typer.Exit(Exit.SOMETHING_WAITS)


def request(
    order_id: OrderId,
    reason: Annotated[
        str, typer.Option("--reason", help="Why, from the list: financial_burden or 경제적 부담.")
    ],
    message: Annotated[str, typer.Option("--message", help="Why, in words; it is kept sealed.")],
    line: LineOption = None,
    request_id: Annotated[
        str | None,
        typer.Option(
            "--request-id", metavar="ID", help="Yours; the same one asks once.", show_default="a new one"
        ),
    ] = None,
    account: Annotated[
        Path | None,
        typer.Option(
            "--account",
            metavar="FILE",
            help="JSON with bank_code, account_number and holder; - reads it from stdin.",
            show_default=False,
        ),
    ] = None,
    yes: Yes = False,
    actor: Actor = None,
    url: BaseUrl = None,
    directory: Directory = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Ask for a refund as an operator; without --yes only shows what it would give.

    Exit code 5: it was refused, or would be. The same --request-id again asks for nothing new.

    Example: [bold]pawl refund request A-1001 --reason financial_burden --message "by phone" --yes[/bold]
    """
    asker = Asker(find_system(None, None, directory), url, directory, token_file, actor)
    if not yes:
        found = _preview(asker, order_id, line)
        lacks_account = account is None and found["destination"]["needs_account"]
        if as_json:
            print_json({"applied": False, "preview": found})
        else:
            _print_preview(found)
            print_only_shown(Console(), lacks_account=lacks_account)
        _end(is_refused=lacks_account or not found["units"])
        return
    body = {
        "order_id": order_id,
        "refund_request_id": request_id or f"pawl-{uuid7()}",
        "requested_by": actor or login(),
        "role": "operator",
        "reason": reason,
        "message": message,
        "destination": _destination(account),
        **({"lines": _units(line)} if line else {}),
    }
    answer = asker.ask(SERVICE, REQUEST, "/v1/refunds", body, f"See: {pawl('refund', 'check', order_id)}")
    head = f"refund {answer['refund_id']}  {answer['refund_request_id']} of order {answer['order_id']}"
    answers.show({**answer, "applied": True}, as_json, head, _requested(answer))
    _end(is_refused=answer["state"] == "rejected")


def ls(
    waiting: Annotated[bool, typer.Option("--waiting", help="Only those that are not at their end.")] = False,
    state: Annotated[
        str | None, typer.Option(metavar="STATE", help="Only those in this state.", show_default=False)
    ] = None,
    partner: Annotated[
        str | None, typer.Option(metavar="ID", help="Only those of this partner.", show_default=False)
    ] = None,
    newer_than: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Only those asked for since, like 7d.", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="How many at most.")] = 100,
    actor: Actor = None,
    url: BaseUrl = None,
    directory: Directory = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """List refunds, the oldest request first: state, won, why it waits, and who must act.

    Exit code 4: there is none like that.

    Example: [bold]pawl refund ls --waiting[/bold]

    Example: [bold]pawl refund ls --partner P-17 --newer-than 30d[/bold]
    """
    at = now()
    asker = Asker(find_system(None, None, directory), url, directory, token_file, actor)
    asked = {
        "waiting": "true" if waiting else None,
        "state": state,
        "partner_id": partner,
        "since": None if newer_than is None else wire_time(at - parse_age(newer_than)),
        "limit": limit,
    }
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    page = asker.look(SERVICE, READ, f"/v1/refunds?{query}", "The states: pawl refund ls --help")
    if as_json:
        print_json({"refunds": page["items"], "next": page["next"]})
    elif page["items"]:
        _print_refunds(Console(), page["items"], at, has_more=page["next"] is not None)
    if page["items"]:
        return
    if as_json:
        raise typer.Exit(Exit.NOTHING_MATCHED)
    raise Problem("There is no refund like that.", "All that waits: pawl todo", Exit.NOTHING_MATCHED)


def print_only_shown(console: Console, *, lacks_account: bool) -> None:
    """The last line of a request that was not made; without the account that it needs it would be refused."""
    account = "--account FILE, without which it is refused, and " if lacks_account else ""
    text = f"nothing was asked for. Ask with {account}--yes"
    console.print(text, style="yellow", soft_wrap=True, highlight=False)


def _end(*, is_refused: bool) -> None:
    if is_refused:
        raise typer.Exit(Exit.SOMETHING_WAITS)


def _preview(asker: Asker, order_id: str, line: Sequence[str] | None) -> dict[str, Any]:
    next_step = "Look for it: pawl find WORD"
    if line:
        body = {"order_id": order_id, "lines": _units(line)}
        found = asker.ask(SERVICE, READ, "/v1/refund-previews", body, next_step)
    else:
        path = f"/v1/orders/{quote(order_id, safe='')}/refund-eligibility"
        found = asker.look(SERVICE, READ, path, next_step)
    shown: dict[str, Any] = found
    return shown


def _units(line: Sequence[str]) -> list[dict[str, Any]]:
    return [_line(each) for each in line]


def _line(text: str) -> dict[str, Any]:
    match = _UNITS.fullmatch(text)
    if match is None:
        raise Problem(f"{text!r} names no units of a line.", "For example: --line 1=40", Exit.USAGE)
    return {"line_id": match[1], "quantity": int(match[2])}


def _destination(account: Path | None) -> dict[str, str]:
    """The account of a file; without one the money goes back the way it came. Raises Problem."""
    if account is None:
        return {"method": "original"}
    next_step = 'It is like {"bank_code": "088", "account_number": "...", "holder": "..."}'
    try:
        with explain_os_errors("reading the account", account):
            text = sys.stdin.read() if str(account) == "-" else account.read_text()
        said = orjson.loads(text)
    except ValueError:
        raise Problem(f"{account} is not JSON.", next_step, Exit.USAGE) from None
    if not isinstance(said, dict) or not all(isinstance(said.get(name), str) for name in ACCOUNT):
        raise Problem(f"{account} lacks one of {', '.join(ACCOUNT)}.", next_step, Exit.USAGE)
    return {"method": "bank_account", **{name: said[name] for name in ACCOUNT}}


def _print_preview(found: Mapping[str, Any]) -> None:
    head = f"order {found['order_id']}  {found['units']:,} units, {won(found['amount'])}"
    print_lines(Console(), head, [*_whole(found), *_each_line(found)])


def _whole(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if found["reason"]:
        since = f" since {minute(found['since'])}" if found["since"] else ""
        yield "refused", f"{_text(found['reason'])}{since}"
    if found["units"]:
        fee = f", less a fee of {won(found['fee'])}" if found["fee"] else ""
        yield "won", f"{won(found['supply'])} supply and {won(found['vat'])} VAT{fee}"
        to = found["destination"]
        account = "; the request names an account" if to["needs_account"] else ""
        yield "to", f"{words(to['kind'])}{account}"
        yield "dates", f"expected on {_days(found)}, by law until {found['legal_on']}"
    for hold in found["holds"]:
        yield "waits", _text(hold)
    if found["unlock"]:
        yield "next", _step(found["unlock"])
    yield from _stores(found)
    if found["last_instant"]:
        yield "until", minute(found["last_instant"])
    for free in found["given_up"]:
        yield "also", f"{free['quantity']:,} free units of line {free['line_id']}"
    if found["units"]:
        yield "tax", found["tax_documents"]["text"]
    for document in found["tax_documents"]["documents"]:
        what = (
            f"{words(document['modification'])}, {won(document['total'])}, written {document['written_date']}"
        )
        yield "", f"{what}, until {document['issue_by']}, of {document['original_document_key']}"


def _days(found: Mapping[str, Any]) -> str:
    first, last = found["expected_on"], found["expected_until"]
    return f"{first}" if first == last else f"{first} to {last}"


def _each_line(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for line in found["lines"]:
        what = f"line {line['line_id']}"
        if line["refundable"]:
            hold = f"; waits: {_text(line['hold'])}" if line["hold"] else ""
            yield what, f"{line['refundable']:,} of {line['paid']:,} units, {won(line['amount'])}{hold}"
        else:
            since = f" since {minute(line['since'])}" if line["since"] else ""
            unlock = f"; {_step(line['unlock'])}" if line["unlock"] else ""
            yield what, f"nothing: {_text(line['reason'])}{since}{unlock}"


def _stores(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for each in told["stores"]:
        yield "store", f"{each['store']}  {each['link']}"


def _text(why: Mapping[str, Any] | None) -> str:
    if why is None:
        return "no reason"
    return f"{why['code']}: {why['text']}" if why["text"] else str(why["code"])


def _step(step: Mapping[str, Any]) -> str:
    who = f"{step['who']}: " if step["who"] else ""
    return f"{who}{step['what_to_do']}"


def _requested(answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "state", words(answer["state"])
    if answer["why"]:
        yield "because", f"{answer['why']}: {answer['why_text']}" if answer["why_text"] else answer["why"]
    if answer["next"]:
        yield "next", _step(answer)
    yield from _stores(answer)
    yield "see", pawl("refund", "show", answer["refund_id"])


def _print_refunds(
    console: Console, refunds: Sequence[Mapping[str, Any]], at: datetime, *, has_more: bool
) -> None:
    for each in refunds:
        age = age_text(at - datetime.fromisoformat(each["since"]))
        why = f" ({each['why']})" if each["why"] else ""
        line = f"{words(each['state']) + why:<30} {won(each['amount']):>14} {age:>5}"
        of = f"{each['refund_request_id']} of order {each['order_id']}"
        console.print(visible(f"{line}  {of}"), soft_wrap=True, highlight=False, markup=False)
        step = f"{_step(each)}; " if each["next"] else ""
        step += f"its deadline of {minute(each['deadline'])} is over; " if each["overdue"] else ""
        show_it = pawl("refund", "show", each["refund_id"])
        legal = f"by law until {each['legal_on']}"
        console.print(visible(f"  {step}{legal}  {show_it}"), soft_wrap=True, highlight=False, markup=False)
    if has_more:
        console.print("there are more: --limit, --newer-than", style="dim", highlight=False)
