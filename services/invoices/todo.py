"""What needs somebody in invoices: open months; documents that failed, are late or of a wrong business."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Final

from services.invoices.calendar import ends_at, final_return_on, late_percent, transmit_by
from services.invoices.decisions.submitting import next_of
from services.invoices.decisions.transmitting import NEXT
from shared.kst import end_of_day, kst_date, month_of
from shared.operators.commands import pawl
from shared.operators.every_service import every_service
from shared.operators.todo import Cause, Group, Moment, Part, Row, Who, add_up, no_arguments
from shared.tax_documents import due_on

INVOICES: Final = "invoices"
FINANCE: Final[Who] = "finance"
PARTNER: Final[Who] = "partner"
OF_PARTNER: Final = ("correct_partner", "correct_document")
"""What mends a document that is not issued yet and that only its partner can tell."""
PENALTIES_SINCE: Final = timedelta(days=400)
"""A penalty is paid with the final VAT return, which is never further away than that."""


def open_months(rows: Sequence[Row], moment: Moment) -> Iterator[Group]:
    """Months that are over and not closed, with the countdown to their due day."""
    for row in rows:
        month = row["month"]
        part = Part(row["count"], row["won"], ends_at(month), end_of_day(due_on(month)), (month,))
        group = add_up(INVOICES, "month_not_closed", month, "finance", [part], moment)
        yield group.with_command(pawl("month", month))


def interrupted(rows: Sequence[Row], moment: Moment) -> Iterator[Group]:
    """Closes that did not come to their end, or left drafts because of a refund; a close can be repeated."""
    for row in rows:
        month = row["month"]
        part = Part(1, None, row["closed_at"], end_of_day(due_on(month)), (month,))
        group = add_up(INVOICES, "month_close_interrupted", month, "finance", [part], moment)
        yield group.with_command(pawl("month", month))


def unissuable(rows: Sequence[Row], moment: Moment) -> Iterator[Group]:
    """Documents that wait for the right business number of their partner."""
    parts = [
        Part(
            row["count"],
            row["won"],
            row["since"] or ends_at(row["month"]),
            end_of_day(due_on(row["month"])),
            tuple(row["members"]),
        )
        for row in rows
    ]
    if parts:
        group = add_up(INVOICES, "document_not_issued", "business_number", "partner", parts, moment)
        yield group.with_command(pawl("partner", "correct", group.members[0]))


def refused(rows: Sequence[Row], moment: Moment) -> Iterator[Group]:
    """Documents that the tax agent did not issue, by why. What is mended is approved and issued again."""
    for why, some in _by_why(rows).items():
        of_month = [_part(row, due_on(row["month"])) for row in some]
        first = next((row for row in some if not row["is_told"]), some[0])
        if next_of(why) in OF_PARTNER and not first["is_told"]:
            who, command = PARTNER, _telling(why, first["members"][0])
        else:
            who, command = FINANCE, f"{pawl('close', first['month'], 'approve')} --reason WHY --yes"
        group = add_up(INVOICES, "document_refused", why, who, of_month, moment)
        yield group.with_command(command)


def issue_again(rows: Sequence[Row], moment: Moment) -> Iterator[Group]:
    """Documents of closed months that the tax agent refused, and that can be given to it again."""
    for row in rows:
        part = _part(row, due_on(row["month"]))
        step = "issue" if row["is_approved"] else "approve"
        group = add_up(INVOICES, "document_to_issue_again", row["month"], FINANCE, [part], moment)
        yield group.with_command(f"{pawl('close', row['month'], step)} --reason WHY --yes")


def not_transmitted(rows: Sequence[Row], moment: Moment) -> Iterator[Group]:
    """Issued documents that the tax authority does not have, by why, with the day by which it should."""
    for why, some in _by_why(rows).items():
        parts = [_part(row, transmit_by(row["day"])) for row in some]
        who, command = _transmitting(why, some[0])
        group = add_up(INVOICES, "document_not_transmitted", why, who, parts, moment)
        yield group.with_command(command)


def unanswered(rows: Sequence[Row], moment: Moment) -> Iterator[Group]:
    """Issued documents of which the tax agent says nothing though they had to be transmitted by now."""
    parts = [
        Part(
            row["count"],
            row["won"],
            row["since"],
            end_of_day(transmit_by(row["day"])),
            tuple(row["members"]),
        )
        for row in rows
        if end_of_day(transmit_by(row["day"])) < moment.now
    ]
    if parts:
        group = add_up(INVOICES, "document_not_transmitted", "no_answer", FINANCE, parts, moment)
        yield group.with_command(pawl("document", group.members[0]))


def doubted(rows: Sequence[Row], moment: Moment) -> Iterator[Group]:
    """Documents about which the tax agent says what cannot be, by why; refunds of them wait."""
    for why, some in _by_why(rows).items():
        parts = [_part(row, due_on(row["month"])) for row in some]
        group = add_up(INVOICES, "document_answer_doubted", why, FINANCE, parts, moment)
        command = f"{pawl('close', some[0]['month'], 'transmit')} --results FILE --yes"
        yield group.with_command(command)


def _transmitting(why: str, first: Row) -> tuple[Who, str]:
    """Who must act so that the authority takes a document, and how."""
    month, document = first["month"], first["members"][0]
    match next_of(why) if first["by_agent"] else NEXT.get(why, "send_again"):
        case "correct_partner":
            return PARTNER, _telling(why, first["partner"])
        case "correct_document":
            return FINANCE, pawl("close", month, "amend", document)
        case "send_again" if first["by_agent"]:
            return FINANCE, f"{pawl('close', month, 'issue')} --reason WHY --yes"
        case "send_again":
            return FINANCE, f"{pawl('close', month, 'transmit')} --sheet DIR"
        case _:
            return FINANCE, f"{pawl('close', month, 'transmit')} --results FILE --yes"


def _telling(why: str, partner_id: str) -> str:
    """How what a partner says mends a refusal for `why`."""
    command = pawl("partner", "correct", partner_id)
    return f"{command} --representative NAME --reason WHY --yes" if why == "incomplete" else command


def _part(row: Row, due: date) -> Part:
    """The documents of a row as a part of a group, due at the end of that day."""
    return Part(row["count"], row["won"], row["since"], end_of_day(due), tuple(row["members"]))


def _by_why(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by why, the oldest first."""
    found: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row["since"]):
        found.setdefault(row["why"], []).append(row)
    return found


