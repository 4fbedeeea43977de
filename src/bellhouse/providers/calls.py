"""One HTTP call per message of a batch: what cannot be written as a request is reported without a call."""

from collections.abc import Callable, Sequence

from bellhouse.domain.attempt import Permanent, Verdict
from bellhouse.ports.provider import Exchange, Message, Report, Request, Response, Transport


async def try_call(transport: Transport, request: Request, timeout_s: float) -> tuple[Exchange, float]:
    """One request with its answer, and how long that took in seconds."""
    answers: list[tuple[Exchange, float]] = []
    await transport.exchange([request], lambda _, answer, seconds: answers.append((answer, seconds)), timeout_s)
    return answers[0]


async def call_each(
    transport: Transport,
    batch: Sequence[Message],
    indexes: Sequence[int],
    request_of: Callable[[Message], Request | Permanent],
    answered: Callable[[int, Exchange, float], None],
    report: Report,
    timeout_s: float,
) -> None:
    """Call for the messages at `indexes`; `answered` gets each one's index in the batch with its exchange."""
    requests: list[Request] = []
    called: list[int] = []
    for index in indexes:
        request = request_of(batch[index])
        if isinstance(request, Permanent):
            report(index, request, 0.0)
        else:
            requests.append(request)
            called.append(index)
    await transport.exchange(
        requests, lambda place, exchange, seconds: answered(called[place], exchange, seconds), timeout_s
    )


async def ask(transport: Transport, request: Request, timeout_s: float) -> Response | None:
    """The answer to one question; None where none came, or it was no success."""
    answers: list[Exchange] = []
    await transport.exchange([request], lambda _index, answer, _seconds: answers.append(answer), timeout_s)
    answer = answers[0]
    return answer if isinstance(answer, Response) and 200 <= answer.status < 300 else None


async def send_each(
    transport: Transport,
    batch: Sequence[Message],
    request_of: Callable[[Message], Request | Permanent],
    verdict_of: Callable[[Exchange], Verdict],
    report: Report,
    timeout_s: float,
) -> None:
    """Call for every message and report what each answer means."""

    def answered(index: int, exchange: Exchange, seconds: float) -> None:
        report(index, verdict_of(exchange), seconds)

    await call_each(transport, batch, range(len(batch)), request_of, answered, report, timeout_s)
