"""Data folders that this version cannot use, disks that are full, folders that are closed."""

import errno
import os
import stat
from pathlib import Path

import pytest

from ops.local import child, postgres
from ops.local.child import SystemUser, require_space, start_failure
from ops.local.kafka import refuse_newer_data
from ops.local.postgres import can_reach, refuse_other_version
from ops.shell.private_files import read_or_make
from ops.shell.problem import Problem, explain_os_errors

NOBODY = SystemUser("nobody", 65534, 65534)


def test_data_of_another_postgres_is_refused(tmp_path: Path) -> None:
    (tmp_path / "PG_VERSION").write_text("17\n")
    server = tmp_path / "postgres"
    server.write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 18.1'\n")
    server.chmod(0o755)

    with pytest.raises(Problem) as caught:
        refuse_other_version(tmp_path, tmp_path)

    assert "was written by PostgreSQL 17; this is PostgreSQL 18" in caught.value.message
    assert "pawl down --wipe" in caught.value.hint


def test_data_of_a_newer_kafka_is_refused(tmp_path: Path) -> None:
    (tmp_path / "KAFKA_VERSION").write_text("5.0.1\n")

    with pytest.raises(Problem, match=r"written by Kafka 5\.0\.1; this is the older 4\.3\.1"):
        refuse_newer_data(tmp_path)


@pytest.mark.parametrize("version", ["4.3.1", "4.3.0", "3.9.2"])
def test_data_of_this_or_an_older_kafka_is_taken(tmp_path: Path, version: str) -> None:
    (tmp_path / "KAFKA_VERSION").write_text(version)

    refuse_newer_data(tmp_path)


def test_a_disk_that_is_almost_full_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(Problem) as caught:
        require_space(tmp_path, needed=1 << 62)

    assert str(tmp_path) in caught.value.message
    assert "MB left" in caught.value.message
    assert "--dir" in caught.value.hint


def test_a_disk_that_fills_up_while_starting_is_named(tmp_path: Path) -> None:
    log = tmp_path / "kafka.log"
    log.write_text("ERROR java.io.IOException: No space left on device\n")

    problem = start_failure("Kafka", log, "ended while starting")

    assert problem.message == f"The disk that holds {tmp_path} is full."


def test_a_start_that_fails_for_another_reason_shows_the_end_of_the_log(tmp_path: Path) -> None:
    log = tmp_path / "kafka.log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))

    problem = start_failure("Kafka", log, "ended while starting")

    assert "Kafka ended while starting" in problem.message
    assert "  | line 99" in problem.message
    assert "line 50" not in problem.message


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "is full"), (errno.EACCES, "No permission"), (errno.EROFS, "No permission")],
)
def test_the_operating_systems_refusals_are_explained(tmp_path: Path, number: int, words: str) -> None:
    with pytest.raises(Problem, match=words), explain_os_errors("keeping data", tmp_path):
        raise OSError(number, os.strerror(number))


def test_a_private_folder_above_closes_the_way_for_the_servers_account(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)

    assert not can_reach(private / "data", NOBODY)
    assert can_reach(private / "data", None)


def test_a_secret_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    first = read_or_make(tmp_path / "key", lambda: "one", "")
    second = read_or_make(tmp_path / "key", lambda: "two", "")

    assert (first, second) == ("one", "one")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_logs_of_the_last_run_are_kept_beside_the_new_ones(tmp_path: Path) -> None:
    (tmp_path / "orders.log").write_text("old")

    child.turn_over(tmp_path / "orders.log")

    assert (tmp_path / "orders.log").read_text() == ""
    assert (tmp_path / "orders.log.1").read_text() == "old"


def test_wiping_also_removes_the_data_that_had_to_be_elsewhere(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "data"
    elsewhere.mkdir(parents=True)
    directory = tmp_path / "postgres"
    directory.mkdir()
    (directory / "data.elsewhere").write_text(f"{elsewhere}\n")

    postgres.wipe(directory)

    assert not elsewhere.parent.exists()
    assert not directory.exists()
