"""Causes in the queue: what waits, and why it does not leave."""

from collections.abc import Iterator

from bellhouse.domain.levers import Selector
from bellhouse.monitoring.thresholds import Thresholds
from bellhouse.ops.doctor.causes import Cause, plural, share, span
from bellhouse.ops.doctor.facts import Facts, LaneFacts, LeverFacts, PendingFacts

LATE_S = {"critical": 10.0, "high": 30.0, "normal": 120.0, "low": 600.0}
"""How long the oldest of a priority may have waited before somebody should ask why."""
_PROMISED = Thresholds()
_MUCH = 1_000
_HOT = 0.6
_FEW = 20
_OF_A_CAMPAIGN = 28.0
"""For what makes a campaign slower and nothing else: less than the campaign itself, which needs nobody."""
_NEAR = 0.5
"""What goes out at this share of a rate may be held back by it: the rate is shared, and begins with a reserve."""
_WHY = ' --why "it may go on"'
_CHOSEN_BY = Selector.__struct_fields__
"""The words of a pause, which are its options too."""


def paused(facts: Facts) -> Iterator[Cause]:
    """An operator holds something back."""
    pauses = [lever for lever in facts.levers if lever.kind == "pause"]
    if not pauses:
        return
    waiting = sum(_lag(facts, lever) for lever in pauses) + sum(
        one.count for one in facts.waits if one.reason.startswith("waiting:paused")
    )
    evidence = [_lever_words(lever) for lever in pauses]
    if waiting:
        evidence.append(f"{plural(waiting, 'record')} wait where something is paused.")
    everything = any(not any(getattr(lever, word) for word in _CHOSEN_BY) for lever in pauses)
    yield Cause(
        "PausedByOperator",
        88.0 if everything or waiting else 70.0,
        "An operator has paused something.",
        tuple(evidence),
        ("bellhouse levers", *(_resume(lever) for lever in pauses[:2]), "bellhouse audit"),
        tuple(word for lever in pauses for word in (lever.channel, lever.priority, lever.tenant) if word),
    )


def rate_lever(facts: Facts) -> Iterator[Cause]:
    """A rate that an operator set is less than what comes in."""
    for lever in facts.levers:
        if lever.kind != "rate" or lever.rate is None:
            continue
        channels = facts.channels_of(lever.provider)
        waiting = sum(lane.lag for lane in facts.lanes if lane.channel in channels)
        held = sum(one.count for one in facts.waits if one.reason == "waiting:throttled")
        growing = any(lane.channel in channels and _grows(lane) for lane in facts.lanes)
        sent = sum(facts.sent.get(channel, 0.0) for channel in channels)
        if not held and (not waiting or sent < _NEAR * lever.rate * facts.window_s):
            continue  # what goes out would go out without it
        took = f", {span(waiting / lever.rate)} at this rate" if waiting and lever.rate else ""
        only_low = (
            not held
            and not _late(facts)
            and all(lane.priority == "low" for lane in facts.lanes if lane.channel in channels and lane.lag >= _FEW)
        )
        evidence = [_lever_words(lever), f"{plural(waiting, 'record')} wait for {', '.join(channels)}{took}."]
        if held:
            evidence.append(f"{plural(held, 'record')} of the newest were put back by a limit.")
        yield Cause(
            "RateLeverTooLow",
            _OF_A_CAMPAIGN if only_low else 84.0 if growing or held or waiting > 10 * lever.rate else 64.0,
            f"The rate that an operator set for {lever.provider} is too low for what comes in.",
            tuple(evidence),
            ("bellhouse levers", f'bellhouse rate reset {lever.provider} --why "the backlog grows"'),
            (lever.provider, *channels),
        )


def stuck(facts: Facts) -> Iterator[Cause]:
    """Work waits, and nobody takes it up."""
    hung = [one for one in facts.processes if one.alive and one.seen_s is not None and one.seen_s > 10]
    lanes = [lane for lane in facts.lanes if _stands_still(facts, lane)]
    late = [one for one in _late(facts) if one.stage in ("route", "deliver")]
    if not hung and not facts.hung_targets and not (lanes and late):
        return
    evidence = [f"What listens at {target} takes a connection and says nothing." for target in facts.hung_targets]
    evidence += [f"Role {one.role} lives and has shown no figures for {span(one.seen_s or 0)}." for one in hung]
    evidence += [
        f"{plural(lane.lag, 'record')} wait in {lane.topic}, and none was taken within {span(facts.window_s)}."
        for lane in sorted(lanes, key=lambda lane: -lane.lag)[:3]
    ]
    evidence += [_late_words(one) for one in late[:2]]
    worker = _deployment(lanes)
    yield Cause(
        "StuckWorker",
        91.0 if hung or facts.hung_targets else 78.0,
        "A worker is stuck: work waits and nobody takes it up.",
        tuple(evidence),
        (
            "kubectl get pods -l app=notification-worker",
            "kubectl logs -l app=notification-worker --tail=100",
            f"kubectl rollout restart deployment/{worker}",
        ),
        tuple(dict.fromkeys(word for lane in lanes for word in (lane.channel, lane.priority) if word)),
    )


