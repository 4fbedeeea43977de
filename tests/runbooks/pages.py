"""The runbooks taken apart."""

from pathlib import Path
from typing import Final

from tests.docs.pages import DOCS, Block, blocks_of

FOLDER: Final = DOCS / "runbooks"
RUNBOOKS: Final = tuple(page for page in sorted(FOLDER.glob("*.md")) if page.name != "README.md")
PARTS: Final = (
    "Alert",
    "Impact",
    "Quick diagnosis (under two minutes)",
    "Causes and actions",
    "Escalation (15 minutes → secondary on-call)",
)
SAID: Final = {
    "parsed": "(parsed only)",
    "kafka": "(run against real Kafka)",
    "valkey": "(run against real Valkey)",
    "host": "(on a host)",
}
"""What a page says of a block whose commands are not run against Bellhouse."""
FIXTURES: Final = {"notification": "ID", "dead-letter": "DELIVERY", "recipient": "USER"}
"""What a block may ask to be there, and the word that stands for its id; `TYPE` is a notification's type."""


def commands_of(page: Path, way: str) -> list[tuple[Block, str]]:
    """The commands of a page that are tested in a way, in their order."""
    return [
        (block, line)
        for block in blocks_of(page)
        if block.language == "sh" and block.words[:1] == (way,)
        for line in block.text.splitlines()
        if line.strip()
    ]
