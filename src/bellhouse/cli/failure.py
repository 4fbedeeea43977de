"""What a command says when it cannot do what it was asked, and the exit status that goes with it."""

from typing import Final

FAILED: Final = 1
"""It was tried and did not work, or what was looked at is not as it should be."""
USAGE: Final = 2
"""It was asked in a way that cannot be."""


class Failure(Exception):
    """A failure for people: what is wrong, and what to do about it."""

    def __init__(self, message: str, remedy: str = "", status: int = FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.status = status

    @property
    def words(self) -> dict[str, object]:
        """The failure as JSON."""
        return {"error": {"message": self.message, "remedy": self.remedy, "status": self.status}}
