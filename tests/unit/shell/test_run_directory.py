"""What a run leaves in its directory, and who may trust it."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from ops.shell.problem import Problem
from ops.shell.run_directory import ProcessMark, RunDirectory, RunState, end_processes
from ops.shell.system import find_system


@pytest.fixture
def folder(tmp_path: Path) -> RunDirectory:
    folder = RunDirectory(tmp_path / ".pawl")
    folder.create()
    return folder


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def mark_of(pid: int, name: str = "orders") -> ProcessMark:
    mark = ProcessMark.of(name, pid)
    assert mark is not None
    return mark


def a_state(ready: bool = True) -> RunState:
    return RunState(
        up=mark_of(os.getpid(), "pawl up"),
        ready=ready,
        kafka="127.0.0.1:9092",
        postgres="postgresql://postgres:secret@127.0.0.1:5432/pawl",
        ops="postgresql://pawl_ops:secret@127.0.0.1:5432/pawl",
        services={"orders": "http://127.0.0.1:8001"},
        processes=[mark_of(os.getpid(), "kafka")],
    )


def test_the_state_reads_as_it_was_written(folder: RunDirectory) -> None:
    folder.write_state(a_state())

    assert folder.read_state() == a_state()


def test_only_its_owner_reads_the_state(folder: RunDirectory) -> None:
    folder.write_state(a_state())

    assert stat.S_IMODE((folder.path / "run.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"up": 1, "processes": []}'])
def test_a_damaged_state_is_taken_for_none(folder: RunDirectory, text: str) -> None:
    (folder.path / "run.json").write_text(text)

    assert folder.read_state() is None


def test_a_second_run_in_one_directory_is_refused(folder: RunDirectory) -> None:
    folder.lock()
    folder.write_state(a_state())

    with pytest.raises(Problem) as caught:
        RunDirectory(folder.path).lock()

    assert f"already running in {folder.path} (pid {os.getpid()})" in caught.value.message
    assert "pawl down" in caught.value.hint
    folder.unlock()


def test_the_next_run_gets_the_lock_when_the_first_has_ended(folder: RunDirectory) -> None:
    folder.lock()
    folder.unlock()

    second = RunDirectory(folder.path)
    second.lock()
    second.unlock()


def test_the_keys_are_made_once(folder: RunDirectory) -> None:
    keys = folder.service_keys()

    assert keys == RunDirectory(folder.path).service_keys()
    assert set(keys) == {"DATA_KEY", "DATA_KEY_ID", "SERIAL_LOOKUP_KEY", "SERIAL_TEXT_KEY", "SERIAL_KEY_ID"}
    assert len({keys["DATA_KEY"], keys["SERIAL_LOOKUP_KEY"], keys["SERIAL_TEXT_KEY"]}) == 3


def test_two_directories_of_one_server_agree_on_the_keys(tmp_path: Path) -> None:
    url = "postgresql://postgres:made-up@127.0.0.1:5432/pawl"
    folders = [RunDirectory(tmp_path / name) for name in ("one", "two", "other")]
    for folder in folders:
        folder.create()

    one, two = folders[0].service_keys(url), folders[1].service_keys(url)

    assert one == two
    assert one != folders[2].service_keys(url.replace("made-up", "another"))


def test_a_process_left_behind_is_ended(sleeper: "subprocess.Popen[bytes]") -> None:
    assert end_processes([mark_of(sleeper.pid)]) == ["orders"]

    assert sleeper.poll() is not None


def test_a_process_marked_while_it_starts_is_ended(
    sleeper: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a kernel that has not set the arguments of the new program when they are first asked for
    reads: list[int] = []

    class Starting(psutil.Process):
        def cmdline(self) -> list[str]:
            reads.append(self.pid)
            return super().cmdline() if len(reads) > 2 else []

    with monkeypatch.context() as starting:
        starting.setattr(psutil, "Process", Starting)
        mark = mark_of(sleeper.pid)

    assert end_processes([mark]) == ["orders"]


def test_a_stranger_with_the_same_pid_is_left_alone(sleeper: "subprocess.Popen[bytes]") -> None:
    mark = mark_of(sleeper.pid)
    born_at_another_time = replace(mark, started=mark.started - 3600)
    another_program = replace(mark, command=("java", "kafka.Kafka"))

    assert end_processes([born_at_another_time, another_program]) == []

    assert sleeper.poll() is None


def test_a_running_system_is_found_by_its_directory(folder: RunDirectory) -> None:
    folder.write_state(a_state())

    system = find_system(directory=folder.path)

    assert system.require_kafka() == "127.0.0.1:9092"
    assert system.require_ops_url().startswith("postgresql://pawl_ops:")
    assert system.service("orders").health == "http://127.0.0.1:8001/health"


def test_addresses_that_are_given_win(folder: RunDirectory) -> None:
    folder.write_state(a_state())

    system = find_system(kafka="broker:9092", directory=folder.path)

    assert system.kafka == "broker:9092"


def test_no_system_says_how_to_start_one(folder: RunDirectory) -> None:
    with pytest.raises(Problem) as caught:
        find_system(directory=folder.path)

    assert caught.value.message == f"No system is running in {folder.path}."
    assert "pawl up" in caught.value.hint


def test_a_system_that_was_killed_is_not_found(folder: RunDirectory) -> None:
    state = a_state()
    state.up = replace(state.up, started=0.0)
    folder.write_state(state)

    with pytest.raises(Problem, match="No system is running"):
        find_system(directory=folder.path)


def test_a_system_that_is_starting_is_not_used_yet(folder: RunDirectory) -> None:
    folder.write_state(a_state(ready=False))

    with pytest.raises(Problem, match="still starting"):
        find_system(directory=folder.path)


def test_an_address_alone_is_enough_for_what_needs_only_that(tmp_path: Path) -> None:
    system = find_system(postgres="postgresql://ops@db/pawl", directory=tmp_path)

    assert system.require_ops_url() == "postgresql://ops@db/pawl"
    with pytest.raises(Problem, match="--kafka"):
        system.require_kafka()


def test_a_service_whose_address_is_unknown_is_named(tmp_path: Path) -> None:
    system = find_system(postgres="postgresql://ops@db/pawl", directory=tmp_path)

    with pytest.raises(Problem, match="service invoices is not known"):
        system.service("invoices")
