"""What a service makes of where its group stands, of what the broker still has, and of its own account."""

import pytest

from shared.runtime.offsets import Gap, Judged, Stand, judge


@pytest.mark.parametrize(
    ("stand", "judged"),
    [
        pytest.param(Stand(None, None, 0, 0), Judged(0), id="a partition that nobody ever wrote to"),
        pytest.param(Stand(None, None, 7, 9), Judged(7), id="a service that never read"),
        pytest.param(Stand(5, 5, 0, 9), Judged(5), id="a restart"),
        pytest.param(Stand(5, 4, 0, 9), Judged(5), id="a commit that did not arrive"),
        pytest.param(Stand(5, 0, 0, 9), Judged(5), id="a group that was set back"),
        pytest.param(Stand(5, None, 0, 9), Judged(5), id="a group that was forgotten"),
        pytest.param(Stand(5, 5, 5, 5), Judged(5), id="all that was read is deleted"),
        pytest.param(Stand(5, 5, 9, 9), Judged(9, Gap(5, 9, "deleted")), id="deleted before it was read"),
        pytest.param(Stand(0, None, 3, 3), Judged(3, Gap(0, 3, "deleted")), id="deleted before any was read"),
        pytest.param(Stand(None, 5, 9, 9), Judged(9), id="a new schema beside an old group"),
        pytest.param(
            Stand(None, 5, 0, 9), Judged(5, Gap(0, 5, "moved")), id="an empty schema behind its group"
        ),
        pytest.param(
            Stand(None, 5, 3, 9), Judged(5, Gap(3, 5, "moved")), id="an empty schema, and some deleted before"
        ),
        pytest.param(
            Stand(None, 3, 3, 9), Judged(3), id="an empty schema, and a group that has read nothing"
        ),
        pytest.param(Stand(5, 8, 0, 9), Judged(8, Gap(5, 8, "moved")), id="a group that was set forward"),
        pytest.param(Stand(5, 8, 7, 9), Judged(8, Gap(5, 8, "moved")), id="set forward, and some deleted"),
        pytest.param(Stand(5, 5, 0, 2), Judged(0, None, True), id="a topic that was created anew"),
        pytest.param(
            Stand(5, None, 2, 4), Judged(2, Gap(0, 2, "deleted"), True), id="anew, and some deleted"
        ),
        pytest.param(Stand(None, 5, 0, 2), Judged(0), id="a new schema, and a topic created anew"),
    ],
)
def test_what_was_never_read_is_a_gap_and_what_is_read_again_is_none(stand: Stand, judged: Judged) -> None:
    assert judge(stand) == judged
