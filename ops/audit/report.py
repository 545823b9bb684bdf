"""What an audit found, as a document and as tables."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ops.audit.rules import RULES, Finding, Rule, Won
from ops.audit.topics.report import TopicReport
from ops.audit.topics.rules import TOPIC_RULES

SHOWN = 20


@dataclass(slots=True)
class Totals:
    """Sums over all orders. Units: paid = issued + refunded + open, so units on their way count as open."""

    paid_units: int = 0
    issued_units: int = 0
    refunded_units: int = 0
    serials: int = 0
    won: Won = field(default_factory=Won)

    def to_document(self) -> dict[str, int]:
        won = self.won
        return {
            "paid_units": self.paid_units,
            "issued_units": self.issued_units,
            "refunded_units": self.refunded_units,
            "open_units": self.paid_units - self.issued_units - self.refunded_units,
            "serials": self.serials,
            "paid_won": won.paid,
            "refunded_won": won.refunded,
            "fee_won": won.fee,
            "invoiced_won": won.invoiced,
            "card_slip_won": won.card_slip,
            "cash_receipt_won": won.cash_receipt,
            "uninvoiced_won": won.uninvoiced,
            "quarantined_won": won.quarantined,
        }


@dataclass(slots=True)
class AuditReport:
    """The result of an audit.

    `settled`: nothing was on its way. `in_flight` orders have events on their way and were compared only as
    far as they are settled. `waiting` needs somebody's attention but breaks no rule.
    """

    orders: int = 0
    violations: list[Finding] = field(default_factory=list)
    totals: Totals = field(default_factory=Totals)
    settled: bool = True
    in_flight: int = 0
    waiting: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every rule holds."""
        return not self.violations

    def to_document(self) -> dict[str, Any]:
        """The JSON document of `pawl check --json`."""
        return {
            "ok": self.ok,
            "orders": self.orders,
            "violations": [
                {"rule": found.rule, "order_id": found.order_id, "detail": found.detail}
                for found in self.violations
            ],
            "totals": self.totals.to_document(),
            "settled": self.settled,
            "in_flight": self.in_flight,
            "waiting": self.waiting,
        }


def print_report(console: Console, report: AuditReport) -> None:
    """Rules, totals, what waits, and the verdict."""
    for line in _rules(report):
        console.print(line, soft_wrap=True, highlight=False)
    console.print(_totals(report))
    for wait in report.waiting[:SHOWN]:
        console.print(f"waits: {wait['detail']}  → {wait['next']}", highlight=False, soft_wrap=True)
    console.print(_verdict(report), soft_wrap=True)


def print_topics(console: Console, report: TopicReport) -> None:
    """Rules of the topics, what was read, and the verdict."""
    for line in rule_lines(TOPIC_RULES, report.findings.counts):
        console.print(line, soft_wrap=True, highlight=False)
    console.print(counted({**report.records, **report.totals()}))
    if report.deleted:
        gone = f"Retention has deleted the beginning of {len(report.deleted):,} partitions"
        console.print(f"{gone}; what is left was checked.", highlight=False, soft_wrap=True)
    verdict = named(report.violations, report.findings.counts.total())
    if report.ok:
        verdict.append("The topics hold what the services have committed.", style="bold green")
    console.print(verdict, soft_wrap=True)


def _rules(report: AuditReport) -> Iterator[Text]:
    return rule_lines(RULES, Counter(found.rule for found in report.violations))


def rule_lines(rules: Iterable[Rule], broken: Mapping[str, int]) -> Iterator[Text]:
    """A line for each rule: does it hold, and how often is it broken?"""
    for rule in rules:
        mark = ("✗", "bold red") if broken.get(rule.name) else ("✓", "green")
        line = Text.assemble(mark, f" {rule.name:<22} {rule.sentence}")
        if times := broken.get(rule.name):
            line.append(f": broken {times:,} times", style="red")
        yield line


def _totals(report: AuditReport) -> Table:
    return counted(report.totals.to_document())


def counted(totals: Mapping[str, int]) -> Table:
    """Names and amounts; a name that ends with `won` is money."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(justify="right")
    for name, amount in totals.items():
        kind = name.rpartition("_")[2]
        table.add_row(name.replace("_", " "), f"₩{amount:,}" if kind == "won" else f"{amount:,}")
    return table


def named(violations: Sequence[Finding], total: int) -> Text:
    """The first violations, a line each, and how many more there are."""
    text = Text()
    for found in violations[:SHOWN]:
        text.append("✗ ", style="bold red")
        text.append(f"{found.order_id or '-'}  {found.rule}: {found.detail}\n")
    if total > SHOWN:
        text.append(f"  and {total - SHOWN:,} more; all of them with --json\n")
    return text


def _verdict(report: AuditReport) -> Text:
    verdict = named(report.violations, len(report.violations))
    if not report.settled:
        verdict.append(
            f"Work is going on: {report.in_flight:,} orders were compared as far as they are settled.\n"
        )
    if report.ok:
        return verdict.append(f"Every rule holds for {report.orders:,} orders.", style="bold green")
    orders = len({found.order_id for found in report.violations})
    return verdict.append(
        f"{len(report.violations):,} violations in {orders:,} orders. Look closer: pawl order ID",
        style="bold red",
    )
