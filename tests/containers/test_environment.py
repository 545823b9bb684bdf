"""The environment of docker-compose.yml, and commands that find a system by it. No Docker is needed here."""

import os
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ops.problem import Problem
from ops.provision import SERVICES, kept_passwords
from ops.system import find_system

ROOT = Path(__file__).parents[2]
MAKE_ENV = ROOT / "deploy" / "compose" / "make-env.sh"


def made(file: Path, *arguments: str) -> dict[str, str]:
    subprocess.run([MAKE_ENV, "--file", str(file), *arguments], check=True, capture_output=True, timeout=60)
    lines = (line for line in file.read_text().splitlines() if line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


def test_secrets_are_new_each_time_and_readable_by_their_owner_only(tmp_path: Path) -> None:
    first, second = made(tmp_path / "first"), made(tmp_path / "second")

    secret = [name for name in first if "PASSWORD" in name or name.endswith("_KEY")]
    assert len(secret) == 8
    assert all(first[name] != second[name] for name in secret)
    assert (tmp_path / "first").stat().st_mode & 0o777 == 0o600


def test_an_environment_that_is_there_is_kept(tmp_path: Path) -> None:
    first = made(tmp_path / "env")

    assert made(tmp_path / "env", "--first-port", "15000") == first


def test_the_services_get_the_passwords_that_the_migration_sets(tmp_path: Path) -> None:
    environment = made(tmp_path / "env")
    administrator = f"postgresql://postgres:{environment['PAWL_POSTGRES_PASSWORD']}@db/postgres"

    passwords = kept_passwords(tmp_path / "passwords.json", administrator)

    for service in SERVICES:
        assert environment[f"PAWL_{service.upper()}_PASSWORD"] == passwords[f"pawl_{service}"]
    assert urlsplit(environment["PAWL_POSTGRES"]).password == passwords["pawl_ops"]


def test_compose_publishes_where_the_commands_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = made(tmp_path / "env", "--first-port", "14300")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    system = find_system()

    assert system.require_kafka() == f"127.0.0.1:{environment['PAWL_KAFKA_PORT']}"
    assert urlsplit(system.require_ops_url()).port == int(environment["PAWL_POSTGRES_PORT"])
    for service in SERVICES:
        assert (
            system.service(service).base_url
            == f"http://127.0.0.1:{environment[f'PAWL_{service.upper()}_PORT']}"
        )


def test_an_address_in_an_option_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAWL_KAFKA", "other:9092")
    monkeypatch.setenv("PAWL_POSTGRES", "postgresql://other/pawl")

    assert find_system(kafka="mine:9092").require_kafka() == "mine:9092"


def test_a_directory_that_is_named_is_not_mixed_with_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAWL_KAFKA", "other:9092")

    with pytest.raises(Problem, match="No system is running"):
        find_system(directory=tmp_path)


def test_an_unreadable_list_of_services_says_how_it_should_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAWL_SERVICES", "orders:14002")

    with pytest.raises(Problem, match="no service=URL"):
        find_system()


def test_nothing_is_published_beyond_this_machine() -> None:
    published = [
        line.strip() for line in (ROOT / "docker-compose.yml").read_text().splitlines() if "ports:" in line
    ]

    assert len(published) == 6
    assert all(line.startswith('ports: ["127.0.0.1:') for line in published)


def test_git_ignores_the_secrets() -> None:
    ignored = subprocess.run(
        ["git", "check-ignore", ".env"],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        timeout=30,
        check=False,
    )

    assert ignored.returncode == 0
