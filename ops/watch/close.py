"""`pawl close 2011-03`: closes a month, at once or in steps, shows it, merges a business, amends a document.

Each only shows what it would do, until it is told to do it.
"""

import asyncio
from collections.abc import Iterable, Mapping
from csv import DictReader
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote, urlencode

import orjson
import typer
from rich.console import Console

from ops.shell.http_client import Answer, fetch
from ops.shell.options import Directory, Json, TokenFile
from ops.shell.output import print_json
from ops.shell.problem import Exit, Problem
from ops.shell.refusals import detail_of, require_allowed
from ops.shell.tokens import token_for
from ops.watch.month.asking import exit_code_of
from ops.watch.month.closed import SHOWN
from ops.watch.month.command import (
    ALL,
    FEW,
    Invoices,
    how_to_close,
    invoices_url,
    look_at_month,
    require_instant,
    require_month,
    show_month,
)
from ops.watch.month.hometax import (
    CHANGES,
    LOOKS,
    is_list,
    print_heard,
    print_sheets,
    read_list,
    take_sheets,
    tell_list,
)
from shared.business_number import is_valid
from shared.kst import wire_time

CLOSE_SECONDS = 600.0
REFUSED = {400: Exit.USAGE, 404: Exit.USAGE, 409: Exit.FAILED, 422: Exit.USAGE}
SCOPES_OF = {
    "close": "invoices:approve",
    "status": "invoices:read",
    "plan": "invoices:read",
    "approve": "invoices:approve",
    "issue": "invoices:approve",
    "recall": "invoices:approve",
    "transmit": "invoices:manage",
    "merge": "invoices:manage",
    "amend": "invoices:manage",
    "correct": "invoices:manage",
}
STEPS = ("approve", "issue")
AMENDS = ("amend", "correct")
"""Two words for one thing: a correction is the amendment that a person decides."""
LEAVES: Mapping[str, tuple[str, ...]] = {
    "close": ("drafts",),
    "approve": ("left",),
    "issue": ("left",),
    "transmit": ("refused",),
}
"""What of an answer still waits for somebody."""
ACTIONS = tuple(SCOPES_OF)


async def close_month(invoices_url: str, month: str, body: dict[str, Any], token: str) -> dict[str, Any]:
    """Closes the month in one stroke and returns its totals. Safe to repeat. Raises Problem."""
    url = f"{invoices_url}/v1/months/{month}/close"
    answer = await fetch(url, orjson.dumps(body), CLOSE_SECONDS, token)
    next_step = f"This issued nothing. What stands against it: pawl month {month}"
    return _result(answer, invoices_url, f"{month} was not closed", next_step)


async def look_at_status(
    invoices_url: str, month: str, document: str | None, business: str | None, token: str
) -> dict[str, Any]:
    """What is issued of the month, a document with its lines, or how a business stands. Raises Problem."""
    url = f"{invoices_url}/v1/months/{month}"
    if business is not None:
        url += f"/businesses/{quote(business, safe='')}"
    elif document is not None:
        url += f"/documents/{quote(document, safe='')}"
    answer = await fetch(url, token=token)
    return _result(answer, invoices_url, f"{month} is not shown", "Is this the invoices service?")


async def look_at_plan(
    invoices_url: str, month: str, business: str, at: datetime | None, token: str
) -> dict[str, Any]:
    """Which payments of a business merge, partner by partner, and what would change that. Raises Problem."""
    asked = {"business": business, "limit": "1000"} | ({} if at is None else {"at": wire_time(at)})
    plans: list[Any] = []
    while True:
        url = f"{invoices_url}/v1/months/{month}/plan?{urlencode(asked)}"
        answer = await fetch(url, None, CLOSE_SECONDS, token)
        page = _result(answer, invoices_url, f"{month} is not planned", "Is this the invoices service?")
        plans += page["items"]
        if page["next"] is None:
            return {"month": month, "business_number": business, "partners": plans}
        asked["cursor"] = page["next"]


