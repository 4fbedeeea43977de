"""The route of what the newest rows are alike in: what `bellhouse doctor` asks the store."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Final

import msgspec
from litestar import Controller, get
from litestar.params import QueryParameter

from bellhouse.domain.ids import TenantNo
from bellhouse.ports.clock import Clock
from bellhouse.ports.store.catalogue import CatalogueStore
from bellhouse.ports.store.insights import Alike, Insights
from bellhouse.web.auth import Caller
from bellhouse.web.rest import Given, StrictRequest, caller_of, needs, problems
from bellhouse.web.times import rfc3339

ROWS: Final = 2_000
"""The most rows of each kind that one answer looks at."""
_RECENT_S: Final = 900
_AHEAD_MS: Final = 60_000
"""Receipt may be by a clock that is ahead of ours."""

Reads = Given[Insights]
Time = Given[Clock]
Tenants = Given[CatalogueStore]


class AlikeView(msgspec.Struct, frozen=True):
    """Rows that have the same words, counted. A word that does not tell them apart is empty."""

    count: int
    first_at: str
    last_at: str
    tenant: str
    """`tenant/environment`."""
    type: str
    priority: str
    channel: str
    provider: str
    verdict: str
    reason: str
    code: str
    """The provider's own code."""
    template: str
    template_version: int
    worst_ms: float
    """The longest call among them."""


class DiagnosisAnswer(msgspec.Struct, frozen=True):
    """What the newest rows are alike in, the largest group of each list first."""

    at: str
    since: str
    attempts: list[AlikeView]
    """Calls of providers, of all tenants: provider, verdict, code."""
    failures: list[AlikeView]
    """A sample of the deliveries that ended badly: type, provider, reason, code, template and its version."""
    waits: list[AlikeView]
    """A sample of the deliveries that were put back, and why."""
    arrivals: list[AlikeView]
    """Notifications: tenant, type, priority."""
    letters: list[AlikeView]
    """Open dead letters: type, channel, provider, reason, code, template and its version."""
    undecidable: int
    """Notifications that broke their own decision."""


class DiagnosisController(Controller):
    """What tells an operator where to look."""

    path = "/v1/diagnosis"
    tags = ("Operations",)

    @get(
        guards=[needs("operate")],
        summary="What the newest rows are alike in",
        operation_id="getDiagnosis",
        responses=problems("validation_failed"),
    )
    async def show(
        self,
        request: StrictRequest,
        insights: Reads,
        catalogue: Tenants,
        clock: Time,
        within_s: Annotated[
            int, QueryParameter(ge=1, le=86_400, description="How far back, in seconds of receipt.")
        ] = _RECENT_S,
    ) -> DiagnosisAnswer:
        """The newest calls, bad ends, waits, arrivals and open dead letters in groups: at most 2,000 rows of each are
        looked at. Of the caller's tenant, or of all for an `admin`; calls of providers are everybody's."""
        now = clock.now()
        since = now - within_s * 1000
        recent = await insights.recent(since, now + _AHEAD_MS, ROWS)
        caller, names = caller_of(request), await catalogue.tenants()

        def views(groups: Iterable[Alike]) -> list[AlikeView]:
            return [_view(group, names) for group in groups if _may_see(caller, group.tenant)]

        return DiagnosisAnswer(
            rfc3339(now),
            rfc3339(since),
            [_view(group, names) for group in recent.attempts],
            views(recent.failures),
            views(recent.waits),
            views(recent.arrivals),
            views(recent.letters),
            recent.undecidable,
        )


def _may_see(caller: Caller, tenant: TenantNo) -> bool:
    return caller.everywhere or caller.tenant == tenant


def _view(group: Alike, names: Mapping[TenantNo, tuple[str, str]]) -> AlikeView:
    named = names.get(group.tenant)
    return AlikeView(
        group.count,
        rfc3339(group.first_at),
        rfc3339(group.last_at),
        "/".join(named) if named else "",
        group.type,
        group.priority,
        group.channel,
        group.provider,
        group.verdict,
        group.reason,
        group.code,
        group.template,
        group.template_version,
        group.worst_ms,
    )
