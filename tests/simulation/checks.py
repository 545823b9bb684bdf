"""What must hold after every step, and what must hold when everything has come to rest.

The checks keep books of their own from the events that were committed, and compare them with the rows; no
check asks the code under test what is right. Each failure is a `Violation` that names the check.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from shared.events.canonical import content_hash
from shared.events.catalogue import service_of
from shared.events.envelope import read_envelope
from shared.events.faults import Fault as DocumentFault
from shared.runtime.commands import SOURCE_PREFIX
from shared.runtime.intake import NOT_OURS
from shared.runtime.records import StoredRecord
from tests.simulation.cash import Account, Cash
from tests.simulation.checkout import line_won
from tests.simulation.drafts import all_documents
from tests.simulation.memory import Row
from tests.simulation.promises import day_in_seoul, must
from tests.simulation.serials_book import SerialsBook
from tests.simulation.system import System

BOUNCED = ("bounced", "repaying")
ENDED = ("expired", "cancelled", "refunded")
REFUND_ENDS = {
    "refund.completed.v1": "completed",
    "refund.rejected.v1": "rejected",
    "refund.denied.v1": "denied",
    "refund.released.v1": "released",
}


RETURNS = {"refund.completed.v1": "completed_at", "order.cancelled.v1": "cancelled_at"}
"""What takes money back, and the field that says when."""
UNANSWERED = ("timeout", "unknown")
SAYING = ("draft", "approved", "issue_failed", "issued")
"""The states of a document that has won on it."""
CORRECTIONS = ("correction", "issued_twice")
SAID_BY_CHECKOUT = "e-"
"""How the ids of checkout's events begin."""
MAY_GO = ("parked", "unsent", "order_lines", "sales")
"""What was handled waits no more, nor what was sent at last; the lines of an order that nobody paid may give
way to others; an order whose money is back is no sale."""


def month_in_seoul(instant: datetime) -> str:
    return str(day_in_seoul(instant))[:7]


class Leaving(NamedTuple):
    """An order of a partner that has left, and what of it must be over: its grants, refunds and invoice."""

    order_id: str
    grants: set[str]
    refunds: set[str]
    needs_invoice: bool


def goes_on(before: str, after: str) -> bool:
    """Whether an order that had ended has become something else. One that was refunded may still be taken
    back by upstream, and is cancelled then: nothing is open, and the missing money is in quarantine."""
    return before in ENDED and after != before and (before, after) != ("refunded", "cancelled")


@dataclass(slots=True)
class OrderBook:
    """An order as its events tell it: units by line, and every claim to them."""

    paid: dict[str, int] = field(default_factory=dict)
    money: tuple[int, int] | None = None
    grants: dict[str, tuple[str, int]] = field(default_factory=dict)
    refunds: dict[str, dict[str, int]] = field(default_factory=dict)
    released: set[str] = field(default_factory=set)
    back: Counter[str] = field(default_factory=Counter)
    partner: str = ""
    pending: bool = False
    needs_invoice: bool = False
    cases: Counter[str] = field(default_factory=Counter)

    def surely_open(self, line_id: str) -> int:
        """Units that nobody has claimed yet; those of a released refund may not be known to be free."""
        granted = sum(quantity for line, quantity in self.grants.values() if line == line_id)
        refunded = sum(lines.get(line_id, 0) for lines in self.refunds.values())
        return self.paid.get(line_id, 0) - granted - refunded - self.back[line_id]


