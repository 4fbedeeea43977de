"""`python -m bellhouse.engines`: start PostgreSQL, Kafka and Valkey, and print one JSON line with their URLs."""

import argparse
import contextlib
import json
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from bellhouse.engines.alertmanager import alertmanager, amtool
from bellhouse.engines.errors import EngineDidNotStart
from bellhouse.engines.kafka import Kafka
from bellhouse.engines.kafka_jars import jars
from bellhouse.engines.postgres import Postgres
from bellhouse.engines.prometheus import prometheus, promtool
from bellhouse.engines.valkey import Valkey


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bellhouse.engines",
        description=f"{__doc__} They run until SIGTERM or Ctrl-C.",
    )
    parser.add_argument("--folder", type=Path, help="where their data is kept; without it, it is gone at the end")
    parser.add_argument(
        "--port", type=int, help="PostgreSQL's; Kafka and Valkey take the next two (default: free ones)"
    )
    parser.add_argument(
        "--fetch",
        action="store_true",
        help="only fetch Kafka's jars, Prometheus and Alertmanager, so that a start needs no network",
    )
    return parser.parse_args()


def _fetch() -> None:
    """Fetch what does not come from wheels; raises EngineDidNotStart for what the cluster cannot run without."""
    jars()
    try:
        for path in (prometheus, promtool, alertmanager, amtool):
            path()
    except EngineDidNotStart as error:
        # Only who watches a Bellhouse needs them: its tests, its drills.
        print(f"engines: to be had later: {error}", file=sys.stderr)


def _run(folder: Path | None, port: int | None) -> None:
    """Run all three until SIGTERM or SIGINT; raises EngineDidNotStart."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    with contextlib.ExitStack() as running:
        postgres = running.enter_context(Postgres(folder and folder / "postgres", port))
        kafka = running.enter_context(Kafka(folder and folder / "kafka", port and port + 1))
        valkey = running.enter_context(Valkey(folder and folder / "valkey", port and port + 2))
        print(json.dumps({"postgres": postgres.url, "kafka": kafka.brokers, "valkey": valkey.url}), flush=True)
        signal.pause()


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    """Leave through the `with` block, which stops what runs; a second signal does not disturb that."""
    for again in (signal.SIGTERM, signal.SIGINT):
        signal.signal(again, signal.SIG_IGN)
    sys.exit(0)


def main() -> None:
    """Start, and say in words what prevented it."""
    arguments = _arguments()
    try:
        if arguments.fetch:
            _fetch()
        else:
            _run(arguments.folder, arguments.port)
    except EngineDidNotStart as error:
        sys.exit(f"engines: {error}")


if __name__ == "__main__":
    main()
