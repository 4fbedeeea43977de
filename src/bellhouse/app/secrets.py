"""The data folder's own secrets: the pepper that keys every API key's digest, and the first start's key."""

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from bellhouse.security.keys import PEPPER_BYTES, new_pepper

KEY_FILE: Final = "development.key"
PEPPER_FILE: Final = "pepper"

_PEPPER_TEXT: Final = re.compile(r"pepper:([0-9a-f]{64})")


def pepper(data: Path) -> bytes:
    """The folder's pepper, made at the first call. Losing its file makes every API key unknown."""
    path = data / PEPPER_FILE
    with suppress(FileExistsError):
        _write_new(path, new_pepper())
    kept = path.read_bytes()
    if len(kept) != PEPPER_BYTES:
        raise OSError(f"{path} is damaged: restore it from a backup, or delete it and make new keys")
    return kept


def pepper_of_secret(secret: str) -> bytes:
    """The pepper that the setting `secret` gives: one derived from its text, or the one that it spells out."""
    spelled = _PEPPER_TEXT.fullmatch(secret)
    if spelled:
        return bytes.fromhex(spelled[1])
    return hashlib.blake2b(secret.encode(), digest_size=PEPPER_BYTES, person=b"bellhouse.pepper").digest()


def spells_no_pepper(secret: str) -> bool:
    """Whether a secret begins like a pepper that is spelled out, and is none."""
    return secret.startswith("pepper:") and not _PEPPER_TEXT.fullmatch(secret)


def pepper_as_text(content: bytes) -> str | None:
    """The content of a data folder's pepper file as the setting `secret` spells it; None for any other content."""
    with suppress(UnicodeDecodeError):
        if content.decode().isprintable():
            return None
    return f"pepper:{content.hex()}" if len(content) == PEPPER_BYTES else None


def keep_pepper(data: Path, pepper: bytes) -> None:
    """Make a pepper the folder's own. Raises FileExistsError where it has one."""
    _write_new(data / PEPPER_FILE, pepper)


def derived(pepper: bytes, purpose: str) -> bytes:
    """A secret of 32 bytes for one purpose, the same as long as the pepper is."""
    return hashlib.blake2b(purpose.encode(), key=pepper, digest_size=32, person=b"bellhouse.derive").digest()


def keep_development_key(data: Path, token: str) -> None:
    """Keep the first key beside the database, for the command line on this machine: whoever can read it can also
    make keys."""
    with suppress(FileNotFoundError):
        (data / KEY_FILE).unlink()
    _write_new(data / KEY_FILE, token.encode() + b"\n")


def development_key(data: Path) -> str | None:
    """The key that was kept, while its file is there."""
    with suppress(OSError):
        return (data / KEY_FILE).read_text(encoding="utf-8").strip()
    return None


def _write_new(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, durably. Raises FileExistsError where there is one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(partial, path)
    finally:
        partial.unlink()
