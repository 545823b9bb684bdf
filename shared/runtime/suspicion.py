"""Whether what refuses a row is about that row, or about its table: a new constraint or trigger. No I/O.

One key after the other, for the same reason, and nothing that goes well between them: that is no row any
more. Then nothing more is blocked, and what was blocked on the way is tried again when all goes well.
"""

from collections.abc import Sequence
from typing import Any, Final

from shared.sqlstates import Concern, meaning_of

KEYS_OF_A_ROW: Final = 2
"""So many keys in a row may be refused for the same reason, each for its own row."""


class WholeTable(Exception):
    """A table refuses every row for the same reason. It is repeated like any fault of the database."""


class Suspicion:
    """What one process has seen refused since something went well."""

    __slots__ = ("_keys", "_reason")

    def __init__(self) -> None:
        self._reason: tuple[Any, ...] | None = None
        self._keys: list[str] = []

    def is_of_table(self, refusal: BaseException, key: str) -> bool:
        """Takes note of a refusal of this key; whether the table, and not the row, is what is wrong."""
        reason = _reason_of(refusal)
        if reason is None or reason != self._reason:
            self._reason, self._keys = reason, []
        if reason is not None and key not in self._keys:
            self._keys.append(key)
        return len(self._keys) > KEYS_OF_A_ROW

    def end(self) -> Sequence[str]:
        """Something went well; the keys to try again where the table was suspected."""
        keys = self._keys if len(self._keys) > KEYS_OF_A_ROW else []
        self._reason, self._keys = None, []
        return keys


def _reason_of(refusal: BaseException) -> tuple[Any, ...] | None:
    """What refuses, as far as the server names it; None where it is not the server that does."""
    state: str | None = getattr(refusal, "sqlstate", None)
    if state is None or meaning_of(state).concern is not Concern.ROW:
        return None
    named = ("schema_name", "table_name", "column_name", "constraint_name")
    return (state, *(getattr(refusal, name, None) for name in named))
