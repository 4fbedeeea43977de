"""What a process that plays a role imports before it is ready: a killed one is back the sooner, the less it is."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("builder", ["bellhouse.app.build", "bellhouse.app.distributed"])
def test_a_process_without_the_api_loads_no_web_framework(builder: str) -> None:
    """Only the API's process builds its face, and imports it then."""
    asked = f"import sys, {builder}; print('litestar' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False"]
