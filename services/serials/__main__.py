"""`python -m services.serials` runs the service."""

from services.serials.app import build
from services.serials.settings import SerialsSettings
from shared.runtime.app import main

if __name__ == "__main__":
    main(SerialsSettings, build)
