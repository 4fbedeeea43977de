"""Vonage SMS."""
