"""What the topics hold and which rules they break."""

from dataclasses import dataclass, field
from typing import Any

from ops.audit.rules import Finding
from ops.audit.topics.rules import Findings
from shared.events.catalogue import TOPICS


@dataclass(slots=True)
class TopicReport:
    """What the topics hold and which rules they break.

    `records` counts what was read of each topic; `matched` the rows of an outbox found in a topic; `repeated`
    records that the relay published again; `unpublished` rows that no relay has published yet, or that it has
    set aside; `unread` records of checkout that their service has not handled yet; `deleted` the first offset
    of each partition whose beginning retention has deleted; `expired` the rows whose records went with it.
    """

    records: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TOPICS, 0))
    matched: int = 0
    repeated: int = 0
    unpublished: int = 0
    answered: int = 0
    unread: int = 0
    deleted: dict[str, int] = field(default_factory=dict)
    expired: int = 0
    findings: Findings = field(default_factory=Findings)

    @property
    def ok(self) -> bool:
        """Whether every rule holds."""
        return not self.findings.counts

    @property
    def violations(self) -> list[Finding]:
        return self.findings.named

    def to_document(self) -> dict[str, Any]:
        """`topics` in the JSON document of `pawl check --topics --json`."""
        return {
            "ok": self.ok,
            "violations": [
                {"rule": found.rule, "order_id": found.order_id, "detail": found.detail}
                for found in self.violations
            ],
            "broken": dict(self.findings.counts),
            "records": self.records,
            "totals": self.totals(),
            "deleted": self.deleted,
        }

    def totals(self) -> dict[str, int]:
        """What the comparison came to, in records. The names are those of the JSON document."""
        return {
            "facts": self.matched,
            "repeated": self.repeated,
            "unpublished": self.unpublished,
            "answered": self.answered,
            "unread": self.unread,
            "expired": self.expired,
        }
