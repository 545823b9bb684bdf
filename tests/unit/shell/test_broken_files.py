"""Every command with every file of the run directory broken in every way that people and crashes break them.

Each ends in its result or in a Problem that says what to do next, and shows nobody a secret. Servers are not
started: the start goes as far as the first service.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click import Command as ClickCommand
from typer.testing import CliRunner

from ops.cli import COMMANDS, app, load
from ops.local import kafka, postgres, running
from ops.local.supervisor import Supervisor
from ops.setup.logins import kept_kafka_passwords
from ops.setup.provision import Database, kept_passwords
from ops.shell.problem import Exit, Problem
from ops.shell.run_directory import ProcessMark, RunDirectory, RunState
from ops.shell.urls import with_database
from shared.environment import environment_of_children
from shared.events.catalogue import SERVICES

SECRET = "s3cret"
SERVER = f"postgresql://postgres:{SECRET}@127.0.0.1:1/postgres"
READY = "The services would start now."

SAMPLES: Mapping[str, str] = {
    "order_id": "A-1001",
    "service": "orders",
    "month": "2011-03",
    "file": "history.jsonl",
    "folder": "dispute-A-1001",
    "word": "A-1001",
    "partner_id": "P-17",
    "name": "rr-77",
    "payment": "pay-2",
    "decision": "returned",
    "request": "iss-1",
    "grant_id": "0199f0c1-0000-7c11-9a51-2f6f3f3c1b01",
    "serial_id": "0199f0c1-1111-7c11-9a51-2f6f3f000001",
    "watermark": "7KP2-M0ZV-3XWH",
}
"""An argument for each name that a command cannot do without."""

MORE: Mapping[str, Sequence[str]] = {
    "dead show": ("orders:17",),
    "dead replay": ("orders:17", "--reason", "mended"),
    "dead resolve": ("orders:17", "--reason", "nothing is left to do"),
    "dead edit": ("orders:17", "--set", "/a=1"),
    "down": ("--yes",),
    "evidence show": ("A-1001", "-o", "dispute-A-1001"),
    "gaps close": ("orders:3", "--reason", "said again"),
    "partner correct": ("P-17", "--business-number", "116-82-00276"),
    "serials export": ("0199f0c1-0000-7c11-9a51-2f6f3f3c1b01", "--output", "serials.csv"),
    "serials find": ("--last-four", "AB9J", "--order", "A-1001"),
    "token": ("--scope", "ops:read"),
}
"""What else a command needs to get to its work."""

VARIANTS: Mapping[str, Sequence[Sequence[str]]] = {
    "up": ((), ("--secure",), ("--kafka", "127.0.0.1:1", "--postgres", SERVER)),
    "down": ((), ("--wipe",)),
    "migrate": ((), ("--postgres", SERVER)),
}
STARTS = ("up", "demo", "migrate", "down", "recover")
"""The commands that read more of the run directory than where the system is."""


def leaves() -> Iterator[tuple[str, ClickCommand]]:
    """Every command that can be run, by its words."""
    for entry in COMMANDS:
        command: Any = load(entry)
        subcommands = getattr(command, "commands", None)
        if subcommands is None:
            yield entry.name, command
        else:
            for name, subcommand in subcommands.items():
                yield f"{entry.name} {name}", subcommand


def invocations() -> Iterator[list[str]]:
    """Every command with arguments that it accepts, and a run directory to come."""
    for words, command in leaves():
        arguments = list(MORE.get(words, ()))
        for parameter in command.params:
            if parameter.param_type_name == "argument" and parameter.required and words not in MORE:
                assert parameter.name in SAMPLES, f"pawl {words}: give a sample of {parameter.name!r}"
                arguments.append(SAMPLES[parameter.name])
        if any(parameter.name == "directory" for parameter in command.params):
            for variant in VARIANTS.get(words, ((),)):
                yield [*words.split(), *arguments, *variant]


FILES = (
    "run.json",
    "check.json",
    "keys.json",
    "passwords.json",
    "kafka.json",
    "token-key",
    "ports.json",
    "lock",
    "logs",
    "logs/kafka.log",
    "logs/orders.log",
    "kafka",
    "kafka/server.properties",
    "kafka/log4j2.properties",
    "kafka/KAFKA_VERSION",
    "kafka/data",
    "kafka/data/meta.properties",
    "postgres",
    "postgres/superuser.password",
    "postgres/data.elsewhere",
    "postgres/data",
    "postgres/data/PG_VERSION",
)
"""What a run leaves, apart from what belongs to the servers themselves."""


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def a_file(content: bytes) -> Callable[[Path], None]:
    def put(path: Path) -> None:
        remove(path)
        path.write_bytes(content)

    return put


def a_folder(path: Path) -> None:
    remove(path)
    path.mkdir()
    (path / "something").touch()


def cut_short(path: Path) -> None:
    content = path.read_bytes() if path.is_file() else b"{"
    remove(path)
    path.write_bytes(content[: len(content) // 2])


def of_other_types(path: Path) -> None:
    """The same names with values of another type."""
    with suppress(ValueError, OSError):
        names = json.loads(path.read_text())
        path.write_text(json.dumps(dict.fromkeys(names, 5) if isinstance(names, dict) else 5))


def leads_nowhere(path: Path) -> None:
    remove(path)
    path.symlink_to("/proc/nowhere")


FAULTS: Mapping[str, Callable[[Path], None]] = {
    "missing": remove,
    "empty": a_file(b""),
    "blank": a_file(b" \n"),
    "cut short": cut_short,
    "a list": a_file(b"[1]"),
    "a number": a_file(b"5"),
    "nothing in it": a_file(b"{}"),
    "of other types": of_other_types,
    "not text": a_file(b"\xff\xfe\x00\x80"),
    "a folder": a_folder,
    "a dead link": leads_nowhere,
}

OF_ANY_FILE = ("missing", "empty", "not text", "a folder", "a dead link")
"""The others are faults of a JSON document."""


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that stands for the `pawl up` of run.json."""
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def folder(
    tmp_path: Path, sleeper: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> RunDirectory:
    """The directory of a system that runs, whose servers do not answer."""
    monkeypatch.chdir(tmp_path)
    folder = RunDirectory(tmp_path / ".pawl")
    folder.create()
    up = ProcessMark.of("pawl up", sleeper.pid)
    assert up is not None
    url = with_database(SERVER, "pawl")
    services = dict.fromkeys(SERVICES, "http://127.0.0.1:1")
    folder.write_state(RunState(up, True, "127.0.0.1:1", url, url, services=services))
    folder.service_keys(SERVER)
    kept_passwords(folder.passwords, SERVER)
    kept_kafka_passwords(folder.kafka_passwords, SECRET)
    folder.ports.write_text('{"kafka": 15001}')
    for name, content in {
        "check.json": '{"at": "2026-10-21T14:03:07+09:00", "ok": true, "violations": 0}',
        "lock": f"{sleeper.pid}\n",
        "logs/kafka.log": "",
        "logs/orders.log": "",
        "kafka/server.properties": "",
        "kafka/log4j2.properties": "",
        "kafka/KAFKA_VERSION": "4.3.0\n",
        "kafka/data/meta.properties": "",
        "postgres/superuser.password": SECRET,
        "postgres/data/PG_VERSION": "18\n",
    }.items():
        (folder.path / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.path / name).write_text(content)
    return folder


class NoChild:
    """Stands for a server that starts at once."""

    pid = os.getpid()
    is_alive = True

    def __init__(self, *arguments: Any, **more: Any) -> None:
        pass

    async def stop(self, *arguments: Any) -> bool:
        return True

    def wait_for_end(self) -> int:
        return 0


@pytest.fixture(autouse=True)
def no_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start that reads and writes what it always does, up to the first process of ours."""

    async def yes(*arguments: Any) -> bool:
        return True

    async def nothing(*arguments: Any) -> list[str]:
        return []

    async def provisioned(url: str, passwords: Mapping[str, str]) -> Database:
        return Database(with_database(url, "pawl"), passwords)

    async def migrated(database: Database) -> dict[str, list[str]]:
        assert database.ops_url
        return {}

    def ready(*arguments: Any, **more: Any) -> None:
        raise Problem(READY, "Nothing to do.")

    for module in (kafka, postgres):
        monkeypatch.setattr(module, "Child", NoChild)
        monkeypatch.setattr(module, "answers", yes)
        monkeypatch.setattr(module, "require_space", lambda directory: None)
    ended = SimpleNamespace(returncode=0, stdout="18", stderr="")
    monkeypatch.setattr(kafka.subprocess, "run", lambda *a, **k: ended)
    monkeypatch.setattr(postgres, "server_account", lambda: None)
    monkeypatch.setattr(postgres, "_major_version", lambda binaries: "18")
    monkeypatch.setattr(running, "broker_jars", lambda tell: [])
    for module_name in ("ops.local.running", "ops.setup.migrate"):
        monkeypatch.setattr(f"{module_name}.create_topics", nothing)
        monkeypatch.setattr(f"{module_name}.secure_broker", nothing)
        monkeypatch.setattr(f"{module_name}.provision", provisioned)
    monkeypatch.setattr("ops.local.running.migrate", migrated)
    monkeypatch.setattr("ops.setup.migrate.migrate_all", migrated)
    monkeypatch.setattr("ops.setup.migrate.answers", yes)
    monkeypatch.setattr(Supervisor, "_start", ready)
    monkeypatch.setattr("ops.replay.demo.read_plan", lambda *arguments: None)
    monkeypatch.setattr("ops.replay.demo.replay_plan", ready)


def run(arguments: Sequence[str], folder: RunDirectory) -> BaseException | None:
    """Runs a command; how it ended, once it is known that it ended as a command may."""
    result = CliRunner().invoke(app, [*arguments, "--dir", str(folder.path)])
    ended = result.exception
    if ended is not None and not isinstance(ended, (Problem, SystemExit)):
        raise AssertionError(f"pawl {' '.join(arguments)}: a traceback") from ended
    said = result.output
    if isinstance(ended, Problem):
        said += str(ended)
        assert ended.message
        assert ended.hint or ended.exit_code is Exit.NOTHING_MATCHED, f"no next step: {ended.message}"
    assert SECRET not in said
    assert not [name for name in kept_secrets(folder) if name in said]
    return ended


def kept_secrets(folder: RunDirectory) -> list[str]:
    """Every secret that stands in a file which is still whole."""
    secrets: list[str] = []
    for file in (folder.passwords, folder.kafka_passwords, folder.keys):
        with suppress(OSError, ValueError, AttributeError):
            secrets += [text for text in json.loads(file.read_text()).values() if isinstance(text, str)]
    return [secret for secret in secrets if len(secret) > 20]


def ids(arguments: Sequence[str]) -> str:
    return " ".join(word for word in arguments if "//" not in word)


STARTING = [each for each in invocations() if each[0] in STARTS]
LOOKING = [each for each in invocations() if each[0] not in STARTS]


@pytest.mark.parametrize("arguments", [*STARTING, *LOOKING], ids=ids)
def test_nothing_broken(arguments: list[str], folder: RunDirectory) -> None:
    run(arguments, folder)


@pytest.mark.parametrize(
    ("name", "fault"),
    [(name, fault) for name in FILES for fault in FAULTS if name.endswith(".json") or fault in OF_ANY_FILE],
)
def test_one_broken_file_is_explained_by_whatever_starts_or_ends_a_system(
    name: str, fault: str, folder: RunDirectory, tmp_path: Path
) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(folder.path, whole)
    for arguments in STARTING:
        remove(folder.path)
        shutil.copytree(whole, folder.path)
        FAULTS[fault](folder.path / name)
        run(arguments, folder)


@pytest.mark.parametrize("arguments", LOOKING, ids=ids)
def test_a_broken_run_json_is_explained_by_whatever_looks(arguments: list[str], folder: RunDirectory) -> None:
    whole = (folder.path / "run.json").read_bytes()
    for broken in FAULTS.values():
        remove(folder.path / "run.json")
        (folder.path / "run.json").write_bytes(whole)
        broken(folder.path / "run.json")
        ended = run(arguments, folder)
        assert ended is not None


@pytest.mark.parametrize("arguments", LOOKING, ids=ids)
def test_whatever_looks_needs_nothing_but_run_json(arguments: list[str], folder: RunDirectory) -> None:
    before = run(arguments, folder)
    for fault in OF_ANY_FILE:
        for name in FILES:
            if name != "run.json" and (folder.path / name).parent.is_dir():
                FAULTS[fault](folder.path / name)

        assert str(run(arguments, folder)) == str(before)


@pytest.mark.parametrize("arguments", [*STARTING, *LOOKING], ids=ids)
def test_a_file_in_the_place_of_the_run_directory_is_explained(
    arguments: list[str], folder: RunDirectory
) -> None:
    remove(folder.path)
    folder.path.write_text("notes")

    assert run(arguments, folder) is not None


@pytest.mark.parametrize(
    ("name", "fault", "words"),
    [
        ("keys.json", "cut short", ("keys.json is damaged: it is not JSON", "mv ")),
        ("keys.json", "of other types", ("it has no text for DATA_KEY", "mv ")),
        ("passwords.json", "empty", ("passwords.json is damaged: it is empty", "mv ")),
        ("passwords.json", "a list", ("passwords.json is damaged: it is not a JSON object", "mv ")),
        ("kafka.json", "nothing in it", ("kafka.json is damaged", "pawl_admin", "mv ")),
        ("postgres/superuser.password", "missing", ("superuser.password is missing", "pawl down --wipe")),
        ("postgres/superuser.password", "blank", ("superuser.password is damaged", "pawl down --wipe")),
        ("postgres/data.elsewhere", "not text", ("data.elsewhere is damaged", "Put back")),
        ("logs", "empty", ("making the run directory failed", "logs")),
    ],
)
def test_a_start_names_the_broken_file_and_the_way_out(
    name: str, fault: str, words: Sequence[str], folder: RunDirectory
) -> None:
    FAULTS[fault](folder.path / name)

    ended = run(["up", "--secure"], folder)

    assert isinstance(ended, Problem)
    assert ended.exit_code is Exit.FAILED
    assert [word for word in words if word not in str(ended)] == []


@pytest.mark.parametrize("name", ["keys.json", "passwords.json", "kafka.json", "ports.json"])
def test_what_is_moved_away_is_made_again_the_same(name: str, folder: RunDirectory) -> None:
    before = (folder.path / name).read_text()
    (folder.path / name).rename(folder.path / f"{name}.old")

    ended = run(["up", "--secure"], folder)

    assert READY in str(ended)
    if name != "kafka.json" and name != "ports.json":
        assert json.loads((folder.path / name).read_text()) == json.loads(before)


def test_a_system_that_runs_without_its_run_json_is_not_taken_for_none(folder: RunDirectory) -> None:
    holder = RunDirectory(folder.path)
    holder.lock()
    (folder.path / "run.json").unlink()

    for arguments in (["lag"], ["down"], ["up"]):
        ended = run(arguments, folder)

        assert isinstance(ended, Problem)
        assert f"(pid {os.getpid()})" in ended.message
    holder.unlock()


def test_a_child_does_not_see_the_logins_that_are_for_us(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("PAWL_POSTGRES", "PAWL_KAFKA", "PAWL_KAFKA_CHECKOUT", "PGPASSWORD"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("TZ", "Asia/Seoul")

    environment = environment_of_children()

    assert SECRET not in environment.values()
    assert environment["TZ"] == "Asia/Seoul"
