"""`--sample SEED`: of the families of long faults only as many as the table below says, chosen by the seed.

The seed of CI is the commit, so that every fault has its turn while commits come in, and a failure is
repeated with the same seed: make test-faults PYTEST_ARGS="--sample SEED". Without the option everything runs.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import NamedTuple

import pytest


class Sample(NamedTuple):
    """How many of a family run, and why so few are enough for every commit."""

    tests: int
    reason: str


SAMPLES: Mapping[str, Sample] = {
    "test_a_crash_exactly_there_loses_and_doubles_nothing": Sample(
        2, "the moments between what is done and what is published are hit by every `make test`"
    ),
    "test_a_service_that_was_halted_and_resumed_goes_on": Sample(1, "the four services share this code"),
    "test_the_work_of_a_halted_service_is_done_by_the_other_instance": Sample(
        1, "the four services share this code"
    ),
    "test_an_instance_that_still_holds_a_batch_when_its_partitions_move_does_no_harm": Sample(
        3, "all four services halt in each of them"
    ),
    "test_an_instance_that_was_halted_for_long_does_not_set_its_group_back": Sample(
        0, "the same story as of the family above, with half a minute more of waiting"
    ),
    "test_sends_whose_acknowledgement_is_lost_are_repeated_in_order": Sample(
        1, "the four relays are one code, and the first runs in every `make test`"
    ),
    "test_a_database_that_goes_away_and_comes_back_loses_nothing": Sample(
        0, "a server that is killed is harder, and `make test` kills it"
    ),
    "test_a_broker_that_goes_away_and_comes_back_loses_nothing": Sample(
        0, "a server that is killed is harder, and `make test` kills it"
    ),
    "test_a_broker_that_is_away_for_five_minutes_is_waited_for_in_peace_and_caught_up_with": Sample(
        0, "a minute shows the same; five show that nothing grows over time"
    ),
    "test_topics_read_from_offset_zero_again_and_again_change_nothing": Sample(
        0, "once runs in every `make test`; three times here"
    ),
    "test_every_topic_published_again_in_another_order_of_keys_changes_nothing": Sample(
        0, "once runs in every `make test`; three times here"
    ),
    "test_many_histories_end_in_postgres_as_they_do_in_memory": Sample(
        4, "eight run in every `make test`, and each commit has others besides"
    ),
    "test_all_services_are_restored_from_one_dump_and_brought_forward_in_their_order": Sample(
        0, "one service is restored for every commit, and the four share the code"
    ),
    "test_an_earlier_point_in_time_is_behind_and_is_brought_forward": Sample(
        0, "it is recovered as from a dump, and the WAL is played for every commit"
    ),
    "test_everything_moves_to_another_cluster": Sample(
        0, "two more servers; offsets that begin anew are met by the family below too"
    ),
    "test_a_topic_that_is_created_anew_is_read_on": Sample(1, "readers of both topics share this code"),
    "test_an_upgrade_under_load_loses_nothing_doubles_nothing_and_blocks_nobody": Sample(
        0, "the last release comes from the history of the clone, which a shallow one has not"
    ),
    "test_the_way_back_loses_nothing_doubles_nothing_and_blocks_nobody": Sample(
        0, "the same, and its first half is the upgrade"
    ),
    "test_ten_million_units_get_one_serial_each_and_no_two_are_alike": Sample(
        0, "minutes of one processor; the same code issues a large grant in every `make test`"
    ),
}
"""By the name of the test. A long fault that is not here always runs."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--sample", metavar="SEED", help="run only a sample of the long faults, chosen by SEED")


def pytest_report_header(config: pytest.Config) -> str | None:
    """Says how to choose the same again."""
    seed = config.getoption("--sample")
    return f'sample: a part of the long faults, chosen by "--sample {seed}"' if seed else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what the sample does not take of the long faults."""
    seed = config.getoption("--sample")
    if not seed:
        return
    out = left_out(seed, (item for item in items if item.get_closest_marker("faults")))
    config.hook.pytest_deselected(items=[item for item in items if item in out])
    items[:] = [item for item in items if item not in out]


def left_out(seed: str, items: Iterable[pytest.Item]) -> set[pytest.Item]:
    """Those of the families above that the seed does not choose."""
    families: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        families[getattr(item, "originalname", item.name)].append(item)
    out: set[pytest.Item] = set()
    for name, members in families.items():
        if name in SAMPLES:
            out |= set(chosen(seed, members)[SAMPLES[name].tests :])
    return out


def chosen(seed: str, members: Iterable[pytest.Item]) -> list[pytest.Item]:
    """All of them, in an order that only the seed and their names decide."""
    return sorted(members, key=lambda item: sha256(f"{seed} {item.nodeid}".encode()).digest())
