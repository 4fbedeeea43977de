"""How many parts a text takes as SMS."""

_GSM7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM7_EXTENDED = frozenset("\f^{}\\[~]|€")


def segments(text: str) -> int:
    """Parts of `text`: GSM-7 160 letters in one or 153 each, otherwise UCS-2 70 or 67 (3GPP TS 23.038, 23.040)."""
    if all(letter in _GSM7 or letter in _GSM7_EXTENDED for letter in text):
        units, one, each = len(text) + sum(letter in _GSM7_EXTENDED for letter in text), 160, 153
    else:
        units, one, each = len(text.encode("utf-16-le")) // 2, 70, 67
    return 1 if units <= one else -(-units // each)
