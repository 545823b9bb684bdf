"""Judges a recorded history order by order: answers, ends, units, won, and the decisions themselves."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ops.audit.history.entries import CHECKOUT, ENDED, OPERATOR, REPLAYED, Entry, entry_of, lines_of
from ops.audit.history.model import DEEDS, WAITS_FOR_MONEY, Deed, Order, decide, outcome_of, shares_of
from ops.audit.history.search import Explained, Happening, explain
from ops.audit.rules import Rule
from ops.shell.problem import Exit, Problem

ANSWERED_ONCE = Rule("answered_once", "Each request has exactly one answer, and no answer is for nothing")
CAUSED = Rule("caused", "Each decision of orders has a request that asked for it")
RIGHT = Rule("right_decisions", "Some order of the requests explains every grant, denial and won")
ENDS_ONCE = Rule("ends_once", "Each refund request ends once, and each step follows the one before")
ISSUED_ONCE = Rule("issued_once", "Each grant is issued once, with its units, and nothing else is")
XOR = Rule("issued_xor_refunded", "Units issued and units refunded are never more than those paid")
MONEY = Rule("refunded_won", "What is paid back is what was granted, and never more than was paid")
HISTORY_RULES = [ANSWERED_ONCE, CAUSED, RIGHT, ENDS_ONCE, ISSUED_ONCE, XOR, MONEY]

PREFIXED = 20  # violations whose shortest offending prefix is looked for
NEXT_STEPS: Mapping[str, set[str]] = {
    "": {"refund.accepted.v1", "refund.held.v1", "refund.rejected.v1"},
    "refund.held.v1": {"refund.accepted.v1", "refund.rejected.v1"},
    "refund.accepted.v1": {"refund.granted.v1", "refund.denied.v1"},
    "refund.granted.v1": {"refund.payout_requested.v1"},
    "refund.payout_requested.v1": {"refund.payout_requested.v1", "refund.completed.v1", "refund.failed.v1"},
    "refund.failed.v1": {
        "refund.failed.v1",
        "refund.payout_requested.v1",
        "refund.completed.v1",
        "refund.released.v1",
    },
    "refund.completed.v1": set(),
    "refund.rejected.v1": set(),
    "refund.denied.v1": set(),
    "refund.released.v1": set(),
}
"""What may follow each step of a refund. A failure may be overtaken by a success, never the other way."""
ENDS = frozenset({"refund.completed.v1", "refund.rejected.v1", "refund.denied.v1", "refund.released.v1"})
ASKED_OF_OTHERS = frozenset({"refund.accepted.v1", "refund.granted.v1"})
"""Steps after which the services themselves have to go on; other steps wait for checkout or an operator."""


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
    facts: int = 0
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
            "totals": {"entries": self.entries, "requests": self.requests, "facts": self.facts},
            "quiet": self.quiet,
            "undecided": self.undecided,
            "partial": self.partial,
        }


@dataclass(slots=True)
class Known:
    """What is known across keys: partners that have left, and which requests were answered anywhere."""

    withdrawn: set[str] = field(default_factory=set)
    answered: set[int] = field(default_factory=set)

    def note(self, judged: Judged, entry: Entry) -> None:
        judged.entries += 1
        if entry.type == ENDED:
            judged.quiet = bool(entry.data.get("quiet"))
        elif entry.type == "partner.withdrawn.v1":
            self.withdrawn.add(entry.key)
        elif entry.op in ("ok", "fail") and not _by_place(entry):
            self.answered.add(hash(entry.identity))


def judge_file(file: Path) -> Judged:
    """Judges the history in a file. Raises Problem when it is none."""
    by_key: dict[str, list[bytes]] = defaultdict(list)
    judged, known = Judged(), Known()
    for number, line in lines_of(file):
        entry = _read(file, number, line)
        known.note(judged, entry)
        by_key[entry.key].append(line)
    while by_key:
        key, lines = by_key.popitem()
        judge_key(judged, key, [entry_of(line) for line in lines], known)
    return judged


def judge(entries: Iterable[Entry]) -> Judged:
    """Judges a history that is in memory."""
    by_key: dict[str, list[Entry]] = defaultdict(list)
    judged, known = Judged(), Known()
    for entry in entries:
        known.note(judged, entry)
        by_key[entry.key].append(entry)
    for key, found in by_key.items():
        judge_key(judged, key, found, known)
    return judged


def _read(file: Path, number: int, line: bytes) -> Entry:
    try:
        return entry_of(line)
    except (ValueError, TypeError) as error:
        raise Problem(
            f"{file} line {number} is no entry of a history: {error}", "docs/history.md", Exit.USAGE
        ) from error


def judge_key(judged: Judged, key: str, entries: list[Entry], known: Known) -> None:
    """Adds what one key (an order, or a partner) breaks."""
    told = _once([entry for entry in entries if entry.type != ENDED])
    if not told:
        return
    judged.requests += sum(entry.op == "invoke" for entry in told)
    judged.facts += sum(entry.op == "info" for entry in told)
    if any(entry.order_id for entry in told):
        judged.orders += 1
    story = Story(key, told, judged.quiet, known)
    judged.partial += story.partial
    broken = list(story.broken())
    judged.undecided += story.explained.undecided
    for rule, detail in broken:
        prefix: Sequence[Entry] = told
        if len(judged.violations) < PREFIXED:
            prefix = shortest_prefix(key, told, judged.quiet, known, rule)
        lines = [entry.told() for entry in prefix]
        judged.violations.append(Broken(rule.name, key, detail, lines))


def _once(entries: list[Entry]) -> list[Entry]:
    """In the order of time, without what the broker holds twice. A request comes before its consequences."""
    entries.sort(key=lambda entry: (entry.time, OPS_ORDER[entry.op], entry.sequence or 0))
    known: set[tuple[str, str]] = set()
    told = []
    for entry in entries:
        identity = (
            entry.op,
            entry.at if entry.op == "invoke" else entry.answer or f"{entry.source} {entry.id}",
        )
        if not identity[1].strip() or identity not in known:
            known.add(identity)
            told.append(entry)
    return told


OPS_ORDER = {"invoke": 0, "ok": 1, "fail": 1, "info": 2}


def shortest_prefix(key: str, told: list[Entry], quiet: bool, known: Known, rule: Rule) -> Sequence[Entry]:
    """The first entries that break the rule whatever comes later; all of them where it needs the end."""
    shortest: Sequence[Entry] = told
    for length in range(len(told) - 1, 0, -1):
        if not any(found is rule for found, _ in Story(key, told[:length], False, known).broken()):
            break
        shortest = told[:length]
    return shortest


class Story:
    """All that was seen of one key."""

    def __init__(self, key: str, told: Sequence[Entry], quiet: bool, known: Known) -> None:
        self.key, self.told, self.quiet, self.known = key, told, quiet, known
        self.requests = [entry for entry in told if entry.op == "invoke"]
        self.answers = [entry for entry in told if entry.op in ("ok", "fail")]
        self.facts = [e for e in told if e.op == "info" and e.process not in (OPERATOR, CHECKOUT)]
        self.accepted = {entry.identity for entry in self.answers if entry.op == "ok"}
        self.explained = Explained()
        first = next((fact.sequence for fact in self.facts if fact.process == "orders"), 1)
        self.partial = first is not None and first > 1

    def broken(self) -> Iterator[tuple[Rule, str]]:
        """Every rule that this story breaks."""
        for detail in self._answers():
            yield ANSWERED_ONCE, detail
        if self.partial:
            return
        for judge_rule, rule in (
            (self._causes, CAUSED),
            (self._decisions, RIGHT),
            (self._refunds, ENDS_ONCE),
            (self._issued, ISSUED_ONCE),
            (self._units, XOR),
            (self._won, MONEY),
        ):
            for detail in judge_rule():
                yield rule, detail

    # -- answers ---------------------------------------------------------------------------------------------

    def _answers(self) -> Iterator[str]:
        yield from self._identities_answered()
        places = {request.at for request in self.requests}
        by_place = Counter(answer.at for answer in self.answers if _by_place(answer))
        for place, times in by_place.items():
            if times > 1:
                yield f"the request at {place} got {times} answers"
        for answer in self.answers:
            if answer.at not in places:
                yield f"{answer.process} answers {answer.id or answer.at} at {answer.at}, where nobody asked"

    def _identities_answered(self) -> Iterator[str]:
        replays = Counter(e.identity for e in self.told if e.type == REPLAYED)
        given = Counter(answer.identity for answer in self.answers if not _by_place(answer))
        contents: dict[tuple[str, str], str] = {}
        refused_places = {answer.at for answer in self.answers if _by_place(answer)}
        for request in self.requests:
            if not request.id or not request.source:
                if self.quiet and request.at not in refused_places:
                    yield f"the request at {request.at} got no answer"
                continue
            first = contents.setdefault(request.identity, request.content)
            if first != request.content and self.quiet and request.at not in refused_places:
                yield f"{request.id} was used again for something else at {request.at}, without an answer"
        for identity in contents:
            times = given[identity]
            if times > 1 + replays[identity]:
                yield f"{identity[1]} got {times} answers"
            elif times == 0 and self.quiet and hash(identity) not in self.known.answered:
                yield f"{identity[1]} got no answer"

    # -- decisions -------------------------------------------------------------------------------------------

    def _causes(self) -> Iterator[str]:
        asked = {request.id for request in self.requests} | {fact.id for fact in self.facts}
        for fact in self.facts:
            if fact.process == "orders" and fact.type != "order.expired.v1" and fact.cause not in asked:
                cause = fact.cause or "nothing"
                yield f"orders tells {fact.type} {fact.id}, caused by {cause}, which nobody said"

    def _decisions(self) -> Iterator[str]:
        happenings, silent = self._happenings()
        self.explained = explain(happenings)
        if self.explained.undecided:
            return
        if not self.explained.finals:
            yield self.explained.why or "no order of the requests explains what was told"
        elif self.quiet:
            wrong = [_unexplained(order, silent) for order in self.explained.finals]
            if all(wrong):
                yield wrong[0]

    def _happenings(self) -> tuple[list[Happening], list[Deed]]:
        """Deeds with something to be seen (and releases, which move units unseen), and the silent ones."""
        by_cause: dict[str, list[Entry]] = defaultdict(list)
        for fact in self.facts:
            if fact.process == "orders":
                by_cause[fact.cause].append(fact)
        happenings, silent = [], []
        for entry in self._deeds():
            facts = by_cause.get(entry.id, [])
            deed = Deed(entry.type, entry.id, self._data(entry))
            if facts or entry.type == "refund.released.v1":
                happenings.append(self._happening(deed, entry, facts))
            else:
                silent.append(deed)
        return [*happenings, *self._expiries(by_cause), *self._rejections()], silent

    def _happening(self, deed: Deed, entry: Entry, facts: Sequence[Entry]) -> Happening:
        outcome = outcome_of([(fact.type, fact.data) for fact in facts])
        end = facts[0].time if facts else None
        return Happening(deed, entry.time, end, outcome, self.quiet)

    def _deeds(self) -> Iterator[Entry]:
        known = set()
        for request in self.requests:
            if request.type in DEEDS and request.identity in self.accepted and request.identity not in known:
                known.add(request.identity)
                yield request
        for fact in self.facts:
            if fact.type in ("refund.accepted.v1", "refund.released.v1"):
                yield fact

    def _data(self, entry: Entry) -> Mapping[str, Any]:
        if entry.type == "refund.accepted.v1":
            return {**entry.data, "everything": self._is_everything(entry)}
        partner = (entry.data.get("partner") or {}).get("partner_id")
        return {**entry.data, "withdrawn": True} if partner in self.known.withdrawn else entry.data

    def _is_everything(self, accepted: Entry) -> bool:
        """Whether the request named no units, and no operator has approved an amount for them.

        As the request says it; as refunds says it where requests of that id differ.
        """
        reviews = self._accepted_requests(REVIEW)
        if any(r.id == accepted.cause and r.data.get("amount") is not None for r in reviews):
            return False
        request_id = accepted.data["refund_request_id"]
        requests = self._accepted_requests(REFUND)
        said = {not r.data.get("lines") for r in requests if r.data.get("refund_request_id") == request_id}
        return said.pop() if len(said) == 1 else bool(accepted.data.get("everything"))

    def _expiries(self, by_cause: Mapping[str, Sequence[Entry]]) -> Iterator[Happening]:
        payments = {r.id for r in self.requests if r.type == "payment.completed.v1"}
        for fact in self.facts:
            if fact.type == "order.expired.v1" and fact.cause not in payments:
                deed = Deed(fact.type, fact.id, {})
                yield Happening(deed, self.told[0].time, fact.time, (("order.expired",),))

    def _rejections(self) -> Iterator[Happening]:
        asked = {r.data.get("refund_request_id"): r for r in reversed(self.requests) if r.type == REFUND}
        claims = Counter[str]()
        for fact in self.facts:
            if fact.type == "refund.accepted.v1":
                claims.update(dict(shares_of(fact.data)))
        for fact in self.facts:
            request = asked.get(fact.data.get("refund_request_id"))
            if fact.type == "refund.rejected.v1" and request is not None:
                data = {**request.data, "rejected": fact.data["reason"], "asked": claims}
                outcome = (("refund.rejected", fact.data["reason"]),)
                yield Happening(Deed(fact.type, request.id, data), request.time, fact.time, outcome)

    # -- ends ------------------------------------------------------------------------------------------------

    def _refunds(self) -> Iterator[str]:
        steps: dict[str, list[Entry]] = defaultdict(list)
        for fact in self.facts:
            if fact.data.get("refund_id") and fact.type != "refund.locked.v1":
                steps[fact.data["refund_id"]].append(fact)
        for refund_id, facts in steps.items():
            yield from self._one_refund(refund_id, facts)
        yield from self._requests_begun()

    def _one_refund(self, refund_id: str, facts: Sequence[Entry]) -> Iterator[str]:
        """Steps by the services' own numbers, orders' answer between asking and paying out."""
        last = ""
        for fact in sorted(facts, key=_place_in_refund):
            if fact.type not in NEXT_STEPS[last] and not (fact.type in ENDS and fact.type == last):
                yield f"refund {refund_id}: {fact.type} {fact.id} follows {last or 'no step'}"
            last = fact.type
        ends = Counter(fact.type for fact in facts if fact.type in ENDS)
        if ends.total() > 1:
            told = " and ".join(f"{name} x{times}" for name, times in ends.items())
            yield f"refund {refund_id} ends more than once: {told}"
        if self.quiet and last in ASKED_OF_OTHERS and not self._waits_for_payment():
            yield f"refund {refund_id} stands still after {last}"

    def _requests_begun(self) -> Iterator[str]:
        begun = Counter(
            fact.data.get("refund_request_id")
            for fact in self.facts
            if fact.type in ("refund.accepted.v1", "refund.held.v1", "refund.rejected.v1")
            and fact.sequence in (None, 1)
        )
        asked = {r.data.get("refund_request_id") for r in self._accepted_requests(REFUND)}
        for request_id in asked:
            if begun[request_id] == 0 and self.quiet and not self._waits_for_payment():
                yield f"refund request {request_id} was accepted and came to nothing"

    def _accepted_requests(self, type_name: str) -> list[Entry]:
        return [r for r in self.requests if r.type == type_name and r.identity in self.accepted]

    def _waits_for_payment(self) -> bool:
        told = {fact.type for fact in self.facts}
        return not told & {"order.paid.v1", "order.expired.v1", "order.cancelled.v1"}

    # -- units and won ---------------------------------------------------------------------------------------

    def _issued(self) -> Iterator[str]:
        granted = {f.data["grant_id"]: f for f in self.facts if f.type == "issuance.granted.v1"}
        issued = [f for f in self.facts if f.type == "serials.issued.v1"]
        times = Counter(fact.data["grant_id"] for fact in issued)
        for fact in issued:
            grant_id, units = fact.data["grant_id"], fact.data["quantity"]
            grant = granted.get(grant_id)
            if grant is None and self.quiet:
                yield f"{units} units are issued for grant {grant_id}, which nobody made"
            elif grant is not None and grant.data["quantity"] != units:
                yield f"grant {grant_id} of {grant.data['quantity']} units is issued with {units}"
        for grant_id, number in times.items():
            if number > 1:
                yield f"grant {grant_id} is issued {number} times"
        for grant_id in granted.keys() - times.keys():
            if self.quiet:
                yield f"grant {grant_id} of {granted[grant_id].data['quantity']} units is not issued"

    def _units(self) -> Iterator[str]:
        paid = {
            line["line_id"]: line["quantity"]
            for fact in self.facts
            if fact.type == "order.paid.v1"
            for line in fact.data["lines"]
        }
        gone = Counter[str]()
        for fact in self.facts:
            if fact.type == "serials.issued.v1":
                gone[fact.data["line_id"]] += fact.data["quantity"]
            elif fact.type == "refund.completed.v1":
                gone.update(dict(shares_of(fact.data)))
        if not paid and not self.quiet:
            return
        for line_id, units in gone.items():
            most = paid.get(line_id, 0)
            if units > most:
                yield f"line {line_id}: {units} units are issued or refunded, {most} were paid"

    def _won(self) -> Iterator[str]:
        granted = {f.data["refund_id"]: f.data for f in self.facts if f.type == "refund.granted.v1"}
        back = 0
        for fact in self.facts:
            if fact.type == "refund.completed.v1":
                back += fact.data["supply"] + fact.data["vat"]
                yield from _paid_as_granted(fact.data, granted.get(fact.data["refund_id"]))
        back += sum(f.data["amount"] for f in self.facts if f.type == "order.cancelled.v1")
        paid = sum(f.data["amount"] for f in self.facts if f.type == "order.paid.v1")
        if back > paid and (paid or self.quiet):
            yield f"{back} won went back, {paid} were paid"


REFUND = "refund.requested.v1"
REVIEW = "refund.reviewed.v1"


def _paid_as_granted(told: Mapping[str, Any], claim: Mapping[str, Any] | None) -> Iterator[str]:
    supply, vat, fee = told["supply"], told["vat"], told["fee"]
    if told["amount"] != supply + vat - fee:
        yield f"refund {told['refund_id']} pays {told['amount']} won for {supply} + {vat} - {fee}"
    if claim is not None and (claim["supply"], claim["vat"]) != (supply, vat):
        granted = f"{claim['supply']} + {claim['vat']}"
        yield f"refund {told['refund_id']} was granted {granted} won and completed with {supply} + {vat}"


_REFUND_PHASE = {"refund.granted.v1": 1, "refund.denied.v1": 1}
_BEFORE_ANSWER = frozenset({"refund.held.v1", "refund.accepted.v1", "refund.rejected.v1"})


def _place_in_refund(fact: Entry) -> tuple[int, int]:
    phase = _REFUND_PHASE.get(fact.type, 0 if fact.type in _BEFORE_ANSWER else 2)
    return phase, fact.sequence or 0


def _by_place(answer: Entry) -> bool:
    """An answer to one record, not to an event: it has no identity, or its identity is what is wrong."""
    return not answer.id or not answer.source or answer.code == "duplicate_id"


def _unexplained(order: Order, silent: Sequence[Deed]) -> str:
    """What a deed without any fact should have led to, when it neither waits nor changes nothing."""
    left = list(silent)
    progress = True
    while progress:
        progress = False
        for deed in list(left):
            after = next((state for state, outcome in decide(order, deed) if not outcome), None)
            if after is not None:
                order, progress = after, True
                left.remove(deed)
    for deed in left:
        waits = order.status in WAITS_FOR_MONEY and deed.kind != "payment.completed.v1"
        if not waits and any(True for _ in decide(order, deed)):
            return f"{deed.kind} {deed.id} was accepted and nothing followed; the order is {order.status}"
    return ""
