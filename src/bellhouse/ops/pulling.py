"""The routes of the levers that are pulled and let go: brakes, the preferred provider, the rate."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final, Literal

import msgspec
from litestar import Controller, get, post
from litestar.params import JSONBody

from bellhouse.domain.levers import ActWord, Lever, LeverKind, Levers, Selector
from bellhouse.domain.words import Channel, Priority
from bellhouse.policy.pauses import covered
from bellhouse.ports.clock import Clock
from bellhouse.ports.levers import LeverStore
from bellhouse.ports.store.catalogue import CatalogueStore
from bellhouse.web.acts import DryRun, Why, act_of, warnings_of
from bellhouse.web.auth import Caller
from bellhouse.web.problems import FieldError, Problem, invalid
from bellhouse.web.rest import OF_BODY, Given, StrictRequest, caller_of, needs, problems
from bellhouse.web.times import rfc3339, rfc3339_or_none
from bellhouse.web.words import Name

_TRIES: Final = 5
"""How often a change is tried again when somebody pulled the lever at the same moment."""
_LONGEST_S: Final = 90 * 86_400
_MOST: Final = 1_000_000.0

ForS = (
    Annotated[int, msgspec.Meta(ge=1, le=_LONGEST_S, description="After so many seconds it goes back by itself.")]
    | None
)
LeverRows = Given[LeverStore]
Catalogue = Given[CatalogueStore]
Time = Given[Clock]
ProviderChannels = Given[Mapping[str, tuple[Channel, ...]]]


class _Chosen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The words that choose deliveries, and how the act is done."""

    channel: Channel | None = None
    priority: Priority | None = None
    tenant: Name | None = None
    """The tenant's name; each of its environments is meant."""
    type: Name | None = None
    template: Name | None = None
    campaign: Name | None = None
    """The campaign's name; without a tenant it is meant in each of them."""
    all: bool = False
    """The whole platform, where no other word is given."""
    why: Why = ""
    dry_run: DryRun = False

    @property
    def selector(self) -> Selector:
        """The deliveries that are chosen. Raises Problem where that is nothing, or everything and something."""
        chosen = Selector(self.channel, self.priority, self.tenant, self.type, self.template, self.campaign)
        if (chosen == Selector()) != self.all:
            message = "either `all` or words that choose must be there" if self.all else "say what, or `all: true`"
            raise invalid(FieldError("all", "mismatch", message))
        return chosen


class PauseRequest(_Chosen, frozen=True, forbid_unknown_fields=True):
    """What to pause: all deliveries that agree with every word that is given, or `all`."""

    for_s: ForS = None


class ResumeRequest(_Chosen, frozen=True, forbid_unknown_fields=True):
    """Which pause to end: the same words with which it was begun."""


class PreferRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which provider comes first; without one the configured order comes back."""

    provider: Name | None = None
    channel: Channel | None = None
    """Each channel of the provider where none is given."""
    why: Why = ""
    for_s: ForS = None
    dry_run: DryRun = False


class RateRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much may go out through a provider; without a rate the configured one comes back."""

    provider: Name
    rate: (
        Annotated[float, msgspec.Meta(gt=0, le=_MOST, description="Messages a second for the whole deployment.")] | None
    ) = None
    why: Why = ""
    for_s: ForS = None
    dry_run: DryRun = False


class LeverView(msgspec.Struct, frozen=True):
    """A lever that is pulled."""

    kind: LeverKind
    scope: str
    """What it is about: the words of a pause, a channel, or a provider."""
    value: str
    """The provider that comes first, or the rate; empty for a pause."""
    by: str
    at: str
    why: str
    until: str | None
    """When it goes back by itself."""


class LeversAnswer(msgspec.Struct, frozen=True):
    """Every lever that is pulled."""

    levers: list[LeverView]


class LeverChange(msgspec.Struct, frozen=True):
    """What an act makes of one lever."""

    kind: LeverKind
    scope: str
    before: str | None
    """None where it was not pulled."""
    after: str | None
    changed: bool


class LeverActAnswer(msgspec.Struct, frozen=True):
    """What an act changed, or would have."""

    outcome: Literal["changed", "unchanged"]
    dry_run: bool
    changes: list[LeverChange]
    warnings: list[str]


class _Wish(msgspec.Struct, frozen=True):
    """A lever as it shall be; None: let go."""

    kind: LeverKind
    scope: str
    lever: Lever | None


