"""`pawl up` on the session's servers, with processes that stand in for the services."""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest

from ops.local.postgres import EmbeddedPostgres
from ops.local.running import RunningSystem, Wanted, run_system
from ops.local.up import announce, text, where
from ops.setup.provision import Database
from ops.shell.http_client import fetch
from ops.shell.problem import Problem
from ops.shell.run_directory import ProcessMark, RunDirectory, RunState
from ops.shell.system import find_system
from ops.watch.living import read_lives
from shared.events.catalogue import SERVICES
from tests.support.patience import PATIENCE, PATIENCE_WITH_A_START
from tests.support.servers import FOR_TESTS, new_run_directory

FAKE = "tests.support.fake_service"


def fake(service: str) -> Sequence[str]:
    return [sys.executable, "-m", FAKE, service]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def wanted(
    tmp_path: Path,
    run_directory: RunDirectory,
    database: Database,
    kafka: str,
    postgres_server: EmbeddedPostgres,
) -> Wanted:
    """A system of four fake services, in a directory that shares the session's passwords."""
    directory = tmp_path / ".pawl"
    directory.mkdir()
    (directory / "passwords.json").write_text(run_directory.passwords.read_text())
    return Wanted(
        directory,
        kafka=kafka,
        postgres=postgres_server.url(),
        command=fake,
        ready_seconds=PATIENCE_WITH_A_START,
    )


async def test_the_json_line_says_where_everything_is(
    wanted: Wanted, said: list[str], capsys: pytest.CaptureFixture[str], kafka: str, database: Database
) -> None:
    async with run_system(wanted, said.append) as running:
        announce(running, as_json=True)
        (line,) = capsys.readouterr().out.splitlines()
        document = json.loads(line)

        assert document["kafka"] == kafka
        assert document["postgres"] == database.ops_url
        assert set(document["services"]) == set(SERVICES)
        for name, service in document["services"].items():
            assert (await fetch(service["health"])).status == 200
            assert service["metrics"].endswith("/metrics")
            assert service["asyncapi"].endswith("/asyncapi.json")
            assert service["pid"] == running.services.pid(name)


async def test_people_read_the_addresses_and_what_to_try_next(wanted: Wanted, said: list[str]) -> None:
    async with run_system(wanted, said.append) as running:
        words = text(running)

    assert f"Kafka     {wanted.kafka}" in words
    assert "Postgres  postgresql://pawl_ops@" in words
    assert [word for word in running.folder.service_keys().values() if word in words] == []
    assert "pawl replay examples/online_retail.csv.gz" in words


async def test_an_embedded_system_has_a_console_that_its_own_persons_sign_in_to(kafka: str) -> None:
    with new_run_directory() as folder:
        wanted = Wanted(folder.path, kafka=kafka, postgres_settings=FOR_TESTS, command=fake, console=True)
        async with run_system(replace(wanted, ready_seconds=PATIENCE_WITH_A_START)) as running:
            console = running.system.console
            assert f"console   {console}" in text(running)
            assert where(running)["console"] == console
            assert find_system(directory=folder.path).console == console

            async with httpx.AsyncClient(base_url=console, headers={"origin": console}) as browser:
                assert "demo:finance" in (await browser.get("/sign-in")).text
                signed_in = await browser.post("/sign-in", data={"role": "finance"})
                assert (signed_in.status_code, signed_in.headers["location"]) == (303, "/")
                assert (await browser.get("/needs")).status_code == 200
                assert (await browser.get("/order?id=nobody")).status_code == 404

        assert (await fetch(f"{console}/health")).status == 0


async def test_a_system_on_the_database_of_others_has_no_console(wanted: Wanted, said: list[str]) -> None:
    async with run_system(replace(wanted, console=True), said.append) as running:
        assert running.system.console == ""
        assert "console" not in {*where(running), *running.companions.names}


async def test_other_commands_find_the_system_while_it_runs(wanted: Wanted, said: list[str]) -> None:
    async with run_system(wanted, said.append) as running:
        found = find_system(directory=wanted.directory)

        assert found == running.system
        assert "pawl_ops" in found.require_ops_url()
        assert {life.status for life in (await read_lives(found)).values()} == {"alive"}

    assert {life.status for life in (await read_lives(found)).values()} == {"silent"}
    with pytest.raises(Problem, match="No system is running"):
        find_system(directory=wanted.directory)


async def test_urls_and_keys_survive_a_restart(wanted: Wanted, said: list[str]) -> None:
    async with run_system(wanted, said.append) as running:
        services, keys = running.system.services, running.folder.service_keys()

    async with run_system(wanted, said.append) as running:
        assert running.system.services == services
        assert running.folder.service_keys() == keys


