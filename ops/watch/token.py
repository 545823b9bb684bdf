"""`pawl token`: a token for the HTTP side of a system whose key is here."""

from typing import Annotated

import typer

from ops.shell.options import Directory, Json
from ops.shell.output import print_json
from ops.shell.problem import Exit, Problem
from ops.shell.tokens import ELSEWHERE, login, own_key, signed
from shared.web.scopes import SCOPES

LONGEST_MINUTES = 7 * 24 * 60


def token(
    scope: Annotated[
        str, typer.Option(help='What it allows: scopes between spaces, or "all".', show_default=False)
    ] = "",
    partner: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Limit it to what is this partner's.", show_default=False),
    ] = None,
    minutes: Annotated[int, typer.Option(min=1, max=LONGEST_MINUTES, help="How long it counts.")] = 60,
    sub: Annotated[
        str | None, typer.Option(help="Whose it is (default: your login).", show_default=False)
    ] = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Print a token for the services that `pawl up` started here. Without --scope, list the scopes.

    A system whose keys come from elsewhere (TOKEN_JWKS) has its tokens from there.

    Example: [bold]pawl token --scope "ops:read invoices:read"[/bold]

    Example: [bold]curl -H "Authorization: Bearer $(pawl token --scope ops:read)" http://127.0.0.1:14002/v1/ops/dead[/bold]
    """
    if not scope:
        _list_scopes(as_json)
        return
    scopes = _scopes_of(scope)
    key = own_key(directory)
    if key is None:
        raise Problem(
            "The keys of this system are not here, or none is running.", f"Start one: pawl up. {ELSEWHERE}"
        )
    text = signed(key, scopes, sub or login(), minutes, partner)
    if as_json:
        print_json({"token": text, "scope": " ".join(scopes), "partner_id": partner, "minutes": minutes})
    else:
        print(text)


def _list_scopes(as_json: bool) -> None:
    if as_json:
        print_json({"scopes": dict(SCOPES)})
        return
    for name, allows in SCOPES.items():
        print(f"{name:<17} {allows}")
    print('\nFor example: pawl token --scope "ops:read invoices:read"')


def _scopes_of(text: str) -> list[str]:
    if text.strip() == "all":
        return list(SCOPES)
    scopes = text.replace(",", " ").split()
    if unknown := [name for name in scopes if name not in SCOPES]:
        raise Problem(f"There is no scope {unknown[0]!r}.", f"One of: {', '.join(SCOPES)}", Exit.USAGE)
    return scopes
