"""What a word names, and what is shown of it: read from a real database."""

import asyncio
from typing import Any

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from ops import cli
from ops.setup.provision import Database
from ops.shell.problem import Exit, Problem
from ops.watch.find import LOOKS, find_everywhere
from ops.watch.show.document import read_document
from ops.watch.show.partner import read_partner
from ops.watch.show.refund import read_refunds
from shared.operators.finding import read_word
from shared.operators.reading import EVERY_SERVICE
from shared.postgres import connect
from shared.queries import load
from tests.support.tabletop import Tabletop, buy, refund_id_of

CHANGED = "2026-11-20T09:00:00+09:00"


async def found(database: Database, text: str, order_id: str | None = None) -> list[tuple[str, str, str]]:
    finds = await find_everywhere(database.ops_url, read_word(text, order_id))
    assert finds.unreadable == {}
    return [(each.kind, each.name, each.command) for each in finds.found]


async def one(table: Tabletop, service: str, sql: str) -> Any:
    return await table.pools[service].fetchval(sql)


async def test_everything_is_found_by_each_of_its_names(history: Tabletop, database: Database) -> None:
    """See `history`: six orders of P-17, two refunds, serials, documents."""
    refund_id = await refund_id_of(history, "A-1")
    payout = await one(
        history, "refunds", f"SELECT payout_id FROM refund_payouts WHERE refund_id = '{refund_id}'"
    )
    grant = str(await one(history, "serials", "SELECT grant_id FROM grants WHERE order_id = 'A-1'"))
    sql = f"SELECT serial_id FROM serials WHERE grant_id = '{grant}' ORDER BY 1 LIMIT 1"
    serial = str(await one(history, "serials", sql))
    last_four = await one(history, "serials", f"SELECT last_four FROM serials WHERE serial_id = '{serial}'")
    key = await one(history, "invoices", "SELECT min(document_key) FROM documents WHERE kind = 'payment'")
    document_id = str(
        await one(history, "invoices", f"SELECT invoice_id FROM documents WHERE document_key = '{key}'")
    )
    order, partner = "pawl order A-1", ("partner", "P-17", "pawl partner P-17")
    refund = ("refund", refund_id, f"pawl refund show {refund_id}")

    assert await found(database, "A-1") == [("order", "A-1", order)]
    assert await found(database, " pay-A-1 ") == [("payment", "pay-A-1", order)]
    assert await found(database, "pay-again") == [("payment", "pay-again", "pawl order A-5")]
    assert await found(database, refund_id.upper()) == [refund]
    assert refund in await found(database, "rr-77")
    assert len(await found(database, "rr-77")) == 2
    assert refund in await found(database, payout)
    assert ("request", "iss-1 of A-1", order) in await found(database, "iss-1")
    assert await found(database, grant) == [("grant", grant, order)]
    assert await found(database, serial) == [("serial", serial, order)]
    assert ("serial", serial, order) in await found(database, last_four.lower(), "A-1")
    assert await found(database, last_four) == []
    assert await found(database, key) == [("document", key, f"pawl document {key}")]
    assert await found(database, document_id) == [("document", key, f"pawl document {key}")]
    for name in ("P-17", "1168200276", "116-82-00276", "가나다", "가나다 주식회사", "TAX@ganada.example"):
        assert await found(database, name) == [partner], name
    for nobody in ("", "주식회사", "nobody", "116-82-00277", "no\0body", "%", "_"):
        assert await found(database, nobody) == [], nobody


async def test_a_partner_is_found_by_what_its_last_change_says(table: Tabletop, database: Database) -> None:
    for number, name in (("P-17", "Alpha"), ("P-18", "alphabet"), ("P-19", "Beta")):
        changed = {"name": name, "invoice_email": f"{name}@x.example", "partner_id": number}
        table.say("partner.changed.v1", number, at=CHANGED, changed_at=CHANGED, **changed)
    table.say("merge.requested.v1", "P-17", partner_id="P-17", request_id="merge-7")
    table.say("partner.withdrawal_requested.v1", "P-18", partner_id="P-18", request_id="leave-7")
    await table.drain()

    assert [name for _, name, _ in await found(database, "ALPHA")] == ["P-17", "P-18"]
    assert [name for _, name, _ in await found(database, "beta@X.example")] == ["P-19"]
    assert await found(database, "merge-7") == [("request", "merge-7 of P-17", "pawl partner P-17")]
    assert await found(database, "leave-7") == [("request", "leave-7 of P-18", "pawl partner P-18")]


