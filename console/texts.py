"""What the pages say, in English and Korean. Pure.

A text is named by its English words. What services and people say (details, reasons, commands) is shown as
they said it.
"""

from collections.abc import Mapping
from typing import Any, Final

from console.formats import Language, words

ENGLISH: Final[Mapping[str, str]] = {
    "may viewer": "Looks at everything, and changes nothing.",
    "may operator": "Decides about refunds, and sends right what was refused.",
    "may finance": "Closes months, and corrects documents.",
    "may admin": "May do all of that.",
    "done replayed": "It was handled again.",
    "done resolved": "It is closed.",
    "done sent": "It was sent right. The refused record is kept.",
    "do close": "Close it, and issue its documents",
    "do approve": "Approve it",
    "do issue": "Issue what is approved",
    "month running": "not over",
    "month open": "over, not closed",
    "month interrupted": "closed in part",
    "month closed": "closed",
    "tab waiting": "All that wait",
    "tab overdue": "Overdue",
    "tab held": "Held",
    "tab in_review": "In review",
    "tab failed": "Failed",
    "tab bounced": "Bounced",
    "tab unknown": "Result not known",
    "list replay": "Handle them again",
    "list resolve": "Close them",
    "list replay one": "Handle {name} again",
    "list resolve one": "Close {name}",
    "list frozen": "nothing done yet",
    "list begun": "under way",
    "list stopped": "stopped",
    "list finished": "finished",
}
"""Texts whose names are not what they say."""

