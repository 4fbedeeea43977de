"""Draws `docs/images/top.svg` from what `bellhouse top --json` printed: `python docs/top_picture.py frame.json`."""

import io
import sys
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from bellhouse.cli.top_picture import picture
from bellhouse.ops.top import Frame
from picture import FONT_FACE

PICTURE: Final = Path(__file__).resolve().parent / "images" / "top.svg"
_WIDTH: Final = 120


def drawn(frame: Frame) -> str:
    """A frame of `bellhouse top` as SVG."""
    paper = Console(file=io.StringIO(), record=True, width=_WIDTH, force_terminal=True, legacy_windows=False)
    paper.print(picture(frame))
    return FONT_FACE.sub("", paper.export_svg(title="bellhouse top", unique_id="top"))


def main() -> None:
    """Read the frame, and write the picture."""
    frame = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Frame)
    PICTURE.write_text(drawn(frame), encoding="utf-8")
    print(PICTURE)


if __name__ == "__main__":
    main()
