"""API keys: their form, scopes, revocation, and tenants apart."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellhouse.security import keys
from bellhouse.security.keys import SCOPES, Scope
from bellhouse.testing.clock import START
from bellhouse.web.times import rfc3339
from tests.api.face import ASKED, PEPPER, Face


def test_a_key_names_its_environment_and_can_be_read_again() -> None:
    secret = keys.new_secret("staging-2")
    assert secret.token.startswith("bh_staging-2_")
    assert keys.parse(secret.token) == secret
    assert keys.matches(PEPPER, secret, keys.digest(PEPPER, secret))


@pytest.mark.parametrize("environment", ["", "Prod", "a_b", "-a", "x" * 33, "a b"])
def test_an_environment_that_would_break_a_key_is_refused(environment: str) -> None:
    with pytest.raises(ValueError, match="no environment"):
        keys.new_secret(environment)


@given(st.text())
def test_what_is_no_key_is_never_taken_apart(text: str) -> None:
    assert keys.parse(text) is None


def test_a_digest_depends_on_every_part_of_the_key_and_on_the_pepper() -> None:
    secret = keys.new_secret("dev")
    others = [
        keys.Secret("prod", secret.key_id, secret.secret),
        keys.Secret("dev", "0" * 16, secret.secret),
        keys.Secret("dev", secret.key_id, "0" * 48),
    ]
    stored = keys.digest(PEPPER, secret)
    assert not any(keys.matches(PEPPER, other, stored) for other in others)
    assert not keys.matches(b"q" * 32, secret, stored)
    assert stored != hashlib.blake2b(secret.token.encode(), digest_size=32).digest()


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer x", "Basic abc", "bh_dev_0000000000000000_" + "0" * 48, "Bearer " + "ü" * 99],
)
async def test_whoever_has_no_valid_key_learns_nothing_more(face: Face, header: str) -> None:
    for method, path in (("POST", "/v1/notifications"), ("GET", "/v1/types"), ("GET", "/v1/nothing")):
        answer = await face.call(method, path, token="", headers={"authorization": header} if header else {})
        assert answer.problem.code == "unauthorized"
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_right_id_with_a_wrong_secret_is_refused(face: Face) -> None:
    stolen = face.token[:-1] + ("0" if face.token[-1] != "0" else "1")
    assert (await face.call("GET", "/v1/types", token=stolen)).problem.code == "unauthorized"


async def test_a_revoked_key_works_for_a_second_at_most(face: Face) -> None:
    token = await face.key()
    assert (await face.call("GET", "/v1/types", token=token)).status == 200
    secret = keys.parse(token)
    assert secret is not None
    await face.store.catalogue.revoke_key(secret.key_id, face.clock.now())
    await face.clock.advance(1)
    assert (await face.call("GET", "/v1/types", token=token)).problem.code == "unauthorized"
    assert (await face.call("POST", "/v1/notifications", ASKED, token=token)).problem.code == "unauthorized"


NEEDED: list[tuple[str, str, Scope]] = [
    ("POST", "/v1/notifications", "send"),
    ("POST", "/v1/notifications/batch", "send"),
    ("POST", "/v1/notifications/x/cancel", "send"),
    ("GET", "/v1/notifications", "read"),
    ("GET", "/v1/notifications/x", "read"),
    ("GET", "/v1/notifications/x/why", "read"),
    ("GET", "/v1/notifications/x/trace", "read"),
    ("PUT", "/v1/recipients/ada", "manage"),
    ("POST", "/v1/recipients/batch", "manage"),
    ("GET", "/v1/recipients/ada", "read"),
    ("DELETE", "/v1/recipients/ada", "manage"),
    ("GET", "/v1/recipients/ada/preferences", "read"),
    ("PUT", "/v1/recipients/ada/preferences", "manage"),
    ("GET", "/v1/recipients/ada/inbox", "read"),
    ("POST", "/v1/recipients/ada/inbox/mark", "manage"),
    ("PUT", "/v1/suppressions/a", "manage"),
    ("GET", "/v1/suppressions/a", "read"),
    ("DELETE", "/v1/suppressions/a", "manage"),
    ("GET", "/v1/types", "read"),
    ("PUT", "/v1/types/t", "manage"),
    ("GET", "/v1/types/t", "read"),
    ("GET", "/v1/templates", "read"),
    ("PUT", "/v1/templates/t", "manage"),
    ("GET", "/v1/templates/t", "read"),
    ("POST", "/v1/templates/t/preview", "read"),
    ("GET", "/v1/dead-letters", "operate"),
    ("POST", "/v1/dead-letters/replay", "operate"),
    ("POST", "/v1/dead-letters/discard", "operate"),
    ("GET", "/v1/breakers", "operate"),
    ("POST", "/v1/breakers/fcm/open", "operate"),
    ("GET", "/v1/levers", "operate"),
    ("POST", "/v1/levers/pause", "operate"),
    ("POST", "/v1/levers/resume", "operate"),
    ("POST", "/v1/levers/prefer", "operate"),
    ("POST", "/v1/levers/rate", "operate"),
    ("GET", "/v1/audit", "operate"),
    ("GET", "/v1/providers", "operate"),
    ("GET", "/v1/queue", "operate"),
    ("POST", "/v1/queue/skip-expired", "operate"),
    ("POST", "/v1/token-cleanup", "operate"),
    ("POST", "/v1/providers/fcm/test", "operate"),
    ("GET", "/v1/ledger", "read"),
    ("GET", "/v1/diagnosis", "operate"),
    ("POST", "/v1/probes", "operate"),
]


async def test_each_route_needs_its_scope(face: Face) -> None:
    tokens = {scope: await face.key(scopes=[scope]) for scope in SCOPES}
    for method, path, needed in NEEDED:
        for scope, token in tokens.items():
            answer = await face.call(method, path, {}, token=token)
            allowed = scope in (needed, "admin")
            assert (answer.status != 403) == allowed, (method, path, scope, answer.status)
            if not allowed:
                assert f"`{needed}`" in answer.problem.detail


async def test_every_documented_route_is_in_the_table_of_scopes(face: Face) -> None:
    document = (await face.call("GET", "/openapi.json")).json
    documented = {
        (method.upper(), path) for path, item in document["paths"].items() for method in item if path.startswith("/v1/")
    }
    assert len(documented) == len(NEEDED)


async def test_one_tenant_sees_nothing_of_another(face: Face) -> None:
    other = await face.key("globex", scopes=["send", "read", "manage", "operate"])
    later = ASKED | {"send_at": rfc3339(START + 86_400_000)}
    number = (await face.call("POST", "/v1/notifications", later)).json["id"]
    await face.call("PUT", "/v1/suppressions/x@example.com", {})
    hidden = [
        ("GET", f"/v1/notifications/{number}"),
        ("GET", f"/v1/notifications/{number}/why"),
        ("POST", f"/v1/notifications/{number}/cancel"),
        ("GET", "/v1/recipients/ada"),
        ("GET", "/v1/recipients/ada/inbox"),
        ("DELETE", "/v1/recipients/ada"),
        ("GET", "/v1/suppressions/x@example.com"),
        ("DELETE", "/v1/suppressions/x@example.com"),
        ("GET", "/v1/types/order_shipped"),
        ("GET", "/v1/templates/order_shipped"),
    ]
    for method, path in hidden:
        assert (await face.call(method, path, token=other)).problem.status == 404, path
    assert (await face.call("GET", "/v1/notifications", token=other)).json["notifications"] == []
    assert (await face.call("GET", "/v1/types", token=other)).json["types"] == []
    assert (await face.call("GET", "/v1/ledger", token=other)).json["accepted"] == 0
    assert (await face.call("GET", f"/v1/notifications/{number}")).json["state"] == "waiting"


async def test_environments_of_a_tenant_are_apart(face: Face) -> None:
    other = await face.key(environment="prod")
    assert (await face.call("GET", "/v1/recipients/ada", token=other)).problem.code == "recipient_not_found"
