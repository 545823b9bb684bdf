"""The environment of docker-compose.yml, and commands that find a system by it. No Docker is needed here."""

import os
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ops.setup.logins import kept_kafka_passwords
from ops.setup.provision import kept_passwords
from ops.shell.problem import Problem
from ops.shell.system import find_system
from services.serials.settings import SerialsSettings
from shared.brokers import Brokers
from shared.events.catalogue import SERVICES
from tests.support.patience import PATIENCE

ROOT = Path(__file__).parents[2]
MAKE_ENV = ROOT / "deploy" / "compose" / "make-env.sh"


def made(file: Path, *arguments: str) -> dict[str, str]:
    subprocess.run(
        [MAKE_ENV, "--file", str(file), *arguments], check=True, capture_output=True, timeout=PATIENCE
    )
    lines = (line for line in file.read_text().splitlines() if line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


def test_secrets_are_new_each_time_and_readable_by_their_owner_only(tmp_path: Path) -> None:
    first, second = made(tmp_path / "first"), made(tmp_path / "second")

    secret = [name for name in first if "PASSWORD" in name or name.endswith("_KEY")]
    assert len(secret) == 16
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
    for role in ("ops", "console"):
        assert environment[f"PAWL_{role.upper()}_PASSWORD"] == passwords[f"pawl_{role}"]
    assert urlsplit(environment["PAWL_POSTGRES"]).password == passwords["pawl_ops"]


def test_the_services_take_the_keys_whatever_the_project_is_called(tmp_path: Path) -> None:
    environment = made(tmp_path / "env", "--project", "a-project-with-a-long-name")

    settings = SerialsSettings.model_validate(
        {
            **{name.lower(): value for name, value in environment.items() if "_KEY" in name},
            "kafka_bootstrap_servers": "kafka:9092",
            "database_url": "postgresql://role@host/db",
        }
    )

    assert settings.data_key_id == settings.serial_key_id == environment["SERIAL_KEY_ID"]


def test_the_services_log_in_as_the_migration_lets_them(tmp_path: Path) -> None:
    environment = made(tmp_path / "env", "--secure")

    passwords = kept_kafka_passwords(tmp_path / "kafka.json", environment["PAWL_KAFKA_PASSWORD"])

    for service in SERVICES:
        assert environment[f"PAWL_{service.upper()}_KAFKA_PASSWORD"] == passwords[f"pawl_{service}"]
    for name, principal in (("PAWL_KAFKA", "pawl_ops"), ("PAWL_KAFKA_CHECKOUT", "pawl_checkout")):
        login = Brokers.at(environment[name])
        assert (login.username, login.password) == (principal, passwords[principal])


def test_one_profile_is_meant_and_its_addresses_are_named(tmp_path: Path) -> None:
    plain, secure = made(tmp_path / "plain"), made(tmp_path / "secure", "--secure")

    assert (plain["COMPOSE_PROFILES"], secure["COMPOSE_PROFILES"]) == ("plain", "secure")
    assert Brokers.at(plain["PAWL_KAFKA"]).protocol == "PLAINTEXT"
    assert "PAWL_KAFKA_CHECKOUT" not in plain
    assert "#PAWL_KAFKA_CHECKOUT=sasl_plaintext://" in (tmp_path / "plain").read_text()


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

    with pytest.raises(Problem, match="not service=URL"):
        find_system()


def test_nothing_is_published_beyond_this_machine() -> None:
    published = [
        line.strip() for line in (ROOT / "docker-compose.yml").read_text().splitlines() if "ports:" in line
    ]

    assert len(published) == 9
    assert all(line.startswith('ports: ["127.0.0.1:') for line in published)


def test_git_ignores_the_secrets() -> None:
    ignored = subprocess.run(
        ["git", "check-ignore", ".env"],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )

    assert ignored.returncode == 0
