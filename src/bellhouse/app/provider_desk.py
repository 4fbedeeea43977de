"""What the API knows of providers, and how it tries them: with clients that are made for one trial and closed."""

from collections.abc import Sequence
from typing import Final, get_args

from bellhouse.app.providers import Making, make_provider, used
from bellhouse.app.sections import ProviderName
from bellhouse.ops.providers import Desk, Known
from bellhouse.ports.provider import Sheet, Trial, Tries

_NAMES: Final[tuple[ProviderName, ...]] = get_args(ProviderName)


def provider_desk(making: Making) -> Desk:
    """The providers of the settings. A trial proves the credentials of now: nothing of it is kept for the next."""
    settings = making.settings
    serving = used(settings)

    async def try_out(name: str) -> Sequence[Trial] | None:
        provider = make_provider(making, next(known for known in _NAMES if known == name))
        try:
            return await provider.try_out() if isinstance(provider, Tries) else None
        finally:
            await provider.stop()

    def known(name: ProviderName) -> Known:
        channels = serving.get(name, ())
        first = tuple(channel for channel in channels if settings.providers_of(channel)[0] == name)
        rate = getattr(getattr(settings.providers, name, None), "rate_per_s", None)
        return Known(name, _sheet(making, name) if channels else None, channels, first, rate)

    return Desk([known(name) for name in _NAMES], try_out)


def _sheet(making: Making, name: ProviderName) -> Sheet:
    """Its capability sheet; the client that is made for it opens nothing."""
    return make_provider(making, name).sheet
