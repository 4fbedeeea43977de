"""The in-app inbox: what she sees in your product, how many are unread, and marking them read."""

import time

from client import call, furnish

furnish()
body = {
    "user_id": "example-radia",
    "type": "example_shipped",
    "channels": ["in_app"],
    "data": {"order": "A-1600"},
    "idempotency_key": "order-A-1600-shipped",
}
call("POST", "/v1/notifications", body)

path = "/v1/recipients/example-radia/inbox"
inbox = call("GET", path)
for _ in range(100):
    if inbox["items"]:
        break
    time.sleep(0.1)
    inbox = call("GET", path)

for item in inbox["items"]:
    print(f"{'read  ' if item['read_at'] else 'unread'} {item['title']}: {item['body']}")
call("POST", f"{path}/mark", {"ids": [item["id"] for item in inbox["items"]], "read": True})
print(f"unread now: {call('GET', path + '?unread=true')['unread']}")
