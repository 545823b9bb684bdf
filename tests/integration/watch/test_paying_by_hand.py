"""`pawl refund payouts` and `paid`: a sheet leaves, the bank does its work, and refunds end as it says."""

import csv
import io
import stat
from pathlib import Path

from ops.shell.problem import Exit
from ops.watch.decide.payouts import event_of
from ops.watch.decide.transfers import read_result
from tests.support.tabletop import buy, refund_id_of
from tests.support.taking import rows_of_csv
from tests.support.terminal import Terminal

ACCOUNT = "110123456789"
WHY = ["--reason", "the transfers of today"]


async def asked(terminal: Terminal, order_id: str) -> str:
    """A refund whose payout checkout was asked for; its id."""
    await buy(terminal.table, order_id)
    terminal.table.say("refund.requested.v1", order_id)
    await terminal.table.drain()
    return await refund_id_of(terminal.table, order_id)


def with_results(sheet: bytes, results: dict[str, str]) -> bytes:
    """The sheet as the bank gives it back, with a result for each order."""
    header, *rows = rows_of_csv(sheet)
    order, result = header.index("주문번호"), header.index("처리결과")
    for row in rows:
        row[result] = results[row[order]]
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *rows])
    return text.getvalue().encode("cp949")


def look_at(file: Path) -> tuple[bytes, int]:
    """What is in a file, and who may read it."""
    return file.read_bytes(), stat.S_IMODE(file.stat().st_mode)


async def states(terminal: Terminal) -> dict[str, str]:
    rows = await terminal.table.pools["refunds"].fetch("SELECT order_id, state FROM refunds")
    return {row["order_id"]: row["state"] for row in rows}


async def test_payouts_leave_in_a_sheet_and_end_as_its_result_says(
    terminal: Terminal, tmp_path: Path
) -> None:
    for order_id in ("A-1", "A-2"):
        await asked(terminal, order_id)
    file = tmp_path / "payouts.csv"

    shown = await terminal.run("refund", "payouts")
    taken = await terminal.run("refund", "payouts", "-o", str(file), *WHY)
    nothing = await terminal.run("refund", "payouts", "-o", str(file), *WHY)

    sheet, mode = look_at(file)
    assert (shown.code, taken.code, nothing.code) == (Exit.OK, Exit.OK, Exit.NOTHING_MATCHED)
    assert mode == 0o600
    assert ACCOUNT in sheet.decode("utf-8-sig")
    assert ACCOUNT not in shown.text + taken.text + nothing.text

    for transfer in read_result(with_results(sheet, {"A-1": "정상", "A-2": "오류"})):
        _, type_name, data = event_of(transfer)
        terminal.table.say(type_name, data.pop("order_id"), **data)
    await terminal.table.drain()

    assert await states(terminal) == {"A-1": "completed", "A-2": "failed"}


async def test_who_took_a_payout_stands_in_the_audit_log_and_in_the_story_of_its_order(
    terminal: Terminal, tmp_path: Path
) -> None:
    refund_id = await asked(terminal, "A-1")
    await terminal.run("refund", "payouts", "-o", str(tmp_path / "payouts.xlsx"), *WHY)

    audit = await terminal.run("audit", "--target", f"A-1 {refund_id}")
    story = await terminal.run("order", "A-1")

    assert "payout.take" in audit.text
    assert "the transfers of today" in audit.text
    assert "payout take" in story.text