async def command_month(
    invoices_url: str, month: str, action: str, body: dict[str, Any], token: str
) -> dict[str, Any]:
    """Has invoices do something of a month by this name. Raises Problem."""
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
            metavar="[close|status|plan|approve|issue|recall|transmit|merge|amend]",
            help="Close the month at once or in steps, show or plan it, merge a business, amend a document.",
        ),
    ] = "close",
    document: Annotated[
        str | None,
        typer.Argument(help="status, amend: the key or the id of a document; recall: its key."),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="RFC3339",
            help="close, plan, approve, issue, transmit: the instant of it (default: now).",
            show_default=False,
        ),
    ] = None,
    business: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER",
            help="merge, plan, status, approve, issue: the business number.",
            show_default=False,
        ),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="merge: take such a merge apart again.")] = False,
    reason: Annotated[
        str,
        typer.Option(
            help="Why; it is kept and told. A close, its steps and an amendment need one.", show_default=False
        ),
    ] = "",
    number: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER",
            help="amend: the right business number (default: the proposed one, or its own).",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="amend: the right name of the buyer.", show_default=False)
    ] = None,
    representative: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="amend: its right representative (default: as it is known).",
            show_default=False,
        ),
    ] = None,
    address: Annotated[str | None, typer.Option(help="amend: its right address.", show_default=False)] = None,
    twice: Annotated[
        bool, typer.Option("--twice", help="amend: it is a duplicate of another document; take it back.")
    ] = False,
    results: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="transmit: a CSV file with the columns document_key, approval_number, failed; or Hometax's "
            "list of what was issued (매출전자세금계산서목록) as .xls or .xlsx.",
            show_default=False,
        ),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="transmit: put Hometax's bulk sheets of what is not transmitted here, 100 documents each.",
            show_default=False,
        ),
    ] = None,
    actor: Annotated[
        str | None, typer.Option(help="Who, where no token says it (default: $USER).", show_default=False)
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it, not only show it.")] = False,
    despite_open_refunds: Annotated[
        bool,
        typer.Option(
            "--despite-open-refunds",
            help="close, approve, issue: payments whole whose refund is in progress, to be modified later.",
        ),
    ] = False,
    invoices: Invoices = None,
    directory: Directory = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Close a month: merge what partners want merged, then issue every document. Safe to repeat.

    Without --yes it shows the month as `pawl month` does, and issues nothing. Where four eyes are asked for,
    it takes two steps: one person says `approve`, which freezes documents, another says `issue`. What changes
    meanwhile is approved anew, that business only. `recall` takes a document back from a tax agent. `plan`
    shows which payments of a business merge, which do not and why, and what would change that. `transmit`
    takes sheets for Hometax out, and reads in what the tax authority says. `status` shows what is issued
    and which corrections are proposed, one document line by line, or how one business stands. `merge` makes
    one invoice of all payments of a business number, over several partners. `amend` takes a document back
    and says it again under the right number, or with what else is right. All only show what they would do,
    until --yes.

    Example: [bold]pawl close 2011-03[/bold]

    Example: [bold]pawl close 2011-03 plan --business 116-82-00276[/bold]

    Example: [bold]pawl close 2011-03 approve --reason "checked with the ledger" --yes[/bold]

    Example: [bold]pawl close 2011-03 issue --reason "as approved" --yes[/bold]

    Example: [bold]pawl close 2011-03 status --business 116-82-00276[/bold]

    Example: [bold]pawl close 2011-03 transmit --sheet sheets[/bold]

    Example: [bold]pawl close 2011-03 transmit --results approvals.csv --yes[/bold]

    Example: [bold]pawl close 2011-03 --reason "all partners have confirmed" --yes[/bold]

    Example: [bold]pawl close 2011-03 --at 2011-04-05T18:00:00+09:00 --reason "late" --yes[/bold]

    Example: [bold]pawl close 2011-03 merge --business 116-82-00276 --yes[/bold]

    Example: [bold]pawl close 2011-03 amend 2011-03-1168200276-000007 --reason "wrong company" --yes[/bold]
    """
    require_month(month)
    instant = None if at is None else require_instant(at)
    if (action in ("close", "approve") and not yes) or (action == "plan" and business is None):
        most = ALL if as_json else FEW
        found = look_at_month(month, instant, most, invoices, directory, token_file, actor=actor)
        _show_only(found, action, instant, despite_open_refunds=despite_open_refunds, as_json=as_json)
        return
    if action == "transmit" and (sheet is not None or is_list(results)):
        said = {"reason": reason} | _said(action, instant, yes=yes, despite=False)
        asked_by = By(invoices_url(invoices, directory), directory, token_file, actor)
        _with_hometax(month, sheet, results, said, asked_by, yes=yes, as_json=as_json)
        return
    shown = "status" if action in ("issue", "recall") and not yes else action
    buyer = {"name": name, "representative": representative, "address": address}
    asked = _asked(
        shown, month, document, business, number, results, buyer, undo=undo, twice=twice, reason=reason
    )
    if action == "transmit" and not yes:
        Console().print(f"{len(asked['results']):,} results were read: nothing was done. Do it with --yes")
        return
    if action in AMENDS and representative is not None:
        asked["representative"] = representative
    body = asked | {"reason": reason} | _said(action, instant, yes=yes, despite=despite_open_refunds)
    url = invoices_url(invoices, directory)
    token = token_for(SCOPES_OF[shown], directory, token_file, actor)
    result = asyncio.run(_ask(shown, url, month, document, business, instant, body, token))
    if as_json:
        print_json(result)
    else:
        SHOWN[shown](Console(), result)
        if shown != action:
            Console().print(_nothing_done(action, month, document))
    if any(result.get(name) for name in LEAVES.get(shown, ())):
        raise typer.Exit(Exit.SOMETHING_WAITS)


class By(NamedTuple):
    """Where invoices is, and what says who asks it."""

    url: str
    directory: Path | None
    token_file: Path | None
    actor: str | None

    def token(self, scope: str) -> str:
        """A token for what is asked. Raises Problem."""
        return token_for(scope, self.directory, self.token_file, self.actor)


def _with_hometax(
    month: str,
    sheet: Path | None,
    results: Path | None,
    said: dict[str, Any],
    by: By,
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """Takes sheets for Hometax out, or reads its list in, once it is told to. Raises Problem."""
    if sheet is not None and results is not None:
        raise Problem(
            "Sheets go out and results come in: one at a time.", "Leave one of both out", Exit.USAGE
        )
    console = Console()
    if sheet is not None:
        taken = take_sheets(by.url, month, sheet, by.token(LOOKS))
        if as_json:
            print_json(taken)
        else:
            print_sheets(console, taken)
        if taken["left_out"]:
            raise typer.Exit(Exit.SOMETHING_WAITS)
        return
    assert results is not None, "its name says that it is a list"
    read = read_list(results, month)
    if not yes:
        console.print(f"{len(read.lines):,} lines were read: nothing was done. Do it with --yes")
        return
    heard = tell_list(by.url, month, read, said, by.token(CHANGES))
    if as_json:
        print_json(heard)
    else:
        print_heard(console, heard)
    if heard["refused"] or heard["ambiguous"] or heard["unknown"]:
        raise typer.Exit(Exit.SOMETHING_WAITS)


def _nothing_done(action: str, month: str, document: str | None) -> str:
    if action == "recall":
        then = f"pawl close {month} recall {document or 'DOCUMENT'} --reason WHY --yes"
        return f"Nothing was taken back. Take it back from the tax agent: {then}"
    return f"Nothing was issued. Issue what is approved: pawl close {month} issue --reason WHY --yes"


def _said(action: str, at: datetime | None, *, yes: bool, despite: bool) -> dict[str, Any]:
    """What is said of an action beside what it is about: whether to do it, or when, and how."""
    match action:
        case "merge" | "amend" | "correct":
            return {"apply": yes}
        case "recall":
            return {}
        case "transmit":
            return {} if at is None else {"at": wire_time(at)}
        case _:
            return {"at": None if at is None else wire_time(at), "despite_open_refunds": despite}


async def _ask(
    action: str,
    url: str,
    month: str,
    document: str | None,
    business: str | None,
    at: datetime | None,
    body: dict[str, Any],
    token: str,
) -> dict[str, Any]:
    match action:
        case "close":
            return await close_month(url, month, body, token)
        case "status":
            return await look_at_status(url, month, document, business, token)
        case "plan":
            assert business is not None, "without one the whole month is shown"
            return await look_at_plan(url, month, business, at, token)
        case _:
            return await command_month(url, month, action, body, token)


def _asked(
    action: str,
    month: str,
    document: str | None,
    business: str | None,
    number: str | None,
    results: Path | None,
    buyer: Mapping[str, str | None],
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
        case "plan":
            require_number(business, "--business")
            return {}
        case "approve" | "issue" if not reason.strip():
            example = f'pawl close {month} {action} --reason "checked with the ledger" --yes'
            raise Problem("A step of a close says why.", f"For example: {example}", Exit.USAGE)
        case "approve" | "issue":
            return {} if business is None else {"businesses": [require_number(business, "--business")]}
        case "recall":
            return {"document": _require_document(month, action, document, reason)}
        case "transmit":
            return {"results": read_results(results, month)}
        case "merge":
            return {"business_number": require_number(business, "--business"), "undo": undo}
        case "amend" | "correct":
            named = _require_document(month, "amend", document, reason)
            right = {} if number is None else {"business_number": require_number(number, "--number")}
            right |= {field: value for field, value in buyer.items() if value is not None}
            return {"document": named, "twice": twice, **right}
        case _:
            raise Problem(f"{action!r} is none of {', '.join(ACTIONS)}.", "See pawl close --help", Exit.USAGE)


def _require_document(month: str, action: str, document: str | None, reason: str) -> str:
    """The document that is named. Raises Problem where none is, or nobody says why."""
    if document and reason.strip():
        return document
    what = "An amendment" if action == "amend" else "Whoever takes a document back"
    example = f"pawl close {month} {action} {month}-1168200276-000007 --reason TEXT"
    raise Problem(f"{what} names the document and says why.", f"For example: {example}", Exit.USAGE)


def read_results(file: Path | None, month: str) -> list[dict[str, str]]:
    """What the tax authority made of documents, from a CSV file. Raises Problem for any other file."""
    example = f"For example: pawl close {month} transmit --results approvals.csv --yes"
    if file is None:
        raise Problem("What the authority says is read from a file.", example, Exit.USAGE)
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            return results_in(text, str(file), example)
    except (OSError, ValueError) as error:
        raise Problem(f"{file} cannot be read: {error}", example, Exit.USAGE) from None


def results_in(text: Iterable[str], name: str, example: str) -> list[dict[str, str]]:
    """The results in the lines of a CSV file of this name. Raises Problem; `example` says what to do."""
    rows = [{name: value for name, value in row.items() if name and value} for row in DictReader(text)]
    for line, row in enumerate(rows, start=2):
        if set(row) not in ({"document_key", "approval_number"}, {"document_key", "failed"}):
            raise Problem(
                f"Line {line} of {name} has not a document_key and one of approval_number and failed.",
                "The first line names the columns: document_key,approval_number,failed",
                Exit.USAGE,
            )
    if not rows:
        raise Problem(f"{name} has no result in it.", example, Exit.USAGE)
    return rows


def _show_only(
    found: dict[str, Any], action: str, at: datetime | None, *, despite_open_refunds: bool, as_json: bool
) -> None:
    """What the close would do, as `pawl month` shows it, with its exit code."""
    then = "" if at is None else f" --at {wire_time(at)}"
    flag = " --despite-open-refunds" if despite_open_refunds else ""
    step = " approve" if action == "approve" else ""
    does = f"pawl close {found['month']}{step}{then}{flag} --reason WHY --yes"
    verb = "Approve it" if step else "Close it"
    how = how_to_close(found) if found.get("in_steps") and not step else f"{verb}: {does}"
    show_month(found | {"applied": False}, as_json, f"Nothing was done. {how}")
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
