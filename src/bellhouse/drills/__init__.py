"""Drills: something is broken on purpose, and it is shown that the alert, the diagnosis and the lever work."""
