"""Polled batches without a broker: on the way that FastStream hands them to a partition consumer."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from shared.runtime.consumer import PartitionConsumer, new_broker, subscribe
from shared.runtime.records import Record

Hand = Callable[[Sequence[Record]], Awaitable[Any]]


def through_middlewares(
    consumer: PartitionConsumer, middlewares: Sequence[Any], *, traced: bool = False
) -> Hand:
    """Hands a batch to the consumer through these middlewares; the broker that it names is never asked."""
    broker = new_broker("127.0.0.1:1", 1, middlewares=middlewares)
    subscribe(broker, consumer, topics=["checkout.events"], group="g", max_records=2_000, traced=traced)
    subscriber = consumer.subscriber
    broker._setup_logger()
    subscriber._build_fastdepends_model()
    subscriber._post_start()
    return subscriber.process_message  # type: ignore[no-any-return]
