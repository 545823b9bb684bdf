"""A migration adds first, and takes away a release later: what is refused, and what it says then."""

import shutil
from pathlib import Path

import pytest

from devtools.expand_first import Judge, Schema, faults, main
from devtools.releases import ROOT, last_release, migrations
from devtools.sql_tokens import statements

BEFORE = """\
-- migrate:up
CREATE TABLE notes (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind    text NOT NULL CHECK (kind IN ('short', 'long')),
    text    text NOT NULL DEFAULT '',
    "order" text,
    CONSTRAINT long_notes_say_something CHECK (CASE WHEN kind IN ('long') THEN text <> '' ELSE true END),
    CONSTRAINT one_of_an_order UNIQUE ("order"),
    UNIQUE (kind, text)
);
CREATE TABLE lines (note_id bigint PRIMARY KEY);
CREATE UNIQUE INDEX notes_open ON notes (text) WHERE kind = 'short';
CREATE INDEX notes_kind ON notes (kind);
CREATE FUNCTION forget_notes(most integer) RETURNS bigint LANGUAGE sql BEGIN ATOMIC
    WITH gone AS (DELETE FROM notes RETURNING CASE WHEN kind = 'long' THEN 1 END)
    SELECT count(*) FROM gone;
END;
CREATE VIEW titles AS SELECT text FROM notes;
-- migrate:down
DROP TABLE notes;
"""

EXPANDING = {
    "a table": "CREATE TABLE pages (page_id bigint PRIMARY KEY, line bigint NOT NULL CHECK (line > 0));",
    "a nullable column": "ALTER TABLE notes ADD COLUMN page bigint;",
    "a column with a default": "ALTER TABLE notes ADD page integer NOT NULL DEFAULT 0 CHECK (page > 0);",
    "several columns": "ALTER TABLE notes ADD a text, ADD COLUMN IF NOT EXISTS b json NOT NULL DEFAULT '{}';",
    "a check over new columns": """
        ALTER TABLE notes ADD COLUMN a text, ADD b text, ADD CONSTRAINT ab CHECK (a IS NULL OR b IS NULL);""",
    "further words": """
        ALTER TABLE notes DROP CONSTRAINT notes_kind_check,
            ADD CONSTRAINT notes_kind_check CHECK (kind IN ('short', 'long', 'drawn'));""",
    "further words in a condition": """
        ALTER TABLE notes DROP CONSTRAINT long_notes_say_something, ADD CONSTRAINT long_notes_say_something
            CHECK (CASE WHEN kind IN ('long', 'drawn') THEN text <> '' ELSE true END);""",
    "a check that goes": "ALTER TABLE notes DROP CONSTRAINT long_notes_say_something;",
    "an index": "CREATE INDEX notes_text ON notes (text); DROP INDEX notes_kind;",
    "a unique index of a new column": """
        ALTER TABLE notes ADD COLUMN page bigint; CREATE UNIQUE INDEX notes_page ON notes (page);""",
    "what is new is filled": """
        ALTER TABLE notes ADD COLUMN page bigint; UPDATE notes SET page = 1 WHERE kind = 'short';""",
    "a function anew": """
        CREATE OR REPLACE FUNCTION forget_notes(most integer) RETURNS bigint LANGUAGE sql AS 'SELECT 1;';""",
    "a foreign key that lets go": """
        CREATE TABLE p (note bigint REFERENCES notes ON DELETE CASCADE, line bigint REFERENCES lines);""",
    "what no release has": """
        CREATE TABLE pages (page_id bigint, line bigint);
        ALTER TABLE pages DROP COLUMN line, ALTER page_id TYPE text; ALTER TABLE pages RENAME TO leaves;""",
    "a table that inherits": """
        CREATE TABLE notes_again (PRIMARY KEY (id)) INHERITS (notes);
        ALTER TABLE notes_again ALTER id SET DEFAULT nextval('notes_id_seq'), ALTER text SET NOT NULL;""",
    "how a column is kept": """
        ALTER TABLE notes ALTER COLUMN text SET STORAGE EXTERNAL, ALTER text SET STATISTICS 0;""",
    "a time for locks": "SET LOCAL lock_timeout = '10s'; COMMENT ON TABLE notes IS 'DROP TABLE notes;';",
    "what only a comment says": """
        -- DROP TABLE notes;
        /* ALTER TABLE notes RENAME TO leaves; */ SET LOCAL lock_timeout = '1s';""",
}

