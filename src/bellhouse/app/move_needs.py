"""What has to be so before a folder is moved: nobody serves it, the database is unused, the pepper stays the same."""

from pathlib import Path
from typing import Final

from bellhouse.adapters.store.postgres.intake import Begun
from bellhouse.app.locks import holder
from bellhouse.app.moved import NAME
from bellhouse.app.secrets import PEPPER_FILE, keep_pepper, pepper, pepper_of_secret
from bellhouse.app.settings import Settings

FILE_NAME: Final = "bellhouse.db"


class CannotMove(Exception):
    """Why nothing is moved, with what to do about it."""


def place(origin: Path) -> tuple[Path, Path]:
    """The folder and the file of what is to be moved. Raises CannotMove where there is none."""
    file = origin / FILE_NAME if origin.is_dir() else origin
    if not file.is_file():
        raise CannotMove(
            f"There is no database at {file}: name the data folder of `bellhouse serve`, or the file in it"
        )
    return file.parent, file


def served_by(folder: Path) -> int | None:
    """The process that serves a folder; None where none does."""
    return holder(folder / "lock") if (folder / "lock").exists() else None


def refuse_served(folder: Path) -> None:
    """Raise CannotMove for a folder that somebody serves."""
    pid = served_by(folder)
    if pid is not None:
        raise CannotMove(
            f"{folder} is being served by process {pid}. Stop it first, so that nothing is accepted while the rest is "
            f"moved: `kill {pid}`, or Ctrl-C where it runs"
        )


def refuse_used(begun: Begun, to: str) -> None:
    """Raise CannotMove for a database that is not free for this move."""
    if not begun.may_go_on:
        raise CannotMove(in_the_way(begun, to))


def in_the_way(begun: Begun, to: str) -> str:
    """What keeps a move from a database, in words."""
    if begun.own:
        return f"{to} has something of its own ({', '.join(begun.own)}): move into an empty database"
    if begun.other:
        return (
            f"Another move into {to} is under way, or the folder's own that was begun before its {NAME} was deleted: "
            "end that one, or drop and create the database"
        )
    return f"{begun.alive} roles run on {to}: stop them first, and start them when the move has ended"


def source_pepper(settings: Settings, folder: Path) -> bytes:
    """The source's pepper, with which its API keys were made. Raises CannotMove where the roles would use another."""
    path = folder / PEPPER_FILE
    if not path.is_file():
        raise CannotMove(f"{path} is missing, without which no API key is known: restore it from a backup")
    found = pepper(folder)
    there = settings.data / PEPPER_FILE
    if settings.secret is not None:
        if pepper_of_secret(settings.secret.get_secret_value()) != found:
            raise CannotMove(
                f"The setting `secret` is not the pepper with which the API keys in {folder} were made, and they would "
                f'be unknown: set BELLHOUSE_SECRET="@{path.resolve()}", on every host to a copy of that file'
            )
    elif there.is_file() and there.read_bytes() != found:
        raise CannotMove(
            f"{there} is another pepper than {path}, with which the API keys were made. Put a copy of the latter in "
            "its place: in an empty database nothing was made with the other. Or name another folder: --data DIR"
        )
    return found


def see_to_pepper(settings: Settings, folder: Path, found: bytes) -> str:
    """See to the pepper on this host; answers what is to be done on the others."""
    path = (folder / PEPPER_FILE).resolve()
    if settings.secret is not None:
        return "The setting `secret` is the source's pepper: keep it so on every host"
    here = settings.data / PEPPER_FILE
    if settings.data.is_dir() and not here.exists():
        keep_pepper(settings.data, found)
    return f'Give every host a copy of {path}, and set BELLHOUSE_SECRET="@/its/path/pepper" there: API keys need it'
