"""A copy of the repository that a test may change, and the tools of development at work on it."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[2]
# What a tool left behind, and what is large and concerns no generator.
_LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "*.gz", "*.lock", "results.*")


@dataclass(slots=True, frozen=True)
class Copy:
    """The repository once more, at `root`."""

    root: Path

    @classmethod
    def at(cls, root: Path) -> "Copy":
        """Copies what generators read and write."""
        shutil.copytree(ROOT, root, ignore=_LEFT_OUT, dirs_exist_ok=True)
        return cls(root)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `python ...` in the copy, whose modules come first."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root,
            env=kept | {"PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def failures(self, *arguments: str) -> dict[str, str]:
        """Runs tests of the copy; what those that failed said, by their names."""
        report = self.root / "report.xml"
        options = ("-q", "-n0", "--noconftest", "-p", "no:cacheprovider", f"--junitxml={report}")
        ran = self.run("-m", "pytest", *options, *arguments)
        assert ran.returncode in (0, 1), ran.stdout + ran.stderr
        cases = ElementTree.parse(report).iter("testcase")
        failed = ((case.get("name", ""), case.find("failure")) for case in cases)
        return {name: failure.get("message", "") for name, failure in failed if failure is not None}

    def read(self, path: str) -> str:
        return (self.root / path).read_text(encoding="utf-8")

    def replace(self, path: str, old: str, new: str) -> None:
        """Changes a file by hand. Raises AssertionError unless `old` stands there once."""
        text = self.read(path)
        assert text.count(old) == 1, f"{path} has {old!r} {text.count(old)} times"
        (self.root / path).write_text(text.replace(old, new), encoding="utf-8")

    def remove(self, path: str, pattern: str) -> None:
        """Takes away what a pattern finds in a file. Raises AssertionError unless it finds one place."""
        text, count = re.subn(pattern, "", self.read(path))
        assert count == 1, f"{path} has {pattern!r} {count} times"
        (self.root / path).write_text(text, encoding="utf-8")

    def insert(self, path: str, heading: str, after: str, addition: str) -> None:
        """Adds to a file behind the first `after` that follows on `heading`."""
        before, _, rest = self.read(path).partition(heading)
        up_to, found, tail = rest.partition(after)
        assert found, f"{path} has no {after!r} after {heading!r}"
        (self.root / path).write_text(before + heading + up_to + found + addition + tail, encoding="utf-8")

    def append(self, path: str, addition: str) -> None:
        """Adds at the end of a file."""
        (self.root / path).write_text(self.read(path) + addition, encoding="utf-8")
