"""Judges a recorded history key by key: answers, ends, units, won, and the decisions themselves."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ops.audit.history.amounts import issued_once, issued_xor_refunded, refunded_won
from ops.audit.history.answers import answered_once
from ops.audit.history.cases import (
    cases_end_as_decided,
    cases_proposed,
    one_payment_one_order,
    payments_placed,
)
from ops.audit.history.documents import documents_dated, documents_late
from ops.audit.history.entries import ENDED, Entry, entry_of, lines_of
from ops.audit.history.explanation import caused, right_decisions
from ops.audit.history.key_history import AcrossKeys, KeyHistory, numbered_once, without_repeats
from ops.audit.history.merges import merges_answered
from ops.audit.history.refund_steps import ends_once, payouts_told, released_when_failed
from ops.audit.rules import Rule
from ops.shell.problem import Exit, Problem

ANSWERED_ONCE = Rule("answered_once", "Each request has exactly one answer, and no answer is for nothing")
CAUSED = Rule("caused", "Each decision of orders has a request that asked for it")
RIGHT = Rule("right_decisions", "Some order of the requests explains every grant, denial and won")
ENDS_ONCE = Rule("ends_once", "Each refund request ends once, and each step follows the one before")
ISSUED_ONCE = Rule("issued_once", "Each grant is issued once, with its units, and nothing else is")
XOR = Rule("issued_xor_refunded", "Units issued and units refunded are never more than those paid")
MONEY = Rule("refunded_won", "What is paid back is what was granted, and never more than was paid")
CHECKS: dict[Rule, Callable[[KeyHistory], Iterator[str]]] = {
    ENDS_ONCE: ends_once,
    Rule("payouts_told", "Each payout is told once: complete, repaid, or paid twice"): payouts_told,
    Rule("released_when_failed", "Only a payout that surely failed is given up"): released_when_failed,
    ISSUED_ONCE: issued_once,
    XOR: issued_xor_refunded,
    MONEY: refunded_won,
    Rule(
        "payments_placed", "Each accepted payment is on its order or in a case, with its won"
    ): payments_placed,
    Rule("one_payment_one_order", "Each payment pays one order"): one_payment_one_order,
    Rule("cases_proposed", "Each case has a proposal of its won"): cases_proposed,
    Rule(
        "cases_end_as_decided", "Each case ends once, with its won, as it was decided"
    ): cases_end_as_decided,
    Rule("merges_answered", "Each request about a merge is answered, for all that it names"): merges_answered,
    Rule("documents_dated", "No document is dated before the one that it modifies"): documents_dated,
    Rule("documents_late", "A document is late when it is issued after its due day"): documents_late,
    Rule("numbered_once", "No two events have one source, subject and number"): numbered_once,
}
"""The rules that come after the decisions. All but ANSWERED_ONCE need every event of a key."""
HISTORY_RULES = [ANSWERED_ONCE, CAUSED, RIGHT, *CHECKS]

PREFIXED = 20  # violations whose shortest offending prefix is looked for


class Broken(NamedTuple):
    """A broken rule of one order. `prefix` are the readable lines that already break it."""

    rule: str
    order_id: str
    detail: str
    prefix: Sequence[str] = ()


@dataclass(slots=True)
class Judged:
    """The verdict on a history. `quiet`: nothing was on its way at its end, so that what is missing is lost.

    `undecided` orders have too many concurrent requests to try all orders; `partial` ones begin before it.
    """

    entries: int = 0
    orders: int = 0
    requests: int = 0
    events: int = 0
    undecided: int = 0
    partial: int = 0
    quiet: bool = False
    violations: list[Broken] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.violations

    def to_document(self) -> dict[str, Any]:
        """The JSON document of `pawl check --history --json`."""
        return {
            "ok": self.ok,
            "orders": self.orders,
            "violations": [broken._asdict() for broken in self.violations],
            "totals": {"entries": self.entries, "requests": self.requests, "facts": self.events},
            "quiet": self.quiet,
            "undecided": self.undecided,
            "partial": self.partial,
        }


def judge_file(file: Path) -> Judged:
    """Judges the history in a file. Raises Problem when it is none."""
    by_key: dict[str, list[bytes]] = defaultdict(list)
    judged, across = Judged(), AcrossKeys()
    for number, line in lines_of(file):
        entry = _read(file, number, line)
        _note(judged, across, entry)
        by_key[entry.key].append(line)
    while by_key:
        key, lines = by_key.popitem()
        judge_key(judged, key, [entry_of(line) for line in lines], across)
    return judged


def judge(entries: Iterable[Entry]) -> Judged:
    """Judges a history that is in memory."""
    by_key: dict[str, list[Entry]] = defaultdict(list)
    judged, across = Judged(), AcrossKeys()
    for entry in entries:
        _note(judged, across, entry)
        by_key[entry.key].append(entry)
    for key, found in by_key.items():
        judge_key(judged, key, found, across)
    return judged


def _read(file: Path, number: int, line: bytes) -> Entry:
    try:
        return entry_of(line)
    except (ValueError, TypeError) as error:
        raise Problem(
            f"{file} line {number} is no entry of a history: {error}", "docs/history.md", Exit.USAGE
        ) from error


def _note(judged: Judged, across: AcrossKeys, entry: Entry) -> None:
    judged.entries += 1
    across.note(entry)
    if entry.type == ENDED:
        judged.quiet = bool(entry.data.get("quiet"))


def judge_key(judged: Judged, key: str, found: list[Entry], across: AcrossKeys) -> None:
    """Adds what one key (an order, or a partner) breaks."""
    entries = without_repeats([entry for entry in found if entry.type != ENDED])
    if not entries:
        return
    _count(judged, entries)
    history = KeyHistory(key, entries, judged.quiet, across)
    violations, undecided = broken_rules(history)
    judged.partial += history.partial
    judged.undecided += undecided
    for rule, detail in violations:
        prefix = shortest_prefix(history, rule) if len(judged.violations) < PREFIXED else entries
        lines = [entry.text() for entry in prefix]
        judged.violations.append(Broken(rule.name, key, detail, lines))


def _count(judged: Judged, entries: Sequence[Entry]) -> None:
    judged.requests += sum(entry.op == "invoke" for entry in entries)
    judged.events += sum(entry.op == "info" for entry in entries)
    judged.orders += any(entry.order_id for entry in entries)


def broken_rules(history: KeyHistory) -> tuple[list[tuple[Rule, str]], bool]:
    """Every rule that one key breaks, with the detail; and whether its decisions could not be decided."""
    broken = [(ANSWERED_ONCE, detail) for detail in answered_once(history)]
    if history.partial:
        return broken, False
    decisions, undecided = right_decisions(history)
    broken += [(CAUSED, detail) for detail in caused(history)]
    broken += [(RIGHT, detail) for detail in decisions]
    broken += [(rule, detail) for rule, check in CHECKS.items() for detail in check(history)]
    return broken, undecided


def shortest_prefix(history: KeyHistory, rule: Rule) -> Sequence[Entry]:
    """The first entries that break the rule whatever comes later; all of them where it needs the end."""
    shortest = history.entries
    for length in range(len(shortest) - 1, 0, -1):
        prefix = KeyHistory(history.key, history.entries[:length], False, history.across)
        if not any(broken is rule for broken, _ in broken_rules(prefix)[0]):
            break
        shortest = prefix.entries
    return shortest
