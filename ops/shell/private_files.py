"""Secrets in the run directory: made once, readable by their owner only."""

import os
from collections.abc import Callable
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Replace the file in one step; it never exists with wider rights than 0600."""
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    beside.replace(path)


def read_or_make(path: Path, make: Callable[[], str]) -> str:
    """The text of the file. Makes the file when there is none."""
    try:
        return path.read_text()
    except FileNotFoundError:
        text = make()
        write_private(path, text)
        return text
