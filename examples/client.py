"""The API with nothing but Python's standard library: one function, and one exception."""

import json
import os
import urllib.error
import urllib.request
from typing import Any

URL = os.environ.get("BELLHOUSE_URL", "http://127.0.0.1:8080")
KEY = os.environ["BELLHOUSE_KEY"]


class Refused(Exception):
    """An answer that is not a success: problem details (RFC 9457) with our `code`, `remedy` and `errors`."""

    def __init__(self, status: int, problem: dict[str, Any], retry_after_s: int | None) -> None:
        super().__init__(f"{status} {problem['code']}: {problem['detail']}")
        self.status = status
        self.problem = problem
        self.retry_after_s = retry_after_s


def call(method: str, path: str, body: object = None, **headers: str) -> Any:
    """Send JSON, get JSON. `Idempotency_Key="…"` becomes the header of that name. Raises Refused and OSError."""
    request = urllib.request.Request(
        URL + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {KEY}",
            "Content-Type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            raw = answer.read()
            return json.loads(raw) if raw else None
    except urllib.error.HTTPError as error:
        wait = error.headers.get("Retry-After")
        raise Refused(error.code, json.load(error), int(wait) if wait else None) from None


def furnish() -> None:
    """What the examples need: a template, a type of its name, and three recipients. Sending it twice changes nothing
    but the template's version."""
    words = {"title": "On its way", "body": "Order {{ order }} has left our house."}
    mail = {"subject": "Order {{ order }} is on its way", "text": "Order {{ order }} has left our house."}
    call(
        "PUT",
        "/v1/templates/example_shipped",
        {"locales": {"en": {"push": words, "in_app": words, "email": mail}}, "sample": {"order": "A-1"}},
    )
    call(
        "PUT",
        "/v1/types/example_shipped",
        {"category": "transactional", "priority": "high", "channels": ["push", "email", "in_app"]},
    )
    people = [
        {
            "user_id": f"example-{name}",
            "zone": "Europe/Paris",
            "contacts": [
                {"channel": "push", "address": f"{name}s-phone"},
                {"channel": "email", "address": f"{name}@example.com"},
            ],
        }
        for name in ("ada", "grace", "radia")
    ]
    call("POST", "/v1/recipients/batch", {"recipients": people})
