"""`pawl close 2011-03`: closes a month, shows it, merges a business, corrects a document.

Each only shows what it would do, until it is told to do it.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

import orjson
import typer
from rich.console import Console
from rich.table import Table

from ops.shell.http_client import Answer, fetch
from ops.shell.options import Directory, Json, TokenFile
from ops.shell.output import print_json
from ops.shell.problem import Exit, Problem
from ops.shell.refusals import detail_of, require_allowed
from ops.shell.tokens import token_for
from ops.watch.month.asking import exit_code_of
from ops.watch.month.command import (
    ALL,
    FEW,
    Invoices,
    invoices_url,
    look_at_month,
    require_instant,
    require_month,
    show_month,
)
from shared.business_number import is_valid
from shared.kst import wire_time

CLOSE_SECONDS = 600.0
REFUSED = {400: Exit.USAGE, 404: Exit.USAGE, 409: Exit.FAILED, 422: Exit.USAGE}
SCOPES_OF = {
    "close": "invoices:approve",
    "status": "invoices:read",
    "merge": "invoices:manage",
    "correct": "invoices:manage",
}
ACTIONS = tuple(SCOPES_OF)


async def close_month(
    invoices_url: str,
    month: str,
    at: datetime | None,
    token: str,
    reason: str,
    *,
    despite_open_refunds: bool = False,
) -> dict[str, Any]:
    """Closes the month at that instant (None: now) and returns its totals. Safe to repeat. Raises Problem."""
    command = {
        "at": None if at is None else wire_time(at),
        "reason": reason,
        "despite_open_refunds": despite_open_refunds,
    }
    url = f"{invoices_url}/v1/months/{month}/close"
    answer = await fetch(url, orjson.dumps(command), CLOSE_SECONDS, token)
    next_step = f"This issued nothing. What stands against it: pawl month {month}"
    return _result(answer, invoices_url, f"{month} was not closed", next_step)


async def look_at_status(invoices_url: str, month: str, document: str | None, token: str) -> dict[str, Any]:
    """What is issued of the month, or one of its documents with its lines. Raises Problem."""
    url = f"{invoices_url}/v1/months/{month}"
    if document is not None:
        url += f"/documents/{quote(document, safe='')}"
    answer = await fetch(url, token=token)
    return _result(answer, invoices_url, f"{month} is not shown", "Is this the invoices service?")


async def command_month(
    invoices_url: str, month: str, action: str, body: dict[str, Any], token: str
) -> dict[str, Any]:
    """Merges a business or corrects a document; only shows it unless `apply` is true. Raises Problem."""
    url = f"{invoices_url}/v1/months/{month}/{action}"
    answer = await fetch(url, orjson.dumps(body), CLOSE_SECONDS, token)
    next_step = f"Nothing was changed. See what there is: pawl close {month} status"
    return _result(answer, invoices_url, f"{month}: nothing to {action}", next_step)


def _result(answer: Answer, invoices_url: str, refused: str, next_step: str) -> dict[str, Any]:
    if answer.status == 200:
        result: dict[str, Any] = orjson.loads(answer.text)
        return result
    if answer.status == 0:
        raise Problem(
            f"The invoices service does not answer at {invoices_url}: {answer.text}",
            "Is it running (pawl up)? Or name it: --invoices URL. A close can be repeated safely.",
        )
    require_allowed(answer, " or ".join(SCOPES_OF.values()))
    raise Problem(f"{refused}: {detail_of(answer)}", next_step, REFUSED.get(answer.status, Exit.FAILED))


def close(
    month: Annotated[str, typer.Argument(help="A KST month, like 2011-03.")],
    action: Annotated[
        str,
        typer.Argument(
            metavar="[close|status|merge|correct]",
            help="Close the month, only show it, merge a business, or correct a document.",
        ),
    ] = "close",
    document: Annotated[
        str | None,
        typer.Argument(help="status, correct: the key or the id of a document.", show_default=False),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="RFC3339", help="close: the instant of the close (default: now).", show_default=False
        ),
    ] = None,
    business: Annotated[
        str | None,
        typer.Option(metavar="NUMBER", help="merge: the business number.", show_default=False),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="merge: take such a merge apart again.")] = False,
    reason: Annotated[
        str,
        typer.Option(help="Why; it is kept and told. A close and a correction need one.", show_default=False),
    ] = "",
    number: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER",
            help="correct: the right business number (default: the proposed one).",
            show_default=False,
        ),
    ] = None,
    twice: Annotated[
        bool, typer.Option("--twice", help="correct: it is a duplicate of another document; take it back.")
    ] = False,
    actor: Annotated[
        str | None, typer.Option(help="Who, where no token says it (default: $USER).", show_default=False)
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="close, merge, correct: do it, not only show it.")
    ] = False,
    despite_open_refunds: Annotated[
        bool,
        typer.Option(
            "--despite-open-refunds",
            help="close: issue payments whole whose refund is in progress; it becomes a modified invoice.",
        ),
    ] = False,
    invoices: Invoices = None,
    directory: Directory = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Close a month: merge what partners want merged, then issue every document. Safe to repeat.

    Without --yes it shows the month as `pawl month` does, and issues nothing. `status` shows what is issued
    and which corrections are proposed, or one document line by line. `merge` makes one invoice of all
    payments of a business number, over several partners. `correct` takes a document back and says it again
    under the right number. These two only show what they would do, too, until --yes.

    Example: [bold]pawl close 2011-03[/bold]

    Example: [bold]pawl close 2011-03 --reason "all partners have confirmed" --yes[/bold]

    Example: [bold]pawl close 2011-03 --at 2011-04-05T18:00:00+09:00 --reason "late" --yes[/bold]

    Example: [bold]pawl close 2011-03 merge --business 116-82-00276 --yes[/bold]

    Example: [bold]pawl close 2011-03 correct 2011-03-1168200276-000007 --reason "wrong company" --yes[/bold]
    """
    require_month(month)
    instant = None if at is None else require_instant(at)
    if action == "close" and not yes:
        most = ALL if as_json else FEW
        found = look_at_month(month, instant, most, invoices, directory, token_file, actor=actor)
        _show_only(found, instant, despite_open_refunds=despite_open_refunds, as_json=as_json)
        return
    body = {"apply": yes, "reason": reason}
    body |= _asked(action, month, document, business, number, undo=undo, twice=twice, reason=reason)
    url = invoices_url(invoices, directory)
    token = token_for(SCOPES_OF[action], directory, token_file, actor)
    match action:
        case "close":
            asking = close_month(
                url, month, instant, token, reason, despite_open_refunds=despite_open_refunds
            )
        case "status":
            asking = look_at_status(url, month, document, token)
        case _:
            asking = command_month(url, month, action, body, token)
    result = asyncio.run(asking)
    if as_json:
        print_json(result)
    else:
        SHOWN[action](Console(), result)
    if action == "close" and result["drafts"]:
        raise typer.Exit(Exit.SOMETHING_WAITS)


