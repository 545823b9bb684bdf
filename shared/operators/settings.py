"""From when on something needs somebody, as the environment sets it for `pawl todo`."""

from datetime import timedelta

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.operators.todo import Thresholds


class TodoSettings(BaseSettings):
    """The thresholds of the list of what needs somebody."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    todo_waiting_minutes: float = Field(
        default=10, ge=0, description="how long an event may wait before somebody is told"
    )
    todo_grant_minutes: float = Field(
        default=10, ge=0, description="how long a grant may make no progress before somebody is told"
    )
    todo_deposit_hours: float = Field(
        default=24, ge=0, description="how long before its deadline a deposit is listed"
    )
    todo_quarantine_days: float = Field(
        default=3, ge=0, description="how long money may be in quarantine before it is overdue"
    )

    def thresholds(self) -> Thresholds:
        """The thresholds as the groups are made by."""
        return Thresholds(
            timedelta(minutes=self.todo_waiting_minutes),
            timedelta(minutes=self.todo_grant_minutes),
            timedelta(hours=self.todo_deposit_hours),
            timedelta(days=self.todo_quarantine_days),
        )
