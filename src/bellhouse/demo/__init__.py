"""A product's day in a minute: generated, sent through the public API, disturbed, and accounted for."""
