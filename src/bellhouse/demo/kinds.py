"""The types of the generated day: a shop with a wallet, over all categories, priorities and channels."""

from typing import Final

from bellhouse.domain.catalogue import NotificationType

KINDS: Final[tuple[NotificationType, ...]] = (
    NotificationType("login_alert", "security", "critical", ("push", "email"), lifetime_s=3_600),
    NotificationType("otp_code", "security", "critical", ("sms", "push"), mode="first", lifetime_s=300),
    NotificationType("password_changed", "security", "critical", ("email", "push"), lifetime_s=86_400),
    NotificationType("payment_received", "transactional", "high", ("push", "email"), quiet_hours="ignore"),
    NotificationType("payment_failed", "transactional", "high", ("push", "sms", "email"), mode="first"),
    NotificationType("order_confirmed", "transactional", "high", ("email", "in_app"), quiet_hours="ignore"),
    NotificationType("order_shipped", "transactional", "normal", ("push", "email"), mode="first"),
    NotificationType("delivery_eta", "transactional", "normal", ("push", "sms"), mode="first", lifetime_s=14_400),
    NotificationType("comment_mention", "product", "normal", ("push", "in_app"), lifetime_s=43_200),
    NotificationType("friend_request", "product", "normal", ("in_app", "push"), lifetime_s=259_200),
    NotificationType("statement_ready", "transactional", "low", ("email", "in_app"), lifetime_s=259_200),
    NotificationType("weekly_digest", "product", "low", ("email",), quiet_hours="ignore", lifetime_s=172_800),
    NotificationType("promo", "marketing", "low", ("push", "email"), quiet_hours="drop", lifetime_s=43_200),
    NotificationType("price_drop", "marketing", "low", ("push", "email"), mode="first", quiet_hours="drop"),
)
"""Every one has a template of its own name in `wording`."""
