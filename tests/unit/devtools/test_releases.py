"""Releases are named in the tree: each with its version, its commit and its migrations."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from devtools.releases import (
    ROOT,
    entry_of_this_commit,
    hash_of_migrations,
    last_release,
    numbers_of,
    releases,
)
from shared import __version__

HEADING = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$", re.MULTILINE)


def test_releases_follow_each_other_and_name_whole_commits() -> None:
    for before, after in pairwise(releases()):
        assert before.numbers < after.numbers
        assert before.newest_migration <= after.newest_migration
    assert all(re.fullmatch(r"[0-9a-f]{40}", release.commit) for release in releases())
    assert len({release.commit for release in releases()}) == len(releases())


def test_this_tree_says_a_version_that_comes_after_the_last_release() -> None:
    """Two processes that run beside each other are told apart by it."""
    assert numbers_of(__version__.removesuffix(".dev0")) > last_release().numbers


def test_the_changelog_has_a_heading_for_each_release() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    told = [version for version in HEADING.findall(text) if version != __version__]

    assert text.index("## [Unreleased]") < text.index(f"## [{told[0]}]")
    assert told == [release.version for release in reversed(releases())]


@pytest.mark.parametrize("version", ["0.3", "0.3.0.dev0", "next"])
def test_a_version_has_three_numbers(version: str) -> None:
    with pytest.raises(ValueError, match="write it as"):
        numbers_of(version)


def test_the_hash_is_of_names_and_contents_up_to_the_newest(tmp_path: Path) -> None:
    folder = tmp_path / "services" / "orders" / "migrations"
    folder.mkdir(parents=True)
    (folder / "20261122000101_orders.sql").write_text("one")
    (folder / "20261122000103_later.sql").write_text("two")

    first = hash_of_migrations("20261122000102", tmp_path)
    (folder / "20261122000103_later.sql").write_text("three")
    assert hash_of_migrations("20261122000102", tmp_path) == first

    (folder / "20261122000102_between.sql").write_text("")
    assert hash_of_migrations("20261122000102", tmp_path) != first


def test_the_entry_of_a_commit_is_what_the_file_says_of_a_release() -> None:
    entry = entry_of_this_commit()

    assert [line.partition(" = ")[0] for line in entry.splitlines()] == [
        "[[release]]",
        *last_release()._fields,
    ]
    assert f'version = "{__version__}"' in entry
