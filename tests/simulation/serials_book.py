"""What must hold of serials that are registered, reissued and revoked: rows, events and answers say the same.

A book of its own of every serial, kept from what was committed. Nothing in here asks the code under test.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from shared.runtime.commands import Answer
from tests.simulation.memory import Database, Row
from tests.simulation.promises import day_in_seoul, must

ONCE = "a serial is registered, or dies, once"
WINDOW = "a serial is registered in its window"
USAGE = "usage lasts to the end of its last day"
PLACE = "a reissued serial takes the place of a dead one"
LIVE = "live serials are issued less dead"
QUOTA = "a partner keeps to its quota"
TOLD = "what becomes of a serial is told once"
ANSWER = "an answer says what the serial is"

QUOTA_OF_A_GRANT = 1


@dataclass(slots=True)
class SerialsBook:
    """The serials of a system as they were after each step, and what was told of them."""

    database: Database
    known: dict[UUID, Row] = field(default_factory=dict)
    told: dict[str, list[tuple[str, Mapping[str, Any]]]] = field(default_factory=dict)

    def hear(self, type_name: str, data: Mapping[str, Any]) -> None:
        """An event about a serial was committed."""
        self.told.setdefault(data["serial_id"], []).append((type_name, data))

    def look(self, changed: Iterable[UUID]) -> None:
        """Looks at serials that have just changed, and at their grants."""
        grants = set()
        for serial_id in changed:
            row = self.database.tables["serials"][serial_id]
            self._look_at_change(self.known.get(serial_id), row)
            self._look_at_events(row)
            self.known[serial_id] = row
            grants.add(row["grant_id"])
        for grant_id in grants:
            self._look_at_grant(self.database.tables["grants"][grant_id])

    def registered(self, serial_id: UUID, account: str, at: datetime, answer: Answer) -> None:
        """An account was answered that registers a serial."""
        row = self.database.tables["serials"][serial_id]
        owner = None if row["account"] is None else row["account"].decode()
        said = answer.document
        match answer.status, said.get("code"):
            case 200, None:
                is_right = owner == account and _instant(said["registered_at"]) == row["registered_at"]
            case 409, "already_registered":
                is_right = owner not in (None, account)
            case 410, code:
                is_right = self._is_over(row, at, code)
            case _:
                is_right = False
        must(is_right, ANSWER, f"{account} was told {answer.status} {said} of {row}")

    def ended(self, how: str, serial_id: UUID, partner_id: str | None, at: datetime, answer: Answer) -> None:
        """Somebody was answered who reissues or revokes a serial."""
        row = self.database.tables["serials"][serial_id]
        grant = self.database.tables["grants"][row["grant_id"]]
        said = answer.document
        match answer.status, said.get("code"):
            case 200, None:
                new = said["new_serial_id"]
                is_reissued = new is not None and self.database.tables["serials"][UUID(new)] is not None
                is_right = row["state"] == "revoked" and is_reissued == (how == "serial.reissue")
                within = partner_id is None or not is_reissued or said["reissued"] <= QUOTA_OF_A_GRANT
                must(within, QUOTA, f"{partner_id} has {said['reissued']} reissued of {grant['grant_id']}")
            case 409, "registered":
                is_right = row["state"] == "registered"
            case 409, "reissue_quota":
                is_right = partner_id is not None and grant["reissued"] >= QUOTA_OF_A_GRANT
            case 410, code:
                is_right = self._is_over(row, at, code)
            case _:
                is_right = False
        must(is_right, ANSWER, f"{how} was answered {answer.status} {said} of {row}")

    def _is_over(self, row: Row, at: datetime, code: Any) -> bool:
        if code == "serial_revoked":
            return bool(row["state"] == "revoked")
        deadline = self.database.tables["grants"][row["grant_id"]]["registration_deadline"]
        return bool(code == "registration_expired" and row["state"] == "active" and at > deadline)

    def _look_at_change(self, before: Row | None, row: Row) -> None:
        if before is None:
            must(row["state"] == "active", ONCE, f"{row} is new")
            self._look_at_place(row)
            return
        must(before["state"] == "active" or before == row, ONCE, f"{before} became {row}")
        grant = self.database.tables["grants"][row["grant_id"]]
        deadline = grant["registration_deadline"]
        if row["state"] == "registered":
            must(row["registered_at"] <= deadline, WINDOW, f"{row}, until {deadline}")
            last_day = day_in_seoul(row["registered_at"]) + timedelta(days=grant["usage_days"])
            end = row["usage_ends_at"]
            is_whole = day_in_seoul(end) == last_day
            is_last = day_in_seoul(end + timedelta(microseconds=1)) == last_day + timedelta(days=1)
            must(is_whole and is_last, USAGE, f"{row}, {grant['usage_days']} days")
        elif row["state"] == "revoked":
            must(row["revoked_at"] <= deadline, WINDOW, f"{row}, until {deadline}")

    def _look_at_place(self, row: Row) -> None:
        if row["replaces"] is None:
            return
        dead = self.database.tables["serials"].get(row["replaces"])
        wanted = ("revoked", "reissued", row["grant_id"])
        is_dead = dead is not None and (dead["state"], dead["revoke_reason"], dead["grant_id"]) == wanted
        must(is_dead, PLACE, f"{row} replaces {dead}")

    def _look_at_grant(self, grant: Row) -> None:
        rows = [r for r in self.database.tables["serials"].values() if r["grant_id"] == grant["grant_id"]]
        states = Counter(row["state"] for row in rows)
        reissued = sum(row["replaces"] is not None for row in rows)
        live = len(rows) - states["revoked"]
        must(
            (states["revoked"], reissued) == (grant["revoked"], grant["reissued"])
            and live == grant["issued"] - grant["revoked"] + grant["reissued"],
            LIVE,
            f"{live} live, {states['revoked']} dead, {reissued} reissued; counted {grant}",
        )

    def _look_at_events(self, row: Row) -> None:
        told = self.told.get(str(row["serial_id"]), [])
        wanted = ["serial.reissued.v1"] if row["replaces"] is not None else []
        wanted += {"registered": ["serial.registered.v1"], "revoked": ["serial.revoked.v1"]}.get(
            row["state"], []
        )
        must([name for name, _ in told] == wanted, TOLD, f"{told} of {row}")
        if row["state"] == "registered":
            data = told[-1][1]
            said = (data["account"].encode(), *map(_instant, (data["registered_at"], data["usage_ends_at"])))
            must(
                said == (row["account"], row["registered_at"], row["usage_ends_at"]), TOLD, f"{data} of {row}"
            )


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
