"""`make new-event` writes the parts of an event type that follow from its name; tests name the others."""

import json
import re
from pathlib import Path

import pytest

from devtools import new_event
from devtools.new_event import EXAMPLES, SUBJECTS, asked_for, golden_text, prepare, write_schemas
from devtools.tree import Tree
from shared.events import fields
from tests.support import contributing
from tests.support.copies import ROOT, Copy

CHECKS = [
    f"tests/contracts/test_{name}.py"
    for name in ("every_type_is_whole", "golden_documents", "routes", "docs_events", "bad_input")
]
SLOW = ("--deselect", f"{CHECKS[3]}::test_every_refusal_that_simulated_histories_end_with_is_listed")
NOTE = "partner.note_added.v1"
NEW = "partner.new.v1"
GREETED = "partner.greeted.v1"
HANDLED = "partner.handled.v1"
PARTS = ("golden", "schema", "guide", "bad_input", "owner", "catalogue", "meaning")
NOTE_FIELDS = "note:Text noted_at:Instant? lines:Lines?"
HANDLER = """
from shared.events import checkout


def note_handled(world: World, event: Event[checkout.PartnerHandled], context: Context) -> Outcome:
    return Applied()


ROUTES: dict[str, Route] = {
    "partner.handled.v1": Route(note_handled),
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A repository with the event that CONTRIBUTING.md adds, and others that are not whole."""
    copy = Copy.at(tmp_path_factory.mktemp("new-event"))
    for target in ("new-event", "new-migration"):
        made = copy.run(*contributing.command(target))
        assert made.returncode == 0, made.stderr
    contributing.follow(copy)
    tree = Tree(copy.root)
    prepare(tree, asked_for(GREETED, writer="orders", about="partner"))
    prepare(tree, asked_for(NEW, owner="orders", fields="lines:Lines? lines_again:Lines day:Day"))
    for name in (HANDLED, *(f"partner.without_{part}.v1" for part in PARTS)):
        prepare(tree, asked_for(name, owner="orders"))
    tree.tidy()
    tree.write()
    write_schemas(copy.root)
    return copy


@pytest.fixture(scope="module")
def failed(copy: Copy) -> dict[str, str]:
    """What the tests say when one event has a handler only, and each of seven lacks another part."""
    copy.replace("services/orders/handlers.py", "\nROUTES: dict[str, Route] = {\n", HANDLER)
    (copy.root / "shared/events/examples/checkout.events/partner.without_golden.v1.json").unlink()
    (copy.root / "shared/events/schemas/partner.without_schema.v1.json").unlink()
    copy.remove("docs/events.md", r"\| `partner.without_guide.v1` .*\n")
    copy.remove("tests/contracts/test_bad_input.py", r' *"partner.without_bad_input.v1": \([^)]*\),\n')
    copy.remove("tests/contracts/test_golden_documents.py", r' *"partner.without_owner.v1": .*\n')
    copy.remove("shared/events/catalogue.py", r' *_upstream\(\s*"partner.without_catalogue.v1"[^)]*\),\n')
    copy.remove("shared/events/checkout.py", r"partner.without_meaning.v1: ")
    stories = ("tests/unit/orders/test_partners.py", "tests/unit/setup/test_migration_files.py")
    return copy.failures(*CHECKS, *stories, *SLOW, "-k", f"not test_bad_input or {NOTE} or {NEW} or table")


def about(failed: dict[str, str], name: str) -> set[str]:
    """The tests that failed and name a type in the first line of what they say, or are about it alone."""
    return {test for test, said in failed.items() if name in test or name in said.partition("\n")[0]}


def test_what_is_made_is_as_the_linters_want_it(copy: Copy) -> None:
    made = ["shared/events", "tests/contracts/test_bad_input.py", "tests/contracts/test_golden_documents.py"]

    for command in (["check"], ["format", "--check"]):
        linted = copy.run("-m", "ruff", *command, "--no-cache", *made)
        assert linted.returncode == 0, linted.stdout


def test_the_event_of_contributing_lacks_nothing(failed: dict[str, str]) -> None:
    """Its commands and its blocks, put where it says; with the story that it tells and its migration."""
    assert {test for test in failed if "note" in test} == about(failed, NOTE) == set()


def test_an_upstream_event_lacks_nothing_but_its_handler(failed: dict[str, str]) -> None:
    assert about(failed, NEW) == {f"test_the_owner_of_an_upstream_type_has_a_handler_for_it[{NEW}]"}


