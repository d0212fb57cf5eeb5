"""A real Apache Kafka (one node, KRaft) for tests and benchmarks.

It runs from the published jars (Java 17 and, for the first time, Maven, which puts them into `.cache/`) or from the
official image where a Docker daemon runs. It listens on 127.0.0.1 only, on free ports, and keeps its files in a
temporary directory. `start()` is for one process; `shared()` gives all processes of a test run the same broker, kept
by a process of its own (`python -m tests.kafka.brokers`) that ends it when the test run ends, however that ends.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

VERSION = "4.3.0"
LOG_BINDING_VERSION = "2.25.3"
JAVA_VERSION_MIN = 17
CACHE = Path(__file__).resolve().parents[2] / ".cache"
HOST = "127.0.0.1"
START_SECONDS_MAX = 90
STOP_SECONDS_MAX = 10
MAVEN_SECONDS_MAX = 600
PLAIN = "PLAINTEXT"

POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion><groupId>local</groupId><artifactId>broker</artifactId><version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{VERSION}</version>
      <exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId>
      <version>{LOG_BINDING_VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""

LOGGING = """Configuration:
  Appenders:
    Console: {name: out, target: SYSTEM_OUT, PatternLayout: {pattern: "%d{HH:mm:ss.SSS} %p %c{1} %m%n"}}
  Loggers:
    Root: {level: warn, AppenderRef: {ref: out}}
"""

SERVER: dict[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    # What is not there must be named, not made on the way.
    "auto.create.topics.enable": "false",
    # One node has no one to copy to.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # Tests wait for members and for time-outs; the defaults are for data centres.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "group.max.session.timeout.ms": "600000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "log.index.size.max.bytes": "1048576",
    "num.io.threads": "4",
}


class Unavailable(Exception):
    """There is nothing here to run a Kafka with; the message is one line."""


class Broken(Exception):
    """There is, but the broker did not start; the message holds the end of its log."""


@dataclass
class Broker:
    """A running broker. `addresses`: listener name (PLAINTEXT, SASL_SSL, …) -> host:port."""

    process: subprocess.Popen[bytes]
    directory: Path
    addresses: Mapping[str, str]
    stop_command: Sequence[str] = field(default_factory=list)

    @property
    def bootstrap(self) -> str:
        return self.addresses[PLAIN]

    @property
    def log(self) -> str:
        return (self.directory / "server.log").read_text(errors="replace")

    def close(self) -> None:
        """Ends it at once; nothing of it is kept."""
        if self.stop_command:
            subprocess.run(self.stop_command, capture_output=True, timeout=60)
        self.process.kill()
        self.process.wait(STOP_SECONDS_MAX)
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Broker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def start(listeners: Sequence[str] = (PLAIN,), settings: Mapping[str, str] | None = None) -> Broker:
    """A broker of one's own with these listeners (PLAINTEXT is always there) and further server settings.
    Raises Unavailable or Broken."""
    runner = _docker() or _java()
    directory = Path(tempfile.mkdtemp(prefix="selvedge-kafka-"))
    directory.chmod(0o755)
    names = tuple(dict.fromkeys((PLAIN, *listeners)))
    ports = dict(zip((*names, "CONTROLLER"), _free_ports(len(names) + 1), strict=True))
    place = {"listeners": ",".join(f"{name}://{runner.bind}:{port}" for name, port in ports.items())}
    place["log.dirs"] = runner.data(directory)
    (directory / "server.properties").write_text(_properties(ports, place | dict(settings or {})))
    process = runner.run(directory, [ports[name] for name in names])
    broker = Broker(process, directory, {name: f"{HOST}:{ports[name]}" for name in names}, runner.stop(directory))
    try:
        _wait_until_ready(broker)
    except BaseException:
        broker.close()
        raise
    return broker


def tool(name: str) -> list[str] | None:
    """The command line of one of Kafka's own commands (a class), before its arguments; None: it cannot be had."""
    try:
        runner = _java()
    except Unavailable:
        return None
    return [*runner.command, name] if any(_jars().glob("kafka-tools-*.jar")) else None


