"""Where what engines are made of is kept once it has been fetched."""

import os
from pathlib import Path


def cache() -> Path:
    """The user's cache folder of Bellhouse; it may not exist yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bellhouse"
