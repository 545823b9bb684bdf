"""`pawl up --json` as others script against it: a process, its stdout, its signals, its exit code."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from ops.local.postgres import EmbeddedPostgres
from ops.setup.provision import Database
from ops.shell.http_client import fetch
from ops.shell.problem import Exit
from ops.shell.run_directory import RunDirectory
from ops.shell.system import find_system
from ops.watch.status import read_status
from shared.clock import now
from shared.events.catalogue import SERVICES
from shared.operators.todo import Moment

Up = Callable[..., Awaitable[Process]]


@pytest.fixture
async def pawl_up(
    tmp_path: Path,
    run_directory: RunDirectory,
    database: Database,
    kafka: str,
    postgres_server: EmbeddedPostgres,
) -> AsyncIterator[Up]:
    """Start `pawl up --json` on the session's servers."""
    directory = tmp_path / ".pawl"
    directory.mkdir()
    (directory / "passwords.json").write_text(run_directory.passwords.read_text())
    started: list[Process] = []

    async def start(*options: str, kafka: str = kafka) -> Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ops.pawl", "up", "--json", "--dir", str(directory)),
            *("--kafka", kafka, "--postgres", postgres_server.url(), *options),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def test_one_json_line_when_ready_and_nothing_else_on_stdout(
    pawl_up: Up, kafka: str, tmp_path: Path
) -> None:
    process = await pawl_up()
    assert process.stdout is not None

    document = json.loads(await process.stdout.readline())
    assert document["kafka"] == kafka
    assert document["postgres"].startswith("postgresql://")
    assert set(document["services"]) == set(SERVICES)
    for service in document["services"].values():
        assert (await fetch(service["health"])).status == 200
        assert "# HELP" in (await fetch(service["metrics"])).text
        assert json.loads((await fetch(service["asyncapi"])).text)["asyncapi"].startswith("3.")

    status = await read_status(find_system(directory=tmp_path / ".pawl"), Moment(now()))
    assert (status.all_alive, status.has_topics, status.trouble) == (True, True, "")
    assert set(status.behind) == set(SERVICES)

    process.send_signal(signal.SIGINT)
    rest, said = await process.communicate()
    assert rest == b""
    assert process.returncode == Exit.OK
    assert b"Stopped." in said
    for service in document["services"].values():
        assert (await fetch(service["health"])).status == 0


async def test_with_a_gateway_payouts_are_answered_by_a_process_of_its_own(
    pawl_up: Up, tmp_path: Path
) -> None:
    process = await pawl_up("--with-gateway", "--gateway-seed", "7")
    assert process.stdout is not None

    document = json.loads(await process.stdout.readline())
    state = RunDirectory(tmp_path / ".pawl").read_state()

    assert document["gateway_seed"] == 7
    assert state is not None
    assert state.gateway
    (gateway,) = [mark for mark in state.processes if mark.name == "gateway"]
    process.send_signal(signal.SIGINT)
    await process.communicate()
    assert process.returncode == Exit.OK
    assert gateway.find() is None


async def test_a_second_up_in_the_same_directory_fails_and_names_the_first(pawl_up: Up) -> None:
    first = await pawl_up()
    assert first.stdout is not None
    await first.stdout.readline()

    second = await pawl_up()
    output, said = await second.communicate()

    assert second.returncode == Exit.FAILED
    assert output == b""
    assert b"already running in" in said
    assert f"(pid {first.pid})".encode() in said


async def test_no_broker_at_the_given_address_fails_with_the_reason(pawl_up: Up) -> None:
    process = await pawl_up(kafka="127.0.0.1:9")

    output, said = await process.communicate()

    assert process.returncode == Exit.FAILED
    assert output == b""
    assert said.startswith(b"pawl: No Kafka broker answers at 127.0.0.1:9")
