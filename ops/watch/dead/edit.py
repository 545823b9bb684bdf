"""The command `pawl dead edit`: a refused record sent right, as a new event; shown and tried before."""

import asyncio
import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import orjson
import typer
from rich.console import Console

from ops.shell.options import Directory, Json, TokenFile
from ops.shell.output import is_at_terminal, print_json
from ops.shell.problem import Exit, Problem, explain_os_errors
from ops.shell.tokens import token_for
from ops.watch.dead.calls import CHANGE, LOOK, edit_one, fetch_one, require_letter
from ops.watch.dead.names import Name, parse_name
from ops.watch.dead.options import Actor, BaseUrl, Reason, base_url, require_reason
from ops.watch.dead.text import diff_lines, how_it_ended, pretty, print_edit
from shared.events.catalogue import UPSTREAM
from shared.pointers import ABSENT, NoSuchPlace, same_json, with_value


class Wish(NamedTuple):
    """What is to be changed: the data by a file or by pointers, type, time; if nothing, in an editor."""

    file: Path | None
    values: Sequence[str]
    removed: Sequence[str]
    type: str | None
    time: str | None

    @property
    def is_in_editor(self) -> bool:
        return not any(self)


def edit(
    name: Annotated[str, typer.Argument(help="Like orders:17.")],
    file: Annotated[
        Path | None,
        typer.Option("--file", help="The data as it should be, as JSON.", show_default=False),
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="POINTER=VALUE", help="Another value there.", show_default=False),
    ] = None,
    removed: Annotated[
        list[str] | None,
        typer.Option("--remove", metavar="POINTER", help="No value there.", show_default=False),
    ] = None,
    type_name: Annotated[
        str | None, typer.Option("--type", help="Another event type.", show_default=False)
    ] = None,
    time: Annotated[
        str | None,
        typer.Option("--time", metavar="RFC3339", help="Another time of the event.", show_default=False),
    ] = None,
    reason: Reason = "",
    actor: Actor = None,
    yes: Annotated[bool, typer.Option("--yes", help="Send it, if it is taken.")] = False,
    directory: Directory = None,
    url: BaseUrl = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Send a refused event of checkout right, as a new event of its own; the refused record is kept.

    Opens its data in $EDITOR, unless --file or --set say what to change. Shows what differs, and what the
    service would write. With --yes the service takes it. A hidden value (***) that is left alone is the
    one it was.

    Example: [bold]pawl dead edit orders:17[/bold]

    Example: [bold]pawl dead edit orders:17 --set /lines/0/quantity=5 --reason "a typo" --yes[/bold]
    """
    named = parse_name(name)
    require_letter(named, "edited")
    if yes:
        require_reason(reason)
    base, wish = (
        base_url(named.service, url, directory),
        Wish(file, values or (), removed or (), type_name, time),
    )
    shown = asyncio.run(fetch_one(base, named, token_for(LOOK, directory, token_file, actor)))
    _require_editable(named, shown)
    document, kept = _changed(named, shown, wish)
    if not as_json:
        print("\n".join(diff_lines(shown["document"], document)))
    body = {"document": document, "type": type_name, "time": time, "reason": reason or None}
    token = token_for(CHANGE, directory, token_file, actor)
    outcome = asyncio.run(_try_and_send(base, named, token, body, yes))
    if outcome.get("applied"):
        _remove(kept)
    _finish(named, outcome, kept or file, as_json)


async def _try_and_send(
    base: str, name: Name, token: str, body: dict[str, Any], send: bool
) -> dict[str, Any]:
    tried = await edit_one(base, name, token, {**body, "apply": False})
    if "refused" in tried or not send:
        return tried
    return await edit_one(base, name, token, {**body, "apply": True})


def _require_editable(name: Name, shown: Mapping[str, Any]) -> None:
    if shown["state"] != "open":
        raise Problem(f"{name} has ended. {how_it_ended(shown)}", "See: pawl dead ls", Exit.NOTHING_MATCHED)
    if shown["topic"] != UPSTREAM:
        raise Problem(
            f"{name} is a record of Pawl itself ({shown['topic']}): nobody sends it in its place.",
            f"Mend the cause, then: pawl dead replay {name} --reason WHY",
        )


def _changed(name: Name, shown: Mapping[str, Any], wish: Wish) -> tuple[Any, Path | None]:
    """The data as it is wished, and the file in which an editor has left it. Raises Problem."""
    kept = None
    if wish.file is not None:
        document = _read(wish.file)
    elif wish.is_in_editor:
        kept = _edit_in_editor(name, shown)
        document = _read(kept)
    else:
        document = _set(shown["document"] or {}, wish)
    is_same = shown["document"] is not None and same_json(document, shown["document"])
    # The key of an edited event is what its data names, so one with a wrong key may be right as it is.
    if is_same and not (wish.type or wish.time or shown["code"] == "wrong_key"):
        _remove(kept)
        raise Problem("Nothing was changed.", f"As it is: pawl dead replay {name} --reason WHY", Exit.USAGE)
    return document, kept


def _set(document: Any, wish: Wish) -> Any:
    try:
        for each in wish.values:
            pointer, equals, value = each.partition("=")
            if not equals:
                raise NoSuchPlace(f"{each!r} has no =, and so no value")
            document = with_value(document, pointer, _value(value))
        for pointer in wish.removed:
            document = with_value(document, pointer, ABSENT)
    except NoSuchPlace as wrong:
        raise Problem(str(wrong), "For example: --set /lines/0/quantity=5", Exit.USAGE) from None
    return document


def _value(text: str) -> Any:
    """JSON where it is JSON, else text."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _read(file: Path) -> Any:
    try:
        document = orjson.loads(file.read_bytes())
    except OSError as error:
        raise Problem(f"{file} cannot be read: {error.strerror or error}", "", Exit.USAGE) from error
    except orjson.JSONDecodeError as error:
        raise Problem(
            f"{file} is no JSON: {error}", f"Mend it, then go on with --file {file}", Exit.USAGE
        ) from None
    if not isinstance(document, dict):
        raise Problem(f"{file} holds no JSON object.", f"Mend it, then: --file {file}", Exit.USAGE)
    return document


