"""What needs somebody, as a person reads it in 80 columns."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from rich.console import Console
from rich.text import Text

from ops.shell.problem import Exit, Problem
from shared.operators.todo import Group

UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(days=7)}
YEAR = timedelta(days=365)
_AGE = re.compile(r"([0-9]{1,5})([mhdw])", re.ASCII)


def parse_age(text: str) -> timedelta:
    """`90m`, `12h`, `3d`, `2w`. Raises Problem (exit code 2) for anything else."""
    match = _AGE.fullmatch(text)
    if match is None:
        raise Problem(
            f"{text!r} is not an age.", "For example: --older-than 3d (or 90m, 12h, 2w)", Exit.USAGE
        )
    return int(match[1]) * UNITS[match[2]]


def age_text(age: timedelta) -> str:
    """`0m`, `41m`, `5h`, `47d`, `15y`: the largest unit of which there are at least one (two of years)."""
    if age >= 2 * YEAR:
        return f"{age // YEAR}y"
    for unit in ("d", "h"):
        if age >= UNITS[unit]:
            return f"{age // UNITS[unit]}{unit}"
    return f"{max(age, timedelta(0)) // UNITS['m']}m"


def sums(groups: Sequence[Group]) -> str:
    """`12 things wait for 5 causes; 3 are overdue`."""
    count, late = sum(group.count for group in groups), sum(group.overdue for group in groups)
    if not count:
        return "Nothing needs anybody."
    things = "1 thing waits" if count == 1 else f"{count:,} things wait"
    causes = "1 cause" if len(groups) == 1 else f"{len(groups):,} causes"
    overdue = f"; {late:,} {'is' if late == 1 else 'are'} overdue" if late else ""
    return f"{things} for {causes}{overdue}"


def print_todo(console: Console, groups: Sequence[Group], now: datetime, with_members: bool = False) -> None:
    """Two or three lines for each group: how many, since when, who, why, and the next command."""
    console.print(Text(sums(groups), style="bold" if groups else "green"), soft_wrap=True)
    for group in groups:
        for line in _lines(group, now, with_members):
            console.print(line, soft_wrap=True, highlight=False)


def _lines(group: Group, now: datetime, with_members: bool) -> Iterator[Text]:
    yield Text()
    what = group.code.replace("_", " ")
    won = "" if group.won is None else f"₩{group.won:,}"
    age = age_text(now - group.since)
    yield Text.assemble(
        f"{group.count:>5,} ", (f"{what:<28}", "bold"), f" {group.service:<8} {won:>16} {age:>5}  {group.who}"
    )
    why = Text("; ").join(_why(group, now))
    if why:
        yield Text("      ").append_text(why)
    if group.interest is not None:
        yield Text(f"      ₩{group.interest:,} of interest, if the buyers are consumers", style="red")
    if with_members:
        for member in group.members:
            yield Text(f"        {member}")
        if group.count > len(group.members) > 0:
            yield Text(f"        and {group.count - len(group.members):,} more")
    yield Text("      ").append(group.command, style="cyan")


def _why(group: Group, now: datetime) -> Iterator[Text]:
    if group.reason:
        yield Text(group.reason)
    if group.overdue_since is not None:
        late = age_text(now - group.overdue_since)
        yield Text(
            f"{group.overdue:,} overdue, by {late}"
            if group.overdue == 1
            else f"{group.overdue:,} overdue, up to {late}",
            style="red",
        )
    if group.due is not None:
        yield Text(
            f"{'the next ' if group.overdue else ''}due in {age_text(group.due - now)}", style="yellow"
        )
