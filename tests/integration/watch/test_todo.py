"""What needs somebody: each kind of group is found by its cause, and is gone when its cause is."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pytest
import typer

from ops import cli
from ops.setup.provision import Database
from ops.shell.databases import urls_of
from ops.shell.groups import ShowsByName
from ops.watch.todo.listing import Todo, read_everything
from services.invoices.approving import Step, WithAgent, approve, issue, transmitted
from services.invoices.business_registry import NoRegistry
from services.invoices.closes import MonthClose
from services.invoices.decisions.submitting import Answer, Standing
from services.invoices.decisions.transmitting import Result
from services.invoices.documents.tax_document import Party, TaxDocument
from services.invoices.submitting import Outside, ask_some, send_some
from services.invoices.tax_agent import Cancelled, Taken
from services.serials.issuing import Issuer
from shared.clock import now
from shared.ids import uuid7
from shared.operators.todo import Moment, Thresholds
from shared.runtime.surroundings import Surroundings
from tests.support.tabletop import Tabletop, buy, refund_and_issue, refund_id_of

AT = datetime.fromisoformat
AT_ONCE = Thresholds(waiting=timedelta(0), grant=timedelta(0))
PARTNER = {"partner_id": "P-17", "name": "가나다 주식회사", "invoice_email": "tax@ganada.example"}
WRONG, OTHER, CHANGED = "1234567890", "1348672683", "2026-11-20T09:00:00+09:00"
OPERATOR = {"actor": "operator:kim", "note": "looked at"}
SUPPLIER = Party("1188120586", "주식회사 스터디웍스", "김하늘")
LATE, IN_TIME = "2026-12-08T10:00:00+09:00", "2026-11-02T10:00:00+09:00"

Happening = Callable[[Tabletop], Awaitable[None]]


async def listed(database: Database, at: str | None = None) -> Todo:
    moment = Moment(AT(at) if at else now() + timedelta(seconds=1), AT_ONCE)
    return await read_everything(database.ops_url, moment)


async def refund(table: Tabletop, order_id: str, **data: Any) -> str:
    """A paid order of which 40 units are asked back; the refund's id."""
    await buy(table, order_id)
    table.say("refund.requested.v1", order_id, **data)
    await table.drain()
    return await refund_id_of(table, order_id)


async def keys_changed(table: Tabletop) -> None:
    """Serials were made with a key, and then with another one."""
    await table.pools["serials"].execute(
        "INSERT INTO serial_keys VALUES ('old', now() - interval '2 days'), ('new', now() - interval '1 day')"
    )


async def rotation_begun(table: Tabletop) -> None:
    await keys_changed(table)
    await table.pools["serials"].execute(
        "UPDATE serial_keys SET rotated_to = 'new', rotated_at = now() WHERE key_id = 'old'"
    )


async def key_retired(table: Tabletop) -> None:
    await table.pools["serials"].execute(
        "UPDATE serial_keys SET (rotated_to, rotated_at, retired_at) = ('new', now(), now())"
        " WHERE key_id = 'old'"
    )


async def say(table: Tabletop, example: str, key: str, **data: Any) -> None:
    table.say(example, key, **data)
    await table.drain()


SOMEBODY_ELSE = {
    "destination": {
        "method": "bank_account",
        "bank_code": "088",
        "account_number": "110123456789",
        "holder": "Somebody Else",
    }
}


async def held(table: Tabletop) -> None:
    await refund(table, "A-1", **SOMEBODY_ELSE)


async def in_review(table: Tabletop) -> None:
    refund_id = await refund(table, "A-1", **SOMEBODY_ELSE)
    await say(table, "refund.proof_attached.v1", "A-1", refund_id=refund_id)


async def rejected(table: Tabletop) -> None:
    refund_id = await refund_id_of(table, "A-1")
    await say(table, "refund.reviewed.v1", "A-1", refund_id=refund_id, decision="reject", **OPERATOR)


async def failed(table: Tabletop) -> None:
    refund_id = await refund(table, "A-1")
    await say(table, "refund.payout_failed.v1", "A-1", refund_id=refund_id)


async def released(table: Tabletop) -> None:
    refund_id = await refund_id_of(table, "A-1")
    await say(table, "refund.reviewed.v1", "A-1", refund_id=refund_id, decision="release", **OPERATOR)


async def unknown(table: Tabletop) -> None:
    refund_id = await refund(table, "A-1")
    await say(table, "refund.payout_failed.v1", "A-1", refund_id=refund_id, reason="timeout")


