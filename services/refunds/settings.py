"""Settings of the refunds service."""

from pydantic import Field

from shared.settings import ServiceSettings


class RefundsSettings(ServiceSettings):
    """What the environment sets for the refunds service. `data_key` also seals bank accounts."""

    refunds_ask_again_seconds: float = Field(
        default=600,
        gt=0,
        description="after how long checkout is first asked again for a payout of which nobody knows",
    )
    invoices_card_is_slip: bool = Field(
        default=True,
        description="a card payment has its card slip, no invoice (as invoices is told)",
    )
