"""Causes in what travels: records, templates, dead letters, and books that do not balance."""

from collections.abc import Iterable, Iterator

from bellhouse.ops.doctor.causes import Cause, plural, span, tally
from bellhouse.ops.doctor.facts import Facts, Group

_UNREADABLE = ("Unreadable record skipped", "A notification cannot be decided")
_NOT_RENDERED = "dead_lettered:not_rendered"
_BAD = ("failed:permanent", "failed:too_large", _NOT_RENDERED)


def poisoned(facts: Facts) -> Iterator[Cause]:
    """A record that cannot be read, or that breaks whoever decides about it."""
    evidence = []
    if facts.log is not None:
        for message in _UNREADABLE:
            count = facts.log.messages.get(message, 0)
            if count:
                words = facts.log.details.get(message, "")
                evidence.append(f'The log says "{message}" {count} times{f", last {words}" if words else ""}.')
    skipped = sum(facts.unreadable.values())
    if skipped:
        evidence.append(
            f"{plural(skipped, 'record')} could not be read within {span(facts.window_s)}, and were skipped: "
            f"{tally(facts.unreadable)}."
        )
    if facts.undecidable:
        evidence.append(f"{plural(facts.undecidable, 'notification')} broke their own decision.")
    unreadable = "dead_lettered:unreadable"
    letters = sum(one.count for one in facts.letters if one.reason == unreadable)
    grown = facts.letters_grown.get(unreadable, 0.0)
    if letters or grown:
        evidence.append(f"{plural(max(letters, grown), 'dead letter')} hold a record that cannot be read.")
    if evidence:
        yield Cause(
            "PoisonedRecord",
            83,
            "Records are skipped that nobody can read or decide; the rest goes on.",
            tuple(evidence),
            (
                "bellhouse dlq list --reason dead_lettered:unreadable",
                "kubectl rollout undo deployment/notification-worker",
                "bellhouse ledger",
            ),
        )


def bad_template(facts: Facts) -> Iterator[Cause]:
    """One version of a template fails: it cannot be rendered, or a provider never takes what it makes."""
    # What could not be rendered is a dead letter, and known as one; those that were put away since are of the past.
    failed = (one for one in facts.failures if one.reason != _NOT_RENDERED)
    for (template, version), groups in _by_template((*facts.letters, *failed)).items():
        count = sum(one.count for one in groups)
        unrendered = sum(one.count for one in groups if one.reason == _NOT_RENDERED)
        if count < 3 or (not unrendered and not _only_this(facts, template, version, count)):
            continue
        types = sorted({one.type for one in groups if one.type})
        first = min((one.first_at for one in groups if one.first_at), default="")
        evidence = [
            f"Version {version} of template {template} made {plural(count, 'bad end')}: "
            f"{tally(_sums(groups))}; of {', '.join(types) or 'unknown types'}."
        ]
        if first:
            evidence.append(f"The first was at {first}.")
        worse = [one for one in groups if one.reason == _NOT_RENDERED]
        fresh = bool(facts.letters_grown.get(_NOT_RENDERED))
        yield Cause(
            "BadTemplateVersion",
            85.0 if worse and fresh else 76.0 if worse else 74.0,
            f"Version {version} of template {template} is bad.",
            tuple(evidence),
            (
                f'bellhouse pause --template {template} --why "version {version} cannot be rendered"',
                f"bellhouse dlq list --reason {_NOT_RENDERED}",
                f'bellhouse dlq discard --reason {_NOT_RENDERED} --why "sent anew by the version that works"',
            ),
            (template,),
        )


def letters_growing(facts: Facts) -> Iterator[Cause]:
    """Dead letters come, or lie there."""
    grown = sum(facts.letters_grown.values())
    lying = sum(facts.letters_open.values())
    if not grown and lying < 1:
        return
    evidence = []
    if grown:
        evidence.append(
            f"{plural(grown, 'dead letter')} came within {span(facts.window_s)}: {tally(facts.letters_grown)}."
        )
    if lying:
        evidence.append(f"{plural(lying, 'dead letter')} are open: {tally(facts.letters_open)}.")
    for one in facts.letters[:3]:
        where = " of ".join(word for word in (one.provider or one.channel, one.type) if word)
        evidence.append(f"{one.count:,} of the newest say {f'{one.reason} {one.code}'.strip()}, at {where}.")
    main = facts.letters[0] if facts.letters else None
    fresh = grown or sum(one.count for one in facts.letters)
    yield Cause(
        "DeadLettersGrowing",
        (52.0 if fresh else 20.0) + min(18.0, fresh),
        "Deliveries are given up and wait for somebody.",
        tuple(evidence),
        (
            f"bellhouse dlq list{f' --reason {main.reason}' if main else ''}",
            f"bellhouse dlq replay{f' --reason {main.reason}' if main else ' --all'} --rate 50",
        ),
        (main.provider,) if main and main.provider else (),
    )


def ledger(facts: Facts) -> Iterator[Cause]:
    """What was accepted cannot be accounted for."""
    if not facts.imbalance and not facts.broken_checks:
        return
    yield Cause(
        "LedgerImbalance",
        84,
        "The ledger does not balance: something is lost, or counted twice.",
        (f"{plural(abs(facts.imbalance), 'row')} are unaccounted for.", *facts.broken_checks),
        ("bellhouse ledger", "bellhouse ledger --json", "bellhouse audit"),
    )


RULES = (poisoned, bad_template, letters_growing, ledger)


def _by_template(groups: Iterable[Group]) -> dict[tuple[str, int], list[Group]]:
    found: dict[tuple[str, int], list[Group]] = {}
    for one in groups:
        if one.template and one.reason in _BAD:
            found.setdefault((one.template, one.template_version), []).append(one)
    return found


def _sums(groups: list[Group]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for one in groups:
        word = f"{one.reason} {one.code}".strip()
        sums[word] = sums.get(word, 0.0) + one.count
    return sums


def _only_this(facts: Facts, template: str, version: int, count: int) -> bool:
    """Whether nearly all permanent refusals are of one version, and most calls are well."""
    everything = sum(one.count for one in facts.failures if one.reason in _BAD)
    calls = sum(one.count for one in facts.attempts)
    several = {(one.template, one.template_version) for one in facts.failures if one.template} - {(template, version)}
    return count >= 0.8 * everything and (bool(several) or count < 0.8 * calls)
