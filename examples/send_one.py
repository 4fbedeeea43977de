"""Send one notification with a key of your own, so that sending it again after a lost answer is safe."""

from client import call, furnish

furnish()
answer = call(
    "POST",
    "/v1/notifications",
    {"user_id": "example-ada", "type": "example_shipped", "data": {"order": "A-1234"}},
    Idempotency_Key="order-A-1234-shipped",
)
print(f"accepted and durable: {answer['id']}")
