"""A doorbell between two processes of one machine: events inside the process, datagrams to the one beside it."""

import asyncio
from collections import defaultdict
from socket import socket
from typing import Final

_LARGEST_DATAGRAM: Final = 65_536


class LocalDoorbell:
    """Rings the topics that are waited for in this process here, and all others at the peer.

    `own` are the topics with a waiter in this process; None, or no peer, means all of them. `peer` is one end of a
    `socketpair(AF_UNIX, SOCK_DGRAM)`, which the doorbell takes over and closes.
    """

    def __init__(self, own: frozenset[str] | None = None, peer: socket | None = None) -> None:
        self._own = own
        self._peer = peer
        self._rung: set[str] = set()
        self._waiters: defaultdict[str, list[asyncio.Future[None]]] = defaultdict(list)
        self._unsent: frozenset[str] = frozenset()
        self._loop: asyncio.AbstractEventLoop | None = None
        if peer is not None:
            peer.setblocking(False)

    def open(self) -> None:
        """Listen to the peer; call it on the running event loop."""
        self._loop = asyncio.get_running_loop()
        if self._peer is not None:
            self._loop.add_reader(self._peer.fileno(), self._heard)

    def close(self) -> None:
        """Stop listening and close the peer's socket. Calling it twice is lawful."""
        if self._peer is not None:
            if self._loop is not None:
                self._loop.remove_reader(self._peer.fileno())
                self._loop.remove_writer(self._peer.fileno())
            self._peer.close()
            self._peer = None

    def ring(self, topics: frozenset[str]) -> None:
        """Wake the waiters of `topics`, here or at the peer."""
        if self._peer is None or self._own is None:
            self._ring_here(topics)
            return
        self._ring_here(topics & self._own)
        elsewhere = topics - self._own
        if elsewhere:
            self._unsent |= elsewhere
            self._send()

    async def wait(self, topic: str, timeout_s: float) -> None:
        """Return as soon as `topic` has rung since the last `wait`, or after `timeout_s`."""
        if topic in self._rung:
            self._rung.discard(topic)
            return
        loop = asyncio.get_running_loop()
        rung = loop.create_future()
        self._waiters[topic].append(rung)
        timer = loop.call_later(timeout_s, _wake, rung)
        try:
            await rung
        finally:
            timer.cancel()
            self._forget(topic, rung)

    def _ring_here(self, topics: frozenset[str]) -> None:
        for topic in topics:
            waiters = self._waiters.pop(topic, None)
            if waiters is None:
                self._rung.add(topic)
                continue
            for waiter in waiters:
                _wake(waiter)

    def _forget(self, topic: str, rung: "asyncio.Future[None]") -> None:
        """Take back a wait that nobody has answered."""
        waiters = self._waiters.get(topic)
        if waiters and rung in waiters:
            waiters.remove(rung)
            if not waiters:
                del self._waiters[topic]

    def _send(self) -> None:
        """Send what has to ring at the peer; where its socket is full, as soon as there is room."""
        if self._peer is None or not self._unsent:
            return
        try:
            self._peer.send(",".join(self._unsent).encode())
        except BlockingIOError:
            self._send_later()
            return
        except OSError:
            # The peer is dead: it polls every topic when it comes back.
            pass
        self._unsent = frozenset()

    def _send_later(self) -> None:
        if self._loop is not None and self._peer is not None:
            self._loop.add_writer(self._peer.fileno(), self._room)

    def _room(self) -> None:
        if self._loop is not None and self._peer is not None:
            self._loop.remove_writer(self._peer.fileno())
        self._send()

    def _heard(self) -> None:
        """Take everything that has been rung and ring it here, each topic once."""
        heard: set[str] = set()
        while self._peer is not None:
            try:
                data = self._peer.recv(_LARGEST_DATAGRAM)
            except OSError:
                break
            heard.update(data.decode().split(","))
        self._ring_here(frozenset(heard - {""}))


def _wake(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
