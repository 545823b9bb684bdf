"""Where somebody asks for a refund who paid through an app store: each store refunds its own payments.

Checkout does not say which store it was, so all of them are named; the receipt says which.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple


class AppStore(NamedTuple):
    """A store, and the page from which it is asked."""

    store: str
    link: str


APP_STORES: Final[Sequence[AppStore]] = (
    AppStore("Apple App Store", "https://reportaproblem.apple.com"),
    AppStore("Google Play", "https://play.google.com/store/account/orderhistory"),
    AppStore("ONE store", "https://m.onestore.co.kr"),
    AppStore("Samsung Galaxy Store", "https://www.samsung.com/sec/support/"),
)
SAYS: Final = "This payment was made through an app store: ask that store for the refund."
SAYS_KO: Final = "앱 마켓에서 결제한 주문입니다. 결제한 마켓에 환불을 요청하십시오."
NEXT: Final = "ask_app_store"


def stores_to_ask(reason: str | None) -> list[dict[str, str]]:
    """The stores as they are listed beside a refund that ended for this reason; none for another reason."""
    return stores_document() if reason == "app_store" else []


def stores_document() -> list[dict[str, str]]:
    """The stores as an event or an answer lists them."""
    return [each._asdict() for each in APP_STORES]
