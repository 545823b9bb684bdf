"""docs/events.md says what the code says: topics, types, fields, words, limits, reasons."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any, get_args

import orjson
import pytest
import yaml
from pydantic import BaseModel, TypeAdapter

from shared.events import fields
from shared.events.canonical import MAX_DEPTH
from shared.events.catalogue import FEEDBACK, SERVICES, TYPES, UPSTREAM
from shared.events.checkout import Snapshot
from shared.events.envelope import MAX_BYTES, MAX_ID, MAX_OWN_BYTES, MAX_SOURCE
from shared.events.invoices import Modification
from shared.events.orders import QuarantineReason
from shared.events.schemas import schema_of
from shared.events.successors import SUCCESSORS
from shared.runtime.unpacking import MAX_BATCH_BYTES
from tests.support.guides import ROOT, codes, read, section, table

EVENTS = ROOT / "docs" / "events.md"
DOMAIN = ROOT / "docs" / "domain.md"
OWN_TOPICS = [f"{service}.events" for service in SERVICES]
INBOUND = [kind for kind in TYPES.values() if kind.topic == UPSTREAM]


_REASON = re.compile(r'\breason="(\w+)"')


def rows(heading: str) -> list[list[str]]:
    """The table below a heading of docs/events.md."""
    return table(section(EVENTS, heading))


def named(heading: str) -> list[str]:
    """What the first column of that table names."""
    return [code for row in rows(heading) for code in codes(row[0])]


# Topics and types


def topics_of(service: str) -> set[str]:
    """The topics that hold what a service handles."""
    routes = import_module(f"services.{service}.handlers").ROUTES
    return {TYPES[name].topic for name in routes}


def test_topics_name_their_writers_and_readers() -> None:
    rights = yaml.safe_load(read(ROOT / "deploy" / "kafka" / "acls.yaml"))["principals"]
    reads = {service: topics_of(service) for service in SERVICES}
    reads["checkout"] = set(rights["pawl_checkout"]["reads"])
    writes = {service: {f"{service}.events", FEEDBACK} for service in SERVICES}
    writes["checkout"] = {UPSTREAM}

    said = {codes(topic)[0]: (writers, readers) for topic, writers, readers in rows("Topics")}

    assert set(said) == {kind.topic for kind in TYPES.values()}
    for topic, (writers, readers) in said.items():
        assert set(writers.split(", ")) == {name for name, its in writes.items() if topic in its}, topic
        assert set(readers.split(", ")) == {name for name, its in reads.items() if topic in its}, topic


@pytest.mark.parametrize("topic", OWN_TOPICS)
def test_the_types_of_a_topic_are_listed(topic: str) -> None:
    assert sorted(named(topic)) == sorted(name for name, kind in TYPES.items() if kind.topic == topic)


def test_what_checkout_may_say_is_listed_with_who_answers() -> None:
    said = {codes(name)[0]: owner for name, _, owner in rows("What you may say")}
    assert said == {kind.name: kind.owner for kind in INBOUND}


@pytest.mark.parametrize("name", [kind.name for kind in INBOUND])
def test_the_fields_of_an_event_of_checkout_are_listed(name: str) -> None:
    [data] = [row[1] for row in rows("What you may say") if codes(row[0]) == [name]]
    said = {field: not bracket for bracket, field in re.findall(r"(\[)?`(\w+)[^`]*`", data)}
    if "the order snapshot" in data:
        said |= {field: info.is_required() for field, info in Snapshot.model_fields.items()}
    assert said == {field: info.is_required() for field, info in TYPES[name].model.model_fields.items()}


@pytest.mark.parametrize("name", [kind.name for kind in TYPES.values() if kind.topic in OWN_TOPICS])
def test_the_fields_of_our_own_events_are_listed(name: str) -> None:
    [data] = [row[2] for row in rows(TYPES[name].topic) if codes(row[0]) == [name]]
    said = {field: not bracket for bracket, field in re.findall(r"(\[)?`(\w+)`", data)}
    assert said == {field: info.is_required() for field, info in TYPES[name].model.model_fields.items()}


def objects_in(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """Each field of a document that holds objects, with their model."""

    def models(kind: Any) -> Iterator[type[BaseModel]]:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield kind
        for part in get_args(kind):
            yield from models(part)

    for field, info in model.model_fields.items():
        for inner in models(info.annotation):
            yield field, inner
            yield from objects_in(inner)


def test_the_objects_in_our_events_are_listed() -> None:
    said = {
        (name, codes(field)[0]): {inner: not bracket for bracket, inner in re.findall(r"(\[)?`(\w+)`", its)}
        for field, names, its in rows("Objects in our events")
        for name in codes(names)
    }
    held = {
        (name, field): {inner: info.is_required() for inner, info in model.model_fields.items()}
        for name, kind in TYPES.items()
        if kind.topic in OWN_TOPICS
        for field, model in objects_in(kind.model)
        if not issubclass(kind.model, Snapshot) or field not in Snapshot.model_fields
    }
    assert said == held


def test_each_event_of_checkout_has_what_ends_it() -> None:
    ends = {name: codes(row[1]) for row in rows("What ends a request") for name in codes(row[0])}
    assert ends.keys() == {kind.name for kind in INBOUND}
    ours = {name for name, kind in TYPES.items() if kind.topic in OWN_TOPICS} - SUCCESSORS.keys()
    assert {end for ended in ends.values() for end in ended if "." in end} <= ours


def test_the_order_snapshot_is_listed() -> None:
    [told] = [part for part in read(EVENTS).split("\n\n") if part.startswith("**The order snapshot**")]
    told = told.partition("`usage_days` is required")[0]
    assert {code.partition(":")[0] for code in codes(told)} == set(Snapshot.model_fields)


# Words and limits


def words_of(schema: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each property of a JSON Schema that takes only these words."""
    if isinstance(schema, dict):
        for name, its in schema.get("properties", {}).items():
            if "enum" in its:
                yield name, tuple(its["enum"])
        for part in schema.values():
            yield from words_of(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from words_of(part)


def test_the_words_of_a_field_are_listed() -> None:
    said = {codes(field)[0]: tuple(codes(words)) for field, words in rows("Words of a field")}
    assert said == dict(found for kind in INBOUND for found in words_of(schema_of(kind.name)))


def bounds(kind: Any) -> tuple[int, int]:
    """The smallest and largest length, count or number that a kind of value takes."""
    schema = TypeAdapter(kind).json_schema()
    pairs = [("minLength", "maxLength"), ("minItems", "maxItems"), ("minimum", "maximum")]
    [(low, high)] = [pair for pair in pairs if pair[1] in schema]
    return schema[low], schema[high]


LIMITS = {
    "ids": bounds(fields.Id),
    "names, addresses, reasons": bounds(fields.Name),
    "free text (`message`, `note`)": bounds(fields.Text),
    "`business_number`": bounds(fields.BusinessNumber),
    "lines": bounds(fields.Lines),
    "`payment_ids`": bounds(fields.PaymentIds),
    "`quantity`": bounds(fields.Quantity),
    "`unit_price`": bounds(fields.UnitPrice),
    "`amount` of a payment": bounds(fields.Won),
    "any other `amount`, `bonus`": bounds(fields.Amount),
    "`used`": bounds(fields.Won),
    "`usage_days`": bounds(fields.UsageDays),
}


def number(text: str) -> int:
    base, _, power = text.replace(",", "").partition("^")
    return int(base) ** int(power or 1)


def test_the_limits_are_those_of_the_models() -> None:
    said = dict(rows("Limits"))
    largest = {
        "nesting": MAX_DEPTH,
        "value of a record": MAX_BYTES,
        "value of an event of ours": MAX_OWN_BYTES,
        "a batch, unpacked": MAX_BATCH_BYTES,
    }
    for what in largest:
        told = re.match(r"at most ([\d,]+) ", said.pop(what))
        assert told is not None
        assert number(told[1]) == largest[what], what
    assert set(said) == set(LIMITS)
    for what, text in said.items():
        told = re.match(r"([\d,^]+)\.\.([\d,^]*\d)", text)
        assert told is not None, text
        assert (number(told[1]), number(told[2])) == LIMITS[what], what


def test_the_limits_of_the_envelope_are_named() -> None:
    said = {codes(row[0])[0]: row[2] for row in rows("A record")}
    assert said["ce_id"].startswith(f"1..{MAX_ID} characters")
    assert said["ce_source"].startswith(f"1..{MAX_SOURCE} characters")


# Reasons


def test_the_reasons_of_a_refund_request_are_those_of_the_rules() -> None:
    from services.refunds.policies.reasons import REASONS

    said = {korean: codes(name)[0] for name, korean, _ in rows("Reasons of a refund request")}
    assert said == dict(REASONS)


@pytest.mark.parametrize("document", [EVENTS, DOMAIN], ids=["events.md", "domain.md"])
def test_the_reasons_of_a_quarantine_are_those_of_the_event(document: Any) -> None:
    if document == EVENTS:
        said = named("Reasons of a quarantine")
    else:
        payments = section(DOMAIN, "Payments")
        said = [codes(row[0])[0] for row in table(payments[payments.index("| reason of") :])]
    assert said == list(get_args(QuarantineReason))


def test_the_reasons_of_a_merge_are_those_that_the_database_takes() -> None:
    """The last migration that says which there are."""
    taken = re.findall(
        r"merge_explanations_reason_check CHECK \(reason IN \(([^)]*)\)", migrations("invoices", up=True)
    )
    assert named("Reasons of a merge") == [
        reason for reason in re.findall(r"'(\w+)'", taken[-1]) if reason != "merged"
    ]


def test_the_reasons_of_a_modified_invoice_are_those_of_the_event() -> None:
    assert named("Reasons of a modified invoice") == list(get_args(Modification))


def test_the_blockers_of_a_withdrawal_are_those_of_the_query() -> None:
    query = read(ROOT / "services" / "orders" / "queries.sql")
    found = query.partition("-- name: blockers_of_partners")[2].partition(";")[0]
    kinds = re.findall(r"(?:^\s+\(|partner_id, )'(\w+)',", found, re.MULTILINE)
    assert named("Blockers of a withdrawal") == list(dict.fromkeys(kinds))


REFUSALS = {
    "issuance.denied.v1": ("orders", "Reasons of a denied issue"),
    "refund.denied.v1": ("orders", "Reasons of a denied refund"),
    "refund.rejected.v1": ("refunds", "Reasons of a rejected refund"),
    "refund.held.v1": ("refunds", "Reasons of a held refund"),
}


def test_every_reason_of_a_refund_rule_is_listed() -> None:
    """Also those that no simulated history meets."""
    rules = (ROOT / "services" / "refunds" / "policies").glob("*.py")
    given = {reason for path in rules for reason in _REASON.findall(path.read_text())}

    assert given
    missing = given - set(named("Reasons of a rejected refund"))
    assert not missing, f"docs/events.md, Reasons of a rejected refund: {', '.join(sorted(missing))}"


@pytest.mark.parametrize(("service", "heading"), REFUSALS.values(), ids=REFUSALS)
def test_a_reason_of_a_refusal_stands_in_the_code_of_its_service(service: str, heading: str) -> None:
    texts, beginnings = strings_of(service)
    for reason in named(heading):
        begun = any(reason.startswith(b) and reason.removeprefix(b) in texts for b in beginnings)
        assert reason in texts or begun, f"{reason} is no text in services/{service}"


@cache
def strings_of(service: str) -> tuple[set[str], set[str]]:
    """The texts in the code of a service, and the beginnings of those that are put together."""
    texts, beginnings = set(), set()
    for path in sorted((ROOT / "services" / service).rglob("*.py")):
        for node in ast.walk(ast.parse(read(path))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
            elif isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                beginnings.add(str(node.values[0].value))
    return texts, {text for text in beginnings if re.fullmatch(r"\w+_", text)}


def migrations(service: str, *, up: bool = False) -> str:
    files = sorted((ROOT / "services" / service / "migrations").glob("*.sql"))
    return "".join(read(path).partition("-- migrate:down")[0] if up else read(path) for path in files)


def test_every_refusal_that_simulated_histories_end_with_is_listed() -> None:
    """The other way round: what the services publish under faults is in the guide."""
    from tests.simulation.engine import Simulation

    seen: dict[str, set[str]] = {name: set() for name in REFUSALS}
    for seed in range(1, 5):
        simulation = Simulation(seed)
        simulation.run()
        for site in simulation.system.sites.values():
            for row in site.database.tables["outbox"].values():
                if row["type"] in seen:
                    seen[row["type"]].add(orjson.loads(row["data"])["reason"])
    for name, (_, heading) in REFUSALS.items():
        assert seen[name], f"no history had {name}"
        assert seen[name] <= set(named(heading)), name
