"""The auditor on real topics: silent after many stories, and loud about each planted fault."""

import asyncio
import io
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from ops.audit.history.entries import SINCE, entry_of
from ops.audit.history.judge import judge
from ops.audit.history.recorder import record
from ops.audit.topics.check import audit_topics
from ops.audit.topics.report import TopicReport
from ops.audit.topics.rules import TOPIC_RULES
from ops.cli import app
from ops.local.running import RunningSystem
from ops.shell.databases import urls_of
from shared.events.catalogue import FEEDBACK, UPSTREAM
from shared.events.envelope import write_headers
from shared.ids import uuid7
from shared.partitioner import partition_for
from tests.support.driver import Checkout, Heard
from tests.support.stories import ACCOUNT

Audit = Callable[[], Awaitable[TopicReport]]


@pytest.fixture
def audit(own_system: RunningSystem, told: Checkout) -> Audit:
    return lambda: audit_topics(own_system.system)


@pytest.fixture
async def planted(audit: Audit) -> Callable[[], Awaitable[dict[str, set[str | None]]]]:
    """Which rules are broken now, in which orders, that were not broken when the test began."""
    before = set((await audit()).violations)

    async def new_violations() -> dict[str, set[str | None]]:
        broken: dict[str, set[str | None]] = {}
        for found in (await audit()).violations:
            if found not in before:
                broken.setdefault(found.rule, set()).add(found.order_id)
        return broken

    return new_violations


def a_fact(told: Checkout, type_name: str) -> Heard:
    return next(record for record in told.records if record.type == type_name)


async def say(told: Checkout, fact: Heard, partition: int | None = None, **changed: Any) -> None:
    """Publishes an event of a service once more, with something changed."""
    headers = dict(fact.raw.headers)
    headers |= {f"ce_{name}": value.encode() for name, value in changed.items() if name != "data"}
    value = orjson.dumps(changed["data"]) if "data" in changed else fact.raw.value
    sent = await told._producer.send(
        fact.topic,
        key=fact.raw.key,
        value=value,
        headers=list(headers.items()),
        partition=fact.partition if partition is None else partition,
    )
    await sent


async def test_topics_after_many_stories_break_no_rule(audit: Audit, told: Checkout) -> None:
    report = await audit()
    assert report.violations == []
    assert report.ok
    assert report.matched == sum(1 for record in told.records if record.is_ours)
    assert report.answered == sum(report.records[topic] for topic in (UPSTREAM,))
    assert (report.unread, report.unpublished, report.repeated, report.deleted) == (0, 0, 0, {})
    document = report.to_document()
    assert document["ok"] is True
    assert set(document) == {"ok", "violations", "broken", "records", "totals", "deleted"}


async def test_a_recorded_history_of_the_same_stories_is_explained(
    own_system: RunningSystem, told: Checkout
) -> None:
    file = io.BytesIO()
    recorded = await record(own_system.system.kafka, urls_of(own_system.system), file)
    judged = judge(map(entry_of, file.getvalue().splitlines()))
    assert judged.violations == []
    assert (recorded.entries, judged.undecided, judged.partial) == (judged.entries, 0, 0)
    assert judged.quiet
    for secret in (ACCOUNT["account_number"], "수량을 잘못", "tax@ganada"):
        assert secret.encode() not in file.getvalue()


async def test_a_recorded_history_says_since_when_documents_are_issued_by_the_clock(
    own_system: RunningSystem, told: Checkout
) -> None:
    """Only from then on can a document be dated back. Here no other release has ever run."""
    file = io.BytesIO()
    await record(own_system.system.kafka, urls_of(own_system.system), file)
    *entries, end = [entry_of(line) for line in file.getvalue().splitlines()]
    assert datetime.fromisoformat(end.data[SINCE]) < min(entry.time for entry in entries)


