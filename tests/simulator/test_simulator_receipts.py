"""Receipts: numbering, the file, a million of them in bounded memory."""

import json
import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bellhouse.simulator.ids import Entry, notification_of, text_id
from bellhouse.simulator.receipts import PROVIDERS, VERDICTS, Receipts, SeenIds

from .outside import Outside, eventually, running

IDS = st.one_of(st.just(b""), st.binary(min_size=16, max_size=16))
ENTRIES = st.builds(Entry, IDS, IDS, st.integers(0, 65_535), st.text(max_size=80))
ROWS = st.lists(
    st.tuples(st.integers(0, 4_000_000_000_000), st.sampled_from(PROVIDERS), st.sampled_from(VERDICTS), ENTRIES),
    max_size=20,
)


def rows(receipts: Receipts, since: int = 0) -> list[dict]:
    return [json.loads(line) for block in receipts.lines(since) for line in block.splitlines()]


@given(ROWS)
def test_what_was_kept_is_what_is_told(given_rows):
    receipts = Receipts(1000)
    for row in given_rows:
        receipts.append(*row)
    told = rows(receipts)
    assert [row["seq"] for row in told] == list(range(1, len(given_rows) + 1))
    for row, (_, provider, verdict, entry) in zip(told, given_rows, strict=True):
        assert (row["provider"], row["verdict"]) == (provider, verdict)
        assert row["delivery_id"] == (text_id(entry.delivery) if entry.delivery else None)
        expected = entry.notification or notification_of(entry.delivery)
        assert row["notification_id"] == (text_id(expected) if expected else None)
        assert row["attempt"] == (entry.attempt or None)
        kept = entry.to.encode("utf-8", "replace")[:64].decode("utf-8", "ignore")
        assert row["to"] == kept


@given(st.lists(st.binary(min_size=16, max_size=16)), st.integers(0, 3))
def test_distinct_ids_are_counted_like_a_set(ids, repeats):
    seen = SeenIds()
    for raw in ids * (repeats + 1):
        seen.add(raw)
    assert seen.distinct == len(set(ids))
    assert seen.repeats == len(ids) * (repeats + 1) - len(set(ids))
    assert seen.exact


def test_a_count_beyond_its_limit_says_that_it_is_not_exact():
    seen = SeenIds(limit=2000)
    for number in range(5000):
        seen.add(number.to_bytes(16, "big"))
    assert not seen.exact


def test_the_oldest_are_dropped_beyond_the_limit():
    receipts = Receipts(5000)
    for number in range(20_000):
        receipts.append(number, "fcm", "accepted", Entry(b"", b"", 1, ""))
    told = rows(receipts)
    assert told[-1]["seq"] == 20_000
    assert 5000 - 1024 <= len(told) <= 5000 + 1024
    assert receipts.summary()["total"] == 20_000


def test_receipts_are_numbered_and_can_be_asked_from_a_number(outside: Outside):
    for _ in range(5):
        outside.vonage()
    assert [row["seq"] for row in outside.client.receipts(since=3)] == [4, 5]
    assert list(outside.client.receipts(since=5)) == []
    summary = outside.client.summary()
    assert (summary["last"], summary["distinct_accepted"], summary["repeats"]) == (5, 1, 4)


def test_the_file_outlives_the_process(tmp_path: Path):
    path = tmp_path / "receipts.ndjson"
    with running("--receipts", str(path)) as outside:
        for _ in range(3):
            outside.vonage()
        told = list(outside.client.receipts())
        eventually(lambda: path.read_bytes().count(b"\n") == 3)
        outside.process.kill()
    assert [json.loads(line) for line in path.read_text().splitlines()] == told
    with running("--receipts", str(path)) as outside:
        outside.vonage()
        eventually(lambda: path.read_bytes().count(b"\n") == 4)


MILLION = """
import resource, struct, sys
from bellhouse.simulator.ids import Entry
from bellhouse.simulator.receipts import Receipts
receipts = Receipts(1_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for number in range(1_050_000):
    raw = struct.pack(">QQ", number * 7919, number << 8 | 1)
    receipts.append(1_700_000_000_000, "fcm", "accepted", Entry(raw, b"", 1, f"{number:0142d}"))
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
summary = receipts.summary()
lines = sum(block.count(b"\\n") for block in receipts.lines(1_040_000))
print((after - before) / 1024, summary["distinct_accepted"], summary["kept"], lines)
"""


def test_a_million_receipts_take_less_than_150_megabytes():
    done = subprocess.run([sys.executable, "-c", MILLION], capture_output=True, text=True, check=True)
    megabytes, distinct, kept, lines = done.stdout.split()
    assert float(megabytes) < 150
    assert int(distinct) == 1_050_000
    assert int(lines) == 10_000
    assert int(kept) >= 1_000_000 - 1024


def test_a_long_list_is_streamed_while_calls_go_on(outside: Outside):
    body = [{"to": [{"email": f"u{n}@example.org"}]} for n in range(1000)]
    for _ in range(20):
        outside.sendgrid(personalizations=body)
    stream = outside.client.receipts()
    assert next(stream)["seq"] == 1
    assert outside.vonage().status == 200
    assert sum(1 for _ in stream) >= 19_999
