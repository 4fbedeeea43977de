"""What this machine does without Bellhouse: the limits that the figures are compared with."""

import random
import resource
import time
from pathlib import Path
from typing import Any

import apsw
import msgspec

from bellhouse.adapters.transport.pyreqwest import PyreqwestTransport, TransportConfig
from bellhouse.demo.processes import World
from bellhouse.ports.provider import Exchange, Request
from bellhouse.simulator.client import SimulatorClient

_BATCH = 500


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def bare_inserts(source: Path, target: Path, sample: int) -> float:
    """CPU µs per notification of inserting the very rows that Bellhouse wrote for the last `sample` notifications.

    Same tables, same order, `synchronous=FULL`, transactions of 500 rows a table, and nothing else: no parsing, no
    decision, no provider.
    """
    tables = {
        "notifications": "SELECT * FROM notifications ORDER BY id DESC LIMIT ?",
        "idempotency_keys": "SELECT * FROM idempotency_keys ORDER BY id DESC LIMIT ?",
        "recipient_notifications": "SELECT * FROM recipient_notifications ORDER BY id DESC LIMIT ?",
        "decisions": "SELECT * FROM decisions ORDER BY id DESC LIMIT ?",
        "delivery_events": "SELECT * FROM delivery_events ORDER BY id DESC LIMIT ?",
    }
    origin = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)
    copy = apsw.Connection(str(target))
    copy.execute("PRAGMA page_size=4096; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL")
    rows: dict[str, list[tuple[Any, ...]]] = {}
    for table, query in tables.items():
        copy.execute(origin.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (table,)).fetchall()[0][0])
        rows[table] = origin.execute(query, (sample,)).fetchall()[::-1]
    count = len(rows["notifications"])
    began = _cpu_s()
    for start in range(0, max(len(each) for each in rows.values()), _BATCH):
        with copy:
            for table, each in rows.items():
                part = each[start : start + _BATCH]
                if part:
                    copy.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * len(part[0]))})", part)
    used = _cpu_s() - began
    origin.close()
    copy.close()
    return 1e6 * used / count


async def bare_calls(world: World, count: int) -> tuple[float, float]:
    """CPU µs a call, and calls a second, of the HTTP client alone: FCM's request over TLS to the same simulator."""
    credentials = SimulatorClient(world.url).credentials()
    fcm = credentials["fcm"]
    token = await _access_token(fcm, credentials["ca_pem"].encode())
    transport = PyreqwestTransport(
        TransportConfig(
            fcm["base_url"], http2=True, connections=2, in_flight=4_000, ca_pem=credentials["ca_pem"].encode()
        )
    )
    path = f"/v1/projects/{fcm['service_account']['project_id']}/messages:send"
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    requests = [Request("POST", path, headers, _message(number)) for number in range(count)]
    failed = [0]

    def report(_: int, outcome: Exchange, __: float) -> None:
        failed[0] += getattr(outcome, "status", 0) != 200

    await transport.exchange(requests[:200], report, 30.0)
    failed[0] = 0
    began, since = _cpu_s(), time.perf_counter()
    await transport.exchange(requests, report, 30.0)
    used, seconds = _cpu_s() - began, time.perf_counter() - since
    await transport.close()
    if failed[0]:
        raise RuntimeError(f"{failed[0]} of {count} bare calls failed")
    return 1e6 * used / count, count / seconds


def _message(number: int) -> bytes:
    return msgspec.json.encode(
        {
            "message": {
                "token": f"bench{number:06d}:APA91b{'x' * 126}",
                "notification": {"title": f"Order A-{number:07d} is on its way", "body": "It arrives at 10:00."},
                "data": {"delivery_id": f"019aaf2c-4a7b-7c3e-9d53-{random.randrange(16**12):012x}", "attempt": "1"},
                "android": {"priority": "normal", "ttl": "86400s"},
            }
        }
    )


async def _access_token(fcm: dict[str, Any], ca: bytes) -> str:
    """An access token, as Google's own library asks for it."""
    from google.auth import jwt  # noqa: PLC0415 - needed here alone
    from google.auth.crypt import RSASigner  # noqa: PLC0415

    account = fcm["service_account"]
    now = int(time.time())
    claims = {
        "iss": account["client_email"],
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "aud": account["token_uri"],
        "iat": now,
        "exp": now + 3_600,
    }
    assertion = jwt.encode(RSASigner.from_service_account_info(account), claims).decode()
    body = f"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}".encode()
    base, _, path = account["token_uri"].rpartition("/")
    transport = PyreqwestTransport(TransportConfig(base, ca_pem=ca))
    answers: list[Exchange] = []
    headers = {"content-type": "application/x-www-form-urlencoded"}
    await transport.exchange([Request("POST", f"/{path}", headers, body)], lambda _, a, __: answers.append(a), 10.0)
    await transport.close()
    return str(msgspec.json.decode(getattr(answers[0], "body", b"{}"))["access_token"])
