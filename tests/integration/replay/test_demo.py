"""`pawl demo` from an empty directory, with a small history: it starts, replays, shows, and stops."""

import html
import shlex
import stat
import sys
from asyncio.subprocess import create_subprocess_exec
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from devtools.pictures import draw
from ops.local.running import Wanted, run_system
from ops.replay import demo
from ops.replay.handing import ORDER
from ops.replay.planting import LETTER, MONTH, REFUND, read_mend, read_waits
from ops.replay.recording import Recording
from ops.replay.troubles import MENDED, ORDERS
from ops.shell.run_directory import RunDirectory
from ops.watch.order import read_order
from tests.support.history import STORY, history
from tests.support.patience import PATIENCE


async def test_a_demo_shows_what_became_of_the_history_and_its_first_trouble_can_be_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "EXAMPLE", history(tmp_path, *STORY))
    directory, record = tmp_path / "run", tmp_path / "demo.json"

    result = await demo.play(directory, record)

    assert result.summary.document["check"]["ok"]
    assert result.disturbances.repeats > 0
    assert list(result.waits) == list(ORDERS)
    recorded = Recording.read(record)
    assert recorded.result == result
    assert recorded.story.order_id == result.interesting == "R9001"
    assert "R9001" in draw(recorded)["order.svg"]
    shown = capsys.readouterr().out
    assert "every rule holds" in shown
    assert result.handed is not None
    assert result.handed.serials == 10
    assert f"ends in {result.handed.last_four}" in shown
    assert_is_private(Path(result.handed.file), result.handed.watermark)
    assert list(result.places) == [REFUND, LETTER, MONTH]
    for path in result.places.values():
        assert f" {result.console}{path}\n" in shown
    state = RunDirectory(directory).read_state()
    assert state is None or state.up.find() is None, "a process was left behind"

    async with run_system(Wanted(directory, console=True)) as again:
        assert again.system.console == result.console, "the link of the demo leads nowhere"
        await assert_leads_to(result.console, result.places)
        assert await read_order(again.system, "R9001") is not None
        waits = await read_waits(again.system)
        assert f"{result.mend[-1]} --dir {directory}" in shown
        for command in result.mend:
            await _pawl(f"{command} --dir {shlex.quote(str(directory))}")
        assert await read_mend(again.system) == []
        order = await read_order(again.system, ORDER)
        assert order is not None
        assert [(grant.issued, grant.registered) for grant in order.grants] == [(10, 1)]
        assert (await read_waits(again.system))[MENDED] != waits[MENDED]


def assert_is_private(file: Path, watermark: str) -> None:
    """It holds what the watermark says, for nobody else."""
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert watermark in file.read_text()


async def assert_leads_to(console: str, places: Mapping[str, str]) -> None:
    """An operator finds what is to be mended on each page, and among what needs somebody."""
    async with httpx.AsyncClient(base_url=console, headers={"origin": console}, timeout=PATIENCE) as browser:
        await browser.post("/sign-in", data={"role": "operator", "to": "/needs"})
        assert {path: (await browser.get(path)).status_code for path in places.values()} == dict.fromkeys(
            places.values(), 200
        )
        needs = await browser.get("/needs")
        for path in places.values():
            assert f'href="{html.escape(path)}"' in needs.text


async def _pawl(command: str) -> None:
    process = await create_subprocess_exec(sys.executable, "-m", "ops.cli", *shlex.split(command))
    assert await process.wait() == 0, command
