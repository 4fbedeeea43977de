"""Ingest: validation, the shared commit, limits."""
