"""The guides say what the code does: test vectors, types, codes and answers."""

import json
import re
from pathlib import Path

import pytest
from aiokafka.partitioner import murmur2

from shared.events.catalogue import TYPES, UPSTREAM
from shared.events.faults import CODES
from shared.partitioner import partition_for

DOCS = Path(__file__).parents[2] / "docs"
EVENTS = (DOCS / "events.md").read_text(encoding="utf-8")
ERRORS = (DOCS / "errors.md").read_text(encoding="utf-8")
VECTORS = re.findall(r"^\| `(.+)` \| `(0x[0-9a-f]{8})` \| (\d+) \| (\d+) \| (\d+) \|$", EVENTS, re.MULTILINE)


def test_the_first_section_is_the_partitioner() -> None:
    assert EVENTS.partition("\n## ")[2].startswith("First: the partitioner, and one space of ids")
    assert len(VECTORS) >= 8


@pytest.mark.parametrize(("key", "hashed", "of_6", "of_12", "of_32"), VECTORS)
def test_a_vector_is_what_producers_and_we_compute(
    key: str, hashed: str, of_6: str, of_12: str, of_32: str
) -> None:
    assert murmur2(key.encode()) & 0xFFFFFFFF == int(hashed, 16)
    for partitions, place in ((6, of_6), (12, of_12), (32, of_32)):
        assert partition_for(key, partitions) == int(place)


def test_that_ids_are_one_space_is_said_before_the_partitioner() -> None:
    first = EVENTS.partition("\n## ")[2].partition("\n## ")[0]

    assert first.index("Ids are one space") < first.index("must use Murmur2")


def test_the_guide_names_every_inbound_type_and_who_answers_it() -> None:
    said = EVENTS.partition("\n### What ends a request")[0]
    rows = {row.split("|")[1]: row for row in said.splitlines() if row.startswith("| `")}
    for kind in TYPES.values():
        if kind.topic == UPSTREAM:
            row = next(text for names, text in rows.items() if f"`{kind.name}`" in names)
            assert row.rstrip("| ").endswith(kind.owner)


def test_the_guide_names_every_event_that_checkout_reads() -> None:
    for name, kind in TYPES.items():
        if kind.topic not in (UPSTREAM, "serials.events"):
            assert name.removesuffix(".v1") in EVENTS


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_an_example_answer(code: str) -> None:
    section = ERRORS.partition(f"\n## {code}\n")[2].partition("\n## ")[0]
    answer = json.loads(section.partition("```json\n")[2].partition("```")[0])
    assert answer["code"] == code
    assert answer["detail"]
    assert "\nNext: " in section
    assert "\nSent: " in section
