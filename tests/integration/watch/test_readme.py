"""README's example in Python becomes an order, about which the ten questions of the guide are answered."""

import asyncio
import json
import re
import shlex
import sys
from asyncio.subprocess import PIPE, STDOUT, create_subprocess_exec
from pathlib import Path

from ops.local.running import RunningSystem
from ops.shell.problem import Exit
from ops.shell.system import System
from ops.watch.order import read_order
from tests.contracts.test_readme import blocks
from tests.support.guides import ROOT, section, table
from tests.support.patience import PATIENCE


async def test_the_example_of_readme_publishes_an_order_that_is_paid(
    tmp_path: Path, running: RunningSystem
) -> None:
    [example] = blocks("python")
    script = tmp_path / "checkout.py"
    script.write_text(example.replace("127.0.0.1:9092", running.system.kafka), encoding="utf-8")

    process = await create_subprocess_exec(sys.executable, script, cwd=tmp_path)

    assert await process.wait() == 0
    async with asyncio.timeout(PATIENCE):
        while (story := await read_order(running.system, "A-1001")) is None or story.state != "paid":
            await asyncio.sleep(0.05)


QUESTIONS = [row[1] for row in table(section(ROOT / "docs" / "operating.md", "Ten questions of a day"))]


async def pawl(command: str, system: System) -> tuple[int, str]:
    """The exit code of a command and all that it said."""
    arguments = [*shlex.split(command)[1:], "--dir", str(system.directory)]
    process = await create_subprocess_exec(
        sys.executable, "-m", "ops.pawl", *arguments, cwd=ROOT, stdout=PIPE, stderr=STDOUT
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def document_of(partner: str, system: System) -> str:
    """The first document of a partner, once there is one."""
    async with asyncio.timeout(PATIENCE):
        while True:
            _, said = await pawl(f"pawl partner {partner} --json", system)
            for each in json.loads(said)["documents"]:
                return str(each["document_key"] or each["invoice_id"])


async def test_each_question_of_a_day_is_answered_by_its_command(running: RunningSystem) -> None:
    """After the order above: what does not name it ends with a code that is an answer."""
    assert len(QUESTIONS) == 10
    document = await document_of("P-17", running.system)
    for told in QUESTIONS:
        for command in re.findall(r"`(pawl [^`]+)`", told):
            code, said = await pawl(command.replace("KEY", document), running.system)
            assert code in (Exit.OK, Exit.NOTHING_MATCHED, Exit.SOMETHING_WAITS), f"{command}: {said}"
            assert "Traceback" not in said
            about = {"order": "A-1001", "find": "P-17", "month": "2026-10"}
            about |= {"partner": "A-1001", "document": document}
            assert about.get(command.split()[1], "") in said, f"{command}: {said}"
