"""Files of YAML say a thing once: Compose refuses one that says it twice, and other readers take the last."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.guides import ROOT

FILES = sorted(
    file
    for pattern in ("*.y*ml", ".*.y*ml", ".github/**/*.y*ml", "deploy/**/*.y*ml")
    for file in ROOT.glob(pattern)
)


def repeated(node: yaml.Node) -> Iterator[str]:
    """The keys that a mapping names again, with their lines."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                yield f"{name} in line {key.start_mark.line + 1}"
            seen.add(name)
            yield from repeated(value)
    elif isinstance(node, yaml.SequenceNode):
        for each in node.value:
            yield from repeated(each)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_mapping_names_each_key_once(file: Path) -> None:
    documents = yaml.compose_all(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    assert [again for document in documents for again in repeated(document)] == []