def _asked(
    action: str,
    month: str,
    document: str | None,
    business: str | None,
    number: str | None,
    *,
    undo: bool,
    twice: bool,
    reason: str,
) -> dict[str, Any]:
    """What an action asks for, beside whether to do it and why. Raises Problem where something is missing."""
    match action:
        case "close" if not reason.strip():
            example = f'pawl close {month} --reason "all partners have confirmed" --yes'
            raise Problem("A close says why.", f"For example: {example}", Exit.USAGE)
        case "close" | "status":
            return {}
        case "merge":
            return {"business_number": require_number(business, "--business"), "undo": undo}
        case "correct" if not document or not reason.strip():
            example = f"pawl close {month} correct {month}-1168200276-000007 --reason TEXT"
            raise Problem(
                "A correction names the document and says why.", f"For example: {example}", Exit.USAGE
            )
        case "correct":
            right = {} if number is None else {"business_number": require_number(number, "--number")}
            return {"document": document, "twice": twice, **right}
        case _:
            raise Problem(f"{action!r} is none of {', '.join(ACTIONS)}.", "See pawl close --help", Exit.USAGE)


def _show_only(
    found: dict[str, Any], at: datetime | None, *, despite_open_refunds: bool, as_json: bool
) -> None:
    """What the close would do, as `pawl month` shows it, with its exit code."""
    then = "" if at is None else f" --at {wire_time(at)}"
    flag = " --despite-open-refunds" if despite_open_refunds else ""
    does = f"pawl close {found['month']}{then}{flag} --reason WHY --yes"
    show_month(found | {"applied": False}, as_json, f"Nothing was done. Close it: {does}")
    code = exit_code_of(found, despite_open_refunds=despite_open_refunds)
    if code != Exit.OK:
        raise typer.Exit(code)


def require_number(text: str | None, option: str) -> str:
    """The business number. Raises Problem (exit code 2) for none, or a wrong one."""
    if text is None or not is_valid(text):
        raise Problem(
            f"{option} is a business number of ten digits with its check digit, not {text!r}.",
            f"For example: {option} 116-82-00276",
            Exit.USAGE,
        )
    return text


