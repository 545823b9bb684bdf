"""The group `pawl serials`; the commands themselves are in the modules beside this one."""

import typer

from ops.watch.serials import ending, finding, rotating, showing, taking

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="See how far serials are, hand them out, find, reissue or revoke one, see who took which.",
    epilog="Example: pawl serials status A-1001",
)
app.command("status")(showing.status)
app.command("find")(finding.find)
app.command("export")(taking.export)
app.command("notice")(taking.notice)
app.command("reissue")(ending.reissue)
app.command("revoke")(ending.revoke)
app.command("rotate")(rotating.rotate)
app.command("custody")(showing.custody)
app.command("leak")(showing.leak)
app.command("campaign")(showing.campaign)
