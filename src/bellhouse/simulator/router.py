"""Which counter takes a call, by its path."""

from collections.abc import Mapping
from typing import Protocol

from bellhouse.simulator.receipts import Provider
from bellhouse.simulator.wire import Exchange, Handler, RequestHead, json_reply

_NOT_FOUND = json_reply(404, {"error": "no provider here knows this method and path"})


class Counter(Protocol):
    """Something that knows the handlers of its own paths."""

    def route(self, method: str, path: str) -> Handler | None:
        """The handler, or None when the path is not one of ours."""


class Router:
    """Asks one counter after the other."""

    def __init__(self, counters: Mapping[Provider, Counter], control: Counter) -> None:
        self._counters = counters
        self._control = control

    def everything(self, method: str, path: str) -> Handler:
        """All providers and the simulator's own API: the plain shared port."""
        return self._control.route(method, path) or self.providers(method, path)

    def providers(self, method: str, path: str) -> Handler:
        """All providers: the TLS port."""
        for counter in self._counters.values():
            handler = counter.route(method, path)
            if handler is not None:
                return handler
        return _nobody

    def only(self, provider: Provider, method: str, path: str) -> Handler:
        """One provider: its own port."""
        return self._counters[provider].route(method, path) or _nobody


def _nobody(_head: RequestHead, _body: bytes, exchange: Exchange) -> None:
    exchange.reply(_NOT_FOUND)
