"""Causes outside the house: a provider that is down, slow, silent, sparing, or that has closed our account."""

from collections.abc import Iterator

from bellhouse.ops.doctor.causes import Cause, plural, share, span, tally
from bellhouse.ops.doctor.facts import BreakerFacts, Facts, ProviderFacts

BALANCE_CODES = ("quota", "balance", "credit", "funds", "200 9", "30002", "402")
"""What account faults for want of money look like in a provider's own codes and words."""
FAILED = ("retry", "unknown")
_SLOW_S = 2.0
_SILENT_S = 10.0
_FEW = 3


def all_down(facts: Facts) -> Iterator[Cause]:
    """Every breaker of a channel is away from closed, and not because somebody wants it so."""
    for channel in sorted({one.channel for one in facts.breakers}):
        breakers = [one for one in facts.breakers if one.channel == channel]
        if any(one.state == "closed" for one in breakers) or all(one.forced == "open" for one in breakers):
            continue
        names = tuple(one.provider for one in breakers)
        evidence = [_breaker_words(one) for one in breakers]
        evidence += [words for one in breakers if (words := _answers(facts.provider(one.provider)))]
        parked = sum(one.count for one in facts.waits if one.reason == "waiting:outage")
        if parked:
            evidence.append(f"{plural(parked, 'delivery')} of the newest wait unspent.")
        yield Cause(
            "AllProvidersDown",
            86,
            f"No provider is left on {channel}: {', '.join(names)}.",
            tuple(evidence),
            (
                *(f"bellhouse provider test {name}" for name in names),
                f"bellhouse breaker reset {names[0]}",
                f'bellhouse pause --channel {channel} --priority low --why "every provider is down"',
            ),
            (channel, *names),
        )


def outage(facts: Facts) -> Iterator[Cause]:
    """A breaker opened by itself, or nearly all calls fail through the provider's fault."""
    for provider in _of_interest(facts):
        open_ones = [one for one in _breakers(facts, provider.name) if one.state != "closed" and _fails(one)]
        bad = provider.share(*FAILED)
        failing = bad >= 0.3 and provider.calls >= _FEW and not _slow(provider)
        if not open_ones and not failing:
            continue
        evidence = [_breaker_words(one) for one in open_ones]
        if words := _answers(provider):
            evidence.append(words)
        if provider.tested and provider.tested != "accepted":
            evidence.append(f"A test call ended {provider.tested}: {provider.tested_words}.")
        if provider.status_page:
            evidence.append(f"Its status page: {provider.status_page}")
        other = _stand_in(facts, provider.name)
        if other is not None:
            evidence.append(f"{other.provider} is closed on {other.channel} and can carry it.")
        commands = [f"bellhouse provider test {provider.name}"]
        if other is not None:
            why = f"{provider.name} is down"
            commands.append(f'bellhouse provider prefer {other.provider} --channel {other.channel} --why "{why}"')
        commands.append(f"bellhouse breaker reset {provider.name}")
        score = 82.0 if open_ones else 50 + 30 * bad
        channels = tuple(one.channel for one in open_ones) or tuple(facts.channels_of(provider.name))
        yield Cause(
            "ProviderOutage",
            score,
            f"{provider.name} fails through its own fault.",
            tuple(evidence),
            tuple(commands),
            (provider.name, *channels),
        )


def account(facts: Facts) -> Iterator[Cause]:
    """A provider refuses our account: for want of money, or its credentials and registration."""
    for provider in _of_interest(facts):
        refused = provider.verdicts.get("account_fault", 0.0)
        letters = sum(
            one.count
            for one in facts.letters
            if one.provider == provider.name and one.reason == "dead_lettered:account_fault"
        )
        tested = provider.tested == "account_fault"
        broke = provider.balance is not None and provider.balance <= 0
        if not refused and not letters and not tested and not broke:
            continue
        words = " ".join((*provider.codes, provider.tested_words, *_fault_codes(facts, provider.name))).lower()
        evidence = []
        if refused:
            part = share(provider.share("account_fault"))
            evidence.append(f"{part} of its {plural(provider.calls, 'call')} were refused as ours: {_codes(provider)}.")
        if letters:
            evidence.append(f"{plural(letters, 'dead letter')} for this reason are open.")
        if tested:
            evidence.append(f"A test call was refused: {provider.tested_words}.")
        if provider.balance is not None:
            evidence.append(f"Its balance is {provider.balance:g}.")
        money = broke or any(code in words for code in BALANCE_CODES)
        strength = 2 * min(1.0, provider.share("account_fault") + 0.5 * tested + 0.3 * bool(letters) + 0.5 * broke)
        yield _account_cause(facts, provider, money, 87 + strength, tuple(evidence))


