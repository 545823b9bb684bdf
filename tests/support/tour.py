"""Stories that together make the services say every type of event that they can say."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import orjson

from ops.local.running import RunningSystem
from ops.shell.http_client import fetch
from ops.shell.tokens import token_of
from shared.clock import now
from shared.kst import KST, next_month, wire_time
from tests.support.driver import Checkout
from tests.support.patience import PATIENCE
from tests.support.readable import ask_serials, serials_of
from tests.support.stories import BEGINS, Buyer, Story, first_day, fresh_month

WEEK = timedelta(days=7)
CloseMonth = Callable[[str, str], Awaitable[dict[str, Any]]]


async def tell_everything(checkout: Checkout, close_month: CloseMonth, system: RunningSystem) -> None:
    """All of the stories below, to their ends."""
    stories = (
        issued_and_refunded,
        held_failed_and_released,
        bounced_and_paid_twice,
        used_and_overpaid,
        locked_and_rejected,
        large,
        expired,
        cancelled,
        stayed_and_left,
    )
    await asyncio.gather(*(story(checkout) for story in stories))
    await used(checkout, system)
    await purged(checkout, system)
    await invoiced(checkout, close_month)
    await denied(checkout, system)


async def issued_and_refunded(checkout: Checkout) -> None:
    story = await Story(checkout).is_paid(quantity=100)
    await story.asks_to_issue(60)
    await story.until("serials.issued.v2")
    await story.is_refunded()
    await story.asks_to_issue(1, request="iss-2")
    await story.until("issuance.denied.v1")
    await story.pays(payment_id=f"{story.payment_id}-2")
    await story.until("payment.quarantined.v1")
    await story.is_decided(f"{story.payment_id}-2", "returned")
    await story.until("quarantine.settled.v1")
    await story.until("invoice.drafted.v1")


async def held_failed_and_released(checkout: Checkout) -> None:
    story = await Story(checkout).is_paid(quantity=10)
    await story.asks_refund(4, holder="홍길동")
    held = await story.until("refund.held.v1")
    await story.attaches_proof(held.data["refund_id"])
    await story.is_reviewed(held.data["refund_id"], "approve")
    await story.until("refund.payout_requested.v1")
    await story.payout_fails(held.data["refund_id"], "account_closed")
    await story.until("refund.failed.v1")
    await story.is_reviewed(held.data["refund_id"], "release")
    await story.until("refund.released.v1")


async def bounced_and_paid_twice(checkout: Checkout) -> None:
    story = await Story(checkout).is_paid(quantity=10)
    completed = await story.is_refunded(4)
    refund_id = completed.data["refund_id"]
    await story.payout_fails(refund_id, "account_closed", completed.data["payout_id"])
    await story.until("refund.bounced.v1")
    await story.is_reviewed(refund_id, "retry")
    await story.is_paid_out(refund_id, "po-2")
    await story.until("refund.repaid.v1")
    await story.is_paid_out(refund_id, "po-3")
    await story.until("refund.paid_twice.v1")


async def used_and_overpaid(checkout: Checkout) -> None:
    story = await Story(checkout).is_paid(quantity=1, price=10_000, kind="prepaid")
    await story.is_refunded()
    later = story.now + timedelta(minutes=5)
    await story.says("usage.recorded.v1", line_id="1", used=2_000, recorded_at=wire_time(later))
    await story.until("refund.overpaid.v1")
    await story.until("payment.quarantined.v1", reason="used_after_refund")
    ends = wire_time(later + timedelta(days=7))
    await story.says("balance.granted.v1", line_id="1", bonus=1_000, expires_at=ends)
    await story.until("refund.underpaid.v1")
    await story.until("payment.quarantined.v1", reason="bonus_after_refund")


async def locked_and_rejected(checkout: Checkout) -> None:
    story = await Story(checkout).is_issued(quantity=5)
    await story.asks_refund()
    await story.until("refund.rejected.v1")


async def large(checkout: Checkout) -> None:
    story = Story(checkout)
    await story.pays(policy="automatic", quantity=60_000)
    await story.until("serials.issued.v2")
    await story.until("issuance.progressed.v1")


async def used(checkout: Checkout, system: RunningSystem) -> None:
    """One serial is registered; another one is reissued, and so revoked."""
    story = await Story(checkout).is_issued(quantity=2)
    first, second = await serials_of(system, story.order_id)
    said = {"serial": first.text, "account": "user-5"}
    registered = await ask_serials(system, "registrations", "serials:register", said)
    why, path = {"reason": "lost"}, f"serials/{second.serial_id}/reissue"
    reissued = await ask_serials(system, path, "serials:manage", why, key=second.serial_id)
    assert (registered.status, reissued.status) == (200, 200), (registered.text, reissued.text)
    for type_name in ("serial.registered.v1", "serial.revoked.v1", "serial.reissued.v1"):
        await story.until(type_name)


async def expired(checkout: Checkout) -> None:
    story = Story(checkout, begins=now().astimezone(KST) - timedelta(days=8))
    await story.waits_for_deposit(story.now + WEEK, quantity=3)
    await story.until("order.expired.v1")


async def cancelled(checkout: Checkout) -> None:
    story = await Story(checkout).is_paid(quantity=3)
    await story.is_cancelled()
    await story.until("order.cancelled.v1")


async def stayed_and_left(checkout: Checkout) -> None:
    buyer = Buyer(checkout)
    story = Story(checkout, buyer)
    await story.waits_for_deposit(BEGINS + WEEK, quantity=3)
    await story.until("order.registered.v1")
    await buyer.asks_to_leave(BEGINS)
    await buyer.until("partner.withdrawal_refused.v1")
    leaver = Buyer(checkout)
    await leaver.asks_to_leave(BEGINS)
    await leaver.until("partner.withdrawn.v1")


async def purged(checkout: Checkout, system: RunningSystem) -> None:
    leaver = Buyer(checkout)
    await leaver.asks_to_leave(datetime(2020, 3, 10, 10, 0, tzinfo=KST))
    await leaver.until("partner.withdrawn.v1")
    answer = await purge_partners(system)
    assert leaver.id in {each["partner_id"] for each in answer["partners"]}, answer
    await leaver.until("partner.purged.v1")


async def purge_partners(system: RunningSystem, *, apply: bool = True) -> dict[str, Any]:
    """Has orders purge whoever left years ago; its answer."""
    url = f"{system.system.service('orders').base_url}/v1/partners/purge"
    said = orjson.dumps({"reason": "their five years are over", "apply": apply})
    answer = await fetch(url, said, PATIENCE, token_of(system.system, "partners:manage"))
    assert answer.status == 200, answer.text
    return dict(orjson.loads(answer.text))


async def invoiced(checkout: Checkout, close_month: CloseMonth) -> None:
    month, buyer, wrong = fresh_month(), Buyer(checkout), Buyer(checkout, number="1234567890")
    stories = [await Story(checkout, buyer, first_day(month)).is_issued(quantity=2) for _ in range(2)]
    open_one = await Story(checkout, buyer, first_day(month)).is_paid(quantity=10)
    await Story(checkout, wrong, first_day(month)).is_paid(quantity=1)
    await checkout.drain()
    asked = first_day(next_month(month))
    payments = [story.payment_id for story in stories]
    for number in range(2):
        await buyer.asks_merge(month, asked + timedelta(hours=2 * number), payments)
        await buyer.until("invoice.merged.v1", number + 1)
        if number == 0:
            await buyer.undoes_merge(month, asked + timedelta(hours=1))
            await buyer.until("invoice.unmerged.v1")
    await close_month(month, f"{next_month(month)}-05T18:00:00+09:00")
    await buyer.until("invoice.issued.v1", 2)
    await wrong.until("invoice.issue_failed.v1")
    open_one.now = first_day(next_month(next_month(month)))
    await open_one.is_refunded(4)
    await buyer.until("invoice.modified.v1")


async def denied(checkout: Checkout, system: RunningSystem) -> None:
    story = await Story(checkout).is_paid(quantity=10)
    await checkout.drain()
    system.services.halt("orders")
    try:
        await story.asks_refund(7, request="rr-1")
        await story.asks_refund(7, request="rr-2")
        await story.until("refund.accepted.v1", 2)
    finally:
        system.services.resume("orders")
    await story.until("refund.denied.v1")
