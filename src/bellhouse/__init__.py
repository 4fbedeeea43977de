"""Bellhouse: a notification platform that a team runs itself."""

__version__ = "0.2.0"
