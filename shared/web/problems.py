"""What is wrong with a request, as problem details (RFC 9457), in English and Korean.

A `Kind` is one stable code; docs/errors.md has a section for each, which `type` points to. A service has
kinds of its own beside these. What is wrong with a document has the codes and pointers of
`shared.events.faults`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from shared.events.faults import CODES, MAX_FAULTS, Fault

Language = Literal["en", "ko"]
MEDIA_TYPE: Final = "application/problem+json"


@dataclass(slots=True, frozen=True)
class Kind:
    """One code: its HTTP status, and what it says. `detail` names in braces what a problem fills in."""

    code: str
    status: int
    title: str
    detail: str
    title_ko: str
    detail_ko: str


class Problem(Exception):
    """A request is not done, for this reason. `values` fill the detail in.

    `pointer` is a JSON Pointer into the body. `retry_after` is in seconds, and goes into the header as well.
    `headers` are added to the answer, `more` to its document.
    """

    def __init__(
        self,
        kind: Kind,
        *,
        pointer: str | None = None,
        retry_after: int | None = None,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
        **values: Any,
    ) -> None:
        super().__init__(kind.detail.format_map(values))
        self.kind = kind
        self.pointer = pointer
        self.retry_after = retry_after
        self.headers = {**(headers or {}), **({"Retry-After": str(retry_after)} if retry_after else {})}
        self.more = more or {}
        self.values = values

    def document(self, language: Language = "en") -> dict[str, Any]:
        """The problem as the caller reads it."""
        korean = language == "ko"
        detail = self.kind.detail_ko if korean else self.kind.detail
        document = {
            "type": f"docs/errors.md#{self.kind.code}",
            "title": self.kind.title_ko if korean else self.kind.title,
            "status": self.kind.status,
            "detail": detail.format_map(self.values),
            "code": self.kind.code,
        }
        if self.pointer is not None:
            document["pointer"] = self.pointer
        if self.retry_after is not None:
            document["retry_after"] = self.retry_after
        return {**document, **self.more}


def language_of(accept: str) -> Language:
    """Korean where `Accept-Language` prefers it to English, else English."""
    wishes: dict[str, float] = {}
    for part in accept.lower().split(","):
        name, _, quality = part.strip().partition(";q=")
        try:
            wishes[name.partition("-")[0]] = float(quality or 1)
        except ValueError:
            continue
    return "ko" if wishes.get("ko", 0.0) > wishes.get("en", 0.0) else "en"


def of_faults(faults: Sequence[Fault]) -> Problem:
    """What is wrong with the document of a request: the first fault, and the list of all of them."""
    first = faults[0]
    listed = [
        {"code": each.code, "pointer": each.pointer, "detail": each.detail} for each in faults[:MAX_FAULTS]
    ]
    return Problem(
        OF_FAULTS[first.code],
        pointer=first.pointer,
        more={"faults": listed},
        detail=first.detail,
        place=first.pointer or "/",
    )


_FAULT_TITLES: Final = {
    "unreadable": ("The body cannot be read", "본문을 읽을 수 없습니다"),
    "unknown_type": ("The type is not known", "알 수 없는 유형입니다"),
    "missing_field": ("A field is missing", "필수 항목이 없습니다"),
    "wrong_type": ("A value has the wrong type", "값의 형식이 다릅니다"),
    "out_of_range": ("A value is not allowed", "허용되지 않는 값입니다"),
    "time_without_offset": ("A time has no offset", "시각에 시간대가 없습니다"),
    "wrong_key": ("The key does not go with the document", "키가 문서와 맞지 않습니다"),
    "duplicate_id": ("The id stands for other content", "이미 다른 내용에 쓰인 ID입니다"),
    "duplicate_request": (
        "The request is known with other content",
        "같은 요청이 다른 내용으로 이미 있습니다",
    ),
    "inconsistent": ("The document contradicts itself", "문서의 내용이 서로 맞지 않습니다"),
    "not_supported": ("This is not supported yet", "아직 지원하지 않습니다"),
}

OF_FAULTS: Final[Mapping[str, Kind]] = {
    code: Kind(
        code,
        400 if code == "unreadable" else 422,
        _FAULT_TITLES[code][0],
        "{detail}",
        _FAULT_TITLES[code][1],
        "{place}: " + _FAULT_TITLES[code][1] + " ({detail})",
    )
    for code in CODES
}
"""The codes of documents, as answers over HTTP."""

WRONG_PARAMETER: Final = Kind(
    "wrong_parameter",
    400,
    "A parameter is wrong",
    "{name} in the {place}: {rule}",
    "매개변수가 잘못되었습니다",
    "{name} ({place}): {rule}",
)
TOKEN_MISSING: Final = Kind(
    "token_missing",
    401,
    "A token is needed",
    "send the header Authorization: Bearer TOKEN; with `pawl up`, pawl token prints one",
    "토큰이 필요합니다",
    "Authorization: Bearer 토큰 헤더를 보내십시오. `pawl up`에서는 pawl token이 토큰을 출력합니다",
)
TOKEN_INVALID: Final = Kind(
    "token_invalid",
    401,
    "The token is not valid",
    "{reason}; get a new token and send it again",
    "토큰이 유효하지 않습니다",
    "새 토큰을 받아 다시 보내십시오 ({reason})",
)
INSUFFICIENT_SCOPE: Final = Kind(
    "insufficient_scope",
    403,
    "The token does not allow this",
    "the token needs the scope {scope}; ask for one that has it",
    "토큰의 권한이 부족합니다",
    "{scope} 권한이 있는 토큰이 필요합니다",
)
LIMITED_TO_PARTNER: Final = Kind(
    "limited_to_partner",
    403,
    "The token is limited to one partner",
    "this concerns all partners, and the token only {partner}; use one without partner_id",
    "한 거래처로 제한된 토큰입니다",
    "모든 거래처에 관한 요청입니다. {partner}로 제한되지 않은 토큰을 쓰십시오",
)
NOT_FOUND: Final = Kind(
    "not_found",
    404,
    "There is no such thing",
    "{what}",
    "찾을 수 없습니다",
    "찾을 수 없습니다 ({what})",
)
METHOD_NOT_ALLOWED: Final = Kind(
    "method_not_allowed",
    405,
    "The method is not allowed here",
    "see the header Allow, and /docs for what there is",
    "허용되지 않는 메서드입니다",
    "Allow 헤더와 /docs를 확인하십시오",
)
CONFLICT: Final = Kind(
    "conflict",
    409,
    "The state does not allow this",
    "{detail}",
    "현재 상태에서는 할 수 없습니다",
    "현재 상태에서는 할 수 없습니다 ({detail})",
)
TOO_LARGE: Final = Kind(
    "too_large",
    413,
    "The body is too large",
    "a body has at most {most:,} bytes; send less at a time",
    "본문이 너무 큽니다",
    "본문은 최대 {most:,}바이트입니다. 나누어 보내십시오",
)
UNSUPPORTED_MEDIA_TYPE: Final = Kind(
    "unsupported_media_type",
    415,
    "The body has to be JSON",
    "send JSON in UTF-8 with Content-Type: application/json",
    "본문은 JSON이어야 합니다",
    "Content-Type: application/json 헤더와 함께 UTF-8 JSON을 보내십시오",
)
IDEMPOTENCY_KEY_MISSING: Final = Kind(
    "idempotency_key_missing",
    400,
    "An Idempotency-Key is needed",
    "send the header Idempotency-Key: a value of your own for each request, the same when you repeat it",
    "Idempotency-Key가 필요합니다",
    "요청마다 새로운 Idempotency-Key 헤더를 보내고, 반복할 때는 같은 값을 쓰십시오",
)
IDEMPOTENCY_KEY_WRONG: Final = Kind(
    "idempotency_key_wrong",
    400,
    "The Idempotency-Key is wrong",
    "Idempotency-Key has 1..128 visible ASCII characters",
    "Idempotency-Key가 잘못되었습니다",
    "Idempotency-Key는 공백 없는 ASCII 문자 1..128자입니다",
)
IDEMPOTENCY_KEY_REUSED: Final = Kind(
    "idempotency_key_reused",
    422,
    "The Idempotency-Key stands for another request",
    "this Idempotency-Key was used before with other content; a new request needs a new key",
    "이미 다른 요청에 쓰인 Idempotency-Key입니다",
    "같은 Idempotency-Key가 다른 내용으로 쓰였습니다. 새 요청에는 새 키를 쓰십시오",
)
TOO_MANY_REQUESTS: Final = Kind(
    "too_many_requests",
    429,
    "Too many requests",
    "try again in {seconds} s",
    "요청이 너무 많습니다",
    "{seconds}초 뒤에 다시 시도하십시오",
)
INTERNAL: Final = Kind(
    "internal",
    500,
    "Something here is wrong",
    "the log of the service says what it was, under the id {correlation}; a write can be repeated safely",
    "내부 오류입니다",
    "서비스 로그에서 {correlation}를 확인하십시오. 쓰기는 안전하게 반복할 수 있습니다",
)
OVERLOADED: Final = Kind(
    "overloaded",
    503,
    "Too much at once",
    "{most} requests are being answered; try again in a moment",
    "요청이 몰려 있습니다",
    "이미 {most}개의 요청을 처리하고 있습니다. 잠시 뒤에 다시 시도하십시오",
)
TIMED_OUT: Final = Kind(
    "timed_out",
    503,
    "It took too long",
    "no answer within {seconds} s; a write may still be done: repeat it with the same Idempotency-Key",
    "시간이 초과되었습니다",
    "{seconds}초 안에 답하지 못했습니다. 쓰기는 처리되었을 수 있으니 같은 Idempotency-Key로 반복하십시오",
)
UNAVAILABLE: Final = Kind(
    "unavailable",
    503,
    "The database does not answer",
    "nothing can be read or written just now; repeat it in a moment, a write with the same Idempotency-Key",
    "데이터베이스가 응답하지 않습니다",
    "잠시 뒤에 다시 시도하십시오. 쓰기는 같은 Idempotency-Key로 반복하십시오",
)
TOKENS_NOT_CONFIGURED: Final = Kind(
    "tokens_not_configured",
    503,
    "This service knows no keys of tokens",
    "set TOKEN_JWKS, TOKEN_ISSUER and TOKEN_AUDIENCE of it (docs/http.md); until then /v1 is closed",
    "토큰 키가 설정되지 않았습니다",
    "서비스의 TOKEN_JWKS, TOKEN_ISSUER, TOKEN_AUDIENCE를 설정하십시오. 그때까지 /v1은 닫혀 있습니다",
)
KEYS_UNREACHABLE: Final = Kind(
    "keys_unreachable",
    503,
    "The keys of tokens cannot be read",
    "the key set does not answer; try again in a moment",
    "토큰 키를 읽을 수 없습니다",
    "키 목록이 응답하지 않습니다. 잠시 뒤에 다시 시도하십시오",
)

OF_HTTP: Final = (
    WRONG_PARAMETER,
    TOKEN_MISSING,
    TOKEN_INVALID,
    INSUFFICIENT_SCOPE,
    LIMITED_TO_PARTNER,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    CONFLICT,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    IDEMPOTENCY_KEY_MISSING,
    IDEMPOTENCY_KEY_WRONG,
    IDEMPOTENCY_KEY_REUSED,
    TOO_MANY_REQUESTS,
    INTERNAL,
    OVERLOADED,
    TIMED_OUT,
    UNAVAILABLE,
    TOKENS_NOT_CONFIGURED,
    KEYS_UNREACHABLE,
)
"""What every service may answer, beside the codes of documents."""
