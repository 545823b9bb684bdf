"""Ways from one page to another: a command that somebody could type, as the page that shows the same. Pure."""

import shlex
from urllib.parse import quote, urlencode


def way_of(command: str) -> str:
    """The page of a command; empty where there is none."""
    match _words(command):
        case ["pawl", "order", order_id]:
            return order_path(order_id)
        case ["pawl", "dead", "show" | "replay" | "edit", name]:
            return letter_path(name)
        case _:
            return ""


def _words(command: str) -> list[str]:
    try:
        return [word for word in shlex.split(command) if word != "--"]
    except ValueError:
        return []


def order_path(order_id: str) -> str:
    """The page of an order."""
    return f"/order?{urlencode({'id': order_id})}"


def letter_path(name: str) -> str:
    """The page of a refused or waiting record, which is named as `pawl dead` names it."""
    return f"/refused/{quote(name, safe=':')}"


def find_path(word: str) -> str:
    """The page of what a word names."""
    return f"/find?{urlencode({'word': word})}"
