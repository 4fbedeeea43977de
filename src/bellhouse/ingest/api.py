"""`POST /v1/notifications` and `/v1/notifications/batch` as raw ASGI callables, which stand in front of the router."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec

from bellhouse.domain.ids import NotificationId, TenantNo, to_text
from bellhouse.domain.trace import answered_context, parse
from bellhouse.ingest.accept import Draft, Outcome, Refused, fingerprint, key_digest
from bellhouse.ingest.door import Door
from bellhouse.ingest.groupcommit import GroupCommit
from bellhouse.ingest.limits import Gate
from bellhouse.ingest.wire import (
    SINGLE,
    NotificationRequest,
    data_of,
    key_of,
    raw_items,
    refuse_repeats,
    times_of,
)
from bellhouse.ports.clock import Clock
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.store.ingest import Accepted, KeyReused
from bellhouse.ports.telemetry import Telemetry
from bellhouse.ports.tracing import NO_TRACING, Tracing
from bellhouse.web.auth import Caller, Keyring
from bellhouse.web.body import read_body, require_json
from bellhouse.web.decode import problem_of
from bellhouse.web.limits import Limits
from bellhouse.web.problems import FieldError, Problem, invalid, store_problem
from bellhouse.web.reply import Receive, Reply, Scope, Send, problem_reply

SINGLE_ROUTE: Final = "/v1/notifications"
BATCH_ROUTE: Final = "/v1/notifications/batch"
REPLAYED: Final = ((b"idempotent-replayed", b"true"),)
"""The header of an answer that was given before."""

_KEPT: Final = 64


class DryRun(Protocol):
    """Says what would become of a draft."""

    async def explain(self, draft: Draft) -> Reply:
        """The plan with its reasons and the rendered messages; writes nothing."""
        ...


class IngestApi:
    """Reads, validates, queues and answers the two hot requests."""

    def __init__(
        self,
        keyring: Keyring,
        commit: GroupCommit,
        gate: Gate,
        door: Door,
        dry_run: DryRun,
        clock: Clock,
        telemetry: Telemetry,
        limits: Limits,
        tracing: Tracing = NO_TRACING,
    ) -> None:
        self._keyring = keyring
        self._commit = commit
        self._gate = gate
        self._door = door
        self._dry_run = dry_run
        self._clock = clock
        self._telemetry = telemetry
        self._limits = limits
        self._tracing = tracing
        self._durations: list[float] = []

    async def single(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: accept one notification."""
        started = self._clock.monotonic()
        headers = dict(scope["headers"])
        try:
            caller = await self._caller(headers)
            body = await read_body(headers, receive, self._limits.body_bytes)
            reply = await self.accept_one(caller, headers, body, started)
        except (Problem, StoreUnavailable) as error:
            reply = self._refuse(error)
        await reply.send(send)
        self._time(SINGLE_ROUTE, reply.status, started)

    async def batch(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: accept a batch."""
        started = self._clock.monotonic()
        headers = dict(scope["headers"])
        try:
            caller = await self._caller(headers)
            body = await read_body(headers, receive, self._limits.batch_body_bytes)
            reply = await self.accept_batch(caller, headers, body, started)
        except (Problem, StoreUnavailable) as error:
            reply = self._refuse(error)
        await reply.send(send)
        self._time(BATCH_ROUTE, reply.status, started)

    async def accept_one(
        self, caller: Caller, headers: Mapping[bytes, bytes], body: bytes, began: float = 0.0
    ) -> Reply:
        """Answer one notification's body; `began`: when its request did (s, monotonic). Raises Problem and
        StoreUnavailable."""
        require_json(headers)
        try:
            request = SINGLE.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise problem_of(error, body, NotificationRequest) from error
        draft = self._draft(
            caller.tenant,
            request,
            body,
            self._clock.now(),
            headers.get(b"idempotency-key"),
            _context(headers),
            began,
        )
        if isinstance(draft, Refused):
            raise invalid(*draft.errors)
        if request.dry_run:
            return await self._dry_run.explain(draft)
        self._gate.admit(caller.tenant, 1)
        if self._door.narrow:
            (refused,) = await self._door.refusals((draft,))
            if refused is not None:
                raise refused
        outcome = await self._commit.one(draft)
        if isinstance(outcome, Refused | KeyReused):
            return problem_reply(_problem(outcome))
        identifier = b'{"id":"%b"}' % to_text(outcome.id).encode()
        if outcome.__struct_config__.tag == "repeated":
            return Reply(202, identifier, REPLAYED)
        return Reply(202, identifier, self._traced(outcome.id, draft.traceparent) if self._tracing.on else ())

    def _traced(self, notification: NotificationId, traceparent: str | None) -> tuple[tuple[bytes, bytes], ...]:
        """The header that tells the caller its trace; none where nothing is recorded and none was given."""
        text = traceparent or self._tracing.begin(notification)
        context = None if text is None else answered_context(notification, text)
        return () if context is None else ((b"traceparent", context.text.encode()),)

    async def accept_batch(
        self, caller: Caller, headers: Mapping[bytes, bytes], body: bytes, began: float = 0.0
    ) -> Reply:
        """Answer a batch's body, a result for each item. Raises Problem where nothing of it was taken."""
        require_json(headers)
        if b"idempotency-key" in headers:
            raise invalid(FieldError("Idempotency-Key", "not_in_batch", "give each item its own `idempotency_key`"))
        items = raw_items(body, self._limits)
        self._gate.admit(caller.tenant, len(items))
        self._commit.admit(len(items))
        results, drafts, places = self._open(caller.tenant, items, _context(headers), began)
        if drafts and self._door.narrow:
            drafts, places = await self._sift(results, drafts, places)
        outcomes = await self._commit.many(drafts) if drafts else []
        if outcomes and all(isinstance(outcome, Exception) for outcome in outcomes):
            raise outcomes[0]  # type: ignore[misc]  # all of them are exceptions
        for place, outcome in zip(places, outcomes, strict=True):
            results[place] = _result(outcome, place)
        return Reply(202, b'{"results":[' + b",".join(results) + b"]}")

    def _open(
        self, tenant: TenantNo, items: Sequence[msgspec.Raw], traceparent: str | None, began: float
    ) -> tuple[list[bytes], list[Draft], list[int]]:
        """The items as drafts with their places; a place whose item is faulty has its result already."""
        now = self._clock.now()
        decode_one = SINGLE.decode
        results: list[bytes] = [b""] * len(items)
        drafts: list[Draft] = []
        places: list[int] = []
        for place, item in enumerate(items):
            try:
                request = decode_one(item)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                results[place] = self._item_error(place, problem_of(error, bytes(item), NotificationRequest))
                continue
            draft = self._draft(tenant, request, item, now, None, traceparent, began)
            if request.dry_run:
                draft = Refused((FieldError("dry_run", "not_in_batch", "ask for it in a request of its own"),))
            if isinstance(draft, Refused):
                results[place] = self._item_error(place, invalid(*draft.errors))
                continue
            drafts.append(draft)
            places.append(place)
        return results, drafts, places

    def _draft(
        self,
        tenant: TenantNo,
        request: NotificationRequest,
        body: bytes | msgspec.Raw,
        now: int,
        key_header: bytes | None,
        traceparent: str | None,
        began: float,
    ) -> Draft | Refused:
        errors: list[FieldError] = []
        data = data_of(request, self._limits, errors)
        times = times_of(request, self._limits, now, errors)
        key = request.idempotency_key if key_header is None else key_of(request, key_header, errors)
        if request.channels is not None:
            refuse_repeats(request, errors)
        if errors:
            return Refused(tuple(errors))
        return Draft(
            tenant,
            request.user_id,
            request.type,
            request.priority,
            request.channels,
            data,
            times.ready_at,
            times.expires_at,
            request.collapse_key,
            key,
            None if key is None else key_digest(tenant, key),
            b"" if key is None else fingerprint(body),
            traceparent,
            began,
            self._clock.monotonic() if self._tracing.on else 0.0,
            request.campaign,
        )

    async def _sift(
        self, results: list[bytes], drafts: Sequence[Draft], places: Sequence[int]
    ) -> tuple[list[Draft], list[int]]:
        """Those that are let in, with their places; the others have their results. Raises Problem where all are
        turned away."""
        refusals = await self._door.refusals(drafts)
        turned_away = [refused for refused in refusals if refused is not None]
        if len(turned_away) == len(results):
            self._telemetry.rejected(turned_away[0].code, len(results) - 1)  # and one for the answer
            raise turned_away[0]
        let_in = []
        for draft, place, refused in zip(drafts, places, refusals, strict=True):
            if refused is None:
                let_in.append((draft, place))
            else:
                results[place] = self._item_error(place, refused)
        return [draft for draft, _ in let_in], [place for _, place in let_in]

    def _item_error(self, place: int, problem: Problem) -> bytes:
        self._telemetry.rejected(_reason_of(problem))
        return _error(place, problem)

    async def _caller(self, headers: Mapping[bytes, bytes]) -> Caller:
        caller = await self._keyring.caller(headers.get(b"authorization"))
        caller.needs("send")
        return caller

    def _refuse(self, error: Problem | StoreUnavailable) -> Reply:
        problem = error if isinstance(error, Problem) else store_problem(error)
        self._telemetry.rejected(_reason_of(problem))
        if problem.code == "degraded":
            self._telemetry.turned_away()
        return problem_reply(problem)

    def _time(self, route: str, status: int, started: float) -> None:
        """Note how long an answer took; those of single requests are handed on many at once."""
        took = self._clock.monotonic() - started
        if route != SINGLE_ROUTE or status != 202:
            self._telemetry.http_requests(route, status, (took,))
            return
        self._durations.append(took)
        if len(self._durations) >= _KEPT:
            self.flush()

    def flush(self) -> None:
        """Hand on what was noted; called before the metrics are read, too."""
        if self._durations:
            self._telemetry.http_requests(SINGLE_ROUTE, 202, self._durations)
            self._durations = []


def _context(headers: Mapping[bytes, bytes]) -> str | None:
    """The caller's trace context; one that is malformed is as good as none, as W3C Trace Context has it."""
    given = headers.get(b"traceparent")
    context = None if given is None else parse(given.decode("latin-1"))
    return None if context is None else context.text


def _result(outcome: Outcome | Exception, place: int) -> bytes:
    """One item's result as JSON."""
    if type(outcome) is Accepted:
        return b'{"id":"%b"}' % to_text(outcome.id).encode()
    if isinstance(outcome, Exception):
        problem = store_problem(outcome) if isinstance(outcome, StoreUnavailable) else Problem("internal_error")
        return _error(place, problem)
    if isinstance(outcome, Refused | KeyReused):
        return _error(place, _problem(outcome))
    return b'{"id":"%b"}' % to_text(outcome.id).encode()


def _problem(outcome: Refused | KeyReused) -> Problem:
    return invalid(*outcome.errors) if isinstance(outcome, Refused) else Problem("idempotency_key_reused")


def _error(place: int, problem: Problem) -> bytes:
    """A faulty item's result, its fields named from the body's root."""
    item = f"notifications[{place}]"
    errors = (
        FieldError(f"{item}.{fault.field}" if fault.field else item, fault.code, fault.message)
        for fault in problem.errors
    )
    return b'{"error":%b}' % Problem(problem.code, problem.detail, errors).body


def _reason_of(problem: Problem) -> str:
    """The `reason` label: the first faulty field's code, else the problem's own."""
    return problem.errors[0].code if problem.errors else problem.code
