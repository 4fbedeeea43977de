"""Stories of what people notice, and of what only looks like it."""

from tests.monitoring.promtool import Case, fires, silent


def sent(channel: str, status: str, values: str, provider: str = "twilio") -> dict[str, str]:
    """Attempts."""
    return {f'notifications_sent_total{{channel="{channel}",provider="{provider}",status="{status}"}}': values}


def lag(topic: str, values: str, partition: int = 0) -> dict[str, str]:
    """Records that wait in a topic."""
    labels = f'topic="{topic}",partition="{partition}",consumer_group="g",instance="exporter"'
    return {f"kafka_consumer_lag{{{labels}}}": values}


def oldest(stage: str, priority: str, values: str) -> dict[str, str]:
    """How long the oldest has waited."""
    return {f'oldest_pending_seconds{{stage="{stage}",priority="{priority}"}}': values}


def breaker(provider: str, channel: str, values: str, instance: str = "exporter") -> dict[str, str]:
    """A breaker's state."""
    labels = f'provider="{provider}",channel="{channel}",instance="{instance}"'
    return {f"circuit_breaker_state{{{labels}}}": values}


def routed(channel: str, values: str, priority: str = "normal") -> dict[str, str]:
    """Deliveries planned."""
    return {f'notifications_routed_total{{channel="{channel}",priority="{priority}"}}': values}


def validated(values: str) -> dict[str, str]:
    """Notifications accepted."""
    return {'notifications_validated_total{priority="normal",type="t"}': values}


def answered(code: str, values: str, route: str = "/v1/notifications") -> dict[str, str]:
    """Requests answered."""
    return {f'http_requests_total{{route="{route}",code="{code}"}}': values}


def paused(channel: str, priority: str, values: str = "1x60") -> dict[str, str]:
    """Whether a pause holds a lane."""
    return {f'lane_paused{{channel="{channel}",priority="{priority}",instance="exporter"}}': values}


def skipped(topic: str, values: str, instance: str = "a") -> dict[str, str]:
    """Records that could not be read."""
    return {f'unreadable_records_total{{topic="{topic}",instance="{instance}"}}': values}


PAUSES = 'levers_pulled{kind="pause",instance="exporter"}'
STARTED = 'process_started_timestamp_seconds{role="bulk",instance="a"}'
UP = {'up{job="bellhouse",instance="a"}': "1x60"}
RATE = "NotificationDeliveryRateDropped"

