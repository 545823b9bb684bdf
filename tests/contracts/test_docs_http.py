"""docs/http.md and docs/errors.md say what the HTTP side does: codes, scopes, routes."""

import re
from collections.abc import Iterator
from importlib import import_module

import pytest

from shared.events.catalogue import SERVICES
from shared.events.faults import CODES
from shared.runtime.commands import KEY_BLOCKED
from shared.web.problems import OF_FAULTS, OF_HTTP, Kind
from shared.web.scopes import SCOPES
from tests.support.guides import ROOT, read, section, table
from tests.support.web import routes_of

ERRORS, GUIDE = ROOT / "docs" / "errors.md", ROOT / "docs" / "http.md"


def kinds() -> Iterator[Kind]:
    """Every kind of problem that any service answers with."""
    yield from (*OF_HTTP, KEY_BLOCKED)
    for service in SERVICES:
        yield from {kind.code: kind for route in routes_of(service) for kind in route.problems}.values()


ALL = {kind.code: kind for kind in kinds()}


@pytest.mark.parametrize("code", sorted(ALL))
def test_every_code_has_a_section_with_its_status_and_what_to_do(code: str) -> None:
    text = read(ERRORS).partition(f"\n### {code}\n\n")[2].partition("\n###")[0]

    assert text.startswith(f"{ALL[code].status}. ")
    assert "Next: " in text


def test_every_section_is_a_code() -> None:
    assert set(re.findall(r"^### (\w+)$", read(ERRORS), re.MULTILINE)) == set(ALL)


def test_a_code_has_one_meaning() -> None:
    codes = [kind.code for kind in {id(kind): kind for kind in kinds()}.values()]

    assert sorted(codes) == sorted(set(codes))
    assert set(codes).isdisjoint(CODES)


@pytest.mark.parametrize("kind", [*ALL.values(), *OF_FAULTS.values()], ids=lambda kind: kind.code)
def test_a_kind_speaks_both_languages_with_the_same_values(kind: Kind) -> None:
    english, korean = (set(re.findall(r"\{(\w+)", text)) for text in (kind.detail, kind.detail_ko))

    assert korean - english <= {"place"}
    assert english <= korean
    assert re.search("[가-힣]", kind.title_ko)


def test_the_guide_lists_the_scopes() -> None:
    rows = table(section(GUIDE, "Scopes"))

    assert {row[0].strip("` "): row[1].strip() for row in rows if ":" in row[0]} == dict(SCOPES)


def common() -> set[str]:
    """The names of the routes that every service has."""
    return set.intersection(*({route.name for route in routes_of(service)} for service in SERVICES))


def test_the_guide_lists_what_every_service_answers() -> None:
    text = section(GUIDE, "What there is")

    for route in routes_of("orders"):
        if route.scope is not None and route.name in common():
            path = re.sub(r"\{\w+\}", "17", route.template)
            assert f"{path}`" in text or f"{path}?" in text, route.name


def test_the_routes_of_a_service_stand_in_its_readme() -> None:
    for service in SERVICES:
        readme = read(ROOT / "services" / service / "README.md")
        for route in routes_of(service):
            if route.name not in common():
                path = re.sub(r"\{month\}", "2026-10", route.template)
                path = re.sub(r"\{(\w+)\}", lambda name: name[1].upper(), path)
                assert f"`{route.method} {path}`" in readme, f"services/{service}/README.md: {route.name}"


def test_every_scope_of_a_route_is_on_the_list() -> None:
    for service in SERVICES:
        assert import_module(f"services.{service}.app")
        assert {route.scope for route in routes_of(service)} - {None} <= set(SCOPES)