class LeversController(Controller):
    """Levers."""

    path = "/v1/levers"
    tags = ("Operations",)

    @get(guards=[needs("operate")], summary="What is pulled now", operation_id="listLevers", responses=problems())
    async def all(self, lever_store: LeverRows, clock: Time) -> LeversAnswer:
        """Every lever that is pulled, with who pulled it, when and why."""
        levers = await lever_store.levers()
        return LeversAnswer([lever_view(lever) for lever in levers.rows if lever.holds(clock.now())])

    @post(
        "/pause",
        status_code=200,
        guards=[needs("operate")],
        summary="Pause",
        operation_id="pause",
        responses=problems("changed_meanwhile", *OF_BODY),
    )
    async def pause(
        self,
        data: JSONBody[PauseRequest],
        request: StrictRequest,
        lever_store: LeverRows,
        catalogue: Catalogue,
        clock: Time,
    ) -> LeverActAnswer:
        """Nothing of what is chosen is sent until it is resumed. It is accepted as before, and waits within its
        lifetime; what is in a provider's hands already goes on."""
        chosen = data.selector
        await _insist_on_known(chosen, catalogue)
        pulling = _Pulling(lever_store, caller_of(request), clock, data.why, data.dry_run)
        lever = pulling.lever("pause", chosen.text, "", chosen, data.for_s)
        answer = await pulling.act("pause", [_Wish("pause", chosen.text, lever)])
        return _warned(answer, [*await _urgent(chosen, catalogue), *_unlisted(chosen)])

    @post(
        "/resume",
        status_code=200,
        guards=[needs("operate")],
        summary="Resume",
        operation_id="resume",
        responses=problems("changed_meanwhile", *OF_BODY),
    )
    async def resume(
        self, data: JSONBody[ResumeRequest], request: StrictRequest, lever_store: LeverRows, clock: Time
    ) -> LeverActAnswer:
        """End the pause with these words. What waited goes out at the configured rates, in a ramp."""
        chosen = data.selector
        pulling = _Pulling(lever_store, caller_of(request), clock, data.why, data.dry_run)
        answer = await pulling.act("resume", [_Wish("pause", chosen.text, None)])
        return _warned(answer, _still_paused(chosen, await lever_store.levers(), clock.now()))

    @post(
        "/prefer",
        status_code=200,
        guards=[needs("operate")],
        summary="Prefer a provider",
        operation_id="preferProvider",
        responses=problems("changed_meanwhile", *OF_BODY),
    )
    async def prefer(
        self,
        data: JSONBody[PreferRequest],
        request: StrictRequest,
        lever_store: LeverRows,
        provider_channels: ProviderChannels,
        clock: Time,
    ) -> LeverActAnswer:
        """Put a provider first on its channels, among those that can reach the contact point; `PRIMARY_PROVIDER` says
        nothing there meanwhile. The others stay what is failed over to."""
        channels = _preferable(data, provider_channels)
        pulling = _Pulling(lever_store, caller_of(request), clock, data.why, data.dry_run)
        if data.provider is None:
            return await pulling.act("prefer_reset", [_Wish("prefer", channel, None) for channel in channels])
        wishes = [
            _Wish("prefer", c, pulling.lever("prefer", c, data.provider, Selector(c), data.for_s)) for c in channels
        ]
        return await pulling.act("prefer", wishes)

    @post(
        "/rate",
        status_code=200,
        guards=[needs("operate")],
        summary="Set a provider's rate",
        operation_id="setRate",
        responses=problems("changed_meanwhile", *OF_BODY),
    )
    async def rate(
        self,
        data: JSONBody[RateRequest],
        request: StrictRequest,
        lever_store: LeverRows,
        provider_channels: ProviderChannels,
        clock: Time,
    ) -> LeverActAnswer:
        """Send through a provider at so many messages a second, all processes together; neither its configured rate nor
        `SEND_RATE_LIMIT` holds for it meanwhile."""
        _insist_on_provider(data.provider, provider_channels)
        pulling = _Pulling(lever_store, caller_of(request), clock, data.why, data.dry_run)
        if data.rate is None:
            return await pulling.act("rate_reset", [_Wish("rate", data.provider, None)])
        lever = pulling.lever("rate", data.provider, f"{data.rate:g}", Selector(), data.for_s)
        return await pulling.act("rate_set", [_Wish("rate", data.provider, lever)])


class _Pulling:
    """One act of one operator."""

    def __init__(self, store: LeverStore, caller: Caller, clock: Clock, why: str, dry_run: bool) -> None:
        self._store = store
        self._caller = caller
        self._now = clock.now()
        self._why = why
        self._dry_run = dry_run

    def lever(self, kind: LeverKind, scope: str, value: str, selector: Selector, for_s: int | None) -> Lever:
        """A lever as this operator pulls it now."""
        until = 0 if for_s is None else self._now + for_s * 1000
        return Lever(kind, scope, value, selector, self._caller.name, self._now, self._why, until)

    async def act(self, word: ActWord, wishes: Sequence[_Wish]) -> LeverActAnswer:
        """Bring each lever to where it shall be; one that is there already is left alone."""
        changes = [await self._change(word, wish) for wish in wishes]
        outcome: Literal["changed", "unchanged"] = "changed" if any(c.changed for c in changes) else "unchanged"
        return LeverActAnswer(outcome, self._dry_run, changes, warnings_of(self._why))

    async def _change(self, word: ActWord, wish: _Wish) -> LeverChange:
        for _ in range(_TRIES):
            stored = (await self._store.levers()).find(wish.kind, wish.scope)
            # One that has gone back by itself is not pulled, whatever is stored.
            before = stored if stored is not None and stored.holds(self._now) else None
            done = before is None if wish.lever is None else wish.lever.same_as(before)
            words = _words(before), _words(wish.lever)
            change = LeverChange(wish.kind, wish.scope, *words, changed=not done)
            if done or self._dry_run:
                return change
            act = act_of(self._caller, word, wish.scope, self._now, self._why, words[0] or "", words[1] or "")
            if await self._store.change_lever(wish.kind, wish.scope, stored, wish.lever, act):
                return change
        raise Problem("changed_meanwhile")


