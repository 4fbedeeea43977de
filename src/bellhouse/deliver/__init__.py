"""Deliver: notes its intent, asks again, renders, chooses a provider, sends, settles."""
