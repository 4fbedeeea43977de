"""The settings of the distributed mode: what is refused, what contradicts, and what a role lacks."""

import json

import msgspec
import pytest

from bellhouse.app.engines import kafka_config, kafka_lanes, redis_config
from bellhouse.app.needs import distributed_faults
from bellhouse.app.settings import Settings, SettingsError, load
from bellhouse.app.settings_page import MASK, rows
from bellhouse.app.simulated import revealed

EVERYTHING = {
    "KAFKA_BROKERS": "kafka-1:9092",
    "BELLHOUSE_KAFKA__SECURITY": "sasl_plaintext",
    "BELLHOUSE_KAFKA__USERNAME": "bell",
    "BELLHOUSE_KAFKA__PASSWORD": "kafka-hush",
    "BELLHOUSE_KAFKA__LANES__CRITICAL__BROKERS": "quick-1:9092,quick-2:9092",
    "BELLHOUSE_STORE__URL": "postgresql://bell:url-hush@db-1:5432,db-2/bellhouse",
    "BELLHOUSE_REDIS__URL": "redis://bell:url%20hush@redis-0/3",
    "BELLHOUSE_REDIS__LANES__HIGH__URL": "rediss://quick-0:6380",
    "BELLHOUSE_SECRET": "s" * 32,
}


def settings(**environment: str) -> Settings:
    return load(environment=environment).settings


def refusal(environment: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as refused:
        load(environment=environment)
    return str(refused.value)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"BELLHOUSE_STORE__URL": "mysql://u@h/d"}, "store.url (environment): must be postgresql://user@host"),
        ({"BELLHOUSE_STORE__URL": "postgres://u@h/d"}, "must be postgresql://"),
        ({"BELLHOUSE_STORE__URL": "postgresql:///d"}, "must name a host"),
        ({"BELLHOUSE_STORE__URL": "postgresql://u@h:1,/d"}, "must name a host"),
        ({"BELLHOUSE_STORE__URL": "postgresql://u@h"}, "must end in the database's name"),
        ({"BELLHOUSE_STORE__URL": "postgresql://u@h/d?sslmode=require"}, "they are store.password, store.tls"),
        ({"BELLHOUSE_STORE__URL": "postgresql://u@h/d?password=x"}, "they are store.password, store.tls"),
        ({"BELLHOUSE_STORE__TLS": "prefer"}, "store.tls (environment): input should be 'disable', 'require'"),
        ({"BELLHOUSE_STORE__PASSWORD": "x"}, "store.url: is needed since store.password is set. Set store.url"),
        (
            {"BELLHOUSE_STORE__CA": "PEM"},
            "store.ca (environment): is not used while store.tls is disable. Set store.tls",
        ),
        ({"BELLHOUSE_STORE__POOL": "1"}, "store.pool (environment): input should be greater than or equal to 2"),
        ({"KAFKA_BROKERS": "kafka-1"}, "kafka.brokers (environment): must be host:port"),
        ({"KAFKA_BROKERS": "kafka://kafka-1:9092"}, "kafka.brokers (environment): must be host:port"),
        (
            {"BELLHOUSE_KAFKA__SECURITY": "sasl_ssl"},
            "kafka.username: is needed since security is sasl_ssl. Set BELLHOUSE_",
        ),
        ({"BELLHOUSE_KAFKA__SECURITY": "sasl_ssl"}, "kafka.password: is needed since security is sasl_ssl"),
        ({"BELLHOUSE_KAFKA__USERNAME": "u"}, "kafka.username (environment): is not used while security is plaintext"),
        ({"BELLHOUSE_KAFKA__CA": "PEM"}, "kafka.ca (environment): is not used while security is plaintext"),
        ({"BELLHOUSE_KAFKA__TOPIC_PREFIX": "eu/"}, "kafka.topic_prefix (environment): must be at most 100 letters"),
        ({"BELLHOUSE_KAFKA__LANES__LOW__SECURITY": "ssl"}, "kafka.lanes.low.brokers: is needed"),
        ({"BELLHOUSE_KAFKA__LANES__LOWEST__SECURITY": "ssl"}, "Did you mean low?"),
        (
            {"BELLHOUSE_KAFKA__LANES__LOW__BROKERS": "k:1", "BELLHOUSE_KAFKA__LANES__LOW__SECURITY": "sasl_ssl"},
            "kafka.lanes.low.password: is needed since security is sasl_ssl",
        ),
        (
            {"BELLHOUSE_KAFKA__LANES__LOW__BROKERS": "k:1", "BELLHOUSE_KAFKA__LANES__LOW__CA": "PEM"},
            "kafka.lanes.low.ca (environment): is not used while security is plaintext",
        ),
        (
            {
                "BELLHOUSE_REDIS__URL": "redis://r",
                "BELLHOUSE_REDIS__CLUSTER": "1",
                "BELLHOUSE_REDIS__LANES__LOW__URL": "redis://low/3",
            },
            "redis.lanes.low.url (environment): names database 3",
        ),
        (
            {
                "BELLHOUSE_REDIS__URL": "rediss://r",
                "BELLHOUSE_REDIS__PASSWORD": "hush",
                "BELLHOUSE_REDIS__LANES__LOW__URL": "redis://low",
            },
            "redis.lanes.low.url (environment): would send the password of redis in clear text",
        ),
        ({"BELLHOUSE_LEASE_S": "10"}, "lease_s (environment): must be less than kafka.session_timeout_s, which is 10"),
        (
            {"BELLHOUSE_REDIS__URL": "http://redis-0"},
            "redis.url (environment): must be redis://host:6379/0, or rediss://",
        ),
        ({"BELLHOUSE_REDIS__URL": "redis://redis-0/0?db=3"}, "without parameters"),
        ({"BELLHOUSE_REDIS__URL": "redis://redis-0/3", "BELLHOUSE_REDIS__CLUSTER": "1"}, "names database 3"),
        (
            {"BELLHOUSE_REDIS__URL": "redis://redis-0", "BELLHOUSE_REDIS__CA": "PEM"},
            "redis.ca (environment): is not used",
        ),
        ({"BELLHOUSE_REDIS__PREFIX": "{a}"}, "redis.prefix (environment): must be at most 100 characters without"),
        ({"BELLHOUSE_REDIS__LANES__HIGH__CLUSTER": "1"}, "redis.lanes.high.url: is needed"),
        ({"BELLHOUSE_SECRET": "short"}, "must have at least 32 characters; `openssl rand -hex 32` makes one"),
        ({"BELLHOUSE_INSTANCE": "a b"}, "instance (environment): must be at most 200 letters"),
    ],
)
def test_a_wrong_setting_is_refused_by_name_with_the_remedy(environment, said):
    assert said in refusal(environment)


