"""The client that asks a cluster about itself."""

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from bellhouse.adapters.log.kafka.config import KafkaConfig, connection
from bellhouse.adapters.log.kafka.notes import Notes


def open_admin(config: KafkaConfig, notes: Notes) -> AdminClient:
    """A client; it connects when it is first asked. Raises LogUnavailable where `config` cannot be used."""
    try:
        return AdminClient(connection(config), error_cb=notes.error, logger=notes)
    except KafkaException as error:
        raise notes.unavailable(error) from error


@contextmanager
def asking(admin: AdminClient, notes: Notes) -> Iterator[None]:
    """What fails in here is raised as LogUnavailable."""
    try:
        yield
    except KafkaException as error:
        admin.poll(0)  # has it tell what it knows about the reasons
        raise notes.unavailable(error) from error
