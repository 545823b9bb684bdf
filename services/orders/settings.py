"""Settings of the orders service; the policies carry the defaults of the business."""

from pydantic import Field

from shared.settings import ServiceSettings


class OrdersSettings(ServiceSettings):
    """What the orders service is told by the environment."""

    orders_expiry_grace_seconds: float = Field(
        default=600,
        ge=0,
        description="how long after its deadline a deposit made in time may still be heard of",
    )
    orders_expiry_poll_seconds: float = Field(
        default=1, gt=0, description="how often to look for overdue deposits"
    )
    archive_years: int = Field(
        default=5, ge=1, le=100, description="years for which the orders of a partner that left name it"
    )
    invoices_card_is_slip: bool = Field(
        default=True,
        description="a card payment has its card slip, no invoice (as invoices is told)",
    )
