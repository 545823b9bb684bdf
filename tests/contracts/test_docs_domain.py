"""docs/domain.md says what the code says: states, kinds, policies."""

import re
from importlib import import_module
from typing import Any, get_args

import pytest

from shared.events.catalogue import SERVICES
from shared.events.checkout import Kind, PaymentMethod
from shared.settings import ServiceSettings
from tests.support.guides import ROOT, codes, read, section, table

DOMAIN = ROOT / "docs" / "domain.md"
STATES = {
    "States of an order": ("orders", "orders"),
    "3. Issuing serials": ("serials", "grants"),
    "States of a refund": ("refunds", "refund_history"),
    "States of a document": ("invoices", "documents"),
}
"""The service and the table whose CHECK says which states there are."""


def first_column(heading: str) -> list[str]:
    return [code for row in table(section(DOMAIN, heading)) for code in codes(row[0])]


@pytest.mark.parametrize("heading", STATES)
def test_the_states_are_those_that_the_database_takes(heading: str) -> None:
    service, name = STATES[heading]
    folder = ROOT / "services" / service / "migrations"
    up = "".join(read(path).partition("-- migrate:down")[0] for path in sorted(folder.glob("*.sql")))
    *_, taken = re.findall(rf"(?:CREATE|ALTER) TABLE {name}\b[^;]*?\bstate IN \(([^)]*)\)", up)
    assert sorted(first_column(heading)) == sorted(re.findall(r"'(\w+)'", taken))


def test_every_way_of_a_refund_leads_to_a_state() -> None:
    states = first_column("States of a refund")
    ways = {state for row in table(section(DOMAIN, "States of a refund")) for state in codes(row[2])}
    assert ways == set(states) - {"requested"}


def test_each_kind_and_each_payment_method_has_its_rule() -> None:
    assert first_column("1. Products and their refund rules") == list(get_args(Kind))
    assert sorted(first_column("Where the money goes")) == sorted(get_args(PaymentMethod))


def test_the_kinds_with_a_refund_rule_are_those_of_the_code() -> None:
    from services.refunds.policies import POLICIES

    rules = {codes(row[0])[0]: row[2] for row in table(section(DOMAIN, "1. Products and their refund rules"))}
    assert {kind for kind, rule in rules.items() if not rule.startswith("none:")} == set(POLICIES)


def settings_of(service: str) -> type[ServiceSettings]:
    module = import_module(f"services.{service}.settings")
    [found] = [
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, ServiceSettings) and each is not ServiceSettings
    ]
    return found


def test_the_policies_have_the_defaults_of_the_settings() -> None:
    fields: dict[str, Any] = {}
    for service in SERVICES:
        fields |= {name.upper(): field.default for name, field in settings_of(service).model_fields.items()}
    for name, default, _ in table(section(DOMAIN, "Policies")):
        [setting] = codes(name)
        value = fields[setting]
        told = str(value).lower() if isinstance(value, bool) else f"{value:g}"
        assert default == told, setting