async def test_the_commands_say_what_they_found(
    own_system: RunningSystem, told: Checkout, tmp_path: Path
) -> None:
    where = [
        "--kafka",
        own_system.system.kafka,
        "--postgres",
        own_system.system.ops_url,
        "--dir",
        str(tmp_path),
    ]
    file = str(tmp_path / "history.jsonl")

    async def pawl(*command: str) -> tuple[int, str]:
        done = await asyncio.to_thread(CliRunner().invoke, app, list(command))
        return done.exit_code, done.stdout

    code, text = await pawl("check", "--topics", *where)
    assert code == 0
    assert "✓ published_in_topic" in text
    assert "The topics hold what the services have committed." in text
    code, text = await pawl("check", "--topics", "--json", *where)
    assert (code, orjson.loads(text)["topics"]["ok"]) == (0, True)
    assert "topics" not in orjson.loads((await pawl("check", "--json", *where))[1])
    assert (await pawl("record", file, *where))[0] == 0
    code, text = await pawl("check", "--history", file)
    assert code == 0
    assert "the model explains all of them" in text


async def test_records_that_the_relay_repeats_are_counted(audit: Audit, told: Checkout, planted: Any) -> None:
    before = (await audit()).repeated
    fact = a_fact(told, "order.paid.v1")
    await say(told, fact)
    await say(told, fact)
    assert await planted() == {}
    assert (await audit()).repeated == before + 2


async def test_a_row_gone_from_the_outbox_is_found(told: Checkout, owner: Any, planted: Any) -> None:
    fact = a_fact(told, "issuance.granted.v2")
    row = await owner.fetchrow("DELETE FROM orders.outbox WHERE event_id = $1::uuid RETURNING *", fact.id)
    try:
        broken = await planted()
    finally:
        await put_back(owner, "orders.outbox", row)
    assert {"topic_from_outbox", "sequence_order", "one_grant_per_claim"} <= broken.keys()
    assert broken["topic_from_outbox"] == {fact.key}


async def put_back(owner: Any, table: str, row: Any) -> None:
    names = ", ".join(map('"{}"'.format, row.keys()))
    places = ", ".join(f"${n}" for n in range(1, len(row) + 1))
    query = f"INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE VALUES ({places})"
    await owner.execute(query, *row.values())


async def test_a_published_row_that_is_in_no_topic_is_found(told: Checkout, owner: Any, planted: Any) -> None:
    fact = a_fact(told, "serials.issued.v2")
    published = await owner.fetchval("SELECT published FROM serials.relay")
    number = await owner.fetchval(
        "INSERT INTO serials.outbox (event_id, topic, partition, key, type, subject, sequence, time,"
        " correlation, causation, data) SELECT gen_random_uuid(), topic, partition, key, type, subject,"
        " sequence, time, correlation, causation, data FROM serials.outbox WHERE event_id = $1::uuid"
        " RETURNING id",
        fact.id,
    )
    await owner.execute("UPDATE serials.relay SET published = $1", number)
    try:
        broken = await planted()
    finally:
        await owner.execute("DELETE FROM serials.outbox WHERE id = $1", number)
        await owner.execute("UPDATE serials.relay SET published = $1", published)
    assert broken["published_in_topic"] == {fact.key}
    assert broken["issued_once_per_grant"] == {fact.key}


async def test_a_record_that_nobody_said_is_found(told: Checkout, planted: Any) -> None:
    fact = a_fact(told, "refund.granted.v1")
    await say(told, fact, id=str(uuid7()))
    assert await planted() == {"topic_from_outbox": {fact.key}}


async def test_a_record_in_anothers_name_is_found(told: Checkout, planted: Any) -> None:
    fact = a_fact(told, "refund.accepted.v1")
    await say(told, fact, source="/pawl/invoices")
    assert await planted() == {"topic_from_outbox": {fact.key}}


async def test_a_wrong_partition_is_found(told: Checkout, planted: Any) -> None:
    fact = a_fact(told, "order.paid.v1")
    await say(told, fact, partition=(fact.partition + 1) % 12)
    assert await planted() == {"record_partition": {fact.key}, "topic_content": {fact.key}}


async def test_a_wrong_partition_of_checkouts_own_is_found(told: Checkout, planted: Any) -> None:
    key = "A-astray"
    await told._producer.send_and_wait(
        UPSTREAM, key=key.encode(), value=b"{}", partition=(partition_for(key, 12) + 1) % 12
    )
    assert await planted() == {"record_partition": {key}}