async def test_a_service_that_is_killed_is_back_at_the_same_address(wanted: Wanted, said: list[str]) -> None:
    async with run_system(wanted, said.append) as running:
        url = running.system.service("orders").health
        before = running.services.pid("orders")

        running.services.kill("orders")
        await until_healthy(url, running, before)

        assert running.services.pid("orders") != before
        state = running.folder.read_state()
        assert state is not None
        assert running.services.pid("orders") in {mark.pid for mark in state.processes}


async def until_healthy(url: str, running: RunningSystem, before: int | None) -> None:
    async with asyncio.timeout(PATIENCE):
        while running.services.pid("orders") == before or (await fetch(url)).status != 200:
            await asyncio.sleep(0.05)


async def test_a_service_that_cannot_start_is_named_with_its_last_words(
    wanted: Wanted, said: list[str]
) -> None:
    broken = replace(wanted, environment={"FAKE_DIES": "refunds"})

    with pytest.raises(Problem) as caught:
        async with run_system(broken, said.append):
            pytest.fail("it was called ready")

    assert "The service refunds ended with code 1 while starting" in caught.value.message
    assert "DATA_KEY has 3 bytes, 32 are needed" in caught.value.message
    assert str(wanted.directory / "logs" / "refunds.log") in caught.value.hint


async def test_a_service_that_never_gets_healthy_is_named(wanted: Wanted, said: list[str]) -> None:
    sick = replace(wanted, services=("serials",), environment={"FAKE_SICK": "serials"}, ready_seconds=8.0)

    with pytest.raises(Problem, match="The service serials is not healthy after 8 s"):
        async with run_system(sick, said.append):
            pytest.fail("it was called ready")


async def test_nothing_is_left_running_after_a_failed_start(wanted: Wanted, said: list[str]) -> None:
    broken = replace(wanted, environment={"FAKE_DIES": "refunds"})

    with pytest.raises(Problem):
        async with run_system(broken, said.append):
            pytest.fail("it was called ready")

    async with run_system(wanted, said.append):
        assert not any("left behind" in sentence for sentence in said)


async def test_what_a_killed_run_left_behind_is_ended_first(wanted: Wanted, said: list[str]) -> None:
    orphan = await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(99)")
    mark = ProcessMark.of("orders", orphan.pid)
    assert mark is not None
    folder = RunDirectory(wanted.directory)
    folder.write_state(RunState(up=replace(mark, pid=1), processes=[mark]))

    async with run_system(wanted, said.append):
        assert "Ended what the last run had left behind: orders." in said
        await asyncio.wait_for(orphan.wait(), PATIENCE)


async def test_a_second_system_in_the_same_directory_is_refused(wanted: Wanted, said: list[str]) -> None:
    async with run_system(wanted, said.append):
        with pytest.raises(Problem, match="already running"):
            async with run_system(wanted, said.append):
                pytest.fail("two systems in one directory")


async def test_only_serials_gets_the_keys_of_serials(wanted: Wanted, said: list[str]) -> None:
    prints_names = (
        "import os; print(sorted(n for n in os.environ if n.endswith(('_KEY', '_KEY_ID'))), flush=True)"
    )

    def telling(service: str) -> Sequence[str]:
        run = f"sys.argv = ['fake', '{service}']; runpy.run_module('{FAKE}', run_name='__main__')"
        return [sys.executable, "-c", f"{prints_names}; import sys, runpy; {run}"]

    async with run_system(replace(wanted, command=telling), said.append) as running:
        seen = {name: running.services.log(name).read_text() for name in SERVICES}

    assert "SERIAL_TEXT_KEY" in seen["serials"]
    assert not any("SERIAL_" in seen[name] for name in SERVICES if name != "serials")
    assert all("'DATA_KEY'" in words for words in seen.values())


async def test_the_password_of_the_superuser_is_told_to_nobody(
    wanted: Wanted, said: list[str], postgres_server: EmbeddedPostgres, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not on the screen, in no log, in no argument of a process, and in the environment of none."""
    secret = (postgres_server.directory / "superuser.password").read_text()

    async with run_system(wanted, said.append) as running:
        announce(running, as_json=True)
        announce(running, as_json=False)
        pids = {*running.services.pids().values(), postgres_server.pid}
        seen = {f"log of {log.name}": log.read_text() for log in running.folder.logs.iterdir()}
        for pid in pids:
            process = psutil.Process(pid)
            seen |= {
                f"arguments of {pid}": str(process.cmdline()),
                f"environment of {pid}": str(process.environ()),
            }
    screen = capsys.readouterr()
    seen |= {"stdout": screen.out, "stderr": screen.err, "words": " ".join(said)}

    assert len(seen) >= 4 + 2 * 5 + 3
    assert [where for where, text in seen.items() if secret in text] == []
