"""Twilio Messages (SMS)."""