def hot_tenant(facts: Facts) -> Iterator[Cause]:
    """One of several tenants asks for nearly everything."""
    counts: dict[str, int] = {}
    for one in facts.arrivals:
        if one.tenant:
            counts[one.tenant] = counts.get(one.tenant, 0) + one.count
    whole = sum(counts.values())
    if len(counts) < 2 or whole < _FEW:
        return
    name, most = max(counts.items(), key=lambda pair: pair[1])
    quota = sum(one.count for one in facts.waits if one.reason == "waiting:quota" and one.tenant in ("", name))
    refused = facts.rejected.get("rate_limited", 0.0)
    waits = _urgent_lag(facts) >= _FEW or any(one.priority != "low" for one in _late(facts))
    if most / whole < _HOT or not (quota or refused or waits):
        return
    kinds = [one for one in facts.arrivals if one.tenant == name]
    lows = sum(one.count for one in kinds if one.priority == "low")
    if lows > most / 2 and not quota and not refused:
        return  # a campaign
    main = max(kinds, key=lambda one: one.count)
    evidence = [
        f"{name} asked for {share(most / whole)} of the newest {plural(whole, 'notification')}, {main.type} most."
    ]
    if quota:
        evidence.append(f"{plural(quota, 'delivery')} wait for its quota.")
    if refused:
        evidence.append(f"{plural(refused, 'request')} were refused for their rate within {span(facts.window_s)}.")
    evidence += _lag_words(facts)
    yield Cause(
        "HotTenant",
        72 + 8 * min(1.0, quota / 10 + refused / 10) + 4 * (most / whole),
        f"One tenant floods the platform: {name}.",
        tuple(evidence),
        (
            f'bellhouse pause --tenant {name.partition("/")[0]} --priority normal --why "it floods the platform"',
            "bellhouse keys list",
            "bellhouse levers",
        ),
        (name,),
    )


def overload(facts: Facts) -> Iterator[Cause]:
    """Urgent work is taken up, and more of it comes than leaves."""
    late = [one for one in _late(facts) if one.priority != "low" and one.stage in ("route", "deliver")]
    lanes = [
        lane
        for lane in facts.lanes
        if lane.priority != "low" and lane.lag >= 1 and (_taken(facts, lane) >= 1 or _falls(lane))
    ]
    lanes.sort(key=lambda lane: -lane.lag)
    if not lanes or (not late and _urgent_lag(facts) <= _PROMISED.queue_records):
        return
    grown = sum(lane.lag - lane.lag_before for lane in lanes if lane.lag_before is not None)
    way = "more" if grown > 0 else "fewer"
    evidence = [*_lag_words(facts), *(_late_words(one) for one in late[:2])]
    evidence.append(f"They are taken up: within {span(facts.window_s)} they became {abs(grown):,.0f} {way}.")
    worker = _deployment(lanes[:1])
    yield Cause(
        "Overload",
        54.0,
        "More urgent work comes than leaves: too few workers, or a provider's rate.",
        tuple(evidence),
        (
            f"kubectl scale deployment/{worker} --replicas=20",
            "bellhouse provider list",
            'bellhouse pause --priority low --why "urgent work is late"',
        ),
        tuple(dict.fromkeys(word for lane in lanes for word in (lane.channel, lane.priority) if word)),
    )


