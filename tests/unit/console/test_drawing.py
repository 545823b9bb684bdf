"""The drawing of a story: lines from causes to effects through nobody else, and repeats taken together."""

from console.drawing import X, groups_of, strips_of


def test_an_effect_hangs_on_its_cause() -> None:
    cause, effect = strips_of(["checkout", "orders"], [None, 0])

    assert cause.paths == (f"M{X['checkout']:g} 14V28",)
    assert cause.rests == (f"{X['checkout']:g}",)
    assert effect.paths == (f"M10 0C10 14 {X['orders']:g} 0 {X['orders']:g} 14",)
    assert effect.rests == ()


def test_a_line_goes_on_through_the_rows_between() -> None:
    strips = strips_of(["orders", "checkout", "serials"], [None, None, 0])

    assert strips[1].paths == ("M30 0V28",)
    assert strips[1].rests == ("30",)


def test_a_line_goes_beside_the_steps_of_others_at_its_place() -> None:
    strips = strips_of(["orders", "orders", "invoices"], [None, None, 0])

    assert strips[1].paths == ("M34 0V28",)
    assert strips[2].paths[0].startswith("M34 0C")


def test_two_lines_at_one_place_are_told_apart() -> None:
    strips = strips_of(["orders", "orders", "serials", "refunds"], [None, None, 0, 1])

    assert strips[2].rests == ("30",)
    begun = {path.partition(" ")[0] for strip in strips[2:] for path in strip.paths}
    assert {"M34", "M30"} <= begun


def test_a_cause_that_was_recorded_later_draws_nothing() -> None:
    strips = strips_of(["serials", "orders"], [1, None])

    assert strips == strips_of(["serials", "orders"], [None, None])


def test_names_that_repeat_are_taken_together() -> None:
    assert groups_of(list("AAABC")) == [(0, 1, 2), (3,), (4,)]
    assert groups_of(list("XABABABC")) == [(0,), (1, 3, 5), (2, 4, 6), (7,)]
    assert groups_of(list("ABAB")) == [(0,), (1,), (2,), (3,)]
    assert groups_of(list("AAAAAA")) == [(0, 1, 2, 3, 4, 5)]
    assert groups_of([]) == []


def test_what_has_no_name_stands_alone() -> None:
    assert groups_of([None, None, None]) == [(0,), (1,), (2,)]
    assert groups_of(["A", None, "A", None, "A", None]) == [(row,) for row in range(6)]


def test_every_row_is_in_one_group() -> None:
    names = list("ABABABCCCABDDDDAB" * 3)

    groups = groups_of(names)

    assert sorted(row for group in groups for row in group) == list(range(len(names)))
    assert all(len({names[row] for row in group}) == 1 for group in groups)
