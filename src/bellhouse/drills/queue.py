"""Drills of what waits."""

from typing import Final

from bellhouse.drills.scenario import Scenario
from bellhouse.drills.stage import Stage

FAMILY: Final = "queue"

_CAMPAIGN: Final = 3_000
_MILLION: Final = 1_000_000
_HOUR_S: Final = 60.0
_COMES: Final = 5_000
_LEAVES: Final = 3_000
"""Of a campaign, a second: what two cores have power left for. A page would be right where they have none."""
_DRAINS_S: Final = 1_200.0
_FLOOD: Final = 6_000
_WIDE: Final = 3_000
_HOT: Final = "hot"


async def _campaign(stage: Stage) -> None:
    await stage.load.flood("promo", "push", _CAMPAIGN)


async def _large_campaign(stage: Stage) -> None:
    await stage.act("/v1/levers/rate", provider="fcm", rate=_LEAVES)
    stage.begin(stage.load.flood("promo", "push", _MILLION, per_second=_COMES))


async def _nothing(stage: Stage) -> None:
    """It drains by itself."""
    await stage.drained()


async def _an_hour(stage: Stage) -> None:
    await stage.clock.sleep(_HOUR_S)
    await stage.through()
    await stage.drained(_DRAINS_S)
    await stage.act("/v1/levers/rate", provider="fcm")


async def _second_tenant(stage: Stage) -> None:
    await stage.tenant(_HOT)


async def _hot_tenant(stage: Stage) -> None:
    await stage.load.flood("news", "push", _FLOOD, await stage.tenant(_HOT))


async def _cooled(stage: Stage) -> None:
    await stage.act("/v1/levers/pause", tenant=_HOT, priority="normal")
    await stage.drained()
    await stage.act("/v1/levers/rate", provider="fcm", rate=_WIDE)
    await stage.act("/v1/levers/resume", tenant=_HOT, priority="normal")
    await stage.drained()
    await stage.act("/v1/levers/rate", provider="fcm")


SCENARIOS: Final = (
    Scenario(
        "campaign-backlog",
        FAMILY,
        "A campaign of low asks for far more than push may send at once.",
        "QueueBacklogCampaign",
        "info",
        "CampaignBacklog",
        "none: it is watched, and drains",
        _campaign,
        _nothing,
        quiet=True,
    ),
    Scenario(
        "healthy-hour",
        FAMILY,
        "Nothing: a campaign of 1,000,000 low drains beside everything else, for hours at this scale.",
        "QueueBacklogCampaign",
        "info",
        "CampaignBacklog",
        "none: nobody is woken for what is expected",
        _large_campaign,
        _an_hour,
        quiet=True,
    ),
    Scenario(
        "hot-tenant",
        FAMILY,
        "One tenant asks for many times what all others do, in normal.",
        "QueueBacklogCritical",
        "critical",
        "HotTenant",
        "bellhouse pause --tenant hot --priority normal; once push may send more (rate set fcm), resume",
        _hot_tenant,
        _cooled,
        prepare=_second_tenant,
    ),
)
