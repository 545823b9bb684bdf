"""Each path of docs/backup.md, as it stands there: backup, loss, restore, `pawl recover`, and the auditor.

A system of each test's own, with PostgreSQL's own programs. What was said between backup and loss is in the
topics; afterwards the tables are what they were before the loss, or it is said what is lost.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from ops.local.kafka import EmbeddedKafka
from ops.local.ports import Ports
from ops.local.postgres import EmbeddedPostgres
from ops.local.running import RunningSystem
from ops.setup.provision import Database, kept_passwords, provision
from ops.setup.topics import create_topics
from ops.shell.http_client import fetch
from ops.shell.problem import Exit
from ops.shell.run_directory import RunDirectory
from ops.tax_agent.desk import Desk
from ops.tax_agent.run import open_tax_agent
from shared.events.catalogue import SERVICES
from tests.support.alone import assert_all_is_well, services_on
from tests.support.backups import Backups
from tests.support.driver import Checkout, facts_said, table_hashes, topic_dump
from tests.support.instances import until, until_healthy
from tests.support.servers import FOR_TESTS, new_run_directory
from tests.support.stories import MINUTE, Buyer, Story, first_day

pytestmark = pytest.mark.faults

IN_ORDER = ("orders", "serials", "refunds", "invoices")
"""In which order services are recovered: each before those that read what it says."""
ARCHIVED = "SELECT last_archived_wal >= $1 AND last_archived_wal ~ '^[0-9A-F]+$' FROM pg_stat_archiver"


@dataclass
class Stack:
    """A system of one test's own, on servers whose data the test may set back."""

    folder: RunDirectory
    kafka: EmbeddedKafka
    postgres: EmbeddedPostgres
    backups: Backups
    system: RunningSystem
    checkout: Checkout

    @property
    def database(self) -> Database:
        return self.system.database

    async def stop(self, *services: str) -> None:
        await asyncio.gather(*(self.system.services.stop(name) for name in services or SERVICES))

    async def start(self, *services: str) -> None:
        """Returns when they are healthy."""
        for name in services or SERVICES:
            self.system.services.start(name)
        await asyncio.gather(*(until_healthy(self.system, name) for name in services or SERVICES))

    async def refuses(self, service: str) -> str:
        """Starts a service that does not start; why, as its health says it, and stops it again."""
        self.system.services.start(service)
        url, answers = self.system.system.service(service).health, list[str]()

        async def is_told() -> bool:
            answer = await fetch(url)
            assert answer.status != 200, f"{service} has started"
            answers.append(answer.text)
            return "older than its topics" in answer.text

        await until(is_told, f"{service} says why it does not start")
        metrics = await fetch(url.replace("/health", "/metrics"))
        assert "pawl_schema_behind_events" in metrics.text
        await self.stop(service)
        return str(json.loads(answers[-1])["why"])

    async def recover(self, service: str, *options: str) -> tuple[int, dict[str, Any]]:
        """`pawl recover SERVICE`: its exit code and its document."""
        code, said = await self.pawl("recover", service, "--json", *options)
        return code, json.loads(said)

    async def brings_forward(self, service: str) -> None:
        """`pawl recover SERVICE --apply`, with nothing lost."""
        code, done = await self.recover(service, "--apply")
        lost = [f"{each['key']} {each['type']} {each['sequence']}: {each['why']}" for each in done["lost"]]
        assert code == 0, "\n".join([service, *lost])

    async def pawl(self, *command: str) -> tuple[int, str]:
        """A command as operators type it: its exit code and what it prints."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "ops.pawl", *command, "--dir", str(self.folder.path)),
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await process.communicate()
        return process.returncode or 0, said.decode()

    async def goes_on(self) -> None:
        """A new order is paid, issued in part and refunded in part; then nothing anywhere is wrong."""
        story = Story(self.checkout)
        await story.is_paid(quantity=10)
        await story.is_refunded(4)
        await story.asks_to_issue(6)
        await story.until("serials.issued.v2")
        await self.checkout.drain()
        code, said = await self.pawl("check", "--topics")
        assert code == 0, said
        await assert_all_is_well(self.system, self.checkout)
        code, said = await self.pawl("gaps", "ls")
        assert code == 0, said


@asynccontextmanager
async def stack_of(folder: RunDirectory) -> AsyncIterator[Stack]:
    ports = Ports(folder.ports)
    kafka = EmbeddedKafka(folder.kafka, ports)
    postgres = EmbeddedPostgres(folder.postgres, ports)
    backups = Backups(postgres, folder.path / "backups")
    postgres = EmbeddedPostgres(folder.postgres, ports, settings={**FOR_TESTS, **backups.archiving})
    backups.postgres = postgres
    await kafka.start()
    try:
        await postgres.start()
        async with services_on(folder, kafka.bootstrap_servers, postgres.url()) as (system, checkout):
            stack = Stack(folder, kafka, postgres, backups, system, checkout)
            yield stack
            postgres = stack.postgres
    finally:
        await asyncio.gather(kafka.stop(), postgres.stop())


@pytest.fixture
async def stack() -> AsyncIterator[Stack]:
    with new_run_directory() as folder:
        async with stack_of(folder) as stack:
            yield stack


async def what_stands(database: Database) -> dict[str, Any]:
    """All tables of the business. What is sealed is another text whenever it is sealed: of that the rest."""
    found: dict[str, Any] = dict(await table_hashes(database))
    connection = await asyncpg.connect(database.admin_url)
    for table in ("refunds.data_keys", "refunds.refund_details"):
        query = f"SELECT to_jsonb(t) - '{{sealed,made_at}}'::text[] FROM {table} t ORDER BY 1"
        found[table] = [row[0] for row in await connection.fetch(query)]
    await connection.close()
    return found


async def before_the_backup(checkout: Checkout) -> Story:
    """An order that is paid, issued in part and refunded in part, and everything about it is told."""
    story = await Story(checkout).is_paid(quantity=20)
    await story.asks_to_issue(5)
    await story.until("serials.issued.v2")
    await story.is_refunded(3)
    await checkout.drain()
    return story


async def after_the_backup(checkout: Checkout, story: Story) -> Sequence[Story]:
    """What came between backup and loss: no serial among it, so that all of it stands in the topics."""
    await story.is_refunded(2, request="rr-2")
    other = await Story(checkout).is_paid(quantity=7)
    await other.is_refunded()
    third = await Story(checkout).is_paid(quantity=3, kind="goods")
    await checkout.drain()
    return story, other, third


async def test_the_programs_have_the_version_of_the_server(stack: Stack) -> None:
    connection = await asyncpg.connect(stack.postgres.url())
    server = (await connection.fetchval("SHOW server_version")).split()[0]
    await connection.close()

    for program in ("pg_dump", "pg_restore", "pg_basebackup"):
        assert await stack.backups.version(program) == server


async def test_one_service_is_restored_from_a_dump_and_brought_forward(stack: Stack) -> None:
    """The others go on meanwhile; the orders of the time between are told by the topics."""
    story = await before_the_backup(stack.checkout)
    dump = await stack.backups.dump("orders.dump", "--schema=orders")
    stories = await after_the_backup(stack.checkout, story)
    tables, said = await what_stands(stack.database), await facts_said(stack.database)

    await stack.stop("orders")
    await stack.backups.restore_schema(dump)
    assert (await stack.pawl("migrate"))[0] == 0
    why = await stack.refuses("orders")
    assert all(each.order_id in why for each in stories)
    code, shown = await stack.recover("orders")
    assert (code, shown["lost"], shown["applied"]) == (0, [], False)
    code, done = await stack.recover("orders", "--apply")

    assert (code, done["lost"], done["applied"]) == (0, [], True)
    assert await what_stands(stack.database) == tables
    assert await facts_said(stack.database) == said
    await stack.start("orders")
    await stack.goes_on()


async def test_what_is_decided_from_several_orders_is_brought_forward(stack: Stack) -> None:
    """Merges, their undoing, and who may leave: they follow from orders that stand in other partitions."""
    checkout, month = stack.checkout, "2031-10"
    buyer, leaving = Buyer(checkout), Buyer(checkout)
    await asyncio.gather(*(Story(checkout, buyer).is_issued(quantity=2) for _ in range(3)))
    await Story(checkout, leaving).is_issued(quantity=1, method="card")  # has its slip, and no invoice
    await checkout.drain()
    restored = ("orders", "refunds", "invoices")
    dumps = [await stack.backups.dump(f"{name}.dump", f"--schema={name}") for name in restored]

    some = [Story(checkout, buyer) for _ in range(12)]
    await asyncio.gather(*(story.is_issued(quantity=2) for story in some[:6]))
    await asyncio.gather(*(story.is_paid(quantity=2) for story in some[6:]))
    at = some[0].now
    await buyer.asks_merge(month, at)
    await buyer.asks_to_leave(at)
    await buyer.until("merge.answered.v1")
    await buyer.undoes_merge(month, at + MINUTE)
    await buyer.until("merge.answered.v1", 2)
    await asyncio.gather(*(story.asks_to_issue(2) for story in some[6:]))
    await asyncio.gather(*(story.until("serials.issued.v2") for story in some[6:]))
    await (await Story(checkout, buyer).is_paid(quantity=3)).is_refunded(1)
    await buyer.asks_merge(month, at + MINUTE)
    await buyer.until("merge.answered.v1", 3)
    await leaving.asks_to_leave(at)
    await leaving.until("partner.withdrawn.v1")
    await Story(checkout, leaving).pays(quantity=1)  # it has left
    await checkout.drain()
    tables, said = await what_stands(stack.database), await facts_said(stack.database)

    await stack.stop(*restored)
    for dump in dumps:
        await stack.backups.restore_schema(dump)
    assert (await stack.pawl("migrate"))[0] == 0
    for service in restored:
        await stack.brings_forward(service)

    assert await what_stands(stack.database) == tables
    assert await facts_said(stack.database) == said
    await stack.start(*restored)
    await stack.goes_on()


async def test_all_services_are_restored_from_one_dump_and_brought_forward_in_their_order(
    stack: Stack,
) -> None:
    story = await before_the_backup(stack.checkout)
    dump = await stack.backups.dump("pawl.dump")
    await after_the_backup(stack.checkout, story)
    tables = await what_stands(stack.database)

    await stack.stop()
    await stack.backups.restore_database(dump)
    assert (await stack.pawl("migrate"))[0] == 0
    for service in IN_ORDER:
        await stack.brings_forward(service)

    assert await what_stands(stack.database) == tables
    await stack.start()
    await stack.goes_on()


async def test_serials_since_the_backup_are_named_as_lost_and_nothing_is_changed(stack: Stack) -> None:
    """Their text stands in no topic: only the WAL brings them back."""
    story = await before_the_backup(stack.checkout)
    dump = await stack.backups.dump("serials.dump", "--schema=serials")
    await story.asks_to_issue(2, request="iss-2")
    await story.until("serials.issued.v2", 2)
    await stack.checkout.drain()

    await stack.stop("serials")
    await stack.backups.restore_schema(dump)
    assert (await stack.pawl("migrate"))[0] == 0
    tables = await what_stands(stack.database)
    assert story.order_id in await stack.refuses("serials")

    code, said = await stack.recover("serials", "--apply")

    assert (code, said["applied"]) == (Exit.RULE_BROKEN, False)
    assert [(each["key"], each["type"]) for each in said["lost"]] == [(story.order_id, "serials.issued.v2")]
    assert await what_stands(stack.database) == tables


async def test_what_a_month_was_approved_issued_and_transmitted_by_is_named_as_lost(stack: Stack) -> None:
    """Persons and a tax agent caused it: their words stand in no topic, and nothing is applied in part."""
    month = "2026-09"
    buyer = Buyer(stack.checkout, representative="이도윤")
    story = await Story(stack.checkout, buyer=buyer, begins=first_day(month)).is_paid(kind="goods")
    await stack.checkout.drain()
    dump = await stack.backups.dump("invoices.dump", "--schema=invoices")
    with open_tax_agent(Desk(1, pace=0.0, is_faultless=True), silence=0.2) as url:
        await stack.stop("invoices")
        stack.system.services.start("invoices", {"INVOICES_TAX_AGENT_URL": url})
        await until_healthy(stack.system, "invoices")
        for who, step in (("kim", "approve"), ("lee", "issue")):
            await stack.pawl("close", month, step, "--reason", "checked", "--actor", who, "--yes")
        await story.buyer.until("invoice.transmitted.v1")
        await stack.checkout.drain()
        await stack.stop("invoices")
    await stack.backups.restore_schema(dump)
    assert (await stack.pawl("migrate"))[0] == 0
    tables = await what_stands(stack.database)
    assert story.buyer.id in await stack.refuses("invoices")

    code, said = await stack.recover("invoices", "--apply")

    assert (code, said["applied"]) == (Exit.RULE_BROKEN, False)
    lost = {(each["key"], each["type"]) for each in said["lost"]}
    of_partner = ("invoice.approved.v1", "invoice.issued.v1", "invoice.transmitted.v1")
    assert lost == {*((story.buyer.id, name) for name in of_partner), (month, "month.closed.v1")}
    assert await what_stands(stack.database) == tables


async def archived(postgres: EmbeddedPostgres, name: str) -> None:
    """Marks this instant by its name, and returns when the archive has the WAL up to it."""
    connection = await asyncpg.connect(postgres.url())
    try:
        await connection.execute("SELECT pg_create_restore_point($1)", name)
        last = await connection.fetchval("SELECT pg_walfile_name(pg_switch_wal())")

        async def is_archived() -> bool:
            return bool(await connection.fetchval(ARCHIVED, last))

        await until(is_archived, f"{last} is archived")
    finally:
        await connection.close()


async def set_back(stack: Stack, base: Any, **target: str) -> None:
    """The server is gone with its disk, and comes again from the base backup and the archive."""
    stack.postgres.kill()
    settings = {**FOR_TESTS, **stack.backups.archiving}
    stack.postgres = stack.backups.restored(base, {"recovery_target_action": "promote", **target}, settings)
    await stack.postgres.start()

    async def is_promoted() -> bool:
        connection = await asyncpg.connect(stack.postgres.url())
        try:
            return not await connection.fetchval("SELECT pg_is_in_recovery()")
        finally:
            await connection.close()

    await until(is_promoted, "the server is no standby any more")


async def test_the_wal_brings_back_everything_also_serials(stack: Stack) -> None:
    """Base backup and archive, up to the last instant: nothing is behind, so nothing is to be recovered."""
    story = await before_the_backup(stack.checkout)
    base = await stack.backups.base()
    await after_the_backup(stack.checkout, story)
    issued = await Story(stack.checkout).is_issued(quantity=9)
    await stack.checkout.drain()
    tables = await what_stands(stack.database)
    await archived(stack.postgres, "last")

    await stack.stop()
    await set_back(stack, base, recovery_target_timeline="latest")

    assert await what_stands(stack.database) == tables
    await stack.start()
    await issued.asks_refund(1)
    await issued.until("refund.rejected.v1")
    await stack.goes_on()


async def test_an_earlier_point_in_time_is_behind_and_is_brought_forward(stack: Stack) -> None:
    story = await before_the_backup(stack.checkout)
    base = await stack.backups.base()
    await archived(stack.postgres, "noon")
    await after_the_backup(stack.checkout, story)
    tables = await what_stands(stack.database)
    await archived(stack.postgres, "last")

    await stack.stop()
    await set_back(stack, base, recovery_target_name="noon")
    assert "older than its topics" in await stack.refuses("orders")
    for service in IN_ORDER:
        await stack.brings_forward(service)

    assert await what_stands(stack.database) == tables
    await stack.start()
    await stack.goes_on()


async def copied(source: str, target: str) -> None:
    """Each record at its partition, with key, value and headers, as a mirror does it."""
    producer = AIOKafkaProducer(bootstrap_servers=target)
    await producer.start()
    for heard in await topic_dump(source):
        raw = heard.raw
        await producer.send_and_wait(
            raw.topic, raw.value, key=raw.key, headers=list(raw.headers), partition=raw.partition
        )
    await producer.stop()


@pytest.mark.parametrize("topics", ["copied", "empty"])
async def test_everything_moves_to_another_cluster(stack: Stack, topics: str) -> None:
    """Another PostgreSQL, by dump and restore, and another broker, on which offsets are others."""
    story = await before_the_backup(stack.checkout)
    await after_the_backup(stack.checkout, story)
    tables = await what_stands(stack.database)
    await stack.stop()
    dump = await stack.backups.dump("pawl.dump")

    there = stack.folder.path / "there"
    ports = Ports(there / "ports")
    kafka = EmbeddedKafka(there / "kafka", ports)
    postgres = EmbeddedPostgres(there / "postgres", ports, settings=FOR_TESTS)
    there.mkdir()
    try:
        await asyncio.gather(kafka.start(), postgres.start())
        await create_topics(kafka.bootstrap_servers)
        if topics == "copied":
            await copied(stack.kafka.bootstrap_servers, kafka.bootstrap_servers)
        await provision(postgres.url(), kept_passwords(stack.folder.passwords, postgres.url()))
        await stack.backups.restore_database(dump, postgres)
        new = RunDirectory(there / "run")
        new.create()
        for kept, file in ((stack.folder.passwords, new.passwords), (stack.folder.keys, new.keys)):
            file.write_bytes(kept.read_bytes())
            file.chmod(0o600)

        async with services_on(new, kafka.bootstrap_servers, postgres.url()) as (system, checkout):
            moved = Stack(new, kafka, postgres, stack.backups, system, checkout)
            assert await what_stands(moved.database) == tables
            await Story(checkout).is_issued(quantity=4)
            await assert_all_is_well(system, checkout)
            _, said = await moved.pawl("check", "--topics", "--json")
            broken = set(json.loads(said)["topics"]["broken"])
            assert broken == ({"published_in_topic"} if topics == "empty" else set()), said
    finally:
        await asyncio.gather(kafka.stop(), postgres.stop())


@pytest.mark.parametrize("topic", ["checkout.events", "orders.events"])
async def test_a_topic_that_is_created_anew_is_read_on(stack: Stack, topic: str) -> None:
    story = await before_the_backup(stack.checkout)
    await stack.stop()
    await stack.checkout.stop()
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka.bootstrap_servers)
    await admin.start()
    await admin.delete_topics([topic])

    async def is_gone() -> bool:
        return topic not in await admin.list_topics()

    await until(is_gone, f"{topic} is deleted")
    await admin.close()
    await create_topics(stack.kafka.bootstrap_servers)

    await stack.start()
    stack.checkout = Checkout(stack.kafka.bootstrap_servers, stack.database)
    await stack.checkout.start()
    story.checkout = stack.checkout
    await story.asks_to_issue(2, request="iss-2")
    await story.until("serials.issued.v2")
    await Story(stack.checkout).is_issued(quantity=3)

    await stack.checkout.drain()
    connection = await asyncpg.connect(stack.database.admin_url)
    for service in SERVICES:
        assert await connection.fetchval(f"SELECT count(*) FROM {service}.gaps") == 0
        assert await connection.fetchval(f"SELECT count(*) FROM {service}.dead_letters") == 0
    await connection.close()
    code, said = await stack.pawl("check")
    assert code == 0, said
    await stack.checkout.stop()
