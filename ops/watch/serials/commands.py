"""`pawl serials`: the commands."""

from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote, urlencode

import typer
from rich.console import Console

from ops.shell.options import Directory, Json, TokenFile
from ops.shell.output import print_json
from ops.shell.private_files import private_file
from ops.shell.problem import Exit, Problem, explain_os_errors
from ops.shell.run_directory import DEFAULT
from ops.shell.system import System, find_system
from ops.watch.decide.answers import Actor, Asker, BaseUrl
from ops.watch.serials.asking import READ, SERIALS, issuances_named, issuances_of, pages, require_id
from ops.watch.serials.campaign import campaign_csv, campaign_of
from ops.watch.serials.export import ELSEWHERE, INCOMPLETE, take_file
from ops.watch.serials.text import (
    notice_text,
    print_campaign,
    print_custody,
    print_issuances,
    print_notice,
    print_taken,
)
from shared.clock import now
from shared.kst import wire_time

STATES: Final = ("active", "registered", "expired", "revoked", "all")
LANGUAGES: Final = ("ko", "en")
FILES: Final = {".csv": "serials.csv", ".xlsx": "serials.xlsx"}
USUAL_ROWS: Final = 20

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="See how far serials are, hand them out, tell customers about them, and see who took which.",
    epilog="Example: pawl serials status A-1001",
)

Grant = Annotated[str, typer.Argument(metavar="GRANT", help="The id of the issuance, which is its grant's.")]
Why = Annotated[str, typer.Option("--reason", help="Why; the custody log keeps it.", show_default=False)]
State = Annotated[str, typer.Option("--state", help=f"Only serials in this state: {', '.join(STATES)}.")]
First = Annotated[
    int | None, typer.Option("--from", min=1, metavar="UNIT", help="The first unit.", show_default=False)
]
Last = Annotated[
    int | None, typer.Option("--to", min=1, metavar="UNIT", help="The last unit.", show_default=False)
]
Lang = Annotated[str, typer.Option("--lang", help="The language of the customers: ko or en.")]


@app.command()
def status(
    name: Annotated[
        str, typer.Argument(metavar="GRANT|ORDER", help="The id of an issuance, or of its order.")
    ],
    actor: Actor = None,
    url: BaseUrl = None,
    directory: Directory = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Show how far the serials of an order are, and how many are registered, expired or revoked.

    Example: [bold]pawl serials status A-1001[/bold]
    """
    issuances = issuances_named(_asker(url, directory, token_file, actor), name)
    if as_json:
        print_json({"issuances": issuances})
    else:
        print_issuances(Console(), issuances)


@app.command()
def export(
    grant_id: Grant,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="FILE", help="The file, whose name ends in .csv or .xlsx."),
    ],
    reason: Why = "",
    state: State = "active",
    first: First = None,
    last: Last = None,
    lang: Lang = "ko",
    actor: Actor = None,
    url: BaseUrl = None,
    directory: Directory = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Take readable serials out, with what their customers must be told.

    The file is readable by you only, and is there when it is whole. Who took it stands in the custody log,
    and the file carries a watermark that names this export.

    Example: [bold]pawl serials export GRANT -o serials.xlsx --reason "the partner asked for them"[/bold]
    """
    if output.suffix.lower() not in FILES:
        raise Problem(f"{output} is neither a .csv nor an .xlsx.", "Give it such a name: -o FILE", Exit.USAGE)
    query = _selection(state, first, last, reason)
    asker = _asker(url, directory, token_file, actor)
    form, language = FILES[output.suffix.lower()], _require_language(lang)
    taken = take_file(asker, require_id(grant_id), form, output, query, language, quiet=as_json)
    _show_taken(taken, as_json)


@app.command()
def notice(
    grant_id: Grant,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Put the texts there.", show_default=False),
    ] = None,
    merge: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Take a message for each serial, as CSV; needs --reason.", show_default=False
        ),
    ] = None,
    sender: Annotated[
        str, typer.Option(help="Who sends it, as customers know them.", show_default=False)
    ] = "",
    opt_out: Annotated[
        str,
        typer.Option(
            metavar="NUMBER",
            help="Makes the messages advertisements: the number at which one opts out and pays nothing.",
            show_default=False,
        ),
    ] = "",
    lang: Lang = "ko",
    reason: Why = "",
    state: State = "active",
    first: First = None,
    last: Last = None,
    actor: Actor = None,
    url: BaseUrl = None,
    directory: Directory = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Show what customers must be told, as texts for SMS, LMS and e-mail, with their bytes.

    Example: [bold]pawl serials notice GRANT --sender 한빛 --opt-out 080-123-4567[/bold]

    Example: [bold]pawl serials notice GRANT --merge messages.csv --reason "sent by us"[/bold]
    """
    require_id(grant_id)
    wording = {"lang": _require_language(lang), "sender": sender, "opt_out": opt_out}
    asker = _asker(url, directory, token_file, actor)
    if merge is not None:
        query = {**_selection(state, first, last, reason), **wording}
        _show_taken(take_file(asker, grant_id, "notice.csv", merge, query, lang, quiet=as_json), as_json)
        return
    query = {name: value for name, value in wording.items() if value}
    told = asker.look(SERIALS, READ, f"/v1/issuances/{grant_id}/notice?{urlencode(query)}", INCOMPLETE)
    if output is not None:
        with explain_os_errors("writing the texts", output, ELSEWHERE), private_file(output) as file:
            file.write(notice_text(told).encode())
    if as_json:
        print_json(told)
    elif output is None:
        print_notice(Console(), told)


@app.command()
def custody(
    grant_id: Grant,
    limit: Annotated[int, typer.Option(min=1, help="How many of the newest.")] = USUAL_ROWS,
    actor: Actor = None,
    url: BaseUrl = None,
    directory: Directory = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Show who was handed serials of an issuance, or looked one up, when and why; the newest first.

    Exit code 4: nobody was.

    Example: [bold]pawl serials custody GRANT[/bold]
    """
    asker = _asker(url, directory, token_file, actor)
    rows = list(pages(asker, f"/v1/issuances/{require_id(grant_id)}/custody", most=limit))
    if as_json:
        print_json({"custody": rows})
    else:
        print_custody(Console(), rows)
    if not rows:
        raise typer.Exit(Exit.NOTHING_MATCHED)


