"""A supervisor of fake roles in a process of its own, for a test that kills it: `python fake_serve.py DATA TRACE`."""

import asyncio
import sys
from pathlib import Path

from bellhouse.adapters.clock import SystemClock
from bellhouse.app.folder import lock_folder
from bellhouse.app.processes import Plan, Supervisor
from bellhouse.ports.telemetry import NullLogbook

if __name__ == "__main__":
    data, trace = Path(sys.argv[1]), sys.argv[2]
    lock = lock_folder(data, 5.0, print)
    command = (sys.executable, str(Path(__file__).with_name("fake_role.py")))
    plan = Plan(data, "127.0.0.1", 0, ("api", "bulk"), {"mode": "steady", "trace": trace}, 5.0, command)
    sys.exit(asyncio.run(Supervisor(plan, SystemClock(), NullLogbook()).run(lambda _: print("up", flush=True))))
