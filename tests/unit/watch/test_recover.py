"""What `pawl recover` prints: what would be brought forward, what was, what is lost."""

from typing import Any

from ops.watch.recover import lines_of


def said(**changes: Any) -> list[str]:
    usual = {"told": 0, "brought": 0, "handled": 0, "fresh": 0, "orders": [], "lost": [], "gone": []}
    return lines_of("orders", {**usual, "applied": False, **changes})


def test_a_schema_that_lacks_nothing_is_told_in_one_line() -> None:
    assert said() == ["The topics tell nothing that the schema orders does not know."]


def test_events_that_led_to_nothing_told_are_brought_forward_too() -> None:
    nothing, read, would = said(handled=12, fresh=3)

    assert nothing == "The topics tell nothing that the schema orders does not know."
    assert read == "It has read 12 events since the backup that led to nothing told."
    assert would.startswith("Would bring forward: 0 events as the topics tell them, 3 never published.")


def test_of_many_orders_the_first_twenty_are_named() -> None:
    first, _ = said(told=1_200, brought=1_200, orders=[f"A-{n}" for n in range(45)], applied=True)

    assert first.startswith("The topics tell 1,200 events that the schema orders lacks, of A-0, A-1,")
    assert first.endswith("A-19 and 25 more.")


def test_what_is_lost_is_named_and_nothing_is_changed() -> None:
    what = {"key": "A-1", "type": "serials.issued.v2", "sequence": 2, "event_id": "e-1"}
    lost = {**what, "at": "now", "why": "so"}
    gone = {"topic": "checkout.events", "partition": 4, "from_offset": 7, "to_offset": 9}

    _, deleted, named, last = said(told=1, orders=["A-1"], lost=[lost], gone=[gone])

    assert deleted.startswith("gone: checkout.events/4 from 7 up to 9 was deleted since the backup")
    assert named == "lost: A-1 serials.issued.v2 2 of now (e-1): so"
    assert last.startswith("Nothing was changed.")
