"""A simulator process as its clients see it: ways to call its providers, and a receiver for its callbacks."""

import base64
import contextlib
import http.client
import http.server
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

from bellhouse.simulator.client import SimulatorClient

NOTIFICATION = "01890a5d-ac96-774b-bcce-b302099a8000"
DELIVERY = "01890a5d-ac96-774b-bcce-b302099a8001"
DEADLINE_S = 10.0


def eventually(condition: Callable[[], Any]) -> Any:
    """The first true value of `condition`, which must come before the deadline."""
    ends = time.monotonic() + DEADLINE_S
    while time.monotonic() < ends:
        value = condition()
        if value:
            return value
        threading.Event().wait(0.005)
    raise AssertionError("the condition did not come true in time")


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def call(url: str, method: str, path: str, body: bytes | str | None = None, **headers: str) -> Answer:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=DEADLINE_S)
    with contextlib.closing(connection):
        connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())


@dataclass
class Outside:
    """The simulated outside world as its clients see it."""

    ready: dict[str, Any]
    client: SimulatorClient
    process: subprocess.Popen[str]
    _token: str = ""
    known: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.known = self.client.credentials()

    @property
    def fcm_path(self) -> str:
        return f"/v1/projects/{self.known['fcm']['service_account']['project_id']}/messages:send"

    def assertion(self, **changes: Any) -> str:
        account = self.known["fcm"]["service_account"]
        now = int(time.time())
        claims = {
            "iss": account["client_email"],
            "aud": account["token_uri"],
            "scope": "https://www.googleapis.com/auth/firebase.messaging",
            "iat": now,
            "exp": now + 3600,
        } | changes
        header = {"alg": "RS256", "kid": account["private_key_id"]}
        return jwt.encode(header, claims, RSAKey.import_key(account["private_key"]))

    def grant(self, assertion: str) -> Answer:
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}
        return call(self.known["fcm"]["plain_base_url"], "POST", "/token", urlencode(form))

    def bearer(self) -> str:
        if not self._token:
            self._token = f"Bearer {self.grant(self.assertion()).json()['access_token']}"
        return self._token

    def push(self, message: dict[str, Any] | None = None, bearer: str | None = None, **beside: Any) -> Answer:
        body = json.dumps({"message": message or fcm_message()} | beside)
        return self.push_raw(body, bearer)

    def push_raw(self, body: str, bearer: str | None = None) -> Answer:
        authorization = bearer or self.bearer()
        return call(self.known["fcm"]["plain_base_url"], "POST", self.fcm_path, body, Authorization=authorization)

    def twilio(
        self, method: str = "POST", rest: str = "Messages.json", password: str | None = None, **form: str
    ) -> Answer:
        known = self.known["twilio"]
        secret = base64.b64encode(f"{known['account_sid']}:{password or known['auth_token']}".encode()).decode()
        path = f"/2010-04-01/Accounts/{known['account_sid']}/{rest}"
        body = None
        if method == "POST":
            body = urlencode({"To": "+447700900123", "From": known["from"], "Body": "hello"} | form)
        return call(
            known["base_url"],
            method,
            path,
            body,
            Authorization=f"Basic {secret}",
            Content_Type="application/x-www-form-urlencoded",
        )

    def vonage(self, **form: str) -> Answer:
        known = self.known["vonage"]
        fields = {
            "api_key": known["api_key"],
            "api_secret": known["api_secret"],
            "from": known["from"],
            "to": "447700900123",
            "text": "hello",
            "client-ref": f"{DELIVERY.replace('-', '')}-1",
        } | form
        return call(known["base_url"], "POST", "/sms/json", urlencode({k: v for k, v in fields.items() if v}))

    def sendgrid(self, key: str | None = None, **changes: Any) -> Answer:
        known = self.known["sendgrid"]
        return call(
            known["base_url"],
            "POST",
            "/v3/mail/send",
            json.dumps(sendgrid_mail() | changes),
            Authorization=f"Bearer {key or known['api_key']}",
        )

    def reset(self) -> None:
        self.client.reset()
        self.client.set_account(None)
        self._token = ""

    def verdicts(self) -> list[str]:
        return [row["verdict"] for row in self.client.receipts()]


def fcm_message(**changes: Any) -> dict[str, Any]:
    data = {"delivery_id": DELIVERY, "notification_id": NOTIFICATION, "attempt": "2", "receipt": "opaque"}
    return {"token": "token-1", "notification": {"title": "t", "body": "b"}, "data": data} | changes


def sendgrid_mail() -> dict[str, Any]:
    return {
        "from": {"email": "shop@example.com"},
        "subject": "Your order",
        "content": [{"type": "text/plain", "value": "It is on its way."}],
        "personalizations": [
            {
                "to": [{"email": "ann@example.org"}],
                "custom_args": {"delivery_id": DELIVERY, "notification_id": NOTIFICATION, "attempt": "1"},
            }
        ],
    }


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[Outside]:
    """A simulator process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bellhouse.simulator", *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        yield Outside(ready, SimulatorClient(ready["url"]), process)
    finally:
        process.terminate()
        process.wait(DEADLINE_S)
        assert process.stdout is not None
        process.stdout.close()


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """An HTTP server that keeps what it is sent and answers as told."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.statuses: list[int] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status = receiver.statuses.pop(0) if receiver.statuses else 204
                receiver.received.append(Received(self.path, headers, body))
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def wait_for(self, count: int) -> list[Received]:
        eventually(lambda: len(self.received) >= count)
        return self.received

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
