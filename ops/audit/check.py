"""`pawl check`: the auditor. Every rule over the four schemas, the topics and a recorded history."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from ops.audit.books import SQL, Books, read_books
from ops.audit.history.judge import judge_file
from ops.audit.history.report import print_judged
from ops.audit.pipeline import LastEvents, Pipeline, open_pipeline
from ops.audit.report import AuditReport, print_report, print_topics
from ops.audit.rules import (
    AUDITED,
    CHANGES,
    LATE,
    MONEY,
    WITHIN,
    Finding,
    Won,
    due_on,
    findings,
    unbalanced,
    won_of,
)
from ops.audit.topics.check import audit_topics
from ops.shell.databases import Connections, Urls, Where, kafka_of, one_moment, urls_of
from ops.shell.options import Directory, Json, KafkaAddress, PostgresUrl
from ops.shell.output import Tell, print_json, tell_nobody, tell_on_stderr
from ops.shell.problem import Exit
from ops.shell.run_directory import RunDirectory, Verdict
from ops.shell.system import System, find_system
from shared.clock import monotonic, now

SETTLE_SECONDS = 10.0
NAMED = 1000  # violations named for each rule of one schema
LISTED = 100  # waiting events listed for each service


async def audit(where: Where, *, settle: float = SETTLE_SECONDS, tell: Tell = tell_nobody) -> AuditReport:
    """Checks every rule over the four schemas.

    `where` is a System, one database URL, or a URL for each service. Work on its way is no violation: the
    audit waits up to `settle` seconds for it to end. What then still seems to be missing it examines again,
    once every reader has read every event that was committed before the first look. That needs a broker (a
    System that has one); without it, what has not arrived counts as in flight. Raises Problem.
    """
    urls = urls_of(where)
    async with open_pipeline(urls, kafka_of(where)) as pipeline:
        settled = await pipeline.until_idle(settle, tell)
        committed = await pipeline.last_events()
        report, doubtful = await examine(urls)
        await _decide_doubts(report, doubtful, urls, pipeline, committed, settle)
        report.settled = settled and not report.in_flight
    return report


async def examine(urls: Urls) -> tuple[AuditReport, list[Finding]]:
    """Examines everything once: the report has what is certain, the rest are doubts."""
    report = AuditReport()
    doubtful: list[Finding] = []
    async with one_moment(urls) as (connections, same_moment):
        report.violations = await _within(connections)
        money = Won()
        async for books in read_books(connections):
            money = money.plus(_count(report, books))
            for found in findings(books):
                certain = found.certain and same_moment
                (report.violations if certain else doubtful).append(found)
        await _count_documents(report, connections, money)
        report.waiting = await _waiting(connections)
        doubtful = await _without_parked(connections, doubtful)
    return report, doubtful


async def _within(connections: Connections) -> list[Finding]:
    found: list[Finding] = []
    for rule, services in WITHIN.items():
        for service in services:
            rows = await connections[service].fetch(getattr(SQL, rule.name), NAMED)
            found += [Finding(rule.name, row["order_id"], row["detail"]) for row in rows]
    return [*found, *await _late(connections["invoices"]), *await _unaudited(connections)]


async def _late(invoices: Any) -> list[Finding]:
    months = [row["month"] for row in await invoices.fetch(SQL.months_of_documents)]
    asked = (NAMED, months, [due_on(month) for month in months])
    rows = [*await invoices.fetch(SQL.documents_late, *asked)]
    rows += await invoices.fetch(SQL.documents_backdated, *asked)
    return [Finding(LATE.name, row["order_id"], row["detail"]) for row in rows]


async def _unaudited(connections: Connections) -> list[Finding]:
    """What people have changed without a row in the audit log, since there is one for each change."""
    found: list[Finding] = []
    for query, services in CHANGES.items():
        for service in services:
            rows = await connections[service].fetch(getattr(SQL, query), NAMED)
            found += [Finding(AUDITED.name, row["order_id"], row["detail"]) for row in rows]
    return found


def _count(report: AuditReport, books: Books) -> Won:
    totals = report.totals
    if books.orders is not None:
        report.orders += 1
        for line in books.orders.lines.values():
            totals.paid_units += line.paid
            totals.issued_units += line.issued
            totals.refunded_units += line.refunded
    return won_of(books)


async def _count_documents(report: AuditReport, connections: Connections, money: Won) -> None:
    """Totals, with documents counted as documents; they must come to what the orders say one by one."""
    report.totals.serials = await connections["serials"].fetchval(SQL.count_serials)
    row = await connections["invoices"].fetchrow(SQL.sum_documents)
    total = Won(
        money.paid,
        money.refunded,
        money.fee,
        row["invoiced"],
        row["uninvoiced"],
        money.card_slip,
        money.cash_receipt,
        money.quarantined,
    )
    report.totals.won = total
    if total.difference != money.difference:
        report.violations.append(Finding(MONEY, None, f"in total: {unbalanced(total)}"))


async def _without_parked(connections: Connections, doubtful: list[Finding]) -> list[Finding]:
    """What waits, or is set aside, explains what its order lacks; the report lists it as `waiting`."""
    keys = sorted({found.order_id for found in doubtful if found.order_id is not None})
    if not keys:
        return doubtful
    waiting: set[str] = set()
    for connection in connections.values():
        waiting.update(row["key"] for row in await connection.fetch(SQL.keys_that_wait, keys))
        waiting.update(row["key"] for row in await connection.fetch(SQL.keys_unsent, keys))
    return [found for found in doubtful if found.order_id not in waiting]


async def _waiting(connections: Connections) -> list[dict[str, Any]]:
    waiting = []
    for service, connection in connections.items():
        for row in await connection.fetch(SQL.long_waits, LISTED):
            since = ", longer than it should" if row["overdue"] else ""
            detail = f"{row['order_id']}: {row['type']} in {service} ({row['kind']}{since}): {row['reason']}"
            show = f"pawl dead show {service}:p{row['id']}"
            waiting.append({"order_id": row["order_id"], "service": service, "detail": detail, "next": show})
        for row in await connection.fetch(SQL.first_unsent, LISTED):
            more = f" and {row['count'] - 1:,} behind it" if row["count"] > 1 else ""
            detail = f"{row['order_id']}: {row['type']} of {service}{more} is set aside: {row['reason']}"
            show = f"pawl dead show {service}:o{row['id']}"
            waiting.append({"order_id": row["order_id"], "service": service, "detail": detail, "next": show})
    for row in await connections["invoices"].fetch(SQL.unfinished_closes):
        month = row["month"]
        detail = f"the close of {month} was interrupted, left drafts because of a refund, or is going on"
        waiting.append(
            {"order_id": None, "service": "invoices", "detail": detail, "next": f"pawl month {month}"}
        )
    return waiting


async def _decide_doubts(
    report: AuditReport,
    doubtful: list[Finding],
    urls: Urls,
    pipeline: Pipeline,
    committed: LastEvents,
    settle: float,
) -> None:
    """A doubt is a violation when it is the same after every reader has read all events from before."""
    if not doubtful:
        return
    deadline = monotonic() + max(settle, 1.0)
    orders = _orders_of(doubtful)
    if not await pipeline.read_by_all(committed, deadline):
        report.in_flight = len(orders)
        return
    again = set(await _examine_again(urls, orders))
    confirmed = [found for found in doubtful if found in again]
    report.violations += confirmed
    report.in_flight = len(set(orders) - set(_orders_of(confirmed)))


async def _examine_again(urls: Urls, orders: Sequence[str]) -> list[Finding]:
    async with one_moment(urls) as (connections, _):
        return [found async for books in read_books(connections, orders) for found in findings(books)]


def _orders_of(found: Iterable[Finding]) -> list[str]:
    return sorted({finding.order_id for finding in found if finding.order_id is not None})


def check(
    kafka: KafkaAddress = None,
    postgres: PostgresUrl = None,
    directory: Directory = None,
    settle: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for work that is going on.")
    ] = SETTLE_SECONDS,
    topics: Annotated[
        bool, typer.Option("--topics", help="Also read all topics, from the beginning.")
    ] = False,
    history: Annotated[
        Path | None,
        typer.Option(help="Judge a recorded history instead; `pawl record` makes one.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Audit everything: each unit, each serial and each won, over the four services.

    Ends with exit code 3 when a rule is broken, and names the orders.

    Example: [bold]pawl check[/bold]

    Example: [bold]pawl check --json | jq .violations[/bold]

    Example: [bold]pawl check --topics[/bold]

    Example: [bold]pawl check --history history.jsonl[/bold]
    """
    if history is not None:
        judged = judge_file(history)
        _show(judged.to_document(), as_json, lambda console: print_judged(console, judged))
        ok = judged.ok
    else:
        system = find_system(kafka, postgres, directory)
        ok = asyncio.run(_check_system(system, settle, topics, as_json))
    if not ok:
        raise typer.Exit(Exit.RULE_BROKEN)


async def _check_system(system: System, settle: float, topics: bool, as_json: bool) -> bool:
    report = await audit(system, settle=settle, tell=tell_on_stderr)
    read = await audit_topics(system, tell=tell_on_stderr) if topics else None
    document = report.to_document()
    if read is not None:
        document["topics"] = read.to_document()

    def print_all(console: Console) -> None:
        print_report(console, report)
        if read is not None:
            print_topics(console, read)

    _show(document, as_json, print_all)
    ok = report.ok and (read is None or read.ok)
    violations = len(report.violations) + (0 if read is None else sum(read.findings.counts.values()))
    RunDirectory(system.directory).note_verdict(Verdict(now(), ok, violations, topics))
    return ok


def _show(document: dict[str, Any], as_json: bool, tables: Callable[[Console], None]) -> None:
    if as_json:
        print_json(document)
    else:
        tables(Console())
