"""What the demonstration ends with: one screen of 80 columns and 24 lines."""

from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.text import Text

from ops.replay.summary import Summary
from ops.replay.tables import rates


@dataclass(slots=True, frozen=True)
class Disturbances:
    """What was done to the system on the way.

    `killed` is a service that was ended by SIGKILL after `killed_after` events of the history ("": none was),
    `repeats` are events that were sent twice.
    """

    repeats: int
    killed: str = ""
    killed_after: int = 0


@dataclass(slots=True, frozen=True)
class Handed:
    """A partner's file, and the registration of its first serial.

    `last_four` is what everybody may see of it. It can be used until the instant `usage_ends_at`.
    """

    file: str
    serials: int
    watermark: str
    last_four: str
    account: str
    usage_ends_at: str


@dataclass(slots=True, frozen=True)
class Result:
    """A whole demonstration. `waits` says by order what a planted trouble waits for.

    `mend` are the commands that mend one of them, `interesting` is an order worth a look. `is_known`: an
    earlier demonstration had replayed all of it. `handed` is what a partner got. `console` is the address of
    the console (empty: there is none), `places` what to mend there, as the path of its page by what it is.
    """

    summary: Summary
    disturbances: Disturbances
    waits: dict[str, str] = field(default_factory=dict)
    mend: list[str] = field(default_factory=list)
    interesting: str | None = None
    is_known: bool = False
    handed: Handed | None = None
    console: str = ""
    places: dict[str, str] = field(default_factory=dict)


def print_result(console: Console, result: Result, pawl: str, options: str, running: bool) -> None:
    """The figures, what waits, and what to type next.

    `pawl` is how this shell calls the command, `options` what each command needs besides. `running`: the
    system goes on after this.
    """
    for line in (*_figures(result), Text(), *_waits(result)):
        console.print(line, highlight=False, no_wrap=True, overflow="ellipsis")
    for line in _next(result, pawl, options, running):
        console.print(line, highlight=False, soft_wrap=True)


def _figures(result: Result) -> list[Text]:
    document = result.summary.document
    units, won = document["units"], document["won"]
    documents = sum(month["documents"] for month in document["months"].values())
    rows: list[tuple[str, str | Text]] = [
        ("came in", f"{document['lines']:,} lines of orders and cancellations:"),
        ("", f"{document['orders']:,} orders of {units['paid']:,} units, ₩{won['paid']:,}"),
        ("stands", f"{units['issued']:,} units have one serial each and can never be refunded"),
        ("", f"{units['refunded']:,} units are refunded, ₩{won['refunded']:,}, and can never be issued"),
        ("", f"{documents:,} tax invoices of {len(document['months'])} months, ₩{won['invoiced']:,}"),
        ("on the way", _disturbances(result.disturbances)),
        ("took", f"{document['seconds']:,.1f} s: {_speed(result)}"),
        ("auditor", _verdict(document["check"])),
        *_handed(result.handed),
    ]
    return [Text.assemble((f"{name:<11}", "bold"), text) for name, text in rows]


def _handed(handed: Handed | None) -> list[tuple[str, str | Text]]:
    if handed is None:
        return []
    until = handed.usage_ends_at[:10]
    return [
        ("handed out", f"{handed.serials} serials to a partner: {handed.file}"),
        ("registered", f"the one that ends in {handed.last_four}, by {handed.account}, until {until}"),
    ]


def _speed(result: Result) -> str:
    return "nothing was new" if result.is_known else rates(result.summary.document)


def _disturbances(done: Disturbances) -> str:
    killed = f"{done.killed} was killed after {done.killed_after:,} events; " if done.killed else ""
    return f"{killed}{done.repeats:,} events were sent twice"


def _verdict(check: dict[str, Any]) -> Text:
    if check["ok"]:
        text = f"every rule holds for {check['orders']:,} orders, those below among them"
        return Text(text, style="green")
    return Text(f"{len(check['violations'])} rules are broken: see `pawl check`", style="bold red")


def _waits(result: Result) -> list[Text]:
    if not result.waits:
        return [Text("Nothing waits for anybody.")]
    title = Text(f"What waits: {len(result.waits)} troubles, planted by this demo", style="bold")
    rows = [Text.assemble((f"  {order_id:<6}", "yellow"), what) for order_id, what in result.waits.items()]
    return [title, *rows]


def _next(result: Result, pawl: str, options: str, running: bool) -> list[Text]:
    if result.console:
        return _in_the_console(result, pawl, options, running)
    where = "in another terminal" if running else f"after {_up(pawl, options)} in another terminal"
    todo = "Mend your first one" if result.mend else "Look at one order"
    return [Text(), Text(f"{todo}, {where}:", style="bold"), *_commands(result, pawl, options)]


def _in_the_console(result: Result, pawl: str, options: str, running: bool) -> list[Text]:
    """Without an empty line before it, and with one command only: the screen has 24 lines."""
    mend = "Mend these in the console" if result.places else "Look around in the console"
    when = "" if running else f" (after {_up(pawl, options)})"
    places = [Text(f"  {what:<8} {result.console}{path}") for what, path in result.places.items()]
    *_, last = _commands(result, pawl, options)
    return [
        Text.assemble((f"{mend}{when}, ", "bold"), result.console, (":", "bold")),
        *places,
        Text.assemble("  or type", last),
    ]


def _up(pawl: str, options: str) -> str:
    return f"`{pawl} up{options}`"


def _commands(result: Result, pawl: str, options: str) -> list[Text]:
    """What to type: how one trouble is mended, else an order worth a look."""
    commands = result.mend or [f"order {result.interesting}"]
    return [Text(f"  {pawl} {command}{options}") for command in commands]
