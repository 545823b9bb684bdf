"""`make new-event NAME=partner.note_added.v1 OWNER=orders FIELDS="note:Text"`: the parts of an event type.

It writes what follows from the name: the model, the line in the catalogue, the golden document, the JSON
Schema, the row in docs/events.md, that nothing names its request, the rows of the contract tests. What the
event means (handler, decision, README of the service, a test that tells its story) is left to do, and
`tests/contracts` names each part that is missing.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from devtools.source import (
    add_class,
    add_imports,
    add_table_row,
    add_to_mapping,
    class_names,
    insert_call,
)
from devtools.tree import Refused, Tree
from shared.events.catalogue import SERVICES, TYPES, UPSTREAM

ROOT: Final = Path(__file__).parents[1]
CATALOGUE: Final = "shared/events/catalogue.py"
GUIDE: Final = "docs/events.md"
BAD_INPUT: Final = "tests/contracts/test_bad_input.py"
REQUESTS: Final = "shared/events/requests.py"
GOLDEN_TEST: Final = "tests/contracts/test_golden_documents.py"

_NAME: Final = re.compile(r"([a-z][a-z0-9]*(?:_[a-z0-9]+)*)\.([a-z][a-z0-9]*(?:_[a-z0-9]+)*)\.v([1-9][0-9]*)")
_FIELD: Final = re.compile(r"([a-z][a-z0-9_]*):([A-Za-z]+)(\?)?")
_GRANT_ID: Final = "0199f0c1-0000-7c11-9a51-2f6f3f3c1b01"

EXAMPLES: Final[Mapping[str, Any]] = {
    "Id": "id-1",
    "Name": "가나다 주식회사",
    "Text": "예금주 확인",
    "Reason": "예금주 확인",
    "BusinessNumber": "1168200276",
    "Month": "2026-10",
    "Instant": "2026-10-25T09:00:00+09:00",
    "Deadline": "2026-10-28T14:00:00+09:00",
    "Day": "2026-10-25",
    "Quantity": 60,
    "Units": 40,
    "Amount": 176_000,
    "Won": 16_000,
    "SignedWon": -1_760,
    "Total": 160_000,
    "Count": 812,
    "UnitPrice": 1_600,
    "UsageDays": 30,
    "Lines": [{"line_id": "1", "quantity": 60}],
    "RefundedLines": [{"line_id": "1", "quantity": 60}],
    "PaymentIds": ["pay-9001"],
    "bool": True,
}
"""A value of each kind that a field may have (shared/events/fields.py), as golden documents show it."""

IDS: Final[Mapping[str, str]] = {
    "order_id": "A-1001",
    "partner_id": "P-17",
    "grant_id": _GRANT_ID,
    "serial_id": "0199f0c1-2222-7c11-9a51-2f6f3f3c1b03",
    "refund_id": "0199f0c1-3333-7c11-9a51-2f6f3f3c1b04",
    "invoice_id": "0199f0c1-4444-7c11-9a51-2f6f3f3c1b05",
    "line_id": "1",
    "payment_id": "pay-9001",
}
"""The ids of the story that the golden documents tell."""

SUBJECTS: Final = ("order", "partner", "grant", "serial", "refund", "line", "invoice", "month")
KEYS: Final = {"partner": "partner_id", "invoice": "partner_id", "month": "month"}
"""The field that the record key repeats, for what is not keyed by its order."""
UPSTREAM_SUBJECTS: Final = ("order", "partner")
PARTNERS: Final = ("partner", "merge")
"""The first word of upstream types that are about a partner unless ABOUT says otherwise."""


class Field(NamedTuple):
    """One field of the data: its name, its kind in shared/events/fields.py, whether it may be absent."""

    name: str
    kind: str
    optional: bool

    @property
    def example(self) -> Any:
        """A value for the golden document."""
        return IDS.get(self.name, EXAMPLES[self.kind]) if self.kind == "Id" else EXAMPLES[self.kind]

    @property
    def source(self) -> str:
        """Its line in the model."""
        return f"    {self.name}: {self.kind}{' | None = None' if self.optional else ''}"

    @property
    def required_places(self) -> list[str]:
        """The places that must not be empty, as the contract tests write them."""
        inside = [f"{self.name}/0/{name}" for name in ("line_id", "quantity")] if self.kind == "Lines" else []
        return inside if self.optional else [self.name, *inside]


@dataclass(slots=True, frozen=True)
class NewEvent:
    """An event type as it is asked for. `owner` decides on it or, when it is our own, writes it."""

    name: str
    owner: str
    upstream: bool
    about: str
    says: str
    fields: tuple[Field, ...]

    @property
    def topic(self) -> str:
        return UPSTREAM if self.upstream else f"{self.owner}.events"

    @property
    def source(self) -> str:
        """Who says it: what orders says of a partner has another source than what it says of an order."""
        return f"/pawl/{self.owner}/partners" if self.about == "partner" else f"/pawl/{self.owner}"

    @property
    def module(self) -> str:
        """The module of shared/events that holds its model."""
        return "checkout" if self.upstream else self.owner

    @property
    def model(self) -> str:
        """The name of its model: partner.note_added.v1 is PartnerNoteAdded, its second version ...V2."""
        words, _, version = self.name.rpartition(".v")
        return "".join(word.capitalize() for word in re.split(r"[._]", words)) + (
            f"V{version}" if version != "1" else ""
        )

    @property
    def key_field(self) -> str:
        """The field that the record key repeats."""
        return KEYS.get(self.about, "order_id")

    @property
    def subject(self) -> str:
        """The subject of its golden document."""
        if self.about == "month":
            return str(EXAMPLES["Month"])
        own = IDS[f"{self.about}_id"]
        return f"{IDS['order_id']}/{own}" if self.about == "line" else own

    @property
    def data(self) -> dict[str, Any]:
        """The data of its golden document."""
        return {field.name: field.example for field in self.fields}


def asked_for(
    name: str,
    *,
    owner: str | None = None,
    writer: str | None = None,
    about: str | None = None,
    says: str | None = None,
    fields: str = "",
) -> NewEvent:
    """The event type that the command line asks for. Raises Refused with what to type instead."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise Refused(f"{name!r} is no name of an event type: write thing.what_happened.v1, in small letters")
    if name in TYPES:
        raise Refused(f"{name} is in the catalogue already: {CATALOGUE} names its model and its topic")
    service = _one_service(owner, writer)
    subject = _about(about, found[1], owner is not None)
    says = says or f"{found[1]} {found[2]}.".replace("_", " ")
    return NewEvent(name, service, owner is not None, subject, says, _fields(subject, fields))


