"""Compiling entries into an index's table, writing it to a file and reading it back.

Sources are laid one after the other in the order in which ties are won, so that one stable sort
by key leaves the rows of equal digits in that order too.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.errors import StoreError
from gateway.policy import columns
from gateway.policy.columns import Column
from gateway.policy.model import Entry, ListDef
from gateway.policy.sorting import ROW_COLUMNS, Rows, Sorter, sort_plainly
from gateway.policy.table import Table, key_of, rank_of

_COLUMNS = (
    *("keys", "link", "heads", "zone_first", "zone_shift"),
    *(*ROW_COLUMNS, "reason_end", "reason_text"),
)


@dataclass(frozen=True, slots=True)
class Bulk:
    """Plain lines of one list file: their keys in the order of the lines that they stood on."""

    list: str
    keys: Column
    lines: Column
    file: str
    expires: int = 0

    def __len__(self) -> int:
        return len(self.keys)


class _Interned:
    """Texts by number; text 0 is the empty one."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {"": 0}

    def __call__(self, text: str) -> int:
        return self.numbers.setdefault(text, len(self.numbers))


def compile_table(
    entries: Iterable[Entry],
    lists: Sequence[ListDef],
    bulk: Iterable[Bulk] = (),
    sorter: Sorter = sort_plainly,
) -> Table:
    """Compile entries. Those of lists that are not given are left out (managed, inactive)."""
    places = {item.name: place for place, item in enumerate(lists)}
    files, reasons = _Interned(), _Interned()
    sources = list(_from_entries(entries, places, files, reasons))
    sources += [(_from_bulk(part, places, files), False) for part in bulk]
    sources.sort(key=lambda item: rank_of(lists[item[0].list_no], item[1]))
    rows = [source for source, _ in sources]
    del sources
    found = sorter(rows, len(lists))
    ends, texts = array("Q"), bytearray()
    for text in reasons.numbers:
        texts += text.encode("utf-8", "replace")
        ends.append(len(texts))
    return Table(
        **found,
        reason_end=ends,
        reason_text=array("B", texts),
        files=list(files.numbers),
    )


def _from_entries(
    entries: Iterable[Entry], places: Mapping[str, int], files: _Interned, reasons: _Interned
) -> Iterator[tuple[Rows, bool]]:
    groups: dict[tuple[int, bool], list[Entry]] = {}
    for entry in entries:
        if entry.list in places:
            groups.setdefault((places[entry.list], entry.managed > 0), []).append(entry)
    for (list_no, managed), group in groups.items():
        source = Rows(
            list_no=list_no,
            keys=array("Q", [key_of(entry.digits, entry.kind) for entry in group]),
            expires=array("I", [entry.expires for entry in group]),
            managed=array("I", [entry.managed for entry in group]),
            file=array("H", [files(entry.origin.file) for entry in group]),
            line=array("I", [entry.origin.line for entry in group]),
            reason=array("I", [reasons(entry.reason) for entry in group]),
        )
        yield source, managed


def _from_bulk(part: Bulk, places: Mapping[str, int], files: _Interned) -> Rows:
    file = files(part.file)
    return Rows(places[part.list], part.keys, part.expires, 0, file, part.lines, 0)


def save_table(table: Table, lists: Sequence[ListDef], path: Path) -> None:
    """Write a table to a file that ``read_table`` reads."""
    header = {
        "files": list(table.files),
        "lists": [item.name for item in lists],
        "counts": list(table.counts),
    }
    parts: dict[str, Any] = {name: getattr(table, name) for name in _COLUMNS}
    columns.write(path, header, {name: memoryview(part) for name, part in parts.items()})


def read_table(
    header: Mapping[str, Any], parts: Mapping[str, memoryview], lists: Sequence[ListDef]
) -> Table:
    """The table of a mapped file. Raises StoreError when it was compiled for other lists."""
    if header.get("lists") != [item.name for item in lists]:
        raise StoreError("the compiled index belongs to another policy")
    found: dict[str, Any] = {name: parts[name] for name in _COLUMNS}
    found |= {name: header[name] for name in ("files", "counts")}
    return Table(**found)