def campaign(facts: Facts) -> Iterator[Cause]:
    """Marketing waits, as it may; everything else leaves in time."""
    low = sum(lane.lag for lane in facts.lanes if lane.priority == "low")
    late = [one for one in _late(facts) if one.priority == "low"]
    if low < _MUCH and not late:
        return
    others = _urgent_lag(facts)
    evidence = [f"{plural(low, 'record')} of priority low wait, {plural(others, 'record')} of all others."]
    evidence += [_late_words(one) for one in late]
    main = max((one for one in facts.arrivals if one.priority == "low"), key=lambda one: one.count, default=None)
    if main is not None:
        evidence.append(f"The newest are {main.type} of {main.tenant or 'a tenant'}.")
    falling = sum((lane.lag_before or lane.lag) - lane.lag for lane in facts.lanes if lane.priority == "low")
    if falling > 0 and facts.window_s:
        evidence.append(
            f"It falls by {falling / facts.window_s:,.0f} a second: {span(low / (falling / facts.window_s))}."
        )
    yield Cause(
        "CampaignBacklog",
        58.0 if others < max(_FEW, low / 10) else 30.0,
        "A campaign drains: nothing is broken, watch it and let it be.",
        tuple(evidence),
        (
            "bellhouse doctor queue-backlog",
            'bellhouse pause --priority low --why "the campaign must wait"',
            "bellhouse queue skip-expired --dry-run",
        ),
        ("low",),
    )


def backlog(facts: Facts) -> Iterator[Cause]:
    """Steps that refuse work, because too much waits."""
    step = max((one.step for one in facts.processes), default=0)
    said = facts.server.checks.get("accepting", "")
    if not step and (not said or said == "open"):
        return
    evidence = [f"/readyz says of accepting: {said}"] if said and said != "open" else [f"Ingest stands on step {step}."]
    refused = facts.rejected.get("degraded", 0.0) + facts.rejected.get("backlog", 0.0)
    if refused:
        evidence.append(f"{plural(refused, 'notification')} were refused for it within {span(facts.window_s)}.")
    evidence += _lag_words(facts)
    yield Cause(
        "DegradedStep",
        60.0 + step,
        "Ingest takes less than everything, because too much waits or too little disk is left.",
        tuple(evidence),
        (
            "bellhouse doctor queue-backlog",
            "kubectl scale deployment/notification-worker --replicas=20",
            "bellhouse queue skip-expired --dry-run",
        ),
    )


RULES = (paused, rate_lever, stuck, hot_tenant, overload, campaign, backlog)


def _late(facts: Facts) -> list[PendingFacts]:
    """The oldest that waited too long, the longest first."""
    late = [one for one in facts.pending if one.oldest_s > LATE_S.get(one.priority, 600.0)]
    return sorted(late, key=lambda one: -one.oldest_s)


def _late_words(one: PendingFacts) -> str:
    return f"The oldest {one.priority} at {one.stage} has waited {span(one.oldest_s)}."


def _lag(facts: Facts, lever: LeverFacts) -> float:
    return sum(
        lane.lag
        for lane in facts.lanes
        if (not lever.channel or lane.channel == lever.channel)
        and (not lever.priority or lane.priority == lever.priority)
    )


def _urgent_lag(facts: Facts) -> float:
    return sum(lane.lag for lane in facts.lanes if lane.priority != "low")


def _lag_words(facts: Facts) -> list[str]:
    lanes = sorted((lane for lane in facts.lanes if lane.lag >= 1), key=lambda lane: -lane.lag)
    return [f"{plural(lane.lag, 'record')} wait in {lane.topic}." for lane in lanes[:3]]


def _grows(lane: LaneFacts) -> bool:
    return lane.lag_before is not None and lane.lag > lane.lag_before


def _stands_still(facts: Facts, lane: LaneFacts) -> bool:
    """Whether a topic has work, and none of it was taken within the window."""
    if lane.lag < 1 or lane.lag_before is None or lane.lag < lane.lag_before:
        return False
    return _taken(facts, lane) < 1


def _falls(lane: LaneFacts) -> bool:
    return lane.lag_before is not None and lane.lag < lane.lag_before


def _taken(facts: Facts, lane: LaneFacts) -> float:
    """What left within the window on a topic's channel or, of the router's, priority."""
    return facts.sent.get(lane.channel, 0.0) if lane.channel else facts.routed.get(lane.priority, 0.0)


def _deployment(lanes: list[LaneFacts]) -> str:
    channels = {lane.channel for lane in lanes if lane.channel}
    return f"{channels.pop().replace('_', '-')}-worker" if len(channels) == 1 else "notification-worker"


def _lever_words(lever: LeverFacts) -> str:
    who = f" by {lever.by}" if lever.by else ""
    since = f" since {lever.since}" if lever.since else ""
    why = f": {lever.why}" if lever.why else ""
    return f"{lever.words}{since}{who}{why}."


def _resume(lever: LeverFacts) -> str:
    flags = " ".join(f"--{word} {value}" for word in _CHOSEN_BY if (value := getattr(lever, word)))
    return f"bellhouse resume {flags or '--all'}{_WHY}"
