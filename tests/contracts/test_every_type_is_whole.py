"""An event type has many parts. Each test here names the type that lacks one, and the file where it belongs.

`make new-event` writes the first five; handler, README and story are left to whoever adds the type.
"""

import re
from importlib import import_module
from pathlib import Path

import pytest

from shared.events.catalogue import SERVICES, TYPES, UPSTREAM
from shared.events.examples import golden
from shared.events.schemas import FOLDER

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
ROUTES = {service: import_module(f"services.{service}.handlers").ROUTES for service in SERVICES}
READ = [(service, name) for service, routes in ROUTES.items() for name in routes]
INBOUND = [name for name, kind in TYPES.items() if kind.topic == UPSTREAM]
WRITTEN = [(kind.owner, name) for name, kind in TYPES.items() if kind.topic == f"{kind.owner}.events"]
LATER = {"serial.registered.v1", "serial.reissued.v1", "serial.revoked.v1", "invoice.transmitted.v1"}
"""Published already, so that readers can prepare; no service says them yet."""


def mentions(text: str, name: str) -> bool:
    """Whether a document names a type, with its version or without."""
    stem = re.escape(name.rpartition(".v")[0])
    return re.search(rf"`{stem}(\.v\d+)?`", text) is not None


def sources(*places: str) -> str:
    """The text of every Python file in these places of the repository."""
    files = (path for place in places for path in sorted((ROOT / place).rglob("*.py")))
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


def test_every_type_has_a_golden_document() -> None:
    missing = [name for name in TYPES if name not in golden()]
    assert not missing, f"no document in shared/events/examples/<topic>/: {missing}"


def test_every_golden_document_is_of_a_type_in_the_catalogue() -> None:
    strangers = [name for name in golden() if name not in TYPES]
    assert not strangers, f"no line in shared/events/catalogue.py: {strangers}"


def test_every_golden_document_lies_where_its_type_says() -> None:
    places = {f"{document.topic}/{name}.json" for name, document in golden().items()}
    folder = ROOT / "shared" / "events" / "examples"
    files = {path.relative_to(folder).as_posix() for path in folder.glob("*/*.json")}
    assert files == places


def test_every_type_has_a_schema_file() -> None:
    missing = [name for name in TYPES if not (FOLDER / f"{name}.json").exists()]
    assert not missing, f"no schema file, run python -m shared.events.schemas: {missing}"


def test_every_schema_file_is_of_a_type_in_the_catalogue() -> None:
    strangers = [path.stem for path in FOLDER.glob("*.json") if path.stem not in TYPES]
    assert not strangers, f"no line in shared/events/catalogue.py: {strangers}"


@pytest.mark.parametrize("name", TYPES)
def test_the_model_of_a_type_says_what_the_type_means(name: str) -> None:
    model = TYPES[name].model
    assert (model.__doc__ or "").startswith(f"{name}: "), f"{model.__name__} does not begin with {name}: ..."


@pytest.mark.parametrize("name", INBOUND)
def test_the_guide_has_a_row_for_what_checkout_may_say(name: str) -> None:
    rows = [
        line for line in GUIDE.splitlines() if line.startswith("| `") and mentions(line.split("|")[1], name)
    ]
    assert rows, f"docs/events.md has no row for {name}"


@pytest.mark.parametrize("name", [name for owner, name in WRITTEN if owner != "serials"])
def test_the_guide_names_what_checkout_can_read(name: str) -> None:
    assert mentions(GUIDE, name), f"docs/events.md does not name {name}"


@pytest.mark.parametrize("name", INBOUND)
def test_the_service_that_answers_an_inbound_type_has_a_route_for_it(name: str) -> None:
    owner = TYPES[name].owner
    assert name in ROUTES[owner], f"services/{owner}/handlers.py has no route for {name}"


@pytest.mark.parametrize(("service", "name"), READ)
def test_a_route_is_for_a_type_of_the_catalogue_that_the_service_may_decide_on(
    service: str, name: str
) -> None:
    kind = TYPES.get(name)
    assert kind is not None, f"services/{service}/handlers.py has a route for {name}, which is no type"
    assert kind.topic != UPSTREAM or kind.owner == service, f"{name} is for {kind.owner} to decide"


@pytest.mark.parametrize(("service", "name"), READ)
def test_the_readme_of_a_service_names_what_it_reads(service: str, name: str) -> None:
    readme = (ROOT / "services" / service / "README.md").read_text(encoding="utf-8")
    assert mentions(readme, name), f"services/{service}/README.md does not say what happens on {name}"


@pytest.mark.parametrize(("service", "name"), [pair for pair in WRITTEN if pair[1] not in LATER])
def test_the_readme_of_a_service_names_what_it_says(service: str, name: str) -> None:
    readme = (ROOT / "services" / service / "README.md").read_text(encoding="utf-8")
    assert mentions(readme, name), f"services/{service}/README.md does not tell when {name} is said"


@pytest.mark.parametrize(("service", "name"), READ)
def test_a_story_says_what_a_service_reads(service: str, name: str) -> None:
    stem = re.escape(name.rpartition(".v")[0])
    told = sources(f"tests/unit/{service}", "tests/simulation", "tests/scenarios", "tests/support")
    assert re.search(rf'"{stem}(\.v\d+)?"', told), (
        f"no test in tests/unit/{service} or tests/simulation says {name}"
    )
