"""A Kafka broker as its administrator sees it."""

from contextlib import suppress

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from shared.brokers import Brokers, somebody_listens

ADMINISTRATOR = "pawl_admin"


async def answers(where: str | Brokers) -> bool:
    """Whether a broker answers there and takes part in its cluster.

    A broker that is fenced answers too, but names no brokers.
    """
    brokers = Brokers.at(where)
    # A cheap look first: the Kafka client logs an error for each connection refused.
    if not await somebody_listens(brokers.servers, 3):
        return False
    admin = AIOKafkaAdminClient(**brokers.client(), request_timeout_ms=3000)
    try:
        await admin.start()
        cluster = await admin.describe_cluster()
        return bool(cluster["brokers"])
    except (KafkaError, OSError):
        return False
    finally:
        with suppress(KafkaError, OSError):
            await admin.close()
