"""The routes of the four services by name: what they read, and by which handler."""

from collections.abc import Mapping
from importlib import import_module

from shared.events.catalogue import SERVICES
from shared.runtime.decisions import Route

ROUTES: Mapping[str, Mapping[str, Route]] = {
    service: import_module(f"services.{service}.handlers").ROUTES for service in SERVICES
}
