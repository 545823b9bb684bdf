"""`pawl serials`: looked at, taken out with a reason, told to customers, traced back to whoever took them."""

import csv
import io
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import openpyxl
import pytest

from ops.shell.problem import Exit
from shared.clock import now
from shared.kst import wire_time
from tests.support.tabletop import buy
from tests.support.taking import rows_of_csv
from tests.support.terminal import Terminal

WHY = ["--reason", "the partner asked"]


async def issued(terminal: Terminal, order_id: str = "A-1", **data: Any) -> str:
    """An order of 100 units that are issued at once; the id of its grant."""
    at = wire_time(now() - timedelta(minutes=1))
    await buy(terminal.table, order_id, issue_policy="automatic", paid_at=at, at=at, **data)
    row = await terminal.table.pools["serials"].fetchrow(
        "SELECT grant_id FROM grants WHERE order_id = $1", order_id
    )
    return str(row["grant_id"])


def look_at(file: Path) -> tuple[bytes, int]:
    """What is in a file, and who may read it."""
    return file.read_bytes(), stat.S_IMODE(file.stat().st_mode)


def put(file: Path, content: bytes) -> None:
    file.write_bytes(content)


def names_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


async def test_an_order_shows_its_issuance_and_the_issuance_itself_the_same(terminal: Terminal) -> None:
    grant_id = await issued(terminal)

    of_order = await terminal.run("serials", "status", "A-1")
    of_grant = await terminal.run("serials", "status", grant_id)
    document = await terminal.run_json("serials", "status", "A-1")
    nothing = await terminal.run("serials", "status", "A-99")

    assert of_order == of_grant
    assert "issued: 100 of 100 (100 %)" in of_order.text
    assert "100 active" in of_order.text
    assert [each["grant_id"] for each in document["issuances"]] == [grant_id]
    assert (nothing.code, "pawl find A-99" in nothing.text) == (Exit.NOTHING_MATCHED, True)


@pytest.mark.parametrize("form", ["csv", "xlsx"])
async def test_an_export_is_whole_its_owners_alone_and_found_by_its_watermark(
    terminal: Terminal, tmp_path: Path, form: str
) -> None:
    grant_id, file = await issued(terminal), tmp_path / f"serials.{form}"

    taken = await terminal.run_json("serials", "export", grant_id, "-o", str(file), "--to", "40", *WHY)
    custody = await terminal.run_json("serials", "custody", grant_id)
    leaked = await terminal.run("serials", "leak", taken["watermark"])

    content, mode = look_at(file)
    rows = rows_of_csv(content)[1:] if form == "csv" else list(openpyxl.load_workbook(file).active.values)
    assert (taken["serials"], taken["bytes"], len(rows)) == (40, len(content), 41)
    assert (rows[0][0], mode) == ("일련번호", 0o600)
    assert names_in(tmp_path) == [file.name]
    (row,) = custody["custody"]
    assert (row["actor"], row["reason"], row["form"]) == ("kim", "the partner asked", form)
    assert (row["first_unit"], row["last_unit"], row["watermark"]) == (1, 40, taken["watermark"])
    assert f"kim took 40 active serials of units 1 to 40 as {form}" in leaked.text
    assert "order A-1, partner P-17" in leaked.text
    story = await terminal.run("order", "A-1")
    assert f"serials taken as {form} by kim: the partner asked" in story.text


async def test_in_a_directory_an_export_is_named_after_its_watermark(
    terminal: Terminal, tmp_path: Path
) -> None:
    grant_id = await issued(terminal)

    taken = await terminal.run_json("serials", "export", grant_id, "-o", str(tmp_path), "--lang", "en", *WHY)

    assert names_in(tmp_path) == [f"serials-{grant_id}-{taken['watermark']}.csv"]
    content, mode = look_at(Path(taken["file"]))
    assert (rows_of_csv(content)[1][0], mode) == ("Serial", 0o600)


