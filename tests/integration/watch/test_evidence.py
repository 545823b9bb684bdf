"""Evidence of an order, from four real schemas: taken whole, told in parts over HTTP, without a secret."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from ops import cli
from ops.setup.provision import Database
from ops.shell.problem import Exit, Problem
from ops.watch.evidence.collecting import EVIDENCE, take_evidence
from ops.watch.evidence.verifying import verify_bundle
from shared.events.catalogue import SERVICES
from shared.evidence.chain import faults_of, head_of, index_of
from shared.evidence.every_service import EVERY_SERVICE
from shared.evidence.reading import SQL
from shared.postgres import connect
from shared.queries import load
from tests.support.serving import operator_on, partner_on, routes_on
from tests.support.stories import ACCOUNT
from tests.support.tabletop import Tabletop, buy, refund_id_of
from tests.support.web import operator_of

PATH = "/v1/orders/{}/evidence"
HANDED = """INSERT INTO custody (custody_id, form, actor, partner_id, client, request, reason, grant_id,
                                 first_unit, last_unit, state, serials, watermark)
            SELECT gen_random_uuid(), 'xlsx', 'lee', partner_id, '203.0.113.7', 'req-1', 'ordered', grant_id,
                   1, quantity, 'active', quantity, 'WM-1' FROM grants WHERE order_id = $1"""
REGISTERED = """UPDATE serials SET state = 'registered', account = '\\x00',
                       registered_at = '2026-10-24 03:00+00', usage_ends_at = '2026-11-24 00:00+00'
                WHERE serial_id IN (SELECT serial_id FROM serials JOIN grants USING (grant_id)
                                    WHERE order_id = $1 ORDER BY 1 LIMIT 7)"""


def of_kind(document: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [entry for entry in document["entries"] if entry["kind"] == kind]


async def test_everything_about_an_order_is_told_once_and_in_a_chain(
    history: Tabletop, database: Database
) -> None:
    """See `history`: of A-1 60 units are issued, 40 paid back, and its invoice is issued."""
    await history.pools["serials"].execute(HANDED, "A-1")
    await history.pools["serials"].execute(REGISTERED, "A-1")

    document = await take_evidence(database.ops_url, "A-1")

    assert document["services"] == sorted(SERVICES)
    assert document["as_of_one_moment"]
    (line,), (payment,) = of_kind(document, "line"), of_kind(document, "payment")
    assert (line["details"]["issued"], line["details"]["refunded"], line["details"]["open"]) == (60, 40, 0)
    assert payment["details"]["amount"] == 176_000
    (issuance,), (registered,) = of_kind(document, "issuance"), of_kind(document, "registration")
    assert (issuance["details"]["issued"], issuance["details"]["registered"]) == (60, 7)
    assert (registered["details"]["day"], registered["details"]["count"]) == ("2026-10-24", 7)
    (handed,) = of_kind(document, "hand_out")
    assert (handed["details"]["serials"], handed["details"]["client"]) == (60, "203.0.113.7")
    (refund,) = of_kind(document, "refund")
    assert (refund["details"]["state"], refund["details"]["amount"]) == ("completed", 70_400)
    assert refund["details"]["lines"] == [{"line_id": "1", "quantity": 40}]
    assert [step["details"]["state"] for step in of_kind(document, "step")] == [
        "requested",
        "accepted",
        "granted",
        "paying_out",
        "completed",
    ]
    assert [each["details"]["state"] for each in of_kind(document, "payout")] == ["paid"]
    told = [event["details"]["type"] for event in of_kind(document, "event")]
    assert {"order.paid.v1", "serials.issued.v2", "refund.completed.v1", "invoice.issued.v1"} <= set(told)
    assert len(told) == len({event["name"] for event in of_kind(document, "event")})
    assert {each["details"]["outcome"] for each in of_kind(document, "answer")} == {"accepted"}
    assert faults_of(document, document["entries"][0]["previous"], index_of(document)) == []
    recorded = [entry["recorded_at"] for entry in document["entries"] if entry["recorded_at"] is not None]
    assert recorded == sorted(recorded)


async def test_no_serial_and_no_account_is_in_it(history: Tabletop, database: Database) -> None:
    rows = await history.pools["serials"].fetch("SELECT last_four FROM serials")
    document = await take_evidence(database.ops_url, "A-1")
    text = orjson.dumps(document).decode()

    assert ACCOUNT["account_number"] not in text
    assert "last_four" not in text
    assert not [row for row in rows if f'"{row["last_four"]}"' in text]


async def test_what_people_decided_and_what_is_refused_or_waits_is_told(
    table: Tabletop, database: Database
) -> None:
    await buy(table, "A-1")
    table.say("payment.completed.v1", "A-1", payment_id="pay-again")
    table.say("issuance.requested.v1", "A-1", lines=[{"line_id": "1", "quantity": -5}])
    table.say("quarantine.decided.v1", "A-1", payment_id="pay-again", decision="returned")
    table.say("refund.reviewed.v1", "A-1", refund_id="0199f0c0-7d4a-7c11-9a51-2f6f3f3c1a99")
    await table.drain()

    document = await take_evidence(database.ops_url, "A-1")

    (decision,) = of_kind(document, "decision")
    assert decision["details"]["action"] == "quarantine.decide"
    assert decision["details"]["actor"]
    (case,) = of_kind(document, "case")
    assert (case["details"]["reason"], case["details"]["decision"]) == ("second_payment", "returned")
    (refused,) = of_kind(document, "refused")
    assert (refused["details"]["code"], refused["details"]["pointer"]) == (
        "out_of_range",
        "/lines/0/quantity",
    )
    assert "rejected" in {each["details"]["outcome"] for each in of_kind(document, "answer")}


async def test_a_modified_invoice_and_the_one_that_it_modifies_are_both_told(
    history: Tabletop, database: Database
) -> None:
    document = await take_evidence(database.ops_url, "A-6")

    kinds = [each["details"]["kind"] for each in of_kind(document, "document")]
    assert sorted(kinds) == ["modified", "payment"]
    assert sum(each["details"]["total"] for each in of_kind(document, "document")) == 105_600


async def test_a_corrected_document_is_told_with_what_took_its_place(
    table: Tabletop, database: Database
) -> None:
    await buy(table, "A-1")
    await table.close("2026-10", "2026-11-05T18:00:00+09:00")
    key = await table.pools["invoices"].fetchval("SELECT document_key FROM documents")
    await table.correct("2026-10", key, number="1348672683")

    document = await take_evidence(database.ops_url, "A-1")

    totals = [each["details"]["total"] for each in of_kind(document, "document")]
    assert sorted(totals) == [-176_000, 176_000, 176_000]


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_tells_its_part_over_http_with_a_chain_of_its_own(
    history: Tabletop, database: Database, service: str
) -> None:
    whole = await take_evidence(database.ops_url, "A-1")
    async with operator_on(history, service) as operator:
        answer = await operator.get(PATH.format("A-1"))
        nothing = await operator.get(PATH.format("nobody"))

    assert answer.status_code == 200
    part = answer.json()
    head = part.pop("head")
    assert head == head_of(part)
    assert faults_of(part, part["entries"][0]["previous"], index_of(part)) == []
    own = [entry for entry in whole["entries"] if entry["service"] == service]
    linked = {"number", "previous", "hash"}
    assert [{k: v for k, v in each.items() if k not in linked} for each in part["entries"]] == [
        {k: v for k, v in each.items() if k not in linked} for each in own
    ]
    assert (nothing.status_code, nothing.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("service", SERVICES)
async def test_a_partner_sees_its_own_order_without_what_others_did(history: Tabletop, service: str) -> None:
    await history.pools["serials"].execute(HANDED, "A-1")
    routes = routes_on(history, service)

    async with operator_of(routes, service, partner_id="P-17") as owner:
        own = await owner.get(PATH.format("A-1"))
    async with operator_of(routes, service, partner_id="P-18") as stranger:
        other = await stranger.get(PATH.format("A-1"))

    assert own.status_code == 200
    assert (other.status_code, other.json()["code"]) == (404, "not_found")
    for entry in own.json()["entries"]:
        if entry["kind"] in ("decision", "step"):
            assert entry["details"]["actor"] is None
        if entry["kind"] == "hand_out":
            assert entry["details"]["actor"] == "lee"


@pytest.mark.parametrize("service", SERVICES)
async def test_a_partner_that_has_left_finds_nothing(history: Tabletop, service: str) -> None:
    left = {
        "orders": "INSERT INTO partners (partner_id, withdrawn_at, sequence) VALUES ('P-17', now(), 1)",
        "serials": "INSERT INTO withdrawn_partners VALUES ('P-17', now())",
        "refunds": "INSERT INTO withdrawn_partners VALUES ('P-17', now())",
        "invoices": "INSERT INTO withdrawn_partners VALUES ('P-17', now())",
    }
    await history.pools[service].execute(left[service])

    async with partner_on(history, service, "P-17") as partner:
        answer = await partner.get(PATH.format("A-1"))

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_the_command_writes_a_bundle_that_is_whole(
    history: Tabletop, database: Database, tmp_path: Path
) -> None:
    folder = tmp_path / "dispute"
    made = await run("A-1", "-o", str(folder), "--postgres", database.ops_url, "--json")
    nothing = await run("nobody", "-o", str(tmp_path / "none"), "--postgres", database.ops_url)

    assert made.exit_code == Exit.OK, made.output
    told = orjson.loads(made.stdout)
    manifest, faults = verify_bundle(folder, told["head"])
    assert faults == []
    assert (told["entries"], told["pages"]) == (len(manifest["entries"]), len(manifest["pages"]))
    assert isinstance(nothing.exception, Problem)
    assert nothing.exception.exit_code is Exit.NOTHING_MATCHED
    assert not (tmp_path / "none").exists()


async def test_an_order_that_only_waits_is_told_too(table: Tabletop, database: Database) -> None:
    table.say("issuance.requested.v1", "B-1")
    await table.drain()

    document = await take_evidence(database.ops_url, "B-1")

    (waiting,) = of_kind(document, "waiting")
    assert waiting["details"]["type"] == "issuance.requested.v1"


async def test_a_refund_is_named_by_its_id(history: Tabletop, database: Database) -> None:
    refund_id = await refund_id_of(history, "A-1")

    (refund,) = of_kind(await take_evidence(database.ops_url, "A-1"), "refund")

    assert refund["name"] == refund_id


STATEMENTS = [
    (service, query)
    for service in SERVICES
    for query in [each.query for each in (*EVIDENCE[service].exhibits, *EVERY_SERVICE)]
]


@pytest.mark.parametrize(("service", "query"), STATEMENTS)
async def test_no_exhibit_reads_a_whole_large_table(service: str, query: str, database: Database) -> None:
    """Dead letters are few, and retention is one row; a session of a service scans others only in need."""
    session = await connect(database.service_url(service), service)
    try:
        catalogue = SQL if query in SQL else load(f"services.{service}")
        statement = getattr(catalogue, query)
        plan = [
            line for (line,) in await session.fetch(f"EXPLAIN (GENERIC_PLAN, COSTS OFF) {statement}", None)
        ]
        scans = [line for line in plan if "Seq Scan on " in line]
        assert not [line for line in scans if not line.rstrip().endswith(("retention", "dead_letters"))], plan
    finally:
        await session.close()


async def run(*words: str) -> Any:
    """The command in a thread, because it has an event loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, cli.app, ["evidence", *words])
