"""Requests that nobody thought of, made from OpenAPI documents: none is answered by accident."""

import asyncio
from contextlib import nullcontext, suppress

import httpx
import pytest
import schemathesis
import schemathesis.specs.openapi.schemas  # by no thread later: two that parse are too many (gh-106905)
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from shared.events.catalogue import SERVICES
from tests.support.serving import routes_on, served
from tests.support.tabletop import Tabletop
from tests.support.tokens import Provider
from tests.support.web import ALL, app_of

RIGHT, WRONG = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE
EXAMPLES = 10
"""Requests of each kind (right, wrong) for each operation."""
BOUNDED = settings(
    max_examples=EXAMPLES,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    deadline=None,
    database=None,
)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


def ask_everything(url: str, headers: dict[str, str]) -> int:
    """Asks each operation of a service whatever its document allows and forbids; how often it was asked."""
    asked = 0
    document = httpx.get(f"{url}/openapi.json").json()
    for path in document["paths"].values():
        for operation in path.values():
            operation.pop("security", None)  # tokens of every kind have a test of their own
    for made in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = made.ok()
        for mode in (RIGHT, WRONG):

            @seed(17)
            @BOUNDED
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case: Case) -> None:
                nonlocal asked
                asked += 1
                case.call_and_validate(base_url=url, headers=headers, checks=CHECKS)

            # What takes nothing, or any text, cannot be asked wrongly.
            with nullcontext() if mode is RIGHT else suppress(Unsatisfiable):
                ask()
    return asked


@pytest.mark.parametrize("service", SERVICES)
async def test_whatever_is_asked_the_answer_is_one_that_the_document_names(
    history: Tabletop, service: str
) -> None:
    provider = Provider()
    app = app_of(routes_on(history, service), provider.tokens(), service)

    async with served(app) as url:
        asked = await asyncio.to_thread(ask_everything, url, provider.allowing(ALL))

    assert asked > 100
