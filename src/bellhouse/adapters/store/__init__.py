"""The store port's answers."""
