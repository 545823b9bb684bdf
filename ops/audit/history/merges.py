"""Rule `merges_answered`: each request about a merge is answered once, for every payment that it names.

A long answer comes in parts, which are one answer.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from ops.audit.history.entries import Entry
from ops.audit.history.key_history import KeyHistory

REQUESTS = ("merge.requested.v1", "merge.undone.v1")


def merges_answered(history: KeyHistory) -> Iterator[str]:
    """Requests about merges without an answer, answers without a request, and payments that are left out."""
    asked = {
        request.data.get("request_id") or request.id: request
        for type_name in REQUESTS
        for request in history.accepted_requests(type_name)
    }
    parts: defaultdict[str, list[Entry]] = defaultdict(list)
    for answer in history.events_of("merge.answered.v1"):
        parts[str(answer.data.get("request_id"))].append(answer)
    answers = [each for told in parts.values() for each in told if each.data.get("part", 1) == 1]
    times = Counter(str(answer.data.get("request_id")) for answer in answers)
    for answer in answers:
        told = parts[str(answer.data.get("request_id"))]
        request = asked.get(str(answer.data.get("request_id")))
        if len(told) < answer.data.get("parts", 1):
            yield f"the answer {answer.id} has {len(told)} of {answer.data['parts']} parts"
        elif request is not None:
            yield from _named_and_not_told(request, answer, told)
        elif history.quiet:
            yield f"the answer {answer.id} is about {answer.data.get('request_id')}, which nobody asked"
    for request_id, number in times.items():
        if number > 1:
            yield f"the request {request_id} about a merge is answered {number} times"
    for request_id, request in asked.items():
        if history.quiet and not times[request_id] and history.across.is_of_contract_2(request):
            yield f"the request {request_id} about a merge ({request.id}) is not answered"


def _named_and_not_told(request: Entry, answer: Entry, parts: Sequence[Entry]) -> Iterator[str]:
    told = {payment_id for part in parts for payment_id in part.data["merged"]}
    told |= {each["payment_id"] for part in parts for each in part.data["excluded"]}
    for payment_id in request.data.get("payment_ids") or ():
        if payment_id not in told:
            yield f"the answer {answer.id} says nothing of payment {payment_id}, which was named"