async def paid_out(table: Tabletop) -> None:
    refund_id = await refund_id_of(table, "A-1")
    await say(table, "refund.paid_out.v1", "A-1", refund_id=refund_id)


async def bounced(table: Tabletop) -> None:
    await refund(table, "A-1")
    await paid_out(table)
    refund_id = await refund_id_of(table, "A-1")
    paid = await table.pools["refunds"].fetchval("SELECT payout_id FROM refund_payouts")
    await say(table, "refund.payout_failed.v1", "A-1", refund_id=refund_id, payout_id=paid)


async def paid_again(table: Tabletop) -> None:
    refund_id = await refund_id_of(table, "A-1")
    await say(table, "refund.paid_out.v1", "A-1", refund_id=refund_id, payout_id="po-again")


async def payout_forgotten(table: Tabletop) -> None:
    await refund(table, "A-1")


async def paid_twice(table: Tabletop) -> None:
    await buy(table, "A-1")
    await say(table, "payment.completed.v1", "A-1", payment_id="pay-again")


async def given_back(table: Tabletop) -> None:
    await say(table, "quarantine.decided.v1", "A-1", payment_id="pay-again")


async def refused(table: Tabletop) -> None:
    await buy(table, "A-1")
    await say(table, "issuance.requested.v1", "A-1", lines=[{"line_id": "1", "quantity": -5}])


async def sent_right(table: Tabletop) -> None:
    await say(table, "issuance.requested.v1", "A-1", lines=[{"line_id": "1", "quantity": 5}])


async def early(table: Tabletop) -> None:
    await say(table, "issuance.requested.v1", "A-1")


async def bought(table: Tabletop) -> None:
    await buy(table, "A-1")


async def blocked(table: Tabletop) -> None:
    """What a decision that failed leaves."""
    await early(table)
    await table.pools["orders"].execute("UPDATE parked SET kind = 'blocked', reason = 'KeyError: 1'")


async def unblocked(table: Tabletop) -> None:
    await table.pools["orders"].execute("DELETE FROM parked")


async def pending(table: Tabletop) -> None:
    deadline = (now() + timedelta(hours=5)).isoformat()
    await say(table, "payment.pending.v1", "A-1", deposit_deadline=deadline)


async def granted(table: Tabletop) -> None:
    """A grant that is too large to be issued with its event waits for the issuing worker."""
    line = {"line_id": "1", "kind": "serials", "product_id": "s", "product_name": "s", "unit_price": 10}
    line |= {"quantity": 3_000, "usage_days": 30}
    await buy(table, "A-1", lines=[line], amount=33_000, issue_policy="automatic")


async def issued(table: Tabletop) -> None:
    store = table.folds["serials"]._service.store
    await Issuer(Surroundings(table.pools["serials"], table.outboxes["serials"]), store).drain()


async def unissuable(table: Tabletop) -> None:
    await buy(table, "A-1", partner={**PARTNER, "business_number": WRONG})
    await table.close("2026-10", "2026-11-05T18:00:00+09:00")


async def corrected(table: Tabletop) -> None:
    await say(table, "partner.changed.v1", "P-17", at=CHANGED, changed_at=CHANGED)


async def month_over(table: Tabletop) -> None:
    await buy(table, "A-1")


async def closed(table: Tabletop) -> None:
    await table.close("2026-10", "2026-11-05T18:00:00+09:00")


async def closed_late(table: Tabletop) -> None:
    await buy(table, "A-1")
    await table.close("2026-10", "2026-11-20T18:00:00+09:00")


async def wrong_company(table: Tabletop) -> None:
    await buy(table, "A-1")
    await closed(table)
    changed = {"changed_at": CHANGED, "business_number": OTHER}
    await say(table, "partner.changed.v1", "P-17", at=CHANGED, **changed)


async def corrected_document(table: Tabletop) -> None:
    key = await table.pools["invoices"].fetchval("SELECT document_key FROM documents")
    await table.correct("2026-10", key)


class Agent:
    """A tax agent that says the same of every document."""

    def __init__(self, standing: Standing, reason: str, day: str = "20261021") -> None:
        self._standing, self._reason, self._day = standing, reason, day

    async def submit(self, documents: Sequence[TaxDocument]) -> Sequence[Taken]:
        why = self._reason if self._standing == "refused" else None
        return [Taken(document.document_key, why) for document in documents]

    async def status(self, document_keys: Sequence[str]) -> Sequence[Answer]:
        return [
            Answer(key, self._standing, f"{self._day}{'4' * 16}", reason=self._reason)
            for key in document_keys
        ]

    async def cancel(self, document_key: str) -> Cancelled:
        return "unknown"