def test_everything_wrong_with_the_engines_is_said_at_once():
    text = refusal(
        {"BELLHOUSE_STORE__URL": "u", "BELLHOUSE_KAFKA__SECURITY": "sasl_ssl", "BELLHOUSE_REDIS__CLUSTER": "1",
         "BELLHOUSE_REDIS__URL": "redis://r/1", "BELLHOUSE_LEASE_S": "60"}
    )  # fmt: skip
    assert all(word in text for word in ("store.url", "kafka.username", "kafka.password", "redis.url", "lease_s"))


@pytest.mark.parametrize(
    "url",
    ["postgresql://u@h/d", "postgresql://u:p%40@h-1:1,[::1]:2/d?application_name=x", "postgresql://u@/d?host=/run/pg"],
)
def test_every_lawful_form_of_the_stores_url_is_taken(url):
    assert settings(BELLHOUSE_STORE__URL=url).store.url == url


def test_a_priority_has_its_lanes_engines_or_those_of_all():
    given = settings(**EVERYTHING)
    assert given.kafka.cluster_of("critical").brokers == ("quick-1:9092", "quick-2:9092")
    assert given.kafka.cluster_of("low") is given.kafka
    assert given.redis.server_of("high").url == "rediss://quick-0:6380"
    assert given.redis.server_of("low") is given.redis


