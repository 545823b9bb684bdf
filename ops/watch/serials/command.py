"""The group `pawl serials`; the commands themselves are in the modules beside this one."""

import typer

from ops.watch.serials import ending, finding

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="Find a serial, reissue or revoke it.",
    epilog="Example: pawl serials find --last-four GHZA --order A-1001",
)
app.command("find")(finding.find)
app.command("reissue")(ending.reissue)
app.command("revoke")(ending.revoke)
