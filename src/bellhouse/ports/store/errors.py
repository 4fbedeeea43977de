"""How the store says that it could not, or that this process must not go on."""


class StoreUnavailable(Exception):
    """The store could not write, and wrote nothing: a full disk, a read-only file, a lost connection.

    `reason` is a word (`disk_full`, `read_only`, `io`, `busy`, `unreachable`), `remedy` a sentence for whoever reads
    the answer.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}: {remedy}")
        self.reason = reason
        self.remedy = remedy


class OutcomeUnknown(StoreUnavailable):
    """The store does not answer, and nobody knows whether it wrote: it was cut off while it was to commit. What was
    asked for stands wholly or not at all; whoever asks again must be able to ask twice.
    """


class LeaseLost(Exception):
    """This process was away for so long that others may have taken over its work: it must not begin anything with what
    it has polled, but join anew and poll again."""