def prepare(tree: Tree, new: NewEvent) -> None:
    """Prepare every part but the JSON Schema, which is made from the model once that is written."""
    _model(tree, new)
    _catalogue_line(tree, new)
    tree.create(golden_path(new), golden_text(new), "the golden document")
    _guide_row(tree, new)
    if new.upstream:
        entry = f'"{new.name}": NOTHING'
        tree.change(
            REQUESTS, add_to_mapping(tree.read(REQUESTS), "IDENTITIES", entry), "its line in IDENTITIES"
        )
        _test_rows(tree, new)


def golden_path(new: NewEvent) -> str:
    """The file of its golden document."""
    return f"shared/events/examples/{new.topic}/{new.name}.json"


def golden_text(new: NewEvent) -> str:
    """A whole record as it stands in Kafka: key, headers and data."""
    stem = new.name.rpartition(".v")[0]
    digest = hashlib.sha256(new.name.encode()).hexdigest()
    headers = {
        "ce_specversion": "1.0",
        "ce_id": f"evt-{stem.replace('.', '-')}" if new.upstream else _own_id(digest),
        "ce_source": "https://checkout.example/shop-1" if new.upstream else new.source,
        "ce_type": new.name,
        "ce_subject": new.subject,
        "ce_time": "2026-10-25T09:00:01+09:00",
        "ce_dataschema": f"urn:pawl:schema:{new.name}",
        "content-type": "application/json",
    }
    key = new.data[new.key_field]
    if not new.upstream:
        headers |= {"ce_sequence": "1", "ce_correlationid": key, "ce_causationid": _own_id(digest[::-1])}
    document = {"topic": new.topic, "key": key, "headers": headers, "data": new.data}
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def write_schemas(root: Path) -> None:
    """Make the schema files anew, in a process of its own: this one has the old catalogue in memory."""
    command = [sys.executable, "-m", "shared.events.schemas"]
    subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL)


