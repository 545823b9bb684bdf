"""Books of an order on which all four services agree: 10 units paid, 6 issued, 4 paid back."""

from ops.audit.books import (
    Books,
    Grant,
    InvoicesBook,
    OrdersBook,
    RefundClaim,
    RefundsBook,
    RefundUnits,
    SerialsBook,
    Units,
)


def orders_book() -> OrdersBook:
    return OrdersBook(
        state="paid",
        payment_id="pay-1",
        supply=16_000,
        vat=1_600,
        remaining=10_560,
        lines={"1": Units(paid=10, issuing=0, issued=6, refunding=0, refunded=4)},
        grants={"g1": Grant("1", 6, "confirmed")},
        refunds={"r1": RefundClaim("confirmed", 6_400, 640, units={"1": 4})},
        quarantined=0,
        unfit=0,
    )


def serials_book() -> SerialsBook:
    return SerialsBook({"g1": Grant("1", 6, "issued", issued=6)})


def refunds_book() -> RefundsBook:
    return RefundsBook(
        payment_id="pay-1",
        supply=16_000,
        vat=1_600,
        lines={"1": RefundUnits(paid=10, granted=6, refunding=0, refunded=4, taken_back=0)},
        refunds={"r1": RefundClaim("completed", 6_400, 640, units={"1": 4})},
    )


def invoices_book() -> InvoicesBook:
    return InvoicesBook(
        payment_id="pay-1",
        supply=16_000,
        vat=1_600,
        evidence="tax_invoice",
        issued_units=6,
        standing=10_560,
        document="draft",
        modified=0,
        refunds={"r1": (6_400, 640)},
        cancelled=0,
    )


def agreeing_books() -> Books:
    return Books("A-1", orders_book(), serials_book(), refunds_book(), invoices_book())
