"""`pawl demo` from an empty directory, with a small history: it starts, replays, shows, and stops."""

import shlex
import stat
import sys
from asyncio.subprocess import create_subprocess_exec
from pathlib import Path

import pytest

from devtools.pictures import draw
from ops.local.running import running_system
from ops.replay import demo
from ops.replay.handing import ORDER
from ops.replay.planting import read_mend, read_waits
from ops.replay.recording import Recording
from ops.replay.troubles import MENDED, ORDERS
from ops.shell.run_directory import RunDirectory
from ops.watch.order import read_order
from tests.support.history import STORY, history


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
    state = RunDirectory(directory).read_state()
    assert state is None or state.up.find() is None, "a process was left behind"

    async with running_system(directory) as again:
        assert await read_order(again.system, "R9001") is not None
        waits = await read_waits(again.system)
        for command in result.mend:
            assert f"{command} --dir {directory}" in shown
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


async def _pawl(command: str) -> None:
    process = await create_subprocess_exec(sys.executable, "-m", "ops.cli", *shlex.split(command))
    assert await process.wait() == 0, command