async def test_a_skipped_sequence_is_found(told: Checkout, owner: Any, planted: Any) -> None:
    fact = a_fact(told, "refund.completed.v1")
    await owner.execute(
        "UPDATE refunds.outbox SET sequence = sequence + 1 WHERE event_id = $1::uuid", fact.id
    )
    try:
        broken = await planted()
    finally:
        await owner.execute(
            "UPDATE refunds.outbox SET sequence = sequence - 1 WHERE event_id = $1::uuid", fact.id
        )
    assert broken == {"sequence_order": {fact.key}, "topic_content": {fact.key}}


async def test_an_answer_doubled_in_the_topic_is_found(told: Checkout, planted: Any) -> None:
    fact = a_fact(told, "event.accepted.v1")
    await say(told, fact, id=str(uuid7()))
    assert await planted() == {"topic_from_outbox": {fact.key}}


async def test_an_answer_that_a_service_gave_twice_is_found(told: Checkout, owner: Any, planted: Any) -> None:
    fact = a_fact(told, "event.accepted.v1")
    service, again = fact.source.removeprefix("/pawl/"), uuid7()
    published = await owner.fetchval(f"SELECT published FROM {service}.relay")
    number = await owner.fetchval(
        f"INSERT INTO {service}.outbox (event_id, topic, partition, key, type, subject, time, correlation,"
        f" causation, data) SELECT $2, topic, partition, key, type, subject, time, correlation, causation,"
        f" data FROM {service}.outbox WHERE event_id = $1::uuid RETURNING id",
        fact.id,
        again,
    )
    await owner.execute(f"UPDATE {service}.relay SET published = $1", number)
    await say(told, fact, id=str(again))
    try:
        broken = await planted()
    finally:
        await owner.execute(f"DELETE FROM {service}.outbox WHERE id = $1", number)
        await owner.execute(f"UPDATE {service}.relay SET published = $1", published)
    assert broken == {"answered_once": {fact.key}}


async def test_a_changed_payload_is_found(told: Checkout, owner: Any, planted: Any) -> None:
    fact = a_fact(told, "order.paid.v1")
    await owner.execute(
        "UPDATE orders.outbox SET data = $2 WHERE event_id = $1::uuid",
        fact.id,
        orjson.dumps({**fact.data, "amount": 1}),
    )
    try:
        broken = await planted()
    finally:
        await owner.execute(
            "UPDATE orders.outbox SET data = $2 WHERE event_id = $1::uuid", fact.id, fact.raw.value
        )
    assert broken == {"topic_content": {fact.key}}


async def test_a_repeat_with_another_payload_is_found(told: Checkout, planted: Any) -> None:
    fact = a_fact(told, "order.paid.v1")
    await say(told, fact, data={**fact.data, "amount": 1})
    assert await planted() == {"topic_content": {fact.key}}


async def test_a_claim_that_was_never_told_is_found(told: Checkout, owner: Any, planted: Any) -> None:
    row = await owner.fetchrow(
        "DELETE FROM orders.claims WHERE ctid = (SELECT min(ctid) FROM orders.claims) RETURNING *"
    )
    try:
        broken = await planted()
    finally:
        await put_back(owner, "orders.claims", row)
    assert broken == {"one_grant_per_claim": {row["order_id"]}}


@pytest.mark.parametrize(
    ("table", "where", "rules"),
    [
        ("quarantine", "decision IS NULL AND amount > 0", {"payments_placed", "cases_told"}),
        ("quarantine", "decision = 'returned'", {"payments_placed", "cases_told"}),
        ("orders", "state = 'paid'", {"payments_placed"}),
    ],
)
async def test_money_that_came_and_has_no_place_is_found(
    told: Checkout, owner: Any, planted: Any, table: str, where: str, rules: set[str]
) -> None:
    """As if a service had taken the event and thrown the money away."""
    await owner.execute("SET session_replication_role = replica")  # an order with a case is gone as well
    row = await owner.fetchrow(
        f"DELETE FROM orders.{table} WHERE ctid = (SELECT min(ctid) FROM orders.{table} WHERE {where})"
        " RETURNING *"
    )
    try:
        broken = await planted()
    finally:
        await put_back(owner, f"orders.{table}", row)
    assert rules <= broken.keys()
    assert all(broken[rule] == {row["order_id"]} for rule in rules)