@app.command()
def leak(
    watermark: Annotated[str, typer.Argument(help="As it stands in the file, its name or its properties.")],
    actor: Actor = None,
    url: BaseUrl = None,
    directory: Directory = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Find out who took a file of serials that has turned up somewhere.

    Exit code 4: nothing left under this watermark.

    Example: [bold]pawl serials leak 7KP2-M0ZV-3XW1[/bold]
    """
    asker = _asker(url, directory, token_file, actor)
    found = asker.look(
        SERIALS,
        READ,
        f"/v1/custody/{quote(watermark, safe='')}",
        "It stands in the first row of a CSV, in the properties of a workbook, and in the name of both.",
    )
    if as_json:
        print_json(found)
    else:
        print_custody(Console(), [found])


@app.command()
def campaign(
    name: Annotated[
        str, typer.Argument(metavar="PARTNER|ORDER", help="The id of a partner, or of an order.")
    ],
    of: Annotated[
        str | None,
        typer.Option(metavar="partner|order", help="Which of them, where both have it.", show_default=False),
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="A row for each issuance, as CSV on stdout.")] = False,
    actor: Actor = None,
    url: BaseUrl = None,
    directory: Directory = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Show how many serials are registered, which soon cannot be any more, and which are lost.

    Exit code 4: nothing is issued for it.

    Example: [bold]pawl serials campaign P-17[/bold]

    Example: [bold]pawl serials campaign A-1001 --csv > campaign.csv[/bold]
    """
    kind, issuances = _of(_asker(url, directory, token_file, actor), name, of)
    at = now()
    found = campaign_of(issuances, at)
    if as_json:
        print_json({kind: name, "at": wire_time(at), **found})
    elif as_csv:
        print(campaign_csv(found), end="")
    else:
        print_campaign(Console(), f"{kind} {name}", found)


def _of(asker: Asker, name: str, wanted: str | None) -> tuple[str, list[dict[str, Any]]]:
    """Whether it is a partner or an order, and its issuances. Raises Problem for neither and for both."""
    if wanted not in (None, "partner", "order"):
        raise Problem(f"{wanted!r} has no campaign.", "One of: --of partner, --of order", Exit.USAGE)
    kinds = [wanted] if wanted else ["partner", "order"]
    found = {kind: rows for kind in kinds if (rows := issuances_of(asker, f"{kind}s", name))}
    if not found:
        raise Problem(
            f"Nothing is issued for {name!r}.", f"What is it? See: pawl find {name}", Exit.NOTHING_MATCHED
        )
    if len(found) > 1:
        raise Problem(
            f"{name!r} is a partner and an order.", "Say which: --of partner, --of order", Exit.USAGE
        )
    return next(iter(found.items()))


def _asker(url: str | None, directory: Path | None, token_file: Path | None, actor: str | None) -> Asker:
    """How serials is asked: where it is named, or in the system that runs here."""
    system = System(directory or DEFAULT) if url else find_system(None, None, directory)
    return Asker(system, url, directory, token_file, actor)


def _selection(state: str, first: int | None, last: int | None, reason: str) -> dict[str, Any]:
    """Which serials are to leave. Raises Problem (exit code 2) without a reason."""
    if state not in STATES:
        raise Problem(f"No serial is {state!r}.", f"One of: {', '.join(STATES)}", Exit.USAGE)
    if not reason.strip():
        raise Problem(
            "Readable serials leave with a reason, which is kept.", 'Give it: --reason "why"', Exit.USAGE
        )
    return {"state": state, "from": first, "to": last, "reason": reason.strip()}


def _require_language(lang: str) -> str:
    if lang not in LANGUAGES:
        raise Problem(f"Customers are told nothing in {lang!r}.", "One of: ko, en", Exit.USAGE)
    return lang


def _show_taken(taken: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(taken)
    else:
        print_taken(Console(), taken)