async def test_a_payment_that_every_service_refused_is_found_by_its_order(
    table: Tabletop, database: Database
) -> None:
    table.say("payment.completed.v1", "B-1", payment_id="pay-B-1", amount=-5)
    await table.drain()

    letters = await found(database, "B-1")

    assert {kind for kind, _, _ in letters} == {"dead_letter"}
    assert {name.partition(":")[0] for _, name, _ in letters} >= {"orders"}
    assert all(command == f"pawl dead show {name}" for _, name, command in letters)


async def test_partners_that_share_a_name_are_all_found_one_after_the_other(
    table: Tabletop, database: Database
) -> None:
    for number in (1, 2, 3):
        partner = {
            "partner_id": f"P-{number}",
            "business_number": "1168200276",
            "name": "가나다",
            "invoice_email": "a@b",
        }
        for order in ("x", "y"):
            await buy(table, f"A-{number}{order}", partner=partner)

    for word in ("가나", "a@b", "1168200276"):
        assert [name for kind, name, _ in await found(database, word) if kind == "partner"] == [
            "P-1",
            "P-2",
            "P-3",
        ]


async def test_a_partner_a_refund_and_a_document_are_shown_whole(
    history: Tabletop, database: Database
) -> None:
    refund_id = await refund_id_of(history, "A-1")

    partner = await read_partner(database.ops_url, "P-17")
    (refund,) = await read_refunds(database.ops_url, refund_id)
    key = await one(history, "invoices", "SELECT document_key FROM documents WHERE kind = 'modified' LIMIT 1")
    modified = await read_document(database.ops_url, key)

    assert partner is not None
    assert partner["name"] == "가나다 주식회사"
    assert {row["state"]: row["count"] for row in partner["money"]} == {
        "paid": 4,
        "cancelled": 1,
        "pending_deposit": 1,
    }
    assert {row["order_id"] for row in partner["orders"]} == {f"A-{number}" for number in range(1, 7)}
    assert {(row["order_id"], row["reason"], row["amount"]) for row in partner["cases"]} == {
        ("A-2", "cancelled_after_issue", -176_000),
        ("A-5", "second_payment", 176_000),
    }
    assert {row["state"] for row in partner["documents"]} == {"issued"}
    assert (refund["state"], refund["amount"], refund["legal_on"]) == ("completed", 70_400, "2026-10-27")
    assert [step["state"] for step in refund["steps"]] == [
        "requested",
        "accepted",
        "granted",
        "paying_out",
        "completed",
    ]
    assert refund["lines"] == [{"line_id": "1", "quantity": 40}]
    assert "110123456789" not in str(refund)
    assert modified is not None
    assert modified["total"] == sum(row["supply"] + row["vat"] for row in modified["on_it"]) < 0
    (original,) = [row for row in modified["related"] if row["kind"] == "payment"]
    shown = await read_document(database.ops_url, original["document_key"])
    assert shown is not None
    assert shown["total"] == sum(row["supply"] + row["vat"] for row in shown["on_it"])
    assert key in {row["document_key"] for row in shown["related"]}


async def test_what_took_a_document_back_has_the_won_of_it_with_the_other_sign(
    table: Tabletop, database: Database
) -> None:
    await buy(table, "A-1")
    await table.close("2026-10", "2026-11-05T18:00:00+09:00")
    key = await one(table, "invoices", "SELECT document_key FROM documents")
    await table.correct("2026-10", key, number="1348672683")

    keys = [
        row["document_key"]
        for row in await table.pools["invoices"].fetch("SELECT document_key FROM documents")
    ]
    documents = [await read_document(database.ops_url, each) for each in keys]

    assert sorted(d["total"] for d in documents if d) == [-176_000, 176_000, 176_000]
    for document in filter(None, documents):
        assert sum(row["supply"] + row["vat"] for row in document["on_it"]) == document["total"]
        assert document["on_it"][0]["order_id"] == "A-1"


