"""`python -m services.refunds` runs the refunds service."""

from services.refunds.app import build
from services.refunds.settings import RefundsSettings
from shared.runtime.app import main

if __name__ == "__main__":
    main(RefundsSettings, build)
