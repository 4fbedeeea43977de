"""Confirm: verifies callbacks, reads them into our words, and advances deliveries."""
