"""Runs Apache Kafka as a single KRaft node, with the listener that a client is to be tried on."""

import base64
import socket
import struct
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from bellhouse.engines.certificate import Certificate
from bellhouse.engines.java import java
from bellhouse.engines.kafka_jars import jars
from bellhouse.engines.ports import HOST, free_port
from bellhouse.engines.process import Engine, run_program

_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_LIGHT = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.level=WARN")
_METADATA, _METADATA_VERSION, _CORRELATION = 3, 1, 7
_ANSWER_S = 1.0
# What a single small node needs, and limits low enough for tests of lost members.
_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "INSIDE",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "4",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",
    "group.consumer.min.session.timeout.ms": "500",
    "group.consumer.min.heartbeat.interval.ms": "100",
    "auto.create.topics.enable": "false",
    # A killed node may come back only when its last session has run out.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
}


class Kafka(Engine):
    """One Kafka node on a loopback port.

    With `users` (name to password, of letters, digits and dashes) clients sign in by SASL, PLAIN or SCRAM as they like;
    with a `certificate` they speak TLS. `settings` are the broker's own properties and win over the ones chosen here.
    """

    name = "kafka"

    def __init__(
        self,
        folder: Path | None = None,
        port: int | None = None,
        *,
        settings: Mapping[str, str] | None = None,
        users: Mapping[str, str] | None = None,
        certificate: Certificate | None = None,
    ) -> None:
        super().__init__(folder, port)
        self._inside_port = free_port()
        self._controller_port = free_port()
        self._settings = dict(settings or {})
        self._users = dict(users or {})
        self._certificate = certificate

    @property
    def brokers(self) -> str:
        """`host:port` of the listener for clients."""
        return f"{HOST}:{self.port}"

    @property
    def inside_brokers(self) -> str:
        """`host:port` of a listener without sign-in and TLS, for the node's own tools."""
        return f"{HOST}:{self._inside_port}"

    @property
    def security(self) -> str:
        """The listener's security protocol: plaintext, ssl, sasl_plaintext or sasl_ssl."""
        kind = "plaintext" if self._certificate is None else "ssl"
        return f"sasl_{kind}" if self._users else kind

    def tool(self, main_class: str, *arguments: str) -> str:
        """Run one of Kafka's command line tools on this node and return what it printed; raises ProgramFailed."""
        return run_program(
            [*_java("-Dlog4j2.level=ERROR"), main_class, "--bootstrap-server", self.inside_brokers, *arguments]
        )

    def consumer_groups(self, *arguments: str) -> str:
        """`kafka-consumer-groups.sh` with these arguments; raises ProgramFailed."""
        return self.tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", *arguments)

    def _prepare(self) -> None:
        self._properties.touch(mode=0o600)  # it may name passwords
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in self._configuration().items()))
        if not (self.folder / "data" / "meta.properties").exists():
            identity = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            # With `=`, as an identity may begin with a dash.
            run_program([*_java(), "kafka.tools.StorageTool", "format", f"--cluster-id={identity}",
                         "-c", self._properties, *self._scram_users()])  # fmt: skip
            self._scram.unlink(missing_ok=True)

    def _configuration(self) -> Mapping[str, str]:
        client = f"CLIENTS://{self.brokers},INSIDE://{self.inside_brokers}"
        return {
            **_SETTINGS,
            "controller.quorum.voters": f"1@{HOST}:{self._controller_port}",
            "listeners": f"{client},CONTROLLER://{HOST}:{self._controller_port}",
            "advertised.listeners": client,
            "listener.security.protocol.map": f"CLIENTS:{self.security.upper()},INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.folder / "data"),
            **self._sign_in(),
            **self._tls(),
            **self._settings,
        }

    def _sign_in(self) -> Mapping[str, str]:
        if not self._users:
            return {}
        passwords = " ".join(f'user_{name}="{password}"' for name, password in self._users.items())
        module = "org.apache.kafka.common.security"
        scram = f"{module}.scram.ScramLoginModule required;"
        own = "listener.name.clients."
        return {
            f"{own}sasl.enabled.mechanisms": ",".join(_MECHANISMS),
            f"{own}plain.sasl.jaas.config": f"{module}.plain.PlainLoginModule required {passwords};",
            f"{own}scram-sha-256.sasl.jaas.config": scram,
            f"{own}scram-sha-512.sasl.jaas.config": scram,
        }

    def _scram_users(self) -> Sequence[str]:
        if not self._users:
            return []
        words = [
            word
            for name, password in self._users.items()
            for mechanism in _MECHANISMS[1:]
            for word in ("--add-scram", f"{mechanism}=[name={name},password={password}]")
        ]
        # In a file rather than on the command line, where everybody may read a password.
        self._scram.touch(mode=0o600)
        self._scram.write_text("\n".join(words) + "\n")
        return [f"@{self._scram}"]

    def _tls(self) -> Mapping[str, str]:
        if self._certificate is None:
            return {}
        store = self.folder / "keystore.pem"
        store.touch(mode=0o600)
        store.write_text(self._certificate.key.read_text() + self._certificate.certificate.read_text())
        own = "listener.name.clients.ssl.keystore."
        return {f"{own}type": "PEM", f"{own}location": str(store)}

    def _command(self) -> Sequence[str | Path]:
        return [*_java(*_LIGHT), "kafka.Kafka", self._properties]

    def _ready(self) -> bool:
        return _knows_itself(self._inside_port)

    @property
    def _scram(self) -> Path:
        return self.folder / "scram"

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"


def _java(*options: str) -> Sequence[str | Path]:
    return [java(), *options, "-cp", f"{jars()}/*"]


def _knows_itself(port: int) -> bool:
    """Whether the node answers a Metadata request with itself as a broker; before that clients only wait and retry."""
    request = struct.pack(">hhih", _METADATA, _METADATA_VERSION, _CORRELATION, -1) + struct.pack(">i", 0)
    try:
        with socket.create_connection((HOST, port), _ANSWER_S) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = connection.makefile("rb").read(4 + 4 + 4)
    except OSError:
        return False
    return len(answer) == 4 + 4 + 4 and struct.unpack(">iii", answer)[2] > 0