async def test_nobody_is_none(table: Tabletop, database: Database) -> None:
    assert await read_partner(database.ops_url, "nobody") is None
    assert await read_partner(database.ops_url, "no\0body") is None
    assert await read_refunds(database.ops_url, "nobody") == []
    assert await read_document(database.ops_url, "nobody") is None


async def test_what_is_printed_fits_eighty_columns_and_every_command_of_it_works(
    history: Tabletop, database: Database
) -> None:
    """The commands run here as they are printed, in a system that is only a database."""
    words = [["P-17"], ["rr-77"], ["A-1"], ["iss-1"], ["116-82-00276"]]
    printed: set[str] = set()
    for word in words:
        result = await run(database, "find", *word)
        assert result.exit_code == Exit.OK
        printed |= {line.strip() for line in result.stdout.splitlines() if line.strip().startswith("pawl ")}
    assert {line.split()[1] for line in printed} == {"order", "partner", "refund"}
    refund_id = await refund_id_of(history, "A-1")
    printed |= {"pawl refund rr-77", f"pawl refund {refund_id}"}
    for line in sorted(printed):
        result = await run(database, *line.split()[1:])
        assert result.exit_code == Exit.OK, line
        if not line.startswith("pawl order"):
            assert max(cell_len(each) for each in result.stdout.splitlines()) <= 80, result.stdout
            printed |= {each for each in result.stdout.splitlines() if each.strip().startswith("pawl ")}


async def run(database: Database, *words: str) -> Any:
    """The command in a thread, because it has an event loop of its own."""
    options = [*words, "--postgres", database.ops_url]
    return await asyncio.to_thread(CliRunner().invoke, cli.app, options, env={"COLUMNS": "80"})


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["find", "nobody"], Exit.NOTHING_MATCHED),
        (["find", " "], Exit.USAGE),
        (["find", "ABC", "--order", "A-1"], Exit.USAGE),
        (["partner", "nobody"], Exit.NOTHING_MATCHED),
        (["refund", "nobody"], Exit.NOTHING_MATCHED),
        (["refund", "show", "nobody"], Exit.NOTHING_MATCHED),
        (["document", "nobody"], Exit.NOTHING_MATCHED),
    ],
)
async def test_a_command_that_finds_nothing_says_what_to_try(
    table: Tabletop, database: Database, words: list[str], code: Exit
) -> None:
    problem = (await run(database, *words)).exception
    assert isinstance(problem, Problem)
    assert problem.exit_code is code
    assert problem.hint


@pytest.mark.parametrize("service", LOOKS)
def test_every_look_has_its_statement_and_every_statement_its_look(service: str) -> None:
    own = {name for name in load(f"services.{service}") if name.startswith("find_")} - {"find_document"}
    of_each = {name for name in EVERY_SERVICE if name.startswith("find_")}
    assert {look.query for look in LOOKS[service]} == own | of_each


@pytest.mark.parametrize(
    ("service", "query"), [(service, look.query) for service, looks in LOOKS.items() for look in looks]
)
async def test_no_look_reads_a_whole_table(service: str, query: str, database: Database) -> None:
    """A session of a service reads a whole table only where no index helps."""
    session = await connect(database.service_url(service), service)
    try:
        statement = getattr(EVERY_SERVICE if query in EVERY_SERVICE else load(f"services.{service}"), query)
        parameters = len((await session.prepare(statement)).get_parameters())
        asked = f"EXPLAIN (GENERIC_PLAN, COSTS OFF) {statement}"
        plan = [line for (line,) in await session.fetch(asked, *[None] * parameters)]
        assert not [line for line in plan if "Seq Scan" in line], plan
    finally:
        await session.close()
