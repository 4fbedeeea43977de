"""Draws `docs/images/demo.svg` from a run: `bellhouse demo --json > run.json && python docs/picture.py run.json`."""

import io
import re
import sys
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.text import Text

from bellhouse.demo.report import Report
from bellhouse.demo.show import final

PICTURE: Final = Path(__file__).resolve().parent / "images" / "demo.svg"
_WIDTH: Final = 120
_FROM: Final = "What went wrong on the way"
"""Where the end begins; what is above it are tables of counts."""

FONT_FACE: Final = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""Rich names fonts on another host; a picture of ours asks nobody for anything."""


def drawn(report: Report) -> str:
    """The end of a demo as SVG."""
    shown = Console(
        file=io.StringIO(), force_terminal=True, color_system="truecolor", width=_WIDTH, legacy_windows=False
    )
    final(shown, report)
    assert isinstance(shown.file, io.StringIO)
    lines = shown.file.getvalue().splitlines()
    begin = next(number for number, line in enumerate(lines) if _FROM in line)
    paper = Console(file=io.StringIO(), record=True, width=_WIDTH)
    for line in lines[begin:]:
        paper.print(Text.from_ansi(line), soft_wrap=False)
    return FONT_FACE.sub("", paper.export_svg(title="make demo", unique_id="demo"))


def main() -> None:
    report = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Report)
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(drawn(report), encoding="utf-8")
    print(f"{PICTURE}: {'sound' if report.sound else 'NOT sound'}")


if __name__ == "__main__":
    main()
