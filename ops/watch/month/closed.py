"""A month that is closed, in one stroke or in steps, as a person reads it."""

from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ops.shell.output import visible
from ops.watch.show.rows import minute, won

ARRIVED = 20
"""So many payments and refunds are shown that came since an approval; JSON has all that are named."""
WHY_LEFT: Mapping[str, str] = {
    "not_approved": "not approved (pawl close {month} approve)",
    "open_refund": "a refund is in progress (pawl month {month})",
    "with_agent": "with the tax agent, which issues them in its own time (pawl close {month} status)",
    "answer_doubted": "with the tax agent, whose answer cannot be (pawl todo --code document_answer_doubted)",
    "four_eyes": "whoever issues has approved them, somebody else is to issue them",
    "not_issued": "approved, and still to be issued (pawl close {month} issue)",
}
"""Why a step leaves a business, with what to do."""


def print_summary(console: Console, summary: dict[str, Any]) -> None:
    """The month as it is closed now."""
    new = summary["documents"] - summary["already_issued"]
    drafts = summary["drafts"]
    state = "closed in part" if drafts else "closed"
    _print_totals(console, f"{summary['month']} is {state}", summary, ("  issued by this close", f"{new:,}"))
    if drafts:
        console.print(
            f"{drafts:,} documents are left: a refund of theirs opened meanwhile. See: "
            f"pawl month {summary['month']}",
            highlight=False,
        )


def print_status(console: Console, month: dict[str, Any]) -> None:
    """The month as it is, closed or not; or one document with its lines."""
    if "document_key" in month:
        print_document(console, month)
        return
    if "business_number" in month:
        print_business(console, month)
        return
    closed = f"closed at {month['closed_at']}" if month["closed_at"] else "not closed"
    _print_totals(console, f"{month['month']} is {closed}", month)
    declared = month["declared"]
    console.print(
        f"declared, modified documents too: {declared['documents']:,} documents, ₩{declared['supply']:,} and "
        f"₩{declared['vat']:,} VAT",
        highlight=False,
        soft_wrap=True,
    )
    counts = ", ".join(f"{state} {count:,}" for state, count in sorted(month.get("businesses", {}).items()))
    if counts:
        console.print(f"businesses: {counts}", highlight=False)
    for each in month.get("board", ()):
        words = f"{each['businesses']:,} businesses, {each['documents']:,} documents, ₩{each['won']:,}"
        console.print(f"  {each['state'].replace('_', ' ')}: {words}", highlight=False)


def print_business(console: Console, business: dict[str, Any]) -> None:
    """How a business stands in a month, each step by whom, what has drifted, and what is next."""
    table = Table(
        title=business["business_number"], title_justify="left", title_style="bold", show_header=False
    )
    table.add_column()
    table.add_column()
    table.add_row("state", business["state"])
    table.add_row("partners", ", ".join(business["partners"]))
    for name in ("drafts", "approved", "issued", "transmitted", "issue_failed", "transmission_failed"):
        if business[name]:
            table.add_row(name.replace("_", " "), f"{business[name]:,}")
    table.add_row("to be issued", f"₩{business['to_issue']:,}")
    table.add_row("issued", f"₩{business['total']:,}")
    for name in ("approved_by", "issued_by"):
        if said := business[name]:
            table.add_row(name.replace("_", " "), f"{said['actor']} at {said['at']}: {said['reason']}")
    if drift := business["drift"]:
        table.add_row(
            "drift since approval",
            f"{drift['changed']} changed, {drift['new']} new, {drift['gone']} gone; "
            f"₩{drift['approved_total']:,} were approved, now ₩{drift['total']:,}",
        )
    table.add_row("due on", f"{business['due_on']} ({business['days_left']} days left)")
    for penalty in business.get("penalties", ()):
        kind = penalty["kind"].replace("_", " ")
        table.add_row("penalty", f"{kind}: {penalty['documents']:,} documents, estimated ₩{penalty['won']:,}")
    console.print(table)
    if drift:
        _print_arrived(console, drift)
    if business["command"]:
        console.print(f"Next: {business['command']}", highlight=False, soft_wrap=True)


