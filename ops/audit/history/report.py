"""The verdict on a history, for a terminal."""

from collections import Counter

from rich.console import Console
from rich.text import Text

from ops.audit.history.judge import HISTORY_RULES, Judged
from ops.audit.report import rule_lines

SHOWN = 5
LINES = 40


def print_judged(console: Console, judged: Judged) -> None:
    """Rules, then each violation with the lines that break it."""
    broken = Counter(violation.rule for violation in judged.violations)
    for line in rule_lines(HISTORY_RULES, broken):
        console.print(line, soft_wrap=True, highlight=False)
    for violation in judged.violations[:SHOWN]:
        text = f"✗ {violation.order_id or '-'}  {violation.rule}: {violation.detail}"
        console.print(Text(text, style="bold red"), soft_wrap=True)
        for number, entry in enumerate(violation.prefix[-LINES:], 1):
            console.print(Text(f"  {number:>3}  {entry}"), soft_wrap=True)
    if len(judged.violations) > SHOWN:
        console.print(
            f"and {len(judged.violations) - SHOWN:,} more; all of them with --json", highlight=False
        )
    console.print(_verdict(judged), soft_wrap=True)


def _verdict(judged: Judged) -> Text:
    verdict = Text()
    if not judged.quiet:
        verdict.append("Work was going on when the recording ended: what is missing was not judged.\n")
    if judged.undecided:
        verdict.append(f"{judged.undecided:,} orders have too many concurrent requests to be decided.\n")
    if judged.partial:
        verdict.append(
            f"{judged.partial:,} orders begin before the recording; only their answers were judged.\n"
        )
    read = f"{judged.requests:,} requests and {judged.events:,} events of {judged.orders:,} orders"
    if judged.ok:
        return verdict.append(f"{read}: the model explains all of them.", style="bold green")
    return verdict.append(f"{read}: {len(judged.violations):,} violations.", style="bold red")
