"""The command `pawl`. Each command lives in a module of its own; this list is the table of contents."""

import json
import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from ops.shell.output import tell_on_stderr
from ops.shell.problem import Problem


class Command(NamedTuple):
    """A command and the function (or the Typer app, for a group) that it runs, as `module:name`."""

    name: str
    target: str


COMMANDS: Sequence[Command] = (
    Command("up", "ops.local.up:up"),
    Command("down", "ops.local.down:down"),
    Command("gateway", "ops.gateway.command:gateway"),
    Command("tax-agent", "ops.tax_agent.command:tax_agent"),
    Command("demo", "ops.replay.demo:demo"),
    Command("replay", "ops.replay.command:replay"),
    Command("migrate", "ops.setup.migrate:migrate"),
    Command("status", "ops.watch.status:status"),
    Command("todo", "ops.watch.todo.command:todo"),
    Command("find", "ops.watch.find:find"),
    Command("order", "ops.watch.decide.order:app"),
    Command("partner", "ops.watch.decide.partner:app"),
    Command("ranking", "ops.watch.ranking:ranking"),
    Command("refund", "ops.watch.decide.refund:app"),
    Command("refunds", "ops.watch.decide.forget:app"),
    Command("quarantine", "ops.watch.decide.quarantine:app"),
    Command("serials", "ops.watch.serials.command:app"),
    Command("evidence", "ops.watch.evidence.command:app"),
    Command("document", "ops.watch.show.document:document"),
    Command("explain", "ops.watch.explain:explain"),
    Command("check", "ops.audit.check:check"),
    Command("record", "ops.audit.record:record"),
    Command("lag", "ops.watch.lag:lag"),
    Command("storage", "ops.watch.storage:storage"),
    Command("dead", "ops.watch.dead.commands:app"),
    Command("gaps", "ops.watch.gaps:app"),
    Command("recover", "ops.watch.recover:recover"),
    Command("month", "ops.watch.month.command:month"),
    Command("close", "ops.watch.close:close"),
    Command("audit", "ops.watch.audit_log:audit"),
    Command("token", "ops.watch.token:token"),
    Command("version", "ops.cli:show_version"),
)


class Commands(TyperGroup):
    """Imports the module of a command when somebody asks for that command, so that each starts quickly."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [command.name for command in COMMANDS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        for command in COMMANDS:
            if command.name == cmd_name:
                return load(command)
        return None

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Completes the names of commands from the table, without importing the commands."""
        ctx.command = TyperGroup(commands=[TyperCommand(command.name) for command in COMMANDS])
        return super().shell_complete(ctx, incomplete)


def load(command: Command) -> Any:
    """The command as the command line library wants it."""
    module, _, name = command.target.partition(":")
    target = getattr(import_module(module), name)
    if isinstance(target, typer.Typer):
        loaded = typer.main.get_command(target)
        loaded.name = command.name
        return loaded
    single = typer.Typer(add_completion=False, rich_markup_mode="rich")
    single.command(command.name)(target)
    return typer.main.get_command(single)


app = typer.Typer(
    name="pawl",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Payments become serials, refunds lock, months merge: start it, watch it, explain it, replay it.",
    epilog="Exit codes: 0 ok, 1 failed, 2 usage, 3 a rule is broken, 4 nothing matched, 5 something waits.",
)


def print_version_and_exit(asked: bool) -> None:
    """What `pawl --version` does."""
    if asked:
        show_version()
        raise typer.Exit


@app.callback()
def pawl(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the versions and exit.", callback=print_version_and_exit, is_eager=True
        ),
    ] = False,
) -> None:
    """Payments become serials, refunds lock, months merge: start it, watch it, explain it, replay it."""


def show_version(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Print the versions of Pawl and of the servers it embeds, as far as they are installed here.

    Example: [bold]pawl version[/bold]
    """
    versions = embedded_versions()
    text = "\n".join(f"{name} {number or 'is not installed here'}" for name, number in versions.items())
    print(json.dumps(versions) if as_json else text)


def embedded_versions() -> dict[str, str | None]:
    """The versions of Pawl, Kafka and PostgreSQL; None where PostgreSQL is not installed."""
    from ops.local.jars import KAFKA_VERSION
    from ops.local.postgres import wheel_version
    from shared import __version__

    versions: dict[str, str | None] = {"pawl": __version__, "kafka": KAFKA_VERSION, "postgres": None}
    with suppress(PackageNotFoundError):
        versions["postgres"] = wheel_version()
    return versions


def main() -> None:
    """Runs one command: turns a Problem into two lines on stderr and its exit code."""
    # The Kafka client logs each failed connection; the commands report it in their own words.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        app()
    except Problem as problem:
        tell_on_stderr(f"pawl: {problem.message}")
        if problem.hint:
            tell_on_stderr(f"      {problem.hint}")
        sys.exit(problem.exit_code)


if __name__ == "__main__":
    main()
