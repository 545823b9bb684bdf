"""Settings of the refunds service."""

from shared.settings import ServiceSettings


class RefundsSettings(ServiceSettings):
    """What the refunds service is told by the environment. `data_key` also seals bank accounts."""
