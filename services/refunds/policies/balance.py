"""What was spent of paid cash: bonus cash burns first, that which expires first before other."""

from collections.abc import Iterable

from services.refunds.policies.usage import uses
from services.refunds.state import Bonus, Reading
from shared.kst import end_of_day, kst_date


def paid_spent(readings: Iterable[Reading], bonuses: Iterable[Bonus]) -> int:
    """Won of paid cash that were spent, however late use and bonus were told (domain.md section 1).

    A bonus is there from when it was granted to the end of the KST day on which it expires.
    """
    in_turn = sorted(bonuses, key=lambda bonus: (bonus.expires_at, bonus.granted_at))
    left = [bonus.bonus for bonus in in_turn]
    spent = 0
    for at, used in uses(readings):
        rest = used
        for place, bonus in enumerate(in_turn):
            if bonus.granted_at <= at <= end_of_day(kst_date(bonus.expires_at)):
                burnt = min(rest, left[place])
                left[place] -= burnt
                rest -= burnt
        spent += rest
    return spent
