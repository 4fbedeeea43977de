"""Drills of what providers do to us."""

from typing import Final

from bellhouse.drills.scenario import Act, Scenario
from bellhouse.drills.stage import Stage

FAMILY: Final = "providers"


def _dialled(provider: str, **dials: object) -> Act:
    """Turn dials of a provider."""

    async def act(stage: Stage) -> None:
        await stage.dial(provider, **dials)

    return act


def _taken_over(stand_in: str, channel: str, provider: str, *dials: str) -> Act:
    """Another provider comes first while the faulty one is mended; then it is trusted again."""

    async def act(stage: Stage) -> None:
        await stage.act("/v1/levers/prefer", provider=stand_in, channel=channel)
        await stage.dial(provider, **dict.fromkeys(dials))
        await stage.reset(provider)
        await stage.act("/v1/levers/prefer", channel=channel)

    return act


async def _sms_down(stage: Stage) -> None:
    for provider in ("twilio", "vonage"):
        await stage.dial(provider, outage="503")


async def _sms_back(stage: Stage) -> None:
    await stage.act("/v1/levers/pause", channel="sms", priority="normal")
    for provider in ("twilio", "vonage"):
        await stage.dial(provider, outage=None)
    await stage.reset("twilio", "vonage")
    await stage.act("/v1/levers/resume", channel="sms", priority="normal")


async def _sms_throttled(stage: Stage) -> None:
    for provider in ("twilio", "vonage"):
        await stage.dial(provider, throttle={"rate_per_second": 1, "burst": 1})


async def _sms_at_its_pace(stage: Stage) -> None:
    await stage.act("/v1/levers/rate", provider="twilio", rate=1)
    for provider in ("twilio", "vonage"):
        await stage.dial(provider, throttle=None)
    await stage.act("/v1/levers/rate", provider="twilio")


async def _new_tokens(stage: Stage) -> None:
    await stage.dial("fcm", dead_token_share=None)
    await stage.register()


async def _topped_up(stage: Stage) -> None:
    await stage.dial("twilio", balance=None)
    await stage.reset("twilio")
    await stage.act("/v1/dead-letters/replay", filter={"provider": "twilio"}, rate=50)


async def _new_credentials(stage: Stage) -> None:
    await stage.dial("sendgrid", errors=None)
    await stage.reset("sendgrid")
    await stage.act("/v1/dead-letters/replay", filter={"provider": "sendgrid"}, rate=50)


SCENARIOS: Final = (
    Scenario(
        "provider-outage",
        FAMILY,
        "Twilio answers every call with 503.",
        "ProviderCircuitOpen",
        "warning",
        "ProviderOutage",
        "bellhouse provider prefer vonage --channel sms; once it is back, breaker reset twilio and prefer --reset",
        _dialled("twilio", outage="503"),
        _taken_over("vonage", "sms", "twilio", "outage"),
    ),
    Scenario(
        "all-providers-down",
        FAMILY,
        "Twilio and Vonage both answer every call with 503: no provider of SMS is left.",
        "AllProvidersDown",
        "critical",
        "AllProvidersDown",
        "bellhouse pause --channel sms --priority normal; once they are back, breaker reset of both and resume",
        _sms_down,
        _sms_back,
    ),
    Scenario(
        "throttling",
        FAMILY,
        "Twilio and Vonage take one call a second and answer 429 to the rest.",
        "NotificationDeliveryRateDropped",
        "critical",
        "ProviderThrottling",
        "bellhouse rate set twilio 1 until the provider lifts its limit, then rate reset twilio",
        _sms_throttled,
        _sms_at_its_pace,
        rest_s=25,
    ),
    Scenario(
        "dead-tokens",
        FAMILY,
        "FCM says of half of all registration tokens that they are dead.",
        "NotificationDeliveryRateDropped",
        "critical",
        "DeadTokens",
        "the apps register anew",
        _dialled("fcm", dead_token_share=0.5),
        _new_tokens,
    ),
    Scenario(
        "slow-provider",
        FAMILY,
        "Twilio takes three seconds for every answer.",
        "HighProviderLatency",
        "warning",
        "SlowProvider",
        "bellhouse provider prefer vonage --channel sms; once it is quick again, prefer --reset",
        _dialled("twilio", latency={"kind": "fixed", "min_ms": 3_000}),
        _taken_over("vonage", "sms", "twilio", "latency"),
    ),
    Scenario(
        "silent-provider",
        FAMILY,
        "SendGrid accepts every mail and sends no event any more.",
        "CallbacksMissing",
        "warning",
        "SilentProvider",
        "bellhouse provider prefer smtp --channel email; once it is heard, prefer --reset",
        _dialled("sendgrid", callbacks=False),
        _taken_over("smtp", "email", "sendgrid", "callbacks"),
        late_s=15,
    ),
    Scenario(
        "credential-expired",
        FAMILY,
        "SendGrid refuses our API key.",
        "ProviderAccountFault",
        "critical",
        "CredentialExpired",
        "a new key; bellhouse breaker reset sendgrid; dlq replay --provider sendgrid --rate 50",
        _dialled("sendgrid", errors={"401": 1}),
        _new_credentials,
    ),
    Scenario(
        "balance-zero",
        FAMILY,
        "The account at Twilio is empty.",
        "ProviderBalanceLow",
        "critical",
        "BalanceZero",
        "top it up; bellhouse breaker reset twilio; dlq replay --provider twilio --rate 50",
        _dialled("twilio", balance=0),
        _topped_up,
    ),
)
