"""Puts one simulator together and opens its doors."""

import asyncio
import os
import random
import ssl
from functools import partial

from msgspec import Struct

from bellhouse.simulator import fcm, sendgrid, smtp, twilio, vonage
from bellhouse.simulator.callback_client import CallbackClient
from bellhouse.simulator.callbacks import Office
from bellhouse.simulator.clock import monotonic
from bellhouse.simulator.control import Control
from bellhouse.simulator.credentials import Ports, load, published, tls_context
from bellhouse.simulator.desk import Desk
from bellhouse.simulator.dials import Board, Dials, FcmDials
from bellhouse.simulator.door import ALPN, Door
from bellhouse.simulator.http1 import Resolve
from bellhouse.simulator.http2 import Manners
from bellhouse.simulator.listener import Listener, bind
from bellhouse.simulator.oauth import TokenDesk
from bellhouse.simulator.options import Options
from bellhouse.simulator.receipts import PROVIDERS, Provider, Receipts
from bellhouse.simulator.roster import Roster
from bellhouse.simulator.router import Counter, Router
from bellhouse.simulator.smtp_session import SmtpSession
from bellhouse.simulator.wheel import Wheel

_HTTP: tuple[Provider, ...] = ("fcm", "sendgrid", "twilio", "vonage")
_SWEEP_MS = 1000.0


class Ready(Struct, frozen=True, kw_only=True):
    """What a started simulator tells: its ports and URLs."""

    ready: bool
    pid: int
    port: int
    tls_port: int
    smtp_port: int
    provider_ports: dict[str, int]
    url: str
    tls_url: str


class World:
    """One simulator, on the running event loop."""

    def __init__(self, options: Options) -> None:
        loop = asyncio.get_running_loop()
        self._options = options
        self._known = load(options.dir, options.public_host)
        rng = random.Random(options.seed)
        self._receipts = Receipts(options.receipts_kept, options.receipts, loop.call_soon)
        self._board = Board(
            {
                "fcm": fcm.ERRORS,
                "sendgrid": sendgrid.ERRORS,
                "twilio": [*twilio.ERRORS, *twilio.FAILURES],
                "vonage": vonage.ERRORS,
                "smtp": smtp.ERRORS,
            },
            {
                "fcm": fcm.FAILURES,
                "sendgrid": sendgrid.FAILURES,
                "twilio": twilio.FAILURES,
                "vonage": vonage.FAILURES,
                "smtp": smtp.FAILURES,
            },
        )
        self._wheel = Wheel(loop)
        self._client = CallbackClient(options.callback_connections)
        self._office = Office(Wheel(loop), self._client, rng, options.callback_queue)
        self._office.base = options.callback_base_url
        desks = {name: Desk(name, self._board, self._receipts, self._wheel, rng) for name in PROVIDERS}
        self._tokens = TokenDesk(self._known)
        self._fcm = fcm.Fcm(desks["fcm"], self._office, self._tokens, self._known)
        self._sendgrid = sendgrid.Sendgrid(desks["sendgrid"], self._office, self._known)
        self._twilio = twilio.Twilio(desks["twilio"], self._office, self._known)
        self._vonage = vonage.Vonage(desks["vonage"], self._office, self._known)
        self._board.listen("twilio", self._twilio.purse.tune)
        self._board.listen("vonage", self._vonage.purse.tune)
        self._relay = smtp.Relay(desks["smtp"], self._office, self._known)
        self._board.listen("fcm", self._fcm.tune)
        counters: dict[Provider, Counter] = {
            "fcm": self._fcm,
            "sendgrid": self._sendgrid,
            "twilio": self._twilio,
            "vonage": self._vonage,
        }
        self._control = Control(self._board, self._receipts, self._office, self.reset)
        self._router = Router(counters, self._control)
        self._manners = Manners()
        self._board.listen("fcm", self._tune_http2)
        self._listeners: list[Listener] = []

    def reset(self) -> None:
        """Dials to their defaults; receipts, tokens, messages and pending callbacks gone; counts at zero."""
        self._board.reset()
        self._receipts.reset()
        self._tokens.reset()
        self._office.reset()
        self._sendgrid.reset()
        self._twilio.reset()
        self._vonage.purse.refill()
        self._relay.reset()

    async def open(self) -> Ready:
        """Listen on every port; raises OSError in words when one is taken."""
        options = self._options
        shared = self._listener(options.port, self._router.everything)
        base = options.port
        own = {
            name: self._listener(base and base + 1 + index, partial(self._router.only, name))
            for index, name in enumerate(_HTTP)
        }
        tls_port = options.tls_port if options.tls_port is not None else base and base + 5
        secure = self._listener(tls_port, self._router.providers, tls_context(self._known, ALPN))
        smtp_port = options.smtp_port if options.smtp_port is not None else base and base + 6
        mail = self._smtp_listener(smtp_port)
        for listener in self._listeners:
            await listener.start()
        self._board.listen("smtp", partial(_shut_doors, [mail]))
        for name in _HTTP:
            # TLS is how FCM is reached, so its port goes down with FCM.
            doors = [own[name], secure] if name == "fcm" else [own[name]]
            self._board.listen(name, partial(_shut_doors, doors))
        ports = Ports(
            host=options.public_host,
            http={name: listener.port for name, listener in own.items()},
            tls=secure.port,
            smtp=mail.port,
        )
        self._control.credentials = published(self._known, ports)
        self._tokens.audiences |= {f"{ports.tls_url}/token", f"{ports.url('fcm')}/token"}
        self._tokens.audiences.add(f"http://{ports.host}:{shared.port}/token")
        self._sweep()
        return _ready(ports, shared.port)

    def _listener(self, port: int, resolve: Resolve, tls: ssl.SSLContext | None = None) -> Listener:
        roster = Roster(self._options.max_connections)
        door = Door(resolve, roster, self._manners)
        protocol = door.http1 if tls is None else door.by_alpn
        listener = Listener(bind(self._options.host, port), protocol, roster, tls)
        self._listeners.append(listener)
        return listener

    def _smtp_listener(self, port: int) -> Listener:
        roster, tls = Roster(self._options.max_connections), tls_context(self._known, [])
        listener = Listener(bind(self._options.host, port), partial(SmtpSession, self._relay, roster, tls), roster)
        self._listeners.append(listener)
        return listener

    def _tune_http2(self, dials: Dials) -> None:
        assert isinstance(dials, FcmDials)
        self._manners.calls_per_connection = dials.calls_per_connection

    def _sweep(self) -> None:
        now = monotonic()
        for listener in self._listeners:
            listener.roster.cut_overdue(now)
        self._client.cut_overdue()
        self._wheel.later(_SWEEP_MS, self._sweep)

    def close(self) -> None:
        """Close every door and write what is left to write."""
        for listener in self._listeners:
            listener.close()
        self._client.close()
        self._receipts.flush()


def _shut_doors(doors: list[Listener], dials: Dials) -> None:
    for door in doors:
        door.set_open(dials.outage != "refuse")


def _ready(ports: Ports, shared: int) -> Ready:
    return Ready(
        ready=True,
        pid=os.getpid(),
        port=shared,
        tls_port=ports.tls,
        smtp_port=ports.smtp,
        provider_ports=ports.http,
        url=f"http://{ports.host}:{shared}",
        tls_url=ports.tls_url,
    )
