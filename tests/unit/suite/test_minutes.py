"""The picture of where the minutes go is drawn from what was measured."""

from tests.support.minutes import IMAGES, Step, draw, kept, measured

LINES = """
{"step": "make test", "began": 1020, "seconds": 300, "code": 0}
{"step": "engine (in the background)", "began": 1000, "seconds": 40, "code": 0}
{"step": "unit tests", "began": 1021, "seconds": 61, "code": 0}
"""


def test_steps_are_counted_from_the_first_second_of_the_run() -> None:
    assert measured(LINES.splitlines()) == [
        Step("engine (in the background)", 0, 40),
        Step("make test", 20, 300),
        Step("unit tests", 21, 61),
    ]


def test_each_step_is_a_line_with_its_duration() -> None:
    picture = draw(measured(LINES.splitlines()))

    for word in ("engine (in the background)", "make test", "unit tests", "0:40", "5:00", "1:01", "5 min"):
        assert f">{word}<" in picture


def test_the_picture_in_the_docs_is_drawn_from_the_numbers_beside_it() -> None:
    assert (IMAGES / "minutes.svg").read_text() == draw(kept())
