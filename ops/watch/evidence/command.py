"""`pawl evidence`: what happened to an order that is disputed, as files; and whether they are whole."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ops.shell.groups import ShowsByName
from ops.shell.options import Directory, Json, PostgresUrl
from ops.shell.output import print_json
from ops.shell.problem import Exit, Problem
from ops.shell.system import find_system
from ops.watch.evidence.collecting import take_evidence
from ops.watch.evidence.files import write_bundle
from ops.watch.evidence.verifying import verify_bundle
from ops.watch.show.rows import print_lines
from shared.operators.commands import pawl

app = typer.Typer(
    cls=ShowsByName,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="Take what is known of a disputed order, `pawl evidence A-1001 -o DIR`, or check what was taken.",
    epilog="Example: pawl evidence A-1001 -o dispute-A-1001",
)


@app.command("show")
def show(
    order_id: Annotated[str, typer.Argument(metavar="ORDER", help="The id of the order.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The folder, which is made.")],
    postgres: PostgresUrl = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Take everything that the four services know of an order: JSON, a PDF in Korean and English, a manifest.

    It answers what mediation asks: who bought what, what was paid, delivered, asked back and decided, when
    and why. No serial and no full account is in it. The files are readable by you only. Keep the head of the
    chain that is printed: it shows later that nothing was taken out, changed or made anew.

    Exit code 4: no service knows the order.

    Example: [bold]pawl evidence A-1001 -o dispute-A-1001[/bold]
    """
    document = asyncio.run(take_evidence(find_system(None, postgres, directory), order_id))
    manifest = write_bundle(document, output)
    entries, pages = len(manifest["entries"]), len(manifest["pages"])
    told = {"order_id": order_id, "folder": str(output), "entries": entries, "pages": pages}
    if as_json:
        print_json({**told, "head": manifest["head"], "as_of_one_moment": document["as_of_one_moment"]})
        return
    lines = [
        ("folder", str(output)),
        ("entries", f"{entries:,} on {pages:,} pages"),
        ("head", manifest["head"]),
    ]
    print_lines(Console(), f"evidence of order {order_id}", [*lines, ("check", _check(output))])


@app.command("verify")
def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the bundle.")],
    head: Annotated[
        str | None,
        typer.Option(metavar="HASH", help="The head of the chain, as you were told it.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check that nothing of a bundle was taken out, changed, moved or replaced; names what was.

    Without --head it cannot be seen that a whole bundle was made anew. Needs no system. Exit code 3:
    something is wrong.

    Example: [bold]pawl evidence verify dispute-A-1001[/bold]
    """
    manifest, faults = verify_bundle(folder, head)
    if as_json:
        named = {name: manifest[name] for name in ("order_id", "taken_at", "head")}
        print_json({**named, "entries": len(manifest["entries"]), "faults": faults})
        if faults:
            raise typer.Exit(Exit.RULE_BROKEN)
        return
    if faults:
        again = "Ask who sent it for the files again, and for the head of the chain by another way."
        raise Problem("\n      ".join(faults), again, Exit.RULE_BROKEN)
    entries, pages = f"{len(manifest['entries']):,} entries", f"{len(manifest['pages']):,} pages"
    whole = [("whole", f"{entries} and {pages}, as of {manifest['taken_at']}"), ("head", manifest["head"])]
    print_lines(Console(), f"evidence of order {manifest['order_id']}", whole)


def _check(folder: Path) -> str:
    return pawl("evidence", "verify", str(folder))
