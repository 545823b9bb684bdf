"""`pawl refunds forget`: everything that refunds keeps sealed for a partner becomes unreadable, for good."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from ops.shell.options import Directory, Json, TokenFile
from ops.shell.problem import Exit
from ops.shell.system import find_system
from ops.watch.decide import answers
from ops.watch.decide.answers import Actor, Asker, BaseUrl, Why, Yes

SCOPE: Final = "refunds:manage"

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="What refunds keeps of partners. One refund: pawl refund ID.",
    epilog="Example: pawl refunds forget P-17",
)


@app.callback()
def refunds() -> None:
    """What refunds keeps of partners. One refund: pawl refund ID."""


@app.command()
def forget(
    partner_id: Annotated[str, typer.Argument(metavar="PARTNER", help="The id of the partner.")],
    reason: Why = "",
    yes: Yes = False,
    actor: Actor = None,
    url: BaseUrl = None,
    directory: Directory = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Destroy the key of a partner's bank accounts and messages: nobody can read them again.

    Refused while a refund of the partner still needs its account. Backups keep the key as long as they are
    kept. Exit code 4: nothing is sealed for the partner.

    Example: [bold]pawl refunds forget P-17 --reason "it asked by letter" --yes[/bold]
    """
    asker = Asker(find_system(None, None, directory), url, directory, token_file, actor)
    path = f"/v1/partners/{quote(partner_id, safe='')}/forget"
    body = answers.body_of(reason, yes)
    answer = asker.ask("refunds", SCOPE, path, body, "See what needs somebody: pawl todo")
    answers.show({**answer, "events": ()}, as_json, f"partner {answer['partner_id']}", _lines(answer))
    if not answer["details"]:
        raise typer.Exit(Exit.NOTHING_MATCHED)


def _lines(answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "sealed", f"{answer['details']:,} bank accounts and messages"
    then = "can be read now" if answer["applied"] else "could be read then"
    yield "readable", f"{answer['readable_before']:,} → {answer['readable']:,} {then}"
    if answer["dead_letters"]:
        kept = f"{answer['dead_letters']:,} refused requests, sealed with the key of the service"
        yield "kept", f"{kept}: pawl dead ls --service refunds"
