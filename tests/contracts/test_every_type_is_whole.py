"""An event type has many parts. Each test here names the types that lack one, and the file where it belongs.

`make new-event` writes what follows from the name; README and story are left to whoever adds the type.
test_docs_events.py compares the rows of docs/events.md, test_routes.py the handlers.
"""

import re
from functools import cache

import orjson
import pytest

from shared.events.catalogue import SERVICES, TYPES
from shared.events.examples import golden
from shared.events.schemas import FOLDER, PLACES
from shared.events.successors import SUCCESSORS, newest
from tests.support.guides import ROOT, read
from tests.support.routes import ROUTES

EXAMPLES = ROOT / "shared" / "events" / "examples"
READ = [(service, name) for service in SERVICES for name in ROUTES[service]]
WRITTEN = [(kind.owner, name) for name, kind in TYPES.items() if kind.topic == f"{kind.owner}.events"]
NO_LONGER = set(SUCCESSORS)
"""Topics may hold them, so readers have routes for them; no service says them any more."""


def stem(name: str) -> str:
    """A type without its version, as prose names it."""
    return name.rpartition(".v")[0]


@cache
def sources(*folders: str) -> str:
    """Every Python file below these folders of the tests."""
    found = (path for folder in folders for path in sorted((ROOT / "tests" / folder).rglob("*.py")))
    return "\n".join(map(read, found))


def test_every_type_has_a_golden_document() -> None:
    missing = sorted(set(TYPES) - set(golden()))
    assert not missing, f"no document in shared/events/examples/<topic>/: {missing}"


def test_every_golden_document_is_of_a_type_in_the_catalogue() -> None:
    strangers = sorted(set(golden()) - set(TYPES))
    assert not strangers, f"no line in shared/events/catalogue.py: {strangers}"


def test_every_golden_document_lies_where_its_type_says() -> None:
    files = {path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.glob("*/*.json")}
    assert files == {f"{document.topic}/{name}.json" for name, document in golden().items()}


def test_every_type_has_a_schema_file_and_no_other_is_there() -> None:
    differing = sorted({path.stem for path in FOLDER.glob("*.json") if path.name != PLACES} ^ set(TYPES))
    assert not differing, f"run python -m shared.events.schemas: {differing}"


@pytest.mark.parametrize("name", TYPES)
def test_a_model_begins_with_the_type_and_its_meaning(name: str) -> None:
    model = TYPES[name].model
    assert re.match(rf"{re.escape(name)}: \S", model.__doc__ or ""), f"{model.__name__}: {model.__doc__}"


@pytest.mark.parametrize(("service", "name"), READ)
def test_the_readme_of_a_service_says_what_happens_on_what_it_reads(service: str, name: str) -> None:
    assert is_named(service, name), f"services/{service}/README.md does not name {name}"


@pytest.mark.parametrize(("service", "name"), [pair for pair in WRITTEN if pair[1] not in NO_LONGER])
def test_the_readme_of_a_service_says_when_it_says_something(service: str, name: str) -> None:
    assert is_named(service, name), f"services/{service}/README.md does not name {name}"


@pytest.mark.parametrize("name", sorted(NO_LONGER))
def test_a_type_that_is_no_longer_said_has_its_successor_in_the_language(name: str) -> None:
    old, new = TYPES[name], TYPES[SUCCESSORS[name].type]
    assert (stem(old.name), old.topic, old.owner) == (stem(new.name), new.topic, new.owner)


@pytest.mark.parametrize("name", sorted(NO_LONGER))
def test_a_golden_document_of_old_reads_as_its_successor(name: str) -> None:
    said_today, data = newest(name, golden()[name].data)
    TYPES[said_today].model.model_validate_json(orjson.dumps(data))
    items = next(field for field in ("grants", "lines") if field in data)
    lines = golden()[said_today].data
    assert data.keys() <= lines.keys()
    assert data[items][0].keys() <= lines[items][0].keys()


@pytest.mark.parametrize(("service", "name"), [pair for pair in READ if pair[1] in NO_LONGER])
def test_whoever_reads_a_type_of_old_does_the_same_with_its_successor(service: str, name: str) -> None:
    assert ROUTES[service][name] == ROUTES[service][SUCCESSORS[name].type]


@pytest.mark.parametrize("name", sorted(NO_LONGER))
def test_no_service_says_a_type_of_old(name: str) -> None:
    said = [
        path.name
        for path in (ROOT / "services").rglob("*.py")
        if f'"{name}"' in read(path) and path.name != "handlers.py"
    ]
    assert not said, f"{name} is said in {said}"


def is_named(service: str, name: str) -> bool:
    """Whether the README of a service names a type in a table, with its version or without."""
    rows = [line for line in read(ROOT / "services" / service / "README.md").splitlines() if line[:1] == "|"]
    return any(f"`{word}`" in row for word in (name, stem(name)) for row in rows)


@pytest.mark.parametrize(("service", "name"), READ)
def test_a_test_of_the_service_or_a_simulated_history_says_what_it_reads(service: str, name: str) -> None:
    told = sources(f"unit/{service}", "simulation")
    said = any(f'"{word}"' in told for word in (name, stem(name)))
    assert said, f"nothing in tests/unit/{service} or tests/simulation says {name}"
