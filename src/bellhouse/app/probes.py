"""Makes the prober from the settings."""

from bellhouse.app.providers import Making, confirming, used
from bellhouse.app.settings import Settings
from bellhouse.domain.recipient import ContactPoint
from bellhouse.domain.words import Channel
from bellhouse.ingest.accept import Acceptor
from bellhouse.ops.probes import Prober, ProberParts
from bellhouse.ports.telemetry import Logbook, Telemetry
from bellhouse.recipients.contacts import contact_id, normalized


def make_prober(making: Making, telemetry: Telemetry, logbook: Logbook) -> Prober:
    """What probes the channels in use that have a recipient. Raises ValueError for an address that cannot be."""
    store, clock = making.store, making.clock
    parts = ProberParts(
        Acceptor(store.ingest, store.catalogue, clock, telemetry, logbook),
        store.catalogue,
        store.recipients,
        store.insights,
        store.signs,
        clock,
        telemetry,
        confirming(making),
    )
    return Prober(parts, _contacts(making.settings), making.settings.probes.within_s)


def _contacts(settings: Settings) -> dict[Channel, ContactPoint | None]:
    served = {channel for channels in used(settings).values() for channel in channels}
    probes = settings.probes
    given: dict[Channel, str | None] = {"push": probes.push, "email": probes.email, "sms": probes.sms}
    contacts: dict[Channel, ContactPoint | None] = {
        channel: _contact(channel, address) for channel, address in given.items() if address and channel in served
    }
    return {**contacts, "in_app": None} if probes.in_app and "in_app" in served else contacts


def _contact(channel: Channel, address: str) -> ContactPoint:
    try:
        spelled = normalized(channel, address)
    except ValueError as error:
        raise ValueError(f"probes.{channel} is no address of that channel: {error}") from None
    return ContactPoint(contact_id(channel, spelled), channel, spelled)
