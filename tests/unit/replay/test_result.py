"""The demonstration ends with one screen, which says what stands, what waits, and what to type next."""

import asyncio
import io
import signal
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from rich.console import Console

from devtools.pictures import RECORD
from ops.replay.demo import Killer, until_interrupted
from ops.replay.driver import Progress
from ops.replay.planting import LETTER, MONTH, REFUND
from ops.replay.recording import Recording
from ops.replay.result import Disturbances, Handed, Result, print_result
from ops.replay.run import Show
from tests.support.patience import PATIENCE

COLUMNS, LINES = 80, 24
RESULT = Recording.read(RECORD).result
HANDED = Handed(".pawl/serials-of-TODAY.csv", 10, "W", "AB9T", "student-1", "2026-12-30T23:59:59+09:00")
CONSOLE = "http://127.0.0.1:15012"
PLACES = {
    REFUND: f"/refund?id={UUID(int=1)}",
    LETTER: "/refused/refunds:1",
    MONTH: "/month?month=2012-01",
}


def screen(result: Result, running: bool = True, options: str = "") -> list[str]:
    console = Console(file=io.StringIO(), width=COLUMNS)
    print_result(console, result, ".venv/bin/pawl", options, running)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def with_check(check: dict[str, Any]) -> Result:
    summary = replace(RESULT.summary, document=RESULT.summary.document | {"check": check})
    return replace(RESULT, summary=summary)


def test_it_fits_a_terminal_with_the_bar_above_and_a_line_below() -> None:
    for running in (True, False):
        shown = screen(RESULT, running)
        assert len(shown) <= LINES - 2
        assert max(map(len, shown)) <= COLUMNS
        assert not [line for line in shown if "…" in line]


def test_eight_lines_say_what_came_in_what_stands_and_what_the_auditor_says() -> None:
    document = RESULT.summary.document
    first = screen(RESULT)[:8]
    for figure in (
        document["lines"],
        document["orders"],
        document["won"]["paid"],
        RESULT.disturbances.repeats,
    ):
        assert any(f"{figure:,}" in line for line in first)
    assert "orders/s" in first[6]
    assert "events/s" in first[6]
    assert "units/s" in first[6]
    assert "every rule holds" in first[7]


def test_two_lines_say_what_a_partner_got_and_who_uses_the_first_of_it() -> None:
    shown = screen(replace(RESULT, handed=HANDED))

    assert [line[:10] for line in shown[8:10]] == ["handed out", "registered"]
    assert "10 serials to a partner: .pawl/serials-of-TODAY.csv" in shown[8]
    assert "the one that ends in AB9T, by student-1, until 2026-12-30" in shown[9]


def test_each_planted_trouble_is_listed_with_what_it_waits_for() -> None:
    shown = screen(RESULT)
    assert len(RESULT.waits) == 5
    for order_id, what in RESULT.waits.items():
        assert any(order_id in line and what in line for line in shown)


def test_the_last_lines_are_commands_as_a_shell_takes_them() -> None:
    shown = screen(RESULT, options=" --dir elsewhere")
    assert shown[-3:] == [f"  .venv/bin/pawl {command} --dir elsewhere" for command in RESULT.mend]
    assert "`.venv/bin/pawl up` in another terminal" in screen(RESULT, running=False)[-4]


def test_with_a_console_it_ends_with_its_address_and_three_pages_to_mend_something_on() -> None:
    result = replace(RESULT, handed=HANDED, console=CONSOLE, places=PLACES)

    shown = screen(result)

    assert shown[-5] == f"Mend these in the console, {CONSOLE}:"
    assert [line.split() for line in shown[-4:-1]] == [
        ["overdue", f"{CONSOLE}{PLACES[REFUND]}"],
        ["refused", f"{CONSOLE}{PLACES[LETTER]}"],
        ["to", "close", f"{CONSOLE}{PLACES[MONTH]}"],
    ]
    assert shown[-1] == f"  or type  .venv/bin/pawl {RESULT.mend[-1]}"


@pytest.mark.parametrize("running", [True, False])
def test_all_of_it_with_the_console_fits_a_terminal(running: bool) -> None:
    shown = screen(replace(RESULT, handed=HANDED, console=CONSOLE, places=PLACES), running)

    assert len(shown) <= LINES - 2
    assert max(map(len, shown)) <= COLUMNS
    assert any("`.venv/bin/pawl up`" in line for line in shown) is not running


def test_when_nothing_is_left_to_mend_the_address_of_the_console_is_still_there() -> None:
    shown = screen(replace(RESULT, mend=[], waits={}, console=CONSOLE))

    assert shown[-2:] == [
        f"Look around in the console, {CONSOLE}:",
        f"  or type  .venv/bin/pawl order {RESULT.interesting}",
    ]


def test_when_everything_is_mended_an_order_is_worth_a_look() -> None:
    shown = screen(replace(RESULT, mend=[], waits={}))
    assert shown[-1] == f"  .venv/bin/pawl order {RESULT.interesting}"
    assert "Nothing waits for anybody." in shown


def test_a_second_demonstration_boasts_of_no_speed() -> None:
    assert screen(replace(RESULT, is_known=True))[6].endswith(" s: nothing was new")


def test_a_broken_rule_and_a_service_that_nobody_killed_are_told_as_they_are() -> None:
    broken = with_check({"ok": False, "orders": 2, "violations": [{}, {}]})
    shown = screen(replace(broken, disturbances=Disturbances(7)))
    assert "2 rules are broken: see `pawl check`" in shown[7]
    assert shown[5] == "on the way 7 events were sent twice"


async def test_a_demo_that_stays_ends_with_ctrl_c() -> None:
    staying = asyncio.create_task(until_interrupted())
    await asyncio.sleep(0)  # it listens

    signal.raise_signal(signal.SIGINT)

    await asyncio.wait_for(staying, PATIENCE)


class Services:
    """Counts who was killed."""

    def __init__(self) -> None:
        self.killed: list[str] = []

    def kill(self, name: str) -> None:
        self.killed.append(name)


def watched(killer: Killer, *steps: int) -> None:
    shown: list[Progress] = []
    show: Show = killer.watching(shown.append)
    for done in steps:
        show(Progress(steps=done, of_steps=10))
    assert len(shown) == len(steps)


def test_one_service_is_killed_once_half_way() -> None:
    services = Services()
    killer = Killer(services)
    watched(killer, 0, 4)
    assert services.killed == []
    watched(killer, 6, 8, 10)
    assert services.killed == ["orders"]
    assert killer.done == ("orders", 6)


def test_nobody_is_killed_when_there_is_nothing_left_to_do_or_they_are_somebody_elses() -> None:
    services = Services()
    watched(Killer(services), 10)
    assert services.killed == []
    watched(Killer(None), 6)
