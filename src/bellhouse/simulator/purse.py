"""The money in a provider's account: what is sent is paid from it, and nothing is sent without it."""

from bellhouse.simulator.dials import Dials, SmsDials


class Purse:
    """What is left. Turning the dial `balance` to another value puts so much into it."""

    def __init__(self) -> None:
        self._dialled = self.left = SmsDials().balance

    def tune(self, dials: Dials) -> None:
        """Take in the dial."""
        assert isinstance(dials, SmsDials)
        if dials.balance != self._dialled:
            self._dialled = self.left = dials.balance

    def refill(self) -> None:
        """As much again as the dial says."""
        self.left = self._dialled

    def pays(self, price: float) -> bool:
        """Pay for a message, if there is enough for it."""
        if self.left < price:
            return False
        self.left -= price
        return True
