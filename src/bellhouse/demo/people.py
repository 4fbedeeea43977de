"""The recipients of the generated day: where they live, how they are reached, and what they have chosen."""

import random
from typing import Final

import msgspec


class Home(msgspec.Struct, frozen=True):
    """Where some of the recipients live."""

    weight: int
    zone: str
    locale: str
    prefixes: tuple[str, ...]
    """The beginnings of its mobile numbers in E.164; empty where it has no numbering plan of its own."""
    digits: int
    """How many digits follow a beginning."""


_US: Final = tuple(f"+1{area}55501" for area in (201, 212, 305, 312, 404, 415, 503, 512, 602, 617, 702, 713, 808, 907))
_CA: Final = tuple(f"+1{area}55501" for area in (403, 416, 506, 514, 604, 709, 902))

HOMES: Final[tuple[Home, ...]] = (
    Home(110, "America/New_York", "en", _US, 2),
    Home(60, "America/Chicago", "en", _US, 2),
    Home(15, "America/Denver", "en", _US, 2),
    Home(70, "America/Los_Angeles", "en", _US, 2),
    Home(3, "Pacific/Honolulu", "en", _US, 2),
    Home(20, "America/Toronto", "en", _CA, 2),
    Home(10, "America/Vancouver", "en", _CA, 2),
    Home(3, "America/St_Johns", "en", _CA, 2),
    Home(40, "America/Mexico_City", "es", ("+5255",), 8),
    Home(60, "America/Sao_Paulo", "pt-BR", ("+551196",), 7),
    Home(15, "America/Argentina/Buenos_Aires", "es", ("+5491123",), 6),
    Home(12, "America/Santiago", "es", ("+569612",), 5),
    Home(75, "Europe/London", "en", ("+447400",), 6),
    Home(8, "Europe/Dublin", "en", ("+3538501",), 5),
    Home(70, "Europe/Paris", "fr", ("+33612",), 6),
    Home(85, "Europe/Berlin", "de", ("+4915123",), 6),
    Home(45, "Europe/Madrid", "es", ("+34612",), 6),
    Home(45, "Europe/Rome", "en", ("+39312",), 7),
    Home(20, "Europe/Amsterdam", "en", ("+31612",), 6),
    Home(25, "Europe/Warsaw", "en", ("+48512",), 6),
    Home(14, "Europe/Stockholm", "en", ("+46701",), 6),
    Home(10, "Europe/Lisbon", "pt-BR", ("+351912",), 6),
    Home(18, "Europe/Istanbul", "en", ("+90501",), 7),
    Home(12, "Africa/Johannesburg", "en", ("+27711",), 6),
    Home(15, "Africa/Lagos", "en", ("+234802",), 7),
    Home(10, "Africa/Cairo", "en", ("+20100",), 7),
    Home(6, "Africa/Nairobi", "en", ("+254712",), 6),
    Home(10, "Asia/Dubai", "en", ("+971501",), 6),
    Home(75, "Asia/Kolkata", "en", ("+91812",), 7),
    Home(2, "Asia/Kathmandu", "en", ("+977984",), 7),
    Home(50, "Asia/Tokyo", "ja", ("+81901",), 7),
    Home(20, "Asia/Seoul", "en", ("+821020",), 6),
    Home(12, "Asia/Singapore", "en", ("+6581",), 6),
    Home(12, "Asia/Jakarta", "en", ("+62812",), 7),
    Home(8, "Asia/Manila", "en", ("+63905",), 7),
    Home(20, "Australia/Sydney", "en", ("+61412",), 6),
    Home(3, "Australia/Adelaide", "en", ("+61412",), 6),
    Home(1, "Australia/Lord_Howe", "en", ("+61412",), 6),
    Home(5, "Pacific/Auckland", "en", ("+64211",), 6),
    Home(1, "Pacific/Chatham", "en", ("+64211",), 6),
    Home(1, "Antarctica/Troll", "en", (), 0),
)

