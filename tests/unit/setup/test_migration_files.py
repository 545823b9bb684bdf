"""Every migration has a version of its own in its schema, a way up and a way down."""

import re
from pathlib import Path

import pytest

from shared.events.catalogue import SERVICES
from shared.migrations import ROOT, known_migrations, migration_directories

FILES = sorted(
    {file for service in SERVICES for place in migration_directories(service) for file in place.glob("*")}
)


def statements(part: str) -> str:
    """What is left of a part without comments and empty lines."""
    return re.sub(r"--.*", "", part).strip()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_a_migration_has_a_version_and_a_way_up_and_down(file: Path) -> None:
    assert re.fullmatch(r"\d{14}_[a-z0-9_]+\.sql", file.name)
    up, marked, down = (
        file.read_text(encoding="utf-8").removeprefix("-- migrate:up\n").partition("-- migrate:down\n")
    )
    assert marked, f"{file.name} has no -- migrate:down"
    assert statements(up), f"{file.name} does nothing on its way up"
    assert statements(down), f"{file.name} does nothing on its way down"


@pytest.mark.parametrize("service", SERVICES)
def test_no_two_migrations_of_a_schema_share_a_version(service: str) -> None:
    files = [file.name for place in migration_directories(service) for file in place.glob("*.sql")]

    assert sorted(known_migrations(service).values()) == sorted(files)
