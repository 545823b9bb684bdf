"""Problems and exit codes: what a command prints when it cannot do what was asked, and how it ends."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path

ELSEWHERE = "keep the data elsewhere with --dir /other/place/.pawl"


class Exit(IntEnum):
    """The exit codes of every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    RULE_BROKEN = 3
    NOTHING_MATCHED = 4
    SOMETHING_WAITS = 5


class Problem(Exception):
    """A failure that the person at the terminal can do something about.

    `message` says what is wrong and where, `hint` what to do next (may be empty). The command line prints
    both on stderr, without a traceback, and ends with `exit_code`.
    """

    def __init__(self, message: str, hint: str = "", exit_code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


@contextmanager
def explain_os_errors(doing: str, path: Path, elsewhere: str = ELSEWHERE) -> Iterator[None]:
    """Turn a full disk or a missing permission into a Problem that names the path and the way out."""
    try:
        yield
    except OSError as error:
        raise os_problem(error, doing, path, elsewhere) from error


def os_problem(error: OSError, doing: str, path: Path, elsewhere: str = ELSEWHERE) -> Problem:
    """The Problem for an operating system error met while `doing` something at `path`."""
    where = error.filename or path
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return disk_full(path, elsewhere)
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return Problem(f"No permission for {doing}: {where}", f"Change its rights, or {elsewhere}")
        case _:
            what = f"{doing} failed at {where}: {error.strerror or error}"
            return Problem(what, f"Check that place, or {elsewhere}")


def disk_full(path: Path, elsewhere: str = ELSEWHERE) -> Problem:
    """The Problem for a disk without space."""
    return Problem(f"The disk that holds {path} is full.", f"Free some space there, or {elsewhere}")