async def test_a_refusal_is_in_the_language_of_the_terminal_with_what_to_do(
    terminal: Terminal, tmp_path: Path
) -> None:
    grant_id, file = await issued(terminal), tmp_path / "messages.csv"

    refused = await terminal.run(
        "serials", "notice", grant_id, "--merge", str(file), "--lang", "ko", "--product", "😀", *WHY
    )

    assert "nothing was handed out" in refused.text
    assert "--product NAME" in refused.text
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-o", "serials.csv"], "leave with a reason"),
        (["-o", "serials.pdf", *WHY], "neither a .csv nor an .xlsx"),
        (["-o", "serials.csv", "--state", "lost", *WHY], "No serial is 'lost'"),
        (["-o", "serials.csv", "--lang", "fr", *WHY], "told nothing in 'fr'"),
        (["-o", "serials.csv", "--to", "101", *WHY], "1 to 100"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
async def test_an_export_that_cannot_be_leaves_no_file(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    grant_id = await issued(terminal)

    refused = await terminal.run("serials", "export", grant_id, *words)

    assert (refused.code, says in refused.text) == (Exit.USAGE, True), refused.text
    assert names_in(tmp_path) == []


async def test_a_file_that_breaks_off_never_gets_its_name(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was there under that name stays."""
    monkeypatch.setattr("services.serials.handing_out.BLOCK", 10)
    grant_id, file = await issued(terminal), tmp_path / "serials.csv"
    put(file, b"an earlier one")
    owner = await asyncpg.connect(terminal.database.admin_url)
    await owner.execute(
        "UPDATE serials.serials SET text = $1"
        " WHERE serial_id = (SELECT serial_id FROM serials.serials ORDER BY 1 DESC LIMIT 1)",
        b"x" * 16,
    )
    await owner.close()

    kept = await terminal.run("serials", "export", grant_id, "-o", str(file), *WHY)
    broken = await terminal.run("serials", "export", grant_id, "-o", str(file), "--replace", *WHY)

    assert (kept.code, "--replace" in kept.text) == (Exit.USAGE, True)
    assert (broken.code, "broke off before its end" in broken.text) == (Exit.FAILED, True), broken.text
    assert look_at(file)[0] == b"an earlier one"
    assert names_in(tmp_path) == [file.name]


async def test_nobody_who_may_not_write_there_leaves_half_of_it(terminal: Terminal, tmp_path: Path) -> None:
    grant_id = await issued(terminal)

    nowhere = await terminal.run("serials", "export", grant_id, "-o", str(tmp_path / "no" / "x.csv"), *WHY)

    assert (nowhere.code, "-o FILE" in nowhere.text) == (Exit.FAILED, True), nowhere.text


async def test_the_notice_counts_its_bytes_and_says_what_cannot_be_sent(
    terminal: Terminal, tmp_path: Path
) -> None:
    grant_id = await issued(terminal)
    file = tmp_path / "notice.txt"

    shown = await terminal.run("serials", "notice", grant_id, "--sender", "한빛", "--opt-out", "080-123-4567")
    document = await terminal.run_json("serials", "notice", grant_id, "--lang", "en", "--sender", "café")
    await terminal.run("serials", "notice", grant_id, "-o", str(file))

    assert "(광고)[한빛]" in shown.text
    assert "무료수신거부 080-123-4567" in shown.text
    assert "of 2,000 bytes" in shown.text
    sms = document["texts"][0]
    assert (sms["bytes"], sms["fits"]) == (None, False)
    assert [each["character"] for each in sms["cannot_be_sent"]] == ["é"]
    written = look_at(file)[0].decode()
    assert "== LMS: " in written
    assert "{serial}" in written


async def test_the_merge_file_has_a_message_for_each_serial(terminal: Terminal, tmp_path: Path) -> None:
    grant_id, file = await issued(terminal), tmp_path / "messages.csv"

    without = await terminal.run("serials", "notice", grant_id, "--merge", str(file))
    taken = await terminal.run_json("serials", "notice", grant_id, "--merge", str(file), "--to", "7", *WHY)
    called = ["--product", "이용권", "--replace", *WHY]
    unsendable = await terminal.run(
        "serials", "notice", grant_id, "--merge", str(file), "--sender", "😀", *called
    )
    renamed = tmp_path / "renamed.csv"
    again = await terminal.run_json("serials", "notice", grant_id, "--merge", str(renamed), *called)
    custody = await terminal.run_json("serials", "custody", grant_id)

    mark, header, *rows = rows_of_csv(look_at(file)[0])
    assert without.code == Exit.USAGE
    assert mark[0] == f"# watermark {taken['watermark']}"
    assert header == ["받는 번호", "종류", "메시지"]
    assert len(rows) == taken["serials"] == 7
    assert {(row[0], row[1]) for row in rows} == {("", "LMS")}
    assert len({row[2] for row in rows}) == 7
    assert all("일련번호: " in row[2] for row in rows)
    assert (unsendable.code, "GRINNING FACE" in unsendable.text) == (Exit.USAGE, True)
    assert again["serials"] == 100
    assert all("이용권\n" in row[2] for row in rows_of_csv(look_at(renamed)[0])[2:])
    assert [row["form"] for row in custody["custody"]] == ["merge", "merge"]


async def test_a_campaign_sums_up_what_became_of_the_serials(terminal: Terminal) -> None:
    await issued(terminal, "A-1")
    await issued(terminal, "A-2")
    pool = terminal.table.pools["serials"]
    await pool.execute(
        "UPDATE serials SET state = 'registered', account = 'x', registered_at = now(), usage_ends_at = now()"
        " WHERE serial_id IN (SELECT serial_id FROM serials ORDER BY 1 LIMIT 30)"
    )

    of_partner = await terminal.run_json("serials", "campaign", "P-17")
    of_order = await terminal.run("serials", "campaign", "A-1")
    table = await terminal.run("serials", "campaign", "P-17", "--csv")
    nothing = await terminal.run("serials", "campaign", "P-99")

    assert of_partner["total"] == {
        "issued": 200, "registered": 30, "registered_percent": 15, "active": 170, "expiring_in_30_days": 0,
        "expiring_in_7_days": 0, "expiring_in_1_days": 0, "dead_stock": 0, "revoked": 0,
    }  # fmt: skip
    assert "30 registered (30 %)" in of_order.text
    header, *rows = csv.reader(io.StringIO(table.text.removeprefix("\ufeff")))
    assert table.text.startswith("\ufeffgrant_id,")
    assert [dict(zip(header, row, strict=True))["issued"] for row in rows] == ["100", "100"]
    assert nothing.code == Exit.NOTHING_MATCHED


async def test_a_name_that_a_partner_and_an_order_have_has_to_be_told_apart(terminal: Terminal) -> None:
    await issued(terminal, "P-17")

    unclear = await terminal.run("serials", "campaign", "P-17")
    clear = await terminal.run_json("serials", "campaign", "P-17", "--of", "order")

    assert (unclear.code, "--of partner" in unclear.text) == (Exit.USAGE, True)
    assert clear["total"]["issued"] == 100


async def test_nobody_took_anything_is_an_answer_too(terminal: Terminal) -> None:
    grant_id = await issued(terminal)

    assert (await terminal.run("serials", "custody", grant_id)).code == Exit.NOTHING_MATCHED
    assert (await terminal.run("serials", "leak", "0000-0000-0000")).code == Exit.NOTHING_MATCHED
    assert (await terminal.run("serials", "custody", "A-1")).code == Exit.USAGE
