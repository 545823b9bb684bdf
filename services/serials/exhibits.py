"""What serials knows of an order when it is disputed: issued, handed out, registered; never a serial."""

from typing import Any, Final

from services.serials.state import Form
from shared.evidence.entries import Entry, Evidence, Exhibit, Row, details_of, written
from shared.evidence.words import Says, korean
from shared.kst import in_kst

BY_OTHERS: Final = frozenset({"actor", "partner_id", "client", "request", "reason"})


def issuance(row: Row) -> Entry:
    """A grant: how many serials it has, and what became of them."""
    says = Says(
        f"{row['product_name']} {row['quantity']:,}개 중 {row['issued']:,}개가 발급되었고 "
        f"{row['registered']:,}개가 등록되었습니다.",
        f"{row['issued']:,} of {row['quantity']:,} serials of {row['product_name']} issued, "
        f"{row['registered']:,} registered.",
    )
    return Entry("issuance", str(row["grant_id"]), says, details_of(row), row["granted_at"])


def hand_out(row: Row) -> Entry:
    """A line of the custody log. Who of others it was is for operators; a partner may see its own."""
    at, first, last = row["recorded_at"], row["first_unit"], row["last_unit"]
    units = f"{first:,}" if first == last else f"{first:,}–{last:,}"
    form = korean(row["form"])
    if row["form"] == Form.SEARCH:
        says = Says(f"{units}번 일련번호를 조회했습니다.", f"A serial was looked up: unit {units}.")
    else:
        says = Says(
            f"일련번호 {row['serials']:,}개({units}번)가 {form}(으)로 전달되었습니다.",
            f"{_serials(row['serials'])} handed out as {row['form']}: units {units}.",
        )
    own = row["partner_id"] is not None and row["partner_id"] == row["owner"]
    details = {**details_of(row, "custody_id", "recorded_at", "owner"), "reason": written(row["reason"])}
    return Entry("hand_out", str(row["custody_id"]), says, details, at, at, frozenset() if own else BY_OTHERS)


def registration(row: Row) -> Entry:
    """The serials of a grant that were registered on one day; never by whom."""
    count, day = f"{row['count']:,}", row["day"].isoformat()
    says = Says(
        f"{day}에 일련번호 {count}개가 등록되었습니다.", f"{_serials(row['count'])} registered on {day}."
    )
    return _of_a_day("registration", row, says)


def revocation(row: Row) -> Entry:
    """The serials of a grant that died on one day."""
    count, day = f"{row['count']:,}", row["day"].isoformat()
    says = Says(
        f"{day}에 일련번호 {count}개가 폐기되었고, 그중 {row['reissued']:,}개가 재발급되었습니다.",
        f"{_serials(row['count'])} revoked on {day}, {row['reissued']:,} of them reissued.",
    )
    return _of_a_day("revocation", row, says)


def _serials(count: int) -> str:
    return "1 serial was" if count == 1 else f"{count:,} serials were"


def _of_a_day(kind: str, row: Row, says: Says) -> Entry:
    first: Any = in_kst(row["first_at"])
    details = details_of(row, "first_at")
    return Entry(kind, f"{row['grant_id']} {row['day'].isoformat()}", says, details, first, first)


EVIDENCE: Final = Evidence(
    "evidence_owner",
    (
        Exhibit("evidence_issuances", issuance),
        Exhibit("evidence_hand_outs", hand_out),
        Exhibit("evidence_registrations", registration),
        Exhibit("evidence_revocations", revocation),
    ),
)
"""Whose order it is, and what is told of it."""
