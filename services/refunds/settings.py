"""Settings of the refunds service."""

from pydantic import Field, SecretStr, field_validator

from services.refunds.state import Policy
from shared.settings import ServiceSettings, is_safe_to_ask


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
    refunds_second_approval_won: int = Field(
        default=0,
        ge=0,
        description="a refund in review that pays so many won needs two people to approve it; 0: none does",
    )
    refunds_holder_check_url: str = Field(
        default="", description="https://... that says whose an account is; empty asks no bank"
    )
    refunds_holder_check_token: SecretStr = Field(
        default=SecretStr(""), description="what that is sent as Authorization: Bearer"
    )
    refunds_holder_check_seconds: float = Field(
        default=5, gt=0, le=60, description="how long to wait for its answer"
    )

    @field_validator("refunds_holder_check_url")
    @classmethod
    def _may_see_accounts(cls, value: str) -> str:
        if value and not is_safe_to_ask(value):
            raise ValueError("is not https://...; over http anybody between could read the account")
        return value

    def policy(self) -> Policy:
        """The policies as decisions read them."""
        return Policy(self.refunds_second_approval_won, bool(self.refunds_holder_check_url))
