"""deploy/kafka/acls.yaml: who may log in to a broker, and what each may read and write.

The file also tells a tool which topics each service reads. A contract test compares it with the routes of the
services, which are the source of it.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from shared.events.catalogue import SERVICES

ACLS_FILE = Path(__file__).parents[2] / "deploy" / "kafka" / "acls.yaml"


@cache
def acls() -> Mapping[str, Mapping[str, Any]]:
    """What each principal may do, by its login. The administrator is not in it: it may do everything."""
    principals: dict[str, Mapping[str, Any]] = yaml.safe_load(ACLS_FILE.read_text())["principals"]
    return principals


@cache
def topics_read() -> Mapping[str, tuple[str, ...]]:
    """The topics that each service reads, by service."""
    return {service: tuple(acls()[f"pawl_{service}"]["reads"]) for service in SERVICES}
