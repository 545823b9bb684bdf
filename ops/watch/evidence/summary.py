"""What a mediator asks first, answered from the entries: bought, paid, delivered, asked back, decided. Pure.

The list of what mediation wants to see (order, offer, payment, messages, delivery or its lack, dates) is that
of the Korea Internet & Security Agency for disputes of electronic commerce (2018).
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from shared.evidence.entries import Entry, won
from shared.evidence.words import Says, decision_words, english, korean
from shared.kst import in_kst

FIRST: Final = 2
"""The number of the first entry behind the summary."""
SHOWN: Final = 12
"""So many answers of one question; the entries have them all."""


class Numbered(NamedTuple):
    """An entry and its number in the document."""

    number: int
    entry: Entry


Answers = Iterator[tuple[Says, Sequence[Numbered]]]


def summary_of(order_id: str, entries: Sequence[Entry]) -> Entry:
    """The summary of entries that are numbered from 2; it names those that each answer stands on."""
    told = [Numbered(number, entry) for number, entry in enumerate(entries, start=FIRST)]
    questions = [_question(asked, list(answer(told))) for asked, answer in QUESTIONS]
    says = Says(
        f"주문 {order_id}에 관하여 기록된 사실의 요약입니다.",
        f"A summary of what is recorded about order {order_id}.",
    )
    return Entry("summary", order_id, says, {"questions": questions})


def _question(asked: Says, answers: Sequence[tuple[Says, Sequence[Numbered]]]) -> dict[str, Any]:
    shown = [{**says._asdict(), "entries": [each.number for each in of]} for says, of in answers[:SHOWN]]
    left = len(answers) - len(shown)
    if left:
        more = Says(f"그 밖에 {left:,}건은 기록에 있습니다.", f"{left:,} more stand in the entries.")
        shown.append({**more._asdict(), "entries": []})
    if not shown:
        shown = [{"ko": "기록이 없습니다.", "en": "Nothing is recorded.", "entries": []}]
    return {**asked._asdict(), "answers": shown}


def _of(told: Iterable[Numbered], *kinds: str) -> list[Numbered]:
    return [each for each in told if each.entry.kind in kinds]


def _as_told(told: Sequence[Numbered], *kinds: str) -> Answers:
    for each in _of(told, *kinds):
        yield each.entry.says, [each]


def _bought(told: Sequence[Numbered]) -> Answers:
    yield from _as_told(told, "party", "order", "line")


def _paid(told: Sequence[Numbered]) -> Answers:
    for each in _of(told, "payment"):
        paid_at = each.entry.details["paid_at"]
        if paid_at is None:
            yield each.entry.says, [each]
            continue
        amount, when = won(each.entry.details["amount"]), minute(paid_at)
        name = each.entry.name
        yield (
            Says(f"{when}에 {amount}을 결제했습니다 ({name}).", f"{amount} were paid on {when} ({name})."),
            [each],
        )
    yield from _as_told(told, "case", "standing", "document")


def _delivered(told: Sequence[Numbered]) -> Answers:
    """Delivered is what was handed out or came to use; what was only issued is said to be that."""
    yield from _as_told(told, "issuance", "delivery")
    handed = [each for each in _of(told, "hand_out") if each.entry.details["form"] != "search"]
    if handed:
        first, last = (minute(instant_of(each.entry)) for each in (handed[0], handed[-1]))
        yield _handed(len(handed), first, last), handed[:SHOWN]
    elif _of(told, "issuance"):
        yield (
            Says(
                "일련번호를 전달한 기록이 없습니다: 아무도 일련번호를 받아 가지 않았습니다.",
                "No hand-out of serials is recorded: nobody has taken any out.",
            ),
            [],
        )
    yield from _as_told(told, "registration", "revocation")


def _handed(times: int, first: str, last: str) -> Says:
    if times == 1:
        return Says(f"{first}에 일련번호가 전달되었습니다.", f"Serials were handed out on {first}.")
    return Says(
        f"일련번호가 {times:,}회 전달되었습니다. 처음은 {first}, 마지막은 {last}입니다.",
        f"Serials were handed out {times:,} times, first on {first} and last on {last}.",
    )


def _asked_back(told: Sequence[Numbered]) -> Answers:
    for each in _of(told, "refund"):
        details = each.entry.details
        asked = minute(details["requested_at"])
        yield (
            Says(f"{asked} 요청. {each.entry.says.ko}", f"Asked on {asked}. {each.entry.says.en}"),
            [each],
        )
    payouts = _of(told, "payout", "failed_payout")
    for each in sorted(payouts, key=lambda one: "" if one.entry.at is None else instant_of(one.entry)):
        when = "" if each.entry.at is None else f"{minute(instant_of(each.entry))}: "
        yield Says(f"{when}{each.entry.says.ko}", f"{when}{each.entry.says.en}"), [each]


def _decided(told: Sequence[Numbered]) -> Answers:
    for each in _of(told, "decision"):
        details, says = each.entry.details, decision_words(each.entry.details["action"])
        ko = f"{minute(instant_of(each.entry))} {details['actor']}: {says.ko}"
        en = f"{minute(instant_of(each.entry))} {details['actor']} {says.en}"
        if details["result"] not in ("done", "begun"):
            ko, en = f"{ko} (거부됨: {details['result']})", f"{en} (refused: {details['result']})"
        reason_ko = f", 사유: {details['reason']}" if details["reason"] else ", 사유가 기록되지 않았습니다"
        reason_en = f", because: {details['reason']}" if details["reason"] else "; no reason is recorded"
        yield Says(f"{ko}{reason_ko}.", f"{en}{reason_en}."), [each]
    for each in _of(told, "correction"):
        yield each.entry.says, [each]


def _waits(told: Sequence[Numbered]) -> Answers:
    yield from _as_told(told, "waiting")
    for each in _of(told, "refund"):
        details = each.entry.details
        if details["state"] in (
            "held",
            "in_review",
            "paying_out",
            "unknown",
            "failed",
            "bounced",
            "repaying",
        ):
            name, state = details["refund_request_id"], details["state"]
            by = details["deadline"] or details["expected_on"] or details["legal_on"]
            yield (
                Says(
                    f"환불 {name}은 '{korean(state)}' 상태입니다 (기한 {by[:10]}).",
                    f"Refund {name} is {english(state)} (due {by[:10]}).",
                ),
                [each],
            )
    for each in _of(told, "case"):
        if each.entry.details["decision"] is None:
            yield each.entry.says, [each]


def _not_here(told: Sequence[Numbered]) -> Answers:
    yield from _as_told(told, "forgotten")
    for says in NOT_HERE:
        yield says, []


NOT_HERE: Final = (
    Says(
        "상품 안내 화면, 약관, 당사자 사이의 연락은 여기에 없습니다. 조정 신청 시 따로 첨부하십시오.",
        "The offer, its terms and the messages of the parties are not in here: add them for mediation.",
    ),
    Says(
        "일련번호, 계좌번호 전체, 등록한 사람은 담지 않았습니다.",
        "No serial, no full account number and nobody who registered a serial is in here.",
    ),
)
QUESTIONS: Final = (
    (Says("누가 무엇을 샀습니까?", "Who bought what?"), _bought),
    (Says("언제 얼마를 결제했습니까?", "What was paid, and when?"), _paid),
    (Says("무엇이 언제 인도되었습니까?", "What was delivered, and when?"), _delivered),
    (
        Says("무엇을 환불해 달라고 했고 어떻게 되었습니까?", "What was asked back, and what became of it?"),
        _asked_back,
    ),
    (Says("누가 무엇을 왜 결정했습니까?", "Who decided what, and why?"), _decided),
    (Says("무엇을 기다리고 있습니까?", "What is waited for?"), _waits),
    (Says("여기에 없는 것은 무엇입니까?", "What is not in here?"), _not_here),
)
"""What is asked, in this order, and what answers it."""


def instant_of(entry: Entry) -> str:
    """When the entry happened, RFC 3339."""
    assert entry.at is not None
    return in_kst(entry.at).isoformat()


def minute(instant: str) -> str:
    """An RFC 3339 instant in +09:00 as people read it."""
    return instant[:16].replace("T", " ")
