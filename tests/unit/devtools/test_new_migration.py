"""`make new-migration` makes an empty migration that is applied after all others."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from devtools import new_migration
from devtools.new_migration import SHARED, folder_of, next_version, prepare
from devtools.tree import Refused, Tree
from shared.events.catalogue import SERVICES

AT = datetime(2031, 3, 4, 5, 6, 7, tzinfo=UTC)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A repository in which orders has one migration and all services share an earlier one."""
    for service in (SHARED, *SERVICES):
        (tmp_path / folder_of(service)).mkdir(parents=True)
    (tmp_path / folder_of(SHARED) / "20310101000000_runtime.sql").touch()
    (tmp_path / folder_of("orders") / "20310102235959_orders.sql").touch()
    return Tree(tmp_path)


def test_a_migration_is_named_after_the_instant_at_which_it_is_made(tree: Tree) -> None:
    path = prepare(tree, "refunds", "add_note", AT)
    tree.write()

    assert path == "services/refunds/migrations/20310304050607_add_note.sql"
    text = (tree.root / path).read_text()
    assert text.index("-- migrate:up\n") < text.index("-- migrate:down\n")


def test_it_is_never_before_the_last_one_of_any_schema(tree: Tree) -> None:
    """Whoever made the last one had a clock that was ahead, or is in another time zone."""
    assert next_version(tree.root, datetime(2030, 1, 1, tzinfo=UTC)) == "20310103000000"


def test_two_made_in_one_second_have_different_versions(tree: Tree) -> None:
    for name in ("one", "other"):
        prepare(tree, "orders", name, AT)
        tree.write()

    made = sorted(path.name for path in (tree.root / folder_of("orders")).glob("*o*er.sql"))
    assert made == ["20310304050608_other.sql"]


def test_a_migration_for_every_service_lies_with_the_shared_ones(tree: Tree) -> None:
    assert prepare(tree, SHARED, "add_note", AT).startswith("shared/runtime/migrations/")


@pytest.mark.parametrize(
    ("service", "name", "said"),
    [
        ("shipping", "add_note", "there is no service 'shipping'"),
        ("", "add_note", "SERVICE is one of orders, serials, refunds, invoices, console, or shared"),
        ("orders", "", "NAME=add_note"),
        ("orders", "Add note", "in small letters"),
        ("orders", "orders", "20310102235959_orders.sql has that name already"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(tree: Tree, service: str, name: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        prepare(tree, service, name, AT)


def test_a_dry_run_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(new_migration.ROOT.glob("services/*/migrations/*.sql"))

    assert new_migration.main(["orders", "add_note", "--dry-run"]) == 0

    assert "+-- migrate:up" in capsys.readouterr().out
    assert sorted(new_migration.ROOT.glob("services/*/migrations/*.sql")) == before


def test_a_refusal_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert new_migration.main(["shipping", "add_note"]) == 2

    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("new-migration: there is no service 'shipping'")
    assert len(told.err.splitlines()) == 1
