"""What a service refuses: its code, what it says, and what to do next."""

from collections.abc import Mapping
from typing import Final

import orjson

from ops.shell.http_client import Answer
from ops.shell.problem import Problem
from ops.shell.tokens import ELSEWHERE

NEXT_STEPS: Final[Mapping[str, str]] = {
    "key_missing": "Give serials its old keys again (SERIAL_EARLIER_KEYS), and look: pawl serials rotate",
    "limited_to_partner": "Ask with a token without partner_id.",
    "notice_incomplete": "How far it is: pawl serials status GRANT. "
    "The page on which customers register is the setting SERIALS_REGISTRATION_URL of serials.",
    "cannot_be_sent": "Call the product something that phones show (--product NAME); look without --merge.",
    "hand_outs_busy": "Try again in a minute; it is safe.",
}
"""What to do about a refusal, by its code: it says more than what a command says of every one."""


def require_allowed(answer: Answer, scope: str) -> None:
    """Raises Problem where a service refuses the token, or takes none."""
    if answer.status not in (401, 403, 503):
        return
    detail = detail_of(answer)
    match answer.status:
        case 401:
            raise Problem(f"The token is refused: {detail}", ELSEWHERE)
        case 403:
            next_step = NEXT_STEPS.get(code_of(answer), f"It needs the scope {scope}.")
            raise Problem(f"The token does not allow this: {detail}", next_step)
        case _:
            next_step = NEXT_STEPS.get(code_of(answer), "Try again in a moment; it is safe.")
            raise Problem(f"The service does not do this now: {detail}", next_step)


def code_of(answer: Answer) -> str:
    """The code of a problem; empty where the answer is none."""
    try:
        return str(orjson.loads(answer.text)["code"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""


def detail_of(answer: Answer) -> str:
    """What a service says of a request that it did not do, in one sentence."""
    try:
        return str(orjson.loads(answer.text)["detail"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return answer.text[:300] or f"status {answer.status}"