def _print_arrived(console: Console, drift: Mapping[str, Any]) -> None:
    """What came since the approval, one line each."""
    arrived = drift["arrived"]
    console.print("Arrived since the approval:" if arrived else "No payment and no refund has arrived since.")
    for each in arrived[:ARRIVED]:
        console.print(_arrived_line(each), soft_wrap=True, highlight=False)
    if len(arrived) > ARRIVED:
        more = f"{len(arrived) - ARRIVED:,}{'+' if drift['has_more'] else ''}"
        console.print(f"  and {more} more, as --json names them", highlight=False)


def _arrived_line(each: Mapping[str, Any]) -> Text:
    what = each["what"] if each["refund_id"] is None else f"{each['what']} {each['refund_id']} of"
    about = f"{what} {each['payment_id']} (order {each['order_id']})"
    return Text(visible(f"  {minute(each['at'])}  {about}  {won(each['won'])}"))


def print_step(console: Console, month: dict[str, Any]) -> None:
    """What a step has made of a month, and what it has left."""
    table = Table(title=f"{month['month']}", title_justify="left", title_style="bold", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("drafts", f"{month['drafts']:,}")
    table.add_row("approved", f"{month['approved']:,}  ₩{month['approved_total']:,}")
    table.add_row("issued", f"{month['issued']:,}  ₩{month['issued_total']:,}")
    table.add_row("could not be issued", f"{month['issue_failed']:,}")
    console.print(table)
    for each in month["left"]:
        console.print(
            f"{each['count']:,} businesses are left, {WHY_LEFT[each['reason']].format(**month)}: "
            f"{', '.join(each['businesses'])}",
            highlight=False,
        )
    if month["is_closed"]:
        console.print(f"{month['month']} is closed", highlight=False)


def print_transmitted(console: Console, month: dict[str, Any]) -> None:
    """How many results were new, and those that cannot be."""
    console.print(f"{month['told']:,} results were noted", highlight=False)
    for each in month["refused"]:
        console.print(f"{each['document_key']}: {each['code']}", highlight=False)


def print_recalled(console: Console, document: dict[str, Any]) -> None:
    """That a document is not with the tax agent any more."""
    said = "is taken back from the tax agent: it is approved, and not issued"
    console.print(f"{document['document_key']} {said}", highlight=False)


def _print_totals(console: Console, title: str, month: dict[str, Any], *more: tuple[str, str]) -> None:
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("documents", f"{month['documents']:,}")
    for row in more:
        table.add_row(*row)
    table.add_row("  merged by month", f"{month['merged']:,}")
    table.add_row("payments on them", f"{month['payments']:,}")
    for name in ("supply", "vat", "total"):
        table.add_row(name, f"₩{month[name]:,}")
    table.add_row("could not be issued", f"{month['issue_failed']:,}")
    console.print(table)
    if month["issue_failed"]:
        console.print("Why, and what mends it: pawl todo", highlight=False)
    _print_corrections(console, month["month"], month["corrections"])


def print_document(console: Console, document: dict[str, Any]) -> None:
    """A document line by line."""
    name = document["document_key"] or document["invoice_id"]
    title = f"{name}  {document['state']}  {document['business_number']}  {document['written_date'] or ''}"
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("product")
    for column in ("price", "units", "supply", "vat"):
        table.add_column(column, justify="right")
    for line in document["lines"] or ():
        numbers = (line[column] for column in ("unit_price", "quantity", "supply", "vat"))
        table.add_row(line["name"], *("" if number is None else f"{number:,}" for number in numbers))
    table.add_row("total", f"₩{document['total']:,}", "", f"{document['supply']:,}", f"{document['vat']:,}")
    console.print(table)


def _print_corrections(console: Console, month: str, corrections: list[dict[str, Any]]) -> None:
    proposed = [each for each in corrections if each["state"] == "proposed"]
    for each in proposed:
        console.print(
            f"{each['document_key']} of {each['partner_id']} should be under {each['right_number']}.",
            highlight=False,
        )
    if proposed:
        console.print(f"Correct one: pawl close {month} amend DOCUMENT --reason TEXT", highlight=False)


def print_merge(console: Console, merge: dict[str, Any]) -> None:
    """What became, or would become, of each payment of the business."""
    table = Table(box=None, pad_edge=False)
    for name in ("payment", "order", "partner"):
        table.add_column(name)
    table.add_column("total", justify="right")
    table.add_column("reason")
    for payment in [*merge["merged"], *merge["excluded"]]:
        names = (payment["payment_id"], payment["order_id"], payment["partner_id"])
        table.add_row(*names, f"₩{payment['total']:,}", payment.get("reason", "merged"))
    console.print(table)
    verb = "taken apart" if merge["undone"] else "on one invoice"
    count = len(merge["excluded"] if merge["undone"] else merge["merged"])
    _print_end(console, merge["applied"], f"{count:,} payments of {merge['business_number']} {verb}")


def print_correction(console: Console, correction: dict[str, Any]) -> None:
    """The documents that the correction makes, or would make."""
    for document in correction["documents"]:
        console.print(
            f"{document['modification']}  {document['business_number']}  {document['written_date']}"
            f"  ₩{document['total']:,}  {document['document_key']}",
            highlight=False,
        )
    for buyer in correction.get("incomplete", ()):
        lacks = " and no ".join(buyer["missing"])
        console.print(f"{buyer['business_number']} has no {lacks}: {buyer['command']}", highlight=False)
    made = f"{len(correction['documents'])} documents correct {correction['document']}"
    _print_end(console, correction["applied"], made)


def _print_end(console: Console, applied: bool, what: str) -> None:
    console.print(what if applied else f"{what}: nothing was done. Do it with --yes", highlight=False)


UNLOCKS: Mapping[str, str] = {
    "issue_units": "issue the other {units:,} units",
    "refund_ends": "the refund {refunds} ends",
    "another_payment": "another payment of the business that is fit",
    "ask_to_merge": "the partner asks for it before {until}",
    "merge_business": "an operator merges the business: {command}",
    "undo_business_merge": "an operator takes the merge apart: {command}",
    "undo": "until it is issued the merge can be undone",
}
"""What would change what becomes of a payment, in words."""
OUTCOMES: Mapping[str, str] = {
    "now": "as it is",
    "issued": "when all units are issued",
    "refunded": "when the refunds are paid out",
    "released": "when the refunds end without money",
    "issued_and_refunded": "when all that arrives",
}


def print_plan(console: Console, plan: dict[str, Any]) -> None:
    """Which payments of a business merge, which do not and why, and what the documents come to then."""
    if not plan["partners"]:
        console.print(f"{plan['business_number']} has no payment in {plan['month']}", highlight=False)
    for partner in plan["partners"]:
        wants = "always merges" if partner["always_merge_at_cut_off"] else "merges on request"
        for business in partner["businesses"]:
            title = f"{business['business_number']} of {partner['partner_id']}, which {wants}"
            _print_business_plan(console, title, business)


def _print_business_plan(console: Console, title: str, business: dict[str, Any]) -> None:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name in ("payment", "order"):
        table.add_column(name)
    table.add_column("total", justify="right")
    for name in ("becomes", "what would change it"):
        table.add_column(name)
    for payment in business["payments"]:
        changes = "; ".join(_unlock(each) for each in payment["unlocks"])
        names = (payment["payment_id"], payment["order_id"], f"₩{payment['total']:,}", payment["reason"])
        table.add_row(*names, changes)
    console.print(table)
    told: dict[tuple[int, int], list[str]] = {}
    for name, totals in business["totals"].items():
        won = (totals["merged"]["total"], totals["single"]["total"])
        told.setdefault(won, []).append(OUTCOMES[name])
    for (merged, single), outcomes in told.items():
        console.print(f"₩{merged:,} merged, ₩{single:,} single: {', '.join(outcomes)}", highlight=False)


def _unlock(unlock: dict[str, Any]) -> str:
    refunds = ", ".join(unlock["refund_ids"])
    return UNLOCKS[unlock["what"]].format(refunds=refunds, **unlock)


SHOWN: Mapping[str, Callable[[Console, dict[str, Any]], None]] = {
    "close": print_summary,
    "status": print_status,
    "plan": print_plan,
    "approve": print_step,
    "issue": print_step,
    "recall": print_recalled,
    "transmit": print_transmitted,
    "merge": print_merge,
    "amend": print_correction,
    "correct": print_correction,
}
"""How each answer is shown to a person."""
