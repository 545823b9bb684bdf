"""Settings of the refunds service."""

from shared.settings import ServiceSettings


class RefundsSettings(ServiceSettings):
    """What the environment sets for the refunds service. `data_key` also seals bank accounts."""
