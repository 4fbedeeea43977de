"""Stories of error budgets: each objective, each burn rate, and a burst that is over."""

from bellhouse.monitoring.slo import BURNS, OBJECTIVES, Burn, Objective
from tests.monitoring.cases_symptoms import answered, sent
from tests.monitoring.promtool import Case, fires, silent


def took(metric: str, labels: str, bound: str, within: str, all_of_them: str) -> dict[str, str]:
    """A histogram: how many were within a bound, and how many there were."""
    return {f'{metric}_bucket{{{labels},le="{bound}"}}': within, f"{metric}_count{{{labels}}}": all_of_them}


def story(objective: Objective, share: float, count: int) -> dict[str, str]:
    """Ten thousand events an interval, of which this share is bad."""
    every = 10_000
    bad = round(every * share)
    good, all_of_them, failed = (f"0+{number}x{count}" for number in (every - bad, every, bad))
    match objective.slug:
        case "api_availability":
            return {**answered("202", good), **answered("500", failed)}
        case "api_latency":
            route = 'route="/v1/notifications"'
            return took("http_request_duration_seconds", route, "0.5", good, all_of_them)
        case "delivery_success":
            return {**sent("sms", "success", good), **sent("sms", "failed", failed)}
        case "transactional_latency":
            labels = 'channel="push",priority="critical"'
            return took("notification_end_to_end_seconds", labels, "2.0", good, all_of_them)
        case other:
            raise AssertionError(other)


def labels(objective: Objective, burn: Burn) -> str:
    """What the alert of an objective and a burn rate is told by."""
    where = ',channel="sms"' if objective.by else ""
    return f'slo="{objective.slug}",burn="{burn.word}"{where}'


FAST, SLOW, STEADY, CREEPING = BURNS


def _burning(objective: Objective) -> tuple[Case, ...]:
    def share(burn: Burn) -> float:
        return min(1.0, burn.rate * objective.budget * 1.1)

    def all_within(burn: Burn) -> float:
        return burn.rate * objective.budget * 0.9

    name = objective.alert
    return (
        fires(name, "critical", story(objective, share(FAST), 40), labels(objective, FAST), labels(objective, SLOW), not_at="1m", at="25m", name=f"{name} fast"),
        fires(name, "critical", story(objective, share(SLOW), 60), labels(objective, SLOW), not_at="14m", at="40m", name=f"{name} slow"),
        silent("just below six times", name, "critical", story(objective, all_within(SLOW), 60), "59m"),
        fires(name, "warning", story(objective, share(STEADY), 200), labels(objective, STEADY), labels(objective, CREEPING), interval="2m",
              not_at="1h", at="5h", name=f"{name} steady"),
        fires(name, "warning", story(objective, share(CREEPING), 200), labels(objective, CREEPING), interval="2m",
              not_at="2h", at="5h", name=f"{name} creeping"),
        silent("within the budget", name, "warning", story(objective, all_within(CREEPING), 200), "6h", interval="2m"),
    )  # fmt: skip


def _quiet() -> tuple[Case, ...]:
    name = "SloBurnApiAvailability"
    return (
        silent("after a burst that is over", name, "critical",
               {**answered("202", "0+1000x90"), **answered("500", "0x5 1000 2000x80")}, "50m", "60m"),
        silent("at one failure of three", name, "critical", {**answered("202", "0 1 2 2x90"), **answered("500", "0 0 0 1x90")},
               "5m", "30m", "60m"),
        silent("without traffic", name, "critical", {**answered("202", "9x90"), **answered("500", "9x90")}, "60m"),
        silent("while low is refused", name, "critical",
               {**answered("202", "0+100x90"), **answered("503", "0+900x90"),
                "http_turned_away_total": "0+900x90"}, "60m"),
        silent("while it is not ready", name, "critical",
               {**answered("202", "0+100x90"), **answered("503", "0+900x90", "/readyz")}, "60m"),
    )  # fmt: skip


CASES: tuple[Case, ...] = (*(case for objective in OBJECTIVES for case in _burning(objective)), *_quiet())
