"""The simulator's own HTTP API: credentials, dials, receipts, account, reset, health."""

from collections.abc import Callable
from urllib.parse import parse_qs

import msgspec
from msgspec import Struct

from bellhouse.simulator.callback_client import target_of
from bellhouse.simulator.callbacks import Office
from bellhouse.simulator.dials import Board, DialError
from bellhouse.simulator.receipts import PROVIDERS, Receipts
from bellhouse.simulator.wire import JSON, Exchange, Handler, Reply, ReplyHead, RequestHead, json_reply

_NDJSON = ReplyHead(200, ("content-type", "application/x-ndjson"))
_JSON_HEAD = ReplyHead(200, JSON)


class Account(Struct, frozen=True, forbid_unknown_fields=True):
    """Where account-level callbacks go; None sends none."""

    callback_base_url: str | None = None


class Control:
    """The handlers of the simulator's own paths."""

    def __init__(self, board: Board, receipts: Receipts, office: Office, reset: Callable[[], None]) -> None:
        self._board = board
        self._receipts = receipts
        self._office = office
        self._reset = reset
        self.credentials = b"{}"
        self._routes: dict[tuple[str, str], Handler] = {
            ("GET", "/healthz"): self._health,
            ("GET", "/credentials"): self._show_credentials,
            ("GET", "/dials"): self._show_dials,
            ("GET", "/receipts"): self._show_receipts,
            ("GET", "/receipts/summary"): self._show_summary,
            ("GET", "/callbacks/pending"): self._show_pending,
            ("GET", "/account"): self._show_account,
            ("PUT", "/account"): self._set_account,
            ("POST", "/reset"): self._start_over,
        }

    def route(self, method: str, path: str) -> Handler | None:
        """The handler of one of the simulator's own paths."""
        if path.startswith("/dials/") and method in ("GET", "PUT", "PATCH"):
            return self._one_dial
        return self._routes.get((method, path))

    def _health(self, _head: RequestHead, _body: bytes, exchange: Exchange) -> None:
        exchange.reply(json_reply(200, {"status": "ok"}))

    def _show_credentials(self, _head: RequestHead, _body: bytes, exchange: Exchange) -> None:
        exchange.reply(Reply(_JSON_HEAD, self.credentials))

    def _show_dials(self, _head: RequestHead, _body: bytes, exchange: Exchange) -> None:
        exchange.reply(json_reply(200, self._board.all()))

    def _one_dial(self, head: RequestHead, body: bytes, exchange: Exchange) -> None:
        name = head.path.removeprefix("/dials/")
        provider = next((each for each in PROVIDERS if each == name), None)
        if provider is None:
            exchange.reply(_problem(404, "provider", f"no provider {name!r}; there are {', '.join(PROVIDERS)}"))
        elif head.method == "GET":
            exchange.reply(json_reply(200, self._board.get(provider)))
        else:
            try:
                dials = self._board.turn(provider, _decoded(body))
            except DialError as error:
                exchange.reply(_problem(400, error.field, str(error)))
            else:
                exchange.reply(json_reply(200, dials))

    def _show_receipts(self, head: RequestHead, _body: bytes, exchange: Exchange) -> None:
        since = parse_qs(head.query).get("since", ["0"])[0]
        if not since.isascii() or not since.isdigit():
            exchange.reply(_problem(400, "since", "a sequence number is needed: digits only"))
            return
        exchange.stream(_NDJSON, self._receipts.lines(int(since[:18])))

    def _show_summary(self, _head: RequestHead, _body: bytes, exchange: Exchange) -> None:
        exchange.reply(json_reply(200, self._receipts.summary()))

    def _show_pending(self, _head: RequestHead, _body: bytes, exchange: Exchange) -> None:
        exchange.reply(json_reply(200, self._office.pending()))

    def _show_account(self, _head: RequestHead, _body: bytes, exchange: Exchange) -> None:
        exchange.reply(json_reply(200, Account(self._office.base)))

    def _set_account(self, _head: RequestHead, body: bytes, exchange: Exchange) -> None:
        try:
            account = msgspec.convert(_decoded(body), Account)
        except (msgspec.ValidationError, DialError) as error:
            exchange.reply(_problem(400, "callback_base_url", str(error)))
            return
        url = account.callback_base_url
        if url is not None and target_of(url) is None:
            exchange.reply(_problem(400, "callback_base_url", "an http:// URL is needed"))
            return
        self._office.base = url
        exchange.reply(json_reply(200, account))

    def _start_over(self, _head: RequestHead, _body: bytes, exchange: Exchange) -> None:
        self._reset()
        exchange.reply(json_reply(200, {"status": "reset"}))


def _decoded(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DialError("", f"not JSON: {error}") from error


def _problem(status: int, field: str, message: str) -> Reply:
    return json_reply(status, {"error": {"field": field, "message": message}})
