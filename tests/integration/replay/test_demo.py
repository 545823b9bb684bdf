"""`pawl demo` from an empty directory, with a small history: it starts, replays, shows, and stops."""

from pathlib import Path

import pytest

from devtools.pictures import draw
from ops.local.running import running_system
from ops.replay import demo
from ops.replay.recording import Recording
from ops.shell.run_directory import DEFAULT, RunDirectory
from ops.watch.order import read_order
from tests.support.history import STORY, history


async def test_a_demo_shows_what_became_of_the_history_and_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "EXAMPLE", history(tmp_path, *STORY))
    monkeypatch.setenv("COLUMNS", "500")  # nothing is wrapped
    directory, record = tmp_path / "run", tmp_path / "demo.json"

    replayed = await demo.play(directory, record)

    assert replayed.summary.document["check"]["ok"]
    assert replayed.interesting == "R9001"
    recorded = Recording.read(record)
    assert recorded.summary == replayed.summary
    assert recorded.story.order_id == "R9001"
    assert "R9001" in draw(recorded)["order.svg"]
    shown, _, then = capsys.readouterr().out.partition("Everything is kept. Try next:")
    assert "One order across the four services" in shown
    assert f"pawl order R9001 --dir {directory}" in then
    state = RunDirectory(directory).read_state()
    assert state is None or state.up.find() is None, "a process was left behind"
    async with running_system(directory) as again:
        story = await read_order(again.system, "R9001")
    assert story is not None


def test_what_comes_next_fits_into_80_columns() -> None:
    assert [line for line in demo._next(DEFAULT, "542106").splitlines() if len(line) > 80] == []
