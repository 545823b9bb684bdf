"""Ways between pages: a command that somebody could type, as the page that shows the same. Pure."""

import shlex
from urllib.parse import quote, urlencode


def way_of(command: str) -> str:
    """The page of a command; empty where there is none."""
    match _words(command):
        case ["pawl", "order", order_id]:
            return order_path(order_id)
        case ["pawl", "dead", "show" | "replay" | "edit", name]:
            return letter_path(name)
        case ["pawl", "refund", "show" | "approve" | "proof" | "retry" | "release", refund_id]:
            return refund_path(refund_id)
        case ["pawl", "refund", "check", order_id]:
            return check_path(order_id)
        case ["pawl", "month", month]:
            return month_path(month)
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


def refund_path(refund_id: str) -> str:
    """The page of a refund, by its own id."""
    return f"/refund?{urlencode({'id': refund_id})}"


def check_path(order_id: str) -> str:
    """What of an order can be refunded."""
    return f"/refund/check?{urlencode({'order': order_id})}"


def list_path(list_id: str) -> str:
    """The page of a list of refused records."""
    return f"/refused-lists/{list_id}"


def month_path(month: str) -> str:
    """The page of a month, like 2011-03."""
    return f"/month?{urlencode({'month': month})}"
