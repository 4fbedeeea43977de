"""Loaded by every Python process of a house under a shifted clock: its wall clock is off by what a file says.

The file holds one signed number of nanoseconds, which a test changes while the processes run. Monotonic time is
left alone, as it is when an operator or NTP sets a machine's clock.
"""

import mmap
import os
import struct
import time

_path = os.environ.get("SHIFTED_CLOCK")
if _path is not None:
    with open(_path, "rb") as _file:  # noqa: PTH123 - loaded before anything else, so it imports next to nothing
        _offset = mmap.mmap(_file.fileno(), 8, access=mmap.ACCESS_READ)
    _real_ns = time.time_ns

    def _time_ns() -> int:
        shift: int = struct.unpack_from("<q", _offset)[0]
        return _real_ns() + shift

    time.time_ns = _time_ns
    time.time = lambda: _time_ns() / 1e9