KOREAN: Final[Mapping[str, str]] = {
    "may viewer": "모두 볼 수 있고 아무것도 바꾸지 않습니다.",
    "may operator": "환불을 결정하고, 거부된 기록을 바로잡아 보냅니다.",
    "may finance": "월을 마감하고 문서를 정정합니다.",
    "may admin": "위의 모든 일을 할 수 있습니다.",
    "done replayed": "다시 처리했습니다.",
    "done resolved": "종결했습니다.",
    "done sent": "바로잡아 보냈습니다. 거부된 기록은 그대로 남습니다.",
    "To the content": "본문으로",
    "Pages": "화면",
    "Needs somebody": "처리할 일",
    "Order": "주문",
    "Refused": "거부된 기록",
    "Find": "찾기",
    "Id, number, e-mail, name": "ID, 사업자번호, 이메일, 이름",
    "Ends your sessions everywhere": "모든 곳의 세션이 끝납니다",
    "Sign out": "로그아웃",
    "Sign in": "로그인",
    "Times are Korea Standard Time (KST, UTC+9)": "시각은 한국 표준시(KST, UTC+9)입니다",
    "Keys": "단축키",
    "Next and previous row": "다음 줄, 이전 줄",
    "Open the row": "줄 열기",
    "This list": "이 목록",
    "Close": "닫기",
    "Copy": "복사",
    "Filter": "거르기",
    "{some} of {all} rows": "{all}줄 중 {some}줄",
    "{all} rows": "{all}줄",
    "Pages of the table": "표의 쪽",
    "Previous": "이전",
    "Next": "다음",
    "Page {page} of {pages}": "{pages}쪽 중 {page}쪽",
    "Not everything could be read. What is missing here may still wait.": (
        "일부를 읽지 못했습니다. 여기에 없는 일이 남아 있을 수 있습니다."
    ),
    "This is a demo on this machine.": "이 컴퓨터에서만 도는 데모입니다.",
    "Whoever reaches this page may be any of four persons, without a password. They exist only in a system "
    "whose database and keys pawl up made by itself; no setting switches them on elsewhere.": (
        "이 화면에 닿는 사람은 비밀번호 없이 네 사람 중 누구든 될 수 있습니다. "
        "pawl up이 데이터베이스와 키를 스스로 만든 시스템에만 있으며, "
        "다른 곳에서는 어떤 설정으로도 켤 수 없습니다."
    ),
    "{count} scopes": "권한 {count}개",
    "Read at": "읽은 시각",
    "Newer is there: read again": "새 내용이 있습니다: 다시 읽기",
    "Services": "서비스",
    "{seconds} s behind": "{seconds}초 뒤처짐",
    "{seconds} s to publish": "발행 대기 {seconds}초",
    "lag not known": "지연을 알 수 없음",
    "Auditor": "감사",
    "has not looked yet": "아직 검사하지 않음",
    "every rule holds": "모든 규칙이 지켜짐",
    "{count} rules broken": "규칙 위반 {count}건",
    "Nothing needs anybody.": "처리할 일이 없습니다.",
    "What needs somebody appears here by itself, and disappears when its cause is gone.": (
        "처리할 일은 저절로 나타나고, 원인이 없어지면 저절로 사라집니다."
    ),
    "things wait for {causes} causes": "건이 {causes}가지 원인으로 기다립니다",
    "{count} overdue": "기한 지남 {count}건",
    "Nothing here has this in it.": "여기에는 그런 줄이 없습니다.",
    "Show all": "모두 보기",
    "the oldest {count}": "가장 오래된 {count}건",
    "Cause": "원인",
    "Things": "건수",
    "Won": "금액",
    "Oldest": "가장 오래됨",
    "Who": "담당",
    "Overdue": "기한 지남",
    "Next due": "다음 기한",
    "Service": "서비스",
    "Reason": "이유",
    "Command": "명령",
    "Records": "기록",
    "State": "상태",
    "Place": "위치",
    "Event type": "이벤트 유형",
    "Newest": "가장 최근",
    "Record": "기록",
    "Key": "키",
    "Sender": "보낸 곳",
    "Since": "시작",
    "All causes": "모든 원인",
    "Only what is open": "열린 것만",
    "Closed ones too": "종결된 것도",
    "Nothing was refused, and nothing waits.": "거부된 것도 기다리는 것도 없습니다.",
    "End": "종결",
    "Topic": "토픽",
    "Refused at": "거부된 시각",
    "Waits since": "기다리기 시작한 시각",
    "Tried again at": "다시 시도할 시각",
    "Headers": "헤더",
    "Document": "문서",
    "There is no body.": "내용이 없습니다.",
    "Your role looks, and changes nothing.": "이 역할은 볼 수만 있습니다.",
    "What it would do": "보내면 일어날 일",
    "It would be refused again:": "다시 거부됩니다:",
    "It would be taken. Nothing was done yet.": "받아들여집니다. 아직 아무것도 하지 않았습니다.",
    "It would wait for": "기다리게 될 것",
    "{added} added, {changed} changed, {removed} removed": "추가 {added}, 변경 {changed}, 삭제 {removed}",
    "Event": "이벤트",
    "Send it right": "바로잡아 보내기",
    "The data as it should be; *** stays what it was": "올바른 데이터 (***는 원래 값 그대로)",
    "Try it, without doing it": "시험만 하기",
    "Send it": "보내기",
    "Handle it again": "다시 처리",
    "Close it": "종결",
    "Nothing is left to do": "남은 일 없음",
    "This is no JSON": "JSON이 아닙니다",
    "This needs a reason, which is kept. Nothing was done.": (
        "이유가 필요하며, 기록에 남습니다. 아무것도 하지 않았습니다."
    ),
    "partner not known": "파트너를 알 수 없음",
    "payment": "결제",
    "Waits for": "기다리는 것",
    "nothing": "없음",
    "none yet": "아직 없음",
    "Open": "열기",
    "Units": "수량",
    "left over": "나머지",
    "Refunds": "환불",
    "Documents": "문서",
    "In quarantine": "격리된 돈",
    "What happened": "일어난 일",
    "Events before {at} are not kept any more.": "{at} 이전의 이벤트는 더 이상 보관하지 않습니다.",
    "because of step {number}": "{number}번 때문에",
    "next": "다음",
    "No service knows this order.": "이 주문을 아는 서비스가 없습니다.",
    "Just sent? See whether it was read; sent with another key? See what was refused.": (
        "방금 보냈다면 읽혔는지, 다른 키로 보냈다면 거부되었는지 확인하세요."
    ),
    "The order id": "주문 ID",
    "Show": "보기",
    "Kind": "종류",
    "Name": "이름",
    "What it is": "내용",
    "An order, payment, refund, partner, document, grant or serial: by its id, business number, e-mail "
    "address, or how a name begins.": (
        "주문, 결제, 환불, 파트너, 문서, 지급, 시리얼을 ID, 사업자번호, 이메일, 이름의 앞부분으로 찾습니다."
    ),
    "Nothing has that name.": "그런 이름은 없습니다.",
    "Looked for in all four services, but for what could not be read.": (
        "읽지 못한 곳을 뺀 네 서비스 모두에서 찾았습니다."
    ),
    "To the first page": "첫 화면으로",
    "Not readable now": "지금은 읽을 수 없습니다",
    "The services go on without this page. Nothing was changed; it can be asked again safely.": (
        "서비스는 이 화면과 상관없이 계속됩니다. 바뀐 것은 없으며, 다시 시도해도 안전합니다."
    ),
    "Try again": "다시 시도",
    "This form was not sent by a page of this console.": "이 콘솔의 화면에서 보낸 양식이 아닙니다.",
    "This form is larger than anything that is typed.": "양식이 너무 큽니다.",
    "Your role may not do this.": "이 역할은 할 수 없는 일입니다.",
    "This form was not made for your session.": "지금 세션의 양식이 아닙니다.",
    "Your session has ended.": "세션이 끝났습니다.",
    "Your session has ended. Nothing was done.": "세션이 끝났습니다. 아무것도 하지 않았습니다.",
    "The databases do not answer. What you see is old.": (
        "데이터베이스가 답하지 않습니다. 보이는 내용은 오래되었습니다."
    ),
    "There is no such page.": "그런 화면은 없습니다.",
    "This page failed. The log says where.": "화면을 만들지 못했습니다. 로그에 이유가 있습니다.",
    "do close": "마감하고 문서 발행",
    "do approve": "승인",
    "do issue": "승인된 문서 발행",
    "Refund": "환불",
    "Month": "월 마감",
    "Only what waits": "기다리는 것만",
    "Those at their end too": "끝난 것도",
    "These are the oldest {count}; there are more.": "가장 오래된 {count}건이며, 더 있습니다.",
    "No refund waits.": "기다리는 환불이 없습니다.",
    "Request": "요청",
    "Because": "사유",
    "Deadline": "기한",
    "By law until": "법정 기한",
    "Partner": "파트너",
    "until {at}": "{at}까지",
    "{supply} supply and {vat} VAT": "공급가액 {supply}, 세액 {vat}",
    "less a fee of {fee}": "수수료 {fee} 제외",
    "{count} of line {line}": "{line}번 줄 {count}개",
    "Asked for at": "요청 시각",
    "Goes to": "돌려받는 곳",
    "Expected on": "예정일",
    "{days} days late; {won} of interest, if the buyer is a consumer": (
        "{days}일 늦음, 소비자라면 지연이자 {won}"
    ),
    "Payout": "지급",
    "Do it": "실행",
    "Do nothing": "하지 않기",
    "Decide": "결정",
    "First it is shown what would follow; nothing is done yet.": (
        "먼저 결과를 보여 주며, 아직 아무것도 하지 않습니다."
    ),
    "It is decided.": "결정했습니다.",
    "due on {day}": "기한 {day}",
    "{days} days left": "{days}일 남음",
    "{days} days late": "{days}일 지남",
    "issued": "발행",
    "closed": "마감",
    "to be issued": "발행 예정",
    "This blocks the close": "마감을 막는 것",
    "To know": "알아 둘 것",
    "Payments": "결제",
    "Supply value": "공급가액",
    "VAT": "세액",
    "Total": "합계",
    "Late, and the penalty": "지연과 가산세",
    "Close the month": "월 마감",
    "It would issue {count} documents of {won}. What is issued is never edited.": (
        "문서 {count}건, {won}을 발행합니다. 발행한 문서는 고칠 수 없습니다."
    ),
    "Also payments whose refund is in progress, to be modified later": (
        "환불 중인 결제도 포함 (나중에 수정 발행)"
    ),
    "Merged by month": "월 합산",
    "Business number": "사업자등록번호",
    "and {count} more": "외 {count}건",
    "Left out of a merge": "합산에서 빠진 결제",
    "Nothing was or will be issued in this month.": "이 달에 발행했거나 발행할 문서가 없습니다.",
    "The proxy before this console says who you are.": "콘솔 앞의 프록시가 누구인지 알려 줍니다.",
    "You are signed in by {issuer}.": "{issuer}에서 로그인합니다.",
    "Go on as {person}": "{person}으로 계속",
    "Go on": "계속",
    "Audit log": "감사 로그",
    "Everything": "전체",
    "These are the newest {count}; there are more.": "가장 최근 {count}건이며, 더 있습니다.",
    "Nobody has changed anything like that.": "그렇게 바꾼 사람은 없습니다.",
    "Time": "시각",
    "What": "한 일",
    "Of what": "대상",
    "Result": "결과",
    "month running": "진행 중",
    "month open": "마감 전",
    "month interrupted": "일부 마감",
    "month closed": "마감됨",
    "Your role closes no month.": "이 역할은 월을 마감할 수 없습니다.",
    # Refunds
    "tab waiting": "기다리는 환불 모두",
    "tab overdue": "기한 지남",
    "tab held": "보류",
    "tab in_review": "검토 중",
    "tab failed": "실패",
    "tab bounced": "반송",
    "tab unknown": "결과 모름",
    "No refund is like that.": "그런 환불은 없습니다.",
    "From an order one is asked for: open the order, or type its id.": (
        "환불은 주문에서 요청합니다. 주문을 열거나 주문 ID를 입력하세요."
    ),
    "See what can be refunded": "환불 가능 금액 보기",
    "What can be refunded": "환불 가능 금액",
    "Possible until": "가능한 때까지",
    "written {day}, issued until {until}": "작성일 {day}, 발행 기한 {until}",
    "Line": "줄",
    "Paid for": "결제 수량",
    "Refundable": "환불 가능",
    "Only so many": "이만큼만",
    "Reckon again": "다시 계산",
    "What it would give": "환불하면",
    "Nothing can be refunded now.": "지금 환불할 수 있는 것이 없습니다.",
    "Your role asks for no refund.": "이 역할은 환불을 요청할 수 없습니다.",
    "Ask for it": "환불 요청",
    "Why, in words; kept sealed": "사유 설명 (암호화하여 보관)",
    "The account of the buyer; it is shown on no page again": (
        "구매자의 계좌 (다시는 어느 화면에도 보이지 않음)"
    ),
    "Bank code": "은행 코드",
    "Account number": "계좌번호",
    "Holder": "예금주",
    "Ask for {won}": "{won} 환불 요청",
    "A reason, words of why, and an account where one is needed: nothing was asked for yet.": (
        "사유와 설명, 필요하면 계좌까지 적어야 합니다. 아직 요청하지 않았습니다."
    ),
    "Who asks for somebody else decides about refunds too; your role does not. Nothing was done.": (
        "환불을 결정하는 역할만 남을 대신해 요청할 수 있습니다. 아무것도 하지 않았습니다."
    ),
    "It is asked for.": "요청했습니다.",
    "What approving it would give, judged now": "지금 승인하면",
    "Proofs": "증빙",
    "One is needed": "필요한 증빙",
    "{person} approved it first; somebody else has to approve it too.": (
        "{person}이(가) 먼저 승인했습니다. 다른 사람이 한 번 더 승인해야 합니다."
    ),
    "That is you.": "본인입니다.",
    # What is hidden, and forms that did not arrive
    "Accounts, addresses and numbers are hidden (***)": "계좌, 이메일, 번호를 가렸습니다 (***)",
    "Accounts, addresses and numbers are hidden (***); your role may not see them.": (
        "계좌, 이메일, 번호를 가렸습니다(***). 이 역할은 볼 수 없습니다."
    ),
    "Why you have to see them; it is kept under your name": "보아야 하는 이유 (이름과 함께 기록됨)",
    "Show them once": "한 번 보기",
    "Nothing is hidden on this page. It is kept that you saw it, and why.": (
        "이 화면은 가리지 않았습니다. 누가 왜 보았는지 기록했습니다."
    ),
    "Hide it again": "다시 가리기",
    "Something that you changed has hidden parts (***): write them, or be shown them first.": (
        "바꾼 곳에 가려진 부분(***)이 있습니다. 직접 적거나 먼저 가림을 풀어 보세요."
    ),
    "It would write nothing.": "아무것도 쓰지 않습니다.",
    "This is what you had typed. Your browser gives it back when the same person signs in here within 30 "
    "minutes; this console keeps nothing of it.": (
        "입력하던 내용입니다. 같은 사람이 30분 안에 여기서 로그인하면 브라우저가 되돌려 줍니다. "
        "콘솔에는 아무것도 남지 않습니다."
    ),
    "This is what you had typed. Copy what you need: nothing of it is kept.": (
        "입력하던 내용입니다. 어디에도 남지 않으니 필요하면 복사하세요."
    ),
    "What you had typed is here again. Nothing of it was sent yet.": (
        "입력하던 내용을 되돌려 놓았습니다. 아직 아무것도 보내지 않았습니다."
    ),
    "It is not known whether this was done": "처리되었는지 알 수 없습니다",
    "The request was sent, and no answer came. Look before you send it again: what was done stands in the "
    "audit log, under your name.": (
        "요청을 보냈지만 답을 받지 못했습니다. 다시 보내기 전에 확인하세요. "
        "처리된 일은 감사 로그에 이름과 함께 남습니다."
    ),
    "Look what became of it": "어떻게 되었는지 보기",
    # Lists
    "Orders": "주문",
    "Won held back": "묶인 금액",
    "{won} of {orders} orders held back, as their documents say": (
        "주문 {orders}건, {won}이 묶여 있습니다 (문서에 적힌 금액)"
    ),
    "{orders} orders held back; their documents say no won": (
        "주문 {orders}건이 묶여 있습니다 (문서에 금액 없음)"
    ),
    "Lists": "일괄 처리",
    "End many of them at once": "여러 건을 한꺼번에 처리",
    "all of them": "모두",
    "A list is frozen first: what is refused later is not in it. Nothing is done yet.": (
        "먼저 목록을 고정합니다. 나중에 거부된 것은 들어가지 않으며, 아직 아무것도 하지 않습니다."
    ),
    "list replay": "다시 처리",
    "list resolve": "종결",
    "list replay one": "{name} 다시 처리",
    "list resolve one": "{name} 종결",
    "list frozen": "아직 하지 않음",
    "list begun": "진행 중",
    "list stopped": "멈춤",
    "list finished": "끝남",
    "Nothing of this cause is open.": "이 원인으로 열려 있는 것이 없습니다.",
    "More than {most}: name a sender or type.": "{most}건이 넘습니다. 보낸 곳이나 유형을 고르세요.",
    "Nobody has made a list in the last 90 days.": "지난 90일 동안 일괄 처리가 없었습니다.",
    "Choose a cause under Refused, and end many of its records at once.": (
        "거부된 기록에서 원인을 고르면 여러 건을 한꺼번에 처리할 수 있습니다."
    ),
    "frozen by {person} at {at}": "{at}에 {person}이(가) 고정",
    "How far it is": "진행 정도",
    "{done} done, {failed} failed, {unknown} not known, {left} left, {out} left out": (
        "완료 {done}, 실패 {failed}, 모름 {unknown}, 남음 {left}, 제외 {out}"
    ),
    "Of one it is not known what became of it. Look at it before anything else is done.": (
        "한 건은 결과를 알 수 없습니다. 다른 일을 하기 전에 확인하세요."
    ),
    "It stopped by itself at the first failure.": "첫 실패에서 스스로 멈췄습니다.",
    "It was stopped.": "멈췄습니다.",
    "What is left is as it was; a new list takes it up.": (
        "남은 것은 그대로이며, 새 목록으로 이어서 할 수 있습니다."
    ),
    "All of it is done.": "모두 처리했습니다.",
    "1. Try them, without doing it": "1. 시험만 하기",
    "Each service says what it would write, and takes it back. What would be refused again is left out.": (
        "서비스가 무엇을 쓸지 알려 주고 되돌립니다. 다시 거부될 것은 뺍니다."
    ),
    "Try all {count}": "{count}건 모두 시험",
    "Try the other {count}": "나머지 {count}건 시험",
    "All were tried; below is what each would write.": "모두 시험했습니다. 아래에 무엇을 쓸지 있습니다.",
    "Each is closed with your reason; its record stays, and nothing else is written.": (
        "적은 이유로 하나씩 종결합니다. 기록은 남으며 그 밖에는 아무것도 쓰지 않습니다."
    ),
    "2. The first one alone": "2. 먼저 한 건만",
    "The other {count} wait until you have seen what came of it.": (
        "결과를 볼 때까지 나머지 {count}건은 기다립니다."
    ),
    "None of these can be ended now.": "지금 처리할 수 있는 것이 없습니다.",
    "Go on with the other {count}": "나머지 {count}건 계속",
    "Stop": "멈추기",
    "It goes on in steps while this page is open, and stops by itself at the first failure.": (
        "이 화면이 열려 있는 동안 조금씩 이어지며, 첫 실패에서 스스로 멈춥니다."
    ),
    "What waits has no dry run.": "기다리는 것은 시험할 수 없습니다.",
    "Done": "완료",
    "Failed": "실패",
    "Left out": "제외",
    "Outcome": "결과",
    "What came of it": "무엇이 되었나",
    "Dry run": "시험",
}
"""Every text in Korean."""

