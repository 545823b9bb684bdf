"""Every reader of a topic says whether it reads what is not committed yet; the product never does."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
READERS = ("shared", "services", "ops")
UNCOMMITTED_TOO = {"shared/kafka.py": "it asks where topics begin and end, and reads no record"}


def consumers(path: Path) -> Iterator[dict[str, str]]:
    """What each call that makes a consumer in this file says, by keyword."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute)):
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            if name in ("AIOKafkaConsumer", "subscriber") and node.keywords:
                yield {keyword.arg or "": ast.unparse(keyword.value) for keyword in node.keywords}


FILES = [str(p.relative_to(ROOT)) for folder in READERS for p in (ROOT / folder).rglob("*.py")]
MAKING = [name for name in FILES if any(consumers(ROOT / name))]


@pytest.mark.parametrize("name", MAKING)
def test_every_consumer_reads_what_is_committed(name: str) -> None:
    wanted = "'read_uncommitted'" if name in UNCOMMITTED_TOO else "COMMITTED_ONLY"

    assert {said.get("isolation_level", "not said") for said in consumers(ROOT / name)} == {wanted}


def test_the_consumers_of_the_services_are_among_them() -> None:
    assert "shared/runtime/consumer.py" in MAKING
    assert len(MAKING) >= 6
