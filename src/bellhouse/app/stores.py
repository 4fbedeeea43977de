"""What the composition root asks of a store, whichever engine it stands on."""

from typing import Protocol

from bellhouse.ports.levers import AuditStore, ExpiryStore, HeldStore, LeverStore
from bellhouse.ports.store.catalogue import CatalogueStore
from bellhouse.ports.store.confirm import ConfirmStore
from bellhouse.ports.store.dead_letters import DeadLetterStore
from bellhouse.ports.store.deliver import DeliverStore
from bellhouse.ports.store.ingest import IngestStore
from bellhouse.ports.store.insights import Insights
from bellhouse.ports.store.providers import BreakerStore, SignStore
from bellhouse.ports.store.recipients import RecipientStore
from bellhouse.ports.store.route import RouteStore
from bellhouse.ports.store.waiting import DueStore


class Catalogue(CatalogueStore, BreakerStore, Protocol):
    """What tenants define, and the breakers."""


class OperatorStore(LeverStore, AuditStore, HeldStore, Protocol):
    """Levers, acts, and what waits under brakes."""


class Store(Protocol):
    """A store as one: a part for each port."""

    @property
    def ingest(self) -> IngestStore: ...
    @property
    def route(self) -> RouteStore: ...
    @property
    def deliver(self) -> DeliverStore: ...
    @property
    def due(self) -> DueStore: ...
    @property
    def confirm(self) -> ConfirmStore: ...
    @property
    def recipients(self) -> RecipientStore: ...
    @property
    def catalogue(self) -> Catalogue: ...
    @property
    def dead_letters(self) -> DeadLetterStore: ...
    @property
    def expiry(self) -> ExpiryStore: ...
    @property
    def levers(self) -> OperatorStore: ...
    @property
    def insights(self) -> Insights: ...
    @property
    def signs(self) -> SignStore: ...
