"""The provider simulator: the outside world in a box, with dials, in a process of its own."""

from bellhouse.simulator.options import Options

__all__ = ["Options", "serve"]


def serve(options: Options) -> None:
    """Run a simulator until SIGTERM or SIGINT; prints one JSON line with ports and URLs when it is ready."""
    # The server's imports take ten times as long as Options, which is all a command line needs.
    from bellhouse.simulator import server  # noqa: PLC0415

    server.serve(options)
