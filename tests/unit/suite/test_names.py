import gzip

from tests.support.names import pytest_make_parametrize_id


def test_a_name_has_no_part_that_a_clock_may_have_written() -> None:
    first, second = (gzip.compress(b"won", mtime=second) for second in (1_782_864_000, 1_782_864_001))

    assert first != second
    assert pytest_make_parametrize_id(first, "body") == pytest_make_parametrize_id(second, "body") == "body"


def test_what_can_be_read_keeps_its_name() -> None:
    assert pytest_make_parametrize_id(b"garbage", "body") is None
    assert pytest_make_parametrize_id("garbage", "body") is None
