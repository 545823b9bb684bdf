"""What services and commands say, in Korean: each sentence by its words, with its values filled in. Pure.

A sentence that remembers its words is known by them (`SENTENCES`), and one that was kept or answered by how
it looks (`STORED`, `WAITING`). A value is shown as it is; `{reason:code}` is a code as people read it,
`{type:event}` what an event of this type says, `{at:instant}` an instant of Seoul, `{why:said}` a sentence
and `{why:waits}` why an event waits. What people wrote is never translated.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from string import Formatter
from typing import Any, Final

from console.formats import Language, instant
from console.texts import KOREAN, code_in
from shared.evidence.words import DECISIONS, event_words
from shared.operators.sentences import Sentence

SENTENCES: Final[Mapping[str, str]] = {
    # What an order waits for
    "an operator: {type} {event} is blocked in {service}, {reason}": (
        "운영자: {service:code}에서 {type:event} 이벤트({event})가 막혀 있음 ({reason:waits})"
    ),
    "{reason}: {type} {event} is parked in {service}": (
        "{reason:waits}: {service:code}에서 {type:event} 이벤트({event})가 기다림"
    ),
    "{reason}: {type} {event} is parked in {service}, longer than it should": (
        "{reason:waits}: {service:code}에서 {type:event} 이벤트({event})가 너무 오래 기다림"
    ),
    "the relay of {service} to publish its events": "{service:code} 서비스의 이벤트 발행",
    "{service} to read the payment": "{service:code} 서비스가 결제를 읽는 것",
    "the deposit, until {at}": "{at:instant}까지의 입금",
    "serials to issue {units:,} units of line {line}, {done:,} are done": (
        "시리얼 서비스의 발급: {line}번 줄 {units:,}개 중 {done:,}개 완료"
    ),
    "the partner to ask for its {units:,} open units of line {line}": (
        "파트너의 발급 요청: {line}번 줄에 남은 {units:,}개"
    ),
    "a decision about {won:,} won in quarantine: {reason} (payment {payment})": (
        "격리된 {won:,}원에 대한 결정: {reason:code} (결제 {payment})"
    ),
    "orders to grant refund {name}": "주문 서비스의 환불 {name} 확정",
    "checkout to pay out refund {name} of {won:,} won, expected on {day}": (
        "결제 시스템의 환불 {name} 지급: {won:,}원, {day} 예정"
    ),
    "checkout to pay out again refund {name} of {won:,} won, expected on {day}": (
        "결제 시스템의 환불 {name} 재지급: {won:,}원, {day} 예정"
    ),
    "checkout to say whether refund {name} of {won:,} won was paid out, after a retry": (
        "결제 시스템의 답: 환불 {name} {won:,}원이 지급되었는지 (다시 지급하여 확인)"
    ),
    "an operator to retry or release refund {name} of {won:,} won: {reason}": (
        "운영자가 환불 {name} {won:,}원을 다시 지급하거나 포기: {reason:code}"
    ),
    "an operator to retry refund {name} of {won:,} won, which came back: {reason}": (
        "운영자가 반송된 환불 {name} {won:,}원을 다시 지급: {reason:code}"
    ),
    "the goods of refund {name} to come back": "환불 {name}의 상품 반품",
    "the bank to say whose the account of refund {name} is": "환불 {name} 계좌의 예금주에 대한 은행의 답",
    "somebody else to approve refund {name} too": "다른 담당자의 환불 {name} 승인",
    "an operator to review refund {name}": "운영자의 환불 {name} 검토",
    "a proof for refund {name}: {reason}": "환불 {name}의 증빙: {reason:code}",
    "checkout to send it right: {service} refused {type} {event}, {code}{place}": (
        "결제 시스템이 바로잡아 다시 보내기: "
        "{service:code}에서 {type:event} 이벤트({event}) 거부, {code:code}{place}"
    ),
    "an operator: {service} refused {type} {event}, {code}{place}": (
        "운영자: {service:code}에서 {type:event} 이벤트({event}) 거부, {code:code}{place}"
    ),
    "the right answer about its invoice of {month}, of which the tax agent says what cannot be: {why}": (
        "{month} 세금계산서에 대한 올바른 답: 발행 대행사의 답이 맞을 수 없음 ({code:code})"
    ),
    "the close of {month}, from {day} on": "{month} 마감 ({day}부터)",
    "its invoice of {month}, which the tax agent refused: {why}": (
        "{month} 세금계산서: 발행 대행사가 거부함 ({code:code})"
    ),
    "a valid business number of {partner}, to issue its invoice of {month}": (
        "{month} 세금계산서를 발행할 {partner}의 올바른 사업자등록번호"
    ),
    # What happened to an order
    "{event}": "{type:event}",
    "(not published yet)": "(아직 발행되지 않음)",
    "✖ {code} {place}: {detail}": "✖ {code:code} {place}: {detail:said}",
    "✖ {event}: {code} {place} {detail}": "✖ {type:event}: {code:code} {place} {detail:said}",
    "{what} by {who}": "{who}: {action:action}",
    "{what} by {who}: {why}": "{who}: {action:action} ({why})",
    "refused: {result}": "거부됨: {result:code}",
    "{name} {state} by {who}: {why}": "{who}: {name} {state:code} ({why:said})",
    "{name} {state} as {new} by {who}: {why}": "{who}: {name} {state:code}, 새 이벤트 {new} ({why:said})",
    "{issued:,} of x{units:,} of line {line}": "{line}번 줄 {units:,}개 중 {issued:,}개",
    "x{units:,} of line {line}": "{line}번 줄 {units:,}개",
    "up to x{units:,} of line {line}": "{line}번 줄 최대 {units:,}개",
    "x{units:,} of {count} lines": "{count}줄 {units:,}개",
    "line {line}": "{line}번 줄",
    "{count} lines": "{count}줄",
    "{reason}": "{reason:code}",
    # What a word names
    "{kind}, {words}, {month}, ₩{total:,}, partner {partner}": (
        "{kind:code}, {state:code}, {month}, ₩{total:,}, 파트너 {partner}"
    ),
    "a wish to merge {month}": "{month} 합산 발행 신청",
    "a wish not to merge {month}": "{month} 합산 취소 신청",
    "{words}, ₩{won:,}, partner {partner}": "{state:code}, ₩{won:,}, 파트너 {partner}",
    "{words}, ₩{won:,}, partner not known": "{state:code}, ₩{won:,}, 파트너를 알 수 없음",
    "₩{won:,} for order {order}": "주문 {order}의 ₩{won:,}",
    "{units:,} units to issue, {state}, order {order}": "발급할 {units:,}개, {state:code}, 주문 {order}",
    "a request to issue, order {order}": "발급 요청, 주문 {order}",
    "left, and its name is erased": "탈퇴하여 이름이 지워짐",
    "a request to leave": "탈퇴 요청",
    "{name}, {words}{why},{won} order {order}": "{name}, {state:code}{why},{won} 주문 {order}",
    " ({why})": " ({why:code})",
    "{issued:,} of {units:,} units issued, order {order}": "{units:,}개 중 {issued:,}개 발급, 주문 {order}",
    "...{last_four}, {state}, order {order}": "...{last_four}, {state:code}, 주문 {order}",
    "{type} refused, {code}{place}, {state}, key {key}": (
        "{type} 거부, {code:code}{place}, {state:code}, 키 {key}"
    ),
    # Why something needs somebody
    "{units:,} units to issue": "발급할 {units:,}개",
    "key {key}, {how_far}": "키 {key}, {how_far}",
    "not rotated": "교체되지 않음",
    "stands still at serial {serial}": "시리얼 {serial}에서 멈춤",
    "its serials are put under key {key}": "시리얼을 키 {key}로 옮기는 중",
    "{code} from {sender}": "{code:code}, 보낸 곳 {sender:code}",
    "an unknown sender": "알 수 없는 곳",
    "{records} records of {topic}, {kind}": "{topic}의 기록 {records}건, {kind:code}",
}
"""Sentences by their English words."""

WAITING: Final[Mapping[str, str]] = {
    "order {order} to be paid": "주문 {order}의 결제",
    "order {order} to be known": "주문 {order}이 알려지는 것",
    "order of refund {refund} to be paid": "환불 {refund}의 주문 결제",
    "order of refund {refund}": "환불 {refund}의 주문",
    "the order of line {line} to be paid": "{line}번 줄의 주문 결제",
    "refund {refund} to be known": "환불 {refund}이 알려지는 것",
    "refund {refund} to be granted": "환불 {refund}의 확정",
    "refund {refund}": "환불 {refund}",
    "payment {payment} of order {order} to arrive": "주문 {order}의 결제 {payment} 도착",
    "grant {grant} to be known": "지급 {grant}이 알려지는 것",
    "what came with it about this partner's orders to be kept": "함께 온 이 파트너의 주문 내용이 기록되는 것",
    "the tax agent to answer about document {document} what can be ({doubt}); pawl todo --code "
    "document_answer_doubted": "문서 {document}에 대한 발행 대행사의 올바른 답 ({doubt:code})",
    "the tax agent to answer about document {document}": "문서 {document}에 대한 발행 대행사의 답",
    "behind a blocked event of its key": "같은 키의 막힌 이벤트 뒤",
    "to be handled again": "다시 처리",
}
"""Why events wait, as services keep it."""

STORED: Final[Mapping[str, str]] = {
    # How something ended, and why it cannot be ended
    "made good by {event} of {source}": "{source:code}의 {event} 이벤트로 바로잡힘",
    "stopped by hand": "직접 멈춤",
    "it is {state} already": "이미 {state:code}",
    "its key is blocked: {name}": "키가 막혀 있음: {name}",
    "it is right and waits": "올바르며 기다리는 중",
    "it is not there any more": "이제 없음",
    "{name} was handled.": "{name}: 처리했습니다.",
    "{name} was resolved.": "{name}: 종결했습니다.",
    "{name} is refused again: {fault}": "{name}: 다시 거부됨 ({fault})",
    "{name}: {count} events of {key} are not out: {detail}": (
        "{name}: 키 {key}의 이벤트 {count}건이 발행되지 않음 ({detail})"
    ),
    "{name}: {count} events of {key} still wait. Why: {command}": (
        "{name}: 키 {key}의 이벤트 {count}건이 아직 기다림"
    ),
    "{name} was not {done}: {detail}": "{name}: 하지 못했습니다 ({detail:said})",
    # What stands against a close
    "can be closed from {at} on": "{at:instant}부터 마감할 수 있습니다",
    "its payment is issued whole only with --despite-open-refunds": (
        "환불 중인 결제도 포함하기로 해야 전액으로 발행합니다"
    ),
    "a close did not come to its end, or left drafts because of a refund; repeat it": (
        "마감이 끝나지 않았거나 환불 때문에 남은 문서가 있습니다. 다시 마감하세요"
    ),
    "the business number is wrong; issued when it is corrected": (
        "사업자등록번호가 잘못되었습니다. 정정하면 발행됩니다"
    ),
    "may be about this month": "이 달에 관한 것일 수 있습니다",
    # How a service is
    "no address: {setting}": "주소를 모름: {setting}",
    "it answers {status}": "상태 코드 {status}로 답함",
    "The service does not answer at {url}: {why}": "서비스가 {url}에서 답하지 않습니다: {why}",
    "The token is refused: {detail}": "토큰이 거부되었습니다: {detail}",
    "The token does not allow this: {detail}": "권한이 없습니다: {detail}",
    "The service does not do this now: {detail}": "서비스가 지금은 할 수 없습니다: {detail}",
    "It needs the scope {scope}.": "{scope} 권한이 필요합니다.",
    "PostgreSQL does not answer at {url}: {why}": "PostgreSQL이 {url}에서 답하지 않습니다: {why}",
    "The database does not have the tables of this version: {why}": (
        "데이터베이스에 이 버전의 테이블이 없습니다: {why}"
    ),
    "This role may not read the schemas: {why}": "이 데이터베이스 역할은 스키마를 읽을 수 없습니다: {why}",
    "The address of the service {name} is not known.": "{name:code} 서비스의 주소를 모릅니다.",
    "Start the system with `pawl up`, or name it: {setting}": (
        "`pawl up`으로 시작하거나 주소를 지정하세요: {setting}"
    ),
    # What to do then
    "Is it running? See: pawl lag. Or name it: --url URL. This can be repeated safely.": (
        "서비스가 실행 중인지 확인하세요 (pawl lag). 다시 해도 안전합니다."
    ),
    "Look what became of it.": ("어떻게 되었는지 확인하세요."),
    "Try again in a moment; it is safe.": ("잠시 뒤에 다시 해도 안전합니다."),
    "Try again in a minute; it is safe.": ("1분 뒤에 다시 해도 안전합니다."),
    "Ask with a token without partner_id.": ("partner_id가 없는 토큰으로 요청하세요."),
    "Give serials its old keys again (SERIAL_EARLIER_KEYS), and look: pawl serials rotate": (
        "시리얼 서비스에 옛 키를 다시 주고(SERIAL_EARLIER_KEYS) 확인하세요: pawl serials rotate"
    ),
    "How far it is: pawl serials status GRANT. The page on which customers register is the setting "
    "SERIALS_REGISTRATION_URL of serials.": (
        "진행 정도: pawl serials status GRANT. 고객이 등록하는 화면은 SERIALS_REGISTRATION_URL 설정입니다."
    ),
    "Call the product something that phones show (--product NAME); look without --merge.": (
        "휴대전화에 보이는 상품명을 쓰세요 (--product NAME)."
    ),
    "Is the system running (`pawl up`)? Otherwise name the database with --postgres.": (
        "시스템이 실행 중인지 확인하세요 (`pawl up`)."
    ),
    "Use the role pawl_ops, or a superuser.": ("pawl_ops 역할을 쓰세요."),
    "their database is not known": ("데이터베이스를 알 수 없음"),
    "orders:17 is a dead letter, orders:p17 a parked event, orders:o17 an unsent event: pawl dead ls": (
        "orders:17은 거부된 기록, orders:p17은 기다리는 이벤트, orders:o17은 발행되지 않은 이벤트입니다."
    ),
    "See: pawl dead ls --all": ("모두 보기: pawl dead ls --all"),
    "The first line names the columns: document_key,approval_number,failed": (
        "첫 줄은 열 이름입니다: document_key,approval_number,failed"
    ),
    # What somebody asked for and cannot have
    "{text} names no dead letter, no parked event and no unsent event.": "{text}: 그런 기록은 없습니다.",
    "{name} is an event that readers wait for; only what was refused can be {done}.": (
        "{name}: 발행을 기다리는 이벤트입니다. 거부된 기록만 종결하거나 바로잡을 수 있습니다."
    ),
    "{name} is right and waits; only what was refused can be {done}.": (
        "{name}: 올바르며 기다리는 중입니다. 거부된 기록만 종결하거나 바로잡을 수 있습니다."
    ),
    "Have its topic take it, then: {command}": "토픽이 받을 수 있게 한 뒤: {command}",
    "Why it waits: {command}. Handle it again: {again}": "기다리는 이유: {command}. 다시 처리: {again}",
    "There is no service {name}.": "{name} 서비스는 없습니다.",
    "One of: {words}": "다음 중 하나: {words}",
    "{name} has no document written in {month}.": "{name}에 {month}에 작성된 문서가 없습니다.",
    "Line {line} of {name} has not a document_key and one of approval_number and failed.": (
        "{name}의 {line}번째 줄에는 document_key와, approval_number나 failed 중 하나가 있어야 합니다."
    ),
    "{name} has no result in it.": "{name}에 결과가 없습니다.",
    "{name} cannot be read: {why}": "{name}: 읽을 수 없습니다 ({why})",
    "No serial of order {order} ends with {last_four}.": (
        "주문 {order}에 {last_four}로 끝나는 시리얼이 없습니다."
    ),
    "What was issued for it: {command}": "발급된 것: {command}",
    "The provider does not answer: {why}.": "로그인 제공자가 답하지 않습니다: {why}.",
    "{issuer} says that it is another issuer.": "{issuer}: 다른 제공자라고 답했습니다.",
    "The provider does not say its {names}, or not with https.": (
        "로그인 제공자가 https로 알려 주지 않은 것: {names}"
    ),
    "{name} has no role here.": "{name}: 여기서 쓸 수 있는 역할이 없습니다.",
    "{text} is no id.": "{text}: ID가 아닙니다.",
    "{text} is no day of these centuries.": "{text}: 날짜가 아닙니다.",
    "{text} is no valid business number.": "{text}: 올바른 사업자등록번호가 아닙니다.",
    "{text} is no business number.": "{text}: 사업자등록번호가 아닙니다.",
    "{text} is not a month: {why}.": "{text}: 월이 아닙니다.",
    "{text} is no file of a document.": "{text}: 문서의 파일 형식이 아닙니다.",
    "{text} is no file of a month.": "{text}: 월의 파일 형식이 아닙니다.",
    "{text} is no file of serials.": "{text}: 시리얼의 파일 형식이 아닙니다.",
    "{text} is no state of a serial.": "{text}: 시리얼의 상태가 아닙니다.",
    "{text} is no end of a serial.": "{text}: 시리얼을 끝내는 방법이 아닙니다.",
    "{text} is no step of a close.": "{text}: 마감의 단계가 아닙니다.",
    "{text} is no decision.": "{text}: 결정이 아닙니다.",
    "{text} is not from 0 to 365 days.": "{text}: 0에서 365일 사이가 아닙니다.",
    "Go back and say how many {unit}.": "돌아가서 숫자로 적으세요 ({unit:code}).",
    "Nothing was kept: {why}.": "아무것도 기록하지 않았습니다: {why}.",
    "It stays: {count} things are unfinished.": "탈퇴할 수 없습니다. 끝나지 않은 일이 {count}건 있습니다.",
    "{name}: {detail}": "{name}: {detail}",
}
"""Sentences that services keep or answer, by how they look."""


ACTIONS: Final[Mapping[str, str]] = {
    **{action: said.ko for action, said in DECISIONS.items()},
    "business.merge": "사업자 합산",
    "business.unmerge": "사업자 합산 해제",
    "document.correct": "문서 정정",
    "document.new_key_at_agent": "발행 대행사의 새 문서 키",
    "document.recall": "발행 대행사에서 회수",
    "gap.close": "읽지 못한 기록 종결",
    "reveal": "가림을 풀어 봄",
    "month.approve": "월 승인",
    "month.close": "월 마감",
    "month.issue": "승인된 문서 발행",
    "month.transmit": "전송 결과 기록",
    "partner.correct": "파트너 정정",
    "partner.forget": "계좌 정보 키 파기",
    "partner.withdraw": "파트너 탈퇴",
    "partners.purge": "파트너 정보 파기",
    "serial.looked_up": "시리얼 조회",
    "serial.register": "시리얼 등록",
    "serials.taken_as_csv": "시리얼을 CSV 파일로 가져감",
    "serials.taken_as_json": "시리얼을 화면에서 봄",
    "serials.taken_as_merge": "시리얼을 메시지 파일로 가져감",
    "serials.taken_as_xlsx": "시리얼을 XLSX 파일로 가져감",
    "unsent.replay": "발행되지 않은 이벤트 다시 발행",
}
"""What people did, by the actions of audit logs."""


class _Korean(Formatter):
    """Fills Korean words: a value that is a sentence itself is said in Korean too."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, Sentence):
            value = sentence_in("ko", value)
        match format_spec:
            case "code":
                return code_in("ko", str(value))
            case "event":
                return event_words(str(value)).ko
            case "action":
                return action_in("ko", str(value))
            case "said":
                return sentence_in("ko", str(value))
            case "waits":
                return wait_in("ko", str(value))
            case "instant":
                return instant(datetime.fromisoformat(value) if isinstance(value, str) else value)
            case _:
                return str(super().format_field(value, format_spec))


