"""What must hold while a month is closed in steps: a book of approvals, issues and approval numbers.

It is kept from events and from who acted, and says for itself what was approved.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from tests.simulation.memory import Database, Row
from tests.simulation.promises import must

FROZEN = ("supply", "vat", "business_number", "document_key", "written_date", "payments", "partner_id")
WITH_AGENT = ("to_send", "sending", "sent")
TOLD = ("document_key", "business_number", "month", "supply", "vat", "written_date")


class Approved(NamedTuple):
    """What an event has said was approved: its fields, its payments, and who did it."""

    told: Mapping[str, Any]
    payments: frozenset[str]
    actor: str


class ClosingBook:
    """Follows the close of months; `actor` is the person who acts now, empty where nobody does.

    `in_steps`: somebody approves before somebody issues; otherwise all is issued in one stroke.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.actor = ""
        self.in_steps = False
        self.approved: dict[str, Approved] = {}
        self.numbers: dict[str, str] = {}
        self.issued: dict[str, tuple[str, int]] = {}
        self.modified: dict[str, int] = defaultdict(int)
        self._submissions: dict[UUID, str] = {}

    def hear(self, type_name: str, data: Mapping[str, Any]) -> None:
        """An event of invoices."""
        match type_name:
            case "invoice.approved.v1":
                told = {name: data[name] for name in TOLD}
                self.approved[data["invoice_id"]] = Approved(told, frozenset(data["payment_ids"]), self.actor)
            case "invoice.issued.v1":
                self._hear_issued(data)
            case "invoice.modified.v1" if data["cause"] != "operator":
                self.modified[data["payment_id"]] += data["total"]
            case "invoice.transmitted.v1":
                self._hear_transmitted(data["invoice_id"], data["approval_number"])

    def _hear_issued(self, data: Mapping[str, Any]) -> None:
        key = data["document_key"]
        before = self.approved.get(data["invoice_id"])
        if before is not None and before.told["document_key"] == key:
            told, payments = {name: data[name] for name in TOLD}, frozenset(data["payment_ids"])
            must((told, payments) == (before.told, before.payments), "what is issued is what was approved",
                 f"{told} of {sorted(payments)} is issued, {before} was approved")  # fmt: skip
        must(
            len(set(data["payment_ids"])) == len(data["payment_ids"]),
            "no document counts a payment twice",
            key,
        )
        for payment_id in data["payment_ids"]:
            other = self.issued.get(payment_id)
            must(other is None, "no document counts a payment twice", f"{payment_id} is on {other} and {key}")
            self.issued[payment_id] = (key, data["total"])

    def _hear_transmitted(self, invoice_id: str, number: str) -> None:
        check = "a document has one approval number"
        must(invoice_id not in self.numbers, check, f"{invoice_id}: {self.numbers.get(invoice_id)}, {number}")
        others = [other for other, its in self.numbers.items() if its == number]
        must(not others, check, f"{number} is of {invoice_id} and {others}")
        self.numbers[invoice_id] = number

    def look_at_document(self, before: Row | None, document: Row) -> None:
        """A document was written."""
        name, state = document["document_key"] or document["invoice_id"], document["state"]
        if before is not None and before["state"] == "approved":
            if state in ("approved", "issued"):
                frozen = [
                    (each, before[each], document[each]) for each in FROZEN if before[each] != document[each]
                ]
                must(not frozen, "what is approved stays as it is", f"{name}: {frozen}")
            elif state != "issue_failed":
                given = self._submissions.get(document["invoice_id"])
                must(given not in WITH_AGENT, "what is with the agent stays as it is", f"{name} is {state}")
        is_new = state == "issued" and (before is None or before["state"] != "issued")
        if not is_new or not self.in_steps or document["modification"] is not None:
            return
        was = None if before is None else before["state"]
        must(
            was in (None, "approved", "issue_failed"),
            "what is issued is what was approved",
            f"{name} was {was}",
        )
        if before is not None and before["state"] == "approved":
            self._two_persons(document["invoice_id"], str(name))

    def look_at_submission(self, submission: Row) -> None:
        """What a tax agent is given was written."""
        invoice_id, state = submission["invoice_id"], submission["state"]
        document = self._database.tables["documents"][invoice_id]
        if state == "to_send" and document["state"] == "approved":
            self._two_persons(invoice_id, submission["document_key"])
        self._submissions[invoice_id] = state

    def look_at_transmission(self, told: Row) -> None:
        """What the tax authority made of a document was written."""
        known = self.numbers.get(str(told["invoice_id"]))
        must(told["approval_number"] == known, "a document has one approval number",
             f"{told['invoice_id']}: {told['approval_number']}, {known} was told")  # fmt: skip

    def _two_persons(self, invoice_id: UUID, name: str) -> None:
        """Where somebody issues now, that is not who approved."""
        approved = self.approved.get(str(invoice_id))
        is_own = approved is not None and self.actor != "" and approved.actor == self.actor
        must(not is_own, "nobody issues what he approved", f"{name} by {self.actor}")

    def rest(self, payments: Iterable[Row], documents: Mapping[UUID, Row]) -> None:
        """What was issued of payments, and what modified that, is what was kept of them.

        A refund is therefore in exactly one of both. Of a duplicate another document holds the won.
        """
        kept: dict[str, int] = defaultdict(int)
        totals: dict[str, int] = {}
        for payment in payments:
            issued = self.issued.get(payment["payment_id"])
            if issued is None or documents[payment["invoice_id"]]["modification"] == "issued_twice":
                continue
            key, totals[issued[0]] = issued
            left = payment["supply"] + payment["vat"] - payment["refunded_supply"] - payment["refunded_vat"]
            kept[key] += left - self.modified[payment["payment_id"]]
        for key, total in totals.items():
            must(kept[key] == total, "originals and modified documents come to what was kept",
                 f"{key} is over {total}, {kept[key]} won were kept of it")  # fmt: skip
