"""The SQL catalogue: named, explained, and wrong at start or never."""

from pathlib import Path

import pytest

from shared.queries import load, parse

CATALOGUE = """
-- name: claim_ids
-- Remember these ids
-- and return the new ones.
INSERT INTO inbox SELECT unnest($1::text[]) -- a remark inside
ON CONFLICT DO NOTHING;

-- name: put_rows
-- Keep a record.
SELECT 1;
"""


def test_a_query_is_its_sql_and_its_story_is_kept_apart() -> None:
    queries = parse(CATALOGUE)

    assert queries.claim_ids.startswith("INSERT INTO inbox")
    assert queries.claim_ids.endswith("ON CONFLICT DO NOTHING")
    assert queries.story("claim_ids") == "Remember these ids and return the new ones."
    assert list(queries) == ["claim_ids", "put_rows"]
    assert len(queries) == 2


def test_an_unknown_name_says_which_catalogue_lacks_it() -> None:
    with pytest.raises(AttributeError, match=r"queries\.sql has no query named steal_ids"):
        _ = parse(CATALOGUE).steal_ids


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("-- name: claim_ids\nSELECT 1;", "needs a comment"),
        ("-- name: claim_ids\n-- Says something.\n", "and SQL"),
        ("-- name: ClaimIds\n-- Says.\nSELECT 1;", "lower_case_words"),
        ("-- name: a_b\n-- Says.\nSELECT 1;\n-- name: a_b\n-- Says.\nSELECT 2;", "twice"),
    ],
)
def test_a_careless_catalogue_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse(text)


def test_a_catalogue_is_found_beside_the_module(tmp_path: Path) -> None:
    (tmp_path / "queries.sql").write_text(CATALOGUE, encoding="utf-8")

    assert load(str(tmp_path / "store.py")).put_rows == "SELECT 1"