KOREAN_CODES: Final[Mapping[str, str]] = {
    "viewer": "조회",
    "operator": "운영",
    "finance": "재무",
    "admin": "관리자",
    "partner": "파트너",
    "checkout": "결제 시스템",
    "alive": "정상",
    "starting": "시작 중",
    "stopping": "멈추는 중",
    "stalled": "멈춰 있음",
    "silent": "답 없음",
    "unknown": "알 수 없음",
    "dead_letter": "거부된 기록",
    "event_blocked": "막힌 이벤트",
    "event_waiting": "기다리는 이벤트",
    "event_gap": "앞이 빠진 이벤트",
    "event_unsent": "발행되지 않은 이벤트",
    "records_missed": "읽지 못한 기록",
    "quarantine": "격리된 돈",
    "deposit_expires": "입금 기한 임박",
    "partner_wants_to_leave": "탈퇴를 원하는 파트너",
    "grant_stands_still": "멈춘 지급",
    "key_not_retired": "폐기되지 않은 키",
    "month_not_closed": "마감되지 않은 월",
    "month_close_interrupted": "중단된 월 마감",
    "document_refused": "거부된 세금계산서",
    "document_of_wrong_business": "잘못된 사업자의 문서",
    "document_not_transmitted": "전송되지 않은 문서",
    "document_not_issued": "발행되지 않은 문서",
    "document_late_penalty": "지연 가산세 문서",
    "refund_failed": "실패한 환불",
    "refund_overdue": "기한 지난 환불",
    "refund_held": "보류된 환불",
    "refund_in_review": "검토 중인 환불",
    "refund_bounced": "반송된 환불",
    "refund_unknown": "결과를 모르는 환불",
    "dead": "거부됨",
    "open": "열림",
    "replayed": "다시 처리됨",
    "resolved": "종결됨",
    "edited": "바로잡아 보냄",
    "waiting": "기다림",
    "blocked": "막힘",
    "behind": "뒤에서 기다림",
    "gap": "앞이 빠짐",
    "refused": "거부됨",
    "paid": "결제",
    "pending_deposit": "입금 대기",
    "expired": "만료",
    "cancelled": "취소",
    "refunded": "환불",
    "issuing": "발급 중",
    "issued": "발급",
    "refunding": "환불 중",
    "invoiced": "계산서 발행",
    "not on a document": "계산서에 없음",
    "completed": "완료",
    "accepted": "접수",
    "paying_out": "지급 중",
    "failed": "실패",
    "bounced": "반송",
    "repaying": "다시 지급 중",
    "held": "보류",
    "in_review": "검토 중",
    "draft": "작성 중",
    "approved": "승인",
    "order": "주문",
    "refund": "환불",
    "document": "문서",
    "grant": "지급",
    "serial": "시리얼",
    "request": "요청",
    "approve": "승인",
    "reject": "거절",
    "withdraw": "철회",
    "retry": "다시 지급",
    "release": "포기",
    "rejected": "거절됨",
    "withdrawn": "철회됨",
    "released": "포기됨",
    "locked": "잠김",
    "overdue": "기한 지남",
    "late": "법정 기한 지남",
    "open_refund": "진행 중인 환불",
    "bank_account": "은행 계좌",
    "original": "결제한 방법",
    "card": "카드",
    "return_awaited": "반품 대기",
    "holder_check": "예금주 확인 중",
    "second_approval": "두 번째 승인 대기",
    "holder_mismatch": "예금주 불일치",
    "paid_out": "지급됨",
    "returned": "돌려받음",
    "twice": "두 번 지급됨",
    "requested": "요청됨",
    "account_closed": "해지된 계좌",
    "proof": "증빙",
    "unreadable": "읽을 수 없음",
    "unknown_type": "모르는 유형",
    "missing_field": "빠진 값",
    "wrong_type": "잘못된 형식",
    "out_of_range": "허용되지 않는 값",
    "time_without_offset": "시간대 없는 시각",
    "wrong_key": "잘못된 키",
    "duplicate_id": "다른 내용의 같은 ID",
    "duplicate_request": "다른 내용의 같은 요청",
    "inconsistent": "앞뒤가 맞지 않음",
    "not_supported": "지원하지 않음",
    "replay": "다시 처리",
    "resolve": "종결",
    "done": "완료",
    "left_out": "제외",
    "begun": "처리 중",
    "reveal": "가림을 풀어 봄",
    "business_closed": "업무 종료",
    "financial_burden": "경제적 부담",
    "merger": "회사 합병",
    "shutdown": "폐업",
    "switching_service_or_product": "서비스/상품변경",
    "dissatisfied": "서비스 불만",
    "terminated_by_operator": "직권해지",
    "moving_to_another_service": "타 서비스 전환",
}
"""Codes in Korean; one that is missing is shown in its own words."""


def translate(language: Language, text: str, **values: Any) -> str:
    """A text in the language, with its values. Raises KeyError for one that nobody has translated."""
    said = KOREAN[text] if language == "ko" else ENGLISH.get(text, text)
    return said.format(**values) if values else said


def code_in(language: Language, code: str) -> str:
    """A code of the services as people read it."""
    return KOREAN_CODES.get(code, words(code)) if language == "ko" else words(code)
