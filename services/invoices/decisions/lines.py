"""The lines that a document is printed with, so that they sum to it to the won. Pure.

The VAT of lines is by cumulative difference: VAT(sum up to the line) - VAT(sum before it), so 3 x 1,605 won
give 160 + 161 + 160. Lines of one product and price are one line; where there are more than a document can
hold, the last one holds the rest (docs/domain.md section 5).
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from services.invoices.state import Refund, Snapshot, SoldLine
from shared.money import NOTHING, Money, payment_money

MOST_LINES = 99


class PrintedLine(NamedTuple):
    """One line of a document: a product at a price, in units and won; negative on a modified invoice.

    `unit_price` is the supply value of one unit, also of what was sold at a gross price.
    `kinds` is how many lines it stands for: more than one where others are folded into it.
    """

    product_id: str
    name: str
    unit_price: int | None
    quantity: int | None
    amount: Money
    kinds: int = 1


def split_money(vat_mode: str, worths: Sequence[int], money: Money | None = None) -> list[Money]:
    """The supply value and VAT of lines worth so many won each (supply or gross, as the mode says).

    They sum to `money`, or to that of their sum. Refunds released in another order than they were granted can
    leave a payment's VAT a won beside that of its lines: the last line with won on it takes the difference.
    """
    sums = [payment_money(vat_mode, total) for total in accumulate(worths, initial=0)]
    lines = [after.minus(before) for before, after in pairwise(sums)]
    rest = NOTHING if money is None else money.minus(sums[-1])
    if rest != NOTHING:
        last = max((place for place, worth in enumerate(worths) if worth), default=len(lines) - 1)
        lines[last] = lines[last].plus(rest)
    return lines


def lines_of_payment(paid: Money, snapshot: Snapshot, netted: Iterable[Refund]) -> list[PrintedLine]:
    """What a payment puts on its document: what was sold, less what was `netted` before the issue.

    A line of which no unit is left stays with the won that were used up of it.
    """
    units: dict[str, int] = {}
    used: dict[str, int] = {}
    unknown, left = NOTHING, paid
    for refund in netted:
        left = left.minus(refund.amount)
        unknown = unknown if refund.lines is not None else unknown.plus(refund.amount)
        for line_id, quantity in refund.lines or ():
            units[line_id] = units.get(line_id, 0) + quantity
        for line_id, won in refund.consumed.items():
            used[line_id] = used.get(line_id, 0) + won
    rest = [
        (line, line.quantity - units.get(line.line_id, 0), used.get(line.line_id, 0))
        for line in snapshot.lines
    ]
    lines = _printed(snapshot.vat_mode, rest, left.plus(unknown))
    if unknown != NOTHING:  # netted before units were kept: only their won are known
        lines.append(PrintedLine("", "환불", None, None, NOTHING.minus(unknown)))
    return lines


def lines_of_refund(snapshot: Snapshot, refund: Refund) -> list[PrintedLine]:
    """What the modified invoice of a refund takes back, line by line: negative units and won."""
    sold = {line.line_id: line for line in snapshot.lines}
    back = [
        (sold[line_id], quantity, -refund.consumed.get(line_id, 0))
        for line_id, quantity in refund.lines or ()
    ]
    if not back:
        return [PrintedLine("", "환불", None, None, NOTHING.minus(refund.amount))]
    return [opposite(line) for line in _printed(snapshot.vat_mode, back, refund.amount)]


def opposite(line: PrintedLine) -> PrintedLine:
    """The line with its signs turned."""
    quantity = None if line.quantity is None else -line.quantity
    return line._replace(quantity=quantity, amount=NOTHING.minus(line.amount))


def sum_of(lines: Iterable[PrintedLine]) -> Money:
    """What lines come to."""
    total = NOTHING
    for line in lines:
        total = total.plus(line.amount)
    return total


def grouped(lines: Iterable[PrintedLine]) -> list[PrintedLine]:
    """Lines of one product, name and price as one, in the order of the first of each."""
    groups: dict[tuple[str, str, int | None], PrintedLine] = {}
    for line in lines:
        key = (line.product_id, line.name, line.unit_price)
        before = groups.get(key)
        groups[key] = line if before is None else _together(before, line)
    return list(groups.values())


def _together(line: PrintedLine, other: PrintedLine) -> PrintedLine:
    quantity = (line.quantity or 0) + (other.quantity or 0)
    return line._replace(quantity=quantity, amount=line.amount.plus(other.amount))


def folded(lines: Sequence[PrintedLine], most: int = MOST_LINES) -> list[PrintedLine]:
    """At most `most` lines: the last one holds all that would not fit, "그 밖의 N종".

    What was folded before counts as all that it holds: lines can be folded again for a smaller form.
    """
    if len(lines) <= most:
        return list(lines)
    rest = lines[most - 1 :]
    kinds = sum(line.kinds for line in rest)
    return [*lines[: most - 1], PrintedLine("", f"그 밖의 {kinds}종", None, None, sum_of(rest), kinds)]


def line_amounts(
    vat_mode: str, left: Sequence[tuple[SoldLine, int, int]], money: Money | None = None
) -> list[Money]:
    """What so many units of each line come to, with so many won beside those of the units (`split_money`)."""
    return split_money(vat_mode, [_worth(line, units) + beside for line, units, beside in left], money)


def _printed(vat_mode: str, left: Sequence[tuple[SoldLine, int, int]], money: Money) -> list[PrintedLine]:
    amounts = line_amounts(vat_mode, left, money)
    return [
        PrintedLine(
            line.product_id,
            line.product_name,
            payment_money(vat_mode, line.unit_price).supply if quantity else None,
            quantity or None,
            amount,
        )
        for (line, quantity, beside), amount in zip(left, amounts, strict=True)
        if quantity or beside
    ]


def _worth(line: SoldLine, units: int) -> int:
    return (line.unit_price * line.quantity - line.discount) * units // line.quantity
