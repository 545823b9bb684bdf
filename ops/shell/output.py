"""Results go to stdout, either as one JSON document or as text; everything else goes to stderr."""

import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import orjson

Tell: TypeAlias = Callable[[str], None]
"""Takes a sentence about the progress of something that runs."""


def tell_on_stderr(sentence: str) -> None:
    """Shows the sentence to the person at the terminal."""
    print(sentence, file=sys.stderr, flush=True)


def tell_nobody(sentence: str) -> None:
    """Drops the sentence, for callers that show no progress."""


def print_json(document: Mapping[str, Any]) -> None:
    """Prints one JSON document in one line on stdout."""
    print(orjson.dumps(document).decode())
