"""What the environment sets for the invoices service."""

from collections.abc import Callable
from pathlib import Path

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from services.invoices.closes import Sizes
from services.invoices.documents.tax_document import Party
from services.invoices.state import Policy
from shared.business_number import is_valid, normalise
from shared.login import FilePassword, read_password
from shared.settings import File, ServiceSettings, is_safe_to_ask


class InvoicesSettings(ServiceSettings):
    """The settings of every service, and the policies of this one."""

    invoices_card_is_slip: bool = Field(
        default=True, description="a card payment has its card slip, no invoice"
    )
    invoices_cut_off_day: int = Field(default=5, ge=1, le=28, description="day of the next month, for merges")
    invoices_cut_off_hour: int = Field(default=18, ge=0, le=23, description="hour of that day, in Seoul")
    invoices_close_chunk: int = Field(default=200, ge=1, le=2_000, description="partners in one transaction")
    invoices_close_set: int = Field(
        default=1_000, ge=1, le=10_000, description="partners in one transaction, of those that go by sets"
    )

    invoices_draft_rows: bool = Field(
        default=False,
        description="every draft has its row, as release 0.2.0 asks for, also after a day",
    )
    invoices_four_eyes: bool = Field(default=True, description="who approves a document is not who issues it")
    invoices_supplier_number: str = Field(
        default="", description="business number of who sells; without it no document is approved or shown"
    )
    invoices_supplier_name: str = Field(
        default="", max_length=200, validate_default=True, description="its name, as registered"
    )
    invoices_supplier_representative: str = Field(
        default="", max_length=100, validate_default=True, description="who represents it"
    )
    invoices_supplier_address: str = Field(default="", max_length=300, description="its place of business")
    invoices_supplier_business_type: str = Field(
        default="", max_length=100, description="its type of business"
    )
    invoices_supplier_business_item: str = Field(default="", max_length=100, description="what it deals in")
    invoices_supplier_branch: str = Field(
        default="",
        pattern="^(?:[0-9]{4})?$",
        description="four digits, where places of business share a number",
    )
    invoices_supplier_email: str = Field(
        default="", max_length=100, description="who is asked about documents"
    )

    invoices_tax_agent_url: str = Field(
        default="",
        description="https://... of a tax agent that issues documents; empty: they are issued without one",
    )
    invoices_tax_agent_token: SecretStr = Field(
        default=SecretStr(""), description="what it is sent as Authorization: Bearer"
    )
    invoices_tax_agent_token_file: File = Field(
        default=None, description="a file with that, which is read for each question"
    )
    invoices_tax_agent_seconds: float = Field(
        default=30, gt=0, le=50, description="how long to wait for its answer, and for that of the registry"
    )
    invoices_business_status_url: str = Field(
        default="", description="https://... that says whether businesses are active; empty asks nobody"
    )
    invoices_business_status_token: SecretStr = Field(
        default=SecretStr(""), description="what that is sent as Authorization: Bearer"
    )
    invoices_business_status_token_file: File = Field(
        default=None, description="a file with that, which is read for each question"
    )

    @field_validator("invoices_tax_agent_url", "invoices_business_status_url")
    @classmethod
    def _may_see_documents(cls, value: str) -> str:
        if value and not is_safe_to_ask(value):
            raise ValueError("is not https://...; over http anybody between could read the documents")
        return value

    @field_validator("invoices_tax_agent_url")
    @classmethod
    def _has_a_supplier(cls, value: str, info: ValidationInfo) -> str:
        if value and not info.data.get("invoices_supplier_number"):
            raise ValueError("needs INVOICES_SUPPLIER_NUMBER: an agent issues the documents of somebody")
        return value

    @field_validator("invoices_tax_agent_token_file", "invoices_business_status_token_file")
    @classmethod
    def _holds_one_token(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is None:
            return None
        given = str(info.field_name).removesuffix("_file")
        token = info.data.get(given)
        if token is not None and token.get_secret_value():
            raise ValueError(f"and {given.upper()} both say it: give one of the two")
        try:
            read_password(value)
        except OSError as error:
            raise ValueError(f"{value} cannot be read: {error.strerror or error}") from None
        return value

    @field_validator("invoices_supplier_number")
    @classmethod
    def _is_a_business(cls, value: str) -> str:
        if value and not is_valid(value):
            raise ValueError("is no valid business number")
        return normalise(value) or ""

    @field_validator("invoices_supplier_name", "invoices_supplier_representative")
    @classmethod
    def _is_told_with_its_number(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("invoices_supplier_number") and not value.strip():
            raise ValueError("is missing beside INVOICES_SUPPLIER_NUMBER")
        return value

    def sizes(self) -> Sizes:
        """How much of a month goes into one transaction."""
        return Sizes(self.invoices_close_chunk, self.invoices_close_set)

    def supplier(self) -> Party | None:
        """Who sells; None where it is not set."""
        if not self.invoices_supplier_number:
            return None
        return Party(
            self.invoices_supplier_number,
            self.invoices_supplier_name,
            self.invoices_supplier_representative,
            self.invoices_supplier_address,
            self.invoices_supplier_business_type,
            self.invoices_supplier_business_item,
            self.invoices_supplier_branch,
            self.invoices_supplier_email,
        )

    def agent_token(self) -> Callable[[], str]:
        """Says what the tax agent is sent as a token by now."""
        return _token(self.invoices_tax_agent_token, self.invoices_tax_agent_token_file)

    def registry_token(self) -> Callable[[], str]:
        """Says what the registry of businesses is sent as a token by now."""
        return _token(self.invoices_business_status_token, self.invoices_business_status_token_file)

    def policy(self) -> Policy:
        """The policies as decisions read them."""
        return Policy(
            self.invoices_card_is_slip,
            self.invoices_cut_off_day,
            self.invoices_cut_off_hour,
            self.invoices_four_eyes,
            bool(self.invoices_tax_agent_url),
            self.invoices_draft_rows,
        )


def _token(given: SecretStr, file: Path | None) -> Callable[[], str]:
    return given.get_secret_value if file is None else FilePassword(file).now
