"""Which locale's sources a recipient gets: hers, then her language's, then the template's default."""

import re
from collections.abc import Collection
from typing import Final

_FORM: Final = re.compile(
    r"[A-Za-z]{2,3}(-[A-Za-z]{4})?(-(?:[A-Za-z]{2}|\d{3}))?(-(?:[A-Za-z0-9]{5,8}|\d[A-Za-z0-9]{3}))*"
)


def normalized(locale: str) -> str:
    """The usual spelling of a locale: `pt_br` is `pt-BR`, `zh-hant-tw` is `zh-Hant-TW`.

    Raises ValueError for what does not have the form of a BCP 47 tag (RFC 5646): language, script, region, variants.
    """
    text = locale.replace("_", "-")
    if not _FORM.fullmatch(text):
        raise ValueError(f"{locale!r} is not a locale such as en, pt-BR or zh-Hant-TW")
    language, *others = text.split("-")
    return "-".join([language.lower(), *map(_subtag, others)])


def _subtag(part: str) -> str:
    match len(part):
        case 4 if part.isalpha():
            return part.title()
        case 2:
            return part.upper()
        case _:
            return part.lower()


def chain(locale: str, default: str) -> tuple[str, ...]:
    """The locales to try, in order: `pt-BR`, `pt`, then the default."""
    parts = locale.replace("_", "-").split("-")
    shorter = ["-".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return tuple(dict.fromkeys([*shorter, default]))


def choose(locale: str, default: str, available: Collection[str]) -> str | None:
    """The first locale of the chain that is available, in the spelling in which it is; None where none is."""
    spelled = {name.replace("_", "-").lower(): name for name in available}
    return next((spelled[name.lower()] for name in chain(locale, default) if name.lower() in spelled), None)
