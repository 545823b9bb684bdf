"""The releases of Pawl, as releases.toml names them: not every clone has the tags.

`python -m devtools.releases` prints the entry of the commit that is checked out, for whoever makes a release.
"""

import re
import subprocess
import sys
import tomllib
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from devtools.new_migration import SHARED, folder_of
from shared import __version__
from shared.events.catalogue import SERVICES

ROOT: Final = Path(__file__).parents[1]
FILE: Final = ROOT / "releases.toml"

_VERSION: Final = re.compile(r"\d+\.\d+\.\d+")


class Release(NamedTuple):
    """One release: its version, all 40 digits of its commit, and a hash of the migrations that it has.

    `newest_migration` is the version of the last of these.
    """

    version: str
    commit: str
    newest_migration: str
    migrations: str

    @property
    def numbers(self) -> tuple[int, ...]:
        """The parts of the version, which can be compared."""
        return numbers_of(self.version)


def numbers_of(version: str) -> tuple[int, ...]:
    """The parts of a version as 0.2.0. Raises ValueError for any other form."""
    if not _VERSION.fullmatch(version):
        raise ValueError(f"{version!r} is no version: write it as 0.2.0")
    return tuple(map(int, version.split(".")))


def releases(root: Path = ROOT) -> list[Release]:
    """All of them, the newest last."""
    entries = tomllib.loads((root / FILE.name).read_text(encoding="utf-8"))["release"]
    return [Release(**entry) for entry in entries]


def last_release(root: Path = ROOT) -> Release:
    """The one that runs beside this tree while it is upgraded."""
    return releases(root)[-1]


def migrations(root: Path = ROOT) -> list[Path]:
    """The migrations of all schemas in the order of their versions."""
    folders = [root / folder_of(each) for each in (SHARED, *SERVICES)]
    return sorted(
        (file for folder in folders for file in folder.glob("*.sql")), key=lambda file: (file.name, file)
    )


def version_of(migration: Path) -> str:
    """The version that a migration's name begins with."""
    return migration.name.partition("_")[0]


def hash_of_migrations(newest: str, root: Path = ROOT) -> str:
    """A hash over the names and contents of all migrations up to a version."""
    content = sha256()
    for file in migrations(root):
        if version_of(file) <= newest:
            content.update(f"{file.relative_to(root).as_posix()}\0".encode())
            content.update(file.read_bytes() + b"\0")
    return content.hexdigest()[:32]


def entry_of_this_commit(root: Path = ROOT) -> str:
    """What releases.toml says of the commit that is checked out."""
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    newest = max(map(version_of, migrations(root)))
    fields = Release(__version__, commit, newest, hash_of_migrations(newest, root))._asdict()
    return "\n".join(["[[release]]", *(f'{name} = "{value}"' for name, value in fields.items())])


if __name__ == "__main__":
    sys.stdout.write(f"{entry_of_this_commit()}\n")
