"""`pawl audit` on a real database: what people changed in several services, the newest first."""

from datetime import timedelta
from io import StringIO

import pytest
from rich.console import Console

from ops.setup.provision import Database
from ops.watch.audit_log import Audited, print_audit_log, read_audit_log
from shared.clock import now
from shared.ids import uuid7
from shared.runtime.audit_log import AuditEntry, write_audit
from tests.support.tabletop import Tabletop


@pytest.fixture
async def kept(history: Tabletop) -> list[AuditEntry]:
    """Three things that two people did in two services."""
    lee, kim = f"lee-{uuid7()}", f"kim-{uuid7()}"
    did = [
        ("orders", AuditEntry(uuid7(), lee, "dead.replay", "17", "the sender was mended")),
        (
            "invoices",
            AuditEntry(uuid7(), kim, "document.correct", "2026-10 D-1", "", {"number": "1"}, {"number": "2"}),
        ),
        ("invoices", AuditEntry(uuid7(), lee, "month.merge", "2026-10", result="conflict", request="req-9")),
    ]
    for service, entry in did:
        await write_audit(history.pools[service], [entry])
    return [entry for _, entry in did]


def targets(found: Audited, kept: list[AuditEntry]) -> list[str]:
    mine = {str(entry.id) for entry in kept}
    return [each.target for each in found.entries if each.id in mine]


async def test_everything_is_shown_over_the_services_and_the_newest_first(
    database: Database, kept: list[AuditEntry]
) -> None:
    found = await read_audit_log(database.ops_url)

    assert targets(found, kept) == ["2026-10", "2026-10 D-1", "17"]
    assert found.unreadable == {}


async def test_one_person_or_one_target_is_looked_for(database: Database, kept: list[AuditEntry]) -> None:
    lee = kept[0].actor

    assert targets(await read_audit_log(database.ops_url, actor=lee), kept) == ["2026-10", "17"]
    assert targets(await read_audit_log(database.ops_url, target="D-1"), kept) == ["2026-10 D-1"]
    assert targets(await read_audit_log(database.ops_url, actor=lee, most=1), kept) == ["2026-10"]
    assert (await read_audit_log(database.ops_url, actor="nobody")).entries == []


async def test_a_service_and_a_time_are_looked_for(database: Database, kept: list[AuditEntry]) -> None:
    url, past, future = database.ops_url, now() - timedelta(days=1), now() + timedelta(days=1)

    assert targets(await read_audit_log(url, only="orders"), kept) == ["17"]
    assert targets(await read_audit_log(url, actor=kept[1].actor, since=past, before=future), kept) == [
        "2026-10 D-1"
    ]
    assert (await read_audit_log(url, since=future)).entries == []
    assert targets(await read_audit_log(url, before=past), kept) == []


async def test_an_entry_says_who_what_why_before_and_after(
    database: Database, kept: list[AuditEntry]
) -> None:
    found = await read_audit_log(database.ops_url, target="D-1")

    document = next(e for e in found.to_document()["entries"] if e["id"] == str(kept[1].id))
    assert document.pop("at").endswith("+09:00")
    assert document == {
        "service": "invoices",
        "id": str(kept[1].id),
        "actor": kept[1].actor,
        "action": "document.correct",
        "target": "2026-10 D-1",
        "reason": "",
        "result": "done",
        "request": "",
        "before": {"number": "1"},
        "after": {"number": "2"},
    }


async def test_the_refusal_and_the_reason_are_shown(database: Database, kept: list[AuditEntry]) -> None:
    console = Console(file=StringIO(), width=80)

    print_audit_log(console, (await read_audit_log(database.ops_url, actor=kept[0].actor)).entries)

    assert isinstance(console.file, StringIO)
    newest, oldest, why = console.file.getvalue().splitlines()
    assert newest.split()[2:] == [kept[0].actor, "month.merge", "2026-10", "refused:", "conflict"]
    assert oldest.split()[2:] == [kept[0].actor, "dead.replay", "17"]
    assert why.strip() == "the sender was mended"
