"""Boards, alerts and objectives."""
