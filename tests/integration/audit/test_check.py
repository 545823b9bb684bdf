"""The auditor on a real database: silent when all is well, and loud about each planted violation."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ops.audit import pipeline
from ops.audit.books import SQL
from ops.audit.check import audit
from ops.audit.history.recorder import command_of
from ops.setup.provision import Database
from ops.shell.databases import connected, urls_of
from ops.shell.system import System
from services.invoices.keeping import keep_month
from services.invoices.state import Policy
from services.invoices.store import Store
from shared.clock import now
from shared.events.catalogue import SERVICES
from shared.kst import kst_date, wire_time
from tests.integration.watch.test_todo import Happening, approved_again, mended
from tests.support.serving import operator_on
from tests.support.tabletop import Tabletop, buy, refund_and_issue, refund_id_of


async def broken_rules(database: Database) -> dict[str, set[str | None]]:
    """Which rules are broken, in which orders, when nothing more is waited for."""
    report = await audit(database.ops_url, settle=0)
    broken: dict[str, set[str | None]] = {}
    for found in report.violations:
        broken.setdefault(found.rule, set()).add(found.order_id)
    return broken


async def test_an_empty_system_breaks_no_rule(table: Tabletop, database: Database) -> None:
    report = await audit(database.ops_url, settle=0)
    assert report.ok
    assert report.orders == 0


async def test_a_history_with_everything_in_it_adds_up(history: Tabletop, database: Database) -> None:
    report = await audit(database.ops_url, settle=0)
    assert report.violations == []
    assert (report.orders, report.in_flight, report.waiting) == (6, 0, [])
    totals = report.to_document()["totals"]
    assert totals == {
        "paid_units": 500,
        "issued_units": 220,
        "refunded_units": 80,
        "open_units": 200,
        "serials": 220,
        "paid_won": 6 * 176_000,
        "refunded_won": 2 * 70_400 + 176_000,
        "fee_won": 0,
        "invoiced_won": 4 * 176_000 - 2 * 70_400,
        "card_slip_won": 176_000,
        "cash_receipt_won": 0,
        "uninvoiced_won": 0,
        "quarantined_won": 176_000 - 176_000,
    }


async def test_four_urls_say_the_same_as_one(history: Tabletop, database: Database) -> None:
    report = await audit(dict.fromkeys(SERVICES, database.ops_url), settle=0)
    assert report.ok
    assert report.totals.won.difference == 0


THE_GRANT = "(SELECT grant_id FROM serials.grants WHERE order_id = 'A-1')"
SOME = f"grant_id = {THE_GRANT} AND last_four > 'G'"
PLANTED = [
    (
        "orders",
        "UPDATE orders.order_lines SET issued = issued - 1 WHERE order_id = 'A-1'",
        "counters_equal_claims",
    ),
    (
        "orders",
        "UPDATE orders.claims SET vat = vat + 1 WHERE order_id = 'A-1' AND purpose = 'refund'",
        "order_won",
    ),
    (
        "orders",
        "UPDATE orders.orders SET remaining_vat = remaining_vat - 1 WHERE order_id = 'A-1'",
        "order_won",
    ),
    (
        "serials",
        f"DELETE FROM serials.serials WHERE {SOME}",
        "one_serial_per_unit",
    ),
    (
        "serials",
        "UPDATE serials.grants SET revoked = 2, reissued = 1 WHERE order_id = 'A-1'",
        "live_serials",
    ),
    ("serials", "UPDATE serials.grants SET home = 7 WHERE order_id = 'A-1'", "one_home"),
    (
        "serials",
        f"UPDATE serials.serials SET state = 'revoked', revoked_at = now(), revoke_reason = '' WHERE {SOME}",
        "live_serials",
    ),
    (
        "serials",
        f"UPDATE serials.serials SET replaces = gen_random_uuid() WHERE {SOME}",
        "live_serials",
    ),
    (
        "serials",
        "UPDATE serials.grants SET quantity = 61, issued = 61 WHERE order_id = 'A-1'",
        "grants_match",
    ),
    ("serials", "DELETE FROM serials.grants WHERE order_id = 'A-1'", "grants_match"),
    (
        "refunds",
        "UPDATE refunds.refund_lines SET quantity = 41 WHERE order_id = 'A-1'",
        "issued_xor_refunded",
    ),
    ("refunds", "UPDATE refunds.refunds SET vat = vat + 1 WHERE order_id = 'A-1'", "refunds_match"),
    (
        "refunds",
        "UPDATE refunds.order_lines SET refunded = 39, locked = false WHERE order_id = 'A-1'",
        "refund_counters",
    ),
    (
        "refunds",
        "UPDATE refunds.refund_payouts SET state = 'bounced'",
        "paid_out_once",
    ),
    (
        "orders",
        "INSERT INTO orders.quarantine VALUES ('A-1', 9, 'pay-A-1', 'payout_twice', -1760, now(), false)",
        "paid_twice_is_a_case",
    ),
    (
        "orders",
        "UPDATE orders.orders SET payment_ids = '{pay-A-6,pay-A-1}' WHERE order_id = 'A-6'",
        "one_payment_one_order",
    ),
    (
        "orders",
        "UPDATE orders.quarantine SET amount = 9, decision = 'applied', settled_at = now() WHERE amount > 0",
        "cases_applied",
    ),
    ("refunds", "UPDATE refunds.orders SET paid_vat = paid_vat + 1 WHERE order_id = 'A-1'", "payments_match"),
    (
        "invoices",
        "UPDATE invoices.payments SET standing_vat = standing_vat + 1 WHERE order_id = 'A-1'",
        "document_totals",
    ),
    (
        "invoices",
        "UPDATE invoices.payments SET standing_vat = standing_vat + 1 WHERE order_id = 'A-1'",
        "one_evidence",
    ),
    (
        "invoices",
        "UPDATE invoices.refunds SET vat = vat + 1 WHERE order_id = 'A-1'",
        "refunds_invoiced",
    ),
    (
        "invoices",
        "UPDATE invoices.payments SET issued_units = 60 WHERE order_id = 'A-3'",
        "invoiced_units_match",
    ),
    (
        "orders",
        "DELETE FROM orders.outbox WHERE key = 'A-1' AND sequence = 2",
        "sequences_contiguous",
    ),
    ("orders", "DELETE FROM orders.orders WHERE order_id = 'A-1'", "payments_match"),
    (
        "orders",
        "UPDATE orders.orders SET payment_id = 'pay-A-3' WHERE order_id = 'A-1'",
        "one_payment_one_order",
    ),
    (
        "orders",
        "UPDATE orders.payments SET order_id = 'A-9' WHERE order_id = 'A-1'",
        "one_payment_one_order",
    ),
]


@pytest.mark.parametrize(("schema", "plant", "rule"), PLANTED)
async def test_a_planted_violation_is_found_and_its_order_named(
    history: Tabletop, database: Database, admin: Any, schema: str, plant: str, rule: str
) -> None:
    status = await admin.execute(plant)
    assert status.split()[-1] != "0", "the plant must change something"

    broken = await broken_rules(database)

    assert rule in broken
    assert broken[rule] <= {"A-1", "A-3", "A-5", "A-6"}
    assert None not in broken[rule]


async def test_claims_beyond_what_was_paid_are_found(
    history: Tabletop, database: Database, admin: Any
) -> None:
    """The schema refuses it; this is for the day that it does not."""
    await admin.execute("ALTER TABLE orders.order_lines DROP CONSTRAINT claims_never_exceed_paid")
    try:
        await admin.execute("UPDATE orders.order_lines SET refunding = 1 WHERE order_id = 'A-1'")
        assert (await broken_rules(database))["claims_within_paid"] == {"A-1"}
    finally:
        await admin.execute("UPDATE orders.order_lines SET refunding = 0 WHERE order_id = 'A-1'")
        await admin.execute(
            "ALTER TABLE orders.order_lines ADD CONSTRAINT claims_never_exceed_paid"
            " CHECK (issuing + issued + refunding + refunded <= paid)"
        )


async def test_a_serial_of_no_grant_is_found(history: Tabletop, database: Database, admin: Any) -> None:
    await admin.execute(
        "UPDATE serials.serials SET grant_id = gen_random_uuid() WHERE serial_id ="
        " (SELECT max(serial_id::text)::uuid FROM serials.serials)"
    )
    assert "one_serial_per_unit" in await broken_rules(database)


async def test_a_look_up_tag_in_two_homes_is_found(history: Tabletop, database: Database, admin: Any) -> None:
    """No index sees it: each sees its own home."""
    home = await admin.fetchval("SELECT serials.make_home()")
    name = f"serials.serials_{home}"
    try:
        await admin.execute(
            f"INSERT INTO {name} (serial_id, grant_id, lookup_tag, text, last_four, key_id)"
            " SELECT gen_random_uuid(), grant_id, lookup_tag, text, last_four, key_id"
            " FROM serials.serials LIMIT 1"
        )
        await admin.execute(f"SELECT serials.index_home({home}), serials.open_home({home})")
        assert "one_home" in await broken_rules(database)
    finally:
        await admin.execute(f"DROP TABLE {name}")


async def test_a_missing_document_number_is_found(history: Tabletop, database: Database, admin: Any) -> None:
    await admin.execute("UPDATE invoices.document_counters SET last_number = last_number + 1")
    assert set(await broken_rules(database)) == {"documents_numbered"}


async def test_a_draft_left_in_a_closed_month_is_found(
    table: Tabletop, database: Database, admin: Any
) -> None:
    await buy(table, "A-1")
    await admin.execute(
        "INSERT INTO invoices.months (month, closed_at, sequence) VALUES ('2026-10', now(), 1)"
    )
    assert await broken_rules(database) == {"months_closed": {"A-1"}}


@pytest.mark.parametrize(
    "row", ["kept_stands SET to_issue = to_issue - 1", "kept_previews SET vat = vat - 1"]
)
async def test_won_of_a_month_that_are_kept_otherwise_than_they_are(
    table: Tabletop, database: Database, admin: Any, row: str
) -> None:
    await buy(table, "A-1")
    await keep_month(table.pools["invoices"], Store(Policy()), "2026-10")
    assert await broken_rules(database) == {}

    await admin.execute(f"UPDATE invoices.{row}")

    assert await broken_rules(database) == {"months_kept": {None}}


@pytest.mark.parametrize("left", [mended, approved_again])
async def test_what_a_tax_agent_refused_of_a_closed_month_is_no_such_draft(
    table: Tabletop, database: Database, left: Happening
) -> None:
    await left(table)
    assert await broken_rules(database) == {}


@pytest.mark.parametrize(
    ("plant", "rule"),
    [
        ("written_date = written_date - 60 WHERE kind = 'modified'", "documents_dated"),
        ("late = true WHERE kind = 'payment' AND state = 'issued'", "documents_late"),
        (
            "issued_at = issued_at + INTERVAL '30 days' WHERE kind = 'payment' AND state = 'issued'",
            "documents_late",
        ),
    ],
)
async def test_a_wrong_date_and_a_wrong_lateness_are_found(
    history: Tabletop, database: Database, admin: Any, plant: str, rule: str
) -> None:
    """The schema refuses to change an issued document; this is for the day that one is issued wrong."""
    await admin.execute("ALTER TABLE invoices.documents DISABLE TRIGGER issued_documents_stay")
    try:
        await admin.execute(f"UPDATE invoices.documents SET {plant}")
    finally:
        await admin.execute("ALTER TABLE invoices.documents ENABLE TRIGGER issued_documents_stay")
    assert set(await broken_rules(database)) == {rule}


async def test_a_document_that_is_dated_back_so_that_it_is_not_late_is_found(
    table: Tabletop, database: Database, admin: Any
) -> None:
    """A-2 is of a month that was closed as of its own time; it was said then, and is heard of years later."""
    await buy(table, "A-1", at="2025-03-10T10:00:00+09:00", paid_at="2025-03-10T10:00:00+09:00")
    await table.close("2025-03", "2025-04-05T18:00:00+09:00")
    await buy(table, "A-2", at="2025-04-06T10:00:00+09:00", paid_at="2025-03-11T10:00:00+09:00")
    rows = await admin.fetch(
        "SELECT p.order_id, late, issued_at"
        " FROM invoices.payments p JOIN invoices.documents USING (invoice_id)"
    )
    assert {row["order_id"]: row["late"] for row in rows} == {"A-1": False, "A-2": True}
    (heard_on,) = {kst_date(row["issued_at"]) for row in rows if row["order_id"] == "A-2"}
    assert kst_date(now()) - heard_on <= timedelta(days=1)
    assert await broken_rules(database) == {}

    await admin.execute("ALTER TABLE invoices.documents DISABLE TRIGGER issued_documents_stay")
    try:
        await admin.execute(
            "UPDATE invoices.documents SET issued_at = '2025-04-06T10:00:00+09:00', late = false WHERE late"
        )
    finally:
        await admin.execute("ALTER TABLE invoices.documents ENABLE TRIGGER issued_documents_stay")
    assert set(await broken_rules(database)) == {"documents_late"}


async def test_what_an_operator_corrects_and_merges_breaks_no_rule(
    history: Tabletop, database: Database, admin: Any
) -> None:
    """A-6 is moved to another business with its modified document; A-2 was issued twice."""
    keys = {
        row["order_id"]: row["document_key"]
        for row in await admin.fetch(
            "SELECT p.order_id, document_key"
            " FROM invoices.payments p JOIN invoices.documents USING (invoice_id)"
        )
    }
    await history.correct("2026-10", keys["A-6"], number="1348672683")
    await history.correct("2026-10", keys["A-2"], twice=True)
    assert await broken_rules(database) == {}


async def test_an_interrupted_close_waits_and_breaks_no_rule(
    table: Tabletop, database: Database, admin: Any
) -> None:
    await buy(table, "A-1")
    await admin.execute(
        "INSERT INTO invoices.months (month, closed_at, unreported) VALUES ('2026-10', now(), true)"
    )
    report = await audit(database.ops_url, settle=0)
    assert report.ok
    assert [wait["next"] for wait in report.waiting] == ["pawl month 2026-10"]


@pytest.mark.parametrize("absent", SERVICES[1:])
async def test_work_on_its_way_is_no_violation(table: Tabletop, database: Database, absent: str) -> None:
    """One service is down while the others go on, at every step of a history."""
    present = [name for name in SERVICES if name != absent]
    table.say("payment.completed.v1", "A-1", payment_id="pay-A-1", issue_policy="automatic")
    table.say("payment.completed.v1", "A-2", payment_id="pay-A-2")
    await table.drain(present)
    assert (await audit(database.ops_url, settle=0)).ok
    table.say("refund.requested.v1", "A-2")
    await table.drain(present)
    report = await audit(database.ops_url, settle=0)
    assert report.ok
    assert report.in_flight > 0
    assert not report.settled

    await table.drain()
    report = await audit(database.ops_url, settle=0)
    assert report.ok
    assert report.in_flight == 0


async def test_each_single_step_of_each_service_leaves_every_certain_rule_intact(
    table: Tabletop, database: Database
) -> None:
    """Services read one after the other, one round each; between any two of them the audit is quiet."""
    table.say("payment.completed.v1", "A-1", payment_id="pay-A-1")
    table.say("refund.requested.v1", "A-1")
    for name in SERVICES * 3:
        await table.drain([name])
        assert (await audit(database.ops_url, settle=0)).violations == []
    table.say("refund.paid_out.v1", "A-1", refund_id=await refund_id_of(table, "A-1"))
    table.say("issuance.requested.v1", "A-1", lines=[{"line_id": "1", "quantity": 60}])
    for name in [*SERVICES, *reversed(SERVICES), *SERVICES]:
        await table.drain([name])
        assert (await audit(database.ops_url, settle=0)).violations == []
    report = await audit(database.ops_url, settle=0)
    assert (report.in_flight, report.totals.issued_units, report.totals.refunded_units) == (0, 60, 40)


async def test_an_event_that_blocks_is_told_as_waiting(
    table: Tabletop, database: Database, admin: Any
) -> None:
    await buy(table, "A-1")
    await refund_and_issue(table, "A-1")
    await admin.execute(
        'INSERT INTO invoices.parked (key, kind, reason, topic, partition, "offset", source, event_id, type,'
        " subject, event_time, record, overdue_at) VALUES ('A-1', 'blocked', 'KeyError', 'refunds.events', 0,"
        " 1, '/pawl/refunds', 'e', 'refund.completed.v1', 's', now(), 'x', now())"
    )
    report = await audit(database.ops_url, settle=0)
    assert report.ok
    (wait,) = report.waiting
    assert wait["order_id"] == "A-1"
    assert wait["next"].startswith("pawl dead show invoices:p")


class BrokerThatSays:
    """Stands for the topics when a test only needs to say whether everything was heard."""

    def __init__(self, *, heard: bool) -> None:
        self._heard = heard

    async def ends(self) -> dict[Any, int]:
        return {}

    async def are_past(self, ends: dict[Any, int]) -> bool:
        return self._heard


async def audit_with_broker(database: Database, monkeypatch: pytest.MonkeyPatch, *, heard: bool) -> Any:
    @asynccontextmanager
    async def reading(kafka: str) -> AsyncIterator[BrokerThatSays]:
        yield BrokerThatSays(heard=heard)

    monkeypatch.setattr(pipeline, "reading_topics", reading)
    system = System(Path(), kafka="broker:9092", ops_url=database.ops_url)
    return await audit(system, settle=0)


async def test_what_is_missing_although_everything_was_heard_is_a_violation(
    history: Tabletop, database: Database, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await admin.execute("DELETE FROM invoices.payments WHERE order_id = 'A-3'")

    report = await audit_with_broker(database, monkeypatch, heard=True)

    assert {(found.rule, found.order_id) for found in report.violations} == {
        ("payments_match", "A-3"),
        ("money_adds_up", "A-3"),
    }
    assert (report.in_flight, report.settled) == (0, True)


async def test_what_is_missing_while_events_are_unread_is_in_flight(
    history: Tabletop, database: Database, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await admin.execute("DELETE FROM invoices.payments WHERE order_id = 'A-3'")

    report = await audit_with_broker(database, monkeypatch, heard=False)

    assert report.ok
    assert (report.in_flight, report.settled) == (1, False)


async def test_what_is_missing_since_no_broker_takes_an_event_is_told_as_waiting(
    history: Tabletop, database: Database, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await admin.execute("DELETE FROM invoices.payments WHERE order_id = 'A-3'")
    await admin.execute(
        "INSERT INTO orders.unsent (id, topic, key, state, reason, retry_at)"
        " SELECT id, topic, key, 'refused', 'MessageSizeTooLargeError', now() FROM orders.outbox"
        " WHERE key = 'A-3' AND topic = 'orders.events' ORDER BY id LIMIT 1"
    )

    report = await audit_with_broker(database, monkeypatch, heard=True)

    assert report.ok
    (wait,) = report.waiting
    assert (wait["order_id"], wait["service"]) == ("A-3", "orders")
    assert wait["next"].startswith("pawl dead show orders:o")


async def let_serials_die(table: Tabletop, order_id: str) -> None:
    """Two serials of the order are issued; one is revoked, the other one reissued."""
    units = [{"line_id": "1", "quantity": 2}]
    table.say("issuance.requested.v1", order_id, request_id="iss-2", lines=units, at=wire_time(now()))
    await table.drain()
    rows = await table.pools["serials"].fetch("SELECT serial_id FROM serials ORDER BY serial_id")
    async with operator_on(table, "serials") as operator:
        for row, end in zip(rows, ("revoke", "reissue"), strict=True):
            path, key = f"/v1/serials/{row['serial_id']}/{end}", {"Idempotency-Key": end}
            done = await operator.post(path, json={"reason": "lost in the mail"}, headers=key)
            assert done.status_code == 200, done.text
    await table.drain()


async def decided_by_people(table: Tabletop) -> None:
    """A refund, a case, serials, a document, a business and a month that people decided about."""
    await buy(table, "A-1")
    table.say("refund.requested.v1", "A-1")
    await table.drain()
    refund_id = await refund_id_of(table, "A-1")
    table.say("refund.payout_failed.v1", "A-1", refund_id=refund_id)
    table.say("refund.reviewed.v1", "A-1", refund_id=refund_id, decision="release", amount=None)
    table.say("payment.completed.v1", "A-1", payment_id="pay-again")
    await table.drain()
    table.say("quarantine.decided.v1", "A-1", payment_id="pay-again")
    table.say("issuance.requested.v1", "A-1", request_id="iss-1", lines=[{"line_id": "9", "quantity": 1}])
    await buy(table, "A-2")
    await buy(table, "A-3")
    await buy(table, "A-4")
    await let_serials_die(table, "A-4")
    body = {"business_number": "1168200276", "reason": "one company", "apply": True}
    async with operator_on(table, "invoices") as operator:
        await operator.post("/v1/months/2026-10/merge", json=body)
    await table.close("2026-10", "2026-11-05T18:00:00+09:00")
    key = await table.pools["invoices"].fetchval("SELECT document_key FROM documents WHERE state = 'issued'")
    await table.correct("2026-10", key, number="1348672683")


PEOPLE = [
    ("refunds", "refund.release"),
    ("orders", "quarantine.decide"),
    ("serials", "serial.revoke"),
    ("serials", "serial.reissue"),
    ("invoices", "month.close"),
    ("invoices", "business.merge"),
    ("invoices", "document.correct"),
]


async def forget(admin: Any, service: str, action: str) -> None:
    """The owner of the tables takes a row out of the audit log, which no service can."""
    await admin.execute(f"ALTER TABLE {service}.audit_log DISABLE TRIGGER audit_log_stays")
    status = await admin.execute(f"DELETE FROM {service}.audit_log WHERE action = $1", action)
    await admin.execute(f"ALTER TABLE {service}.audit_log ENABLE TRIGGER audit_log_stays")
    assert status == "DELETE 1"


@pytest.mark.parametrize(("service", "action"), PEOPLE)
async def test_a_change_of_a_person_that_the_audit_log_does_not_know_is_found(
    table: Tabletop, database: Database, admin: Any, service: str, action: str
) -> None:
    await decided_by_people(table)
    assert await broken_rules(database) == {}

    await forget(admin, service, action)
    found = (await audit(database.ops_url, settle=0)).violations
    later = f"UPDATE {service}.retention SET audited_since = audited_since"
    await admin.execute(f"{later} + INTERVAL '10 years'")
    try:
        before_that = await broken_rules(database)
    finally:
        await admin.execute(f"{later} - INTERVAL '10 years'")

    # What a close issued as of a day of its own looks dated back when nobody knows of the close.
    also = {"documents_late"} if action == "month.close" else set()
    assert {each.rule for each in found} == {"changes_audited"} | also
    assert before_that == {}


async def test_a_replay_that_the_audit_log_does_not_know_is_found(
    table: Tabletop, database: Database, admin: Any
) -> None:
    await buy(table, "A-1")
    table.say("issuance.requested.v1", "A-1", lines=[{"line_id": "1", "quantity": -5}])
    await table.drain()
    await admin.execute(
        "UPDATE orders.dead_letters SET state = 'replayed', replayed_at = now(), replayed_by = 'x'"
    )

    assert await broken_rules(database) == {"changes_audited": {"A-1"}}


async def test_what_operators_decided_over_http_is_recorded_as_the_cause_of_its_events(
    table: Tabletop, database: Database
) -> None:
    await buy(table, "A-1")
    table.say("payment.completed.v1", "A-1", payment_id="pay-again")
    table.say("issuance.requested.v1", "B-1", request_id="iss-1")
    await table.drain()
    said = {"reason": "why", "apply": True}
    async with operator_on(table, "orders") as operator:
        for number, (path, body) in enumerate(
            {
                "/v1/quarantine/pay-again/decide": {"decision": "kept"},
                "/v1/ops/parked/cancel": {"key": "B-1", "request": "iss-1"},
                "/v1/quarantine/pay-A-1/decide": {"decision": "kept"},
            }.items()
        ):
            await operator.post(path, json={**said, **body}, headers={"Idempotency-Key": f"k-{number}"})

    async with connected(urls_of(database.ops_url)) as connections:
        rows = await connections["orders"].fetch(SQL.commands_with_events)
    entries = [command_of(row) for row in rows]

    assert [(entry.type, entry.key, entry.process) for entry in entries] == [
        ("quarantine.decide", "A-1", "operator"),
        ("request.cancel", "B-1", "operator"),
    ]
    assert entries[0].data == {"payment_id": "pay-again", "decision": "kept"}
    assert entries[1].data == {"event_id": "issuance.requested.v1-B-1-2"}
    causes = await table.pools["orders"].fetch("SELECT DISTINCT causation FROM outbox")
    assert {entry.id for entry in entries} < {row["causation"] for row in causes}
