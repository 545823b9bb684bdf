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
KEY_NOT_CURRENT: Final = Kind(
    "key_not_current",
    409,
    "The service makes serials with another key",
    "the process that answered makes serials with key {current}, not {wanted}; start all with the same keys",
    "서비스가 다른 키로 일련번호를 만듭니다",
    "응답한 프로세스의 키는 {wanted}가 아니라 {current}입니다. 모든 프로세스를 같은 키로 시작하십시오",
)
NOTICE_INCOMPLETE: Final = Kind(
    "notice_incomplete",
    422,
    "Something that a customer must be told is missing",
    "issuance {grant_id} lacks {missing}; nothing was handed out",
    "고객에게 알려야 할 항목이 없습니다",
    "발급 {grant_id}에 {missing} 항목이 없어 내보내지 않았습니다",
)
HAND_OUTS_BUSY: Final = Kind(
    "hand_outs_busy",
    503,
    "Other files of serials are being handed out",
    "{most} files leave this service at present; try again in a moment",
    "다른 일련번호 파일을 내보내고 있습니다",
    "이미 {most}개의 파일을 내보내고 있습니다. 잠시 뒤에 다시 시도하십시오",
)
CANNOT_BE_SENT: Final = Kind(
    "cannot_be_sent",
    422,
    "The message cannot be sent to a phone",
    "{why}; nothing was handed out",
    "휴대전화로 보낼 수 없는 문구입니다",
    "내보내지 않았습니다: {why}",
)
NO_ROOM: Final = Kind(
    "no_room",
    503,
    "There is no room for the workbook",
    "a workbook of {serials} serials takes up to {megabytes} MB while it is made; take fewer units, or CSV",
    "통합 문서를 만들 공간이 없습니다",
    "일련번호 {serials}개에 {megabytes} MB가 필요합니다. 범위를 줄이거나 CSV로 받으십시오",
)
