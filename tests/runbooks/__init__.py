"""Keeps the runbooks true: every alert has its page, every page its parts, and every command works."""
