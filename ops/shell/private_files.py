"""Secrets in files: readable by their owner only, and never half."""

import json
import os
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ops.shell.problem import Problem, explain_os_errors


def write_private(path: Path, text: str, *, sync: bool = False) -> None:
    """Replace the file in one step; its rights are never wider than 0600. `sync`: it outlives a power cut."""
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    beside.replace(path)


@contextmanager
def private_file(path: Path) -> Iterator[BinaryIO]:
    """A file that is `path` when the block has ended well, in one step, and nothing when it has not."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def read_or_make(path: Path, make: Callable[[], str], if_broken: str) -> str:
    """The text of the file. Makes the file when there is none.

    `if_broken` says what to do when it cannot be used. Raises Problem.
    """
    with explain_os_errors("keeping secrets", path):
        try:
            text = path.read_text()
        except FileNotFoundError:
            text = make()
            write_private(path, text, sync=True)
        except ValueError:
            raise Problem(f"{path} is damaged: it is not text.", if_broken) from None
    if not text.strip():
        raise Problem(f"{path} is damaged: it is empty.", if_broken)
    return text


def read_or_make_secrets(
    path: Path, make: Callable[[], str], names: Collection[str], if_broken: str
) -> dict[str, str]:
    """The secrets of the file by name, with all of `names`. Makes the file when there is none.

    `if_broken` says what to do when it cannot be used. Raises Problem, which repeats nothing of the file.
    """
    text = read_or_make(path, make, if_broken)
    try:
        secrets = json.loads(text)
    except ValueError as error:
        place = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise Problem(f"{path} is damaged: it is not JSON{place}.", if_broken) from None
    if not isinstance(secrets, dict):
        raise Problem(f"{path} is damaged: it is not a JSON object.", if_broken)
    wrong = [name for name in names if not isinstance(secrets.get(name), str) or not secrets[name]]
    if wrong:
        raise Problem(f"{path} is damaged: it has no text for {', '.join(wrong)}.", if_broken)
    return secrets
