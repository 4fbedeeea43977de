"""A template version, a locale and data in; the exact content of one channel out."""
