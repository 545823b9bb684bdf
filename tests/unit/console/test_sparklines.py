"""The last hour of lag as a line: its scale, its gaps, and what is not known."""

from datetime import UTC, datetime, timedelta

from console.keeping import Sample
from console.sampling import EVERY, LONGEST_REST, rest_after, samples_of, turn_of
from console.sparklines import HEIGHT, WIDTH, spark_of
from ops.watch.lag import Backlog, ServiceLag

AT = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)


def sample(ago: timedelta, reading: float | None = 0.0, publishing: float | None = 0.0) -> Sample:
    return Sample(AT - ago, "orders", reading, publishing)


def test_the_newest_sample_is_at_the_right_and_the_most_at_the_top() -> None:
    spark = spark_of([sample(timedelta(minutes=1), 40.0), sample(timedelta(0), 0.0)], AT)

    assert spark is not None
    assert (spark.most, spark.most_at, spark.last) == (40.0, AT - timedelta(minutes=1), 0.0)
    assert spark.lines == [f"118.0,1.0 {WIDTH}.0,{HEIGHT - 1}.0"]


def test_a_quiet_hour_looks_quiet() -> None:
    spark = spark_of([sample(timedelta(0), 0.1)], AT)

    assert spark is not None
    assert float(spark.lines[0].split(",")[1].split()[0]) > HEIGHT - 3


def test_the_line_stops_where_nobody_knows() -> None:
    known = [sample(EVERY * n, None if n == 5 else 1.0) for n in range(10, -1, -1)]

    away = [each for each in known if not timedelta(minutes=1) < AT - each.taken_at < timedelta(minutes=4)]
    spark = spark_of(away, AT)

    assert spark is not None
    assert len(spark.lines) == 2


def test_what_a_service_does_worse_counts_and_nothing_is_drawn_of_nothing() -> None:
    worse = spark_of([sample(timedelta(0), None, 7.0)], AT)

    assert worse is not None
    assert worse.last == 7.0
    assert spark_of([sample(timedelta(0), None, None), sample(timedelta(hours=2))], AT) is None


def test_every_console_has_the_same_turns_and_rests_longer_when_nothing_answers() -> None:
    at = AT + timedelta(seconds=47)

    assert turn_of(at) == turn_of(at - timedelta(seconds=10)) == AT + timedelta(seconds=30)
    assert rest_after(0, at) == timedelta(seconds=13)
    assert rest_after(1, at) == timedelta(minutes=1)
    assert rest_after(2, at) == timedelta(minutes=2)
    assert rest_after(50, at) == LONGEST_REST


def test_without_a_broker_only_publishing_is_known() -> None:
    lag = {"orders": ServiceLag(Backlog(2.5, 3), {}, 0)}

    first, *others = samples_of(AT, lag, has_topics=False)

    assert first == Sample(AT, "orders", None, 2.5)
    assert {(each.reading, each.publishing) for each in others} == {(None, None)}
