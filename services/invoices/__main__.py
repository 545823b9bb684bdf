"""`python -m services.invoices` runs the service."""

from services.invoices.app import build
from services.invoices.settings import InvoicesSettings
from shared.runtime.app import main

if __name__ == "__main__":
    main(InvoicesSettings, build)
