"""Loaded by every Python process of a house in a drill: its disks have as little room as a file says.

The file holds the share of each volume that is free; while it is empty or missing, what is true is seen. A disk is not
filled for it: it may be one that others need.
"""

import os

_path = os.environ.get("DRILL_VOLUME", "")  # noqa: TID251 - it is no part of the platform, and stands before it
if _path:
    _seen = os.statvfs

    def _statvfs(path: int | str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> os.statvfs_result:
        seen = _seen(path)
        try:
            with open(_path, encoding="ascii") as said:  # noqa: PTH123 - loaded before anything else, so it imports next to nothing
                share = float(said.read())
        except (OSError, ValueError):
            return seen
        free = int(seen.f_blocks * share)
        return os.statvfs_result((*seen[:3], free, free, *seen[5:]))

    os.statvfs = _statvfs