def shared(session: int) -> str:
    """Bootstrap address of the one broker of the test run whose main process is `session`."""
    directory = Path(tempfile.gettempdir()) / f"selvedge-kafka-{os.getuid()}-{session}"
    directory.mkdir(mode=0o700, exist_ok=True)
    address = directory / "address"
    with locked(directory / "lock"):
        if not address.exists():
            address.write_text(_keeper(session, directory))
        answer = address.read_text()
    if answer.startswith("unavailable: "):
        raise Unavailable(answer.removeprefix("unavailable: "))
    if answer.startswith("broken: "):
        raise Broken(answer.removeprefix("broken: "))
    return answer


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Only one process at a time is inside for one `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _keeper(session: int, directory: Path) -> str:
    """Starts the process that keeps the broker; gives the first thing it says."""
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "tests.kafka.brokers", str(session), str(directory)]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    with process.stdout as output:
        return output.read().decode().strip()


def _keep(session: int, directory: Path) -> None:
    """Says the address, or why there is none, on standard output, closes it, and lives as long as `session`."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        try:
            broker = stack.enter_context(start())
            answer = broker.bootstrap
        except (Unavailable, Broken) as error:
            answer = f"{type(error).__name__.lower()}: {error}"
        print(answer, flush=True)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        while _alive(session):
            time.sleep(0.3)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class _Java:
    """Runs the broker from jars on this machine's Java."""

    bind = HOST

    def __init__(self, java: str, jars: Path) -> None:
        self.command = [java, "-Xmx512m", f"-Djava.io.tmpdir={tempfile.gettempdir()}", "-cp", f"{jars}/*"]

    def data(self, directory: Path) -> str:
        return str(directory / "data")

    def stop(self, directory: Path) -> list[str]:
        return []

    def run(self, directory: Path, ports: Sequence[int]) -> subprocess.Popen[bytes]:
        properties = str(directory / "server.properties")
        logging = directory / "log4j2.yaml"
        logging.write_text(LOGGING)
        command = [*self.command, f"-Dlog4j2.configurationFile={logging}"]
        with (directory / "server.log").open("wb") as log:
            output: dict[str, Any] = {"stdout": log, "stderr": log, "stdin": subprocess.DEVNULL, "cwd": directory}
            identity = uuid.uuid4().hex[:22]
            # A failure shows in the log, and in the broker that then refuses to start.
            subprocess.run([*command, "kafka.tools.StorageTool", "format", "-t", identity, "-c", properties], **output)
            return subprocess.Popen([*command, "kafka.Kafka", properties], **output)


class _Docker:
    """Runs the broker from the official image; only HOST's ports lead into the container."""

    bind = ""

    def __init__(self, docker: str) -> None:
        self.docker = docker

    def data(self, directory: Path) -> str:
        return "/tmp/kraft-combined-logs"

    def stop(self, directory: Path) -> list[str]:
        return [self.docker, "kill", directory.name]

    def run(self, directory: Path, ports: Sequence[int]) -> subprocess.Popen[bytes]:
        published = [part for port in ports for part in ("-p", f"{HOST}:{port}:{port}")]
        options = ["--rm", "--name", directory.name, "-v", f"{directory}:/mnt/shared/config:ro", *published]
        command = [self.docker, "run", *options, f"apache/kafka:{VERSION}"]
        with (directory / "server.log").open("wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def _docker() -> _Docker | None:
    docker = shutil.which("docker")
    if docker is None:
        return None
    try:
        result = subprocess.run([docker, "info"], capture_output=True, timeout=10)
    except subprocess.TimeoutExpired:
        return None
    return _Docker(docker) if result.returncode == 0 else None


def _java() -> _Java:
    java = shutil.which("java")
    if java is None:
        raise Unavailable("no Docker daemon and no Java 17")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30).stderr
    version = said.partition('"')[2].partition(".")[0]
    if not version.isdigit() or int(version) < JAVA_VERSION_MIN:
        raise Unavailable(f"no Docker daemon, and Java {version or 'of unknown version'} where 17 is needed")
    return _Java(java, _jars())


def _jars() -> Path:
    """The directory with Kafka's jars; fetched once, whole or not at all."""
    jars = CACHE / f"kafka-{VERSION}"
    with locked(CACHE / "lock"):
        if not jars.is_dir():
            _fetch(jars)
    return jars


def _fetch(jars: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise Unavailable(f"no Docker daemon, and Java without Maven to fetch Kafka {VERSION}")
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        here = Path(name)
        (here / "pom.xml").write_text(POM)
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={here / 'jars'}"]
        result = subprocess.run(
            [maven, "-q", "-B", *goal], cwd=here, capture_output=True, text=True, timeout=MAVEN_SECONDS_MAX
        )
        if result.returncode:
            said = (result.stdout + result.stderr).strip().splitlines() or ["it said nothing"]
            raise Unavailable(f"Maven could not fetch Kafka {VERSION}: {said[0]}")
        (here / "jars").rename(jars)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind((HOST, 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _properties(ports: Mapping[str, int], settings: Mapping[str, str]) -> str:
    clients = {name: port for name, port in ports.items() if name != "CONTROLLER"}
    properties = SERVER | {
        "controller.quorum.voters": f"1@{HOST}:{ports['CONTROLLER']}",
        "advertised.listeners": ",".join(f"{name}://{HOST}:{port}" for name, port in clients.items()),
        "listener.security.protocol.map": ",".join(f"{name}:{name}" for name in clients) + ",CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": PLAIN,
        **settings,
    }
    escaped = {name: value.replace("\\", "\\\\").replace("\n", "\\n") for name, value in properties.items()}
    return "".join(f"{name}={value}\n" for name, value in escaped.items())


def _wait_until_ready(broker: Broker) -> None:
    """Ready is a broker that answers for the metadata with itself in it."""
    deadline = time.monotonic() + START_SECONDS_MAX
    quiet: dict[str, Any] = {"log_level": 0, "reconnect.backoff.max.ms": 200}
    admin = AdminClient({"bootstrap.servers": broker.bootstrap, **quiet})
    while time.monotonic() < deadline:
        if broker.process.poll() is not None:
            raise Broken(f"the broker ended with status {broker.process.returncode}:\n{broker.log[-2000:]}")
        try:
            if admin.list_topics(timeout=0.5).brokers:
                return
        except KafkaException:
            continue
    raise Broken(f"the broker was not ready after {START_SECONDS_MAX} s:\n{broker.log[-2000:]}")


if __name__ == "__main__":
    _keep(int(sys.argv[1]), Path(sys.argv[2]))
