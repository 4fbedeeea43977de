"""What can go wrong with an engine before it answers."""


class EngineDidNotStart(Exception):
    """An engine's package is missing or the engine did not come up; the message says which, why, and what to do."""


class ProgramFailed(Exception):
    """A program that comes with an engine ended with an error; the message is its own complaint."""
