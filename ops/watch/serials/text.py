"""Issuances, the notice, the custody log and a campaign, as a person reads them on a terminal."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from rich.console import Console

from ops.watch.show.rows import day, minute, print_lines, words

_WATERMARK: Final = re.compile(r"\b[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}\b", re.ASCII | re.IGNORECASE)

Row = Mapping[str, Any]


def print_issuances(console: Console, issuances: Iterable[Row]) -> None:
    """A head and a few lines for each."""
    for issuance in issuances:
        print_lines(console, f"issuance {issuance['grant_id']}", _issuance(issuance))


def _issuance(issuance: Row) -> Iterator[tuple[str, str]]:
    days = issuance["usage_days"]
    yield "order", f"{issuance['order_id']}, line {issuance['line_id']}, partner {issuance['partner_id']}"
    yield "product", f"{issuance['product_name']}, {days} days from registration"
    far = f"{issuance['issued']:,} of {issuance['quantity']:,} ({issuance['percent']} %)"
    yield "serials", f"{words(issuance['state'])}: {far}"
    counts = issuance["counts"]
    yield "now", "  ".join(f"{count:,} {name}" for name, count in counts.items() if count or name == "active")
    yield "window", f"can be registered until {day(issuance['registration_deadline'])}"
    yield "batch", issuance["batch_id"]


def print_taken(console: Console, taken: Row) -> None:
    """What was taken, and under which watermark."""
    head = f"{taken['file']}  {taken['serials']:,} serials, {taken['bytes']:,} bytes"
    print_lines(console, head, [("watermark", taken["watermark"]), ("who", "only you can read the file")])


def print_notice(console: Console, notice: Row) -> None:
    """The five items, and each text with its length and what cannot be sent of it."""
    items = ("product_name", "usage_period", "registration_period", "registration_page")
    print_lines(console, f"notice of {notice['grant_id']}", ((words(name), notice[name]) for name in items))
    for text in notice["texts"]:
        console.print(f"\n{_length(text)}", style="bold", soft_wrap=True, highlight=False, markup=False)
        if text["subject"] is not None:
            console.print(text["subject"], soft_wrap=True, highlight=False, markup=False)
        console.print(text["text"], soft_wrap=True, highlight=False, markup=False)
        for each in text["cannot_be_sent"]:
            console.print(_character(each), style="red", soft_wrap=True, highlight=False, markup=False)


def notice_text(notice: Row) -> str:
    """The texts of a notice as a file."""
    parts = []
    for text in notice["texts"]:
        subject = "" if text["subject"] is None else f"{text['subject']}\n\n"
        parts.append(f"== {_length(text)} ==\n{subject}{text['text']}\n")
    return "\n".join(parts)


def _length(text: Row) -> str:
    name = {"sms": "SMS", "lms": "LMS", "email": "e-mail"}[text["kind"]]
    if text["bytes"] is None:
        return f"{name}: cannot be sent to a phone as it is" if text["limit"] else name
    of = "" if text["limit"] is None else f" of {text['limit']:,}"
    return f"{name}: {text['bytes']:,}{of} bytes{'' if text['fits'] else ', too long'}"


def _character(character: Row) -> str:
    instead = character["substitute"]
    say = "nothing means the same" if instead is None else f"write {instead!r}" if instead else "leave it out"
    return f"  cannot be sent: {character['character']!r} ({character['name']}); {say}"


def print_custody(console: Console, rows: Iterable[Row]) -> None:
    """Who took or looked at what; the newest first."""
    for row in rows:
        print_lines(console, _taken(row), _about(row))


def _taken(row: Row) -> str:
    who = row["actor"] or "somebody of others"
    if row["form"] == "search":
        return f"{minute(row['at'])}  {who} looked up unit {row['first_unit']:,}"
    units = f"{row['first_unit']:,} to {row['last_unit']:,}"
    state = f"{row['state']} " if row["state"] else ""
    return (
        f"{minute(row['at'])}  {who} took {row['serials']:,} {state}serials of units {units} as {row['form']}"
    )


def _about(row: Row) -> Iterator[tuple[str, str]]:
    if "order_id" in row:
        yield "issuance", f"{row['grant_id']} of order {row['order_id']}, partner {row['partner_of_order']}"
    if row["partner_id"]:
        yield "for", f"partner {row['partner_id']}"
    if row["reason"]:
        yield "because", row["reason"]
    if row["client"]:
        yield "from", f"{row['client']}, request {row['request']}"
    if row["watermark"]:
        yield "watermark", row["watermark"]


def watermark_in(pasted: str) -> str:
    """The watermark in a file's name, its first row or its properties; else what was given."""
    found = _WATERMARK.findall(pasted)
    return found[-1] if found else pasted


def print_campaign(console: Console, head: str, campaign: Mapping[str, Any]) -> None:
    """A line for each issuance, then all of them together."""
    print_lines(console, head, (_campaign_line(row) for row in campaign["issuances"]))
    total = campaign["total"]
    print_lines(console, "together", ((words(name), f"{value:,}") for name, value in total.items()))


def _campaign_line(row: Row) -> tuple[str, str]:
    said = f"{row['product_name']}, line {row['line_id']} of {row['order_id']}: {row['issued']:,} issued"
    registered = f"{row['registered']:,} registered ({row['registered_percent']} %)"
    left = f"{row['active']:,} until {day(row['registration_deadline'])}"
    lost = f", {row['dead_stock']:,} lost" if row["dead_stock"] else ""
    return "issuance", f"{said}, {registered}, {left}{lost}"
