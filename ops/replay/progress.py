"""How a replay shows how far it is: a bar on a terminal, else a line every few seconds. On stderr, always."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from ops.replay.driver import Progress
from shared.clock import monotonic

LINE_EVERY = 5.0

Show = Callable[[Progress], None]


@contextmanager
def shown_progress(plain: bool) -> Iterator[Show]:
    """A function that shows a progress; `plain` asks for lines even on a terminal."""
    console = Console(stderr=True)
    if plain or not console.is_terminal:
        yield _Lines()
    else:
        with _bar(console) as bar:
            yield _Drawn(bar)


def _bar(console: Console) -> Bar:
    return Bar(
        TextColumn("{task.description:<24}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
    )


class _Rate:
    """Orders a second since the first order was paid."""

    def __init__(self) -> None:
        self.since: float | None = None

    def text(self, progress: Progress) -> str:
        if not progress.orders:
            return ""
        self.since = self.since or monotonic()
        seconds = monotonic() - self.since
        return f"{progress.orders / seconds:,.0f} orders/s" if seconds >= 1 else ""


class _Drawn:
    def __init__(self, bar: Bar) -> None:
        self.bar, self.rate = bar, _Rate()
        self.task = bar.add_task("", total=None, rate="")

    def __call__(self, progress: Progress) -> None:
        self.bar.update(
            self.task,
            description=progress.doing,
            total=progress.of_steps,
            completed=progress.steps,
            rate=self.rate.text(progress),
        )


class _Lines:
    def __init__(self) -> None:
        self.rate, self.next_at = _Rate(), monotonic() + LINE_EVERY

    def __call__(self, progress: Progress) -> None:
        rate = self.rate.text(progress)
        if monotonic() < self.next_at:
            return
        self.next_at += LINE_EVERY
        done = f"{progress.steps:,} of {progress.of_steps:,} events settled"
        print(", ".join(filter(None, (progress.doing, done, rate))), file=sys.stderr, flush=True)
