"""Ways to the pages of the console: a command that somebody could type, as the page that says the same. Pure.

The addresses of pages are written here and in the routes of the console, and nowhere else.
"""

import shlex
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote, urlencode

NEEDS: Final = "/needs"


def way_of(command: str) -> str:
    """The page of a command; empty where there is none."""
    match _words(command):
        case ["pawl", "order", order_id]:
            return order_path(order_id)
        case ["pawl", "dead", "show" | "replay" | "edit", name]:
            return letter_path(name)
        case ["pawl", "refund", word, name]:
            return _way_of_refund(word, name)
        case ["pawl", "lag" | "todo", *said]:
            return _way_of_needs(said)
        case ["pawl", "month", month]:
            return month_path(month)
        case ["pawl", "close", month, *said]:
            return _way_of_close(month, said)
        case ["pawl", "document" | "explain", name]:
            return document_path(name)
        case ["pawl", "partner", *said]:
            return _way_of_partner(said)
        case ["pawl", "serials", "status" | "export" | "notice" | "custody", grant_id, *_]:
            return issuance_path(grant_id)
        case _:
            return ""


def _way_of_refund(word: str, name: str) -> str:
    match word:
        case "check":
            return check_path(name)
        case "show" | "approve" | "proof" | "retry" | "release":
            return refund_path(name)
        case _:
            return ""


def _way_of_needs(said: Sequence[str]) -> str:
    match said:
        case []:
            return NEEDS
        case ["--code", code]:
            return f"{NEEDS}?{urlencode({'only': code})}"
        case _:
            return ""


def _way_of_close(month: str, said: Sequence[str]) -> str:
    match said:
        case [_, *options] if "--business" in options[:-1]:
            return business_path(month, options[options.index("--business") + 1])
        case ["status" | "amend" | "correct" | "recall", name, *_] if not name.startswith("-"):
            return document_path(name)
        case _:
            return month_path(month)


def _way_of_partner(said: Sequence[str]) -> str:
    match said:
        case ["purge", *_]:
            return "/partner"
        case ["show" | "correct" | "check" | "withdraw", *_, partner_id] | [partner_id]:
            return partner_path(partner_id)
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


def month_path(month: str, state: str = "") -> str:
    """The page of a month, like 2011-03; with its businesses that are in a state."""
    return f"/month?{urlencode({'month': month} | ({'state': state} if state else {}))}"


def business_path(month: str, number: str) -> str:
    """The page of a business in a month."""
    return f"/business?{urlencode({'month': month, 'number': number})}"


def document_path(name: str) -> str:
    """The page of a document, by its key or its id; of a payment by the id of its order."""
    return f"/document?{urlencode({'id': name})}"


def partner_path(partner_id: str) -> str:
    """The page of a partner."""
    return f"/partner?{urlencode({'id': partner_id})}"


def issuance_path(grant_id: str) -> str:
    """The page of an issuance of serials, which has the id of its grant; or of an order."""
    return f"/issuance?{urlencode({'id': grant_id})}"


def issuances_path(**of: str) -> str:
    """The list of issuances, of a `partner` or an `order`."""
    return f"/issuances?{urlencode(of)}" if of else "/issuances"


def serial_path(serial_id: str) -> str:
    """The page of one serial, which never shows it in full."""
    return f"/serial?{urlencode({'id': serial_id})}"


def way_of_thing(kind: str, name: str, command: str) -> str:
    """The page of a thing that was found: its own where it has one, else that of its command."""
    match kind:
        case "grant":
            return issuance_path(name)
        case "serial":
            return serial_path(name)
        case _:
            return way_of(command)


def check_path(order_id: str) -> str:
    """What of an order can be refunded."""
    return f"/refund/check?{urlencode({'order': order_id})}"


def list_path(list_id: str) -> str:
    """The page of a list of refused records."""
    return f"/refused-lists/{list_id}"