def lever_view(lever: Lever) -> LeverView:
    """A lever as it is shown."""
    until = rfc3339_or_none(lever.until)
    return LeverView(lever.kind, lever.scope, lever.value, lever.by, rfc3339(lever.at), lever.why, until)


def _words(lever: Lever | None) -> str | None:
    if lever is None:
        return None
    until = f" until {rfc3339(lever.until)}" if lever.until else ""
    return f"{lever.value or 'paused'}{until}"


def _warned(answer: LeverActAnswer, warnings: Iterable[str]) -> LeverActAnswer:
    return msgspec.structs.replace(answer, warnings=[*warnings, *answer.warnings])


async def _insist_on_known(chosen: Selector, catalogue: CatalogueStore) -> None:
    """Refuse names that nobody has: a misspelt brake holds nothing."""
    tenants = await catalogue.tenants()
    if chosen.tenant is not None and chosen.tenant not in {name for name, _ in tenants.values()}:
        raise invalid(FieldError("tenant", "not_allowed", f"there is no tenant {chosen.tenant!r}"))
    mine = [no for no, (name, _) in tenants.items() if chosen.tenant in (None, name)]
    if chosen.type is not None and not [no for no in mine if await catalogue.type(no, chosen.type)]:
        raise invalid(FieldError("type", "unknown_type", f"there is no type {chosen.type!r}"))
    if chosen.template is not None and not [no for no in mine if await catalogue.template(no, chosen.template)]:
        raise invalid(FieldError("template", "unknown_template", f"there is no template {chosen.template!r}"))


async def _urgent(chosen: Selector, catalogue: CatalogueStore) -> list[str]:
    """What to say where what is paused is waited for at this moment."""
    if chosen.type is not None:
        tenants = await catalogue.tenants()
        kinds = [
            await catalogue.type(no, chosen.type) for no, (name, _) in tenants.items() if chosen.tenant in (None, name)
        ]
        secure = any(kind is not None and kind.category == "security" for kind in kinds)
        return ["This is a type of the category security: people wait for it now."] if secure else []
    if chosen.template is None and chosen.campaign is None and chosen.priority in (None, "critical"):
        return ["This pauses critical as well: codes and warnings that people wait for now."]
    return []


def _unlisted(chosen: Selector) -> list[str]:
    """What to say where nothing knows whether a name is right."""
    if chosen.campaign is None:
        return []
    return [f"No list of campaigns is kept, so a misspelt one holds nothing: this is {chosen.campaign!r}."]


def _still_paused(chosen: Selector, levers: Levers, now: int) -> list[str]:
    """The wider pauses that go on holding what was resumed, and the narrower ones within it."""
    pulled = {lever.scope: lever for lever in levers.rows if lever.kind == "pause" and lever.holds(now)}
    pulled.pop(chosen.text, None)
    wider = covered(chosen, [lever.selector for lever in pulled.values()])
    narrower = [lever.selector for lever in pulled.values() if covered(lever.selector, [chosen])]
    return [
        *(f"Still held by the wider pause of {each.text}." for each in wider),
        *(f"The pause of {each.text} goes on." for each in narrower),
    ]


def _insist_on_provider(provider: str, known: Mapping[str, tuple[Channel, ...]]) -> tuple[Channel, ...]:
    if provider not in known:
        names = ", ".join(sorted(known))
        raise invalid(FieldError("provider", "not_allowed", f"no such provider is configured; these are: {names}"))
    return known[provider]


def _preferable(data: PreferRequest, known: Mapping[str, tuple[Channel, ...]]) -> tuple[Channel, ...]:
    """The channels whose order is to change."""
    if data.provider is None:
        if data.channel is None:
            raise invalid(FieldError("channel", "required", "say on which channel the configured order comes back"))
        return (data.channel,)
    served = _insist_on_provider(data.provider, known)
    if data.channel is None:
        return served
    if data.channel not in served:
        raise invalid(FieldError("channel", "not_allowed", f"{data.provider} serves {', '.join(served)}"))
    return (data.channel,)
