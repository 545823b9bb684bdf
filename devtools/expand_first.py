"""Refuses migrations that would stop a service of the last release, which runs while they are applied.

`python -m devtools.expand_first` is a step of `make lint`. A migration first adds (expand): tables, columns
that are nullable or have a default, further words that a column may hold. What no running version uses any
more goes in a later release (contract), and a comment says since when:

    -- contract: 0.3.0 stopped using orders.note

What this cannot judge (a check over columns that an older service writes, a unique index in the place of
another one, a trigger, a DO) is let through with a reason, beside this one release:

    -- beside 0.2.0: a_mismatch_waits, since waits_end clears it where an older service ends the wait

Migrations that the last release has are exempt, and never change. What is not known here is refused.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson

from devtools.new_migration import SHARED, folder_of
from devtools.releases import (
    ROOT,
    Release,
    hash_of_migrations,
    migrations,
    releases,
    version_of,
)
from devtools.sql_tokens import Statement, bracketed, parts, statements
from shared.events.catalogue import SERVICES

_CONTRACT: Final = re.compile(r"^\s*-- contract: (\S+) stopped using (\S+)$", re.MULTILINE)
_BESIDE: Final = re.compile(r"^\s*-- beside (\S+): ([^\s,]+), since \S+", re.MULTILINE)
_RIGHTS: Final = re.compile(r"rights CONSTANT jsonb := '(.*?)';", re.DOTALL)

# What may be said of a column that statements of before go on with.
_HOW_IT_IS_KEPT: Final = tuple(["set", word] for word in ("default", "storage", "compression", "statistics"))
_HARMLESS: Final = ("set", "comment", "grant", "insert")
_CREATED: Final = ("table", "view", "function", "sequence", "type", "domain", "trigger", "index", "schema")
_CONSTRAINTS: Final = ("constraint", "check", "unique", "primary", "foreign", "exclude")
_INSTEAD: Final = "add what is new beside it, fill it, and let the old one go a release later"


@dataclass(slots=True)
class Schema:
    """What the last release has of a schema: columns by table, checks by table and name.

    A column that was ever made stays here. `keys` are constraints that make rows unique, by table and name,
    `unique` indexes that do. `others` are views, functions, triggers and the like, `deletes` the tables whose
    rows the service may delete.
    """

    columns: dict[str, set[str]] = field(default_factory=dict)
    checks: dict[tuple[str, str], Statement] = field(default_factory=dict)
    keys: set[tuple[str, str]] = field(default_factory=set)
    others: set[str] = field(default_factory=set)
    unique: set[str] = field(default_factory=set)
    deletes: frozenset[str] = frozenset()

    def learn(self, migration: str) -> None:
        """Notes what a migration makes on its way up."""
        for statement in statements(_up(migration)):
            words = _words(statement)
            if words[:2] == ["alter", "table"]:
                table, actions = _altered(statement)
                for action in actions:
                    if action[0].text == "add":
                        self._learn_part(table, _added(action))
            elif words[0] == "create":
                self._learn_created(statement, words)

    def _learn_created(self, statement: Statement, words: Sequence[str]) -> None:
        kind, at = _created(words)
        name = _name(statement, at)
        if kind == "table":
            self.columns.setdefault(name, set())
            for part in parts(bracketed(statement, at)):
                self._learn_part(name, part)
        elif kind == "index":
            if "unique" in words[:at]:
                self.unique.add(name)
        else:
            self.others.add(name)

    def _learn_part(self, table: str, part: Statement) -> None:
        if not _is_constraint(part):
            self.columns.setdefault(table, set()).add(part[0].text)
        elif part[0].text == "constraint" and part[2].text in ("unique", "primary", "exclude"):
            self.keys.add((table, part[1].text))
        self.checks.update(((table, name), check) for name, check in _checks_of(table, part))


class Judge:
    """Judges migrations that the last release does not have. `known` are the versions of all releases."""

    def __init__(self, before: Schema, known: Sequence[str]) -> None:
        self._before = before
        self._known = known
        self._last = known[-1]
        self._contracts: Mapping[str, str] = {}
        self._beside: frozenset[str] = frozenset()

    def faults(self, migration: str) -> list[str]:
        """What speaks against a migration: a sentence each, with what to do."""
        up = _up(migration)
        self._contracts = {thing: version for version, thing in _CONTRACT.findall(up)}
        told = _BESIDE.findall(up)
        self._beside = frozenset(thing for version, thing in told if version == self._last)
        found = [*self._contracts_too_early(), *self._reasons_too_old(told)]
        for statement in statements(up):
            found += self._statement(statement)
        return found

    def _contracts_too_early(self) -> Iterator[str]:
        for thing, version in self._contracts.items():
            if version not in self._known:
                yield (
                    f"{version} is said to have stopped using {thing}, and the last release is {self._last}, "
                    f"which still uses it: wait until {version} is released"
                )

    def _reasons_too_old(self, told: Iterable[tuple[str, str]]) -> Iterator[str]:
        for version, thing in told:
            if version != self._last:
                yield (
                    f"{thing} is let through beside {version}, and the last release is {self._last}: "
                    "say why it is harmless to that one"
                )

    def _statement(self, statement: Statement) -> list[str]:
        words = _words(statement)
        first = words[0]
        if first in _HARMLESS or (words[:2] == ["alter", "type"] and words[3:5] == ["add", "value"]):
            return []
        if words[:2] == ["alter", "table"]:
            table, actions = _altered(statement)
            return (
                [fault for action in actions for fault in self._action(table, action)]
                if self._has(table)
                else []
            )
        if first == "create":
            return self._create(statement, words)
        if first == "drop":
            return self._drop(statement, words)
        if first in ("update", "delete", "truncate"):
            return self._rows(statement, words)
        return self._unless_beside(first, f"what {' '.join(words[:3])} ... does is not known here")

    def _create(self, statement: Statement, words: Sequence[str]) -> list[str]:
        kind, at = _created(words)
        if kind == "table":
            return self._references(_name(statement, at), statement)
        if kind == "index" and "unique" in words[:at]:
            on, name = words.index("on"), _name(statement, at)
            return self._refusing(
                _name(statement, on + 1), bracketed(statement, on), f"the unique index {name}", name
            )
        if kind == "trigger":
            name, table = _name(statement, at), _name(statement, words.index("on") + 1)
            if self._has(table):
                return self._unless_beside(
                    name, f"the trigger {name} changes or refuses what is written to {table}"
                )
        return [] if kind in _CREATED else [f"create {kind} is not known here: {_INSTEAD}"]

    def _drop(self, statement: Statement, words: Sequence[str]) -> list[str]:
        kind = words[1]
        at = 2 + (words[2] == "concurrently")
        at += 2 * (words[at] == "if")
        has = {"table": self._before.columns, "index": self._before.unique}.get(kind, self._before.others)
        names = {_name(part, 0) for part in parts(statement[at:])} & set(has)
        if kind == "index":
            names -= self._beside  # another one may take its place
        return [fault for name in sorted(names) for fault in self._unless_contract(f"{kind} {name}", name)]

    def _rows(self, statement: Statement, words: Sequence[str]) -> list[str]:
        at = 1 + (words[1] in ("only", "table", "from"))
        table = _name(statement, at + (words[at] == "only"))
        if not self._has(table):
            return []
        if words[0] == "update" and not _set_columns(statement) & self._before.columns[table]:
            return []
        return self._unless_beside(
            table, f"{words[0]} of {table} changes what the release before has written"
        )

    def _action(self, table: str, action: Statement) -> list[str]:
        words = _words(action)
        if words[0] == "add":
            added = _added(action)
            return (
                self._add_constraint(table, added)
                if _is_constraint(added)
                else self._add_column(table, added)
            )
        if words[:2] == ["drop", "constraint"]:
            return self._drop_constraint(table, _named(action, 2))
        if words[0] == "drop":
            column = _named(action, 1 + (words[1] == "column"))
            is_old = column in self._before.columns[table]
            return self._unless_contract(f"column {table}.{column}", f"{table}.{column}") if is_old else []
        if words[0] == "alter":
            return self._alter_column(table, action, words)
        if words[0] == "validate" or words[:2] == ["set", "("]:
            return []
        return [f"{' '.join(words[:3])} of {table} is not harmless to the release before: {_INSTEAD}"]

    def _add_column(self, table: str, added: Statement) -> list[str]:
        words = _words(added)
        column, says = f"{table}.{words[0]}", " ".join(words)
        found = self._references(table, added)
        if "not null" in says and not {"default", "generated"} & set(words):
            found.append(
                f"{column} is NOT NULL without a default, and the release before writes rows without it: "
                "give it a default, or leave it nullable"
            )
        if {"unique", "primary"} & set(words):
            found.append(
                f"{column} is unique, and rows of the release before all have its default: {_INSTEAD}"
            )
        return found + [
            fault for _, check in _checks_of(table, added) for fault in self._check(table, column, check)
        ]

    def _add_constraint(self, table: str, added: Statement) -> list[str]:
        at = 2 * (added[0].text == "constraint")
        kind, name = added[at].text, added[1].text if at else table
        if kind == "check":
            return [
                fault
                for called, check in _checks_of(table, added)
                if not _is_wider(check, self._before.checks.get((table, called), ()))
                for fault in self._check(table, called, check)
            ]
        if kind == "foreign":
            found = self._refusing(table, bracketed(added, at), "a foreign key", name)
            return found + self._references(table, added)
        return self._refusing(table, bracketed(added, at), kind, name)

    def _check(self, table: str, name: str, check: Statement) -> list[str]:
        old = _names(check) & self._before.columns[table]
        if not old:
            return []
        fault = f"the check {name} of {table} may refuse {_listed(old)} as the release before writes it"
        return self._unless_beside(name, fault)

    def _refusing(self, table: str, columns: Statement, what: str, thing: str) -> list[str]:
        """What lets in only some rows, where it asks for columns that the release before writes."""
        named = _names(columns)
        if not self._has(table) or not named & self._before.columns[table]:
            return []
        fault = f"{what} on {_listed(named)} of {table} may refuse what the release before writes"
        return self._unless_beside(thing, fault)

    def _drop_constraint(self, table: str, name: str) -> list[str]:
        """A check that goes lets more in. Statements say ON CONFLICT of a key, and rely on it."""
        if not name.endswith(("_key", "_pkey", "_excl")) and (table, name) not in self._before.keys:
            return []
        return self._unless_contract(f"constraint {name} of {table}", f"{table}.{name}")

    def _alter_column(self, table: str, action: Statement, words: Sequence[str]) -> list[str]:
        at = 1 + (words[1] == "column")
        column, does = f"{table}.{words[at]}", list(words[at + 1 : at + 4])
        if words[at] not in self._before.columns[table] or does[:2] in _HOW_IT_IS_KEPT:
            return []
        if does == ["set", "not", "null"] or does[:2] == ["drop", "default"]:
            return self._unless_contract(f"that {column} may be left out", column)
        if does == ["drop", "not", "null"]:
            return [f"{column} may be null then, and the release before expects a value: {_INSTEAD}"]
        return [f"{column} changes, and the release before reads and writes it as it was: {_INSTEAD}"]

    def _references(self, table: str, part: Statement) -> list[str]:
        """A row that an older service deletes must be free to go."""
        words = _words(part)
        targets = [
            (_name(part, place + 1), place) for place, word in enumerate(words) if word == "references"
        ]
        return [
            f"{table} refers to {target}, whose rows the release before deletes: say ON DELETE CASCADE"
            for target, place in targets
            if self._has(target)
            and target in self._before.deletes
            and "on delete cascade" not in " ".join(words[place : place + 16])
        ]

    def _has(self, table: str) -> bool:
        return table in self._before.columns

    def _unless_contract(self, what: str, thing: str) -> list[str]:
        if thing in self._contracts:
            return []  # that its release exists is asked once for each contract
        when = f"{self._last}, which runs while this is applied"
        say = f"once a release is out that does not use it, say: -- contract: VERSION stopped using {thing}"
        return [f"{what} is used by {when}; {say}"]

    def _unless_beside(self, thing: str, fault: str) -> list[str]:
        if thing in self._beside:
            return []
        return [f"{fault}: {_INSTEAD}; or say why it is harmless: -- beside {self._last}: {thing}, since ..."]


def faults(root: Path = ROOT) -> list[str]:
    """What speaks against the migrations of a tree, with their paths."""
    known = releases(root)
    last = known[-1]
    found = []
    if hash_of_migrations(last.newest_migration, root) != last.migrations:
        found.append(
            f"migrations up to {last.newest_migration} are not those of {last.version}: what was released "
            "never changes, and a new one comes after all others (make new-migration)"
        )
    for service in (SHARED, *SERVICES):
        judge = Judge(schema_of(last, service, root), [release.version for release in known])
        for file in _of(service, root):
            if version_of(file) > last.newest_migration:
                text = file.read_text(encoding="utf-8")
                found += [f"{file.relative_to(root).as_posix()}: {fault}" for fault in judge.faults(text)]
    return found


def schema_of(release: Release, service: str, root: Path = ROOT) -> Schema:
    """The schema of a service as a release has it; for `shared` what all of them have."""
    schema = Schema(deletes=_deleted(service, root))
    for place in dict.fromkeys((SHARED, service)):
        for file in _of(place, root):
            if version_of(file) <= release.newest_migration:
                schema.learn(file.read_text(encoding="utf-8"))
    return schema


def _of(service: str, root: Path) -> list[Path]:
    return [file for file in migrations(root) if file.parent == root / folder_of(service)]


def _deleted(service: str, root: Path) -> frozenset[str]:
    """The tables whose rows a service may delete: rights are only ever added to."""
    text = (root / "deploy" / "postgres" / "rights.sql").read_text(encoding="utf-8")
    told = _RIGHTS.search(text)
    assert told is not None, "deploy/postgres/rights.sql does not say its rights as it did"
    rights = orjson.loads(told.group(1))
    tables = {**rights["*"], **rights.get(service, {})}
    return frozenset(table for table, may in tables.items() if "delete" in may)


def _up(migration: str) -> str:
    return migration.partition("-- migrate:down")[0]


def _words(statement: Statement) -> list[str]:
    return [token.text for token in statement]


def _name(statement: Statement, at: int) -> str:
    """The name at this place, without its schema; empty where there is none."""
    if at + 2 < len(statement) and statement[at + 1].text == ".":
        at += 2
    return statement[at].text if at < len(statement) and statement[at].is_name else ""


def _named(statement: Statement, at: int) -> str:
    return _name(statement, at + 2 * (statement[at].text == "if"))


def _created(words: Sequence[str]) -> tuple[str, int]:
    """What a CREATE makes, and the place of its name."""
    at = next((place for place, word in enumerate(words) if word in _CREATED), 1)
    kind = words[at]
    at += 1 + (words[at + 1] == "concurrently")
    return kind, at + 3 * (words[at] == "if")


def _altered(statement: Statement) -> tuple[str, list[Statement]]:
    """The table of an ALTER TABLE, and what is done to it."""
    words = _words(statement)
    at = 2 + 2 * (words[2] == "if")
    at += words[at] == "only"
    rest = statement[at + 1 + 2 * (words[at + 1] == ".") :]
    return _name(statement, at), parts(rest)


def _added(action: Statement) -> Statement:
    """What an ADD adds: a column or a constraint."""
    words = _words(action)
    at = 1 + (words[1] == "column")
    return action[at + 3 * (words[at] == "if") :]


def _is_constraint(part: Statement) -> bool:
    return part[0].kind == "word" and part[0].text in (*_CONSTRAINTS, "like")


def _checks_of(table: str, part: Statement) -> Iterator[tuple[str, Statement]]:
    """The checks of a column or of a constraint, each under the name that PostgreSQL gives it."""
    words = _words(part)
    for at, word in enumerate(words):
        if word == "check" and part[at].kind == "word":
            check = bracketed(part, at)
            if at >= 2 and words[at - 2] == "constraint":
                yield words[at - 1], check
            else:
                column = "" if _is_constraint(part) else f"_{words[0]}"
                yield f"{table}{column}_check", check


def _names(statement: Statement) -> set[str]:
    """What may be a column in an expression."""
    return {token.text for token in statement if token.is_name}


def _set_columns(statement: Statement) -> set[str]:
    """The columns that an UPDATE sets."""
    words = _words(statement)
    changes = statement[words.index("set") + 1 :]
    stops = [
        place
        for place, token in enumerate(changes)
        if token.kind == "word" and token.text in ("where", "from")
    ]
    found: set[str] = set()
    for part in parts(changes[: min(stops, default=len(changes))]):
        found |= _names(part[: _words(part).index("=")])
    return found


def _is_wider(check: Statement, before: Statement) -> bool:
    """Whether a check is the one before, but for further texts in its IN lists."""
    known = {token.text for token in before if token.kind == "text"}
    if not before or "not" in _words(check):
        return False

    def shape(tokens: Statement) -> list[str]:
        return [t.text for t in tokens if t.text != "," and (t.kind != "text" or t.text in known)]

    return shape(check) == shape(before)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def main() -> int:
    """0 when nothing speaks against any migration, else 1 with a line for each fault."""
    found = faults()
    for fault in found:
        print(fault, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