def step_of(who: str) -> Step:
    return Step(MonthClose("2026-10", AT(IN_TIME), uuid7(), who, "a test", False, "month.issue"), None)


async def approved(table: Tabletop) -> None:
    surroundings = Surroundings(table.pools["invoices"], table.outboxes["invoices"])
    await approve(surroundings, table.invoices, step_of("operator:kim"))


async def given_to_agent(table: Tabletop) -> None:
    surroundings = Surroundings(table.pools["invoices"], table.outboxes["invoices"])
    await issue(
        surroundings, table.invoices, step_of("operator:lee"), WithAgent(surroundings, table.invoices)
    )


def answered(standing: Standing, reason: str, day: str = "20261021") -> Happening:
    """A month that was given to a tax agent, which says this of each document, with a number of this day."""

    async def cause(table: Tabletop) -> None:
        await buy(table, "A-1")
        await approved(table)
        await given_to_agent(table)
        surroundings = Surroundings(table.pools["invoices"], table.outboxes["invoices"])
        outside = Outside(Agent(standing, reason, day), NoRegistry(), SUPPLIER)
        await send_some(surroundings, table.invoices, outside, AT(IN_TIME))
        await ask_some(surroundings, table.invoices, outside, AT(IN_TIME) + timedelta(hours=1))

    cause.__name__ = f"{standing}_{reason}_{day}"
    return cause


async def mended(table: Tabletop) -> None:
    """The partner tells another number, so that its document is a draft of a closed month."""
    await answered("refused", "wrong_number")(table)
    await say(table, "partner.changed.v1", "P-17", at=CHANGED, changed_at=CHANGED, business_number=OTHER)


async def approved_again(table: Tabletop) -> None:
    await answered("refused", "business_closed")(table)
    await approved(table)


async def transmitted_at_last(table: Tabletop) -> None:
    """The agent is given again what failed, and says that all of it is transmitted."""
    await given_to_agent(table)
    surroundings = Surroundings(table.pools["invoices"], table.outboxes["invoices"])
    outside = Outside(Agent("transmitted", ""), NoRegistry(), SUPPLIER)
    await send_some(surroundings, table.invoices, outside, AT(LATE))
    await ask_some(surroundings, table.invoices, outside, AT(LATE) + timedelta(hours=1))


async def approved_and_given(table: Tabletop) -> None:
    await approved(table)
    await given_to_agent(table)


def told_by_hand(approval_number: str | None, failed: str | None) -> Happening:
    async def told(table: Tabletop) -> None:
        surroundings = Surroundings(table.pools["invoices"], table.outboxes["invoices"])
        key = await table.pools["invoices"].fetchval("SELECT document_key FROM documents")
        results = [Result(key, approval_number, failed)]
        await transmitted(surroundings, table.invoices, step_of("operator:kim").close, results)

    return told


async def not_taken_by_hand(table: Tabletop) -> None:
    await month_over(table)
    await closed(table)
    await told_by_hand(None, "authority_unavailable")(table)


async def wants_to_leave(table: Tabletop) -> None:
    await buy(table, "A-1", payment_method="card", evidence="card_slip")
    await say(table, "partner.withdrawal_requested.v1", "P-17")


async def leaves(table: Tabletop) -> None:
    await say(table, "payment.cancelled.v1", "A-1", payment_id="pay-A-1")
    await say(table, "partner.withdrawal_requested.v1", "P-17", request_id="wd-2")


class Trouble(NamedTuple):
    """How a group comes to be, what it is, and how it goes. `at`: when somebody looks, else now."""

    cause: Happening
    cure: Happening | None
    service: str
    code: str
    reason: str
    won: int | None
    who: str
    command: str
    at: str | None = None


