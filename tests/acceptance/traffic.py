"""Traffic that keeps an account: every notification is asked for until it is answered, and every answer is kept."""

import random
import threading
from collections.abc import Sequence
from typing import Any

from tests.acceptance.house import House
from tests.acceptance.people import DATA, Person, person

PUSH, SMS, EMAIL, IN_APP = ("push",), ("sms",), ("email",), ("in_app",)
MIX = (
    ("order", PUSH),
    ("order", PUSH),
    ("order", SMS),
    ("order", EMAIL),
    ("order", IN_APP),
    ("news", PUSH),
    ("promo", PUSH),
    ("alert", PUSH),
    ("alert", SMS),
)
"""What the trickle is made of: every lane, every channel, both policies for the unknown outcome."""

_PACE_S = 0.03
_AGAIN_S = 0.05
_TRIES = 400


class Traffic:
    """Callers of one house; `accepted` is what they were promised."""

    def __init__(self, house: House, seed: int, callers: int = 2) -> None:
        self._house = house
        self._lock = threading.Lock()
        self._count = 0
        self._stopping = threading.Event()
        self.accepted: dict[str, str] = {}
        """Every id that was answered with 202, with its type."""
        client = house.client()
        consent = {"consent": {"marketing": {"given": True, "source": "test"}}}
        self.people: Sequence[Person] = [person(client, preferences=consent) for _ in range(30)]
        self._callers = [
            threading.Thread(target=self._trickle, args=(random.Random(seed + n),), daemon=True) for n in range(callers)
        ]

    def __enter__(self) -> "Traffic":
        for caller in self._callers:
            caller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for caller in self._callers:
            caller.join(60)

    def body(self, kind: str, channels: Sequence[str], rng: random.Random, **fields: object) -> dict[str, Any]:
        """A request with a key of its own, so that it can be repeated until it is answered."""
        with self._lock:
            self._count += 1
            key = f"key-{self._count}"
        who = rng.choice(self.people).id
        return {"user_id": who, "type": kind, "channels": channels, "data": DATA, "idempotency_key": key, **fields}

    def single(self, body: dict[str, Any]) -> str:
        """Send one, whatever happens to the server meanwhile."""
        identifier: str = self._until_answered("/v1/notifications", body)["id"]
        with self._lock:
            self.accepted[identifier] = body["type"]
        return identifier

    def batch(self, bodies: Sequence[dict[str, Any]]) -> list[str]:
        """Send a batch, whatever happens to the server meanwhile; items that failed are sent again."""
        results = self._until_answered("/v1/notifications/batch", {"notifications": bodies})["results"]
        ids = []
        for body, result in zip(bodies, results, strict=True):
            if "id" not in result:
                assert result["error"]["status"] == 503, result
                ids.append(self.single(body))
                continue
            ids.append(result["id"])
            with self._lock:
                self.accepted[result["id"]] = body["type"]
        return ids

    def _until_answered(self, path: str, body: object) -> Any:
        client = self._house.client()
        for _ in range(_TRIES):
            try:
                answer = client.ask("POST", path, body)
            except OSError:
                self._stopping.wait(_AGAIN_S)
                continue
            if answer.status == 202:
                return answer.json
            assert answer.status == 503, answer
            self._stopping.wait(_AGAIN_S)
        raise AssertionError(f"{path} was never answered")

    def _trickle(self, rng: random.Random) -> None:
        while not self._stopping.wait(_PACE_S):
            self.single(self.body(*rng.choice(MIX), rng))
