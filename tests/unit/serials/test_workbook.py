"""A readable file lies where nobody else looks, and goes with whoever made it."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from python_calamine import CalamineWorkbook

from services.serials.codes import RANDOM_BYTES, make_serials
from services.serials.notices import MARK, Items
from services.serials.sheets import grouped_texts
from services.serials.workbook import PREFIX, Workbook, private_folder
from tests.support.guides import ROOT

HEADER = Items("Serial", "Product", "Usage period", "Registration period", "Registration page")
ITEMS = Items(MARK, "a product", "30 days", "until 2027-01-20", f"https://x.kr/{MARK}")
HOLDS_ONE = """
from services.serials.workbook import private_folder
with private_folder() as folder:
    (folder / "serials.xlsx").write_text("readable")
    print(folder, flush=True)
    input()
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go in this test."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_blocks_become_rows_one_behind_the_other(temporary: Path) -> None:
    blocks = [make_serials(os.urandom(count * RANDOM_BYTES)) for count in (3, 1, 2)]
    with private_folder() as folder:
        workbook = Workbook(folder, HEADER, ITEMS, "7KP2-M0ZV-3XW1")
        for block in blocks:
            workbook.add(block)
        workbook.close()
        rows = CalamineWorkbook.from_path(workbook.path).get_sheet_by_index(0).to_python()

    serials = grouped_texts(np.vstack(blocks))
    assert rows == [list(HEADER), *([each, *ITEMS[1:4], f"https://x.kr/{each}"] for each in serials)]


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("<r>x</r>", "<r>x</r>"),
        ("<&>\"'", "<&>\"'"),
        (" x ", " x "),
        ("a\uffffb", "a\ufffdb"),
        ("가\n나", "가\n나"),
    ],
)
def test_a_name_that_xml_might_stumble_over_is_read_back(temporary: Path, name: str, read: str) -> None:
    with private_folder() as folder:
        workbook = Workbook(folder, HEADER, ITEMS._replace(product_name=name), "7KP2-M0ZV-3XW1")
        workbook.add(make_serials(os.urandom(RANDOM_BYTES)))
        workbook.close()
        rows = CalamineWorkbook.from_path(workbook.path).get_sheet_by_index(0).to_python()

    assert rows[1][1] == read


def test_nobody_else_may_look_into_the_folder_and_it_goes_with_its_block(temporary: Path) -> None:
    with private_folder() as folder:
        mode = stat.S_IMODE(folder.stat().st_mode)
        (folder / "serials.xlsx").touch()

    assert mode == 0o700
    assert list(temporary.iterdir()) == []


def test_it_goes_when_the_block_fails_too(temporary: Path) -> None:
    with pytest.raises(RuntimeError), private_folder():
        raise RuntimeError("the disk is full")

    assert list(temporary.iterdir()) == []


def test_what_a_killed_process_left_is_taken_away_by_the_next_and_what_lives_is_not(temporary: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS_ONE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    theirs = Path(process.stdout.readline().strip())

    with private_folder() as ours:
        while_it_lives = set(temporary.glob(f"{PREFIX}*"))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    after_its_death = theirs.exists()
    with private_folder():
        pass

    assert while_it_lives == {ours, theirs}
    assert after_its_death
    assert list(temporary.iterdir()) == []
