"""A month before and after its close, as a person reads it in 80 columns."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from ops.watch.show.rows import minute, won, words
from ops.watch.todo.text import age_text
from shared.kst import end_of_day, kst_date

Shown = Mapping[str, Any]

STATES: Mapping[str, str] = {
    "running": "is not over",
    "open": "is over and not closed",
    "interrupted": "is closed in part",
    "closed": "is closed",
}
NAMED = 3
"""So many payments of a merge, or of those left out, are named in a line."""
SUMS = "  {:<22} {:>12,} {:>12,} {:>20}"
"""Name, documents, payments, won."""


def print_month(console: Console, month: Shown) -> None:
    """Head, sums, merges, who is left out, what blocks, what to know, and what waits elsewhere."""
    for line in _lines(month):
        console.print(line, soft_wrap=True, highlight=False)


def _lines(month: Shown) -> Iterator[Text]:
    yield Text(f"{month['month']} {STATES[month['state']]}; {_countdown(month)}", style="bold")
    yield from _closes(month["closes"])
    yield from _sums(month)
    yield from _merges(month["merges"], month["to_be"]["merged"])
    yield from _left_out(month["left_out"])
    yield from _standing("this blocks the close", month["blockers"], "red")
    yield from _standing("to know", month["warnings"], "yellow")
    yield from _elsewhere(month.get("elsewhere", ()))


def _countdown(month: Shown) -> str:
    at = datetime.fromisoformat(month["at"])
    due = datetime.fromisoformat(month["due_on"]).date()
    left = end_of_day(due) - at
    if kst_date(at) == due:
        when = "today"
    else:
        when = f"in {age_text(left)}" if left.total_seconds() > 0 else f"since {age_text(-left)}"
    return f"its documents are due on {month['due_on']}, {when}"


def _closes(closes: Sequence[Shown]) -> Iterator[Text]:
    for close in closes:
        what = "issued" if close.get("step") == "issue" else "closed"
        yield Text(f"  {what} on {minute(close['at'])} by {close['actor']}")
        if close["reason"]:
            yield Text(f"    {close['reason']}", style="dim")


def _sums(month: Shown) -> Iterator[Text]:
    issued, to_be = month["issued"], month["to_be"]
    yield Text()
    yield Text(f"  {'':<22} {'documents':>12} {'payments':>12} {'won':>20}", style="dim")
    if issued["documents"]:
        yield from _sum("issued", issued)
    if to_be["documents"] or not issued["documents"]:
        yield from _sum("to be issued", to_be)
        single, merged = to_be["single"], to_be["merged"]
        yield Text(f"    {'of single payments':<20} {single:>12,}", style="dim")
        yield Text(f"    {'merged by month':<20} {merged:>12,}", style="dim")


def _sum(name: str, sums: Shown) -> Iterator[Text]:
    yield Text(SUMS.format(name, sums["documents"], sums["payments"], won(sums["total"])))
    parts = f"supply {won(sums['supply'])}, VAT {won(sums['vat'])}"
    yield Text(f"{parts:>71}", style="dim")
    if sums["late"]:
        late = f"{sums['late']:,} late; estimated penalty {won(sums['penalty'])}"
        yield Text(f"{late:>71}", style="yellow")


def _merges(merges: Sequence[Shown], count: int) -> Iterator[Text]:
    if merges:
        yield from _head("merged")
    for merge in merges:
        partners = ", ".join(merge["partners"])
        payments = f"{merge['payments']:,} payments"
        yield Text(
            f"  {partners:<22} {merge['business_number']:<10} {payments:>16} {won(merge['total']):>18}"
        )
        yield Text(f"    {_named(merge['payment_ids'], merge['payments'])}", style="dim")
    yield from _more(count - len(merges))


def _left_out(reasons: Sequence[Shown]) -> Iterator[Text]:
    """Payments that their partners want merged."""
    if reasons:
        yield from _head("left out of a merge")
    for each in reasons:
        payments = "1 payment" if each["count"] == 1 else f"{each['count']:,} payments"
        yield Text(f"  {words(each['reason']):<33} {payments:>16} {won(each['won']):>18}")
        ids = [f"{payment['payment_id']} of {payment['partner_id']}" for payment in each["payments"]]
        yield Text(f"    {_named(ids, each['count'])}", style="dim")


def _standing(title: str, found: Sequence[Shown], style: str) -> Iterator[Text]:
    if found:
        yield from _head(title)
    for each in found:
        yield _first_line(each, style)
        if each["detail"]:
            yield Text(f"        {each['detail']}")
        for member in each["members"]:
            yield Text(f"        {_member(member)}", style="dim")
        if each["members"]:
            yield from _more(each["count"] - len(each["members"]), 8)
        yield Text("        ").append(each["command"], style="cyan")


def _elsewhere(groups: Sequence[Shown]) -> Iterator[Text]:
    if groups:
        yield from _head("waits in other services, and may concern this month")
    for each in groups:
        yield _first_line(each, "yellow")
        yield Text("        ").append(each["command"], style="cyan")


def _first_line(each: Shown, style: str) -> Text:
    amount = "" if each["won"] is None else won(each["won"])
    return Text.assemble(
        f"  {each['count']:>5,} ", (f"{words(each['code']):<28}", style), f" {amount:>22}  {each['who']}"
    )


def _member(member: Shown) -> str:
    """A refund, a document that cannot be issued, an event, or a proposal to correct."""
    if "refund_id" in member:
        return f"{member['refund_id']}  {member['payment_id']}, {member['partner_id']}  {won(member['won'])}"
    if "event" in member:
        return str(member["event"])
    if "right_number" in member:
        return f"{member['document_key']} should be under {member['right_number']}"
    return f"{member['partner_id']}  {member['business_number']}  {won(member['won'])}"


def _named(names: Sequence[str], count: int) -> str:
    shown = ", ".join(names[:NAMED])
    more = count - min(len(names), NAMED)
    return f"{shown} and {more:,} more" if more > 0 else shown


def _head(title: str) -> Iterator[Text]:
    yield Text()
    yield Text(title, style="bold")


def _more(count: int, indent: int = 2) -> Iterator[Text]:
    if count > 0:
        yield Text(f"{'':<{indent}}and {count:,} more", style="dim")
