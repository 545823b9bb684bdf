"""The simulation plays every statement that a service may send, or says why not."""

import pytest

from shared.events.catalogue import SERVICES
from tests.simulation import tables
from tests.simulation.tables import NOT_PLAYED, STORES, NotModelled, open_database


@pytest.mark.parametrize("service", SERVICES)
def test_a_statement_without_a_function_is_noticed_before_anything_runs(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    functions, copied = tables.FUNCTIONS[service]
    missing = next(iter(functions))
    fewer = {name: query for name, query in functions.items() if name != missing}
    monkeypatch.setattr(tables, "FUNCTIONS", {**tables.FUNCTIONS, service: (fewer, copied)})

    with pytest.raises(NotModelled, match=missing):
        open_database(service, 1)


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_not_played_exists(service: str) -> None:
    assert set(NOT_PLAYED[service]) <= set(STORES[service].SQL)
