"""Outbox: brings what waits back to the log when its time has come, and keeps the log short."""
