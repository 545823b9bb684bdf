"""The story of an order as a person reads it on a terminal."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from rich.console import Console
from rich.text import Text

from ops.watch.story.model import Dead, Event, Story
from shared.kst import in_kst

ACCEPTED = "event.accepted.v1"
TERMINAL = {"paid": "green", "refunded": "yellow", "cancelled": "red", "expired": "red", "unknown": "red"}


class Row(NamedTuple):
    """One line of the timeline."""

    recorded_at: datetime
    place: tuple[int, int]
    time: str
    service: str
    text: Text


def print_story(console: Console, story: Story) -> None:
    """Head, units, money, timeline, and what comes next."""
    for line in (_head(story), *_units(story), *_papers(story), Text(), *_timeline(story), *_next(story)):
        console.print(line, soft_wrap=True, highlight=False)


def _head(story: Story) -> Text:
    head = Text.assemble(
        ("order ", "bold"),
        (story.order_id, "bold"),
        "  ",
        (story.state.replace("_", " "), TERMINAL.get(story.state, "cyan")),
    )
    head.append(f"  ₩{story.amount:,}  {story.partner_id or 'partner not known'}")
    if story.waits_for:
        head.append(f"  waits for {story.waits_for[0].partition(';')[0]}", style="yellow")
    return head


def _units(story: Story) -> Iterator[Text]:
    for line in story.lines:
        counts = [("paid", line.paid), ("issuing", line.issuing), ("issued", line.issued)]
        counts += [("refunding", line.refunding), ("refunded", line.refunded), ("open", line.open)]
        counted = "  ".join(f"{count:,} {name}" for name, count in counts if count or name == "paid")
        yield Text.assemble(("  line  ", "dim"), f"{line.line_id}  {line.product_name}: {counted}")


def _papers(story: Story) -> Iterator[Text]:
    if story.amount:
        won = f"₩{story.amount:,} paid  ₩{story.refunded_won:,} refunded  ₩{story.invoiced_won:,} invoiced"
        evidence = f"  ({story.evidence.replace('_', ' ')})" if story.evidence else ""
        yield Text.assemble(("  won   ", "dim"), won, evidence)
    for refund in story.refunds:
        text = f"{refund.refund_request_id}  {refund.state}  ₩{refund.amount:,}  {refund.reason}"
        yield Text.assemble(("  refund  ", "dim"), text)
    for invoice in story.invoices:
        name = invoice.document_key or invoice.invoice_id
        text = f"{invoice.kind}  {invoice.state}  {invoice.month}  ₩{invoice.total:,}  {name}"
        yield Text.assemble(("  invoice  ", "dim"), text)


def _timeline(story: Story) -> Iterator[Text]:
    rows = [_event_row(story, event) for event in story.events if event.type != ACCEPTED]
    answered = {event.data.get("event", {}).get("id") for event in story.events if event.refused}
    rows += [_dead_row(dead) for dead in story.dead if dead.event_id not in answered]
    rows.sort(key=lambda row: (row.recorded_at, row.place))
    if story.events_since is not None:
        since = in_kst(story.events_since).strftime("%Y-%m-%d %H:%M:%S")
        yield Text(f"{since}  earlier events are not kept any more", style="dim")
    for row in rows:
        yield Text.assemble(
            (row.time, "dim"),
            f" {elapsed(row.recorded_at - rows[0].recorded_at):>9} ",
            (f"{row.service:<9} ", "cyan"),
            row.text,
        )


def _event_row(story: Story, event: Event) -> Row:
    time = in_kst(datetime.fromisoformat(event.time)).strftime("%Y-%m-%d %H:%M:%S")
    if event.refused:
        text = Text(f"✖ {event.refused}", style="red")
        dead = next((d for d in story.dead if d.event_id == event.data.get("event", {}).get("id")), None)
        if dead is not None:
            text.append(f"  → pawl dead show {dead.name}", style="bold")
    elif event.service == "checkout":
        text = Text(f"{words(event.type)}  {event.id}", style="dim")
    else:
        text = Text(f"{words(event.type)}{_particulars(event.data)}{_serials(story, event)}")
        if not event.published:
            text.append("  (not published yet)", style="yellow")
    return Row(event.recorded_at, event.place, time, event.service, text)


def _dead_row(dead: Dead) -> Row:
    time = in_kst(dead.dead_at).strftime("%Y-%m-%d %H:%M:%S")
    text = Text(f"✖ {words(dead.type)}: {dead.code} {dead.pointer} {dead.detail}", style="red")
    text.append(f"  → pawl dead show {dead.name}", style="bold")
    return Row(dead.dead_at, (0, 2), time, dead.service, text)


def words(type_name: str) -> str:
    """`refund.payout_requested.v1` as `refund payout requested`."""
    return type_name.removesuffix(".v1").replace(".", " ").replace("_", " ")


def _particulars(data: dict[str, Any]) -> str:
    """What a reader wants to know of an event: how many, how much, which, why."""
    parts = []
    if "quantity" in data:
        parts.append(f"x{data['quantity']:,} of line {data.get('line_id', '?')}")
    elif data.get("lines") and "quantity" in data["lines"][0] and "product_id" not in data["lines"][0]:
        at_most = "up to " if data.get("everything") else ""
        parts += [f"{at_most}x{line['quantity']:,} of line {line['line_id']}" for line in data["lines"][:3]]
    won = next((data[name] for name in ("amount", "total") if name in data), None)
    if won is None and "supply" in data:
        won = data["supply"] + data["vat"]
    if won:
        parts.append(f"₩{won:,}")
    parts += [str(data[name]) for name in ("refund_request_id", "document_key", "reason") if data.get(name)]
    return "".join(f"  {part}" for part in parts)


def _serials(story: Story, event: Event) -> str:
    grant = next((g for g in story.grants if g.grant_id == event.data.get("grant_id")), None)
    if event.type != "serials.issued.v1" or grant is None:
        return ""
    shown = "".join(f"  ...{last_four}" for last_four in grant.last_fours)
    return shown + (" ..." if grant.quantity > len(grant.last_fours) else "")


def _next(story: Story) -> Iterator[Text]:
    for sentence in story.waits_for:
        what, _, command = sentence.partition(";")
        line = Text.assemble(("waits for ", "yellow"), what)
        if command:
            line.append(f"  →{command}", style="bold")
        yield line
    if not story.waits_for:
        yield Text("waits for nothing", style="green")


def elapsed(delta: timedelta) -> str:
    """`+38ms`, `+4.2s`, `+1m12s`, `+3h05m`, `+2d04h`."""
    seconds = delta.total_seconds()
    if seconds < 1:
        return f"+{seconds * 1000:.0f}ms"
    if seconds < 60:
        return f"+{seconds:.1f}s"
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if minutes < 60:
        return f"+{minutes}m{int(seconds % 60):02}s"
    return f"+{hours}h{minutes % 60:02}m" if days == 0 else f"+{days}d{hours % 24:02}h"
