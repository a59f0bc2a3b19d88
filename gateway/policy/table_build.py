"""Compiling entries into an index's table, writing it to a file and reading it back.

Sources are laid one after the other in the order in which ties are won, so that one stable sort
by key leaves the rows of equal digits in that order too.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any

from gateway.errors import StoreError
from gateway.policy import columns
from gateway.policy.model import Entry, EntryKind, ListDef
from gateway.policy.table import SECTIONS, Section, Table, covers, key_of, rank_of

_ROW_COLUMNS = {
    "list_no": "H",
    "expires": "I",
    "managed": "I",
    "file": "H",
    "line": "I",
    "reason": "I",
}


@dataclass(frozen=True, slots=True)
class Bulk:
    """Plain lines of one list file: digits and the line that each stood on."""

    list: str
    kind: EntryKind
    digits: Sequence[str]
    lines: Sequence[int]
    file: str


@dataclass(slots=True)
class _Source:
    """Rows of one list and one kind, as parallel sequences."""

    list_no: int
    digits: Sequence[str]
    expires: Iterable[int]
    managed: Iterable[int]
    file: Iterable[int]
    line: Iterable[int]
    reason: Iterable[int]


class _Interned:
    """Texts by number; text 0 is the empty one."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {"": 0}

    def __call__(self, text: str) -> int:
        return self.numbers.setdefault(text, len(self.numbers))


@dataclass(slots=True)
class _Rows:
    keys: list[int] = field(default_factory=list)
    columns: dict[str, array[int]] = field(
        default_factory=lambda: {name: array(code) for name, code in _ROW_COLUMNS.items()}
    )

    def extend(self, source: _Source) -> None:
        self.keys.extend(map(key_of, source.digits))
        self.columns["list_no"].extend([source.list_no] * len(source.digits))
        for name in ("expires", "managed", "file", "line", "reason"):
            self.columns[name].extend(getattr(source, name))

    def sort(self) -> None:
        order = sorted(range(len(self.keys)), key=self.keys.__getitem__)
        self.keys = [self.keys[place] for place in order]
        for name, column in self.columns.items():
            self.columns[name] = array(column.typecode, map(column.__getitem__, order))


def compile_table(
    entries: Iterable[Entry], lists: Sequence[ListDef], bulk: Iterable[Bulk] = ()
) -> Table:
    """Compile entries. Those of lists that are not given are left out (managed, inactive)."""
    places = {item.name: place for place, item in enumerate(lists)}
    files, reasons = _Interned(), _Interned()
    sources = list(_from_entries(entries, places, files, reasons))
    sources += list(_from_bulk(bulk, places, files))
    sources.sort(key=lambda item: rank_of(lists[item[1].list_no], item[2]))
    sections: dict[EntryKind, Section] = {}
    whole: dict[str, array[int]] = {name: array(code) for name, code in _ROW_COLUMNS.items()}
    for kind in SECTIONS:
        rows = _Rows()
        for source_kind, source, _ in sources:
            if source_kind is kind:
                rows.extend(source)
        rows.sort()
        sections[kind] = _section(rows.keys, len(whole["list_no"]), linked=not kind.exact)
        for name, column in rows.columns.items():
            whole[name].extend(column)
    return _table(sections, whole, list(files.numbers), list(reasons.numbers))


def _from_entries(
    entries: Iterable[Entry], places: Mapping[str, int], files: _Interned, reasons: _Interned
) -> Iterator[tuple[EntryKind, _Source, bool]]:
    groups: dict[tuple[EntryKind, int, bool], list[Entry]] = {}
    for entry in entries:
        if entry.list in places:
            key = (entry.kind, places[entry.list], entry.managed > 0)
            groups.setdefault(key, []).append(entry)
    for (kind, list_no, managed), group in groups.items():
        source = _Source(
            list_no=list_no,
            digits=[entry.digits for entry in group],
            expires=[entry.expires for entry in group],
            managed=[entry.managed for entry in group],
            file=[files(entry.origin.file) for entry in group],
            line=[entry.origin.line for entry in group],
            reason=[reasons(entry.reason) for entry in group],
        )
        yield kind, source, managed


def _from_bulk(
    bulk: Iterable[Bulk], places: Mapping[str, int], files: _Interned
) -> Iterator[tuple[EntryKind, _Source, bool]]:
    for part in bulk:
        size = len(part.digits)
        source = _Source(
            list_no=places[part.list],
            digits=part.digits,
            expires=repeat(0, size),
            managed=repeat(0, size),
            file=repeat(files(part.file), size),
            line=part.lines,
            reason=repeat(0, size),
        )
        yield part.kind, source, False


def _section(sorted_keys: Sequence[int], start: int, *, linked: bool) -> Section:
    """Distinct keys of a sorted run whose first row is ``start``; links only for prefixes."""
    keys, first, parent = array("Q"), array("I"), array("i")
    ancestors: list[int] = []
    previous = -1
    for row, key in enumerate(sorted_keys, start):
        if key == previous:
            continue
        previous = key
        if linked:
            while ancestors and not covers(keys[ancestors[-1]], key):
                ancestors.pop()
            parent.append(ancestors[-1] if ancestors else -1)
            ancestors.append(len(keys))
        keys.append(key)
        first.append(row)
    first.append(start + len(sorted_keys))
    return Section(keys, first, parent)


def _table(
    sections: Mapping[EntryKind, Section],
    rows: Mapping[str, array[int]],
    files: Sequence[str],
    reasons: Iterable[str],
) -> Table:
    ends, texts = array("Q"), bytearray()
    for text in reasons:
        texts += text.encode("utf-8", "replace")
        ends.append(len(texts))
    return Table(
        sections=sections, **rows, reason_end=ends, reason_text=array("B", texts), files=files
    )


def save_table(table: Table, lists: Sequence[ListDef], path: Path) -> None:
    """Write a table to a file that ``read_table`` reads."""
    parts: dict[str, Any] = {name: getattr(table, name) for name in _ROW_COLUMNS}
    parts |= {"reason_end": table.reason_end, "reason_text": table.reason_text}
    for kind, section in table.sections.items():
        for name in ("keys", "first", "parent"):
            parts[f"{kind}.{name}"] = getattr(section, name)
    codes = {"keys": "Q", "first": "I", "parent": "i", "reason_end": "Q", "reason_text": "B"}
    header = {"files": list(table.files), "lists": [item.name for item in lists]}
    arrays = {
        name: part
        if isinstance(part, array)
        else array((codes | _ROW_COLUMNS)[name.rpartition(".")[2]], part)
        for name, part in parts.items()
    }
    columns.write(path, header, arrays)


def read_table(
    header: Mapping[str, Any], parts: Mapping[str, memoryview], lists: Sequence[ListDef]
) -> Table:
    """The table of a mapped file. Raises StoreError when it was compiled for other lists."""
    if header.get("lists") != [item.name for item in lists]:
        raise StoreError("the compiled index belongs to another policy")
    sections = {
        kind: Section(*(parts[f"{kind}.{name}"] for name in ("keys", "first", "parent")))
        for kind in SECTIONS
    }
    rows = {name: parts[name] for name in (*_ROW_COLUMNS, "reason_end", "reason_text")}
    return Table(sections=sections, **rows, files=header["files"])
