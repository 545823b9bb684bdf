"""*Refunds*: those that wait, one of them, what may be decided about it, asking for one: shown, then done."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, NamedTuple, cast, get_args
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from console.asking import REVEAL, Services, id_of, reason_of, reveal
from console.masking import mask_text
from console.pages import page, see, table
from console.reading import Reader
from console.routes import Form, Route, get, post
from console.sentences import sentence_in
from console.tables import Column, Row, view_of
from console.texts import translate
from console.visits import Visit, here
from ops.shell.asking import NoAnswer
from ops.shell.problem import Exit, Problem
from ops.shell.ways import check_path, refund_path
from ops.watch.decide.answers import ONLY_SHOWN
from shared.clock import now
from shared.events.catalogue import SERVICES
from shared.ids import uuid7
from shared.operators.deciding import RefundDecision

SERVICE: Final = "refunds"
READ, MANAGE, REQUEST = "refunds:read", "refunds:manage", "refunds:request"
LISTS: Final = "/v1/refund-lists"
MOST: Final = 200
"""So many refunds, the oldest requests, are read for a page."""
MOST_AT_ONCE: Final = 1_000
MOST_PAGES: Final = 10
"""So many times `MOST_AT_ONCE` are in a file."""
COLUMNS: Final = (
    Column("refund_request_id", "Request", "id"),
    Column("order_id", "Order", "id"),
    Column("state", "State", "code"),
    Column("why", "Because", "code"),
    Column("amount", "Won", "won"),
    Column("since", "Since", "instant"),
    Column("who", "Who", "code"),
    Column("deadline", "Deadline", "instant"),
    Column("overdue", "Overdue", "code"),
    Column("legal_on", "By law until"),
    Column("partner_id", "Partner", "id"),
)
SHOWN: Final = (
    "refund_request_id",
    "order_id",
    "state",
    "why",
    "amount",
    "since",
    "who",
    "overdue",
    "legal_on",
)
"""What fits on a page; files have all of it."""
REASONS: Final = (
    "financial_burden",
    "business_closed",
    "merger",
    "shutdown",
    "switching_service_or_product",
    "dissatisfied",
    "moving_to_another_service",
    "terminated_by_operator",
)
"""Why somebody may ask for a refund; the service knows them too, and refuses others."""
PROOF_KINDS: Final = ("bankbook_copy", "business_registration", "company_register", "power_of_attorney")
"""The proofs that a mismatch of holders may need."""
LONGEST_REFERENCE: Final = 2_000
ACCOUNT: Final = ("bank_code", "account_number", "holder")
UNITS: Final = "units "
"""Fields of a form that name units begin so; the line follows."""
_QUANTITY: Final = re.compile(r"[1-9][0-9]{0,6}", re.ASCII)
NOTHING_TYPED: Final[Form] = {}
DONE: Final[Mapping[str, str]] = {
    "decided": "It is decided.",
    "requested": "It is asked for.",
    "proof": "The proof is attached.",
}
DECISIONS: Final = tuple(decision for decision in get_args(RefundDecision) if decision != "proof")


def routes(reader: Reader, services: Services) -> list[Route]:
    """The routes of this module."""
    return [
        get("/refunds", partial(show, reader, services), READ),
        get("/refund", partial(show_one, services), READ),
        post("/refund/reveal", partial(show_hidden, services), REVEAL),
        get("/refund/decision", partial(try_decision, services), MANAGE),
        post("/refund/decide", partial(decide, reader, services), MANAGE),
        post("/refund/proof", partial(attach_proof, reader, services), REQUEST),
        get("/refund/check", partial(check, services), READ),
        post("/refund/request", partial(request_refund, reader, services), REQUEST),
    ]


class Tab(NamedTuple):
    """Refunds of one kind: how many, the won of those that are granted, how long the oldest waits."""

    name: str
    number: int
    won: int | None
    oldest: timedelta | None


WAITING, OVERDUE = "waiting", "overdue"
"""The lists that are not of one state: of all that are not at their end, and of those whose day went by."""


def tabs_of(lists: Sequence[Mapping[str, Any]], at: datetime) -> list[Tab]:
    """Each list of those that wait, as the service counts them."""
    return [
        Tab(
            each["name"],
            each["count"],
            each["won"],
            None if each["since"] is None else at - datetime.fromisoformat(each["since"]),
        )
        for each in lists
    ]


async def show(reader: Reader, services: Services, request: Request, visit: Visit) -> Response:
    """Those that are not at their end, the oldest request first; with `all=yes` the others too.

    A page has the first of a list, a file as many as it may; how many there are is counted apart.
    """
    query, at = request.query_params, now()
    everything = query.get("all") == "yes"
    watched = await reader.watched("refunds")
    lists = [] if everything else (await services.look(visit.person, SERVICE, READ, LISTS))["items"]
    tab = query.get("tab", "")
    tab = tab if tab in {each["name"] for each in lists} else WAITING
    asked = {} if everything else {tab: "true"} if tab in (WAITING, OVERDUE) else {"state": tab}
    read = _in_a_file if query.get("format") else _first
    items, has_more = await read(services, visit, asked)
    view = view_of(query, COLUMNS, ("all", "tab"))
    shows = partial(
        page,
        request,
        visit,
        "refunds.html",
        fitting=[column for column in COLUMNS if column.name in SHOWN],
        everything=everything,
        has_more=has_more,
        tabs=tabs_of(lists, at),
        tab=tab,
        watched=watched,
    )
    return table(request, [row_of(each) for each in items], COLUMNS, view, "refunds", at, shows)


async def _in_a_file(
    services: Services, visit: Visit, asked: Mapping[str, str]
) -> tuple[list[dict[str, Any]], bool]:
    """The oldest requests of a list, as many as a file has, and whether there are even more."""
    items: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    for _ in range(MOST_PAGES):
        found = await _look(services, visit, MOST_AT_ONCE, {**asked, **cursor})
        items += found["items"]
        if found["next"] is None:
            return items, False
        cursor = {"cursor": found["next"]}
    return items, True


async def _first(
    services: Services, visit: Visit, asked: Mapping[str, str]
) -> tuple[list[dict[str, Any]], bool]:
    """The oldest requests of a list, and whether there are more: nobody reads thousands on a page."""
    found = await _look(services, visit, MOST, asked)
    return found["items"], found["next"] is not None


async def _look(services: Services, visit: Visit, most: int, asked: Mapping[str, str]) -> dict[str, Any]:
    query = urlencode({"limit": most, **asked})
    found: dict[str, Any] = await services.look(visit.person, SERVICE, READ, f"/v1/refunds?{query}")
    return found


def row_of(refund: dict[str, Any]) -> Row:
    """A refund as a row."""
    overdue = "overdue" if refund["overdue"] else "late" if refund["late"] else None
    named = {column.name: refund[column.name] for column in COLUMNS}
    return {
        **named,
        "since": datetime.fromisoformat(refund["since"]),
        "deadline": None if refund["deadline"] is None else datetime.fromisoformat(refund["deadline"]),
        "overdue": overdue,
        "way": refund_path(refund["refund_id"]),
    }


async def show_one(services: Services, request: Request, visit: Visit) -> Response:
    """One refund with every step of it. Raises Problem."""
    refund_id = id_of(request.query_params.get("id", ""))
    return await _page(services, request, visit, refund_id)


async def show_hidden(services: Services, request: Request, visit: Visit, form: Form) -> Response:
    """The same page once, with what people wrote as they wrote it; the account is on no page."""
    refund_id, reason = id_of(form.get("id", "")), reason_of(form)
    refund = await _fetch(services, visit, refund_id)
    await reveal(services, visit.person, SERVICE, refund["refund_request_id"][:128], reason)
    return await _page(services, request, visit, refund_id, is_revealed=True)


async def try_decision(services: Services, request: Request, visit: Visit) -> Response:
    """What a decision would change, and the events that would follow; nothing is kept. Raises Problem."""
    query = request.query_params
    refund_id, decision = id_of(query.get("id", "")), _decision(query)
    body = {"reason": ONLY_SHOWN, "apply": False}
    path = f"/v1/refunds/{refund_id}/{decision}"
    outcome = await services.tell(visit.person, SERVICE, MANAGE, path, body)
    return await _page(services, request, visit, refund_id, outcome)


async def decide(reader: Reader, services: Services, request: Request, visit: Visit, form: Form) -> Response:
    """Decides. Sent twice, the same form decides once. Raises Problem."""
    refund_id, decision = id_of(form.get("id", "")), _decision(form)
    body = {"reason": reason_of(form), "apply": True}
    path = f"/v1/refunds/{refund_id}/{decision}"
    await services.tell(visit.person, SERVICE, MANAGE, path, body, form.get("key") or None)
    reader.forget()
    return see(f"{refund_path(refund_id)}&done=decided")


async def attach_proof(
    reader: Reader, services: Services, request: Request, visit: Visit, form: Form
) -> Response:
    """Attaches a proof, which is kept elsewhere: its kind, and where it is. Sent twice it is attached once.

    What is no proof is given back as it was typed, and nothing is done. Raises Problem.
    """
    refund_id = id_of(form.get("id", ""))
    typed = {name: form.get(name, "").strip() for name in ("kind", "reference", "reason")}
    if not _is_proof(typed):
        said = "A proof has a kind, one line that says where it is kept, and a reason. Nothing was done."
        return await _proof_again(services, request, visit, refund_id, translate(visit.language, said), form)
    body = {**typed, "apply": True}
    path, key = f"/v1/refunds/{refund_id}/proofs", form.get("key") or None
    try:
        await services.tell(visit.person, SERVICE, REQUEST, path, body, key)
    except NoAnswer:
        raise
    except Problem as problem:
        return await _proof_again(
            services, request, visit, refund_id, mask_text(sentence_in(visit.language, problem.message)), form
        )
    reader.forget()
    return see(f"{refund_path(refund_id)}&done=proof")


def _is_proof(typed: Mapping[str, str]) -> bool:
    reference, reason = typed["reference"], typed["reason"]
    has_all = typed["kind"] in PROOF_KINDS and reference and reason
    return bool(has_all) and len(reference) <= LONGEST_REFERENCE and reference.isprintable()


async def _proof_again(
    services: Services, request: Request, visit: Visit, refund_id: str, said: str, form: Form
) -> Response:
    return await _page(services, request, visit, refund_id, said=said, typed=form)


async def check(services: Services, request: Request, visit: Visit) -> Response:
    """What of an order can be refunded for how much, with which documents; and a request for it."""
    query = request.query_params
    order_id = query.get("order", "")[:128]
    if not order_id:
        return page(request, visit, "refund_check.html", order_id="", found=None, asked={})
    found = await _preview(services, visit, order_id, _asked(query))
    return _check_page(request, visit, order_id, found, _asked(query))


def _check_page(
    request: Request,
    visit: Visit,
    order_id: str,
    found: Mapping[str, Any],
    asked: Mapping[str, int],
    status: int = 200,
    **typed: Any,
) -> Response:
    """`key` is the id of the request: the same form sent twice asks once."""
    usual = {"said": "", "message": "", "reason": "", "account": {}, "key": f"console-{uuid7()}"}
    return page(
        request,
        visit,
        "refund_check.html",
        status,
        order_id=order_id,
        found=found,
        asked=asked,
        reasons=REASONS,
        ko="_ko" if visit.language == "ko" else "",
        may_ask=visit.may(REQUEST) and visit.may(MANAGE),
        back=_check_address(order_id, asked),
        **{**usual, **typed},
    )


def _check_address(order_id: str, asked: Mapping[str, int]) -> str:
    units = {f"units {line}": str(quantity) for line, quantity in asked.items()}
    return f"{check_path(order_id)}{f'&{urlencode(units)}' if units else ''}"


async def request_refund(
    reader: Reader, services: Services, request: Request, visit: Visit, form: Form
) -> Response:
    """Asks for a refund as an operator, under the id that the form has. Raises Problem."""
    order_id, asked = form.get("order", "")[:128], _asked(form)
    if not visit.may(MANAGE):
        text = (
            "Whoever asks for somebody else decides about refunds too; your role does not. Nothing was done."
        )
        raise Problem(translate(visit.language, text), "", Exit.USAGE)
    message, reason = form.get("message", "").strip(), form.get("reason", "")
    found = await _preview(services, visit, order_id, asked)
    account = {name: form.get(name, "").strip() for name in ACCOUNT}
    typed = {"message": message, "reason": reason, "account": account, "key": form.get("key", "")}
    needs_account = found["destination"]["needs_account"]
    if not message or reason not in REASONS or (needs_account and not all(account.values())):
        text = "A reason, words of why, and an account where one is needed: nothing was asked for yet."
        said = translate(visit.language, text)
        return _check_page(request, visit, order_id, found, asked, 422, said=said, **typed)
    body: dict[str, Any] = {
        "order_id": order_id,
        "refund_request_id": form.get("key") or f"console-{uuid7()}",
        "requested_by": visit.person.id,
        "role": "operator",
        "reason": reason,
        "message": message,
        "destination": {"method": "bank_account", **account} if needs_account else {"method": "original"},
        **({"lines": _lines(asked)} if asked else {}),
    }
    try:
        answer = await services.tell(visit.person, SERVICE, f"{REQUEST} {MANAGE}", "/v1/refunds", body)
    except NoAnswer:
        raise
    except Problem as problem:
        return _check_page(
            request,
            visit,
            order_id,
            found,
            asked,
            422,
            said=mask_text(sentence_in(visit.language, problem.message)),
            **typed,
        )
    reader.forget()
    return see(f"{refund_path(answer['refund_id'])}&done=requested")


def _asked(said: Mapping[str, str]) -> dict[str, int]:
    """The units that somebody named, by line; nothing stands for everything."""
    named = {name.removeprefix(UNITS): text.strip() for name, text in said.items() if name.startswith(UNITS)}
    return {line: int(text) for line, text in named.items() if _QUANTITY.fullmatch(text)}


def _lines(asked: Mapping[str, int]) -> list[dict[str, Any]]:
    return [{"line_id": line, "quantity": quantity} for line, quantity in asked.items()]


async def _preview(
    services: Services, visit: Visit, order_id: str, asked: Mapping[str, int]
) -> dict[str, Any]:
    """What `pawl refund check` asks."""
    found: dict[str, Any]
    if asked:
        body = {"order_id": order_id, "lines": _lines(asked)}
        found = await services.tell(visit.person, SERVICE, READ, "/v1/refund-previews", body)
    else:
        path = f"/v1/orders/{quote(order_id, safe='')}/refund-eligibility"
        found = await services.look(visit.person, SERVICE, READ, path)
    return found


def _decision(form: Form) -> RefundDecision:
    decision = form.get("decision", "")
    if decision not in DECISIONS:
        raise Problem(f"{decision!r} is no decision.", f"One of: {', '.join(DECISIONS)}", Exit.USAGE)
    return cast(RefundDecision, decision)


async def _fetch(services: Services, visit: Visit, refund_id: str) -> dict[str, Any]:
    found: dict[str, Any] = await services.look(visit.person, SERVICE, READ, f"/v1/refunds/{refund_id}")
    return found


async def _page(
    services: Services,
    request: Request,
    visit: Visit,
    refund_id: str,
    outcome: dict[str, Any] | None = None,
    *,
    is_revealed: bool = False,
    said: str = "",
    typed: Form = NOTHING_TYPED,
) -> Response:
    """`said`: why what was `typed` of a proof was not taken."""
    refund = await _fetch(services, visit, refund_id)
    suffix = "_ko" if visit.language == "ko" else ""
    done = request.query_params.get("done", "")
    first = first_approval(refund)
    shown = refund if is_revealed else hidden(refund)
    return page(
        request,
        visit,
        "refund.html",
        422 if said else 200,
        refund=shown,
        step=refund[f"what_to_do{suffix}"] or refund["what_to_do"],
        why=refund[f"why_text{suffix}"] or refund["why_text"],
        proof=refund["proof"] and refund["proof"][f"what_to_do{suffix}"],
        proofs=proofs_of(shown),
        decisions=decisions_of(refund, visit.person.id),
        first=first,
        is_own_approval=first == visit.person.id,
        outcome=outcome,
        preview=await _preview_of(services, visit, refund),
        ko=suffix,
        key=str(uuid7()),
        said=said,
        typed=typed,
        takes_proof="proof" in refund["decisions"],
        needed=refund["proof"] and refund["proof"]["kind"],
        kinds=PROOF_KINDS,
        services=(*SERVICES, "checkout", "bank"),
        done=DONE.get(done, ""),
        back=here(request) if outcome else refund_path(refund_id),
        is_revealed=is_revealed,
        has_hidden=shown != refund,
    )


def hidden(refund: Mapping[str, Any]) -> dict[str, Any]:
    """A refund as everybody may see it: what people wrote is masked, and no part of an account is there."""
    steps = [{**each, "note": each["note"] and mask_text(each["note"])} for each in refund["steps"]]
    return {**refund, "steps": steps, "destination_masked": refund["destination_masked"] and "***"}


def first_approval(refund: Mapping[str, Any]) -> str:
    """Who approved it first, where a second person has to; empty where nobody does."""
    return (refund["steps"][-1]["actor"] or "") if refund["why"] == "second_approval" else ""


def decisions_of(refund: Mapping[str, Any], person: str) -> list[str]:
    """What this person may decide: nobody approves twice what two have to approve."""
    return [
        decision
        for decision in refund["decisions"]
        if decision in DECISIONS and not (decision == "approve" and first_approval(refund) == person)
    ]


NO_PROOF: Final = ("used", "window_over", "second_approval", "return_awaited")


def proofs_of(refund: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The proofs that were handed in: a review that begins with none of its own reasons begins with one."""
    return [
        each for each in refund["steps"] if each["state"] == "in_review" and each["reason"] not in NO_PROOF
    ]


async def _preview_of(
    services: Services, visit: Visit, refund: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """What approving it would give, judged now; None for one that is decided, or cannot be judged."""
    if refund["state"] not in ("held", "in_review"):
        return None
    asked = {} if refund["everything"] else {line["line_id"]: line["quantity"] for line in refund["lines"]}
    try:
        return await _preview(services, visit, refund["order_id"], asked)
    except NoAnswer:
        raise
    except Problem:
        return None
