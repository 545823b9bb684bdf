"""Why a request about serials is not done. None of these says more than its caller knows: never a serial."""

from typing import Final

from shared.web.problems import Kind

UNKNOWN_SERIAL: Final = Kind(
    "unknown_serial",
    404,
    "This is no serial",
    "there is no such serial here; look at each character and type it again",
    "등록할 수 없는 일련번호입니다",
    "해당하는 일련번호가 없습니다. 문자를 하나씩 확인하고 다시 입력하십시오",
)
ALREADY_REGISTERED: Final = Kind(
    "already_registered",
    409,
    "The serial is registered already",
    "another account has registered this serial; ask whoever it came from",
    "이미 등록된 일련번호입니다",
    "다른 계정에 등록된 일련번호입니다. 일련번호를 받은 곳에 문의하십시오",
)
REGISTRATION_EXPIRED: Final = Kind(
    "registration_expired",
    410,
    "The registration period is over",
    "this serial could be registered until the end of {deadline}; ask whoever it came from",
    "등록 기간이 지났습니다",
    "{deadline}까지 등록할 수 있었습니다. 일련번호를 받은 곳에 문의하십시오",
)
SERIAL_REVOKED: Final = Kind(
    "serial_revoked",
    410,
    "The serial was revoked",
    "this serial was revoked on {at} and stays so; ask whoever it came from",
    "취소된 일련번호입니다",
    "{at}에 취소되어 다시 쓸 수 없습니다. 일련번호를 받은 곳에 문의하십시오",
)
REGISTERED: Final = Kind(
    "registered",
    409,
    "The serial is in use",
    "it was registered on {at}, and what is registered is neither reissued nor revoked; nothing was changed",
    "이미 사용 중인 일련번호입니다",
    "{at}에 등록되어 재발급하거나 취소할 수 없습니다. 변경된 것은 없습니다",
)
REISSUE_QUOTA: Final = Kind(
    "reissue_quota",
    409,
    "The grant has no reissue left",
    "{reissued} serials of this grant were reissued and a partner may have {quota}; ask an operator",
    "재발급 한도를 모두 썼습니다",
    "이 발급분의 재발급 한도 {quota}개 중 {reissued}개를 썼습니다. 운영자에게 요청하십시오",
)
KEY_MISSING: Final = Kind(
    "key_missing",
    503,
    "Keys of some serials are missing here",
    "serials were made with keys that this service does not have ({key_ids}); an operator has to add them",
    "일부 일련번호의 키가 없습니다",
    "이 서비스에 없는 키({key_ids})로 만든 일련번호가 있습니다. 운영자가 키를 추가해야 합니다",
)
