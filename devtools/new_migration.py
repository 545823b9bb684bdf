"""`make new-migration SERVICE=orders NAME=add_note`: an empty migration under the next free version.

Versions are instants, and later than every version that exists, in whatever schema: the migrations of a
service and those that all services share are applied together, in the order of their versions.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from devtools.tree import Refused, Tree
from shared.clock import now
from shared.events.catalogue import SERVICES
from shared.migrations import CONSOLE, SCHEMAS

ROOT: Final = Path(__file__).parents[1]
SHARED: Final = "shared"
FORM: Final = "%Y%m%d%H%M%S"
TEXT: Final = """\
-- migrate:up

-- Say here what it is for.

-- migrate:down
"""

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")


def folder_of(service: str) -> str:
    """Where the migrations of a schema lie, or those that all services share. Raises Refused."""
    if service == SHARED:
        return "shared/runtime/migrations"
    if service == CONSOLE:
        return "console/migrations"
    if service not in SERVICES:
        names = ", ".join(SERVICES)
        raise Refused(
            f"there is no service {service!r}: SERVICE is one of {names}, console, or shared for all services"
        )
    return f"services/{service}/migrations"


def next_version(root: Path, at: datetime) -> str:
    """The version of a migration that is made at this instant (UTC): later than every one that exists."""
    folders = map(folder_of, (SHARED, *SCHEMAS))
    last = max(path.name.partition("_")[0] for folder in folders for path in (root / folder).glob("*.sql"))
    following = datetime.strptime(last, FORM).replace(tzinfo=UTC) + timedelta(seconds=1)
    return max(at, following).strftime(FORM)


def prepare(tree: Tree, service: str, name: str, at: datetime) -> str:
    """Prepare the file; its path. Raises Refused for a name that does not fit or is taken."""
    folder = folder_of(service)
    if not _NAME.fullmatch(name):
        raise Refused(f"{name!r} is no name of a migration: write NAME=add_note, in small letters")
    taken = [path.name for path in (tree.root / folder).glob(f"*_{name}.sql")]
    if taken:
        raise Refused(f"{folder}/{taken[0]} has that name already")
    path = f"{folder}/{next_version(tree.root, at)}_{name}.sql"
    tree.create(path, TEXT, "an empty migration")
    return path


def main(argv: Sequence[str] | None = None) -> int:
    """Write the migration, or show it with --dry-run. 0 when done, 2 when the request is refused."""
    parser = argparse.ArgumentParser(prog="make new-migration", description="Write an empty migration.")
    parser.add_argument("service", help="whose schema it changes; shared for the tables that all have")
    parser.add_argument("name", help="what it does: add_note")
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would be written, and write nothing"
    )
    arguments = parser.parse_args(argv)
    tree = Tree(ROOT)
    try:
        path = prepare(tree, arguments.service, arguments.name, now())
    except Refused as refused:
        print(f"new-migration: {refused}", file=sys.stderr)
        return 2
    if arguments.dry_run:
        print("\n".join(tree.differences()))
        print(f"Nothing was written. It would be:\n{tree.summary()}")
        return 0
    tree.write()
    print(f"Made:\n{tree.summary()}")
    print(
        "Left to do:\n"
        f"  {path}  the statements, up and down\n"
        "  deploy/postgres/rights.sql  the service's rights on a new table or column\n"
        "make test-unit names an empty part; tests/integration/setup runs it up, down and up again."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
