"""A table of a service is in a migration, in its store, in what the store writes, and in rights.sql."""

import json
import re
from dataclasses import MISSING, fields
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from shared.events.catalogue import SERVICES
from tests.support.guides import ROOT

RIGHTS = ROOT / "deploy" / "postgres" / "rights.sql"
_CREATED = re.compile(r"^CREATE TABLE (?:IF NOT EXISTS )?(\w+)", re.MULTILINE)
_DROPPED = re.compile(r"^DROP TABLE (?:IF EXISTS )?(\w+)", re.MULTILINE)
_WRITTEN_BY_NAME = re.compile(r"^(?:INSERT INTO|UPDATE) (\w+)", re.MULTILINE)
_COPIED = re.compile(r"copy_to_table\(\s*\"(\w+)\"")


def sources(service: str) -> str:
    """The Python of a service."""
    return "\n".join(path.read_text() for path in (ROOT / "services" / service).rglob("*.py"))


def created_tables(service: str) -> set[str]:
    """The tables that the service's migrations leave."""
    left: set[str] = set()
    for path in sorted((ROOT / "services" / service / "migrations").glob("*.sql")):
        up = path.read_text().partition("-- migrate:down")[0]
        left = (left | set(_CREATED.findall(up))) - set(_DROPPED.findall(up))
    return left


def store_of(service: str) -> Any:
    return import_module(f"services.{service}.store")


def constants(service: str) -> dict[str, Any]:
    """The tables of a store by the name of their constant."""
    store = store_of(service)
    return {name: table for name, table in vars(store).items() if table in store.TABLES and name != "TABLES"}


def rights_of(service: str) -> dict[str, str]:
    """What deploy/postgres/rights.sql grants on the service's own tables."""
    text = RIGHTS.read_text()
    document = json.loads(text[text.index("'{") + 1 : text.index("}';") + 1])
    granted: dict[str, str] = document[service]
    return granted


@pytest.mark.parametrize("service", SERVICES)
def test_every_table_of_a_migration_is_written_by_the_store(service: str) -> None:
    written = {table.name for table in store_of(service).TABLES}
    written |= set(_WRITTEN_BY_NAME.findall((ROOT / "services" / service / "queries.sql").read_text()))
    written |= set(_COPIED.findall(sources(service)))

    missing = created_tables(service) - written
    assert not missing, f"services/{service}/store.py has no Table for {', '.join(sorted(missing))}"


@pytest.mark.parametrize("service", SERVICES)
def test_every_table_of_the_store_is_saved(service: str) -> None:
    text = sources(service)
    unsaved = [
        name for name in constants(service) if f"{name}.save(" not in text and f"{name}.put(" not in text
    ]

    assert not unsaved, f"services/{service}/store.py never saves {', '.join(unsaved)}"


@pytest.mark.parametrize("service", SERVICES)
def test_every_table_constant_is_in_tables(service: str) -> None:
    store = store_of(service)
    kind = type(store.TABLES[0])
    left_out = [n for n, v in vars(store).items() if isinstance(v, kind) and v not in store.TABLES]

    assert not left_out, f"TABLES of services/{service}/store.py lacks {', '.join(left_out)}"


@pytest.mark.parametrize("service", SERVICES)
def test_the_store_saves_or_reads_every_part_of_the_world(service: str) -> None:
    """What handlers put into the world and no store looks at would be answered `accepted` and lost."""
    world: Any = import_module(f"services.{service}.state").World
    text = sources_of_stores(service)
    kept = [each.name for each in fields(world) if each.default_factory is not MISSING]
    unused = [name for name in kept if name != "policy" and f"world.{name}" not in text]

    assert not unused, f"no store of services/{service} looks at World.{', World.'.join(unused)}"


def sources_of_stores(service: str) -> str:
    """The store, and the world itself: what only its own methods use is not lost."""
    package: Path = ROOT / "services" / service
    state = (package / "state.py").read_text().replace("self.", "world.")
    return (package / "store.py").read_text() + state.partition("class World")[2]


@pytest.mark.parametrize("service", SERVICES)
def test_the_role_of_a_service_has_its_rights_on_every_table(service: str) -> None:
    granted, tables = rights_of(service), created_tables(service)

    assert set(granted) == tables, f"deploy/postgres/rights.sql and the migrations of {service} differ"
    for table in store_of(service).TABLES:
        may_change = "update" in granted[table.name]
        assert may_change == bool(table.changing), f"deploy/postgres/rights.sql: {service}.{table.name}"
