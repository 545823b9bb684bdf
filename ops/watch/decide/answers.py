"""Asking a service to decide something, and what it answers: shown first, done with --yes."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.text import Text

from ops.shell.asking import ANSWER_SECONDS, look, tell
from ops.shell.output import print_json
from ops.shell.problem import Exit, Problem
from ops.shell.system import System
from ops.shell.tokens import token_for
from ops.watch.show.rows import print_lines, won, words
from ops.watch.story.timeline import particulars
from ops.watch.story.timeline import words as words_of_type

Yes = Annotated[bool, typer.Option("--yes", help="Do it, not only show what would follow.")]
Why = Annotated[str, typer.Option("--reason", help="Why; it is kept. Needed with --yes.", show_default=False)]
Actor = Annotated[
    str | None,
    typer.Option("--actor", help="Who, where no token says it (default: $USER).", show_default=False),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        "--url", metavar="URL", help="The service, where `pawl up` did not start it.", show_default=False
    ),
]
ONLY_SHOWN = "only shown"
"""The reason of a dry run, which keeps nothing."""


class Asker(NamedTuple):
    """How a command reaches a service: where the system is, and who asks."""

    system: System
    url: str | None
    directory: Path | None
    token_file: Path | None
    actor: str | None

    def ask(
        self,
        service: str,
        scope: str,
        path: str,
        body: Mapping[str, Any],
        next_step: str,
        seconds: float = ANSWER_SECONDS,
    ) -> Any:
        """What a service of the system decides, or would decide. Raises Problem."""
        token, url = self.token(scope), f"{self.base_url(service)}{path}"
        return asyncio.run(tell(url, dict(body), token, scope, next_step, timeout=seconds))

    def look(self, service: str, scope: str, path: str, next_step: str = "") -> Any:
        """What a service of the system shows. Raises Problem."""
        return asyncio.run(look(f"{self.base_url(service)}{path}", self.token(scope), scope, next_step))

    def token(self, scope: str) -> str:
        """The token of whoever asks. Raises Problem."""
        return token_for(scope, self.directory, self.token_file, self.actor)

    def base_url(self, service: str) -> str:
        """Where a service of the system answers. Raises Problem."""
        return (self.url or self.system.service(service).base_url).rstrip("/")


def body_of(reason: str, yes: bool, **said: Any) -> dict[str, Any]:
    """What a service is sent, without what nobody named. Raises Problem (exit code 2) without a reason."""
    if yes and not reason.strip():
        raise Problem("This needs a reason, which is kept.", 'Give it: --reason "why"', Exit.USAGE)
    named = {name: value for name, value in said.items() if value is not None}
    return {**named, "reason": reason.strip() or ONLY_SHOWN, "apply": yes}


def show(answer: Mapping[str, Any], as_json: bool, head: str, lines: Iterable[tuple[str, str]]) -> None:
    """Prints what was decided, or would be, with the events that follow."""
    if as_json:
        print_json(answer)
        return
    console = Console()
    print_lines(console, head, [*lines, *_events(answer["events"])])
    if not answer["applied"]:
        print_only_shown(console)


def print_only_shown(console: Console) -> None:
    """The last line of a dry run."""
    end = Text("nothing was done. Do it with --yes --reason WHY", style="yellow")
    console.print(end, soft_wrap=True, highlight=False)


def before_and_after(answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The lines of a state with its reason and its won, before and after."""
    before, after = answer["before"], answer["after"]
    yield "state", f"{_state(before)} → {_state(after)}"
    if before["won"] == after["won"]:
        yield "won", won(before["won"])
    else:
        yield "won", f"{won(before['won'])} → {won(after['won'])}"


def _state(standing: Mapping[str, Any]) -> str:
    why = f" ({standing['why']})" if standing["why"] else ""
    return f"{words(standing['state'])}{why}"


def _events(events: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    name = "then"
    for event in events:
        yield name, f"{words_of_type(event['type'])}{particulars(event['type'], event['data'])}"
        name = ""