TROUBLES = [
    Trouble(
        held, rejected, "refunds", "refund_held", "holder_mismatch", None, "partner", "pawl refund proof {}"
    ),
    Trouble(
        in_review,
        rejected,
        "refunds",
        "refund_in_review",
        "holder_mismatch",
        None,
        "operator",
        "pawl refund approve {}",
    ),
    Trouble(
        failed,
        released,
        "refunds",
        "refund_failed",
        "account_closed",
        70_400,
        "operator",
        "pawl refund retry {}",
    ),
    Trouble(
        unknown, paid_out, "refunds", "refund_unknown", "timeout", 70_400, "checkout", "pawl refund show {}"
    ),
    Trouble(
        bounced,
        paid_again,
        "refunds",
        "refund_bounced",
        "account_closed",
        70_400,
        "operator",
        "pawl refund retry {}",
    ),
    Trouble(
        payout_forgotten,
        paid_out,
        "refunds",
        "refund_overdue",
        "paying_out",
        70_400,
        "checkout",
        "pawl refund show {}",
        LATE,
    ),
    Trouble(
        paid_twice,
        given_back,
        "orders",
        "quarantine",
        "second_payment",
        176_000,
        "operator",
        "pawl quarantine show pay-again",
        LATE,
    ),
    Trouble(
        refused,
        sent_right,
        "orders",
        "dead_letter",
        "out_of_range from https://checkout.example/shop-1",
        None,
        "checkout",
        "pawl dead show {}",
    ),
    Trouble(
        early,
        bought,
        "orders",
        "event_waiting",
        "issuance.requested.v1",
        None,
        "checkout",
        "pawl order cancel-request A-1 issuance.requested.v1-A-1-0",
    ),
    Trouble(
        blocked,
        unblocked,
        "orders",
        "event_blocked",
        "issuance.requested.v1",
        None,
        "operator",
        "pawl dead replay {}",
    ),
    Trouble(pending, bought, "orders", "deposit_expires", "", 176_000, "partner", "pawl order {}"),
    Trouble(
        granted,
        issued,
        "serials",
        "grant_stands_still",
        "3,000 units to issue",
        None,
        "operator",
        "pawl order {}",
    ),
    *(
        Trouble(
            cause,
            key_retired,
            "serials",
            "key_not_retired",
            f"key old, {how}",
            None,
            "operator",
            "pawl serials rotate",
        )
        for cause, how in (
            (keys_changed, "not rotated"),
            (rotation_begun, "its serials are put under key new"),
        )
    ),
    Trouble(
        unissuable,
        corrected,
        "invoices",
        "document_not_issued",
        "business_number",
        176_000,
        "partner",
        "pawl partner correct {}",
        LATE,
    ),
    *(
        Trouble(
            answered("refused", why),
            approved,
            "invoices",
            "document_refused",
            why,
            176_000,
            who,
            command,
            LATE,
        )
        for why, who, command in (
            ("business_closed", "partner", "pawl partner correct {}"),
            ("wrong_number", "partner", "pawl partner correct {}"),
            ("duplicate_key", "finance", "pawl close 2026-10 approve --reason WHY --yes"),
        )
    ),
    *(
        Trouble(
            cause,
            approved_and_given,
            "invoices",
            "document_to_issue_again",
            "2026-10",
            176_000,
            "finance",
            f"pawl close 2026-10 {step} --reason WHY --yes",
            LATE,
        )
        for cause, step in ((mended, "approve"), (approved_again, "issue"))
    ),
    *(
        Trouble(
            answered("not_transmitted", why),
            transmitted_at_last,
            "invoices",
            "document_not_transmitted",
            why,
            176_000,
            who,
            command,
            LATE,
        )
        for why, who, command in (
            ("authority_unavailable", "finance", "pawl close 2026-10 issue --reason WHY --yes"),
            ("business_closed", "partner", "pawl partner correct P-17"),
            ("wrong_number", "finance", "pawl close 2026-10 amend {}"),
            ("duplicate_key", "finance", "pawl close 2026-10 issue --reason WHY --yes"),
        )
    ),
    *(
        Trouble(
            answered("issued", ""),
            cure,
            "invoices",
            "document_not_transmitted",
            "no_answer",
            176_000,
            "finance",
            "pawl document {}",
            LATE,
        )
        for cure in (transmitted_at_last, told_by_hand(f"20261021{'4' * 16}", None))
    ),
    Trouble(
        answered("transmitted", "", day="19990101"),
        told_by_hand(f"20261021{'4' * 16}", None),
        "invoices",
        "document_answer_doubted",
        "wrong_approval_number",
        176_000,
        "finance",
        "pawl close 2026-10 transmit --results FILE --yes",
        LATE,
    ),
    Trouble(
        not_taken_by_hand,
        told_by_hand(f"20261021{'4' * 16}", None),
        "invoices",
        "document_not_transmitted",
        "authority_unavailable",
        176_000,
        "finance",
        "pawl close 2026-10 transmit --sheet DIR",
        LATE,
    ),
    Trouble(
        month_over,
        closed,
        "invoices",
        "month_not_closed",
        "2026-10",
        176_000,
        "finance",
        "pawl month {}",
        IN_TIME,
    ),
    Trouble(
        closed_late,
        None,
        "invoices",
        "document_late_penalty",
        "2026-10",
        1_600,
        "finance",
        "pawl close 2026-10 status",
        LATE,
    ),
    Trouble(
        wrong_company,
        corrected_document,
        "invoices",
        "document_of_wrong_business",
        "2026-10",
        176_000,
        "finance",
        "pawl close 2026-10 status",
        LATE,
    ),
    Trouble(
        wants_to_leave,
        leaves,
        "orders",
        "partner_wants_to_leave",
        "",
        None,
        "operator",
        "pawl partner check {}",
    ),
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: f"{trouble.code}-{trouble.cause.__name__}")
async def test_it_is_listed_and_gone_when_its_cause_is(
    trouble: Trouble, table: Tabletop, database: Database
) -> None:
    await trouble.cause(table)

    todo = await listed(database, trouble.at)

    assert todo.unreadable == {}
    (group,) = [group for group in todo.groups if group.code == trouble.code]
    assert (group.service, group.reason, group.won) == (trouble.service, trouble.reason, trouble.won)
    assert (group.count, group.who, len(group.members)) == (1, trouble.who, 1)
    assert group.command == trouble.command.format(group.members[0])

    if trouble.cure is not None:
        await trouble.cure(table)
        assert trouble.code not in {each.code for each in (await listed(database, trouble.at)).groups}


