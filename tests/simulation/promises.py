"""What a check says when a promise is broken, and the days that checks reckon by themselves."""

from datetime import UTC, date, datetime, timedelta


class Violation(AssertionError):
    """A promise that was broken. `check` is its name in the matrix of planted bugs."""

    def __init__(self, check: str, detail: str) -> None:
        super().__init__(f"{check}: {detail}")
        self.check = check
        self.detail = detail


def must(holds: bool, check: str, detail: str) -> None:
    """Raises Violation unless it holds."""
    if not holds:
        raise Violation(check, detail)


def day_in_seoul(instant: datetime) -> date:
    """Nine hours ahead of UTC: reckoned here, because the code under test is asked for nothing."""
    return (instant.astimezone(UTC) + timedelta(hours=9)).date()
