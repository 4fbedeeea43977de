"""A cluster house under traffic, on engines that a test may take away."""

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from bellhouse.engines.kafka import Kafka
from bellhouse.engines.postgres import Postgres
from bellhouse.engines.valkey import Valkey
from tests.acceptance.cluster import ROLES, ClusterHouse, Engines
from tests.acceptance.matrix import SETTINGS, Matrix, slow_world, trafficked

_NUMBERS = itertools.count(1)


class Ground(NamedTuple):
    """Engines of tests' own, which may be stopped, paused and killed."""

    postgres: Postgres
    kafka: Kafka
    valkey: Valkey

    def afresh(self) -> tuple[Engines, str]:
        """A database of its own on them, and the prefix of its topics."""
        name = f"house_{next(_NUMBERS)}"
        return Engines(self.postgres.create_database(name), self.kafka.brokers, self.valkey.url), f"{name}."


class ClusterMatrix(Matrix):
    """A cluster house under traffic."""

    house: ClusterHouse


M = TypeVar("M", bound=ClusterMatrix)


@contextmanager
def under_traffic(
    kind: type[M],
    engines: Engines,
    prefix: str,
    folder: Path,
    seed: int,
    *,
    roles: Mapping[str, tuple[str, ...]] = ROLES,
    named: bool = False,
    given: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> Iterator[M]:
    """A house on these engines, callers who do not stop, and a world that takes its time.

    `given`: what the environment of some processes has besides, by the process's name.
    """
    with slow_world(folder / "world", seed) as world:
        house = ClusterHouse(folder / "data", world, engines, prefix, SETTINGS, roles, named)
        for name, variables in given.items():
            house.kept[name].given.update(variables)
        with trafficked(house, seed) as traffic:
            yield kind(house, world, traffic, seed)