KIND_ANEW = "ALTER TABLE notes DROP CONSTRAINT notes_kind_check, ADD CONSTRAINT notes_kind_check"
BREAKING = [
    ("DROP TABLE notes;", "table notes is used by 0.2.0"),
    ("DROP TABLE IF EXISTS pages, orders.notes CASCADE;", "table notes is used by 0.2.0"),
    ("DROP VIEW titles;", "view titles is used by 0.2.0"),
    ("DROP FUNCTION forget_notes(integer);", "function forget_notes is used by 0.2.0"),
    ("DROP INDEX CONCURRENTLY notes_open;", "index notes_open is used by 0.2.0"),
    ("ALTER TABLE notes DROP COLUMN text;", "column notes.text is used by 0.2.0"),
    ('ALTER TABLE ONLY notes DROP IF EXISTS "order";', "column notes.order is used by 0.2.0"),
    ("ALTER TABLE notes DROP CONSTRAINT notes_pkey;", "constraint notes_pkey of notes is used by 0.2.0"),
    (
        "ALTER TABLE notes DROP CONSTRAINT one_of_an_order;",
        "constraint one_of_an_order of notes is used by 0.2.0",
    ),
    ("ALTER TABLE notes RENAME TO leaves;", "rename to leaves of notes is not harmless"),
    ("ALTER TABLE notes RENAME COLUMN text TO words;", "rename column text of notes is not harmless"),
    ("ALTER TABLE notes SET SCHEMA other;", "set schema other of notes is not harmless"),
    ("ALTER TABLE notes ENABLE ROW LEVEL SECURITY;", "enable row level of notes is not harmless"),
    ("ALTER TABLE notes ALTER COLUMN text TYPE varchar(10);", "notes.text changes"),
    ("ALTER TABLE notes ALTER text SET DATA TYPE json USING text::json;", "notes.text changes"),
    ("ALTER TABLE notes ALTER COLUMN text DROP DEFAULT;", "that notes.text may be left out is used by 0.2.0"),
    ('ALTER TABLE notes ALTER "order" SET NOT NULL;', "that notes.order may be left out is used by 0.2.0"),
    ("ALTER TABLE notes ALTER text DROP NOT NULL;", "notes.text may be null then"),
    ("ALTER TABLE notes ADD COLUMN page bigint NOT NULL;", "notes.page is NOT NULL without a default"),
    ("ALTER TABLE notes ADD page bigint DEFAULT 1 UNIQUE;", "notes.page is unique"),
    ("ALTER TABLE notes ADD CONSTRAINT x CHECK (text <> '');", "the check x of notes may refuse text"),
    ("ALTER TABLE notes ADD CHECK (text <> '') NOT VALID;", "the check notes_check of notes may refuse text"),
    (
        "ALTER TABLE notes ADD a text CHECK (a IS NULL OR kind = 'long');",
        "the check notes.a of notes may refuse kind",
    ),
    ("ALTER TABLE notes ADD UNIQUE (text);", "unique on text of notes may refuse"),
    (
        "ALTER TABLE notes ADD CONSTRAINT k FOREIGN KEY (kind) REFERENCES kinds;",
        "a foreign key on kind of notes may refuse",
    ),
    (
        "CREATE UNIQUE INDEX notes_text ON notes (lower(text));",
        "the unique index notes_text on lower, text of notes may refuse",
    ),
    ("CREATE TABLE pages (note_id bigint REFERENCES notes (id));", "say ON DELETE CASCADE"),
    ("ALTER TABLE notes ADD COLUMN above bigint REFERENCES notes;", "say ON DELETE CASCADE"),
    ("CREATE TRIGGER t BEFORE INSERT ON notes EXECUTE FUNCTION f();", "the trigger t changes or refuses"),
    ("CREATE RULE r AS ON DELETE TO notes DO INSTEAD NOTHING;", "create rule is not known here"),
    (
        "UPDATE notes SET (page, text) = (1, '');",
        "update of notes changes what the release before has written",
    ),
    ("DELETE FROM ONLY notes;", "delete of notes changes"),
    ("TRUNCATE TABLE notes;", "truncate of notes changes"),
    ("DO $$ BEGIN DROP TABLE notes; END $$;", "what do"),
    ("REVOKE SELECT ON notes FROM pawl_orders;", "what revoke select on ... does is not known here"),
    (
        f"{KIND_ANEW} CHECK (kind IN ('short'));",
        "the check notes_kind_check of notes may refuse kind",
    ),
    (
        f"{KIND_ANEW} CHECK (kind NOT IN ('short', 'long', 'drawn'));",
        "the check notes_kind_check of notes may refuse kind",
    ),
]


@pytest.fixture
def judge() -> Judge:
    """Beside release 0.2.0, which may delete notes and no lines."""
    before = Schema(deletes=frozenset({"notes"}))
    before.learn(BEFORE)
    return Judge(before, ["0.1.0", "0.2.0"])


def migration(up: str) -> str:
    return f"-- migrate:up\n{up}\n-- migrate:down\nDROP TABLE notes;\n"


@pytest.mark.parametrize("up", EXPANDING.values(), ids=EXPANDING)
def test_what_is_added_is_let_through(judge: Judge, up: str) -> None:
    assert judge.faults(migration(up)) == []


@pytest.mark.parametrize(("up", "fault"), BREAKING)
def test_what_the_release_before_needs_is_kept(judge: Judge, up: str, fault: str) -> None:
    (said,) = judge.faults(migration(up))

    assert said.startswith(fault) or said.endswith(fault), said


