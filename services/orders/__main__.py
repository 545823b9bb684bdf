"""`python -m services.orders` runs the orders service."""

from services.orders.app import build
from services.orders.settings import OrdersSettings
from shared.runtime.app import main

if __name__ == "__main__":
    main(OrdersSettings, build)
