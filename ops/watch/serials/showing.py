"""`pawl serials status`, `custody`, `leak` and `campaign`: what is known of serials, and who took them."""

from typing import Annotated, Any, Final
from urllib.parse import quote

import typer
from rich.console import Console

from ops.shell.options import Directory, Json, TokenFile
from ops.shell.output import print_json
from ops.shell.problem import Exit, Problem
from ops.watch.decide.answers import Actor, Asker, BaseUrl
from ops.watch.serials.asking import (
    READ,
    SERIALS,
    Grant,
    asker_of,
    issuances_named,
    issuances_of,
    pages,
    require_id,
)
from ops.watch.serials.campaign import campaign_csv, campaign_of
from ops.watch.serials.text import print_campaign, print_custody, print_issuances, watermark_in
from shared.clock import now
from shared.kst import wire_time

USUAL_ROWS: Final = 20


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
    issuances = issuances_named(asker_of(url, directory, token_file, actor), name)
    if as_json:
        print_json({"issuances": issuances})
    else:
        print_issuances(Console(), issuances)


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
    asker = asker_of(url, directory, token_file, actor)
    rows = list(pages(asker, f"/v1/issuances/{require_id(grant_id)}/custody", most=limit))
    if as_json:
        print_json({"custody": rows})
    else:
        print_custody(Console(), rows)
    if not rows:
        raise typer.Exit(Exit.NOTHING_MATCHED)


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
    asker = asker_of(url, directory, token_file, actor)
    found = asker.look(
        SERIALS,
        READ,
        f"/v1/custody/{quote(watermark_in(watermark), safe='')}",
        "It stands in the first row of a CSV, in the properties of a workbook, and in the name it came with.",
    )
    if as_json:
        print_json(found)
    else:
        print_custody(Console(), [found])


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
    kind, issuances = _of(asker_of(url, directory, token_file, actor), name, of)
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