class Checks:
    """Follows a system: call `step` after everything that may have committed, `rest` when nothing moves."""

    def __init__(self, system: System) -> None:
        self._system = system
        self.serials = SerialsBook(system.sites["serials"].database)
        self._read = dict.fromkeys(system.sites, 0)
        self.sequences: dict[tuple[str, str], int] = defaultdict(int)
        self.books: dict[str, OrderBook] = defaultdict(OrderBook)
        self.worth: dict[str, tuple[int, int]] = {}
        self.everything: dict[str, set[str] | None] = {}
        self.ends: dict[str, list[str]] = defaultdict(list)
        self.payout_keys: dict[str, set[str]] = defaultdict(set)
        self.bounces: Counter[str] = Counter()
        self.issued: dict[str, int] = {}
        self.granted: dict[str, tuple[str, str, int]] = {}
        self.answers: dict[tuple[str, int, int, int], list[str]] = defaultdict(list)
        self.requests: set[tuple[str, str, str]] = set()
        self.states: dict[str, str] = {}
        self.documents: dict[Any, Row] = {}
        self.tries: dict[str, str] = {}
        self.returned_on: dict[str, date] = {}
        self.invoiced: set[str] = set()
        self.left: list[Leaving] = []
        self.decided: set[tuple[str, str]] = set()
        self.cursors: dict[Any, int] = defaultdict(int)
        self.marks: dict[str, int] = defaultdict(int)
        self.kept: set[tuple[str, str, Any]] = set()
        self._known: dict[str, set[UUID]] = {}
        self.upstream: Callable[[], Sequence[StoredRecord]] = lambda: system.broker.records_of(
            "checkout.events"
        )

    def step(self) -> None:
        """Everything that must hold at any time."""
        self._system.watch.look()
        self._hear_refunds()
        touched: dict[str, list[tuple[str, Any]]] = {}
        for name, site in self._system.sites.items():
            touched[name] = list(dict.fromkeys(site.database.changed))
            site.database.changed.clear()
            outbox = site.database.tables["outbox"]
            for fact in self._unheard(name):
                self._hear(name, fact)
            self._read[name] = len(outbox)
            self._nothing_is_lost(name, touched[name])
        self._look_at_leavings()
        self._look_at_decisions()
        self._look_at_orders(touched["orders"])
        self._look_at_serials(touched["serials"])
        self.serials.look(key for table, key in touched["serials"] if table == "serials")
        self._look_at_refunds(touched["refunds"])
        self._look_at_invoices(touched["invoices"])
        self._look_at_parked()

    def is_set_back(self, service: str, known: set[UUID]) -> None:
        """A schema stood where it stood before, and was brought forward: in another order, perhaps.

        `known` are the ids of all that it had said: none of it is said again in another way.
        """
        self._known[service] = known
        self._read[service] = 0
        self.kept = {kept for kept in self.kept if kept[0] != service}
        self.cursors = defaultdict(int, {at: n for at, n in self.cursors.items() if at[0] != service})
        self.marks[service] = 0

    # What was said

    def _unheard(self, service: str) -> Iterator[Row]:
        outbox = self._system.sites[service].database.tables["outbox"]
        known = self._known.get(service)
        for number in range(self._read[service] + 1, len(outbox) + 1):
            if known is None or outbox[number]["event_id"] not in known:
                yield outbox[number]

    def _hear_refunds(self) -> None:
        """First of all, because what orders says in the same step may follow from it."""
        for fact in self._unheard("refunds"):
            said, data = fact["type"], orjson.loads(fact["data"])
            if said == "refund.released.v1":
                self.books[data["order_id"]].released.add(data["refund_id"])
            elif said == "refund.accepted.v1":
                whole = {line["line_id"] for line in data["lines"] if "consumed" in line}
                self.everything[data["refund_id"]] = whole if data.get("everything") else None

    def _hear(self, service: str, fact: Row) -> None:
        data = orjson.loads(fact["data"])
        if fact["topic"] == "checkout.feedback":
            self._hear_answer(fact["type"], data)
            return
        subject = (service, fact["subject"])
        self.sequences[subject] += 1
        must(
            fact["sequence"] == self.sequences[subject],
            "sequences are contiguous",
            f"{fact['type']} of {subject} has {fact['sequence']}, not {self.sequences[subject]}",
        )
        if fact["type"] == "invoice.unmerged.v1":
            self._is_taken_apart_by_its_own(data["invoice_id"], fact["causation"])
        if fact["type"].startswith("serial."):
            self.serials.hear(fact["type"], data)
        hear = getattr(self, f"_hear_{fact['type'].replace('.', '_')}", None)
        if hear is not None:
            hear(self.books[data.get("order_id", "")], data)
        if fact["type"] in RETURNS:
            returned_at = datetime.fromisoformat(data[RETURNS[fact["type"]]])
            self.returned_on[data.get("refund_id", str(fact["event_id"]))] = day_in_seoul(returned_at)
        if fact["type"] in REFUND_ENDS:
            self.ends[data["refund_id"]].append(REFUND_ENDS[fact["type"]])
            ends = self.ends[data["refund_id"]]
            must(len(ends) == 1, "a refund ends once", f"{data['refund_id']} ended as {ends}")

    def _hear_answer(self, type_name: str, data: Mapping[str, Any]) -> None:
        position = data["position"]
        said = "accepted" if type_name == "event.accepted.v1" else data["code"]
        life = self._system.broker.lives[position["topic"]]
        place = (position["topic"], position["partition"], position["offset"], life)
        self.answers[place].append(said)
        self._is_about_its_record(place, data)
        must(len(self.answers[place]) == 1, "one answer a record", f"{place}: {self.answers[place]}")

    def _hear_order_paid_v1(self, book: OrderBook, data: Mapping[str, Any]) -> None:
        must(book.money is None, "an order is paid once", f"{data['order_id']} is paid again")
        book.money = (data["supply"], data["vat"])
        book.paid = {line["line_id"]: line["quantity"] for line in data["lines"]}
        book.partner, book.pending = data["partner"]["partner_id"], False
        book.needs_invoice = data["evidence"] == "tax_invoice" and data["payment_method"] != "card"

    def _hear_order_registered_v1(self, book: OrderBook, data: Mapping[str, Any]) -> None:
        book.partner, book.pending = data["partner"]["partner_id"], True

    def _hear_order_expired_v1(self, book: OrderBook, data: Mapping[str, Any]) -> None:
        book.pending = False

    def _hear_issuance_granted_v2(self, book: OrderBook, data: Mapping[str, Any]) -> None:
        for grant in data["grants"]:
            grant_id, line_id = grant["grant_id"], grant["line_id"]
            self._hear_request_answered(data, line_id)
            must(grant_id not in self.granted, "a grant is made once", grant_id)
            self.granted[grant_id] = (data["order_id"], line_id, grant["quantity"])
            book.grants[grant_id] = (line_id, grant["quantity"])
        self._no_unit_twice(book, data["order_id"])

    def _hear_issuance_denied_v1(self, book: OrderBook, data: Mapping[str, Any]) -> None:
        if data["reason"] != "duplicate_request":  # the request of that id is answered by itself
            self._hear_request_answered(data, data["line_id"])
        line = self._rows("orders", "order_lines").get((data["order_id"], data["line_id"]))
        # A request that names a line which the order does not have is denied as a whole, and one whose id is
        # known with other content asks for nothing.
        judged = data["reason"] not in ("unknown_line", "duplicate_request")
        if line is not None and line["kind"] == "serials" and judged:
            units = book.surely_open(data["line_id"])
            asked, name = data["quantity"], f"{data['order_id']}/{data['line_id']}"
            must(units <= 0 or units < asked, "what is open is issued when it is asked for",
                 f"{name}: {asked} units are denied, {units} are open")  # fmt: skip

    def _hear_request_answered(self, data: Mapping[str, Any], line_id: str) -> None:
        request = (data["order_id"], data["request_id"], line_id)
        must(request not in self.requests, "a request is answered once", str(request))
        self.requests.add(request)

    def _hear_refund_granted_v1(self, book: OrderBook, data: Mapping[str, Any]) -> None:
        refund_id = data["refund_id"]
        must(refund_id not in book.refunds, "a refund is granted once", refund_id)
        book.refunds[refund_id] = {line["line_id"]: line["quantity"] for line in data["lines"]}
        self.worth[refund_id] = (data["supply"], data["vat"])
        self._no_unit_twice(book, data["order_id"])

    def _hear_refund_denied_v1(self, book: OrderBook, data: Mapping[str, Any]) -> None:
        whole = self.everything[data["refund_id"]]
        lines = self._rows("orders", "order_lines")
        left = {
            line["line_id"]: line["left"]
            for line in data["lines"]
            if (data["order_id"], line["line_id"]) not in lines
            or line_won(lines[data["order_id"], line["line_id"]])
        }
        must(
            whole is None or not any(units for line_id, units in left.items() if line_id not in whole),
            "everything refundable is what is left",
            f"{data['refund_id']} named no units and was denied although there are {left}",
        )

    def _hear_order_cancelled_v1(self, book: OrderBook, data: Mapping[str, Any]) -> None:
        for line in data["lines"]:
            book.back[line["line_id"]] += line["quantity"]
        book.pending = False
        self._no_unit_twice(book, data["order_id"])

    def _hear_serials_issued_v2(self, book: OrderBook, data: Mapping[str, Any]) -> None:
        for grant in data["grants"]:
            grant_id, quantity = grant["grant_id"], grant["quantity"]
            must(grant_id not in self.issued, "a grant is issued once", grant_id)
            must(grant_id in self.granted, "only what was granted is issued", grant_id)
            must(self.granted[grant_id][2] == quantity, "a grant is issued whole", f"{grant_id}: {quantity}")
            self.issued[grant_id] = quantity

    def _hear_refund_completed_v1(self, book: OrderBook, data: Mapping[str, Any]) -> None:
        refund_id = data["refund_id"]
        must(refund_id in self.worth, "only granted refunds are paid", refund_id)
        must(
            self.worth[refund_id] == (data["supply"], data["vat"]),
            "refunds pay what orders decided",
            f"{refund_id}: {self.worth[refund_id]} was granted, {data['supply'], data['vat']} completed",
        )

    def _hear_refund_payout_requested_v1(self, book: OrderBook, data: Mapping[str, Any]) -> None:
        refund_id, key = data["refund_id"], data["idempotency_key"]
        known = self.payout_keys[refund_id]
        known.add(key)
        must(
            len(known) == 1 + self.bounces[refund_id],
            "a key of its own for each round of payouts, and no other",
            f"{refund_id} bounced {self.bounces[refund_id]} times and has the keys {sorted(known)}",
        )
        others = [other for other, theirs in self.payout_keys.items() if key in theirs and other != refund_id]
        must(
            not others,
            "a key of its own for each round of payouts, and no other",
            f"{refund_id} and {others} are asked for as {key}",
        )
        self.tries[refund_id] = "unanswered"

    def _hear_refund_failed_v1(self, book: OrderBook, data: Mapping[str, Any]) -> None:
        self.tries[data["refund_id"]] = "unanswered" if data["reason"] in UNANSWERED else "failed"

    def _hear_refund_released_v1(self, book: OrderBook, data: Mapping[str, Any]) -> None:
        refund_id = data["refund_id"]
        must(self.tries.get(refund_id) in ("failed", "bounced"), "an unanswered payout is never released",
             f"{refund_id} may still be paid, and its units are given back")  # fmt: skip

    def _hear_invoice_issued_v1(self, book: OrderBook, data: Mapping[str, Any]) -> None:
        self.invoiced.update(data["payment_ids"])

    def _hear_payment_quarantined_v1(self, book: OrderBook, data: Mapping[str, Any]) -> None:
        self._look_at_decisions()
        book.cases[data["payment_id"]] += 1

    def _hear_quarantine_settled_v1(self, book: OrderBook, data: Mapping[str, Any]) -> None:
        book.cases[data["payment_id"]] -= 1
        if data["decision"] in ("returned", "kept"):
            self.decided.add((data["order_id"], data["payment_id"]))

    def _look_at_decisions(self) -> None:
        """Once money is returned or kept, no case of its payment is open."""
        for order_id, payment_id in self.decided:
            left = self.books[order_id].cases[payment_id]
            must(left == 0, "a decision is about all cases of its payment",
                 f"{left} cases of {payment_id} of {order_id} are open")  # fmt: skip
        self.decided.clear()

    def _hear_partner_withdrawn_v1(self, book: OrderBook, data: Mapping[str, Any]) -> None:
        """What was open is judged now; what others finish may be said later in this step."""
        theirs = {o: b for o, b in self.books.items() if b.partner == data["partner_id"]}
        for order_id, each in theirs.items():
            kinds = {
                li: row["kind"]
                for (o, li), row in self._rows("orders", "order_lines").items()
                if o == order_id
            }
            units = {li: each.surely_open(li) for li in each.paid if kinds.get(li) == "serials"}
            must(not each.pending, "nobody leaves before all is done", f"{order_id} waits for its deposit")
            must(not any(n > 0 for n in units.values()), "nobody leaves before all is done",
                 f"{data['partner_id']} left: {units} of {order_id} are open")  # fmt: skip
            self.left.append(Leaving(order_id, set(each.grants), set(each.refunds), each.needs_invoice))

    def _look_at_leavings(self) -> None:
        """Nothing of a partner that left was on its way: no serial, no refund, no invoice."""
        for order_id, grants, refunds, needs_invoice in self.left:
            missing = sorted(grants - self.issued.keys()) + sorted(refunds - self.ends.keys())
            must(not missing, "nobody leaves before all is done", f"{order_id}: {missing} are unfinished")
            order = self._rows("orders", "orders").get(order_id)
            if needs_invoice and order is not None and any(_won(order, "remaining_")):
                must(order["payment_id"] in self.invoiced, "nobody leaves before all is done",
                     f"{order_id}: {order['payment_id']} has no invoice")  # fmt: skip
        self.left.clear()

    def _is_about_its_record(self, place: tuple[str, int, int, int], data: Mapping[str, Any]) -> None:
        """An answer names the id of the very record whose place it gives."""
        if place[0] != "checkout.events":
            return
        log = self._system.broker.logs.get((place[0], place[1]), [])
        if place[2] >= len(log):
            return
        identity, _ = identity_of(log[place[2]])
        named = data.get("event", {}).get("id")
        must(identity is None or named in (None, identity[1]), "an answer is about its record",
             f"{place} holds {identity}, the answer names {named}")  # fmt: skip

    def _nothing_is_lost(self, service: str, touched: Iterable[tuple[str, Any]]) -> None:
        """What was committed stays: no row goes, no cursor and no mark goes back."""
        tables = self._system.sites[service].database.tables
        for table, key in touched:
            row = tables[table].get(key)
            is_known = (service, table, key) in self.kept
            must(
                row is not None or table in MAY_GO or not is_known,
                "nothing that was committed is lost",
                f"{service}: {table} {key}",
            )
            if row is not None:
                self.kept.add((service, table, key))
            if table == "cursors" and row is not None:
                must(row >= self.cursors[service, key], "nothing that was committed is lost",
                     f"{service}: the cursor of {key} goes back to {row}")  # fmt: skip
                self.cursors[service, key] = row
        mark = tables["relay"].get("published", 0)
        must(
            mark >= self.marks[service],
            "nothing that was committed is lost",
            f"{service}: the mark goes back",
        )
        self.marks[service] = mark

    def _hear_refund_bounced_v1(self, book: OrderBook, data: Mapping[str, Any]) -> None:
        self.bounces[data["refund_id"]] += 1
        self.tries[data["refund_id"]] = "bounced"
        self._is_paid_as_decided(data)

    def _hear_refund_repaid_v1(self, book: OrderBook, data: Mapping[str, Any]) -> None:
        self._is_paid_as_decided(data)

    def _is_paid_as_decided(self, data: Mapping[str, Any]) -> None:
        refund_id = data["refund_id"]
        must(self.ends[refund_id] == ["completed"], "only what was paid out bounces", refund_id)
        refund = self._rows("refunds", "refunds")[UUID(refund_id)]
        must(
            data["amount"] == sum(self.worth[refund_id]) - refund["fee"],
            "refunds pay what orders decided",
            f"{refund_id}: {self.worth[refund_id]} was granted, {data['amount']} went",
        )

    def _is_taken_apart_by_its_own(self, invoice_id: str, cause: str) -> None:
        """What an operator merged over several partners is taken apart by an operator's command only."""
        document = self._rows("invoices", "documents")[UUID(invoice_id)]
        is_allowed = not document["also"] or not cause.startswith(SAID_BY_CHECKOUT)
        must(is_allowed, "a partner cannot undo an operator", f"{invoice_id} is undone by {cause}")

    def _hear_invoice_modified_v1(self, book: OrderBook, data: Mapping[str, Any]) -> None:
        """What an operator corrects is said again too; the rows of its documents are looked at as a whole."""
        total = data["total"]
        if data["cause"] == "operator":
            return
        must(total < 0, "a modified invoice takes back", f"{data['document_key']} is over {total} won")
        if data["cause"] == "refund":
            supply, vat = self.worth[data["refund_id"]]
            must(total == -supply - vat, "a modified invoice takes back", f"{data['refund_id']}: {total}")

    def _no_unit_twice(self, book: OrderBook, order_id: str) -> None:
        claimed: Counter[str] = Counter(book.back)
        for line_id, quantity in book.grants.values():
            claimed[line_id] += quantity
        for refund_id, lines in book.refunds.items():
            if refund_id not in book.released:
                claimed.update(lines)
        for line_id, units in claimed.items():
            paid = book.paid.get(line_id, 0)
            must(
                units <= paid,
                "claims never exceed what was paid",
                f"{units} units of {order_id}/{line_id} are claimed, {paid} were paid",
            )

    # What is written

    def _rows(self, service: str, table: str) -> dict[Any, Any]:
        tables = self._system.sites[service].database.tables
        return all_documents(tables) if (service, table) == ("invoices", "documents") else tables[table]

    def _told(self, service: str, subject: object, sequence: int) -> None:
        said = self.sequences[service, str(subject)]
        must(
            said == sequence,
            "state and facts are one",
            f"{service}: {subject} is at {sequence}, {said} facts were said",
        )

    def _look_at_orders(self, touched: Iterable[tuple[str, Any]]) -> None:
        rows = [self._rows("orders", table).get(key) for table, key in touched if table in ORDER_TABLES]
        for order_id in sorted({row["order_id"] for row in rows if row is not None}):
            order = self._rows("orders", "orders").get(order_id)
            if order is not None:
                self._look_at_order(order_id, order)

    def _look_at_order(self, order_id: str, order: Row) -> None:
        claims = [c for c in self._rows("orders", "claims").values() if c["order_id"] == order_id]
        lines = [li for (o, _), li in self._rows("orders", "order_lines").items() if o == order_id]
        for line in lines:
            self._look_at_line(order, line, [c for c in claims if c["line_id"] == line["line_id"]])
        before = self.states.get(order_id)
        must(
            before is None or not goes_on(before, order["state"]),
            "what has ended stays ended",
            f"{order_id} went from {before} to {order['state']}",
        )
        self.states[order_id] = str(order["state"])
        self._look_at_free_units(order_id, lines)
        self._look_at_money(order, claims, lines)
        self._told("orders", order_id, order["sequence"])

    def _look_at_line(self, order: Row, line: Row, claims: list[Row]) -> None:
        name = f"{line['order_id']}/{line['line_id']}"
        counts = [line[c] for c in COUNTS]
        must(
            min(counts) >= 0 and sum(counts) <= line["paid"],
            "claims never exceed what was paid",
            f"{name}: {counts} of {line['paid']}",
        )
        claimed = [_sum(claims, "issue", "claimed"), _sum(claims, "issue", "confirmed"),
                   _sum(claims, "refund", "claimed"), _sum(claims, "refund", "confirmed")]  # fmt: skip
        if order["state"] == "cancelled":
            counts[3] = claimed[3] = 0
            must(sum(counts) == line["paid"] - line["refunded"], "a cancelled order has no open units", name)
        must(counts == claimed, "every unit has its claim", f"{name}: {counts} counted, {claimed} claimed")

    def _look_at_free_units(self, order_id: str, lines: list[Row]) -> None:
        priced = [li for li in lines if line_won(li)]
        free = sum(li["paid"] - sum(li[c] for c in COUNTS) for li in lines if not line_won(li))
        gone = all(li["paid"] == li["refunding"] + li["refunded"] for li in priced)
        must(not (free and priced and gone), "free units go with the last priced ones",
             f"{order_id}: {free} are open")  # fmt: skip

    def _look_at_money(self, order: Row, claims: list[Row], lines: list[Row]) -> None:
        left = (order["remaining_supply"], order["remaining_vat"])
        must(min(left) >= 0 and left[0] <= order["supply"] and left[1] <= order["vat"],
             "refunds stay within the payment", f"{order['order_id']}: {left}")  # fmt: skip
        if any(claim["state"] == "void" for claim in claims):
            return
        gross = sum(left)
        rest = left[0] // 10 if order["vat_mode"] == "exclusive" else gross // 11
        must(left[1] == rest, "VAT follows what remains", f"{order['order_id']}: {left} remain")
        open_worth = sum(
            line_won(li) * (li["paid"] - li["refunding"] - li["refunded"]) // li["quantity"] + li["consumed"]
            for li in lines
        )
        worth = left[0] if order["vat_mode"] == "exclusive" else gross
        must(worth == open_worth, "won follow units", f"{order['order_id']}: {worth} won, {open_worth} worth")

    def _look_at_serials(self, touched: Iterable[tuple[str, Any]]) -> None:
        grants = {key for table, key in touched if table == "grants"}
        if not grants and not any(table == "serials" for table, _ in touched):
            return
        counted = self._serials_of_units()
        for grant_id in sorted(grants | set(counted)):
            grant = self._rows("serials", "grants")[grant_id]
            granted = self.granted.get(str(grant_id))
            must(granted is not None and granted[2] == grant["quantity"],
                 "only what was granted is issued", str(grant_id))  # fmt: skip
            must(counted[grant_id] == grant["issued"] <= grant["quantity"],
                 "one serial a granted unit",
                 f"{grant_id}: {counted[grant_id]} serials, {grant['issued']} counted")  # fmt: skip
            self._told("serials", grant_id, grant["sequence"])
            order = self._rows("serials", "orders")[grant["order_id"]]
            self._told("serials", order["order_id"], order["sequence"])

    def _serials_of_units(self) -> Counter[UUID]:
        """Serials of each grant; a reissued one stands for the unit of the one that it replaces."""
        rows = self._rows("serials", "serials").values()
        return Counter(row["grant_id"] for row in rows if row["replaces"] is None)

    def _look_at_refunds(self, touched: Iterable[tuple[str, Any]]) -> None:
        for table, key in touched:
            if table == "refunds":
                refund = self._rows("refunds", "refunds")[key]
                self._told("refunds", key, refund["sequence"])
            elif table == "order_lines":
                line = self._rows("refunds", "order_lines")[key]
                counts = [line[c] for c in ("granted", "refunding", "refunded", "taken_back")]
                must(min(counts) >= 0 and sum(counts) <= line["paid"],
                     "claims never exceed what was paid", f"refunds has {counts} for {key}")  # fmt: skip
            elif table == "orders":
                self._told("refunds", key, self._rows("refunds", "orders")[key]["sequence"])

    def _look_at_invoices(self, touched: Iterable[tuple[str, Any]]) -> None:
        documents = self._rows("invoices", "documents")
        ids: dict[UUID, None] = {}
        for table, key in touched:
            if table == "payments":
                payment = self._rows("invoices", "payments")[key]
                self._look_at_payment(payment)
                for name in ("invoice_id", "draft_id"):
                    if payment[name] is not None:
                        ids[payment[name]] = None
            elif table == "documents":
                ids[key] = None
        for invoice_id in ids:
            self._look_at_document(documents[invoice_id])
        made = [documents[i] for i in ids if documents[i]["modification"] in CORRECTIONS]
        for invoice_id in sorted({d["original_id"] for d in made if d["refund_id"] is None}):
            self._look_at_correction(documents[invoice_id])

    def _look_at_payment(self, payment: Row) -> None:
        name = payment["order_id"]
        paid, refunded, standing = (_won(payment, prefix) for prefix in ("", "refunded_", "standing_"))
        must(all(0 <= r <= p for r, p in zip(refunded, paid, strict=True)),
             "refunds stay within the payment", f"{name}: {refunded} of {paid}")  # fmt: skip
        must(payment["issued_units"] + payment["returned_units"] <= payment["serial_units"],
             "claims never exceed what was paid", f"invoices has {dict(payment.items())}")  # fmt: skip
        must(payment["open_refunds"] >= 0, "refunds are opened and ended in pairs", name)
        modified = [d for d in self._rows("invoices", "documents").values() if d["order_id"] == name]
        back = (sum(d["supply"] for d in modified), sum(d["vat"] for d in modified))
        for p, r, s, b in zip(paid, refunded, standing, back, strict=True):
            must(p - r == s + b, "payments less refunds are on documents",
                 f"{name}: {p} - {r} won, but {s} stand and {b} were modified")  # fmt: skip

    def _look_at_document(self, document: Row) -> None:
        name, key = document["document_key"] or document["invoice_id"], document["invoice_id"]
        told = self._rows("invoices", "transmissions").get(key, document)
        self._told("invoices", key, told["sequence"])
        before = self.documents.get(key)
        must(before is None or before["state"] != "issued" or before == document,
             "an issued document never changes", str(name))  # fmt: skip
        self.documents[key] = document
        self._look_at_dates(document, name)
        if document["kind"] == "modified":
            is_back = document["supply"] + document["vat"] < 0 or document["modification"] in CORRECTIONS
            must(is_back, "a modified invoice takes back", str(name))
            self._look_at_date_of_modified(document)
            return
        payments = self._rows("invoices", "payments").values()
        on_it = [p for p in payments if p["invoice_id"] == key]
        if self._taken_back(document) is not None:
            must(not on_it, "a corrected document has no payments", f"{name}: {len(on_it)}")
            return
        if document["state"] in (*SAYING, "void"):
            sums = tuple(sum(p[f"standing_{c}"] for p in on_it) for c in ("supply", "vat"))
            must(sums == (document["supply"], document["vat"]), "a document is the sum of its payments",
                 f"{name}: {document['supply'], document['vat']} for {sums}")  # fmt: skip
        for payment in on_it:
            must(document["month"] == payment["month"] == month_in_seoul(payment["paid_at"]),
                 "a payment is invoiced in its own month", f"{payment['order_id']} in {name}")  # fmt: skip
        self._look_at_business(document, on_it, is_new=before is None)
        if document["written_date"] is not None:
            self._look_at_written_date(document, on_it)

    def _look_at_business(self, document: Row, on_it: Sequence[Row], *, is_new: bool) -> None:
        """One business on a document, whoever of its partners paid, and only what is fit on a merged one."""
        name = document["document_key"] or document["invoice_id"]
        partners = {document["partner_id"], *document["also"]}
        must({p["partner_id"] for p in on_it} <= partners, "a merge never crosses businesses", str(name))
        if on_it and document["also"]:
            must(document["kind"] == "merged", "a merge never crosses businesses", str(name))
            must({p["partner_id"] for p in on_it} == partners, "a merge names its partners",
                 f"{name} names {partners}")  # fmt: skip
        numbers = {payment["business_number"] for payment in on_it}
        must(len(numbers) <= 1, "a merge never crosses businesses", f"{name}: {numbers}")
        is_new = is_new and document["modification"] is None
        if document["kind"] == "merged" and is_new and document["state"] != "undone":
            for p in on_it:
                whole = p["issued_units"] + p["returned_units"] == p["serial_units"]
                fit = not p["open_refunds"] and p["standing_supply"] + p["standing_vat"] > 0 and whole
                must(fit, "a merge takes only what is fit", f"{p['order_id']} in {name}")

    def _look_at_written_date(self, document: Row, on_it: Sequence[Row]) -> None:
        name, written = document["document_key"], document["written_date"]
        must(str(written)[:7] == document["month"], "a payment is invoiced in its own month",
             f"{name}: {written}")  # fmt: skip
        if document["kind"] == "payment":
            days = [day_in_seoul(payment["paid_at"]) for payment in on_it]
            must(days == [written], "an invoice is dated on the day of its payment",
                 f"{name}: {written}, paid on {days}")  # fmt: skip
        else:
            is_last = (written + timedelta(days=1)).day == 1
            must(is_last, "a merged invoice is dated on the last day of its month", f"{name}: {written}")

    def _look_at_dates(self, document: Row, name: Any) -> None:
        """Lateness by the calendar, and no document dated before the one that it modifies."""
        if document["state"] != "issued":
            return
        issued_on, due_on = day_in_seoul(document["issued_at"]), _due_on(document["month"])
        is_late = issued_on > due_on and document["modification"] not in CORRECTIONS
        must(document["late"] == is_late, "late is what is issued after its due day",
             f"{name}: issued on {issued_on}, due on {due_on}, late: {document['late']}")  # fmt: skip
        if document["kind"] == "modified":
            original = self._rows("invoices", "documents")[document["original_id"]]
            must(document["written_date"] >= original["written_date"],
                 "no document is dated before what it modifies",
                 f"{name}: {document['written_date']}, of {original['written_date']}")  # fmt: skip

    def _look_at_date_of_modified(self, document: Row) -> None:
        """On the day in Seoul on which the money went back, but never before its original; in that month."""
        original = self._rows("invoices", "documents").get(document["original_id"])
        day = self.returned_on.get(str(document["refund_id"]))
        if original is None or day is None:
            return
        name, written = document["document_key"], document["written_date"]
        must(written == max(day, original["written_date"]), "a modified invoice has the day of its return",
             f"{name} is of {written}, the money went back on {day}")  # fmt: skip
        must(str(written)[:7] == document["month"], "a modified invoice has the day of its return",
             f"{name} of {written} is in {document['month']}")  # fmt: skip

    def _taken_back(self, document: Row) -> Row | None:
        """The document by which an operator took this one back."""
        for other in self._rows("invoices", "documents").values():
            is_of = other["original_id"] == document["invoice_id"] and other["kind"] == "modified"
            is_its_own = other["refund_id"] == document["refund_id"]
            if is_of and is_its_own and other["modification"] in CORRECTIONS:
                return dict(other.items())  # type: ignore[return-value]
        return None

    def _look_at_correction(self, wrong: Row) -> None:
        """All of a correction is there: what is taken back, what is said again, and what refunds changed."""
        check, name = "a correction is whole", wrong["document_key"]
        documents = self._rows("invoices", "documents").values()
        children = [d for d in documents if d["original_id"] == wrong["invoice_id"]]
        back = self._taken_back(wrong)
        anew = [d for d in children if d["kind"] == wrong["kind"]]
        must(back is not None, check, f"{name} is not taken back")
        assert back is not None
        twice = back["modification"] == "issued_twice"
        must(len(anew) == (0 if twice else 1), check, f"{name} is said again {len(anew)} times")
        _is_opposite(back, wrong)
        if anew:
            _is_the_same(anew[0], wrong)
        for changed in (d for d in children if d["refund_id"] is not None):
            its_back = self._taken_back(changed)
            must(its_back is not None, check, f"{changed['document_key']} of {name} is not taken back")
            assert its_back is not None
            _is_opposite(its_back, changed)
            for again in anew:
                found = [d for d in documents if d["original_id"] == again["invoice_id"]]
                same = [d for d in found if d["refund_id"] == changed["refund_id"]]
                must(len(same) == 1, check, f"{changed['document_key']} of {name} is not said again")
                _is_the_same(same[0], changed)

    def _look_at_parked(self) -> None:
        for name in self._system.sites:
            for row in self._rows(name, "parked").values():
                must(row["kind"] not in ("blocked", "behind"), "nothing is blocked",
                     f"{name}: {row['type']} of {row['key']}: {row['reason']}")  # fmt: skip

    # What must hold when everything has come to rest

    def rest(self, ghosts: frozenset[str], payouts: Mapping[str, int], *, relayed: bool = True) -> None:
        """Everything was delivered. `ghosts` are orders that were only ever asked about, `payouts` the won
        that checkout has paid out, by refund. `relayed`: events went through topics."""
        self.step()
        self._all_parked_are_ghosts(ghosts)
        self._all_answered()
        if relayed:
            self._all_published()
        self._all_issued()
        self._all_automatic_are_issued()
        self._all_views_agree()
        self._all_requests_ended(ghosts)
        self._all_bounces_are_told()
        self._all_won_are_somewhere(payouts)
        self._all_documents_say_what_is_paid()
        self._all_sales_are_of_paid_orders()

    def _all_sales_are_of_paid_orders(self) -> None:
        orders, lines = self._rows("orders", "orders"), self._rows("orders", "order_lines").values()
        paid = {key: row["paid_at"] for key, row in orders.items() if row["state"] == "paid"}
        due = {(r["order_id"], r["product_id"]): paid[r["order_id"]] for r in lines if r["order_id"] in paid}
        counted = {key: row["sold_at"] for key, row in self._rows("orders", "sales").items()}
        must(counted == due, "the ranking counts paid orders", f"{counted.keys() ^ due.keys()}")

    def _all_parked_are_ghosts(self, ghosts: frozenset[str]) -> None:
        for name in self._system.sites:
            for row in self._rows(name, "parked").values():
                must(row["key"] in ghosts, "nothing waits for ever",
                     f"{name}: {row['type']} of {row['key']} waits for {row['reason']}")  # fmt: skip

    def _all_answered(self) -> None:
        contents: dict[Any, bytes] = {}
        for name in self._system.sites:
            known = self._rows(name, "inbox").items()
            contents.update((i, c) for i, c in known if c != NOT_OURS and not i[0].startswith(SOURCE_PREFIX))
        answered: Counter[Any] = Counter()
        for record in self.upstream():
            said = self.answers.get(place_of(record), [])
            identity, content = identity_of(record)
            if identity is None:
                must(len(said) == 1 and said != ["accepted"], "every event is answered once", f"{record}")
            elif contents.get(identity) == content:
                answered[identity] += len(said)
            else:
                must(said == ["duplicate_id"], "every event is answered once", f"{identity}: {said}")
        for identity in contents:
            must(answered[identity] == 1, "every event is answered once",
                 f"{identity} has {answered[identity]} answers")  # fmt: skip

    def _all_published(self) -> None:
        for name in self._system.sites:
            outbox = Counter(str(row["event_id"]) for row in self._rows(name, "outbox").values())
            topics = [f"{name}.events", "checkout.feedback"]
            published: set[str] = set()
            for topic in topics:
                for record in self._system.broker.records_of(topic):
                    headers = dict(record.headers)
                    if service_of(headers["ce_source"].decode()) == name:
                        published.add(headers["ce_id"].decode())
            must(published == set(outbox), "what was committed was published, and nothing else",
                 f"{name}: {len(outbox)} committed, {len(published)} published")  # fmt: skip

    def _all_issued(self) -> None:
        for grant_id, (order_id, _, quantity) in self.granted.items():
            must(self.issued.get(grant_id) == quantity, "one serial a granted unit",
                 f"{grant_id} of {order_id}: {self.issued.get(grant_id)} of {quantity}")  # fmt: skip
        counted = self._serials_of_units()
        must(sum(counted.values()) == sum(self.issued.values()), "one serial a granted unit", "in all")

    def _all_automatic_are_issued(self) -> None:
        """Whoever bought with `automatic` has all serials, whatever else was said about the order."""
        for (order_id, line_id), line in self._rows("orders", "order_lines").items():
            order = self._rows("orders", "orders")[order_id]
            if (
                order["state"] == "paid"
                and order["issue_policy"] == "automatic"
                and line["kind"] == "serials"
            ):
                left = line["paid"] - sum(line[c] for c in ("issuing", "issued", "refunding", "refunded"))
                must(left == 0, "what is automatic is issued", f"{order_id}/{line_id}: {left} are left")

    def _all_views_agree(self) -> None:
        orders = self._rows("orders", "orders")
        for (order_id, line_id), line in self._rows("orders", "order_lines").items():
            if not line["paid"]:
                continue
            seen = self._rows("refunds", "order_lines").get((order_id, line_id))
            mine = (line["issuing"] + line["issued"], line["refunding"], line["refunded"])
            theirs = seen and (seen["granted"], seen["refunding"], seen["refunded"] + seen["taken_back"])
            must(mine == theirs, "refunds sees what orders has", f"{order_id}/{line_id}: {mine}, {theirs}")
            must(line["issuing"] == 0, "one serial a granted unit", f"{order_id}/{line_id} is still issuing")
        for order_id, order in orders.items():
            self._views_of_money_agree(order_id, order)

    def _views_of_money_agree(self, order_id: str, order: Row) -> None:
        payment = self._rows("invoices", "payments").get(order_id)
        must((payment is None) == (order["payment_id"] is None), "invoices sees what orders has", order_id)
        seen = self._rows("refunds", "orders").get(order_id)
        if payment is None:
            return
        lines = [li for (o, _), li in self._rows("orders", "order_lines").items() if o == order_id]
        serials = [li for li in lines if li["kind"] == "serials"]
        mine = (
            order["supply"] - order["remaining_supply"],
            order["vat"] - order["remaining_vat"],
            sum(li["issued"] for li in serials),
            sum(li["refunded"] for li in serials),
        )
        theirs = (*_won(payment, "refunded_"), payment["issued_units"], payment["returned_units"])
        must(mine == theirs, "invoices sees what orders has", f"{order_id}: {mine}, {theirs}")
        must(payment["open_refunds"] == 0, "refunds are opened and ended in pairs", order_id)
        must(seen is not None, "refunds sees what orders has", order_id)
        if order["state"] != "cancelled":
            left = _won(order, "remaining_")
            must(left == _won(seen, "remaining_"), "refunds sees what orders has", f"{order_id}: {left}")

    def _all_requests_ended(self, ghosts: frozenset[str]) -> None:
        refunds = {
            (r["order_id"], r["refund_request_id"]): r for r in self._rows("refunds", "refunds").values()
        }
        said = self._facts("orders")
        asked = {(d["order_id"], d.get("request_id")) for t, d in said if t.startswith("issuance.")}
        left = {d["partner_id"] for t, d in said if t.startswith("partner.withdraw")}
        cases = self._rows("orders", "quarantine").values()
        merges: dict[Any, set[str]] = defaultdict(set)
        for t, d in self._facts("invoices"):
            if t == "merge.answered.v1":
                told = {*d["merged"], *(each["payment_id"] for each in d["excluded"])}
                merges[d["partner_id"], d["request_id"]] |= told
        for type_name, key, data in self._accepted():
            if key in ghosts:
                continue
            if type_name == "issuance.requested.v1":
                must((key, data["request_id"]) in asked, "every request ends", f"{key}: {data}")
            elif type_name == "refund.requested.v1":
                refund = refunds.get((key, data["refund_request_id"]))
                must(refund is not None, "every request ends", f"{key}: {data['refund_request_id']} is gone")
                assert refund is not None
                ends = self.ends[str(refund["refund_id"])]
                state = "completed" if refund["state"] in BOUNCED else refund["state"]
                must(ends == [state], "every request ends",
                     f"{key}: {refund['refund_id']} is {state}, was told as {ends}")  # fmt: skip
            elif type_name in ("merge.requested.v1", "merge.undone.v1"):
                answered = merges.get((key, data["request_id"]))
                named = set(data.get("payment_ids", ()))
                must(answered is not None and answered >= named, "every request ends",
                     f"{key}: of {data} is told {answered}")  # fmt: skip
            elif type_name == "quarantine.decided.v1":
                ended = [c for c in cases if (c["order_id"], c["payment_id"]) == (key, data["payment_id"])]
                must(any(c["decision"] == data["decision"] for c in ended), "every request ends",
                     f"{key}: of {data} there is {ended}")  # fmt: skip
            elif type_name == "partner.withdrawal_requested.v1":
                must(key in left, "every request ends", f"{key} asked to leave")

    def _accepted(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        for record in self.upstream():
            if self.answers.get(place_of(record)) == ["accepted"]:
                envelope = read_envelope(record.headers, record.value)
                yield envelope.type, (record.key or b"").decode(), orjson.loads(envelope.body)

    def _facts(self, service: str) -> list[tuple[str, dict[str, Any]]]:
        rows = self._rows(service, "outbox").values()
        return [
            (row["type"], orjson.loads(row["data"])) for row in rows if row["topic"] != "checkout.feedback"
        ]

    def _all_bounces_are_told(self) -> None:
        # A refund of nothing is complete without a payout that could come back.
        facts = [
            (t, (d["refund_id"], d["payout_id"]))
            for t, d in self._facts("refunds")
            if "payout_id" in d and d.get("amount") != 0
        ]
        made = {payout for t, payout in facts if t in ("refund.completed.v1", "refund.repaid.v1")}
        told = Counter(payout for t, payout in facts if t == "refund.bounced.v1")
        came_back = {
            (data["refund_id"], data["payout_id"])
            for type_name, _, data in self._accepted()
            if type_name == "refund.payout_failed.v1"
        }
        must(
            told == Counter(made & came_back),
            "a bounce is told once",
            f"{told}, {made & came_back} came back",
        )

    def _all_won_are_somewhere(self, payouts: Mapping[str, int]) -> None:
        """Cash in less cash out is on documents, slips, receipts and in quarantine; order by order."""
        cash: dict[str, Cash] = defaultdict(Cash)
        for type_name, key, data in self._accepted():
            cash[key].hear(type_name, data)
            self._is_what_is_owed(type_name, data)
        paid_out = self._paid_out({key: each.twice for key, each in cash.items() if each.twice}, payouts)
        fees = self._fees()
        for order_id, order in self._rows("orders", "orders").items():
            # Who gives back what was used, or would have been left, is between people: no cash has moved.
            cases = [
                case
                for (order, _), case in self._rows("orders", "quarantine").items()
                if order == order_id and case["reason"] not in ("used_after_refund", "bonus_after_refund")
            ]
            account = Account(cash[order_id], order, cases)
            self._upstream_took_what_it_says(account)
            self._a_part_leaves_the_order(account)
            here, went = account.here(), paid_out[order_id]
            payment = self._rows("invoices", "payments").get(order_id)
            evidence = sum(_won(payment, "")) - sum(_won(payment, "refunded_")) if payment else 0
            quarantine = sum(case["amount"] for case in cases if case["decision"] is None)
            must(here - went == evidence + quarantine + fees[order_id], "no won is lost",
                 f"{order_id} ({order['state']}): {here} came, {went} went, {fees[order_id]} are fees, "
                 f"{evidence} stand, {quarantine} are in quarantine")  # fmt: skip

    def _fees(self) -> Counter[str]:
        """Won that were kept of refunds, by order: they are on no document and in no case."""
        fees: Counter[str] = Counter()
        for type_name, data in self._facts("refunds"):
            if type_name == "refund.completed.v1":
                fees[data["order_id"]] += data["fee"]
        return fees

    def _is_what_is_owed(self, type_name: str, data: Mapping[str, Any]) -> None:
        is_payout = type_name == "refund.paid_out.v1" and not data["payout_id"].startswith("twice-")
        if is_payout and "amount" in data:
            refund = self._rows("refunds", "refunds")[UUID(data["refund_id"])]
            owed = sum(self.worth[data["refund_id"]]) - refund["fee"]
            must(data["amount"] == owed, "a payout of other won is refused",
                 f"{data['refund_id']}: {data['amount']} of {owed}")  # fmt: skip

    def _paid_out(self, twice: Mapping[str, Mapping[str, int]], payouts: Mapping[str, int]) -> Counter[str]:
        """Won that payouts have sent, by order."""
        paid_out: Counter[str] = Counter({order_id: sum(each.values()) for order_id, each in twice.items()})
        told_twice: dict[str, dict[str, int]] = {}
        for type_name, data in self._facts("refunds"):
            if type_name == "refund.paid_twice.v1":
                told_twice.setdefault(data["order_id"], {})[data["payout_id"]] = data["amount"]
            elif type_name == "refund.completed.v1":
                paid_out[data["order_id"]] += data["amount"]
                went = payouts.get(data["refund_id"], 0)
                must(went == data["amount"], "payouts are what was asked for",
                     f"{data['refund_id']}: {went} of {data['amount']}")  # fmt: skip
        must(told_twice == twice, "money that left twice is told once", f"{told_twice} for {twice}")
        return paid_out

    def _upstream_took_what_it_says(self, account: Account) -> None:
        order, cash = account.order, account.cash
        went, told = order["taken_back"], account.told()
        must(bool(account.paying & {*cash.gone, *cash.parts}) or not went, "no won is lost",
             f"{order['order_id']}: {went} won went by themselves")  # fmt: skip
        must(
            told in (None, went), "no won is lost", f"{order['order_id']}: {went} won went, {told} were told"
        )

    def _a_part_leaves_the_order(self, account: Account) -> None:
        """Only parts that come to all that refunds have left of a payment cancel its order."""
        order, went = account.order, account.parts(account.order["payment_id"])
        if order["state"] == "cancelled" and went and not account.is_gone:
            refunds = sum(sum(self.worth[refund_id]) for refund_id in self.books[order["order_id"]].refunds)
            must(went + refunds >= order["amount"], "a part leaves the order as it is",
                 f"{order['order_id']} is cancelled: {went} went, {refunds} were refunded")  # fmt: skip

    def _all_documents_say_what_is_paid(self) -> None:
        """All documents come to all payments less refunds; of a duplicate another document holds the won."""
        documents = self._rows("invoices", "documents")
        payments = [p for p in self._rows("invoices", "payments").values() if p["invoice_id"] is not None]
        paid = sum(
            sum(_won(p, "")) - sum(_won(p, "refunded_"))
            for p in payments
            if documents[p["invoice_id"]]["modification"] != "issued_twice"
        )
        said = sum(sum(_won(d, "")) for d in documents.values() if d["state"] in SAYING)
        must(said == paid, "documents say what is paid", f"{said} won, {paid} were paid")


def _is_opposite(back: Row, wrong: Row) -> None:
    name = f"{back['document_key']} of {wrong['document_key']}"
    must((back["supply"], back["vat"]) == (-wrong["supply"], -wrong["vat"]), "a correction is whole",
         f"{name} is over {back['supply']} + {back['vat']}")  # fmt: skip
    _is_dated_as(back, wrong)
    must(back["business_number"] == wrong["business_number"], "a correction names the right business", name)


def _is_the_same(again: Row, wrong: Row) -> None:
    name = f"{again['document_key']} of {wrong['document_key']}"
    must(_won(again, "") == _won(wrong, ""), "a correction is whole",
         f"{name} is over {again['supply']} + {again['vat']}")  # fmt: skip
    _is_dated_as(again, wrong)
    must(again["business_number"] not in (wrong["business_number"], "1234567890"),
         "a correction names the right business", f"{name} is under {again['business_number']}")  # fmt: skip


def _is_dated_as(document: Row, wrong: Row) -> None:
    must((document["written_date"], document["month"]) == (wrong["written_date"], wrong["month"]),
         "a correction is dated as what it corrects",
         f"{document['document_key']} is of {document['written_date']}")  # fmt: skip


COUNTS = ("issuing", "issued", "refunding", "refunded")
DUE_DAYS = {
    "2026-07": date(2026, 8, 10),
    "2026-08": date(2026, 9, 10),
    "2026-09": date(2026, 10, 12),  # the 10th is a Saturday
    "2026-10": date(2026, 11, 10),
    "2026-11": date(2026, 12, 10),
    "2026-12": date(2027, 1, 11),  # the 10th is a Sunday
    "2027-01": date(2027, 2, 10),
    "2027-02": date(2027, 3, 10),
    "2027-03": date(2027, 4, 12),  # the 10th is a Saturday
    "2027-04": date(2027, 5, 10),
    "2027-05": date(2027, 6, 10),
}
"""When the invoices of a month are due, written by hand, so that the code is not compared with itself."""
ORDER_TABLES = ("orders", "order_lines", "claims", "quarantine")


def identity_of(record: Any) -> tuple[tuple[str, str] | None, bytes]:
    """Source and id of a record of upstream, and the hash of its content; None where no id is readable."""
    try:
        envelope: Any = read_envelope(record.headers, record.value)
    except DocumentFault as fault:
        envelope = getattr(fault, "envelope", None)
        if envelope is None or not envelope.source or not envelope.id:
            return None, b""
        return (envelope.source, envelope.id), content_hash(envelope.type or "", record.value or b"")
    return (envelope.source, envelope.id), content_hash(envelope.type, envelope.body)


def place_of(record: StoredRecord) -> tuple[str, int, int, int]:
    """Where a record stands, and in which life of its topic."""
    return record.topic, record.partition, record.offset, getattr(record, "life", 0)


def _due_on(month: str) -> date:
    """The 10th of the next month, or the next working day: of the months that are played, by hand."""
    return DUE_DAYS[month]


def _sum(claims: Iterable[Row], purpose: str, state: str) -> int:
    return sum(c["quantity"] for c in claims if c["purpose"] == purpose and c["state"] == state)


def _won(row: Row | Any, prefix: str) -> tuple[int, int]:
    return row[f"{prefix}supply"], row[f"{prefix}vat"]
