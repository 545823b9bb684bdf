"""A partner that has left is noted, so that its own tokens find no document; its books stay."""

from services.invoices.state import WithdrawnPartner
from tests.unit.invoices.books import ASKED_AT, PARTNER, Books, instant


def test_a_partner_that_has_left_is_noted_and_its_payments_stay_as_they_are() -> None:
    books = Books()
    payment = books.paid("A-1")
    said = {"partner_id": PARTNER, "withdrawn_at": ASKED_AT}

    books.take(books.events.event("partner.withdrawn.v1", PARTNER, ASKED_AT, **said))

    assert books.world.withdrawn == [WithdrawnPartner(PARTNER, instant(ASKED_AT))]
    assert books.world.payments == {"A-1": payment}
