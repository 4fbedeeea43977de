"""Send up to 1,000 notifications in one call: a result for each, so a faulty one does not stop the others."""

from client import call, furnish

furnish()
orders = {"example-ada": "A-1301", "example-grace": "A-1302", "example-nobody": "A-1303", "example-radia": "A-1304"}
items = [
    {
        "user_id": user,
        "type": "example_shipped",
        "data": {"order": order},
        "idempotency_key": f"order-{order}-shipped",
    }
    for user, order in orders.items()
]
results = call("POST", "/v1/notifications/batch", {"notifications": items})["results"]
for item, result in zip(items, results, strict=True):
    if "id" in result:
        print(f"{item['user_id']}: accepted, {result['id']}")
    else:
        faults = ", ".join(f"{fault['field']}: {fault['code']}" for fault in result["error"]["errors"])
        print(f"{item['user_id']}: refused, {faults}")