def sentence_in(language: Language, sentence: str) -> str:
    """A sentence in this language; as it is where nobody has said it in Korean, as what people wrote."""
    if language == "en":
        return sentence
    if isinstance(sentence, Sentence):
        korean = SENTENCES.get(sentence.words)
        return sentence if korean is None else _Korean().vformat(korean, (), sentence.values)
    return KOREAN.get(sentence) or _as_it_looks(sentence, _stored())


def wait_in(language: Language, why: str) -> str:
    """Why an event waits, in this language."""
    return why if language == "en" else _as_it_looks(why, _waiting())


def action_in(language: Language, action: str) -> str:
    """What somebody did, by its action in an audit log."""
    if language == "ko" and (said := ACTIONS.get(action)):
        return said
    return code_in(language, action.replace(".", " "))


_Patterns = tuple[tuple[re.Pattern[str], str], ...]


def _as_it_looks(text: str, patterns: _Patterns) -> str:
    for pattern, korean in patterns:
        if found := pattern.fullmatch(text):
            return _Korean().vformat(korean, (), found.groupdict())
    return text


@cache
def _stored() -> _Patterns:
    return tuple((pattern_of(words), korean) for words, korean in STORED.items())


@cache
def _waiting() -> _Patterns:
    return tuple((pattern_of(words), korean) for words, korean in WAITING.items())


def pattern_of(words: str) -> re.Pattern[str]:
    """What a sentence of these words looks like."""
    parts = [
        re.escape(text) + (f"(?P<{name}>.+?)" if name else "")
        for text, name, _, _ in Formatter().parse(words)
    ]
    return re.compile("".join(parts), re.DOTALL)
