"""One close of a month, or a step of one: what is asked, by whom, and why."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from shared.runtime.audit_log import AuditEntry


class Sizes(NamedTuple):
    """So many partners are in one transaction of a close: of those that are decided, of those in a set.

    With no partner in a set all are decided.
    """

    chunk: int = 200
    in_a_set: int = 1_000


class MonthClose(NamedTuple):
    """A close, or a step of one. `id` causes its events and `at` is their time; `actor` and `reason` may be
    empty. `action` is what the audit log calls it.
    """

    month: str
    at: datetime
    id: UUID
    actor: str
    reason: str
    despite_open_refunds: bool = False
    action: str = "month.close"

    def noted(self, result: str, open_refunds: int = 0) -> Sequence[AuditEntry]:
        """What the audit log keeps of it: nothing where nobody said who asks."""
        if not self.actor:
            return ()
        before = {"open_refunds": open_refunds}
        entry = AuditEntry(self.id, self.actor, self.action, self.month, self.reason, before, result=result)
        return (entry,)
