"""`pawl quarantine`: money that fits no order, or is missing: what is proposed, and what is decided."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, get_args
from urllib.parse import quote

import orjson
import typer
from rich.console import Console

from ops.shell.databases import Where, connected, urls_of
from ops.shell.options import Directory, Json, PostgresUrl, TokenFile
from ops.shell.output import print_json
from ops.shell.problem import Exit, Problem
from ops.shell.system import find_system
from ops.watch.decide import answers
from ops.watch.decide.answers import Actor, Asker, BaseUrl, Why, Yes
from ops.watch.show.rows import minute, print_lines, won, words
from ops.watch.todo.text import age_text, parse_age
from shared.clock import now
from shared.documents import as_json as document_of
from shared.operators.commands import pawl
from shared.operators.deciding import CaseDecision, of_case
from shared.queries import load

SQL = load("services.orders")
FIRST_PAGE: Final = (-(2**62), "", -1)
SCOPE: Final = "ops:write"
MOST: Final = 1_000

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="Money that fits no order, or is missing: list it, look at it, decide about it.",
    epilog="Example: pawl quarantine ls",
)


async def read_open_cases(
    where: Where, reason: str | None, partner: str | None, opened_before: datetime | None
) -> list[dict[str, Any]]:
    """Cases that nobody has decided about, the oldest first, at most `MOST`, as JSON. Raises Problem."""
    return await _read(where, SQL.open_cases, reason, partner, opened_before, *FIRST_PAGE, MOST)


async def read_cases(where: Where, name: str) -> list[dict[str, Any]]:
    """Every case of this payment, or of this order, as JSON. Raises Problem."""
    name = name.replace("\0", "")
    return await _read(where, SQL.cases_named, name, name)


async def _read(where: Where, query: str, *arguments: Any) -> list[dict[str, Any]]:
    async with connected({"orders": urls_of(where)["orders"]}) as connections:
        return [_shown(row) for row in await connections["orders"].fetch(query, *arguments)]


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    case = {name: value for name, value in document_of(row).items() if name != "place"}
    case["proposal"] = None if row["proposal"] is None else orjson.loads(row["proposal"])
    case["decisions"] = list(of_case(row["reason"], row["needs_money"])) if row["decision"] is None else []
    return case


@app.command()
def ls(
    reason: Annotated[
        str | None, typer.Option(metavar="REASON", help="Only cases of this reason.", show_default=False)
    ] = None,
    partner: Annotated[
        str | None, typer.Option(metavar="ID", help="Only money of this partner.", show_default=False)
    ] = None,
    older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Only older cases, like 3d.", show_default=False)
    ] = None,
    postgres: PostgresUrl = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """List the money that nobody has decided about, the oldest first. Exit code 4: there is none.

    Example: [bold]pawl quarantine ls[/bold]

    Example: [bold]pawl quarantine ls --reason wrong_amount --older-than 3d[/bold]
    """
    at = now()
    opened_before = None if older_than is None else at - parse_age(older_than)
    system = find_system(None, postgres, directory)
    cases = asyncio.run(read_open_cases(system, reason, partner, opened_before))
    if as_json:
        print_json({"cases": cases})
    elif cases:
        print_cases(Console(), cases, at)
    if cases:
        return
    if as_json:
        raise typer.Exit(Exit.NOTHING_MATCHED)
    raise Problem("No money is in quarantine like that.", "All that waits: pawl todo", Exit.NOTHING_MATCHED)


def print_cases(console: Console, cases: Sequence[Mapping[str, Any]], at: datetime) -> None:
    """A line for each case, and one with what it proposes and the command that shows it."""
    total = sum(case["amount"] for case in cases)
    console.print(f"{len(cases):,} cases, {won(total)}", style="bold", highlight=False)
    for case in cases:
        age = age_text(at - datetime.fromisoformat(case["opened_at"]))
        of = f"payment {case['payment_id']} of order {case['order_id']}"
        line = f"{words(case['reason']):<24} {won(case['amount']):>14} {age:>5}  {of}"
        console.print(line, soft_wrap=True, highlight=False, markup=False)
        show_it = pawl("quarantine", "show", case["payment_id"])
        console.print(f"  {_proposed(case)}  {show_it}", soft_wrap=True, highlight=False, markup=False)


@app.command()
def show(
    name: Annotated[
        str, typer.Argument(metavar="PAYMENT|ORDER", help="The id of a payment, or of an order.")
    ],
    postgres: PostgresUrl = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Show the cases of a payment or an order: won, since when, what is proposed, and what may be decided.

    Ends with exit code 4 when there is none.

    Example: [bold]pawl quarantine show pay-9002[/bold]
    """
    cases = asyncio.run(read_cases(find_system(None, postgres, directory), name))
    if not cases:
        raise Problem(
            f"Neither a payment nor an order {name!r} has a case.",
            "What is in quarantine: pawl quarantine ls",
            Exit.NOTHING_MATCHED,
        )
    if as_json:
        print_json({"cases": cases})
        return
    for case in cases:
        head = f"{words(case['reason'])}  {won(case['amount'])}  payment {case['payment_id']}"
        print_lines(Console(), head, _lines(case))


