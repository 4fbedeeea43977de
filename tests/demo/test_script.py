"""The day as a file: what was written is read back, and a bad line is named with its field and a remedy."""

from pathlib import Path

import pytest

from bellhouse.demo.day import generate
from bellhouse.demo.script import BadLine, gathered, moment, read, write

EVENT = b'{"kind":"event","at":"2026-11-23T08:00:00Z","notification":{"user_id":"u1","type":"t"}}'


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    day = generate(seed=1, recipients=50, events=300)
    write(tmp_path / "day.ndjson", day)
    assert read(tmp_path / "day.ndjson") == day


def test_the_lines_come_in_the_order_types_templates_recipients_events(tmp_path: Path) -> None:
    write(tmp_path / "day.ndjson", generate(seed=1, recipients=20, events=200))
    kinds = [line.split(b'"')[3].decode() for line in (tmp_path / "day.ndjson").read_bytes().splitlines()]
    assert list(dict.fromkeys(kinds)) == ["type", "template", "recipient", "event"]


def test_events_of_a_file_of_ones_own_are_put_in_order() -> None:
    later = EVENT.replace(b"08:00:00Z", b"10:00:00+01:00")
    earliest = EVENT.replace(b"08:00:00Z", b"07:00:00Z")
    day = gathered([later, EVENT, b"\n", earliest])
    assert [event.at[11:19] for event in day.events] == ["07:00:00", "08:00:00", "10:00:00"]


@pytest.mark.parametrize(
    ("line", "field", "says"),
    [
        (b"{", "$", "not JSON"),
        (b"\xff\xfe{}", "$", "not JSON"),
        (b"[1]", "$", "Expected `object`"),
        (b'{"at":"x"}', "kind", "missing"),
        (b'{"kind":"evnt"}', "kind", "Invalid value"),
        (b'{"kind":"event","at":"2026-11-23T08:00:00Z"}', "notification", "missing"),
        (EVENT.replace(b'"u1"', b"17"), "notification.user_id", "Expected `str`"),
        (EVENT.replace(b'"u1"', b'""'), "notification.user_id", "length"),
        (EVENT.replace(b'"type"', b'"typ"'), "notification.typ", "no such field"),
        (EVENT.replace(b'"t"', b'"t","priority":"urgent"'), "notification.priority", "Invalid enum value"),
        (EVENT.replace(b'"t"', b'"t","send_at":"tomorrow"'), "notification.send_at", "RFC 3339"),
        (EVENT.replace(b"08:00:00Z", b"08:00:00"), "at", "no zone"),
        (b'{"kind":"recipient","user_id":"u1"}', "recipient", "missing"),
    ],
)
def test_a_bad_line_is_named_with_its_number_field_and_a_remedy(line: bytes, field: str, says: str) -> None:
    with pytest.raises(BadLine) as caught:
        gathered([EVENT, b"", line])
    assert caught.value.line == 3
    assert caught.value.field == field
    assert says in str(caught.value)
    assert caught.value.remedy.endswith(".")


def test_a_file_without_an_event_is_refused() -> None:
    with pytest.raises(BadLine, match="no event"):
        gathered([b'{"kind":"type","name":"t","type":{}}'])


def test_a_moment_is_milliseconds_since_the_epoch() -> None:
    assert moment("1970-01-01T01:00:00.25+01:00") == 250
