"""The files of a repository, changed together: everything is prepared first, then written or only shown."""

import difflib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


class Refused(Exception):
    """What was asked cannot be done; the message says why, and what to type instead."""


@dataclass(slots=True)
class Change:
    """A file as it shall be, and what the change makes of it in a few words."""

    path: str
    text: str
    what: str
    is_new: bool


@dataclass(slots=True)
class Tree:
    """A repository at `root` and the changes to it that are not written yet."""

    root: Path
    changes: dict[str, Change] = field(default_factory=dict)

    def read(self, path: str) -> str:
        """The text of a file with its prepared changes. Raises Refused where there is no such file."""
        if path in self.changes:
            return self.changes[path].text
        if not (self.root / path).is_file():
            raise Refused(f"{path} is missing in {self.root}")
        return (self.root / path).read_text(encoding="utf-8")

    def create(self, path: str, text: str, what: str) -> None:
        """Prepare a new file. Raises Refused where it exists already."""
        if path in self.changes or (self.root / path).exists():
            raise Refused(f"{path} is there already")
        self.changes[path] = Change(path, text, what, is_new=True)

    def change(self, path: str, text: str, what: str) -> None:
        """Prepare another text of a file."""
        earlier = self.changes.get(path)
        self.changes[path] = Change(
            path,
            text,
            f"{earlier.what}; {what}" if earlier else what,
            is_new=bool(earlier and earlier.is_new),
        )

    def tidy(self) -> None:
        """Sort the imports of the changed modules and format them, as the linter wants it."""
        for change in self.changes.values():
            if change.path.endswith(".py"):
                change.text = self._tidied(change.path, change.text)

    def write(self) -> None:
        """Write every prepared change."""
        for change in self.changes.values():
            path = self.root / change.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(change.text, encoding="utf-8")

    def differences(self) -> Iterator[str]:
        """Every prepared change as a unified diff."""
        for change in self.changes.values():
            old = "" if change.is_new else (self.root / change.path).read_text(encoding="utf-8")
            lines = (old.splitlines(keepends=True), change.text.splitlines(keepends=True))
            yield "".join(difflib.unified_diff(*lines, f"a/{change.path}", f"b/{change.path}"))

    def summary(self) -> str:
        """One line for each file that is changed or made."""
        width = max(len(path) for path in self.changes)
        return "\n".join(f"  {change.path:<{width}}  {change.what}" for change in self.changes.values())

    def _tidied(self, path: str, text: str) -> str:
        for command in (["check", "--select", "I", "--fix", "--quiet"], ["format", "--quiet"]):
            tidied = subprocess.run(
                [sys.executable, "-m", "ruff", *command, "--stdin-filename", path, "-"],
                input=text,
                capture_output=True,
                text=True,
                cwd=self.root,
                timeout=60,
                check=False,
            )
            if tidied.returncode != 0:
                raise Refused(f"{path} would not be Python that Ruff can read: {tidied.stderr.strip()}")
            text = tidied.stdout
        return text
