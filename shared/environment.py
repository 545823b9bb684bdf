"""The environment that our children get: that of this process, without the logins that are for it alone."""

import os

# Addresses and passwords of administrators (ops/shell/system.py, libpq).
OURS_ALONE = ("PAWL_KAFKA", "PAWL_KAFKA_CHECKOUT", "PAWL_POSTGRES", "PGPASSWORD", "PGPASSFILE")


def environment_of_children() -> dict[str, str]:
    """What a child may see of our environment."""
    return {name: value for name, value in os.environ.items() if name not in OURS_ALONE}