DELIVERY: tuple[Case, ...] = (
    fires(
        RATE, "critical",
        {**sent("sms", "success", "0+90x30"), **sent("sms", "failed", "0+10x30"), **sent("push", "success", "0+9000x30", "fcm")},
        'channel="sms"', not_at="5m", at="7m", name="a dead SMS is not hidden behind healthy push",
    ),
    fires(
        RATE, "critical", sent("sms", "failed", "0+10x30"), 'channel="sms"',
        not_at="5m", at="7m", name="a channel without any success fires though nothing divides",
    ),
    fires(
        RATE, "critical", {**sent("sms", "success", "0+90x30"), **sent("sms", "throttled", "0+10x30")}, 'channel="sms"',
        not_at="5m", at="7m", name="what is throttled did not succeed",
    ),
    fires(
        RATE, "critical",
        {name: values for channel in ("sms", "push", "email")
         for name, values in (sent(channel, "failed", "0 1 1 1 1 1 2 2 2 2 2 3 3 3 3 3 4 4")
                              | sent(channel, "success", "0 1 1 1 1 1 2 2 2 2 2 3 3 3 3 3 4 4")).items()},
        not_at="5m", at="8m", name="channels too quiet for a share of their own count together",
    ),
    silent("above 95 %", RATE, "critical", {**sent("sms", "success", "0+96x30"), **sent("sms", "failed", "0+4x30")}, "29m"),
    silent("without traffic", RATE, "critical", {**sent("sms", "success", "7x30"), **sent("sms", "failed", "7x30")}, "29m"),
    silent("at three attempts", RATE, "critical", sent("sms", "failed", "0 1 1 2 2 3 3x20"), "7m", "12m", "20m"),
    silent("over a dip of four minutes", RATE, "critical",
           {**sent("sms", "success", "0+100x60"), **sent("sms", "failed", "0x9 100 100x50")}, "10m", "14m", "20m"),
    fires(
        "AllProvidersDown", "critical",
        {**breaker("twilio", "sms", "0x5 1x20"), **breaker("vonage", "sms", "0x5 2x20"), **breaker("fcm", "push", "0x30")},
        'channel="sms"', not_at="7m", at="9m",
    ),
    silent("with one half-open and one closed", "AllProvidersDown", "critical",
           {**breaker("twilio", "sms", "2x30"), **breaker("vonage", "sms", "0x30")}, "29m"),
    silent("while two exporters show the same breaker", "AllProvidersDown", "critical",
           {**breaker("twilio", "sms", "1x30"), **breaker("twilio", "sms", "1x30", "other"),
            **breaker("vonage", "sms", "0x30")}, "29m"),
    silent("with every breaker closed", "AllProvidersDown", "critical", breaker("fcm", "push", "0x30"), "29m"),
    fires(
        "DLQGrowing", "warning",
        {'dead_letters_total{channel="email",reason="a"}': "0+10x120", 'dead_letters_total{channel="email",reason="b"}':
         "0+10x120", 'dead_letters_total{channel="push",reason="a"}': "0+10x120"},
        'channel="email"', not_at="75m", at="90m",
    ),
    silent("at 900 an hour", "DLQGrowing", "warning", {'dead_letters_total{channel="email",reason="a"}': "0+15x120"}, "119m"),
    silent("when many were there before", "DLQGrowing", "warning",
           {'dead_letters_total{channel="email",reason="a"}': "90000x120"}, "119m"),
    fires(
        "RecordsUnreadable", "warning", {**skipped("notifications.normal", "0x5 1x30"), **skipped("deliveries.push.low", "0x35")},
        'topic="notifications.normal"', not_at="4m", at="7m", name="one record that nobody can read is told of",
    ),
    fires(
        "RecordsUnreadable", "warning",
        {**skipped("notifications.low", "0x40"), **skipped("notifications.low", "_x20 4x20", "new"), STARTED: "0x40"},
        'topic="notifications.low"', not_at="19m", at="22m",
        name="what a new process skips before it is first looked at is told of",
    ),
    silent("when Prometheus has only just begun to look", "RecordsUnreadable", "warning",
           {**skipped("notifications.low", "_x20 4x40"), STARTED: "_x20 0x40"}, "22m", "30m", "50m"),
    silent("when it is long over", "RecordsUnreadable", "warning", skipped("notifications.low", "4x60"), "20m", "59m"),
    fires(
        "ProbeFailing", "critical",
        {'probe_results_total{channel="sms",outcome="timeout"}': "0+1x60", 'probe_results_total{channel="sms",outcome="confirmed"}':
         "9x60", 'probe_results_total{channel="push",outcome="confirmed"}': "0+1x60"},
        'channel="sms"', not_at="4m", at="10m",
    ),
    silent("while one in ten gets through", "ProbeFailing", "critical",
           {'probe_results_total{channel="sms",outcome="failed"}': "0+9x60",
            'probe_results_total{channel="sms",outcome="confirmed"}': "0+1x60"}, "59m"),
    silent("while the channel is paused", "ProbeFailing", "critical",
           {'probe_results_total{channel="sms",outcome="timeout"}': "0+1x60", **paused("sms", "high")}, "10m", "59m"),
    fires(
        "ProbeFailing", "critical",
        {'probe_results_total{channel="sms",outcome="timeout"}': "0+1x60", **paused("sms", "low"), **paused("push", "high")},
        'channel="sms"', not_at="4m", at="10m", name="another pause excuses no probe",
    ),
    silent("without probes", "ProbeFailing", "critical", {'probe_results_total{channel="sms",outcome="failed"}': "0x60"}, "59m"),
)  # fmt: skip