def test_an_event_of_our_own_lacks_nothing_but_its_place_in_the_readme(failed: dict[str, str]) -> None:
    assert about(failed, GREETED) == {
        f"test_the_readme_of_a_service_says_when_it_says_something[orders-{GREETED}]"
    }


def test_a_handler_alone_is_not_enough(failed: dict[str, str]) -> None:
    assert about(failed, HANDLED) == {
        f"test_the_readme_of_a_service_says_what_happens_on_what_it_reads[orders-{HANDLED}]",
        f"test_a_test_of_the_service_or_a_simulated_history_says_what_it_reads[orders-{HANDLED}]",
    }


@pytest.mark.parametrize(
    ("part", "test"),
    [
        ("golden", "test_every_type_has_a_golden_document"),
        ("schema", "test_every_type_has_a_schema_file_and_no_other_is_there"),
        ("guide", "test_what_checkout_may_say_is_listed_with_who_answers"),
        ("bad_input", "test_the_table_covers_every_inbound_type"),
        ("owner", "test_the_table_of_owners_covers_every_inbound_type"),
        ("catalogue", "test_every_golden_document_is_of_a_type_in_the_catalogue"),
        ("meaning", "test_a_model_begins_with_the_type_and_its_meaning[partner.without_meaning.v1]"),
    ],
)
def test_a_part_that_is_forgotten_is_missed_by_name(part: str, test: str, failed: dict[str, str]) -> None:
    assert f"partner.without_{part}.v1" in test + failed[test]


def test_a_dry_run_shows_everything_and_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert new_event.main([NOTE, "--owner", "orders", "--fields", NOTE_FIELDS, "--dry-run"]) == 0

    shown = capsys.readouterr().out
    assert "+class PartnerNoteAdded(Data):" in shown
    assert "+    noted_at: Instant | None = None" in shown
    assert "+| `partner.note_added.v1` | `partner_id`, `note`, [`noted_at`], [`lines`] | orders |" in shown
    assert "Nothing was written." in shown
    assert not list(ROOT.glob(f"shared/events/*/*/{NOTE}.json"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["partner.changed.v1", "--owner", "invoices"], "is in the catalogue already"),
        (["note"], "'note' is no name of an event type"),
        (["Partner.NoteAdded.v1", "--owner", "orders"], "in small letters"),
        (["partner.note_added", "--owner", "orders"], "is no name of an event type"),
        (["order.paid_.v1", "--owner", "orders"], "is no name of an event type"),
        ([NOTE], "OWNER=orders|serials|refunds|invoices"),
        ([NOTE, "--owner", "orders", "--writer", "orders"], "say who decides"),
        ([NOTE, "--owner", "shipping"], "there is no service 'shipping'"),
        ([NOTE, "--owner", "orders", "--about", "line"], "ABOUT=order|partner"),
        ([NOTE, "--owner", "orders", "--fields", "note"], "write name:Kind or name:Kind?"),
        ([NOTE, "--owner", "orders", "--fields", "note:Poem"], "Kind one of Id, Name, Text"),
        ([NOTE, "--owner", "orders", "--fields", "partner_id:Id"], "the field partner_id is there already"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_with_a_way_out(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert new_event.main(arguments) == 2

    told = capsys.readouterr()
    assert told.out == ""
    assert said in told.err


def test_no_two_types_get_a_model_of_one_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert new_event.main(["partner_withdrawal.requested.v1", "--owner", "orders"]) == 2

    said = capsys.readouterr().err
    assert "shared/events/checkout.py has a class PartnerWithdrawalRequested already" in said


def test_every_kind_of_field_has_an_example() -> None:
    source = Path(fields.__file__).read_text(encoding="utf-8")
    kinds = set(re.findall(r"^([A-Z][A-Za-z]+) = Annotated\[", source, re.MULTILINE)) - {"Subject"}

    assert kinds == set(EXAMPLES) - {"bool"}


@pytest.mark.parametrize("subject", SUBJECTS)
def test_an_event_of_our_own_may_be_about_anything_that_has_a_sequence(subject: str) -> None:
    document = json.loads(golden_text(asked_for("thing.seen.v1", writer="invoices", about=subject)))

    assert document["headers"]["ce_sequence"] == "1"
    assert document["key"] in document["data"].values()
    assert document["headers"]["ce_subject"].rpartition("/")[2] in document["data"].values()
