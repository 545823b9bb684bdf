"""`pawl partner`: show one, correct what is known of it, see whether it may leave, and have it leave."""

import asyncio
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer
from rich.console import Console

from ops.shell.groups import ShowsByName
from ops.shell.options import Directory, Json, PostgresUrl, TokenFile
from ops.shell.output import print_json
from ops.shell.problem import Exit, Problem
from ops.shell.system import find_system
from ops.watch.close import require_number
from ops.watch.decide import answers
from ops.watch.decide.answers import Actor, Asker, BaseUrl, Why, Yes
from ops.watch.show import partner as shown
from ops.watch.show.rows import day, print_lines, won, words
from shared.operators.commands import pawl

SCOPE: Final = "partners:manage"
READ_SCOPE: Final = "partners:read"

Told = Annotated[
    str | None,
    typer.Option(help="As its registration says (사업자등록증), for its documents.", show_default=False),
]

app = typer.Typer(
    cls=ShowsByName,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="Show a partner, `pawl partner P-17`, correct what is known of it, see whether it may leave.",
    epilog="Example: pawl partner P-17",
)
app.command("show")(shown.partner)


@app.command()
def correct(
    partner_id: Annotated[str, typer.Argument(metavar="PARTNER", help="The id of the partner.")],
    business_number: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="Its right business number.", show_default=False)
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Its name on documents (default: as it is known).", show_default=False)
    ] = None,
    email: Annotated[
        str | None, typer.Option(help="Where documents go (default: as it is known).", show_default=False)
    ] = None,
    always_merge: Annotated[
        bool | None,
        typer.Option(
            "--always-merge/--no-always-merge", help="One invoice for each month.", show_default=False
        ),
    ] = None,
    representative: Told = None,
    address: Told = None,
    business_type: Told = None,
    business_item: Told = None,
    branch_number: Told = None,
    of: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER",
            help="The business number that representative to branch number are of (default: its own).",
            show_default=False,
        ),
    ] = None,
    reason: Why = "",
    yes: Yes = False,
    actor: Actor = None,
    url: BaseUrl = None,
    postgres: PostgresUrl = None,
    directory: Directory = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Correct what is known of a partner; shows which documents that issues, renumbers, proposes to correct.

    Example: [bold]pawl partner correct P-17 --business-number 116-82-00276 --reason "by phone" --yes[/bold]

    Example: [bold]pawl partner correct P-17 --representative 이바다 --reason "by phone" --yes[/bold]
    """
    registered = {
        "representative": representative,
        "address": address,
        "business_type": business_type,
        "business_item": business_item,
        "branch_number": branch_number,
    }
    said = (business_number, name, email, always_merge, *registered.values())
    if all(each is None for each in said):
        raise Problem(
            "Nothing is named that is to be corrected.",
            f"For example: {pawl('partner', 'correct', partner_id)} --business-number 116-82-00276",
            Exit.USAGE,
        )
    if business_number is not None:
        require_number(business_number, "--business-number")
    if of is not None:
        require_number(of, "--of")
    system = find_system(None, postgres, directory)
    known = asyncio.run(shown.read_partner(system, partner_id)) or {}
    body = answers.body_of(
        reason,
        yes,
        business_number=business_number or _unless_told(known, "business_number"),
        name=name or _unless_told(known, "name"),
        invoice_email=email or _unless_told(known, "invoice_email"),
        always_merge=always_merge,
        of_number=of,
        **registered,
    )
    asker = Asker(system, url, directory, token_file, actor)
    path = f"/v1/partners/{quote(partner_id, safe='')}/correct"
    answer = asker.ask("invoices", SCOPE, path, body, "Look for it: pawl find WORD")
    answers.show(answer, as_json, f"partner {answer['partner_id']}", _lines(answer))


def _unless_told(known: Mapping[str, Any], name: str) -> Any:
    """What the latest order says of a partner that has told invoices nothing yet."""
    return None if known.get("is_told") else known.get(name)


def _lines(answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    before, after = answer["before"] or {}, answer["after"]
    for name, now in after.items():
        was = before.get(name)
        if was != now:
            yield name.replace("_", " "), f"{'not told' if was in (None, '') else _text(was)} → {_text(now)}"
    for document in answer["issued"]:
        yield "issues", f"{document['document_key']}  {won(document['total'])}"
    for document in answer["renumbered"]:
        what = f"the draft of {document['month']}, {won(document['total'])}"
        yield "renumbers", f"{what}, to {document['business_number']}"
    for correction in answer["corrections"]:
        says = f"to {correction['right_number']}" if correction["state"] == "proposed" else "withdrawn"
        yield "proposes", f"a correction of {correction['document_key']}: {says}"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


@app.command()
def check(
    partner_id: Annotated[str, typer.Argument(metavar="PARTNER", help="The id of the partner.")],
    actor: Actor = None,
    url: BaseUrl = None,
    directory: Directory = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Show what keeps a partner from leaving: each blocker, who ends it, and how.

    Exit code 5: something does. Exit code 4: nobody knows the partner.

    Example: [bold]pawl partner check P-17[/bold]
    """
    asker = Asker(find_system(None, None, directory), url, directory, token_file, actor)
    path = f"/v1/partners/{quote(partner_id, safe='')}/withdrawal-preflight"
    answer = asker.look("orders", READ_SCOPE, path, "Look for it: pawl find WORD")
    if as_json:
        print_json(answer)
    else:
        print_lines(Console(), f"partner {answer['partner_id']}", _standing(answer))
    if answer["blockers"]:
        raise typer.Exit(Exit.SOMETHING_WAITS)