QUEUES: tuple[Case, ...] = (
    fires(
        "QueueBacklogCritical", "critical",
        {**lag("notifications.normal", "600000x30"), **lag("deliveries.push.normal", "300000x30"),
         **lag("deliveries.push.normal", "300000x30", 1)},
        not_at="9m", at="11m",
    ),
    fires("QueueBacklogCritical", "critical", oldest("deliver", "critical", "61x30"), 'stage="deliver",priority="critical"',
          not_at="9m", at="11m"),
    fires("QueueBacklogCritical", "critical", oldest("route", "high", "301x30"), 'stage="route",priority="high"',
          not_at="9m", at="11m"),
    silent("while a campaign drains", "QueueBacklogCritical", "critical",
           {**lag("notifications.low", "5000000x30"), **lag("deliveries.push.low", "5000000x30"),
            **oldest("deliver", "low", "9000x30"), **oldest("deliver", "critical", "1x30")}, "29m"),
    silent("while the feed of dead letters is not read", "QueueBacklogCritical", "critical", lag("dlq.push", "9000000x30"), "29m"),
    silent("below a million", "QueueBacklogCritical", "critical", lag("notifications.normal", "1000000x30"), "29m"),
    silent("while two exporters count the same", "QueueBacklogCritical", "critical",
           {**lag("notifications.normal", "600000x30"),
            'kafka_consumer_lag{topic="notifications.normal",partition="0",consumer_group="g",instance="other"}': "600000x30"},
           "29m"),
    fires("QueueBacklogCampaign", "info", {**lag("notifications.low", "600000x30"), **lag("deliveries.sms.low", "600000x30")},
          not_at="9m", at="11m"),
    fires("QueueBacklogCampaign", "info", oldest("deliver", "low", "14401x30"), 'stage="deliver",priority="low"',
          not_at="9m", at="11m"),
    silent("for what is not low", "QueueBacklogCampaign", "info", lag("notifications.normal", "9000000x30"), "29m"),
    fires("LedgerImbalance", "critical", {"ledger_imbalance": "0x5 -3x30"}, not_at="10m", at="11m"),
    silent("while it balances", "LedgerImbalance", "critical", {"ledger_imbalance": "0x30"}, "29m"),
)  # fmt: skip

