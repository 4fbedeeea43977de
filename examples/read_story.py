"""Follow one notification until nothing of it waits, and say what became of each delivery and why."""

import time

from client import call, furnish

furnish()
body = {"user_id": "example-grace", "type": "example_shipped", "data": {"order": "A-1400"}}
identifier = call("POST", "/v1/notifications", body)["id"]

for _ in range(100):
    story = call("GET", f"/v1/notifications/{identifier}")
    moving = [one for one in story["deliveries"] if one["state"] in ("waiting", "in_flight")]
    if story["state"] != "waiting" and not moving:
        break
    time.sleep(0.1)

print(f"{story['type']} for {story['user_id']}: {story['state']}")
for reason in story["decision"]["reasons"]:
    print(f"  not {reason['channel']}: {reason['sentence']}")
for delivery in story["deliveries"]:
    print(f"  {delivery['channel']}: {delivery['state']}. {delivery['reason']['sentence']}")
    for attempt in delivery["attempts"]:
        print(f"    {attempt['at']} {attempt['provider']}: {attempt['verdict']} ({attempt.get('code')})")
