"""A data folder's pepper is a secret as it is: what its API keys were made with goes on to other hosts."""

import os
from pathlib import Path

import pytest

from bellhouse.app.secrets import pepper, pepper_of_secret
from bellhouse.app.settings import SettingsError, load


def secret_of(given: str) -> bytes:
    settings = load({}, environment={"BELLHOUSE_SECRET": given}).settings
    assert settings.secret is not None
    return pepper_of_secret(settings.secret.get_secret_value())


def test_the_file_gives_the_folder_s_own_pepper_and_so_does_its_text(tmp_path: Path) -> None:
    own = pepper(tmp_path)
    assert secret_of(f"@{tmp_path / 'pepper'}") == own
    assert secret_of(f"pepper:{own.hex()}") == own


def test_a_file_of_text_is_a_secret_of_its_own_however_long_it_is(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a" * 32)
    assert secret_of(f"@{tmp_path / 'secret'}") == secret_of("a" * 32)
    (tmp_path / "secret").write_text("ä" * 40 + "\n")
    assert secret_of(f"@{tmp_path / 'secret'}") == secret_of("ä" * 40)


def test_what_is_nearly_a_pepper_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cut").write_bytes(b"\xff" + os.urandom(20))
    for given in ("pepper:abc", "pepper:" + "x" * 64, f"@{tmp_path / 'cut'}", f"@{tmp_path / 'missing'}"):
        with pytest.raises(SettingsError, match="secret"):
            secret_of(given)
