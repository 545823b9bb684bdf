"""What the environment sets for the invoices service."""

from pydantic import Field

from services.invoices.state import Policy
from shared.settings import ServiceSettings


class InvoicesSettings(ServiceSettings):
    """The settings of every service, and the policies of this one."""

    invoices_card_is_slip: bool = Field(
        default=True, description="a card payment has its card slip, no invoice"
    )
    invoices_cut_off_day: int = Field(default=5, ge=1, le=28, description="day of the next month, for merges")
    invoices_cut_off_hour: int = Field(default=18, ge=0, le=23, description="hour of that day, in Seoul")
    invoices_close_chunk: int = Field(default=200, ge=1, le=2_000, description="partners in one transaction")

    def policy(self) -> Policy:
        """The policies as decisions read them."""
        return Policy(self.invoices_card_is_slip, self.invoices_cut_off_day, self.invoices_cut_off_hour)
