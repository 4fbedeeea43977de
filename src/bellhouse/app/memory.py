"""What the garbage collector is told of a process that is built."""

import gc
from typing import Final

_GC_THRESHOLDS: Final = (50_000, 20, 100)


def settle_memory() -> None:
    """Tell the garbage collector what this process is like; call it when everything is built.

    What was made at the start lives as long as the process: no collection needs to look at it again. And a batch is
    thousands of live values and no cycles: at the default of 700 each batch would be walked many times.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
