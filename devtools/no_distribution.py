"""The build hook that refuses a wheel and an sdist; only the link of an editable install is made.

A wheel would put top-level packages named `shared`, `services` and `ops` into somebody's site-packages.
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

REFUSAL = (
    "Pawl is an image and a repository, and no {what} of it is built. "
    "To run it, clone the repository and type `make demo` or `make up`. "
    "To deploy it, make the image: docker build -f deploy/Dockerfile -t pawl:local ."
)


class NoDistribution(BuildHookInterface):  # type: ignore[type-arg]  # the hook is the same for every builder
    """Lets `pip install --editable .` pass and refuses everything that would leave the repository."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Raise before anything is written. `version` is hatchling's name for the kind of build."""
        if version != "editable":
            raise SystemExit(REFUSAL.format(what=self.target_name))
