"""Accepting notifications: validated, deduplicated, and durable before the answer."""
