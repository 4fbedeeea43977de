"""A page taken apart: its fenced blocks in order, and the commands that are to be run."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "examples").glob("*.md")])

_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block. `words` follow the language: `terminal` stays running, `retry` waits for its answer,
    `refused` must fail, and `apart` is run elsewhere (a whole set-up, a whole test run)."""

    page: str
    line: int
    language: str
    words: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """Every fenced block of a page."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        language, *words = match[1].split() or [""]
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(page.relative_to(ROOT).as_posix(), line, language, tuple(words), match[2]))
    return found


@dataclass(frozen=True)
class Step:
    """A block of commands, and the block of output that the page shows below it."""

    commands: Block
    shown: Block | None


def steps_of(page: Path) -> list[Step]:
    """The `sh` blocks of a page in order, each with the `text` or `json` block right behind it."""
    blocks = blocks_of(page)
    steps = []
    for place, block in enumerate(blocks):
        following = blocks[place + 1] if place + 1 < len(blocks) else None
        if block.language == "sh" and "apart" not in block.words:
            shown = following if following is not None and following.language in ("text", "json") else None
            steps.append(Step(block, shown))
    return steps
