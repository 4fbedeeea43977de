"""`python -m bellhouse.simulator`: start a simulator from the command line."""

import argparse
import sys

from bellhouse.simulator import Options, serve


def _options(arguments: list[str]) -> Options:
    parser = argparse.ArgumentParser(prog="python -m bellhouse.simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--advertised-host", help="the host name clients are told to use")
    parser.add_argument("--port", type=int, default=0, help="plain HTTP and control; 0 = any free port")
    parser.add_argument("--tls-port", type=int, help="TLS (default: port + 5)")
    parser.add_argument("--smtp-port", type=int, help="SMTP (default: port + 6)")
    parser.add_argument("--dir", help="where credentials are kept across starts")
    parser.add_argument("--receipts", help="append every receipt to this NDJSON file")
    parser.add_argument("--receipts-kept", type=int, default=1_000_000, help="receipts kept in memory")
    parser.add_argument("--callback-base-url", help="where account-level callbacks go")
    parser.add_argument("--callback-connections", type=int, default=8)
    parser.add_argument("--max-connections", type=int, default=4096, help="per port; more are cut at once")
    parser.add_argument("--seed", type=int, help="makes the dice repeatable")
    return Options(**vars(parser.parse_args(arguments)))


def main() -> None:
    """Start, and say in words what prevented it."""
    try:
        serve(_options(sys.argv[1:]))
    except OSError as error:
        sys.exit(f"simulator: {error.strerror or error}")


if __name__ == "__main__":
    main()