async def test_where_all_is_well_nothing_is_listed(table: Tabletop, database: Database) -> None:
    await buy(table, "A-1")
    await refund_and_issue(table, "A-1")

    assert (await listed(database, "2026-10-25T10:00:00+09:00")).groups == []


async def test_a_payout_is_overdue_when_its_expected_day_is_over_and_listed_no_earlier(
    table: Tabletop, database: Database
) -> None:
    await refund(table, "A-1")
    assert "refund_overdue" not in {
        g.code for g in (await listed(database, "2026-10-27T23:00:00+09:00")).groups
    }

    (group, *_) = (await listed(database, "2026-12-13T23:59:59.999999+09:00")).groups

    assert (group.code, group.overdue, group.due) == ("refund_overdue", 1, None)
    assert group.overdue_since == AT("2026-10-27T23:59:59.999999+09:00")
    assert group.to_document(AT("2026-12-13T23:59:59.999999+09:00"))["overdue_seconds"] == 47 * 86_400


async def test_a_month_counts_down_to_its_due_day(table: Tabletop, database: Database) -> None:
    await buy(table, "A-1")

    assert [g.code for g in (await listed(database, "2026-10-31T23:00:00+09:00")).groups] == []
    (early,) = (await listed(database, IN_TIME)).groups
    (late,) = (await listed(database, LATE)).groups

    assert (early.overdue, early.due) == (0, AT("2026-11-10T23:59:59.999999+09:00"))
    assert (late.overdue, late.due, late.overdue_since) == (1, None, early.due)


async def test_a_close_that_was_interrupted_is_listed(table: Tabletop, database: Database) -> None:
    await buy(table, "A-1")
    await closed(table)
    await table.pools["invoices"].execute("UPDATE months SET unreported = true")
    assert "month_close_interrupted" in {g.code for g in (await listed(database, LATE)).groups}

    await closed(table)

    assert "month_close_interrupted" not in {g.code for g in (await listed(database, LATE)).groups}


async def test_a_penalty_is_listed_until_the_return_that_it_is_paid_with(
    table: Tabletop, database: Database
) -> None:
    await closed_late(table)

    before, after = "2027-01-25T23:00:00+09:00", "2027-01-26T01:00:00+09:00"
    assert [g.code for g in (await listed(database, before)).groups] == ["document_late_penalty"]
    assert (await listed(database, after)).groups == []


async def test_a_schema_that_cannot_be_read_is_named_and_the_others_are_listed(
    table: Tabletop, database: Database
) -> None:
    await failed(table)
    urls = {**urls_of(database.ops_url), "orders": "postgresql://nobody:x@127.0.0.1:1/nothing"}

    todo = await read_everything(urls, Moment(now(), AT_ONCE))

    assert list(todo.unreadable) == ["orders"]
    assert "127.0.0.1:1" in todo.unreadable["orders"]
    assert "refund_failed" in {group.code for group in todo.groups}


def test_each_next_command_is_one_that_there_is() -> None:
    missing = set()
    for trouble in TROUBLES:
        first, second = trouble.command.split()[1:3]
        command = typer.main.get_command(cli.app).get_command(None, first)
        is_group = hasattr(command, "get_command") and not isinstance(command, ShowsByName)
        if command is None or (is_group and command.get_command(None, second) is None):
            missing.add(f"{first} {second}")
    assert missing == set()
