"""The provider `in_app`: puts messages into recipients' inboxes, in the store."""

from bellhouse.providers.in_app.send import InAppProvider

__all__ = ["InAppProvider"]