async def test_money_of_another_sum_than_came_is_found(told: Checkout, owner: Any, planted: Any) -> None:
    order_id = await owner.fetchval("SELECT min(order_id) FROM orders.orders WHERE state = 'paid'")
    change = "UPDATE orders.orders SET amount = amount {0} 1, supply = supply {0} 1 WHERE order_id = $1"
    await owner.execute(change.format("+"), order_id)
    try:
        broken = await planted()
    finally:
        await owner.execute(change.format("-"), order_id)
    assert broken == {"payments_placed": {order_id}}


@pytest.mark.parametrize(
    ("service", "type_name", "rule"),
    [
        ("orders", "payment.quarantined.v1", "cases_told"),
        ("orders", "quarantine.settled.v1", "cases_told"),
        ("invoices", "merge.answered.v1", "merges_answered"),
    ],
)
async def test_a_case_or_a_merge_that_was_never_told_of_is_found(
    told: Checkout, owner: Any, planted: Any, service: str, type_name: str, rule: str
) -> None:
    fact = a_fact(told, type_name)
    row = await owner.fetchrow(f"DELETE FROM {service}.outbox WHERE event_id = $1::uuid RETURNING *", fact.id)
    try:
        broken = await planted()
    finally:
        await put_back(owner, f"{service}.outbox", row)
    assert rule in broken


async def test_a_handled_event_without_an_answer_is_found(told: Checkout, owner: Any, planted: Any) -> None:
    row = await owner.fetchrow(
        "DELETE FROM orders.inbox WHERE ctid = (SELECT min(ctid) FROM orders.inbox) RETURNING *"
    )
    try:
        broken = await planted()
    finally:
        await put_back(owner, "orders.inbox", row)
    assert set(broken) == {"inbound_answered", "answered_once"}


async def without(owner: Any, table: str, where: str, planted: Any) -> tuple[Any, dict[str, set[str | None]]]:
    """What is broken while the only such row is gone."""
    row = await owner.fetchrow(f"DELETE FROM {table} WHERE {where} RETURNING *")
    assert row is not None
    try:
        return row, await planted()
    finally:
        await put_back(owner, table, row)


async def while_changed(owner: Any, table: str, change: str, back: str, planted: Any) -> Any:
    """What is broken while a row says something else."""
    assert await owner.execute(f"UPDATE {table} SET {change}") != "UPDATE 0"
    try:
        return await planted()
    finally:
        await owner.execute(f"UPDATE {table} SET {back}")


async def test_accepted_money_that_is_in_no_case_is_found(told: Checkout, owner: Any, planted: Any) -> None:
    """Nothing else of the auditor sees it: the money was never on the books."""
    row, broken = await without(owner, "orders.quarantine", "reason = 'payment_used'", planted)
    order_id = row["order_id"]
    assert broken == {"payments_placed": {order_id}, "cases_told": {order_id}}


async def test_a_case_of_other_won_than_came_is_found(told: Checkout, owner: Any, planted: Any) -> None:
    used = "WHERE reason = 'payment_used'"
    order_id = await owner.fetchval(f"SELECT order_id FROM orders.quarantine {used}")
    change, back = f"amount = amount - 1 {used}", f"amount = amount + 1 {used}"
    broken = await while_changed(owner, "orders.quarantine", change, back, planted)
    assert broken == {"payments_placed": {order_id}, "cases_told": {order_id}}


async def test_money_that_went_back_before_it_came_is_looked_for_where_it_went(
    told: Checkout, owner: Any, planted: Any
) -> None:
    """The order that forgot that its payment had gone would have to hold it."""
    gone = "WHERE reversals::text <> '{}' AND payment_id IS NULL"
    row = await owner.fetchrow(f"SELECT order_id, reversals::text FROM orders.orders {gone}")
    here = f"WHERE order_id = '{row['order_id']}'"
    change, back = f"reversals = '{{}}' {here}", f"reversals = '{row['reversals']}' {here}"
    broken = await while_changed(owner, "orders.orders", change, back, planted)
    assert broken == {"payments_placed": {row["order_id"]}}


