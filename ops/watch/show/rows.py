"""The lines of a view that is printed."""

from collections.abc import Iterable
from datetime import datetime

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from ops.shell.output import visible
from shared.kst import in_kst


def day(instant: str | None) -> str:
    """The day in Seoul of an instant of a document; empty without one."""
    return "" if instant is None else f"{in_kst(datetime.fromisoformat(instant)):%Y-%m-%d}"


def minute(instant: str) -> str:
    """The minute in Seoul of an instant of a document."""
    return f"{in_kst(datetime.fromisoformat(instant)):%Y-%m-%d %H:%M}"


def won(amount: int | None) -> str:
    """`₩70,400`; `₩?` where the won are not decided yet."""
    return "₩?" if amount is None else f"₩{amount:,}"


def words(name: str) -> str:
    """`paying_out` as `paying out`."""
    return name.replace("_", " ")


def print_lines(console: Console, head: str, lines: Iterable[tuple[str, str]]) -> None:
    """A head, and lines that each begin with what they are about, in a column as wide as that needs."""
    console.print(Text(visible(head), style="bold"), soft_wrap=True, highlight=False)
    shown = list(lines)
    width = max(10, max((cell_len(name) + 1 for name, _ in shown), default=0))
    for name, text in shown:
        about = visible(name)
        line = Text.assemble((f"  {about}{' ' * (width - cell_len(about))}", "dim"), visible(text))
        console.print(line, soft_wrap=True, highlight=False)