def _edit_in_editor(name: Name, shown: Mapping[str, Any]) -> Path:
    """The file that somebody has edited; only its owner reads it, since a secret may be written into it."""
    if not is_at_terminal():
        raise Problem(
            "There is no terminal for an editor.", "Say what to change: --set or --file", Exit.USAGE
        )
    text = pretty(shown["document"]) if shown["document"] is not None else shown["value"] or "{}"
    handle, path = tempfile.mkstemp(prefix=f"pawl-{name.service}-{name.row}-", suffix=".json")
    file = Path(path)
    with explain_os_errors("writing the data to edit", file), os.fdopen(handle, "w") as opened:
        opened.write(f"{text}\n")
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        ended = subprocess.run([*shlex.split(editor), path], check=False).returncode
    except (OSError, ValueError) as error:
        raise Problem(f"The editor {editor!r} does not start: {error}", "Set EDITOR.") from None
    if ended != 0:
        raise Problem(f"The editor {editor!r} ended with {ended}.", f"What it left is in {file}")
    return file


def _remove(kept: Path | None) -> None:
    """Removes what an editor has left and nobody needs any more."""
    if kept is not None:
        kept.unlink(missing_ok=True)


def _finish(name: Name, outcome: dict[str, Any], file: Path | None, as_json: bool) -> None:
    if as_json:
        print_json(outcome)
    else:
        by_file = f" --file {file}" if file is not None else ""
        print_edit(Console(), name, outcome, f"pawl dead edit {name}{by_file} --reason WHY --yes")
    if "refused" in outcome:
        raise typer.Exit(Exit.FAILED)