def print_summary(console: Console, summary: dict[str, Any]) -> None:
    """The month as it is closed now."""
    new = summary["documents"] - summary["already_issued"]
    drafts = summary["drafts"]
    state = "closed in part" if drafts else "closed"
    _print_totals(console, f"{summary['month']} is {state}", summary, ("  issued by this close", f"{new:,}"))
    if drafts:
        console.print(
            f"{drafts:,} documents are left: a refund of theirs opened meanwhile. See: "
            f"pawl month {summary['month']}",
            highlight=False,
        )


def print_status(console: Console, month: dict[str, Any]) -> None:
    """The month as it is, closed or not; or one document with its lines."""
    if "document_key" in month:
        print_document(console, month)
        return
    closed = f"closed at {month['closed_at']}" if month["closed_at"] else "not closed"
    _print_totals(console, f"{month['month']} is {closed}", month)


def _print_totals(console: Console, title: str, month: dict[str, Any], *more: tuple[str, str]) -> None:
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("documents", f"{month['documents']:,}")
    for row in more:
        table.add_row(*row)
    table.add_row("  merged by month", f"{month['merged']:,}")
    table.add_row("payments on them", f"{month['payments']:,}")
    for name in ("supply", "vat", "total"):
        table.add_row(name, f"₩{month[name]:,}")
    table.add_row("could not be issued", f"{month['issue_failed']:,}")
    console.print(table)
    if month["issue_failed"]:
        console.print(
            "Their business number is wrong. Pawl issues them when partner.changed corrects the partner."
        )
    _print_corrections(console, month["month"], month["corrections"])


def print_document(console: Console, document: dict[str, Any]) -> None:
    """A document line by line."""
    name = document["document_key"] or document["invoice_id"]
    title = f"{name}  {document['state']}  {document['business_number']}  {document['written_date'] or ''}"
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("product")
    for column in ("price", "units", "supply", "vat"):
        table.add_column(column, justify="right")
    for line in document["lines"] or ():
        numbers = (line[column] for column in ("unit_price", "quantity", "supply", "vat"))
        table.add_row(line["name"], *("" if number is None else f"{number:,}" for number in numbers))
    table.add_row("total", f"₩{document['total']:,}", "", f"{document['supply']:,}", f"{document['vat']:,}")
    console.print(table)


def _print_corrections(console: Console, month: str, corrections: list[dict[str, Any]]) -> None:
    proposed = [each for each in corrections if each["state"] == "proposed"]
    for each in proposed:
        console.print(
            f"{each['document_key']} of {each['partner_id']} should be under {each['right_number']}.",
            highlight=False,
        )
    if proposed:
        console.print(f"Correct one: pawl close {month} correct DOCUMENT --reason TEXT", highlight=False)


def print_merge(console: Console, merge: dict[str, Any]) -> None:
    """What became, or would become, of each payment of the business."""
    table = Table(box=None, pad_edge=False)
    for name in ("payment", "order", "partner"):
        table.add_column(name)
    table.add_column("total", justify="right")
    table.add_column("reason")
    for payment in [*merge["merged"], *merge["excluded"]]:
        names = (payment["payment_id"], payment["order_id"], payment["partner_id"])
        table.add_row(*names, f"₩{payment['total']:,}", payment.get("reason", "merged"))
    console.print(table)
    verb = "taken apart" if merge["undone"] else "on one invoice"
    count = len(merge["excluded"] if merge["undone"] else merge["merged"])
    _print_end(console, merge["applied"], f"{count:,} payments of {merge['business_number']} {verb}")


def print_correction(console: Console, correction: dict[str, Any]) -> None:
    """The documents that the correction makes, or would make."""
    for document in correction["documents"]:
        console.print(
            f"{document['modification']}  {document['business_number']}  {document['written_date']}"
            f"  ₩{document['total']:,}  {document['document_key']}",
            highlight=False,
        )
    made = f"{len(correction['documents'])} documents correct {correction['document']}"
    _print_end(console, correction["applied"], made)


def _print_end(console: Console, applied: bool, what: str) -> None:
    console.print(what if applied else f"{what}: nothing was done. Do it with --yes", highlight=False)


SHOWN: Mapping[str, Callable[[Console, dict[str, Any]], None]] = {
    "close": print_summary,
    "status": print_status,
    "merge": print_merge,
    "correct": print_correction,
}
"""How each answer is shown to a person."""
