"""Which texts the GSM alphabet can write: Vonage's `type=text` mangles every other letter (3GPP TS 23.038)."""

_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = "\f^{}\\[~]|€"
_GSM = frozenset(_BASIC + _EXTENDED)


def is_gsm(text: str) -> bool:
    """Whether every character is in the GSM alphabet or its extension table."""
    return _GSM.issuperset(text)