@app.command()
def withdraw(
    partner_id: Annotated[str, typer.Argument(metavar="PARTNER", help="The id of the partner.")],
    reason: Why = "",
    yes: Yes = False,
    actor: Actor = None,
    url: BaseUrl = None,
    directory: Directory = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Have a partner leave, for good: it can order no more. Only shown until --yes.

    While something is unfinished it stays, and everything is listed. Exit code 5: it stays.

    Example: [bold]pawl partner withdraw P-17 --reason "it asked by letter" --yes[/bold]
    """
    asker = Asker(find_system(None, None, directory), url, directory, token_file, actor)
    path = f"/v1/partners/{quote(partner_id, safe='')}/withdrawal"
    body = answers.body_of(reason, yes)
    answer = asker.ask("orders", SCOPE, path, body, "Look for it: pawl find WORD")
    answers.show(answer, as_json, f"partner {answer['partner_id']}", _standing(answer))
    if answer["blockers"]:
        raise typer.Exit(Exit.SOMETHING_WAITS)


@app.command()
def purge(
    reason: Why = "",
    yes: Yes = False,
    actor: Actor = None,
    url: BaseUrl = None,
    directory: Directory = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Erase the names of partners that left more than ARCHIVE_YEARS ago. Only shown until --yes.

    Names, addresses, bank accounts and messages go for good, in all services; units, won and tax documents
    stay. Exit code 4: nobody is due.

    Example: [bold]pawl partner purge --reason "their five years are over" --yes[/bold]
    """
    asker = Asker(find_system(None, None, directory), url, directory, token_file, actor)
    answer = asker.ask("orders", SCOPE, "/v1/partners/purge", answers.body_of(reason, yes), "See: pawl lag")
    head = f"{len(answer['partners'])} partners, {answer['left']} left for another run"
    rows = chain(map(_purged, answer["partners"]), chain.from_iterable(map(_kept, answer["unfinished"])))
    answers.show({**answer, "events": ()}, as_json, head, rows)
    if not answer["partners"]:
        raise typer.Exit(Exit.NOTHING_MATCHED)


def _purged(partner: Mapping[str, Any]) -> tuple[str, str]:
    kept = f"left on {day(partner['withdrawn_at'])}, kept until {day(partner['archived_until'])}"
    return partner["partner_id"], f"{partner['orders']} orders, {kept}"


def _kept(partner: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for blocker in partner["blockers"]:
        why = f"still named: {words(blocker['kind'])} of order {blocker['order_id']}"
        yield partner["partner_id"], f"{why}  {blocker['command']}"


def _standing(answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if answer["withdrawn_at"]:
        yield "state", f"left on {day(answer['withdrawn_at'])}"
    elif answer["blockers"]:
        yield "state", f"cannot leave: {len(answer['blockers'])} things are unfinished"
    else:
        yield "state", "may leave"
    for blocker in answer["blockers"]:
        units = f", line {blocker['line_id']} x{blocker['quantity']}" if blocker["quantity"] else ""
        yield words(blocker["kind"]), f"order {blocker['order_id']}{units}  {blocker['command']}"
        yield "", f"{blocker['who']}: {blocker['what_to_do']}"
