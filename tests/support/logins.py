"""Whom a broker lets in."""

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError

from shared.brokers import Brokers
from tests.support.patience import PATIENCE


async def lets_in(brokers: Brokers) -> bool:
    """Whether the broker accepts this login (it closes the connection when it does not)."""
    client = AIOKafkaClient(**brokers.client(), request_timeout_ms=int(1_000 * PATIENCE))
    try:
        await client.bootstrap()
    except KafkaConnectionError:
        return False
    finally:
        await client.close()
    return True
