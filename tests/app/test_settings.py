"""The settings: where they come from, which are refused, and how a person is told."""

import json
import re
from pathlib import Path

import pytest

from bellhouse.app import build
from bellhouse.app.sections import Limits
from bellhouse.app.settings import Settings, SettingsError, environment_name, load
from bellhouse.app.settings_page import MASK, rows
from bellhouse.app.simulated import revealed, with_credentials
from bellhouse.web.limits import Limits as WebLimits

TWILIO = {
    "BELLHOUSE_PROVIDERS__TWILIO__ENABLED": "true",
    "BELLHOUSE_PROVIDERS__TWILIO__ACCOUNT_SID": "AC1",
    "BELLHOUSE_PROVIDERS__TWILIO__AUTH_TOKEN": "hush",
    "BELLHOUSE_PROVIDERS__TWILIO__SENDER": "+15005550006",
}


def refusal(environment: dict[str, str], **arguments) -> str:
    with pytest.raises(SettingsError) as refused:
        load(environment=environment, **arguments)
    return str(refused.value)


def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(tmp_path):
    (tmp_path / "bellhouse.toml").write_text('port = 1\nhost = "0.0.0.0"\n[retry]\nmax_attempts = 4\nbase_ms = 7\n')
    environment = {"BELLHOUSE_PORT": "2", "BELLHOUSE_HOST": "::1", "BELLHOUSE_RETRY__BASE_MS": "8"}
    loaded = load({"data": tmp_path, "port": 3, "host": None}, environment=environment)
    settings = loaded.settings
    assert (settings.port, settings.host, settings.retry.max_attempts, settings.retry.base_ms) == (3, "::1", 4, 8)
    assert settings.retry.cap_ms == Settings().retry.cap_ms
    origins = {row.name: row.origin for row in rows(loaded)}
    assert origins["port"] == origins["data"] == "command line"
    assert origins["host"] == origins["retry.base_ms"] == "environment"
    assert origins["retry.max_attempts"] == "file"
    assert origins["retry.cap_ms"] == "default"


def test_the_file_is_looked_for_in_the_data_folder_wherever_that_is_named(tmp_path):
    (tmp_path / "bellhouse.toml").write_text("port = 1\n")
    assert load(environment={"BELLHOUSE_DATA": str(tmp_path)}).settings.port == 1


def test_the_names_of_the_runbooks_work_without_a_prefix():
    settings = load(environment={"PRIMARY_PROVIDER": "vonage", "SEND_RATE_LIMIT": "500"}).settings
    assert (settings.primary_provider, settings.send_rate_limit) == ("vonage", 500)
    assert environment_name("send_rate_limit") == "SEND_RATE_LIMIT"
    for text in ("kafka-1:9092, kafka-2:9092", '["kafka-1:9092", "kafka-2:9092"]'):
        loaded = load(environment={"KAFKA_BROKERS": text, "BELLHOUSE_KAFKA__PARTITIONS": "5"})
        assert loaded.settings.kafka.brokers == ("kafka-1:9092", "kafka-2:9092")
        assert loaded.settings.kafka.partitions == 5
        assert loaded.origins["kafka.brokers"] == "environment"
    assert environment_name("kafka.brokers") == "KAFKA_BROKERS"


def test_a_list_is_words_between_commas_or_json():
    for text in ("smtp, sendgrid", '["smtp", "sendgrid"]'):
        assert load(environment={"BELLHOUSE_ORDER__EMAIL": text}).settings.order.email == ("smtp", "sendgrid")


def test_without_any_provider_every_channel_goes_to_the_log_but_the_inbox():
    settings = load(environment={}).settings
    assert [settings.providers_of(c) for c in ("push", "email", "sms", "chat")] == [("log",)] * 4
    assert settings.providers_of("in_app") == ("in_app",)


def test_only_enabled_providers_are_used_and_the_primary_goes_first():
    environment = TWILIO | {
        "BELLHOUSE_PROVIDERS__VONAGE__ENABLED": "1",
        "BELLHOUSE_PROVIDERS__VONAGE__API_KEY": "k",
        "BELLHOUSE_PROVIDERS__VONAGE__API_SECRET": "s",
        "BELLHOUSE_PROVIDERS__VONAGE__SENDER": "Us",
    }
    assert load(environment=environment).settings.providers_of("sms") == ("twilio", "vonage")
    assert load(environment=environment | {"PRIMARY_PROVIDER": "vonage"}).settings.providers_of("sms") == (
        "vonage",
        "twilio",
    )


