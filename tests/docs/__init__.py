"""Keeps the pages true: what they show is run, what they name exists, what exists is named."""