DOOR: tuple[Case, ...] = (
    fires("NotAccepting", "critical", {**UP, **answered("202", "0+40x30"), **answered("500", "0+60x30")},
          not_at="2m", at="4m", name="most requests fail"),
    fires("NotAccepting", "critical", {**UP, **answered("503", "0+60x30")}, not_at="2m", at="4m", name="all requests fail"),
    fires("NotAccepting", "critical", {'up{job="bellhouse-api",instance="a"}': "1x5 0x30", 'up{job="bellhouse-worker",instance="b"}':
                                       "1x30"}, not_at="6m", at="9m", name="no API process answers"),
    fires("NotAccepting", "critical", {**UP, 'ingest_degraded_step{role="api"}': "0x5 3x30"}, not_at="6m", at="9m",
          name="high is refused"),
    silent("while low is refused", "NotAccepting", "critical",
           {**UP, **answered("503", "0+90x30"), **answered("202", "0+10x30"), 'ingest_degraded_step{role="api"}': "1x30",
            "http_turned_away_total": "0+90x30"}, "29m"),
    fires("NotAccepting", "critical", {**UP, **answered("503", "0+5x30", "/v1/notifications/batch"), **answered("500", "0+60x30"),
                                       "http_turned_away_total": "0+5x30", 'ingest_degraded_step{role="api"}': "1x30",
                                       'notifications_rejected_total{reason="degraded"}': "0+5000x30"},
          not_at="2m", at="4m", name="requests fail while whole batches are turned away"),
    silent("when the only request of an hour fails", "NotAccepting", "critical",
           {**UP, **answered("202", "0x30"), **answered("500", "0x9 1x20")}, "12m", "14m", "29m"),
    silent("when callers are wrong", "NotAccepting", "critical", {**UP, **answered("422", "0+60x30")}, "29m"),
    silent("while it is not ready and nobody asks", "NotAccepting", "critical", {**UP, **answered("503", "0+60x30", "/readyz")}, "29m"),
    silent("while one of two API processes is down", "NotAccepting", "critical",
           {'up{job="bellhouse-api",instance="a"}': "0x30", 'up{job="bellhouse-api",instance="b"}': "1x30"}, "29m"),
    fires(
        "AcceptingButNotSending", "critical",
        {**routed("sms", "0+60x60"), **routed("push", "0+60x60"), **sent("push", "success", "0+60x60", "fcm"),
         **sent("sms", "success", "0+60x10 600x50"), **lag("deliveries.sms.normal", "0x10 0+60x50"),
         **lag("deliveries.push.normal", "5x60"), **oldest("deliver", "normal", "0x10 0+60x50"), **paused("sms", "normal", "0x60")},
        'channel="sms"', not_at="18m", at="22m", name="a stuck worker of one channel",
    ),
    fires(
        "AcceptingButNotSending", "critical",
        {**routed("sms", "0+60x60"), **lag("deliveries.sms.critical", "0+60x60"), **oldest("deliver", "critical", "0+60x60")},
        'channel="sms"', not_at="5m", at="8m", name="a channel that has never sent",
    ),
    fires(
        "AcceptingButNotSending", "critical",
        {**routed("sms", "0+60x60"), **routed("sms", "0+600x60", "low"), **paused("sms", "low"), **paused("sms", "normal", "0x60"),
         **lag("deliveries.sms.normal", "0+60x60"), **lag("deliveries.sms.low", "0+600x60"),
         **oldest("deliver", "normal", "0+60x60")},
        'channel="sms"', not_at="5m", at="9m", name="what is paused beside it excuses no stuck worker",
    ),
    fires(
        "AcceptingButNotSending", "critical",
        {**routed("sms", "0+60x60"), **lag("deliveries.sms.normal", "0+60x60"), **paused("sms", "normal", "1x20 0x40"),
         **oldest("deliver", "normal", "0x20 1200+60x40")},
        'channel="sms"', not_at="24m", at="28m", name="a lane that goes on standing still when its pause is over",
    ),
    fires("PausedForLong", "warning", {PAUSES: "0x5 2x150 1x200"}, not_at="240m", at="250m", name="a pause that is forgotten"),
    silent("while pauses end within hours", "PausedForLong", "warning", {PAUSES: "1x200 0x5 1x200"}, "200m", "300m", "400m"),
    silent("while other levers are pulled", "PausedForLong", "warning",
           {PAUSES: "0x300", 'levers_pulled{kind="rate",instance="exporter"}': "1x300"}, "299m"),
    silent("while its lane is paused", "AcceptingButNotSending", "critical",
           {**routed("sms", "0+60x60"), **lag("deliveries.sms.normal", "0+60x60"), **paused("sms", "normal"),
            **oldest("deliver", "high", "90x60")}, "10m", "30m", "59m"),
    silent("when a paused lane and one without work are all that a channel has", "AcceptingButNotSending", "critical",
           {**routed("sms", "0+60x60"), **routed("sms", "5x60", "high"), **lag("deliveries.sms.normal", "0+60x60"),
            **lag("deliveries.sms.high", "3x60"), **paused("sms", "normal"), **paused("sms", "high", "0x60"),
            **oldest("deliver", "high", "90x60")}, "10m", "59m"),
    silent("when a pause ends and what waited goes out", "AcceptingButNotSending", "critical",
           {**routed("sms", "0+60x60"), **lag("deliveries.sms.normal", "0+60x30 1800-100x15 0x30"), **paused("sms", "normal", "1x30 0x30"),
            **sent("sms", "success", "0x31 0+160x30"), **oldest("deliver", "normal", "0x30 1800-60x30")}, "30m", "33m", "40m"),
    silent("while a tenant's pause holds all that comes in", "AcceptingButNotSending", "critical",
           {**routed("sms", "0+60x60"), **lag("deliveries.sms.normal", "3x60"), **paused("sms", "normal", "0x60"),
            **oldest("deliver", "normal", "0.2x60")}, "10m", "59m"),
    fires(
        "AcceptingButNotSending", "critical",
        {**validated("0+60x60"), **routed("sms", "7x60"), **oldest("route", "normal", "0+60x60")},
        not_at="6m", at="10m", name="a stuck router",
    ),
    silent("when all is scheduled", "AcceptingButNotSending", "critical",
           {**validated("0+60x60"), **oldest("route", "normal", "0x60"), **lag("notifications.normal", "0x60")}, "59m"),
    silent("when all is deferred", "AcceptingButNotSending", "critical",
           {**validated("0+60x60"), **routed("sms", "0+60x60"), **lag("deliveries.sms.normal", "0x60")}, "59m"),
    silent("when all is suppressed", "AcceptingButNotSending", "critical",
           {**validated("0+60x60"), 'notifications_suppressed_total{reason="suppressed:opt_out",channel="sms"}': "0+60x60",
            **oldest("route", "low", "90x60")}, "59m"),
    silent("while it sends", "AcceptingButNotSending", "critical",
           {**routed("sms", "0+60x60"), **sent("sms", "failed", "0+1x60"), **lag("deliveries.sms.normal", "900x60")}, "59m"),
    silent("when nothing comes in", "AcceptingButNotSending", "critical",
           {**routed("sms", "60x60"), **validated("60x60"), **lag("deliveries.sms.normal", "9x60")}, "59m"),
)  # fmt: skip

CASES: tuple[Case, ...] = (*DELIVERY, *QUEUES, *DOOR)
