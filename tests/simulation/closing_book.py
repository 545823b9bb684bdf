"""What must hold of a month that is approved, issued and transmitted in steps, from books of its own.

The book knows which person did what from the ids that the simulation gave to their acts, and what the agent
said from the agent; the rows of approvals and submissions are asked for nothing of that.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from services.invoices.state import Policy
from tests.simulation.agent import Agent
from tests.simulation.drafts import all_documents
from tests.simulation.finance import Act
from tests.simulation.memory import Database, Row
from tests.simulation.promises import must

SAME = ("document_key", "business_number", "month", "supply", "vat", "total", "written_date", "payment_ids")
"""What an approval and the issue after it both say."""
FROZEN = ("document_key", "business_number", "month", "supply", "vat", "written_date", "payments")
"""What of the row of an approved document stays."""
SAYING = ("draft", "approved", "issue_failed", "issued")
"""The states of a document that has won on it."""
WITH_AGENT = ("to_send", "sending", "sent")
RECALLED = "recalled"


class ClosingBook:
    """Follows one schema of invoices: `look` after every step, `rest` when nothing moves."""

    def __init__(self, database: Database, policy: Policy, agent: Agent) -> None:
        self._database, self._policy, self._agent = database, policy, agent
        self.acts: dict[str, Act] = {}
        self.told_by_hand: set[tuple[str, str]] = set()
        self.reached: set[str] = set()
        self._read = 0
        self._approved: dict[str, tuple[Mapping[str, Any], Act]] = {}
        self._keys: dict[tuple[str, str], str] = {}
        self._issued: dict[str, Mapping[str, Any]] = {}
        self._home: dict[str, str] = {}
        self._numbers: dict[str, str] = {}
        self._failed: set[str] = set()
        self._refunding: frozenset[str] = frozenset()
        self._frozen: dict[Any, tuple[Any, ...]] = {}

    def look(self) -> None:
        """Everything that must hold at any time."""
        self._refunding &= self._in_refund()
        outbox = self._database.tables["outbox"]
        for number in range(self._read + 1, len(outbox) + 1):
            row = outbox[number]
            hear = getattr(self, f"_hear_{row['type'].replace('.', '_')}", None)
            if hear is not None:
                hear(row, orjson.loads(row["data"]))
        self._read = len(outbox)
        self._look_at_approved()
        self._look_at_submissions()
        self._look_at_transmissions()

    def _rows(self, table: str) -> dict[Any, Row]:
        tables = self._database.tables
        return all_documents(tables) if table == "documents" else tables[table]

    # What was said

    def _hear_invoice_approved_v1(self, row: Row, data: Mapping[str, Any]) -> None:
        act = self.acts.get(row["causation"])
        must(act is not None and act.what == "approve", "a person approves", f"{data['document_key']}")
        assert act is not None
        invoice_id = data["invoice_id"]
        if not act.despite_open_refunds:
            self._has_no_open_refund(data)
        if invoice_id in self._approved:
            self.reached.add("approved again")
        key = self._keys.setdefault((invoice_id, data["business_number"]), data["document_key"])
        must(key == data["document_key"], "a key belongs to its document", f"{key} is {data['document_key']}")
        self._approved[invoice_id] = (data, act)
        self._approve_whole(data, act)

    def _approve_whole(self, data: Mapping[str, Any], act: Act) -> None:
        """Who approves a business anew approves all of it that is not issued."""
        of_business = (data["business_number"], data["month"])
        for invoice_id, (said, _) in self._approved.items():
            if (said["business_number"], said["month"]) == of_business and invoice_id not in self._issued:
                self._approved[invoice_id] = (said, act)

    def _hear_invoice_issued_v1(self, row: Row, data: Mapping[str, Any]) -> None:
        invoice_id, key = data["invoice_id"], data["document_key"]
        must(invoice_id not in self._issued, "a document is issued once", key)
        self._issued[invoice_id] = data
        must(
            len(set(data["payment_ids"])) == len(data["payment_ids"]),
            "no document counts a payment twice",
            key,
        )
        for payment_id in data["payment_ids"]:
            home = self._home.setdefault(payment_id, invoice_id)
            must(home == invoice_id, "no two documents count a payment", f"{payment_id} in {key}")
        act = self.acts.get(row["causation"])
        by_agent = row["causation"] == invoice_id
        if act is None and not by_agent:
            return  # late, or of another event: our books issue it at once
        if act is not None and act.what == "close":
            return
        must(invoice_id in self._approved, "what is issued was approved", key)
        approved, approval = self._approved[invoice_id]
        for name in SAME:
            must(approved[name] == data[name], "what is issued is what was approved",
                 f"{key}: {name} is {data[name]}, {approved[name]} was approved")  # fmt: skip
        if by_agent:
            self._is_as_the_agent_says(data)
            return
        assert act is not None
        must(not self._policy.tax_agent, "with an agent nobody else issues", key)
        self._has_four_eyes(key, approval, act.actor)
        if not act.despite_open_refunds:
            self._has_no_open_refund(data)

    def _is_as_the_agent_says(self, data: Mapping[str, Any]) -> None:
        key = data["document_key"]
        known = self._agent.kept.get(key)
        must(known is not None and known.at is not None, "what is issued the agent has issued", key)
        assert known is not None
        must(known.sent.total == data["total"], "the agent has what the books have",
             f"{key} is over {data['total']}, the agent has {known.sent.total}")  # fmt: skip
        issued_at = self._documents_by_id()[data["invoice_id"]]["issued_at"]
        must(issued_at == known.at, "a document is issued when the agent has issued it",
             f"{key} at {issued_at}, by the agent at {known.at}")  # fmt: skip

    def _documents_by_id(self) -> dict[str, Row]:
        return {str(key): row for key, row in self._rows("documents").items()}

    def _has_four_eyes(self, key: str, approval: Act, actor: str) -> None:
        if self._policy.four_eyes:
            must(approval.actor != actor, "who approves is not who issues", f"{key} by {actor}")
        self.reached.add(
            "issued by another person" if approval.actor != actor else "issued by the same person"
        )

    def _has_no_open_refund(self, data: Mapping[str, Any]) -> None:
        for payment in self._rows("payments").values():
            won = payment["standing_supply"] + payment["standing_vat"]
            is_on_it = payment["payment_id"] in data["payment_ids"] and won > 0
            must(not is_on_it or payment["order_id"] not in self._refunding,
                 "nothing is approved while its refund is in progress", data["document_key"])  # fmt: skip

    def begin(self) -> None:
        """Notes the orders with a refund in progress before the next step: of what still has one after it
        nothing may be issued in it."""
        self._refunding = self._in_refund()

    def _in_refund(self) -> frozenset[str]:
        return frozenset(r["order_id"] for r in self._rows("refunds").values() if r["state"] == "open")

    def _hear_invoice_issue_failed_v1(self, row: Row, data: Mapping[str, Any]) -> None:
        self._failed.add(data["invoice_id"])
        self.reached.add(f"issue failed: {data['reason']}")

    def _hear_invoice_transmitted_v1(self, row: Row, data: Mapping[str, Any]) -> None:
        key, number = data["document_key"], data["approval_number"]
        must(key not in self._numbers, "a transmission has one approval number", f"{key} is told twice")
        must(
            number not in self._numbers.values(),
            "a transmission has one approval number",
            f"{number} of {key}",
        )
        self._numbers[key] = number
        self._agent.taken.add(number)
        told = {n for name in self._names_of(key) for n in self._agent.numbers.get(name, ())}
        told |= {n for k, n in self.told_by_hand if k == key}
        must(number in told, "a transmission has one approval number", f"{key} has {number}, not {told}")

    def _hear_invoice_transmission_failed_v1(self, row: Row, data: Mapping[str, Any]) -> None:
        must(data["document_key"] not in self._numbers, "what was transmitted stays so", data["document_key"])
        self.reached.add("transmission failed")

    # What is kept

    def _look_at_approved(self) -> None:
        """What is approved stays as it is for as long as it is approved, payments and all."""
        payments: dict[Any, list[tuple[Any, ...]]] = {}
        for p in self._rows("payments").values():
            standing = (p["payment_id"], p["standing_supply"], p["standing_vat"], p["returned_units"])
            payments.setdefault(p["invoice_id"], []).append(standing)
        frozen: dict[Any, tuple[Any, ...]] = {}
        for key, d in self._rows("documents").items():
            if d["state"] == "approved":
                row = tuple(d[name] for name in FROZEN)
                frozen[key] = (d["sequence"], row, sorted(payments.get(key, ())))
        for key, content in self._frozen.items():
            now = frozen.get(key)
            if now is None and self._rows("documents")[key]["state"] == "draft":
                self.reached.add("drifted")
            must(now is None or now[0] != content[0] or now == content, "what is approved stays as it is",
                 f"{content} is {now}")  # fmt: skip
        self._frozen = frozen

    def _look_at_submissions(self) -> None:
        documents = self._rows("documents")
        for invoice_id, given in self._rows("submissions").items():
            d, key = documents[invoice_id], given["document_key"]
            if given["state"] in WITH_AGENT:
                is_there = d["state"] in ("approved", "issued") and key in self._names_of(d["document_key"])
                must(is_there, "what is with the agent stays as it is", f"{key} is {d['state']}")
            if given["state"] == "failed":
                detail = given["detail"]
                told = (key, detail) in self._agent.said or (d["business_number"], detail) in self._agent.said
                must(told or detail == RECALLED, "who refuses says why", f"{key} failed: {detail}")
                must(d["state"] != "approved" or detail == RECALLED or self._is_anew(invoice_id),
                     "a refusal is told", f"{key} is {d['state']}, refused for {detail}")  # fmt: skip
                self.reached.add(f"failed: {detail}")
            number = given["approval_number"]
            must(number is None or number in self._agent.numbers.get(key, ()),
                 "a transmission has one approval number", f"{key} has {number}")  # fmt: skip

    def _names_of(self, key: str) -> set[str]:
        """The keys under which the agent has, or had, the document of this key."""
        found = {key}
        for invoice_id, given in self._rows("submissions").items():
            if self._rows("documents")[invoice_id]["document_key"] == key:
                found |= {given["document_key"], *(name for name, *_ in orjson.loads(given["given_up"]))}
        return found

    def _is_anew(self, invoice_id: Any) -> bool:
        """Whether it was told that a document failed, since it was approved for the time before."""
        return str(invoice_id) in self._failed

    def _look_at_transmissions(self) -> None:
        documents = self._rows("documents")
        for invoice_id, told in self._rows("transmissions").items():
            key = documents[invoice_id]["document_key"]
            is_said = self._numbers.get(key) == told["approval_number"]
            must(is_said, "a transmission has one approval number", f"{key} has {told['approval_number']}")

    # At rest

    def rest(self) -> None:
        """Nothing waits for the agent or a person, and no won is lost on the way."""
        self.look()
        self._all_months_are_told()
        self._all_refunds_are_in_one_of_both()
        self._all_families_come_to_what_was_kept()
        if self._policy.tax_agent:
            self._all_are_transmitted()

    def _all_months_are_told(self) -> None:
        months = self._rows("months")
        for month in {d["month"] for d in self._rows("documents").values() if d["modification"] is None}:
            is_told = month in months and not months[month]["unreported"]
            must(is_told, "a month that is issued is closed, and told", month)

    def _all_refunds_are_in_one_of_both(self) -> None:
        """Either a modified document says it, or it was taken off what was issued: never both, never none.

        Of what was issued twice another document holds the won.
        """
        documents = self._rows("documents")
        modified = {d["refund_id"] for d in documents.values() if d["kind"] == "modified"}
        for p in self._rows("payments").values():
            if p["invoice_id"] is None or documents[p["invoice_id"]]["modification"] == "issued_twice":
                continue
            ended = [
                r
                for r in self._rows("refunds").values()
                if r["order_id"] == p["order_id"] and r["state"] == "completed"
            ]
            netted = sum(r["supply"] + r["vat"] for r in ended if r["refund_id"] not in modified)
            lowered = p["supply"] + p["vat"] - p["standing_supply"] - p["standing_vat"]
            must(netted == lowered, "a refund is in exactly one of both",
                 f"{p['order_id']} is lowered by {lowered}, its refunds by {netted}")  # fmt: skip

    def _all_families_come_to_what_was_kept(self) -> None:
        """A document, with all that modifies or replaces it, comes to what was kept of its payments."""
        documents, payments = self._rows("documents"), self._rows("payments").values()
        kept: dict[Any, int] = {}
        for p in payments:
            if p["invoice_id"] is not None and documents[p["invoice_id"]]["modification"] != "issued_twice":
                won = p["supply"] + p["vat"] - p["refunded_supply"] - p["refunded_vat"]
                root = _root_of(documents, p["invoice_id"])
                kept[root] = kept.get(root, 0) + won
        said: dict[Any, int] = {}
        for key, d in documents.items():
            if d["state"] in SAYING:
                root = _root_of(documents, key)
                said[root] = said.get(root, 0) + d["supply"] + d["vat"]
        for root in {*said, *kept}:
            mine, theirs = said.get(root, 0), kept.get(root, 0)
            must(mine == theirs, "originals and what modifies them are what was kept",
                 f"{documents[root]['document_key']}: {mine} won, {theirs} were kept")  # fmt: skip

    def _all_are_transmitted(self) -> None:
        keys = dict(self._issued_keys())
        for key, total in keys.items():
            must(key in self._numbers, "what is issued is transmitted", key)
            sent = [self._agent.kept[name].sent for name in self._names_of(key) if name in self._agent.kept]
            must(
                bool(sent) and all(each.total == total for each in sent),
                "the agent has what the books have",
                key,
            )
        names = {name for key in keys for name in self._names_of(key)}
        for key, known in self._agent.kept.items():
            if known.standing in ("issued", "transmitted", "not_transmitted"):
                must(key in names, "what the agent has issued is issued", key)

    def _issued_keys(self) -> Iterator[tuple[str, int]]:
        for d in self._rows("documents").values():
            if d["state"] == "issued":
                yield d["document_key"], d["supply"] + d["vat"]


def _root_of(documents: Mapping[Any, Row], invoice_id: Any) -> Any:
    while documents[invoice_id]["original_id"] is not None:
        invoice_id = documents[invoice_id]["original_id"]
    return invoice_id
