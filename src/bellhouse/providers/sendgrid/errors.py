"""SendGrid's answers to mail/send read into verdicts."""

from bellhouse.domain.attempt import Accepted, AccountFault, Permanent, Throttled, Verdict
from bellhouse.ports.provider import Exchange, Response
from bellhouse.providers import rules

THROTTLE_WAIT_MS = 5_000
"""Where a 429 names no reset."""
BLOCK_WAIT_MS = 60_000
"""How long a temporary block for too many bad requests is left alone."""


def verdict_of(exchange: Exchange, now: int) -> Verdict:
    """What an exchange with SendGrid means; `now` in ms since the epoch."""
    if not isinstance(exchange, Response):
        return rules.unanswered(exchange)
    status = exchange.status
    if 200 <= status < 300:
        # The id is in a header; 200 is the sandbox, which gives none.
        return Accepted(message_id=exchange.headers.get("x-message-id"), code=str(status))
    reason = _reason(exchange.body)
    match status:
        case 401:
            # Also where the plan's credits are used up.
            return AccountFault(reason or "the API key was refused", "401")
        case 403 if "too many" in reason.lower():
            return Throttled(_wait(exchange, now, BLOCK_WAIT_MS), "403 blocked")
        case 403:
            return AccountFault(reason or "the sender or the key's scope was refused", "403")
        case 429:
            return Throttled(_wait(exchange, now, THROTTLE_WAIT_MS), "429")
        case 400 | 404 | 405 | 406 | 413:
            return Permanent(reason or "the provider refused it", str(status))
        case _:
            return rules.unlisted(exchange, now, reason)


def _wait(response: Response, now: int, otherwise_ms: int) -> int:
    named = rules.retry_after_ms(response.headers, now)
    if named is None:
        named = rules.reset_ms(response.headers, now)
    return rules.jittered(otherwise_ms) if named is None else named


def _reason(body: bytes) -> str:
    """The messages of all errors, with the field that each is about."""
    document = rules.json_object(body)
    errors = rules.objects_of(document.get("errors")) if document is not None else []
    texts = (": ".join(filter(None, (rules.text_of(e.get("field")), rules.text_of(e.get("message"))))) for e in errors)
    return "; ".join(texts)[:500]
