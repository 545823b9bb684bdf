"""`pawl order`: show one, and cancel a request about it that waits."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from ops.shell.databases import Where, connected, urls_of
from ops.shell.groups import ShowsByName
from ops.shell.options import Directory, Json, PostgresUrl, TokenFile
from ops.shell.problem import Exit, Problem
from ops.shell.system import find_system
from ops.watch import order as shown
from ops.watch.decide import answers
from ops.watch.decide.answers import Actor, Asker, Why, Yes
from ops.watch.decide.refund import SCOPE as SCOPE_OF_REFUNDS
from shared.operators.commands import pawl
from shared.queries import load

SQL = load("ops.watch.decide")
SCOPE: Final = "ops:write"

app = typer.Typer(
    cls=ShowsByName,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="Show the story of one order, `pawl order A-1001`, or cancel a request about it that waits.",
    epilog="Example: pawl order A-1001",
)
app.command("show")(shown.order)


async def read_waiting(where: Where, order_id: str) -> tuple[list[str], list[dict[str, Any]]]:
    """The services in which events wait with this key, and the refunds that can still be withdrawn."""
    urls = urls_of(where)
    async with connected({name: urls[name] for name in ("orders", "refunds")}) as connections:
        waiting = [
            service
            for service, connection in connections.items()
            if await connection.fetchval(SQL.has_waiting, order_id)
        ]
        rows = await connections["refunds"].fetch(SQL.refunds_to_withdraw, order_id)
    return waiting, [{**row, "refund_id": str(row["refund_id"])} for row in rows]


@app.command("cancel-request")
def cancel_request(
    order_id: Annotated[str, typer.Argument(metavar="ORDER", help="The id of the order.")],
    request: Annotated[
        str, typer.Argument(metavar="REQUEST", help="The id of the request, of its event, or of its refund.")
    ],
    reason: Why = "",
    yes: Yes = False,
    actor: Actor = None,
    postgres: PostgresUrl = None,
    directory: Directory = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Cancel a request that waits: to issue or to refund, for its order; or a refund held or in review.

    What happened, like a payment, is never cancelled. Exit code 4: nothing waits under that id.

    Example: [bold]pawl order cancel-request B-77 iss-1 --reason "ordered by mistake" --yes[/bold]
    """
    system = find_system(None, postgres, directory)
    asker = Asker(system, None, directory, token_file, actor)
    waiting, refunds = asyncio.run(read_waiting(system, order_id.replace("\0", "")))
    for refund in refunds:
        if request in (refund["refund_id"], refund["refund_request_id"]):
            _withdraw(asker, refund["refund_id"], answers.body_of(reason, yes), as_json)
            return
    body = answers.body_of(reason, yes, key=order_id, request=request)
    for service in waiting:
        answer = _cancel(asker, service, body)
        if answer is not None:
            _show(answer, service, as_json)
            return
    raise Problem(
        f"Nothing of order {order_id} waits under {request!r}.",
        f"See what it waits for: {pawl('order', order_id)}",
        Exit.NOTHING_MATCHED,
    )


def _withdraw(asker: Asker, refund_id: str, body: Mapping[str, Any], as_json: bool) -> None:
    path, see = f"/v1/refunds/{refund_id}/withdraw", f"See how it is: pawl refund show {refund_id}"
    answer = asker.ask("refunds", SCOPE_OF_REFUNDS, path, body, see)
    head = f"refund {refund_id}  {answer['refund_request_id']} of order {answer['order_id']}"
    answers.show(answer, as_json, head, answers.before_and_after(answer))


def _cancel(asker: Asker, service: str, body: Mapping[str, Any]) -> Any:
    """What the service cancels, or would; None where nothing of that name waits there. Raises Problem."""
    try:
        see = f"See what it waits for: {pawl('order', body['key'])}"
        return asker.ask(service, SCOPE, "/v1/ops/parked/cancel", body, see)
    except Problem as problem:
        if problem.exit_code is Exit.NOTHING_MATCHED:
            return None
        raise


def _show(answer: Mapping[str, Any], service: str, as_json: bool) -> None:
    cancelled = answer["cancelled"]
    head = f"{cancelled['type']} {cancelled['event_id']} of {answer['key']}"
    answers.show(answer, as_json, head, [("state", f"waiting in {service} → cancelled")])
