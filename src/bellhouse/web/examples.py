"""An example of every body that the API takes, shown in its document; a test sends each of them."""

from typing import Any, Final

BODIES: Final[dict[str, Any]] = {
    "putTemplate": {
        "locales": {
            "en": {
                "push": {"title": "On its way", "body": "Order {{ order }} has left our warehouse."},
                "email": {
                    "subject": "Order {{ order }} is on its way",
                    "text": "Hello, order {{ order }} has left our warehouse.",
                    "html": "<p>Hello, order <b>{{ order }}</b> has left our warehouse.</p>",
                },
                "sms": {"text": "Order {{ order }} is on its way."},
            },
            "fr": {"sms": {"text": "La commande {{ order }} est en route."}},
        },
        "default_locale": "en",
        "sample": {"order": "A-1234"},
    },
    "previewTemplate": {"data": {"order": "A-1234"}, "locale": "fr-FR"},
    "putType": {
        "category": "transactional",
        "priority": "high",
        "channels": ["push", "email"],
        "mode": "first",
        "lifetime_s": 86_400,
    },
    "putRecipient": {
        "zone": "Europe/Paris",
        "locale": "fr-FR",
        "contacts": [
            {"channel": "push", "address": "fcm-device-token", "providers": ["fcm"]},
            {"channel": "email", "address": "ada@example.com"},
            {"channel": "sms", "address": "+33612345678"},
        ],
    },
    "putRecipients": {
        "recipients": [
            {
                "user_id": "user-4711",
                "zone": "Europe/Paris",
                "locale": "fr-FR",
                "contacts": [{"channel": "email", "address": "ada@example.com"}],
                "preferences": {"consent": {"marketing": {"given": True, "source": "sign-up form"}}},
            },
            {
                "user_id": "user-4712",
                "zone": "America/New_York",
                "contacts": [{"channel": "sms", "address": "+12125550123"}],
            },
        ]
    },
    "putPreferences": {
        "channels": {"sms": False},
        "categories": {"marketing": {"enabled": False}},
        "types": {"order_shipped": {"channels": {"email": False}}},
        "quiet_hours": {"start": "22:00", "end": "08:00", "days": [1, 2, 3, 4, 5]},
        "consent": {
            "product": {
                "given": True,
                "at": "2026-01-31T09:30:00Z",
                "source": "settings page",
                "text": "Tell me what is new.",
            }
        },
    },
    "markInbox": {"ids": ["019aaf2c-4a7b-7c3e-9d53-5b1c2a90ee01"], "read": True},
    "putSuppression": {"reason": "complaint", "detail": "Called the hotline."},
    "sendNotification": {
        "user_id": "user-4711",
        "type": "order_shipped",
        "data": {"order": "A-1234"},
        "idempotency_key": "order-1234-shipped",
    },
    "sendNotifications": {
        "notifications": [
            {"user_id": "user-4711", "type": "order_shipped", "data": {"order": "A-1234"}},
            {"user_id": "user-4712", "type": "order_shipped", "data": {"order": "A-1235"}, "priority": "normal"},
        ]
    },
    "replayDeadLetters": {"filter": {"channel": "email", "provider": "sendgrid"}, "rate": 100, "lifetime_s": 3_600},
    "discardDeadLetters": {"ids": ["019aaf2c-4a7b-7c3e-9d53-5b1c2a90ee01"], "why": "The order was returned."},
    "pause": {"channel": "sms", "priority": "low", "why": "The link in it is wrong.", "for_s": 3_600},
    "resume": {"channel": "sms", "priority": "low", "why": "The link is right again."},
    "preferProvider": {"provider": "fcm", "channel": "push", "why": "The other one is slow."},
    "skipExpired": {"channel": "push", "priority": "low", "why": "The queue was down for a day."},
    "cleanUpTokens": {"older_than_days": 270, "why": "The yearly cleaning."},
    "setRate": {"provider": "twilio", "rate": 50, "why": "They asked us to slow down."},
}
"""By the operation's id."""
