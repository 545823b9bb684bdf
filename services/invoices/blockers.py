"""What stands against the close of a month, and what to know before it, each with its next command. Pure.

A blocker makes the close refuse. A warning does not: the close is carried out, and what is warned of comes
right by itself or later.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from services.invoices.calendar import ends_at
from services.invoices.decisions.preview import DocumentToBe, Sums
from shared.kst import wire_time
from shared.operators.commands import pawl
from shared.operators.todo import Row, Who

Member = Mapping[str, Any]

WHO_OF_PARKED: Final[Mapping[str, Who]] = {"blocked": "operator", "gap": "operator", "waiting": "checkout"}
"""Who must act; what is behind a blocked event goes on with it."""


class Blocker(Struct, frozen=True):
    """Something that stands against a close, or is to be known before it.

    `code` is its cause, the same as in `pawl todo` where that lists it too; `detail` says more where there is
    more to say. `won` is None where no money is concerned. `members` are the first of them, and `command` is
    what to do about the first.
    """

    code: str
    count: int
    won: int | None
    who: Who
    command: str
    members: Sequence[Member] = ()
    detail: str = ""

    def to_document(self) -> dict[str, Any]:
        """As JSON."""
        return {name: getattr(self, name) for name in self.__struct_fields__}


def blockers(month: str, at: datetime, open_refunds: Sequence[Row], most: int) -> Iterator[Blocker]:
    """Why the month is not closed at the instant `at`; `open_refunds` are rows of `open_refunds_of_month`."""
    if at < ends_at(month):
        detail = f"can be closed from {wire_time(ends_at(month))} on"
        yield Blocker("month_not_over", 1, None, "finance", pawl("month", month), detail=detail)
    if open_refunds:
        # A payment may have several, and its won are issued once.
        won = {row["payment_id"]: row["won"] for row in open_refunds}
        yield Blocker(
            "open_refund",
            len(open_refunds),
            sum(won.values()),
            "operator",
            pawl("refund", "show", open_refunds[0]["refund_id"]),
            [dict(row) for row in open_refunds[:most]],
            "its payment is issued whole only with --despite-open-refunds",
        )


def warnings(
    month: str,
    failed: Sums,
    failures: Sequence[DocumentToBe],
    corrections: Sequence[Member],
    parked: Sequence[Row],
    most: int,
    *,
    is_interrupted: bool,
) -> Iterator[Blocker]:
    """What the close does not wait for. `corrections` are proposed, `parked` rows of `parked_for_month`."""
    if is_interrupted:
        detail = "a close did not come to its end, or left drafts because of a refund; repeat it"
        yield Blocker("month_close_interrupted", 1, None, "finance", close_command(month), detail=detail)
    if failures:
        partner_id = failures[0].document.partner_id
        yield Blocker(
            "document_not_issued",
            failed.documents,
            failed.amount.total,
            "partner",
            pawl("partner", "correct", "--business-number", "NUMBER", "--reason", "WHY", partner_id),
            [_failure(each) for each in failures],
            "the business number is wrong; issued when it is corrected",
        )
    yield from _waiting(parked)
    if corrections:
        yield Blocker(
            "document_of_wrong_business",
            len(corrections),
            None,
            "finance",
            pawl("close", month, "status"),
            corrections[:most],
        )


def _failure(each: DocumentToBe) -> Member:
    document = each.document
    return {
        "invoice_id": str(document.invoice_id),
        "partner_id": document.partner_id,
        "business_number": document.business_number,
        "won": document.amount.total,
    }


def _waiting(parked: Sequence[Row]) -> Iterator[Blocker]:
    """What is not handled yet may bring payments, refunds or wishes of the month."""
    for row in parked:
        if row["kind"] in WHO_OF_PARKED:
            names = [f"invoices:p{number}" for number in row["members"]]
            is_blocked = row["kind"] == "blocked"
            yield Blocker(
                f"event_{row['kind']}",
                row["count"],
                None,
                WHO_OF_PARKED[row["kind"]],
                pawl("dead", "replay" if is_blocked else "show", names[0]),
                [{"event": name} for name in names],
                "may be about this month",
            )


def close_command(month: str) -> str:
    """What closes a month."""
    return f"{pawl('close', month)} --reason WHY --yes"
