"""A bug on purpose: a piece of the real code with one mistake in it, put in its place for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch


@dataclass(slots=True, frozen=True)
class Bug:
    """One mistake: where it goes, by which name, and what stands there then.

    `is_of_tampering`: it shows in histories that are tampered with, `is_in_steps`: where months are closed in
    steps.
    """

    name: str
    owner: Any
    attribute: str
    wrong: Any
    is_of_tampering: bool = False
    is_in_steps: bool = False

    @contextmanager
    def planted(self) -> Iterator[None]:
        """The mistake is made while this is open."""
        with patch.object(self.owner, self.attribute, self.wrong):
            yield