def test_all_that_is_missing_is_named_with_where_to_put_it():
    text = refusal({"BELLHOUSE_PROVIDERS__TWILIO__ENABLED": "true"})
    for field in ("account_sid", "auth_token", "sender"):
        assert f"BELLHOUSE_PROVIDERS__TWILIO__{field.upper()}" in text


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"BELLHOUSE_PORT": "99999"}, "port (environment): input should be less than or equal to 65535"),
        ({"BELLHOUSE_PORT": "99999"}, "The default is 8080"),
        ({"BELLHOUSE_PROT": "1"}, "Did you mean port?"),
        ({"BELLHOUSE_RETRY__MAX_ATEMPTS": "1"}, "Did you mean max_attempts?"),
        ({"BELLHOUSE_ORDER__EMAIL": "twilio"}, "twilio does not serve email"),
        ({"BELLHOUSE_ORDER__EMAIL": "pigeon"}, "order.email"),
        ({"BELLHOUSE_ORDER__EMAIL": "[smtp"}, "JSON"),
        ({"BELLHOUSE_PUBLIC_URL": "ftp://x"}, "must be an http:// or https:// URL"),
        ({"BELLHOUSE_PROVIDERS__FCM__SERVICE_ACCOUNT": "@/nowhere/key"}, "cannot be read from /nowhere/key"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(environment, said):
    assert said in refusal(environment)


def test_everything_wrong_is_said_at_once():
    text = refusal({"BELLHOUSE_PORT": "x", "BELLHOUSE_RETRY__BASE_MS": "0", "BELLHOUSE_NOSUCH": "1"})
    assert all(word in text for word in ("port", "retry.base_ms", "BELLHOUSE_NOSUCH"))


def test_a_contradiction_is_said_beside_what_is_wrong_by_itself_unless_it_rests_on_that():
    text = refusal(
        {"BELLHOUSE_PORT": "x", "BELLHOUSE_ORDER__EMAIL": "twilio", "BELLHOUSE_PROVIDERS__SMTP__ENABLED": "1"}
    )
    assert all(
        word in text for word in ("port (environment)", "order.email (environment): twilio does not", "smtp.host")
    )
    resting = refusal({"BELLHOUSE_LEASE_S": "12", "BELLHOUSE_KAFKA__SESSION_TIMEOUT_S": "twenty"})
    assert "kafka.session_timeout_s (environment)" in resting
    assert "lease_s" not in resting


@pytest.mark.parametrize(("content", "said"), [("port = ", "is not TOML"), ("prot = 1", "Did you mean port?")])
def test_a_faulty_file_is_refused(tmp_path, content, said):
    file = tmp_path / "bellhouse.toml"
    file.write_text(content)
    assert said in refusal({}, config=file)


def test_a_file_that_was_named_must_exist(tmp_path):
    assert "there is no such file" in refusal({}, config=tmp_path / "nothing.toml")


def test_a_secret_may_stand_in_a_file_of_its_own_and_is_shown_to_nobody(tmp_path):
    (tmp_path / "token").write_text("very-secret\n")
    loaded = load(environment=TWILIO | {"BELLHOUSE_PROVIDERS__TWILIO__AUTH_TOKEN": f"@{tmp_path / 'token'}"})
    token = loaded.settings.providers.twilio.auth_token
    assert token is not None
    assert token.get_secret_value() == "very-secret"
    shown = {row.name: row.value for row in rows(loaded)}
    assert shown["providers.twilio.auth_token"] == MASK
    assert "very-secret" not in repr(loaded) + repr(shown)


def test_a_refusal_does_not_repeat_a_secret():
    text = refusal(TWILIO | {"BELLHOUSE_PROVIDERS__TWILIO__AUTH_TOKEN": '["hush-hush"]', "BELLHOUSE_PORT": "x"})
    assert "hush-hush" not in text


def test_what_a_role_is_handed_makes_the_same_settings():
    settings = load(environment=TWILIO | {"BELLHOUSE_ORDER__EMAIL": "smtp"}).settings
    assert Settings(**json.loads(json.dumps(revealed(settings)))) == settings


def test_a_simulators_credentials_configure_every_provider():
    credentials = {
        "fcm": {"base_url": "https://127.0.0.1:1", "service_account": {"project_id": "p"}},
        "sendgrid": {"base_url": "http://127.0.0.1:2", "api_key": "k", "webhook_public_key": "w"},
        "smtp": {
            "host": "127.0.0.1", "port": 25, "username": "u", "password": "p", "starttls": True, "dsn_secret": "d"
        },
        "twilio": {"base_url": "http://127.0.0.1:3", "account_sid": "AC1", "auth_token": "t", "from": "+1"},
        "vonage": {
            "base_url": "http://127.0.0.1:4", "api_key": "k", "api_secret": "s", "signature_secret": "g", "from": "Us"
        },
        "ca_pem": "PEM",
    }  # fmt: skip
    given = load({"simulator": "http://127.0.0.1:9"}, environment={"BELLHOUSE_PROVIDERS__TWILIO__PRICE": "0.02"})
    settings = with_credentials(given.settings, credentials)
    assert settings.providers_of("email") == ("sendgrid", "smtp")
    assert settings.providers_of("sms") == ("twilio", "vonage")
    assert settings.providers.twilio.price == 0.02
    assert settings.ca == "PEM"


def test_every_setting_says_what_it_does_and_in_which_unit_a_number_is():
    for row in rows(load(environment={})):
        assert row.description, row.name
        assert row.unit or not isinstance(row.default, int | float) or isinstance(row.default, bool), row.name


def test_the_limits_are_those_of_the_http_face_with_the_same_defaults():
    face = {name: getattr(WebLimits(), name) for name in WebLimits.__struct_fields__}
    assert Limits().model_dump(exclude={"recipient_per_minute"}) == face


def test_no_setting_is_read_by_nobody():
    source = "".join(
        path.read_text()
        for path in Path(build.__file__).parent.glob("*.py")
        if path.name not in ("sections.py", "engines_sections.py", "settings_page.py", "default_file.py")
    )
    names = [row.name for row in rows(load(environment={})) if not row.name.startswith(("limits.", "order."))]
    unread = [name for name in names if not re.search(rf"\b{name.rpartition('.')[2]}\b", source)]
    assert not unread
