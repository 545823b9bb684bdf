"""The rules of the business: may a line be refunded, by its kind; and the small rules beside that one.

Source: domain.md section 1 (rules by kind) and section 4 (reasons, destinations). A new kind takes a module
with its rule, a line in `POLICIES`, and its tests.
"""

from collections.abc import Mapping

from services.refunds.policies.goods import return_window
from services.refunds.policies.metered import unused_within_seven_days
from services.refunds.policies.prepaid import remaining_balance
from services.refunds.policies.rules import Policy
from services.refunds.policies.until_issued import until_issued

POLICIES: Mapping[str, Policy] = {
    "serials": until_issued,
    "metered": unused_within_seven_days,
    "prepaid": remaining_balance,
    "goods": return_window,
}
"""The refund rule of each kind."""
