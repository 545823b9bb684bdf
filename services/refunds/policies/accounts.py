"""How long account numbers are at each bank, so that one that cannot exist is refused at the door.

Source: the account-number systems of its members that 금융결제원 (KFTC) publishes for CMS debits
(참가기관별 계좌번호체계). Banks also give numbers that customers choose, of 10 digits and more, and virtual
accounts of 14. Only a number that is certainly wrong is refused: the lengths are wide, leading digits and
check digits are not looked at, and a bank that is not listed takes any number.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

MOST: Final = 14
"""Digits of the longest numbers of the banks below."""


class Bank(NamedTuple):
    """A bank, and how many digits its shortest account numbers have."""

    name: str
    least: int


BANKS: Final[Mapping[str, Bank]] = {
    "002": Bank("한국산업은행", 11),
    "003": Bank("IBK기업은행", 10),
    "004": Bank("KB국민은행", 10),
    "007": Bank("수협은행", 10),
    "011": Bank("NH농협은행", 10),
    "012": Bank("지역농축협", 10),
    "020": Bank("우리은행", 10),
    "023": Bank("SC제일은행", 10),
    "027": Bank("한국씨티은행", 10),
    "031": Bank("iM뱅크", 7),
    "032": Bank("부산은행", 10),
    "034": Bank("광주은행", 10),
    "035": Bank("제주은행", 10),
    "037": Bank("전북은행", 10),
    "039": Bank("경남은행", 10),
    "045": Bank("새마을금고", 10),
    "048": Bank("신협", 10),
    "050": Bank("저축은행", 10),
    "064": Bank("산림조합", 10),
    "071": Bank("우체국", 10),
    "081": Bank("하나은행", 10),
    "088": Bank("신한은행", 10),
    "089": Bank("케이뱅크", 10),
    "090": Bank("카카오뱅크", 10),
    "092": Bank("토스뱅크", 10),
}
"""Banks by their code of three digits (금융기관 공동코드)."""

_SEPARATORS: Final = str.maketrans("", "", "- .")


def wrong_account(bank_code: str, account_number: str) -> str | None:
    """Why there can be no such account, without a digit of it; None where there may be one.

    Hyphens, spaces and dots between digits are no difference.
    """
    bank = BANKS.get(bank_code.strip())
    if bank is None:
        return None
    digits = account_number.translate(_SEPARATORS)
    if not (digits.isascii() and digits.isdigit()):
        return f"account_number of {bank.name} ({bank_code.strip()}) has digits only"
    if not bank.least <= len(digits) <= MOST:
        return f"account_number of {bank.name} ({bank_code.strip()}) has {bank.least}..{MOST} digits"
    return None
