"""The story of an order as a person reads it on a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from rich.console import Console
from rich.text import Text

from ops.shell.output import visible
from ops.watch.story.model import CHECKOUT, OPERATOR, Change, Dead, Event, Story
from shared.events.successors import newest
from shared.kst import in_kst
from shared.operators.sentences import Sentence

ACCEPTED = "event.accepted.v1"
SHOWN = 3
"""So many serials of an event are shown, by their last four characters."""
TERMINAL = {"paid": "green", "refunded": "yellow", "cancelled": "red", "expired": "red", "unknown": "red"}


Kind = Literal["event", "refused", "change", "ended"]


class Row(NamedTuple):
    """One line of the timeline: an event, a refusal, what a person did, or how a refusal ended.

    `id` and `caused_by` are those of the event (`id` also of what a person did), `letter` is how `pawl dead`
    names a refused record. `said` is the text part by part, for those who say it in another language.
    """

    recorded_at: datetime
    place: tuple[int, int]
    time: str
    service: str
    text: Text
    kind: Kind = "event"
    id: str = ""
    caused_by: str = ""
    letter: str = ""
    said: Sequence[str] = ()


def print_story(console: Console, story: Story, by_line: bool = False) -> None:
    """Head, units, money, timeline, and what comes next.

    `by_line`: what one event says of several lines is told line by line.
    """
    timeline = _timeline(story, by_line)
    for line in (_head(story), *_units(story), *_papers(story), Text(), *timeline, *_next(story)):
        console.print(_visible(line), soft_wrap=True, highlight=False)


def _visible(line: Text) -> Text:
    """What people and shops said stays on its line, if it has to lose its colours for that."""
    said = visible(line.plain)
    return line if said == line.plain else Text(said)


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
    serials = story.serials
    if any(count for name, count in serials.items() if name != "issued"):
        counted = "  ".join(f"{count:,} {name}" for name, count in serials.items() if count)
        yield Text.assemble(("  serials  ", "dim"), counted)


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


def rows_of(story: Story, by_line: bool = False) -> list[Row]:
    """Everything that happened to an order, in the order in which it was recorded."""
    rows = [_change_row(story, change) for change in story.changes]
    rows += [
        _event_row(story, told)
        for event in story.events
        if event.type != ACCEPTED
        for told in (_each_line(event) if by_line else (event,))
    ]
    answered = {event.data.get("event", {}).get("id") for event in story.events if event.refused}
    rows += [_dead_row(dead) for dead in story.dead if dead.event_id not in answered]
    rows += [_ended_row(dead, dead.closed_at) for dead in story.dead if dead.closed_at is not None]
    return sorted(rows, key=lambda row: (row.recorded_at, row.place))


def _timeline(story: Story, by_line: bool) -> Iterator[Text]:
    rows = rows_of(story, by_line)
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


def _each_line(event: Event) -> Iterator[Event]:
    """What an event says of several lines, as if it said it of each by itself."""
    items = _items_of(event.type)
    if items is None:
        yield event
        return
    for one in event.data[items]:
        yield replace(event, data={**event.data, items: [one]})


def _items_of(type_name: str) -> str | None:
    """The field in which an event about an order lists its lines; None where it has none."""
    return {"issuance.granted.v2": "grants", "serials.issued.v2": "grants", "refund.locked.v2": "lines"}.get(
        type_name
    )


def _event_row(story: Story, event: Event) -> Row:
    time = in_kst(datetime.fromisoformat(event.time)).strftime("%Y-%m-%d %H:%M:%S")
    kind: Kind = "event"
    letter = ""
    said: list[str] = [_event_said(event.type)]
    if event.refused:
        kind, said = "refused", [_refusal_said(event)]
        text = Text(said[0], style="red")
        dead = next((d for d in story.dead if d.event_id == event.data.get("event", {}).get("id")), None)
        if dead is not None:
            letter = dead.name
            text.append(f"  → pawl dead show {dead.name}", style="bold")
    elif event.service in (CHECKOUT, OPERATOR):
        said.append(event.id)
        text = Text("  ".join(said), style="dim")
    else:
        said += [*_particulars(event.type, event.data), *_serials(story, event)]
        text = Text("  ".join(said))
        if not event.published:
            said.append(Sentence("(not published yet)"))
            text.append(f"  {said[-1]}", style="yellow")
    at, where = event.recorded_at, event.place
    return Row(at, where, time, event.service, text, kind, event.id, event.caused_by, letter, said)


def _event_said(type_name: str) -> Sentence:
    return Sentence("{event}", event=words(type_name), type=type_name)


def _refusal_said(event: Event) -> str:
    told = event.data
    if "code" not in told:
        return f"✖ {event.refused}"
    return Sentence(
        "✖ {code} {place}: {detail}", code=told["code"], place=told["pointer"], detail=told["detail"]
    )


def _change_row(story: Story, change: Change) -> Row:
    """What a person did stands before the events that followed from it, and behind the one that told it."""
    told_by = (event for event in story.events if event.service == CHECKOUT and event.id == change.request)
    place = next(((event.place[0], 1) for event in told_by), (0, 0))
    time = in_kst(change.recorded_at).strftime("%Y-%m-%d %H:%M:%S")
    did = {
        "what": change.action.replace(".", " ").replace("_", " "),
        "action": change.action,
        "who": change.actor,
        "why": change.reason,
    }
    said = [Sentence("{what} by {who}: {why}" if change.reason else "{what} by {who}", **did)]
    text = Text(said[0], style="bold")
    if change.result not in ("done", "begun"):
        said.append(Sentence("refused: {result}", result=change.result))
        text.append(f"  {said[-1]}", style="red")
    return Row(change.recorded_at, place, time, change.service, text, "change", change.id, said=tuple(said))


def _dead_row(dead: Dead) -> Row:
    time = in_kst(dead.dead_at).strftime("%Y-%m-%d %H:%M:%S")
    fault = {"code": dead.code, "place": dead.pointer, "detail": dead.detail}
    said = Sentence("✖ {event}: {code} {place} {detail}", event=words(dead.type), type=dead.type, **fault)
    text = Text(said, style="red")
    text.append(f"  → pawl dead show {dead.name}", style="bold")
    return Row(
        dead.dead_at,
        (0, 2),
        time,
        dead.service,
        text,
        "refused",
        dead.event_id,
        letter=dead.name,
        said=(said,),
    )


def _ended_row(dead: Dead, closed_at: datetime) -> Row:
    time = in_kst(closed_at).strftime("%Y-%m-%d %H:%M:%S")
    how = {"name": dead.name, "state": dead.state, "who": dead.closed_by, "why": dead.close_reason}
    if dead.edited_as:
        said = Sentence("{name} {state} as {new} by {who}: {why}", new=dead.edited_as, **how)
    else:
        said = Sentence("{name} {state} by {who}: {why}", **how)
    text = Text(said, style="green")
    return Row(closed_at, (0, 3), time, dead.service, text, "ended", letter=dead.name, said=(said,))


def words(type_name: str) -> str:
    """`refund.payout_requested.v1` as `refund payout requested`."""
    return type_name.rpartition(".v")[0].replace(".", " ").replace("_", " ")


def particulars(type_name: str, data: Mapping[str, Any]) -> str:
    """What a reader wants to know of an event: how many, how much, which, why."""
    return "".join(f"  {part}" for part in _particulars(type_name, data))


def _particulars(type_name: str, data: Mapping[str, Any]) -> list[str]:
    parts: list[str] = []
    if items := _items_of(type_name):
        parts += _together(data[items])
    elif "quantity" in data:
        units = {"units": data["quantity"], "line": data.get("line_id", "?"), "issued": data.get("issued")}
        so_far = (
            "{issued:,} of x{units:,} of line {line}" if "issued" in data else "x{units:,} of line {line}"
        )
        parts.append(Sentence(so_far, **units))
    elif data.get("lines") and "quantity" in data["lines"][0] and "product_id" not in data["lines"][0]:
        at_most = "up to x{units:,} of line {line}" if data.get("everything") else "x{units:,} of line {line}"
        parts += [
            Sentence(at_most, units=line["quantity"], line=line["line_id"]) for line in data["lines"][:3]
        ]
    won = next((data[name] for name in ("amount", "total") if name in data), None)
    if won is None and "supply" in data:
        won = data["supply"] + data["vat"]
    if won:
        parts.append(f"₩{won:,}")
    parts += [str(data[name]) for name in ("refund_request_id", "document_key") if data.get(name)]
    if data.get("reason"):
        parts.append(Sentence("{reason}", reason=data["reason"]))
    return parts


def _together(items: Sequence[dict[str, Any]]) -> list[str]:
    """`x60 of 2 lines`, or `x60 of line 1`; with the reason where there are no units."""
    units = sum(item.get("quantity", 0) for item in items)
    said = {"units": units, "line": items[0]["line_id"], "count": len(items)}
    if len(items) == 1:
        told = "x{units:,} of line {line}" if units else "line {line}"
    else:
        told = "x{units:,} of {count} lines" if units else "{count} lines"
    reasons = dict.fromkeys(item["reason"] for item in items if "reason" in item)
    return [Sentence(told, **said), *(Sentence("{reason}", reason=reason) for reason in reasons)]


def _serials(story: Story, event: Event) -> list[str]:
    """The last four characters of a few of the serials that an event tells of."""
    type_name, data = newest(event.type, event.data)
    if type_name != "serials.issued.v2":
        return []
    told = {grant["grant_id"] for grant in data["grants"]}
    grants = [grant for grant in story.grants if grant.grant_id in told]
    last_fours = [last_four for grant in grants for last_four in grant.last_fours][:SHOWN]
    shown = [f"...{last_four}" for last_four in last_fours]
    if shown and sum(grant.quantity for grant in grants) > len(last_fours):
        return [*shown[:-1], f"{shown[-1]} ..."]
    return shown


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
