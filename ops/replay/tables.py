"""The summary of a replay as a person reads it."""

from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ops.replay.summary import Summary

MEANINGS = {
    "blank_line": "an empty line",
    "unreadable": "too few columns, or a wrong number or time",
    "no_customer": "nobody to sell to",
    "other_customer_in_document": "a document belongs to the customer of its first line",
    "order_quantity_not_positive": "an order of nothing, or of less",
    "cancel_quantity_not_negative": "a cancellation that gives",
    "quantity_above_limit": "more than 1,000,000 units",
    "price_negative": "a price below 0",
    "price_above_limit": "a unit price above 10^9 won",
    "order_worth_nothing": "every line of the order is free: nothing to pay",
    "cancel_without_order": "the customer never bought that product before, in this file",
    "cancel_more_than_bought": "more units than the customer bought and has not cancelled",
    "issued": "every unit has its serial",
    "refunded": "every unit was paid back before it was issued",
    "issued_and_refunded": "some units were paid back, the others issued",
    "charge_paid": "postage, carriage, manual entry: paid, nothing to issue",
    "open": "paid, but neither issued nor refunded",
    "refund_completed": "granted and paid out",
    "refund_completed_in_part": "some of the orders it touched granted it, others did not",
    "refund_rejected_issued": "asked after its units were issued",
    "refund_rejected_already_refunded": "its units were paid back before",
    "refund_denied_issued": "lost the race against the issuance",
    "refund_rejected_window_over": "a charge: asked for later than seven days after its payment",
}


def print_summary(console: Console, summary: Summary) -> None:
    """All tables, and the auditor's verdict."""
    document = summary.document
    for part in (
        _outcomes(document),
        _figures(summary),
        _months(document["months"]),
        _verdict(document["check"]),
    ):
        console.print(part)
        console.print()


def _outcomes(document: dict[str, Any]) -> RenderableType:
    table = _table("What became of each source line", "outcome", "lines", "meaning", right=("lines",))
    for name, count in document["outcomes"].items():
        table.add_row(name, f"{count:,}", MEANINGS.get(name, ""))
    table.add_section()
    table.add_row("lines read", f"{document['lines']:,}", "each in exactly one of the above")
    return table


def _figures(summary: Summary) -> RenderableType:
    document, table = summary.document, _table("What it came to", "", "", right=())
    units, won, refunds = document["units"], document["won"], document["refunds"]
    table.add_row("orders paid", f"{document['orders']:,}")
    table.add_row("units", _listed(units))
    table.add_row("refund requests", f"{refunds['requested']:,}")
    table.add_row("  granted", f"{refunds['granted']:,} ({refunds['completed']:,} paid out)")
    for how in ("denied", "rejected"):
        for reason, count in refunds[how].items():
            table.add_row(f"  {how}", f"{count:,} {reason}")
    table.add_row("tax invoices", _listed(summary.invoices))
    table.add_row("won in", f"₩{won['paid']:,}")
    table.add_row("won out", f"₩{won['refunded']:,}")
    table.add_row("won on tax invoices", f"₩{won['invoiced']:,}")
    table.add_row("events", _listed(summary.events))
    table.add_row("time", f"{document['seconds']:,.1f} s: {rates(document)}")
    return table


def _months(months: dict[str, dict[str, int]]) -> RenderableType:
    names = ("payments", "documents", "supply", "vat", "total")
    table = _table("Months", "month", *names, right=names)
    for month, figures in months.items():
        table.add_row(month, *(f"{figures[name]:,}" for name in names))
    return table


def _verdict(check: dict[str, Any]) -> RenderableType:
    if check["ok"]:
        return Text(f"Auditor: every rule holds for {check['orders']:,} orders.", style="bold green")
    broken = [f"  {v['rule']}  {v['order_id']}  {v['detail']}" for v in check["violations"][:10]]
    head = Text(f"Auditor: {len(check['violations'])} rules broken; see `pawl check`.", style="bold red")
    return Group(head, *broken)


def rates(document: dict[str, Any]) -> str:
    """Orders, events (those published and those read) and units a second."""
    names = ("orders", "events", "units")
    return ", ".join(f"{document[f'{name}_per_second']:,.0f} {name}/s" for name in names)


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


def _table(title: str, *columns: str, right: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", show_header=any(columns))
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left")
    return table
