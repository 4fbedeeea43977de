"""The default file is the defaults: all of them, each with its words, and nothing else."""

import re
import tomllib
from pathlib import Path

from bellhouse.app import settings
from bellhouse.app.default_file import text
from bellhouse.app.settings import Settings, environment_name, load
from bellhouse.app.settings_page import fields_of, written_out

FILE = Path(settings.__file__).with_name("bellhouse.default.toml")


def names_in(values: dict[str, object], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for name, value in values.items():
        found |= names_in(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name}
    return found


def uncommented() -> str:
    return re.sub(r"(?m)^#(\w+ = )", r"\1", FILE.read_text(encoding="utf-8"))


def test_the_file_is_what_the_code_says():
    assert FILE.read_text(encoding="utf-8") == text(), "run: make docs"


def test_read_as_settings_the_file_changes_nothing():
    loaded = load(config=FILE, environment={})
    assert loaded.settings == Settings()
    assert loaded.file == FILE


def test_every_setting_is_in_it_with_its_value_or_an_example():
    there = names_in(tomllib.loads(uncommented()))
    assert there == {name for name, _ in written_out()}
    lanes = {re.sub(r"\.lanes\.\w+\.", ".lanes.critical.", name) for name, _ in fields_of(Settings)}
    assert there == lanes


def test_what_has_a_default_is_set_and_what_has_none_is_behind_a_hash():
    set_in_file = names_in(tomllib.loads(FILE.read_text(encoding="utf-8")))
    assert set_in_file == {
        name for name, field in written_out() if field.default not in (None, ()) and name != "instance"
    }


def test_every_example_is_a_lawful_value_of_its_setting(tmp_path):
    # What reads a file of its own has a name there that no machine need have.
    file = tmp_path / "bellhouse.toml"
    stands_for = uncommented().replace("@/run/secrets/", f"@{tmp_path}/")
    for path in re.findall(rf'"@({tmp_path}/[^"]*)"', stands_for):
        Path(path).write_text("name=0123456789abcdef" if "headers" in path else "0123456789abcdef" * 4)
    file.write_text(re.sub(r'"@/etc/[^"]*"', '"PEM"', stands_for))
    with_tls = {
        "BELLHOUSE_STORE__TLS": "verify-full",
        "BELLHOUSE_KAFKA__SECURITY": "sasl_ssl",
        "BELLHOUSE_KAFKA__LANES__CRITICAL__SECURITY": "sasl_ssl",
        "BELLHOUSE_REDIS__URL": "rediss://redis-0",
        "BELLHOUSE_REDIS__LANES__CRITICAL__URL": "rediss://redis-0",
    }
    assert load(config=file, environment=with_tls).settings.secret is not None


def test_above_each_setting_stand_its_meaning_and_its_environment_name():
    words = FILE.read_text(encoding="utf-8")
    unwrapped = re.sub(r"\n# ", " ", words)
    for name, field in written_out():
        assert field.description in unwrapped, name
        assert re.search(rf"\b{environment_name(name)}$", words, re.MULTILINE), name
