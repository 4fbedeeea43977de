"""Send so that nothing is lost and nothing doubled: repeat with the same key until there is an answer.

What a careful caller does with each kind of answer: a success ends it, 429 and 503 wait as they say, a lost
connection is repeated (the key makes that safe), and any other refusal is a mistake that repeating cannot mend.
"""

import time

from client import Refused, call, furnish


def send(notification: dict[str, object], key: str, tries: int = 8) -> str:
    """The id of the notification, however often it had to be asked for. Raises Refused for what cannot succeed."""
    pause = 0.2
    for left in reversed(range(tries)):
        try:
            identifier: str = call("POST", "/v1/notifications", notification, Idempotency_Key=key)["id"]
            return identifier
        except Refused as refused:
            if refused.status not in (408, 429, 500, 503) or not left:
                raise
            time.sleep(refused.retry_after_s or pause)
        except OSError:
            if not left:
                raise
            time.sleep(pause)
        pause *= 2
    raise AssertionError("unreachable: the last try returns or raises")


furnish()
order = {"user_id": "example-ada", "type": "example_shipped", "data": {"order": "A-1500"}}
first = send(order, "order-A-1500-shipped")
again = send(order, "order-A-1500-shipped")
print(f"asked twice, sent once: {first == again}")
try:
    send({**order, "data": {"order": "B-1"}}, "order-A-1500-shipped")
except Refused as refused:
    print(f"the same key for something else: {refused.problem['code']}")