def late(rows: Sequence[Row], moment: Moment) -> Iterator[Group]:
    """Documents that were issued late, until the VAT return with which their estimated penalty is paid."""
    parts: dict[str, list[Part]] = {}
    for row in rows:
        month, day = row["month"], row["day"]
        penalty = row["one_percent"] if late_percent(month, day) == 1 else row["two_percent"]
        pay_on = max(final_return_on(month), final_return_on(f"{day:%Y-%m}"))
        if pay_on >= kst_date(moment.now):
            part = Part(row["count"], penalty, row["since"], end_of_day(pay_on), tuple(row["members"]))
            parts.setdefault(month, []).append(part)
    for month, of_month in parts.items():
        group = add_up(INVOICES, "document_late_penalty", month, "finance", of_month, moment)
        yield group.with_command(f"pawl close {month} status")


def corrections(rows: Sequence[Row], moment: Moment) -> Iterator[Group]:
    """Issued documents of another business than their partner's."""
    for row in rows:
        part = Part(row["count"], row["won"], row["since"], members=tuple(row["members"]))
        group = add_up(INVOICES, "document_of_wrong_business", row["month"], "finance", [part], moment)
        yield group.with_command(f"pawl close {row['month']} status")


TODO: Final = (
    Cause("todo_open_months", lambda moment: (month_of(moment.now),), open_months),
    Cause("todo_interrupted", no_arguments, interrupted),
    Cause("todo_unissuable", no_arguments, unissuable),
    Cause("todo_refused", no_arguments, refused),
    Cause("todo_issue_again", no_arguments, issue_again),
    Cause("todo_not_transmitted", no_arguments, not_transmitted),
    Cause("todo_unanswered", no_arguments, unanswered),
    Cause("todo_doubted", no_arguments, doubted),
    Cause("todo_late", lambda moment: (moment.now - PENALTIES_SINCE,), late),
    Cause("todo_corrections", no_arguments, corrections),
    *every_service(INVOICES),
)
"""The causes of invoices: statement, arguments, groups."""
