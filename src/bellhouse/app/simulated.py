"""Settings whose providers are those of a simulator: its credentials and addresses in place of the real world's."""

import json
import urllib.error
import urllib.request
from typing import Any

from bellhouse.app.settings import Fault, Settings, SettingsError

_PATIENCE_S = 5.0


def simulated(settings: Settings) -> Settings:
    """The settings with all providers configured from the simulator they name; themselves where they name none.

    Raises SettingsError where no simulator answers.
    """
    if settings.simulator is None:
        return settings
    return with_credentials(settings, _fetch(settings.simulator))


def with_credentials(settings: Settings, credentials: dict[str, Any]) -> Settings:
    """The settings with what a simulator's `GET /credentials` answered; prices, rates and timeouts stay."""
    fcm, sendgrid, smtp = credentials["fcm"], credentials["sendgrid"], credentials["smtp"]
    twilio, vonage = credentials["twilio"], credentials["vonage"]
    tables: dict[str, dict[str, Any]] = {
        "fcm": {"service_account": json.dumps(fcm["service_account"]), "base_url": fcm["base_url"]},
        "sendgrid": {
            "api_key": sendgrid["api_key"],
            "base_url": sendgrid["base_url"],
            "webhook_public_key": sendgrid["webhook_public_key"],
        },
        "smtp": {
            "host": smtp["host"],
            "port": smtp["port"],
            "username": smtp["username"],
            "password": smtp["password"],
            "tls": "starttls" if smtp["starttls"] else "none",
            "dsn_secret": smtp["dsn_secret"],
        },
        "twilio": {
            "account_sid": twilio["account_sid"],
            "auth_token": twilio["auth_token"],
            "base_url": twilio["base_url"],
            "sender": twilio["from"],
        },
        "vonage": {
            "api_key": vonage["api_key"],
            "api_secret": vonage["api_secret"],
            "base_url": vonage["base_url"],
            "sender": vonage["from"],
            "signature_secret": vonage["signature_secret"],
        },
    }
    everything = revealed(settings)
    for name, table in tables.items():
        everything["providers"][name] |= {"enabled": True, **table}
    everything["ca"] = credentials["ca_pem"]
    return Settings(**everything)


def revealed(settings: Settings) -> dict[str, Any]:
    """Every setting as JSON, its secrets in clear: for the processes that we start, never for a person."""
    dumped: dict[str, Any] = settings.model_dump(mode="python")
    return {name: _clear(value) for name, value in dumped.items()}


def _clear(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _clear(inner) for name, inner in value.items()}
    if hasattr(value, "get_secret_value"):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return list(value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _fetch(url: str) -> dict[str, Any]:
    """The simulator's own account of itself."""
    try:
        with urllib.request.urlopen(f"{url}/credentials", timeout=_PATIENCE_S) as answer:
            credentials: dict[str, Any] = json.load(answer)
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        remedy = "Start one with `bellhouse simulator` and give its URL"
        raise SettingsError([Fault("simulator", f"nothing answers at {url}: {reason}", None, remedy)]) from None
    return credentials