def _lines(case: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    order = f"{case['order_id']}, {words(case['order_state'])}, costs {won(case['expected'])}"
    yield "order", f"{order}  {pawl('order', case['order_id'])}"
    if case["partner_id"]:
        yield "partner", case["partner_id"]
    yield "since", minute(case["opened_at"])
    yield "proposal", _proposed(case)
    if case["decision"]:
        yield "ended", f"{words(case['decision'])}, {minute(case['settled_at'])}"
    for place, decision in enumerate(case["decisions"]):
        yield "" if place else "decide", f"{_decide_command(case)} {decision}"


def _decide_command(case: Mapping[str, Any]) -> str:
    return pawl("quarantine", "decide", case["payment_id"])


def _proposed(case: Mapping[str, Any]) -> str:
    proposal = case["proposal"]
    if proposal is None:
        return "what was proposed is not kept any more"
    if not proposal["refund"]:
        return "nothing to give back: the money is missing"
    return f"give {won(proposal['refund'])} back to the {words(proposal.get('destination') or 'buyer')}"


@app.command()
def decide(
    payment: Annotated[str, typer.Argument(metavar="PAYMENT", help="The id of the payment.")],
    decision: Annotated[
        str, typer.Argument(metavar="|".join(get_args(CaseDecision)), help="What becomes of its money.")
    ],
    order: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Where several orders have cases of it.", show_default=False),
    ] = None,
    reason: Why = "",
    yes: Yes = False,
    actor: Actor = None,
    url: BaseUrl = None,
    directory: Directory = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """End the open cases of a payment: its money was returned, pays its order (applied), or is kept.

    Example: [bold]pawl quarantine decide pay-9002 returned --reason "sent back by the bank" --yes[/bold]
    """
    if decision not in get_args(CaseDecision):
        one_of = ", ".join(get_args(CaseDecision))
        raise Problem(f"{decision!r} is no decision about a case.", f"One of: {one_of}", Exit.USAGE)
    asker = Asker(find_system(None, None, directory), url, directory, token_file, actor)
    path = f"/v1/quarantine/{quote(payment, safe='')}/decide"
    body = answers.body_of(reason, yes, decision=decision, order_id=order)
    answer = asker.ask("orders", SCOPE, path, body, f"See it: {pawl('quarantine', 'show', payment)}")
    head = f"payment {answer['payment_id']} of order {answer['order_id']}: {answer['decision']}"
    answers.show(answer, as_json, head, _changes(answer["before"], answer["after"]))


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "order", f"{words(before['order'])} → {words(after['order'])}"
    yield "open", f"{before['open_cases']} cases, {won(before['won'])} → {after['open_cases']}"
    for case in after["ended"]:
        yield "ends", f"{words(case['reason'])}  {won(case['won'])}  payment {case['payment_id']}"
