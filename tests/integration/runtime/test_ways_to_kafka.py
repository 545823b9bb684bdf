"""How a service gets to Kafka: certificates of its own CA, one of its own, and logins that change."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError

from ops.local.child import Child, last_lines
from ops.local.kafka import EmbeddedKafka
from ops.local.ports import Ports
from ops.setup.broker import ADMINISTRATOR
from ops.setup.logins import set_passwords
from ops.shell.run_directory import RunDirectory
from shared.brokers import Brokers, untrusted
from shared.kafka import new_producer, security_of
from shared.runtime.consumer import PartitionConsumer, new_broker, subscribe
from shared.runtime.records import Record
from shared.runtime.signals import Metrics
from tests.support.certificates import Authority
from tests.support.instances import until
from tests.support.keys import KEY_SETTINGS
from tests.support.servers import new_run_directory
from tests.support.toy import said

TOPIC = "certificates"
WITH_CERTIFICATES = """\
listener.security.protocol.map=CLIENTS:SASL_SSL,CONTROLLER:SASL_PLAINTEXT
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={ca}
listener.name.clients.ssl.client.auth=required
"""


class CertifiedKafka(EmbeddedKafka):
    """A broker that shows a certificate, wants one, and asks for a password."""

    def __init__(self, folder: RunDirectory, authority: Authority) -> None:
        super().__init__(folder.kafka, Ports(folder.ports), password="of the administrator")
        self._authority = authority
        self._shown = authority.sign("broker")
        self.client = authority.sign("client")

    @property
    def administrator(self) -> Brokers:
        return replace(
            super().administrator,
            protocol="SASL_SSL",
            ca_file=self._authority.ca,
            cert_file=self.client.cert,
            key_file=self.client.key,
        )

    def _all_settings(self, controller_port: int) -> str:
        # Of a setting that is there twice, the last one counts.
        own = WITH_CERTIFICATES.format(keystore=self._shown.both, ca=self._authority.ca)
        return super()._all_settings(controller_port) + own


@pytest.fixture(scope="module")
async def certified() -> AsyncIterator[tuple[RunDirectory, Authority, CertifiedKafka]]:
    with new_run_directory() as folder:
        authority = Authority(folder.path, "authority")
        kafka = CertifiedKafka(folder, authority)
        await kafka.start()
        admin = AIOKafkaAdminClient(**kafka.administrator.client())
        await admin.start()
        await admin.create_topics([NewTopic(TOPIC, 1, 1)])
        await admin.close()
        yield folder, authority, kafka
        await kafka.stop()


async def set_password(kafka: CertifiedKafka, password: str) -> None:
    admin = AIOKafkaAdminClient(**kafka.administrator.client())
    await admin.start()
    await set_passwords(admin, {ADMINISTRATOR: password})
    await admin.close()


async def test_passwords_and_certificates_that_change_count_for_the_next_connection(
    certified: tuple[RunDirectory, Authority, CertifiedKafka], tmp_path: Path
) -> None:
    _, authority, kafka = certified
    await set_password(kafka, "first")
    file = tmp_path / "password"
    file.write_text("first\n")
    own = Authority(tmp_path, "stranger").sign("of-the-service")
    shown = authority.sign("client-of-before")
    own.cert.write_bytes(shown.cert.read_bytes())
    own.key.write_bytes(shown.key.read_bytes())
    brokers = replace(
        kafka.administrator,
        mechanism="SCRAM-SHA-512",
        password="",
        password_file=file,
        cert_file=own.cert,
        key_file=own.key,
    )
    read: list[bytes | None] = []

    async def handle(records: Sequence[Record]) -> None:
        read.extend(record.key for record in records)

    consumer = PartitionConsumer(handle, Metrics(), pytest.fail)
    broker = new_broker(brokers.servers, 5, security=security_of(brokers))
    subscribe(broker, consumer, topics=[TOPIC], group="certificates", max_records=10)
    producer = new_producer(brokers, "orders")
    await broker.start()
    await producer.start()
    record = said("pay-1")

    async def say(key: bytes) -> None:
        await asyncio.wait_for(
            producer.send_and_wait(TOPIC, record.value, key=key, headers=list(record.headers)), 60
        )

    async def is_read(key: bytes) -> bool:
        return key in read

    await say(b"before")
    await until(lambda: is_read(b"before"), "what was said before is read")

    await set_password(kafka, "second")
    file.write_text("second\n")
    renewed = authority.sign("client-from-now-on")
    own.cert.write_bytes(renewed.cert.read_bytes())
    own.key.write_bytes(renewed.key.read_bytes())
    await kafka.stop()
    await kafka.start()

    await say(b"afterwards")
    await until(lambda: is_read(b"afterwards"), "what is said afterwards is read")
    await producer.stop()
    await broker.stop()


async def test_a_client_without_the_certificate_that_the_broker_wants_is_not_let_in(
    certified: tuple[RunDirectory, Authority, CertifiedKafka],
) -> None:
    _, _, kafka = certified
    producer = AIOKafkaProducer(**replace(kafka.administrator, cert_file=None, key_file=None).client())

    with pytest.raises(KafkaConnectionError):
        await producer.start()
    await producer.stop()


async def test_a_service_that_does_not_trust_its_broker_says_so_and_does_not_start(
    certified: tuple[RunDirectory, Authority, CertifiedKafka], tmp_path: Path
) -> None:
    folder, _, kafka = certified
    stranger = Authority(tmp_path, "stranger")
    assert await untrusted(kafka.administrator, 10) == ""
    assert kafka.bootstrap_servers in await untrusted(replace(kafka.administrator, ca_file=stranger.ca), 10)
    environment: dict[str, Any] = {
        **os.environ,
        **KEY_SETTINGS,
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_USERNAME": ADMINISTRATOR,
        "KAFKA_SASL_PASSWORD": "of the administrator",
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SSL_CA_FILE": str(stranger.ca),
        "KAFKA_SSL_CERT_FILE": str(kafka.client.cert),
        "KAFKA_SSL_KEY_FILE": str(kafka.client.key),
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/pawl",
    }
    log = folder.path / "refunds.log"
    child = Child([sys.executable, "-m", "services.refunds"], log, environment)

    async def has_ended() -> bool:
        return not child.is_alive

    await until(has_ended, "the service ends")
    assert child.exit_code == 1
    assert "Kafka shows a certificate that is not trusted" in last_lines(log)
    assert "KAFKA_SSL_CA_FILE" in last_lines(log)
