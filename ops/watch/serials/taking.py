"""`pawl serials export` and `notice`: serials and messages as files, and what customers must be told."""

from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import typer
from rich.console import Console

from ops.shell.options import Directory, Json, TokenFile
from ops.shell.output import print_json
from ops.shell.private_files import private_file
from ops.shell.problem import Exit, Problem, explain_os_errors
from ops.watch.decide.answers import Actor, BaseUrl
from ops.watch.serials.asking import READ, SERIALS, Grant, asker_of, require_id
from ops.watch.serials.export import ELSEWHERE, take_file
from ops.watch.serials.text import notice_text, print_notice, print_taken

STATES: Final = ("active", "registered", "expired", "revoked", "all")
LANGUAGES: Final = ("ko", "en")
FILES: Final = {".csv": "serials.csv", ".xlsx": "serials.xlsx"}

Why = Annotated[str, typer.Option("--reason", help="Why; the custody log keeps it.", show_default=False)]
State = Annotated[str, typer.Option("--state", help=f"Only serials in this state: {', '.join(STATES)}.")]
First = Annotated[
    int | None, typer.Option("--from", min=1, metavar="UNIT", help="The first unit.", show_default=False)
]
Last = Annotated[
    int | None, typer.Option("--to", min=1, metavar="UNIT", help="The last unit.", show_default=False)
]
Replace = Annotated[bool, typer.Option("--replace", help="Replace the file that is there.")]
Lang = Annotated[str, typer.Option("--lang", help="The language of the customers: ko or en.")]


def export(
    grant_id: Grant,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="The file, named .csv or .xlsx; or a directory, for a .csv named after its watermark.",
        ),
    ],
    reason: Why = "",
    state: State = "active",
    first: First = None,
    last: Last = None,
    lang: Lang = "ko",
    replace: Replace = False,
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
    form = FILES.get(".csv" if output.is_dir() else output.suffix.lower())
    if form is None:
        raise Problem(f"{output} is neither a .csv nor an .xlsx.", "Give it such a name: -o FILE", Exit.USAGE)
    query = {**_selection(state, first, last, reason), "lang": _require_language(lang)}
    asker = asker_of(url, directory, token_file, actor)
    taken = take_file(asker, require_id(grant_id), form, output, query, replaces=replace, quiet=as_json)
    _show_taken(taken, as_json)


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
    product: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="How the messages call the product, if not by its name.", show_default=False
        ),
    ] = "",
    lang: Lang = "ko",
    reason: Why = "",
    state: State = "active",
    first: First = None,
    last: Last = None,
    replace: Replace = False,
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
    wording = {"lang": _require_language(lang), "sender": sender, "opt_out": opt_out, "product": product}
    asker = asker_of(url, directory, token_file, actor)
    if merge is not None:
        query = {**_selection(state, first, last, reason), **wording}
        taken = take_file(asker, grant_id, "notice.csv", merge, query, replaces=replace, quiet=as_json)
        _show_taken(taken, as_json)
        return
    query = {name: value for name, value in wording.items() if value}
    told = asker.look(SERIALS, READ, f"/v1/issuances/{grant_id}/notice?{urlencode(query)}")
    if output is not None:
        with explain_os_errors("writing the texts", output, ELSEWHERE), private_file(output) as file:
            file.write(notice_text(told).encode())
    if as_json:
        print_json(told)
    elif output is None:
        print_notice(Console(), told)


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
