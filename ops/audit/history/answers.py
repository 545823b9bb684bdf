"""Rule `answered_once`: each request has exactly one answer, and no answer is for nothing."""

from collections import Counter
from collections.abc import Iterator

from ops.audit.history.entries import REPLAYED
from ops.audit.history.key_history import KeyHistory, answers_a_place

Identity = tuple[str, str]


def answered_once(history: KeyHistory) -> Iterator[str]:
    """What is wrong with the answers of one key."""
    yield from _answers_of_requests(history)
    yield from _answers_of_places(history)
    asked = {request.at for request in history.requests}
    for answer in history.answers:
        if answer.at not in asked:
            yield f"{answer.process} answers {answer.id or answer.at} at {answer.at}, where nobody asked"


def _answers_of_requests(history: KeyHistory) -> Iterator[str]:
    contents: dict[Identity, str] = {}
    refused = {answer.at for answer in history.answers if answers_a_place(answer)}
    for request in history.requests:
        unanswered = history.quiet and request.at not in refused
        if not request.id or not request.source:
            if unanswered:
                yield f"the request at {request.at} got no answer"
        elif contents.setdefault(request.identity, request.content) != request.content and unanswered:
            yield f"{request.id} was used again for something else at {request.at}, without an answer"
    yield from _answers_of_identities(history, contents)


def _answers_of_identities(history: KeyHistory, identities: dict[Identity, str]) -> Iterator[str]:
    replays = Counter(entry.identity for entry in history.entries if entry.type == REPLAYED)
    given = Counter(answer.identity for answer in history.answers if not answers_a_place(answer))
    for identity in identities:
        times = given[identity]
        if times > 1 + replays[identity]:
            yield f"{identity[1]} got {times} answers"
        elif times == 0 and history.quiet and hash(identity) not in history.across.answered:
            yield f"{identity[1]} got no answer"


def _answers_of_places(history: KeyHistory) -> Iterator[str]:
    times = Counter(answer.at for answer in history.answers if answers_a_place(answer))
    for place, number in times.items():
        if number > 1:
            yield f"the request at {place} got {number} answers"
