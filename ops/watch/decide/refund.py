"""`pawl refund`: see what can be refunded, ask for it, show a refund, and decide about it."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

import typer

from ops.shell.groups import ShowsByName
from ops.shell.options import Directory, Json, PostgresUrl, TokenFile
from ops.shell.problem import Exit, Problem
from ops.shell.system import find_system
from ops.watch.decide import answers
from ops.watch.decide import payouts as by_hand
from ops.watch.decide import refund_asking as asking
from ops.watch.decide.answers import Actor, Asker, BaseUrl, Why, Yes
from ops.watch.show import refund as shown
from shared.operators.deciding import RefundDecision

SCOPE = "refunds:manage"

app = typer.Typer(
    cls=ShowsByName,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="Show a refund by its id or that of its request, `pawl refund rr-77`, ask for one, decide about it.",
    epilog="Example: pawl refund rr-77",
)
app.command()(asking.check)
app.command()(asking.request)
app.command()(shown.show)
app.command()(asking.ls)
app.command()(by_hand.payouts)
app.command()(by_hand.paid)

Name = Annotated[str, typer.Argument(help="The id of the refund, or of its request.")]


@app.command()
def review(
    name: Name,
    decision: Annotated[Literal["approve", "reject", "withdraw"], typer.Argument(help="What becomes of it.")],
    amount: Annotated[
        int | None,
        typer.Option(min=1, metavar="WON", help="With approve: what is paid for it.", show_default=False),
    ] = None,
    reason: Why = "",
    yes: Yes = False,
    actor: Actor = None,
    url: BaseUrl = None,
    postgres: PostgresUrl = None,
    directory: Directory = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Decide about a refund that is held or in review: the same as `approve`, `reject` and `withdraw`.

    Example: [bold]pawl refund review rr-77 approve --reason "the account is the buyer's" --yes[/bold]
    """
    asker = Asker(find_system(None, postgres, directory), url, directory, token_file, actor)
    body = answers.body_of(reason, yes, decision=decision, amount=amount)
    _decide(asker, "review", name, body, as_json)


@app.command()
def approve(
    name: Name,
    amount: Annotated[
        int | None,
        typer.Option(min=1, metavar="WON", help="Only if it is worth exactly so much.", show_default=False),
    ] = None,
    reason: Why = "",
    yes: Yes = False,
    actor: Actor = None,
    url: BaseUrl = None,
    postgres: PostgresUrl = None,
    directory: Directory = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Approve a refund that is in review. It is judged again, and orders is asked for its units.

    Example: [bold]pawl refund approve rr-77 --reason "the account is the buyer's" --yes[/bold]
    """
    asker = Asker(find_system(None, postgres, directory), url, directory, token_file, actor)
    _decide(asker, "approve", name, answers.body_of(reason, yes, amount=amount), as_json)


def _plain(decision: RefundDecision) -> Callable[..., None]:
    """The command of a decision that says nothing but why."""

    def decide(
        name: Name,
        reason: Why = "",
        yes: Yes = False,
        actor: Actor = None,
        url: BaseUrl = None,
        postgres: PostgresUrl = None,
        directory: Directory = None,
        token_file: TokenFile = None,
        as_json: Json = False,
    ) -> None:
        asker = Asker(find_system(None, postgres, directory), url, directory, token_file, actor)
        _decide(asker, decision, name, answers.body_of(reason, yes), as_json)

    return decide


PLAIN: Mapping[RefundDecision, str] = {
    "reject": """Reject a refund that is held or in review.

    Example: [bold]pawl refund reject rr-77 --reason "no proof came" --yes[/bold]
    """,
    "withdraw": """End a refund that is held or in review, because its requester wants it no more.

    Example: [bold]pawl refund withdraw rr-77 --reason "the buyer called" --yes[/bold]
    """,
    "retry": """Ask checkout to pay once more what failed, bounced, or was not answered.

    Example: [bold]pawl refund retry rr-77 --reason "the account is open again" --yes[/bold]
    """,
    "release": """Give a payout up that failed: units and won go back to the order.

    Example: [bold]pawl refund release rr-77 --reason "paid back in cash" --yes[/bold]
    """,
}
"""What each of these does, for its help."""
for plain, says in PLAIN.items():
    app.command(plain, help=says)(_plain(plain))


@app.command()
def proof(
    name: Name,
    reference: Annotated[
        str | None, typer.Option(help="Where the proof is kept.", show_default=False)
    ] = None,
    kind: Annotated[str | None, typer.Option(help="What it is, like bankbook.", show_default=False)] = None,
    reason: Why = "",
    yes: Yes = False,
    actor: Actor = None,
    url: BaseUrl = None,
    postgres: PostgresUrl = None,
    directory: Directory = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Attach a proof to a refund that is held: it can be approved then.

    Example: [bold]pawl refund proof rr-77 --reference s3://proofs/77 --reason "a bankbook" --yes[/bold]
    """
    asker = Asker(find_system(None, postgres, directory), url, directory, token_file, actor)
    body = answers.body_of(reason, yes, reference=reference, kind=kind)
    _decide(asker, "proof", name, body, as_json)


def _decide(
    asker: Asker, decision: RefundDecision | Literal["review"], name: str, body: dict[str, Any], as_json: bool
) -> None:
    refund_id = refund_named(asker, name)
    path = f"/v1/refunds/{refund_id}/{decision}"
    answer = asker.ask("refunds", SCOPE, path, body, f"See how it is: pawl refund show {refund_id}")
    head = f"refund {answer['refund_id']}  {answer['refund_request_id']} of order {answer['order_id']}"
    answers.show(answer, as_json, head, answers.before_and_after(answer))


def refund_named(asker: Asker, name: str) -> str:
    """The id of the one refund of this id, or of this request. Raises Problem for none and for several."""
    try:
        return str(UUID(name))
    except ValueError:
        found = shown.require_refunds(asker.system, name)
    if len(found) > 1:
        several = ", ".join(f"{each['refund_id']} of order {each['order_id']}" for each in found)
        raise Problem(f"Several orders have a request {name!r}.", f"Name the refund: {several}", Exit.USAGE)
    return str(found[0]["refund_id"])
