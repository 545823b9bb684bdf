"""`pawl serials rotate`: every serial is put under the key that serials makes new ones with.

The work is done by the service, in the background; the command begins it and shows how far it is.
"""

from collections.abc import Iterator, Mapping
from time import sleep
from typing import Any, Final

import typer
from rich.console import Console

from ops.shell.options import Directory, Json, TokenFile
from ops.shell.output import print_json
from ops.shell.problem import Exit, Problem
from ops.watch.decide.answers import Actor, Asker, BaseUrl, Why, Yes, body_of, print_only_shown
from ops.watch.serials.asking import READ, SERIALS, asker_of
from ops.watch.serials.export import Shown, shown_on_stderr
from ops.watch.show.rows import print_lines
from shared.clock import monotonic

SCOPE: Final = "serials:manage"
PATH: Final = "/v1/serials/rotation"
COUNTING_SECONDS: Final = 600.0
"""Every serial is read once to count them by their keys."""
LOOK_EVERY: Final = 1.0
STILL_SECONDS: Final = 60.0
"""After so long without progress nobody works on it."""
RUNBOOK: Final = "docs/runbooks/key-not-retired.md"

Key = Mapping[str, Any]


def rotate(
    reason: Why = "",
    yes: Yes = False,
    actor: Actor = None,
    url: BaseUrl = None,
    directory: Directory = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Put every serial under the key that new ones are made with, so that older keys can be taken away.

    First it only shows how many serials are under which key. Then the service works in the background: this
    command can be broken off, and shows how far it is when it is run again.

    Exit code 5: serials are under older keys, and nothing was done. 1: it stands still.

    Example: [bold]pawl serials rotate --reason "keys of 2026" --yes[/bold]
    """
    asker = asker_of(url, directory, token_file, actor)
    found = asker.look(SERIALS, READ, PATH)
    current = found["current_key"]
    _require_keys(found["keys"])
    body = body_of(reason, yes, key_id=current)
    asked = asker.ask(SERIALS, SCOPE, PATH, body, f"Which keys serials needs: {RUNBOOK}", COUNTING_SECONDS)
    if yes:
        with shown_on_stderr(as_json) as show:
            _watch(asker, current, show)
    keys = asker.look(SERIALS, READ, PATH)["keys"]
    gone = [key["key_id"] for key in keys if key["retired_at"] is not None and key["configured"]]
    if as_json:
        print_json({**asked, "keys": keys, "can_be_removed": gone})
    else:
        _print(Console(), asked, gone)
    if asked["before"] and not yes:
        raise typer.Exit(Exit.SOMETHING_WAITS)


def _watch(asker: Asker, key_id: str, show: Shown) -> None:
    """Shows how far it is, until no serial is under an older key. Raises Problem where it stands still."""
    seen, since = None, monotonic()
    while True:
        keys = [key for key in asker.look(SERIALS, READ, PATH)["keys"] if key["rotated_to"] == key_id]
        left = [key for key in keys if key["retired_at"] is None]
        if not left:
            return
        _require_keys(left)
        _require_moving(left)
        done, total = (sum(key[name] for key in left) for name in ("rekeyed", "to_rekey"))
        show("re-keying", done, max(done, total))
        far = [(key["key_id"], key["rekeyed"], key["rekeyed_up_to"]) for key in left]
        if far != seen:
            seen, since = far, monotonic()
        elif monotonic() - since > STILL_SECONDS:
            raise Problem(
                f"Nothing was re-keyed for {STILL_SECONDS:.0f} s.",
                f"Does a process of serials run with SERIAL_KEY_ID={key_id}? See its log, and {RUNBOOK}.",
            )
        sleep(LOOK_EVERY)


def _require_keys(keys: list[Key]) -> None:
    for key in keys:
        if key["retired_at"] is None and not key["configured"]:
            raise Problem(
                f"Serials are under key {key['key_id']}, which the service does not have.",
                f"Add {key['key_id']}:LOOKUP:TEXT to SERIAL_EARLIER_KEYS and start serials again: {RUNBOOK}",
            )


def _require_moving(left: list[Key]) -> None:
    for key in left:
        if key["stands_at"] is not None:
            raise Problem(
                f"Serial {key['stands_at']} under key {key['key_id']} cannot be opened: its text and its tag"
                " do not belong together. Somebody has changed the row. What is re-keyed stays so.",
                f"Put the row back as it was, then run this again: {RUNBOOK}",
            )


def _print(console: Console, asked: Mapping[str, Any], gone: list[str]) -> None:
    if asked["applied"]:
        console.print(f"every serial is under key {asked['key_id']}", highlight=False)
    else:
        print_lines(console, "serials under each key", _counts(asked))
        if asked["before"]:
            print_only_shown(console)
    for key_id in gone:
        print_lines(console, f"key {key_id} can be taken away: no serial is under it", _steps(key_id, asked))


def _counts(asked: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    current = asked["key_id"]
    for each in asked["serials"]:
        is_old = each["key_id"] in asked["before"]
        what = f"to be put under key {current}" if is_old else "new ones are made with it"
        yield "key", f"{each['key_id']}: {each['serials']:,} serials, {what}"
    if asked["before"]:
        yield "time", f"about {asked['seconds']:,} s"


def _steps(key_id: str, asked: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "first", f"see that every process of serials uses key {asked['key_id']}: serial_keys in its /health"
    yield "then", f"take {key_id}:... out of SERIAL_EARLIER_KEYS and start serials again"
