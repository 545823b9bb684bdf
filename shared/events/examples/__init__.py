"""One golden document for each event type: the shape of its key, headers and data is the contract."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(slots=True, frozen=True)
class Golden:
    """A whole record as it stands in Kafka, before it is turned into bytes."""

    topic: str
    key: str
    headers: dict[str, str]
    data: dict[str, Any]

    @property
    def type(self) -> str:
        """The name of its event type."""
        return self.headers["ce_type"]

    def header_bytes(self) -> list[tuple[str, bytes]]:
        """The headers as a consumer gets them."""
        return [(name, value.encode()) for name, value in self.headers.items()]


@cache
def golden() -> dict[str, Golden]:
    """Every golden document, by the name of its type. They are shared: copy before changing one."""
    documents = (json.loads(path.read_bytes()) for path in sorted(Path(__file__).parent.glob("*/*.json")))
    found = (Golden(**document) for document in documents)
    return {document.type: document for document in found}