def _account_cause(
    facts: Facts, provider: ProviderFacts, money: bool, score: float, evidence: tuple[str, ...]
) -> Cause:
    name, subjects = provider.name, (provider.name, *facts.channels_of(provider.name))
    again = f"bellhouse dlq replay --provider {name} --reason dead_lettered:account_fault --rate 50"
    if money:
        commands = ("bellhouse provider list", f"bellhouse provider test {name}", again)
        return Cause(
            "BalanceZero", score + 1, f"The account at {name} has no money left.", evidence, commands, subjects
        )
    commands = (f"bellhouse provider test {name}", "bellhouse config", again)
    summary = f"{name} refuses our credentials or registration."
    return Cause("CredentialExpired", score, summary, evidence, commands, subjects)


def low_balance(facts: Facts) -> Iterator[Cause]:
    """Money runs out, and has not yet."""
    for provider in facts.providers:
        low, left = provider.balance_low, provider.balance
        if left is not None and low is not None and 0 < left < low:
            yield Cause(
                "BalanceZero",
                58,
                f"The account at {provider.name} will have no money left soon.",
                (f"Its balance is {left:g}, below the {low:g} at which somebody wants to know.",),
                ("bellhouse provider list", f"bellhouse provider test {provider.name}"),
                (provider.name,),
            )


def forced(facts: Facts) -> Iterator[Cause]:
    """Somebody holds a breaker open, or closed while its provider fails."""
    for one in facts.breakers:
        if one.forced == "none":
            continue
        provider = facts.provider(one.provider)
        harmless = one.forced == "closed" and provider.share(*FAILED, "account_fault") < 0.2
        rest = [other for other in facts.breakers if other.channel == one.channel and other.state == "closed"]
        score = 40.0 if harmless else 87.0 if not rest else 83.5
        levers = [lever for lever in facts.levers if lever.kind == "breaker" and lever.provider == one.provider]
        evidence = [f"The breaker of {one.provider} on {one.channel} is forced {one.forced}{_since(one)}."]
        evidence += [f"By {lever.by or 'somebody'}: {lever.why or 'no reason given'}." for lever in levers[:1]]
        if answers := _answers(provider):
            evidence.append(answers)
        yield Cause(
            "BreakerForced",
            score,
            f"An operator forces the breaker of {one.provider} on {one.channel} {one.forced}.",
            tuple(evidence),
            ("bellhouse levers", f"bellhouse breaker reset {one.provider}"),
            (one.provider, one.channel),
        )


def throttling(facts: Facts) -> Iterator[Cause]:
    """A provider asks for a slower pace."""
    for provider in _of_interest(facts):
        part = max(provider.share("throttled"), _status_share(provider, "throttled"))
        count = max(provider.verdicts.get("throttled", 0.0), provider.statuses.get("throttled", 0.0))
        waits = sum(one.count for one in facts.waits if one.reason == "waiting:throttled")
        # We slow down at the first one, so that there are seldom many.
        if count < 1 or (part < 0.2 and waits < _FEW and (count < _FEW or part < 0.02)):
            continue
        evidence = [f"{share(part)} of its {plural(provider.calls, 'call')} were throttled: {_codes(provider)}."]
        if waits:
            evidence.append(f"{plural(waits, 'delivery')} of the newest wait for it.")
        yield Cause(
            "ProviderThrottling",
            70 + 12 * min(1.0, part * 2),
            f"{provider.name} throttles us.",
            tuple(evidence),
            (
                "bellhouse provider list",
                f'bellhouse rate set {provider.name} 50 --why "{provider.name} throttles us"',
                f"bellhouse provider test {provider.name}",
            ),
            (provider.name, *facts.channels_of(provider.name)),
        )


def dead_tokens(facts: Facts) -> Iterator[Cause]:
    """Contact points are dead: the provider is well, and our addresses are old."""
    for provider in _of_interest(facts):
        part, count = provider.share("token_invalid"), provider.verdicts.get("token_invalid", 0.0)
        if count < _FEW or part < 0.05:
            continue
        yield Cause(
            "DeadTokens",
            68 + 12 * min(1.0, part * 2),
            f"{provider.name} says that contact points are dead.",
            (
                f"{share(part)} of {plural(provider.calls, 'call')} named a dead contact point: {_codes(provider)}.",
                f"{share(provider.share('accepted'))} were accepted, so {provider.name} itself works.",
            ),
            ("bellhouse token-cleanup --dry-run", 'bellhouse token-cleanup --why "many dead contact points"'),
            (provider.name, *facts.channels_of(provider.name)),
        )