def test_a_contract_is_let_through_once_a_release_is_out_that_does_not_use_the_thing(judge: Judge) -> None:
    contract = "-- contract: 0.2.0 stopped using notes.text\nALTER TABLE notes DROP COLUMN text;"

    assert judge.faults(migration(contract)) == []


def test_a_contract_is_refused_while_the_last_release_uses_the_thing(judge: Judge) -> None:
    early = "-- contract: 0.3.0 stopped using notes.text\nALTER TABLE notes DROP COLUMN text;"

    (said,) = judge.faults(migration(early))

    assert said == (
        "0.3.0 is said to have stopped using notes.text, and the last release is 0.2.0, which still uses it: "
        "wait until 0.3.0 is released"
    )


def test_a_contract_is_of_one_thing(judge: Judge) -> None:
    other = "-- contract: 0.2.0 stopped using notes.text\nALTER TABLE notes DROP COLUMN kind;"

    (said,) = judge.faults(migration(other))

    assert said.endswith("say: -- contract: VERSION stopped using notes.kind")


@pytest.mark.parametrize(
    "up", ["ALTER TABLE notes RENAME text TO words;", "ALTER TABLE notes ALTER text TYPE json;"]
)
def test_no_comment_lets_a_column_become_another(judge: Judge, up: str) -> None:
    said = (
        f"-- contract: 0.2.0 stopped using notes.text\n-- beside 0.2.0: notes.text, since nobody minds\n{up}"
    )

    assert len(judge.faults(migration(said))) == 1


def test_what_cannot_be_judged_is_let_through_with_a_reason_beside_this_release(judge: Judge) -> None:
    up = "ALTER TABLE notes ADD page bigint, ADD CONSTRAINT x CHECK (page IS NULL OR kind = 'long');"
    why = "-- beside 0.2.0: x, since a kind never changes\n"

    assert judge.faults(migration(why + up)) == []
    assert len(judge.faults(migration("-- beside 0.2.0: x\n" + up))) == 1, "no reason is given"
    assert len(judge.faults(migration(why.replace(": x", ": y") + up))) == 1, "another thing is let through"


def test_a_unique_index_may_take_the_place_of_another_one_with_a_reason(judge: Judge) -> None:
    up = "DROP INDEX notes_open; CREATE UNIQUE INDEX notes_open ON notes (text) WHERE kind = 'none';"
    why = "-- beside 0.2.0: notes_open, since it is unique over fewer rows, and no statement names it\n"

    assert judge.faults(migration(why + up)) == []
    assert len(judge.faults(migration(up))) == 2


def test_a_reason_is_given_anew_for_each_release(judge: Judge) -> None:
    why = "-- beside 0.1.0: x, since a kind never changes\n"
    up = "ALTER TABLE notes ADD page bigint, ADD CONSTRAINT x CHECK (page IS NULL OR kind = 'long');"

    old, missing = judge.faults(migration(why + up))

    assert old.startswith("x is let through beside 0.1.0, and the last release is 0.2.0")
    assert missing.endswith("or say why it is harmless: -- beside 0.2.0: x, since ...")


def test_texts_comments_and_functions_hide_no_statement() -> None:
    sql = "SELECT ';', E'it\\'s; ', $a$ ; $$ ; $a$ -- ;\n; /* ; */ SELECT \"a;b\";" + BEFORE

    assert [statement[0].text for statement in statements(sql)][:3] == ["select", "select", "create"]
    assert len(statements(BEFORE)) == 7


def test_nothing_speaks_against_the_migrations_of_this_tree() -> None:
    assert faults() == []


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The migrations of this tree, its releases and its rights."""
    for file in (*migrations(), ROOT / "releases.toml", ROOT / "deploy" / "postgres" / "rights.sql"):
        copy = tmp_path / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    return tmp_path


def test_a_migration_of_any_service_is_judged_against_its_own_schema_and_what_all_have(tree: Path) -> None:
    path = "services/orders/migrations/20991231235900_less.sql"
    (tree / path).write_text(migration("DROP TABLE quarantine; DROP TABLE inbox; DROP TABLE serials;"))

    assert [fault.partition(" is used by ")[0] for fault in faults(tree)] == [
        f"{path}: table quarantine",
        f"{path}: table inbox",
    ]


@pytest.mark.parametrize("name", ["20261122000101_orders.sql", "20261122000102_late.sql"])
def test_what_was_released_never_changes_and_nothing_is_put_before_it(tree: Path, name: str) -> None:
    with (tree / "services" / "orders" / "migrations" / name).open("a") as file:
        file.write("-- more\n")

    (said,) = faults(tree)

    last = last_release()
    assert said.startswith(f"migrations up to {last.newest_migration} are not those of {last.version}")


def test_the_command_says_what_is_wrong_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("devtools.expand_first.faults", lambda: ["a.sql: table notes is used by 0.2.0"])

    assert main() == 1
    assert capsys.readouterr().err == "a.sql: table notes is used by 0.2.0\n"