def test_what_a_lane_of_kafka_does_not_say_is_as_in_the_main_table():
    given = settings(
        KAFKA_BROKERS="kafka-1:9092",
        BELLHOUSE_KAFKA__SECURITY="sasl_ssl",
        BELLHOUSE_KAFKA__SASL_MECHANISM="PLAIN",
        BELLHOUSE_KAFKA__USERNAME="bell",
        BELLHOUSE_KAFKA__PASSWORD="hush",
        BELLHOUSE_KAFKA__CA="PEM",
        BELLHOUSE_KAFKA__LANES__CRITICAL__BROKERS="quick-1:9092",
        BELLHOUSE_KAFKA__LANES__HIGH__BROKERS="high-1:9092",
        BELLHOUSE_KAFKA__LANES__HIGH__USERNAME="high-bell",
        BELLHOUSE_KAFKA__LANES__LOW__BROKERS="low-1:9092",
        BELLHOUSE_KAFKA__LANES__LOW__SECURITY="plaintext",
    )
    lanes, main = kafka_lanes(given), kafka_config(given)
    assert lanes["critical"] == msgspec.structs.replace(main, brokers=("quick-1:9092",))
    assert (lanes["high"].username, lanes["high"].password) == ("high-bell", "hush")
    assert (lanes["low"].security, main.security, main.ca_pem) == ("plaintext", "sasl_ssl", "PEM")
    assert "normal" not in lanes


def test_what_a_lane_of_redis_does_not_say_is_as_in_the_main_table():
    given = settings(
        BELLHOUSE_REDIS__URL="rediss://redis-0",
        BELLHOUSE_REDIS__CLUSTER="1",
        BELLHOUSE_REDIS__USERNAME="bell",
        BELLHOUSE_REDIS__PASSWORD="hush",
        BELLHOUSE_REDIS__CA="PEM",
        BELLHOUSE_REDIS__LANES__HIGH__URL="rediss://high-0",
        BELLHOUSE_REDIS__LANES__NORMAL__URL="rediss://normal-0/3",
        BELLHOUSE_REDIS__LANES__NORMAL__CLUSTER="0",
        BELLHOUSE_REDIS__LANES__LOW__URL="redis://low:its-own@low-0",
    )
    high, main = (redis_config(given, server) for server in (given.redis.server_of("high"), given.redis))
    assert high == msgspec.structs.replace(main, url="rediss://high-0")
    assert given.redis.server_of("normal").cluster is False
    low = given.redis.server_of("low")
    assert (low.username, low.password) == (None, None), "the URL's own password is not overruled by another server's"


def test_a_lane_of_redis_for_critical_is_warned_of_since_critical_asks_nothing_of_it():
    given = settings(**EVERYTHING, BELLHOUSE_REDIS__LANES__CRITICAL__URL="redis://quick-0")
    (fault,) = distributed_faults(given)
    assert (fault.setting, fault.fatal) == ("redis.lanes.critical.url", False)


def test_no_password_is_shown_or_told_be_it_in_a_url():
    loaded = load(environment=EVERYTHING)
    shown = {row.name: row.value for row in rows(loaded)}
    assert shown["store.url"] == f"postgresql://bell:{MASK}@db-1:5432,db-2/bellhouse"
    assert shown["redis.url"] == f"redis://bell:{MASK}@redis-0/3"
    assert shown["kafka.password"] == shown["secret"] == MASK
    told = repr(loaded) + repr(shown) + refusal(EVERYTHING | {"BELLHOUSE_STORE__URL": "postgresql://u:hush/@h"})
    assert not any(word in told for word in ("hush", "s" * 32))


def test_a_url_or_a_certificate_may_stand_in_a_file_of_its_own(tmp_path):
    (tmp_path / "url").write_text("postgresql://u:p@h/d\n")
    (tmp_path / "ca").write_text("PEM\n")
    given = settings(
        BELLHOUSE_STORE__URL=f"@{tmp_path / 'url'}",
        BELLHOUSE_STORE__TLS="verify-full",
        BELLHOUSE_STORE__CA=f"@{tmp_path / 'ca'}",
    )
    assert (given.store.url, given.store.ca) == ("postgresql://u:p@h/d", "PEM")


def test_what_a_role_is_handed_makes_the_same_settings():
    given = settings(**EVERYTHING)
    assert Settings(**json.loads(json.dumps(revealed(given)))) == given


def test_a_process_has_no_lasting_name_unless_it_is_given_one():
    assert settings().instance == settings(BELLHOUSE_INSTANCE="").instance == ""
    assert settings(BELLHOUSE_INSTANCE="left").instance == "left"


def test_a_distributed_role_is_told_what_it_lacks():
    faults = distributed_faults(settings())
    assert [(fault.setting, fault.fatal) for fault in faults] == [
        ("store.url", True), ("kafka.brokers", True), ("secret", False),
    ]  # fmt: skip
    assert "Set KAFKA_BROKERS, or brokers under [kafka] in bellhouse.toml" in str(faults[1])
    assert distributed_faults(settings(**EVERYTHING)) == []
