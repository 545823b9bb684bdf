"""*Needs somebody*: thresholds that people chose, and the last hour of lag, beside the list."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from console.keeping import Choice, Chosen, Keeping, Name, Sample
from console.reading import Reader
from console.screens import needs, thresholds
from ops.shell.problem import Problem
from ops.shell.system import System
from ops.watch.lag import Backlog, ServiceLag
from ops.watch.living import Life
from ops.watch.status import Status
from ops.watch.todo.listing import Todo
from shared.clock import now
from shared.events.catalogue import SERVICES
from shared.operators.todo import Thresholds
from tests.support.console_pages import request_of, text_of, visit_of

HOUR = timedelta(hours=1)


class Kept(Keeping):
    """Thresholds and samples in memory."""

    def __init__(self, samples: Sequence[Sample] = ()) -> None:
        super().__init__(None)
        self.choices_made: list[Choice] = []
        self.samples_taken = list(samples)

    async def chosen(self) -> Chosen:
        last = {choice.name: choice.span for choice in self.choices_made}
        return {name: span for name, span in last.items() if span is not None}

    async def choices(self) -> list[Choice]:
        return self.choices_made[::-1]

    async def choose(self, spans: Any, person: str, reason: str) -> None:
        self.choices_made += [Choice(name, span, person, reason, now()) for name, span in spans.items()]

    async def samples(self, since: datetime) -> list[Sample]:
        return self.samples_taken


class Reading(Reader):
    """A system in which nothing needs anybody."""

    def __init__(self, kept: Keeping | None) -> None:
        super().__init__(System(directory=Path()), Thresholds(), kept)

    async def status(self) -> Status:
        lag = {name: ServiceLag(Backlog(0.0, 0), {}, 0) for name in SERVICES}
        return Status(now(), {name: Life("alive") for name in SERVICES}, Todo(), lag, True)


def form(**changed: str) -> dict[str, str]:
    """The form as the page has it, where everything is as configured."""
    return {"waiting": "10", "grant": "10", "deposit": "24", "quarantine": "3", "reason": "quiet", **changed}


async def choose(kept: Keeping, **changed: str) -> str:
    answer = await thresholds.choose(Reading(kept), request_of("/x"), visit_of("operator"), form(**changed))
    return answer.headers["location"]


async def test_lag_has_its_last_hour_as_a_line_with_words() -> None:
    samples = [
        Sample(now() - timedelta(minutes=minutes), "orders", float(minutes), 0.0) for minutes in (3, 2, 1)
    ]

    html = text_of(await needs.show(Reading(Kept(samples)), request_of("/needs"), visit_of("viewer")))

    assert html.count("<polyline") == 1
    assert 'role="img" aria-label="orders: seconds behind in the last hour; 1.0 s now, 3.0 s at most' in html
    assert "<script>" not in html


async def test_without_what_the_console_keeps_the_list_is_there() -> None:
    html = text_of(await needs.show(Reading(None), request_of("/needs"), visit_of("viewer")))

    assert "Nothing needs anybody." in html
    assert "<polyline" not in html


async def test_a_threshold_that_differs_is_shown_beside_the_list() -> None:
    kept = Kept()
    assert await choose(kept, waiting="45") == thresholds.DONE

    html = text_of(await needs.show(Reading(kept), request_of("/needs"), visit_of("viewer", "ko")))

    assert "이벤트가 기다려도 되는 시간 45 분" in html
    assert "설정값 10" in html
    assert await Reading(kept).thresholds() == Thresholds(waiting=timedelta(minutes=45))


async def test_only_what_was_changed_is_kept_with_who_and_why() -> None:
    kept = Kept()

    await choose(kept, deposit="1.5", reason=" a holiday ")

    (choice,) = kept.choices_made
    assert (choice.name, choice.span) == ("deposit", timedelta(minutes=90))
    assert (choice.person, choice.reason) == ("demo:operator", "a holiday")


@pytest.mark.parametrize("back", ["", "10"])
async def test_an_empty_field_goes_back_to_what_is_configured(back: str) -> None:
    kept = Kept()
    await choose(kept, waiting="45")

    await choose(kept, waiting=back)

    assert await kept.chosen() == {}
    assert [choice.span for choice in kept.choices_made] == [timedelta(minutes=45), None]


@pytest.mark.parametrize("wrong", ["-1", "many", "nan", "inf", "1e9", "999999", "１０日"])
async def test_what_is_no_span_is_refused_and_nothing_is_kept(wrong: str) -> None:
    kept = Kept()

    with pytest.raises(Problem, match="is not from 0 to 365 days"):
        await choose(kept, quarantine=wrong)
    assert kept.choices_made == []


async def test_a_choice_needs_a_reason_and_a_change() -> None:
    kept = Kept()

    with pytest.raises(Problem, match="needs a reason"):
        await choose(kept, waiting="45", reason="  ")
    with pytest.raises(Problem, match="No threshold was changed"):
        await choose(kept)
    assert kept.choices_made == []


async def test_a_viewer_sees_thresholds_and_who_chose_them_and_has_no_button() -> None:
    kept = Kept()
    await choose(kept, waiting="45", reason="<b>quiet</b>")

    html = text_of(await thresholds.show(Reading(kept), request_of("/needs/thresholds"), visit_of("viewer")))

    assert "&lt;b&gt;quiet&lt;/b&gt;" in html
    assert "Let them count" not in html
    assert "readonly" in html
    assert '<form method="post" class="act">' not in html


def test_every_threshold_of_the_list_has_a_name_and_a_unit_here() -> None:
    names: set[Name] = set(thresholds.UNITS)
    assert names == set(Thresholds.__struct_fields__)