async def test_a_decision_that_ended_no_case_is_found(told: Checkout, owner: Any, planted: Any) -> None:
    row = await owner.fetchrow("SELECT * FROM orders.quarantine WHERE decision = 'returned'")
    here = f"WHERE order_id = '{row['order_id']}' AND number = {row['number']}"
    change = f"decision = NULL, settled_at = NULL {here}"
    back = f"decision = 'returned', settled_at = '{row['settled_at'].isoformat()}' {here}"
    broken = await while_changed(owner, "orders.quarantine", change, back, planted)
    assert broken == {"decisions_kept": {row["order_id"]}, "cases_told": {row["order_id"]}}


@pytest.mark.parametrize("proposal", [{}, {"proposal": {"refund": 0}}])
async def test_a_case_that_was_told_without_a_right_proposal_is_found(
    told: Checkout, owner: Any, planted: Any, proposal: dict[str, Any]
) -> None:
    fact = next(r for r in told.records if r.type == "payment.quarantined.v1" and r.data["amount"] > 0)
    said = {name: value for name, value in fact.data.items() if name != "proposal"} | proposal
    plant = "UPDATE orders.outbox SET data = $2 WHERE event_id = $1::uuid"
    await owner.execute(plant, fact.id, orjson.dumps(said))
    try:
        broken = await planted()
    finally:
        await owner.execute(plant, fact.id, fact.raw.value)
    assert broken == {"cases_told": {fact.key}, "topic_content": {fact.key}}


async def test_a_merge_that_was_forgotten_and_one_that_was_not_answered_are_found(
    told: Checkout, owner: Any, planted: Any
) -> None:
    _, broken = await without(owner, "invoices.merge_requests", "undo", planted)
    assert broken == {"merges_answered": {None}}
    fact = a_fact(told, "merge.answered.v1")
    _, broken = await without(owner, "invoices.outbox", f"event_id = '{fact.id}'", planted)
    assert broken == {"merges_answered": {None}, "topic_from_outbox": {None}}


async def test_an_answer_that_leaves_a_payment_out_is_found(told: Checkout, owner: Any, planted: Any) -> None:
    answers = (record for record in told.records if record.type == "merge.answered.v1")
    fact = next(r for r in answers if "pay-of-nobody" in {e["payment_id"] for e in r.data["excluded"]})
    plant = "UPDATE invoices.outbox SET data = $2 WHERE event_id = $1::uuid"
    await owner.execute(plant, fact.id, orjson.dumps({**fact.data, "excluded": []}))
    try:
        broken = await planted()
    finally:
        await owner.execute(plant, fact.id, fact.raw.value)
    assert broken == {"merges_answered": {None}, "topic_content": {None}}


async def test_an_unreadable_record_without_its_dead_letter_is_found(
    told: Checkout, owner: Any, planted: Any
) -> None:
    row = await owner.fetchrow("DELETE FROM orders.dead_letters WHERE event_id IS NULL RETURNING *")
    assert row is not None
    try:
        broken = await planted()
    finally:
        await put_back(owner, "orders.dead_letters", row)
    assert "inbound_answered" in broken


async def test_what_nobody_has_handled_yet_is_unread_and_no_violation(
    audit: Audit, told: Checkout, planted: Any
) -> None:
    before = (await audit()).unread
    headers = write_headers(
        id="evt-late", source="https://late", type="payment.cancelled.v1", subject="A-9", time="x"
    )
    await told.publish(b"A-9", b"{}", headers)
    assert await planted() == {}
    assert (await audit()).unread == before + 1


async def test_a_topic_without_its_beginning_is_checked_from_where_it_begins(
    audit: Audit, told: Checkout, planted: Any
) -> None:
    fact = [record for record in told.records if record.topic == FEEDBACK][-1]
    place = next(p for p in told.places if (p.topic, p.partition) == (FEEDBACK, fact.partition))
    whole = (await audit()).records[FEEDBACK]
    await told._admin.delete_records({place: _until(fact.offset)})
    report = await audit()
    assert await planted() == {}
    assert report.deleted == {f"{FEEDBACK}/{fact.partition}": fact.offset}
    assert report.records[FEEDBACK] == whole - fact.offset
    assert report.expired > 0 or fact.offset == 0


def _until(offset: int) -> Any:
    from aiokafka.admin import RecordsToDelete

    return RecordsToDelete(before_offset=offset)


def test_every_rule_has_a_name_of_its_own() -> None:
    assert len({rule.name for rule in TOPIC_RULES}) == len(TOPIC_RULES)
