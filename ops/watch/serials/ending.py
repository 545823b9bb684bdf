"""`pawl serials reissue` and `revoke`: a serial dies for ever, with another one in its place or without."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final
from uuid import UUID

import typer

from ops.shell.options import Directory, Json, PostgresUrl, TokenFile
from ops.shell.problem import Exit, Problem
from ops.shell.system import find_system
from ops.watch.decide import answers
from ops.watch.decide.answers import Actor, Asker, BaseUrl, Why, Yes

SCOPE: Final = "serials:manage"

SerialId = Annotated[
    str, typer.Argument(metavar="SERIAL_ID", help="The id of the serial, as pawl serials find shows it.")
]


def reissue(
    serial_id: SerialId,
    reason: Why = "",
    yes: Yes = False,
    actor: Actor = None,
    url: BaseUrl = None,
    postgres: PostgresUrl = None,
    directory: Directory = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Let a lost or leaked serial die and put a new one in its place; units, invoice and refund stay.

    Only while nobody has registered it. The new one is handed out like every other serial of its grant.

    Example: [bold]pawl serials reissue 0199f0c1-2222-7c11-9a51-2f6f3f000003 --reason "lost" --yes[/bold]
    """
    asker = Asker(find_system(None, postgres, directory), url, directory, token_file, actor)
    _end(asker, "reissue", serial_id, answers.body_of(reason, yes), as_json)


def revoke(
    serial_id: SerialId,
    reason: Why = "",
    yes: Yes = False,
    actor: Actor = None,
    url: BaseUrl = None,
    postgres: PostgresUrl = None,
    directory: Directory = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Let a serial die that nobody has registered; nothing takes its place.

    Example: [bold]pawl serials revoke 0199f0c1-2222-7c11-9a51-2f6f3f000003 --reason "leaked" --yes[/bold]
    """
    asker = Asker(find_system(None, postgres, directory), url, directory, token_file, actor)
    _end(asker, "revoke", serial_id, answers.body_of(reason, yes), as_json)


def _end(asker: Asker, how: str, serial_id: str, body: dict[str, Any], as_json: bool) -> None:
    try:
        path = f"/v1/serials/{UUID(serial_id)}/{how}"
    except ValueError:
        # It may be the serial itself, so it is not repeated.
        raise Problem("That is no id of a serial.", "Find it: pawl serials find", Exit.USAGE) from None
    answer = asker.ask("serials", SCOPE, path, body, "Find it: pawl serials find")
    head = f"serial {answer['serial_id']} of order {answer['order_id']}"
    answers.show(answer, as_json, head, _lines(answer))


def _lines(answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "state", f"{answer['before']['state']} → {answer['after']['state']}"
    if answer["new_serial_id"] is not None:
        yield (
            "new",
            f"serial {answer['new_serial_id']}, unit {answer['new_unit']:,} of grant {answer['grant_id']}",
        )
    counted = f"{answer['revoked']:,} revoked, {answer['reissued']:,} reissued"
    yield "grant", f"{counted}; a partner may have {answer['reissue_quota']:,} reissued"
