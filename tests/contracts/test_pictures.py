"""README's pictures and docs/replay.md's figures are drawn from the recorded run of the demo."""

import pytest

from devtools.pictures import GUIDE, RECORD, draw, with_figures
from ops.replay.recording import Recording
from tests.support.guides import ROOT, codes, read, section, table

AGAIN = "`make pictures` draws it again"


@pytest.fixture(scope="module")
def recording() -> Recording:
    return Recording.read(RECORD)


@pytest.mark.parametrize("name", ["demo.svg", "order.svg", "race.svg", "architecture.svg", "serials.svg"])
def test_a_picture_is_what_the_code_draws(recording: Recording, name: str) -> None:
    assert RECORD.with_name(name).read_text(encoding="utf-8") == draw(recording)[name], AGAIN


def test_the_timeline_shows_units_refunded_issued_and_the_rest_locked(recording: Recording) -> None:
    shown = draw(recording)["order.svg"].replace("&#160;", " ")
    for step in ("refund completed", "serials issued", "refund locked", "refund rejected"):
        assert step in shown


def test_the_figures_of_the_guide_are_those_of_the_record(recording: Recording) -> None:
    assert read(GUIDE) == with_figures(read(GUIDE), recording), AGAIN


def test_every_outcome_of_the_record_has_its_row_in_the_guide(recording: Recording) -> None:
    where = section(GUIDE, "Where a line ends")
    rows = [row for part in where.split("Decided by ")[1:] for row in table(part)]
    named = {name for row in rows for name in codes(row[0])}
    assert recording.result.summary.document["outcomes"].keys() <= named
    counted = sum(int(row[2].replace(",", "")) for row in rows)

    assert counted == recording.result.summary.document["lines"]


def test_readme_shows_the_pictures_and_their_order(recording: Recording) -> None:
    readme = read(ROOT / "README.md")
    for name in draw(recording):
        assert f"docs/images/{name}" in readme
    assert f"`pawl order {recording.story.order_id}`" in readme
    assert f"{recording.result.summary.document['lines']:,} lines" in readme
