"""What the commands ask of serials: the issuances of a grant, an order or a partner."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote, urlencode
from uuid import UUID

import typer

from ops.shell.problem import Exit, Problem
from ops.shell.run_directory import DEFAULT
from ops.shell.system import System, find_system
from ops.watch.decide.answers import Asker

SERIALS: Final = "serials"
READ: Final = "serials:read"
EXPORT: Final = "serials:export"
PAGE: Final = 1_000

Grant = Annotated[str, typer.Argument(metavar="GRANT", help="The id of the issuance, which is its grant's.")]


def asker_of(url: str | None, directory: Path | None, token_file: Path | None, actor: str | None) -> Asker:
    """How serials is asked: where it is named, or in the system that runs here. Raises Problem."""
    system = System(directory or DEFAULT) if url else find_system(None, None, directory)
    return Asker(system, url, directory, token_file, actor)


def issuances_named(asker: Asker, name: str) -> list[dict[str, Any]]:
    """The issuance of this id, or those of the order of this id. Raises Problem (exit code 4) for none."""
    if is_id(name):
        try:
            return [asker.look(SERIALS, READ, f"/v1/issuances/{name}")]
        except Problem as problem:
            if problem.exit_code is not Exit.NOTHING_MATCHED:
                raise
    see = f"Is it an order, or something else? See: pawl find {name}"
    return list(pages(asker, f"/v1/orders/{quote(name, safe='')}/issuances", see))


def issuances_of(asker: Asker, kind: str, name: str) -> list[dict[str, Any]]:
    """Those of an order or of a partner (`orders`, `partners`); none where nothing is issued for it."""
    try:
        return list(pages(asker, f"/v1/{kind}/{quote(name, safe='')}/issuances"))
    except Problem as problem:
        if problem.exit_code is not Exit.NOTHING_MATCHED:
            raise
        return []


def pages(asker: Asker, path: str, next_step: str = "", most: int | None = None) -> Iterator[dict[str, Any]]:
    """Every row of a list, page by page; at most so many. Raises Problem."""
    limit, asked, cursor = min(most or PAGE, PAGE), 0, None
    while True:
        query = {"limit": limit, **({"cursor": cursor} if cursor else {})}
        page = asker.look(SERIALS, READ, f"{path}?{urlencode(query)}", next_step)
        yield from page["items"]
        asked, cursor = asked + len(page["items"]), page["next"]
        if cursor is None or (most is not None and asked >= most):
            return


def require_id(grant_id: str) -> str:
    """The id of a grant. Raises Problem (exit code 2) for what cannot be one."""
    if not is_id(grant_id):
        raise Problem(
            f"{grant_id!r} is not the id of an issuance.",
            "List those of an order: pawl serials status ORDER",
            Exit.USAGE,
        )
    return grant_id


def is_id(text: str) -> bool:
    """Whether a text is an id of ours."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True
