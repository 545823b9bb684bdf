"""Results go to stdout, either as one JSON document or as text; everything else goes to stderr."""

import io
import json
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeAlias

import orjson

_UNSEEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")

Tell: TypeAlias = Callable[[str], None]
"""Takes a sentence about the progress of something that runs."""


class Nowhere(io.TextIOBase):
    """Takes every text and keeps none."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        return len(text)


def take_any_terminal() -> None:
    """Makes stdout and stderr take every text, whatever they are.

    Where a terminal cannot show a character (LC_ALL=C), its code is written. Where one of them is closed
    (`>&-`), what is printed there goes nowhere.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Nowhere())
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def visible(text: str) -> str:
    """A text with what ends a line, turns it round or moves a terminal's cursor written out."""
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def is_at_terminal() -> bool:
    """Whether somebody can be asked."""
    return bool(getattr(sys.stdin, "isatty", lambda: False)())


def tell_on_stderr(sentence: str) -> None:
    """Shows the sentence to the person at the terminal, if anybody is there still (`2>&1 | head`)."""
    with suppress(OSError):
        print(sentence, file=sys.stderr, flush=True)


def tell_unreadable(unreadable: Mapping[str, str]) -> None:
    """Says on stderr which services could not be read, and why."""
    for service, why in unreadable.items():
        print(f"pawl: {service} could not be read: {why}", file=sys.stderr)


def tell_nobody(sentence: str) -> None:
    """Drops the sentence, for callers that show no progress."""


def print_json(document: Mapping[str, Any]) -> None:
    """Prints one JSON document in one line on stdout; with escapes only where that is not UTF-8."""
    text = orjson.dumps(document).decode()
    is_utf8 = (sys.stdout.encoding or "utf-8").lower().replace("-", "") == "utf8"
    print(text if is_utf8 else json.dumps(orjson.loads(text)))
