"""SMS segments as the networks count them, and bytes as providers do."""

import pytest

from bellhouse.domain.content import EmailContent, PushContent
from bellhouse.templates.sizes import GSM_BASIC, GSM_EXTENDED, SmsSize, email_size, push_size, sms_size


@pytest.mark.parametrize(
    ("text", "encoding", "units", "segments"),
    [
        ("", "GSM-7", 0, 1),
        ("a" * 160, "GSM-7", 160, 1),
        ("a" * 161, "GSM-7", 161, 2),
        ("a" * 306, "GSM-7", 306, 2),
        ("a" * 307, "GSM-7", 307, 3),
        ("€" * 80, "GSM-7", 160, 1),
        ("€" * 81, "GSM-7", 162, 2),
        ("a" * 152 + "€" + "a" * 10, "GSM-7", 164, 2),
        ("€" * 153, "GSM-7", 306, 3),  # 76 fit where 153 septets are, since none is cut in two
        ("é" * 160, "GSM-7", 160, 1),
        ("ê" * 70, "UCS-2", 70, 1),
        ("ê" * 71, "UCS-2", 71, 2),
        ("ê" * 134, "UCS-2", 134, 2),
        ("ê" * 135, "UCS-2", 135, 3),
        ("😀" * 35, "UCS-2", 70, 1),
        ("😀" * 36, "UCS-2", 72, 2),
        ("😀" * 67, "UCS-2", 134, 3),  # 33 fit where 67 units are
        ("a" * 159 + "ê", "UCS-2", 160, 3),
        ("`", "UCS-2", 1, 1),
    ],
)
def test_segments_follow_the_alphabet(text: str, encoding: str, units: int, segments: int) -> None:
    assert sms_size(text) == SmsSize(encoding, units, segments)


def test_the_alphabets_have_the_sizes_of_the_standard() -> None:
    assert len(GSM_BASIC) == 127  # 128 places, one of which is the escape
    assert len(GSM_EXTENDED) == 10
    assert not GSM_BASIC & GSM_EXTENDED


def test_bytes_are_those_of_utf_8() -> None:
    assert push_size(PushContent("é", "€", None, "ab")) == 7
    assert email_size(EmailContent("a", "é", "€")) == 6
    assert email_size(EmailContent("a", "é")) == 3
