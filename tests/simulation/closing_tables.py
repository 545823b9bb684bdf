"""The statements by which a month is closed in steps and a tax agent is asked, over rows in memory.

As in `tables.py`, each function says what `queries.sql` says.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from tests.simulation.drafts import all_documents
from tests.simulation.memory import Query, Row, Transaction

Numbers = Sequence[str] | None
"""Business numbers; None where they are not given, and all are meant."""
UNISSUED = ("draft", "approved", "issue_failed")
UNANSWERED = ("to_send", "sending", "sent")


def _all(tx: Transaction) -> Mapping[UUID, Row]:
    return all_documents({name: tx.rows(name) for name in ("documents", "payments")})


def _documents(tx: Transaction, month: str, numbers: Numbers, states: Sequence[str]) -> Iterator[Row]:
    for document in _all(tx).values():
        is_wanted = numbers is None or document["business_number"] in numbers
        if document["month"] == month and document["state"] in states and is_wanted:
            yield document


def _partners(documents: Iterator[Row], after: str, most: int) -> list[Row]:
    partners = {each["partner_id"] for each in documents if each["partner_id"] > after}
    return [Row(partner_id=partner_id) for partner_id in sorted(partners)[:most]]


def partners_to_approve(tx: Transaction, month: str, after: str, most: int, numbers: Numbers) -> list[Row]:
    return _partners(_documents(tx, month, numbers, ("draft", "issue_failed")), after, most)


def partners_to_issue(tx: Transaction, month: str, after: str, most: int, numbers: Numbers) -> list[Row]:
    """It sees what `begin_issue` has just written in the same transaction."""
    approved = _documents(tx, month, numbers, ("approved",))
    begun = (d for d in approved if tx.get("closed_businesses", (month, d["business_number"])) is not None)
    return _partners(begun, after, most)


def _refunded(tx: Transaction, month: str) -> set[Any]:
    """The documents of payments with a refund in progress and won on them."""
    payments = tx.rows("payments")
    found = (payments[r["order_id"]] for r in tx.rows("refunds").values() if r["state"] == "open")
    return {
        p["invoice_id"] for p in found if p["month"] == month and p["standing_supply"] + p["standing_vat"] > 0
    }


def _by_number(documents: Iterator[Row]) -> dict[str, list[Row]]:
    grouped: dict[str, list[Row]] = defaultdict(list)
    for document in documents:
        grouped[document["business_number"]].append(document)
    return grouped


def _approvers(tx: Transaction, number: str, documents: Sequence[Row]) -> set[str]:
    """Who has approved these documents under this number."""
    ids = {document["invoice_id"] for document in documents}
    approvals = tx.rows("approvals").values()
    return {a["actor"] for a in approvals if a["invoice_id"] in ids and a["business_number"] == number}


def reopen_documents(tx: Transaction, invoice_ids: Sequence[UUID]) -> int:
    for invoice_id in invoice_ids:
        row = dict(tx.rows("documents")[invoice_id].items())
        tx.put(
            "documents",
            invoice_id,
            Row({**row, "state": "draft", "document_key": None, "written_date": None}),
        )
    return len(invoice_ids)


def approve_whole(
    tx: Transaction, month: str, numbers: Numbers, actor: str, reason: str, at: datetime
) -> int:
    approvals = [a for a in tx.rows("approvals").values() if a["month"] == month]
    anew = {a["business_number"] for a in approvals if (a["actor"], a["approved_at"]) == (actor, at)}
    given, documents, taken = tx.rows("submissions"), tx.rows("documents"), 0
    for row in approvals:
        number, document = row["business_number"], documents.get(row["invoice_id"])
        sent = given.get(row["invoice_id"])
        stands = None if document is None else (document["business_number"], document["state"])
        is_with_agent = sent is not None and sent["state"] in UNANSWERED
        is_meant = number in anew and (numbers is None or number in numbers)
        if is_meant and row["actor"] != actor and stands == (number, "approved") and not is_with_agent:
            changed = {**dict(row.items()), "actor": actor, "reason": reason, "approved_at": at}
            tx.put("approvals", row["document_key"], Row(changed))
            taken += 1
    return taken


def begin_issue(
    tx: Transaction,
    month: str,
    numbers: Numbers,
    at: datetime,
    actor: str,
    reason: str,
    four_eyes: bool,
    despite: bool,
) -> int:
    refunded, begun = _refunded(tx, month), 0
    for number, documents in sorted(_by_number(_documents(tx, month, numbers, UNISSUED)).items()):
        approved = [each for each in documents if each["state"] == "approved"]
        is_ready = bool(approved) and not any(each["state"] == "draft" for each in documents)
        is_refunded = any(each["invoice_id"] in refunded for each in documents)
        is_own = four_eyes and actor in _approvers(tx, number, approved)
        is_begun = tx.get("closed_businesses", (month, number)) is not None
        if is_ready and (despite or not is_refunded) and not is_own and not is_begun:
            row = Row(month=month, business_number=number, closed_at=at, actor=actor, reason=reason)
            tx.insert("closed_businesses", (month, number), row)
            begun += 1
    return begun


def left_of_month(tx: Transaction, month: str, numbers: Numbers, actor: str, four_eyes: bool) -> list[Row]:
    refunded, given = _refunded(tx, month), tx.rows("submissions")
    rows = []
    for number, documents in sorted(
        _by_number(_documents(tx, month, numbers, ("draft", "approved"))).items()
    ):
        approved = [given.get(d["invoice_id"]) for d in documents if d["state"] == "approved"]
        is_draft = any(each["state"] == "draft" for each in documents)
        if any(each["invoice_id"] in refunded for each in documents):
            why = "open_refund"
        elif is_draft:
            why = "not_approved"
        elif any(each is not None and each["state"] in UNANSWERED for each in approved):
            why = "with_agent"
        elif four_eyes and actor in _approvers(tx, number, documents):
            why = "four_eyes"
        else:
            why = "not_issued"
        won = sum(each["supply"] + each["vat"] for each in documents)
        rows.append(Row(business_number=number, is_draft=is_draft, won=won, reason=why))
    return rows


def stand_of_month(tx: Transaction, month: str, numbers: Numbers) -> list[Row]:
    found = _documents(tx, month, numbers, (*UNISSUED, "issued"))
    states: dict[str, list[int]] = defaultdict(list)
    for each in found:
        if each["modification"] is None:
            states[each["state"]].append(each["supply"] + each["vat"])
    return [
        Row(
            drafts=len(states["draft"]),
            approved=len(states["approved"]),
            approved_total=sum(states["approved"]),
            issue_failed=len(states["issue_failed"]),
            issued=len(states["issued"]),
            issued_total=sum(states["issued"]),
        )
    ]


def finish_month(tx: Transaction, month: str, at: datetime) -> int:
    of_month = [d for d in _all(tx).values() if d["month"] == month]
    is_left = any(each["state"] in ("draft", "approved") for each in of_month)
    if of_month and not is_left and tx.get("months", month) is None:
        tx.put("months", month, Row(month=month, closed_at=at, sequence=0, unreported=True))
    return 0


def documents_of_keys(tx: Transaction, month: str, keys: Sequence[str]) -> list[Row]:
    given = {s["invoice_id"] for s in tx.rows("submissions").values() if s["document_key"] in keys}
    rows = [
        d
        for d in tx.rows("documents").values()
        if d["month"] == month and (d["document_key"] in keys or d["invoice_id"] in given)
    ]
    return sorted(rows, key=lambda row: row["invoice_id"])


def read_transmissions(tx: Transaction, ids: Sequence[UUID], numbers: Sequence[str]) -> list[Row]:
    rows = tx.rows("transmissions").values()
    return [row for row in rows if row["invoice_id"] in ids or row["approval_number"] in numbers]


def read_submissions(tx: Transaction, ids: Sequence[UUID]) -> list[Row]:
    rows = tx.rows("submissions")
    return [rows[each] for each in ids if each in rows]


def _change(tx: Transaction, row: Row, **changes: Any) -> Row:
    changed = Row({**dict(row.items()), **changes})
    tx.put("submissions", row["invoice_id"], changed)
    return changed


def _due(tx: Transaction, states: Sequence[str], at: datetime) -> list[Row]:
    rows = [s for s in tx.rows("submissions").values() if s["state"] in states and s["next_at"] <= at]
    return sorted(rows, key=lambda row: (row["next_at"], row["invoice_id"]))


def submissions_to_send(tx: Transaction, at: datetime, lost_at: datetime, most: int) -> list[Row]:
    documents, told = tx.rows("documents"), tx.rows("transmissions")
    chosen = []
    for row in _due(tx, ("to_send",), at):
        original = documents[row["invoice_id"]]["original_id"]
        if original is None or told.get(original, {"state": ""})["state"] == "transmitted":
            chosen.append(_change(tx, row, state="sending", next_at=lost_at))
    return chosen[:most]


def submissions_to_ask(tx: Transaction, at: datetime, again_at: datetime, most: int) -> list[Row]:
    due = _due(tx, ("sending", "sent", "issued"), at)[:most]
    return [_change(tx, row, next_at=again_at) for row in due]


def submission_of_key(tx: Transaction, month: str, key: str) -> list[Row]:
    documents = tx.rows("documents")
    return [
        Row({**dict(row.items()), "is_issued": documents[row["invoice_id"]]["state"] == "issued"})
        for row in tx.rows("submissions").values()
        if (row["month"], row["document_key"]) == (month, key)
    ]


def hold_submission(tx: Transaction, invoice_id: UUID) -> list[Row]:
    row = tx.rows("submissions").get(invoice_id)
    if row is None or row["state"] != "to_send":
        return []
    _change(tx, row, next_at=max(row["next_at"], tx.database.wall + timedelta(minutes=1)))
    return [Row(held=True)]


def submissions_back(tx: Transaction, ids: Sequence[UUID], at: datetime) -> int:
    rows = [row for row in read_submissions(tx, ids) if row["state"] == "sending"]
    for row in rows:
        _change(tx, row, state="to_send", next_at=at, tries=row["tries"] + 1)
    return len(rows)


def failed_submissions(tx: Transaction, month: str, numbers: Numbers, most: int) -> list[Row]:
    given = tx.rows("submissions")
    issued = {each["invoice_id"]: each for each in _documents(tx, month, numbers, ("issued",))}
    failed = sorted(each for each, row in given.items() if row["state"] == "failed" and each in issued)
    return [issued[each] for each in failed[:most]]


def incomplete_again(tx: Transaction, ids: Sequence[str], numbers: Sequence[str], at: datetime) -> int:
    documents, told = tx.rows("documents"), set(zip(ids, numbers, strict=True))
    again = [
        row
        for row in tx.rows("submissions").values()
        if (row["state"], row["detail"], row["approval_number"]) == ("failed", "incomplete", None)
        and documents[row["invoice_id"]]["state"] == "issued"
        and (documents[row["invoice_id"]]["partner_id"], documents[row["invoice_id"]]["business_number"])
        in told
    ]
    for row in again:
        _change(tx, row, state="to_send", next_at=at, tries=0, detail="")
    return len(again)


def submissions_open_of_month(tx: Transaction, month: str) -> list[Row]:
    rows = [row for row in tx.rows("submissions").values() if row["month"] == month]
    is_open = any(row["state"] in UNANSWERED for row in rows)
    return [Row(is_open=is_open, is_of_all=any(row["is_of_all"] for row in rows))]


def documents_of_ids(tx: Transaction, ids: Sequence[UUID]) -> list[Row]:
    rows = tx.rows("documents")
    return [rows[each] for each in sorted(set(ids)) if each in rows]


def document_to_send(tx: Transaction, invoice_id: UUID) -> list[Row]:
    document = tx.rows("documents")[invoice_id]
    return [document] if document["state"] in ("approved", "issued") else []


IN_STEPS: Mapping[str, Query] = {
    run.__name__: run
    for run in (
        partners_to_approve,
        partners_to_issue,
        reopen_documents,
        approve_whole,
        begin_issue,
        left_of_month,
        stand_of_month,
        finish_month,
        documents_of_keys,
        read_transmissions,
        read_submissions,
        submissions_to_send,
        submissions_to_ask,
        submission_of_key,
        hold_submission,
        submissions_back,
        failed_submissions,
        incomplete_again,
        submissions_open_of_month,
        documents_of_ids,
        document_to_send,
    )
}
"""By the names of the statements."""
