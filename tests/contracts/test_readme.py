"""README in both languages: the same commands, pictures and links, and an example that checkout may send."""

import re
import shlex
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from ops.cli import COMMANDS
from shared.events.catalogue import TYPES
from tests.support.guides import ROOT, codes, links, prose, read

ENGLISH, KOREAN = ROOT / "README.md", ROOT / "README.ko.md"
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    """The blocks of code of the English README in a language; of a shell it is none."""
    return [text for named, text in _BLOCK.findall(read(ENGLISH)) if named == language]


def test_both_have_the_same_blocks_of_code() -> None:
    assert _BLOCK.findall(read(KOREAN)) == _BLOCK.findall(read(ENGLISH))


def test_both_show_the_same_pictures_and_link_to_the_same_places() -> None:
    """A picture of a page of the console is of the page in the language of its reader."""
    theirs = [link.target.replace("-ko-", "-en-") for link in links(KOREAN)]
    ours = [link.target for link in links(ENGLISH)]
    assert (theirs.pop(0), ours.pop(0)) == ("README.md", "README.ko.md")
    assert theirs == ours


def test_both_name_the_same_commands() -> None:
    assert commands(KOREAN) == commands(ENGLISH)


def commands(path: Path) -> list[str]:
    """What the text, its blocks of code aside, tells a reader to type, in its order."""
    return [code for code in codes(prose(path)) if code.startswith(("pawl ", "make "))]


@pytest.mark.parametrize("command", [each for each in commands(ENGLISH) if each.startswith("pawl ")])
def test_a_command_is_one_of_pawl(command: str) -> None:
    assert shlex.split(command)[1] in {each.name for each in COMMANDS}


def test_the_example_is_an_event_that_checkout_may_say() -> None:
    [example] = blocks("python")
    said = dict[str, object]()
    exec(example.partition("async def main")[0], said)  # the constants only
    headers, order = said["HEADERS"], said["ORDER"]
    assert isinstance(headers, dict)
    assert isinstance(order, dict)

    golden = orjson.loads(read(ROOT / f"shared/events/examples/checkout.events/{headers['ce_type']}.json"))
    assert order == golden["data"]
    assert {name for name in golden["headers"] if name in headers} == headers.keys()
    TYPES[headers["ce_type"]].model.model_validate_json(orjson.dumps(order))
    assert said["AIOKafkaProducer"] is AIOKafkaProducer
    assert example.count(order["order_id"]) == 2, "the record key is the order id"