def slow(facts: Facts) -> Iterator[Cause]:
    """A provider answers, and takes its time."""
    for provider in facts.providers:
        if not _slow(provider):
            continue
        took = provider.p95_s if provider.p95_s is not None else provider.slowest_s
        other = _stand_in(facts, provider.name)
        evidence = [f"95 % of its answers took up to {took:.1f} s; the promise of most messages is {_SLOW_S:g} s."]
        if words := _answers(provider):
            evidence.append(words)
        commands = [f"bellhouse provider test {provider.name}"]
        if other is not None:
            why = f"{provider.name} is slow"
            commands.append(f'bellhouse provider prefer {other.provider} --channel {other.channel} --why "{why}"')
        yield Cause(
            "SlowProvider",
            68 + min(12.0, took),
            f"{provider.name} is slow.",
            tuple(evidence),
            tuple(commands),
            (provider.name, *facts.channels_of(provider.name)),
        )


def silent(facts: Facts) -> Iterator[Cause]:
    """A provider accepts and confirms nothing."""
    for provider in _of_interest(facts):
        left_alone = any(one.reason == "silent" for one in _breakers(facts, provider.name) if one.state != "closed")
        if not left_alone and (provider.silence_s < _SILENT_S or provider.callbacks > 0):
            continue
        evidence = [_breaker_words(one) for one in _breakers(facts, provider.name) if one.state != "closed"]
        if provider.silence_s:
            evidence.insert(0, f"It has accepted messages for {span(provider.silence_s)} without confirming any.")
        if provider.verdicts.get("accepted"):
            evidence.append(f"{plural(provider.verdicts['accepted'], 'message')} were accepted meanwhile.")
        other = _stand_in(facts, provider.name)
        commands = [f"bellhouse provider test {provider.name}"]
        if other is not None:
            why = f"{provider.name} confirms nothing"
            commands.append(f'bellhouse provider prefer {other.provider} --channel {other.channel} --why "{why}"')
        yield Cause(
            "SilentProvider",
            89.0 if left_alone else 56 + 32 * min(1.0, provider.silence_s / 300),
            f"{provider.name} takes messages and confirms none: it may lose them, or callbacks do not reach us.",
            tuple(evidence),
            tuple(commands),
            (provider.name, *facts.channels_of(provider.name)),
        )


RULES = (all_down, outage, account, low_balance, forced, throttling, dead_tokens, slow, silent)


# --- words ---


def _of_interest(facts: Facts) -> Iterator[ProviderFacts]:
    """Every provider of which anything is known, those with no more than a breaker too."""
    known = {one.name for one in facts.providers}
    yield from facts.providers
    yield from (ProviderFacts(name) for name in sorted({one.provider for one in facts.breakers} - known))


def _breakers(facts: Facts, provider: str) -> list[BreakerFacts]:
    return [one for one in facts.breakers if one.provider == provider]


def _fails(one: BreakerFacts) -> bool:
    """Whether a breaker is where it is by failures of its provider alone."""
    return one.forced == "none" and one.reason != "silent"


def _stand_in(facts: Facts, provider: str) -> BreakerFacts | None:
    """A closed breaker of another provider on one of its channels."""
    channels = facts.channels_of(provider)
    return next(
        (
            one
            for one in facts.breakers
            if one.channel in channels and one.provider != provider and one.state == "closed"
        ),
        None,
    )


def _slow(provider: ProviderFacts) -> bool:
    """Whether most of its answers come, late."""
    if provider.p95_s is not None:
        return provider.p95_s > _SLOW_S and provider.share(*FAILED) < 0.5
    return provider.slowest_s > _SLOW_S and provider.share("accepted") > 0.5


def _status_share(provider: ProviderFacts, status: str) -> float:
    everything = sum(provider.statuses.values())
    return provider.statuses.get(status, 0.0) / everything if everything else 0.0


def _answers(provider: ProviderFacts) -> str:
    if not provider.calls:
        return ""
    return (
        f"Of {plural(provider.calls, 'call')} of {provider.name}, {share(provider.share('accepted'))} were accepted: "
        f"{tally(provider.verdicts)} ({_codes(provider)})."
    )


def _codes(provider: ProviderFacts) -> str:
    return tally(provider.codes) or "no codes"


def _fault_codes(facts: Facts, provider: str) -> Iterator[str]:
    for one in (*facts.attempts, *facts.letters, *facts.failures):
        if one.provider == provider and (one.verdict == "account_fault" or one.reason.endswith("account_fault")):
            yield f"{one.code} {one.reason}"


def _breaker_words(one: BreakerFacts) -> str:
    how = "" if one.forced == "none" else f", forced {one.forced}"
    after = f" after {plural(one.failures, 'failure')}" if one.failures else ""
    return f"The breaker of {one.provider} on {one.channel} is {one.state.replace('_', '-')}{how}{after}{_since(one)}."


def _since(one: BreakerFacts) -> str:
    return f" since {one.changed_at}" if one.changed_at else ""
