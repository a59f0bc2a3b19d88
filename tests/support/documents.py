"""Fenced blocks of Markdown: what the documentation shows, for tests that hold it to its word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block; ``line`` is that of its first line."""

    document: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True)
class Example:
    """A command of a ``console`` block and the lines that are shown under it."""

    block: Block
    command: str
    output: tuple[str, ...]

    def matches(self, printed: str) -> bool:
        """Whether it printed what is shown. ``...`` stands for anything within a line, and on a
        line of its own for any lines.
        """
        return re.fullmatch("\n".join(map(_pattern, self.output)), printed.rstrip("\n")) is not None


def _pattern(line: str) -> str:
    return "(?s:.*)" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*")


def blocks(document: Path, language: str) -> list[Block]:
    text = document.read_text()
    return [
        Block(document, text.count("\n", 0, found.start()) + 2, found[1], found[2])
        for found in _FENCE.finditer(text)
        if found[1] == language
    ]


def examples(document: Path) -> Iterator[Example]:
    """The commands of all ``console`` blocks, in order; ``\\`` at the end goes on a line."""
    for block in blocks(document, "console"):
        text = block.text.replace("\\\n> ", "").replace("\\\n", "")
        assert text.startswith("$ "), f"{block} does not begin with a command"
        for part in text.removeprefix("$ ").split("\n$ "):
            command, *output = part.rstrip("\n").split("\n")
            yield Example(block, command, tuple(output))