_GIVEN_NAMES: Final = """
Ada Aiko Alba Amara Amir Ana Anna Ayo Bao Ben Camila Carlos Chen Clara Dana David Diego Elena Elif
Emma Eva Farid Fatima Felix Grace Hana Hugo Ines Ingrid Isla Ivan Jamal Jana Jin Joao Jonas Julia
Kai Karim Kenji Lara Leila Leo Lin Lucas Lucia Luis Maja Maria Marta Mateo Maya Mei Mia Nadia Nia
Nina Noah Nora Olga Omar Oscar Otto Paula Pia Priya Rafael Ravi Rosa Sam Sara Sofia Sven Tara Theo
Tom Uma Vera Viktor Wei Yara Yuki Zoe
"""
_FAMILY_NAMES: Final = """
Abe Adeyemi Ahmed Bauer Berg Brown Castro Chan Costa Cruz Diaz Dubois Evans Fischer Garcia Gupta
Haddad Hansen Ito Ivanova Jansen Johnson Kaya Khan Kim Kowalska Kumar Larsson Lee Lopez Martin Meyer
Moreau Moyo Nakamura Nguyen Novak Okafor Olsen Park Patel Pereira Ricci Rossi Santos Sato Schmidt
Silva Singh Smith Suzuki Tan Torres Walsh Wang Weber Wilson Wong Yilmaz Young Zhang
"""
_GIVEN: Final = _GIVEN_NAMES.split()
_FAMILY: Final = _FAMILY_NAMES.split()
_TOKEN_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_QUIET: Final = (("22:00", "07:00"), ("23:00", "08:00"), ("21:30", "06:30"), ("00:00", "09:00"))
_CONSENT_TEXT: Final = "Send me offers and news. I can stop them at any time."


class Person(msgspec.Struct, frozen=True):
    """A recipient of the day: what the events need to know of her, and the body that the API is given."""

    user_id: str
    name: str
    locale: str
    body: dict[str, object]


def people(rng: random.Random, count: int) -> list[Person]:
    """`count` recipients, `user-00001` and so on; addresses and numbers are unique among them."""
    homes = rng.choices(HOMES, [home.weight for home in HOMES], k=count)
    taken: set[str] = set()
    return [_person(rng, number, home, taken) for number, home in enumerate(homes, 1)]


def _person(rng: random.Random, number: int, home: Home, taken: set[str]) -> Person:
    given, family = rng.choice(_GIVEN), rng.choice(_FAMILY)
    user_id = f"user-{number:05d}"
    contacts = [*_devices(rng), *_email(rng, given, family, number), *_phone(rng, home, taken)]
    if not contacts:
        contacts = [{"channel": "email", "address": f"{user_id}@example.com"}]
    body: dict[str, object] = {"zone": home.zone, "locale": home.locale, "contacts": contacts}
    if preferences := _preferences(rng):
        body["preferences"] = preferences
    return Person(user_id, f"{given} {family}", home.locale, body)


def _devices(rng: random.Random) -> list[dict[str, object]]:
    count = rng.choices((0, 1, 2, 3), (18, 57, 20, 5))[0]
    return [{"channel": "push", "address": _token(rng), "providers": ["fcm"]} for _ in range(count)]


def _token(rng: random.Random) -> str:
    """A registration token in the shape of FCM's: an instance id, a colon, and a long opaque part."""
    letters = rng.choices(_TOKEN_ALPHABET, k=22 + 118)
    return f"{''.join(letters[:22])}:APA91b{''.join(letters[22:])}"


def _email(rng: random.Random, given: str, family: str, number: int) -> list[dict[str, object]]:
    if rng.random() > 0.94:
        return []
    domain = rng.choice(("example.com", "example.net", "example.org"))
    return [{"channel": "email", "address": f"{given}.{family}{number}@{domain}".lower()}]


def _phone(rng: random.Random, home: Home, taken: set[str]) -> list[dict[str, object]]:
    """A number, where she gave one and her numbering plan still has one that nobody else of the day has."""
    if not home.prefixes or rng.random() > 0.72:
        return []
    for _ in range(8):
        number = rng.choice(home.prefixes) + f"{rng.randrange(10**home.digits):0{home.digits}d}"
        if number not in taken:
            taken.add(number)
            return [{"channel": "sms", "address": number}]
    return []


def _preferences(rng: random.Random) -> dict[str, object]:
    """What she has chosen: most have chosen little."""
    chosen: dict[str, object] = {}
    if rng.random() < 0.25:
        start, end = rng.choice(_QUIET)
        chosen["quiet_hours"] = {"start": start, "end": end}
    luck = rng.random()
    if luck < 0.65:
        chosen["consent"] = {"marketing": _proof(rng, given=luck < 0.57)}
    if rng.random() < 0.06:
        chosen["channels"] = {rng.choice(("push", "email", "sms")): False}
    if rng.random() < 0.05:
        chosen["categories"] = {"product": {"enabled": False}}
    if rng.random() < 0.05:
        chosen["types"] = {rng.choice(("weekly_digest", "friend_request")): {"enabled": False}}
    if rng.random() < 0.04:
        chosen.setdefault("types", {"comment_mention": {"channels": {"push": False}}})
    return chosen


def _proof(rng: random.Random, *, given: bool) -> dict[str, object]:
    at = f"2026-{rng.randint(1, 10):02d}-{rng.randint(1, 28):02d}T{rng.randrange(24):02d}:00:00Z"
    source = rng.choice(("sign-up form", "checkout", "preference page")) if given else "unsubscribe link"
    return {"given": given, "at": at, "source": source, "text": _CONSENT_TEXT}
