"""The transport port over pyreqwest: HTTP/1.1 or HTTP/2, TLS, one base URL, a bounded number of calls in flight."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import cycle

import msgspec
from cryptography.x509 import load_pem_x509_certificates
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import DetailedPyreqwestError, PoolTimeoutError, RequestTimeoutError

from bellhouse.ports.provider import Exchange, NoAnswer, NotSent, Request, Response

_NOTHING_SENT = (
    "client error (Connect)",  # DNS, TCP or TLS: no request byte was written
    "client error (Canceled)",  # the pooled connection closed before it took the request
    "refused stream before processing",  # RST_STREAM REFUSED_STREAM (RFC 9113, 8.7)
    "connection error received: not a result of an error",  # a GOAWAY whose last stream is below ours (RFC 9113, 6.8)
)
"""Texts in the chain of causes that prove that the peer processed nothing.

The exceptions' classes prove nothing: pyreqwest 0.15 raises ConnectError for a reset after the request was written
and ConnectTimeoutError for a server that never answers. Whatever is not in this list may have been sent.
"""


class TransportConfig(msgspec.Struct, frozen=True):
    """How one base URL is reached."""

    base_url: str
    """Scheme, host, port and an optional path below which all requests' paths lie."""
    http2: bool = False
    """Offer h2 by ALPN; without TLS it is spoken with prior knowledge."""
    connections: int = 1
    """With h2: how many connections, since a peer's limit of streams (often 100) holds for each of them."""
    in_flight: int = 1000
    """How many calls may be under way at once, over all batches; more wait for their turn."""
    pool_wait_s: float = 5.0
    """How long a call waits for its turn before it is given up as not sent."""
    connect_timeout_s: float = 3.0
    idle_s: float = 55.0
    """How long an unused connection is kept; below the usual 60 s of load balancers, so that we close first."""
    ca_pem: bytes | None = None
    """A certificate authority to trust beside the public ones."""
    user_agent: str = "bellhouse"


class PyreqwestTransport:
    """One pool of connections. Redirects are not followed and the environment's proxies are not used."""

    def __init__(self, config: TransportConfig) -> None:
        """Opens nothing yet. Raises ValueError where the base URL or the certificate is none."""
        if not config.base_url.startswith(("https://", "http://")):
            raise ValueError("a base URL begins with https:// or http://")
        self._config = config
        self._base = config.base_url.rstrip("/")
        count = max(1, config.connections) if config.http2 else 1
        self._clients = [_client(config, count) for _ in range(count)]
        self._next: Iterator[Client] = cycle(self._clients)

    async def exchange(
        self, requests: Sequence[Request], report: Callable[[int, Exchange, float], None], timeout_s: float
    ) -> None:
        """Send all, report each as soon as its outcome is known; see the port."""
        indexed = enumerate(requests)
        workers = min(len(requests), self._config.in_flight)
        limit = timedelta(seconds=timeout_s)
        if workers <= 1:
            await self._drain(indexed, report, limit)
            return
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._drain(indexed, report, limit))

    async def close(self) -> None:
        """Close all connections; calls under way become unanswered."""
        for client in self._clients:
            await client.close()

    async def _drain(
        self,
        indexed: Iterator[tuple[int, Request]],
        report: Callable[[int, Exchange, float], None],
        limit: timedelta,
    ) -> None:
        """Take requests one after another until none is left; the iterator is shared by all workers of a batch."""
        clock = asyncio.get_running_loop().time
        for index, request in indexed:
            began = clock()
            outcome = await self._call(request, limit)
            report(index, outcome, clock() - began)

    async def _call(self, request: Request, limit: timedelta) -> Exchange:
        try:
            prepared = (
                next(self._next)
                .request(request.method, self._base + request.path)
                .timeout(limit)
                .headers(request.headers)
                .body_bytes(request.body)
                .build()
            )
        except ValueError as error:
            return NotSent(f"not an HTTP request: {type(error).__name__}", "request")
        try:
            response = await prepared.send()
            body = await response.bytes()
        except PoolTimeoutError:
            return NotSent("no connection was free in time", "pool")
        except RequestTimeoutError as error:
            return _failure(error, "timeout")
        except DetailedPyreqwestError as error:
            return _failure(error, "no_answer")
        return Response(response.status, dict(response.headers), body.to_bytes())


def _failure(error: DetailedPyreqwestError, code: str) -> NotSent | NoAnswer:
    causes = [cause["message"] for cause in error.details["causes"] or []]
    reason = causes[-1] if causes else error.message
    if any(proof in cause for cause in causes for proof in _NOTHING_SENT):
        return NotSent(reason)
    return NoAnswer(reason, code)


def _client(config: TransportConfig, count: int) -> Client:
    per_client = max(1, config.in_flight // count)
    builder = (
        ClientBuilder()
        .no_proxy()
        .follow_redirects(False)
        .referer(False)
        .user_agent(config.user_agent)
        .connect_timeout(timedelta(seconds=config.connect_timeout_s))
        .pool_timeout(timedelta(seconds=config.pool_wait_s))
        .pool_idle_timeout(timedelta(seconds=config.idle_s))
        .pool_max_idle_per_host(per_client)
        .max_connections(per_client)
    )
    if config.http2:
        builder = builder.http2(True).http2_adaptive_window(True)
        if config.base_url.startswith("http://"):
            builder = builder.http2_prior_knowledge()
    if config.ca_pem is not None:
        load_pem_x509_certificates(config.ca_pem)  # pyreqwest takes nonsense, and then trusts nobody
        builder = builder.add_root_certificate_pem(config.ca_pem)
    return builder.build()