def left_to_do(new: NewEvent) -> str:
    """What no generator can know, with the file that it belongs to."""
    if new.upstream:
        steps = [
            (f"services/{new.owner}/handlers.py", f"a handler of {new.model} and its line in ROUTES"),
            (f"services/{new.owner}/", "the decision that it calls; a migration when it needs a column"),
            (REQUESTS, "the fields that name its request, if there are any"),
            (f"services/{new.owner}/README.md", "what the service does on it"),
            (f"tests/unit/{new.owner}/", f"a test that says {new.name}"),
        ]
    else:
        steps = [
            (f"services/{new.owner}/", "the decision that says it"),
            (f"services/{new.owner}/README.md", "when the service says it"),
            (f"tests/unit/{new.owner}/", f"a test in which the decision says {new.name}"),
            ("tests/support/tour.py", "a story in which the running services say it"),
            (GUIDE, "its row in the table of how large an event gets"),
        ]
    if not [field for field in new.fields if field.name != new.key_field]:
        steps.append(
            (
                f"shared/events/{new.module}.py",
                "its fields: take this back and give FIELDS='note:Text at:Instant?'",
            )
        )
    width = max(len(path) for path, _ in steps)
    return "\n".join(f"  {path:<{width}}  {what}" for path, what in steps)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the parts, or show them with --dry-run. 0 when done, 2 when the request is refused."""
    arguments = vars(_parser().parse_args(argv))
    dry_run = arguments.pop("dry_run")
    tree = Tree(ROOT)
    try:
        new = asked_for(**arguments)
        prepare(tree, new)
        tree.tidy()
    except Refused as refused:
        print(f"new-event: {refused}", file=sys.stderr)
        return 2
    if dry_run:
        print("\n".join(tree.differences()))
        print(f"Nothing was written. It would be:\n{tree.summary()}")
        return 0
    tree.write()
    write_schemas(tree.root)
    print(f"Made:\n{tree.summary()}\n  shared/events/schemas/{new.name}.json  the JSON Schema")
    print(f"Left to do:\n{left_to_do(new)}\nmake test-unit names what is still missing.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make new-event", description="Write the parts of an event type.")
    parser.add_argument("name", help="thing.what_happened.v1")
    parser.add_argument("--owner", help="the service that decides on it: an upstream event")
    parser.add_argument("--writer", help="the service that writes it: one of our own events")
    parser.add_argument("--about", help=f"what it is about: {', '.join(SUBJECTS)}")
    parser.add_argument("--says", help="what it means, in one sentence")
    parser.add_argument(
        "--fields", default="", help="name:Kind, with ? when it may be absent: 'note:Text at:Instant?'"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would be written, and write nothing"
    )
    return parser


def _one_service(owner: str | None, writer: str | None) -> str:
    service = owner or writer
    if service is None or (owner and writer):
        names = "|".join(SERVICES)
        raise Refused(
            f"say who decides on an upstream event, OWNER={names}, or who writes it, WRITER={names}"
        )
    if service not in SERVICES:
        raise Refused(f"there is no service {service!r}: one of {', '.join(SERVICES)}")
    return service


def _about(asked: str | None, first_word: str, upstream: bool) -> str:
    allowed = UPSTREAM_SUBJECTS if upstream else SUBJECTS
    guess = "partner" if first_word in PARTNERS else "order"
    about = asked or (guess if upstream or first_word not in SUBJECTS else first_word)
    if about not in allowed:
        kind = "an upstream event" if upstream else "an event"
        raise Refused(f"{kind} cannot be about {about!r}: ABOUT={'|'.join(allowed)}")
    return about


def _fields(about: str, asked: str) -> tuple[Field, ...]:
    """The key and the subject first, then what FIELDS names."""
    key = KEYS.get(about, "order_id")
    given = [Field(key, "Month" if about == "month" else "Id", optional=False)]
    if about != "month" and f"{about}_id" != key:
        given.append(Field(f"{about}_id", "Id", optional=False))
    for word in asked.split():
        found = _FIELD.fullmatch(word)
        if found is None or found[2] not in EXAMPLES:
            kinds = ", ".join(EXAMPLES)
            raise Refused(f"{word!r} is no field: write name:Kind or name:Kind?, with Kind one of {kinds}")
        if found[1] in {field.name for field in given}:
            raise Refused(f"the field {found[1]} is there already")
        given.append(Field(found[1], found[2], optional=found[3] is not None))
    return tuple(given)


def _model(tree: Tree, new: NewEvent) -> None:
    path = f"shared/events/{new.module}.py"
    text = tree.read(path)
    for module in sorted({kind.model.__module__.rpartition(".")[2] for kind in TYPES.values()}):
        if new.model in class_names(tree.read(f"shared/events/{module}.py")):
            raise Refused(f"shared/events/{module}.py has a class {new.model} already")
    body = "\n".join(field.source for field in new.fields)
    source = f'class {new.model}(Data):\n    """{new.name}: {new.says}"""\n\n{body}\n'
    kinds = {field.kind for field in new.fields} - {"bool"}
    text = add_imports(add_class(text, source), "shared.events.fields", sorted({"Data", *kinds}))
    tree.change(path, text, f"the model {new.model}")


def _catalogue_line(tree: Tree, new: NewEvent) -> None:
    model = f"{new.module}.{new.model}"
    if new.upstream:
        about = ', about="partner"' if new.about == "partner" else ""
        entry = f'_upstream("{new.name}", "{new.owner}", {model}{about})'
        text = insert_call(tree.read(CATALOGUE), "TYPES", "_upstream", (), entry)
    else:
        key = "" if new.key_field == "order_id" else f', "{new.key_field}"'
        entry = f'_own("{new.name}", "{new.owner}", "{new.about}", {model}{key})'
        text = insert_call(tree.read(CATALOGUE), "TYPES", "_own", (new.owner,), entry)
    tree.change(CATALOGUE, text, "its line in TYPES")


def _guide_row(tree: Tree, new: NewEvent) -> None:
    data = ", ".join(f"[`{field.name}`]" if field.optional else f"`{field.name}`" for field in new.fields)
    if new.upstream:
        heading, row = "## What you may say", f"| `{new.name}` | {data} | {new.owner} |"
    else:
        heading, row = f"### {new.topic}", f"| `{new.name}` | {new.says.rstrip('.')} | {data} |"
    tree.change(GUIDE, add_table_row(tree.read(GUIDE), heading, row), "its row")


def _test_rows(tree: Tree, new: NewEvent) -> None:
    places = {
        "REQUIRED": [place for field in new.fields for place in field.required_places],
        "OPTIONAL": [field.name for field in new.fields if field.optional],
    }
    for mapping, named in places.items():
        if named:
            comma = "," if len(named) == 1 else ""
            entry = f'"{new.name}": ({", ".join(map(json.dumps, named))}{comma})'
            text = add_to_mapping(tree.read(BAD_INPUT), mapping, entry)
            tree.change(BAD_INPUT, text, f"its row in {mapping}")
    entry = f'"{new.name}": "{new.owner}"'
    tree.change(
        GOLDEN_TEST, add_to_mapping(tree.read(GOLDEN_TEST), "ANSWERED_BY", entry), "its row in ANSWERED_BY"
    )


def _own_id(digest: str) -> str:
    return f"0199f0c1-{digest[:4]}-7{digest[4:7]}-9{digest[7:10]}-{digest[10:22]}"


if __name__ == "__main__":
    sys.exit(main())
