"""Millions of plain lines to a sorted table, with numpy: what ``listfile`` and ``sorting`` do.

Rule 1: only a process that compiles a large policy imports this module, never one that answers
calls or serves pages.
Rule 2: a line is taken here if it is ``+`` and digits, a ``*`` behind them or not, and sound by its
beginning and length; every other line goes to the careful reader, so that both give the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gateway.numbers import HEAD, sound_lengths
from gateway.policy.columns import Column
from gateway.policy.sorting import ROW_COLUMNS, Rows, zones_of
from gateway.policy.table import EXACT, LOW, LOW_BITS, SHORT, SPANS, WIDTH, ZONE, ZONES

Numbers = npt.NDArray[Any]
_CHUNK = 2**22
"""Bytes of text that are worked on at once, so that what is made of them stays in the cache."""
_NEWLINE, _RETURN, _PLUS, _STAR, _ZERO = b"\n\r+*0"
_PLACES = WIDTH + 2
"""Bytes that are looked at from a line's beginning on, at most."""


def pack_lines(data: bytes, careful: Callable[[int, str], int]) -> tuple[Column, Column]:
    """The keys of the entries of a text file and the line of each, in the order of lines.

    ``data`` is UTF-8. ``careful`` reads one line by its number and gives its key, 0 for none.
    """
    sound = _Sound()
    keys, lines = [_none("Q")], [_none("I")]
    line = 1
    for text in _chunks(data):
        found, count = _pack(text, line, sound, careful)
        held = np.flatnonzero(found)
        keys.append(found[held])
        lines.append((held + line).astype(np.uint32))
        line += count
    return _plain(np.concatenate(keys)), _plain(np.concatenate(lines))


def _chunks(data: bytes) -> Iterator[bytes]:
    """The text in pieces that end with a whole line, or with the text."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start + _CHUNK) + 1 or len(data)
        yield data[start:end]
        start = end


class _Sound:
    """Which lengths are sound, by kind and first four digits; asked for once."""

    def __init__(self) -> None:
        self._known = np.zeros(10**HEAD, dtype=bool)
        self._sound = np.zeros((2, 10**HEAD, 16), dtype=bool)

    def __call__(self, starred: Numbers, heads: Numbers, sizes: Numbers) -> Numbers:
        for head in np.flatnonzero(np.bincount(heads, minlength=10**HEAD) * ~self._known).tolist():
            for kind, lengths in enumerate(sound_lengths(f"{head:0{HEAD}}")):
                self._sound[kind, head, list(lengths)] = True
            self._known[head] = True
        return self._sound[starred.astype(np.intp), heads, sizes]


def _pack(
    data: bytes, line: int, sound: _Sound, careful: Callable[[int, str], int]
) -> tuple[Numbers, int]:
    """The key of each line, 0 for none, and how many lines there are."""
    text = np.frombuffer(data + bytes(_PLACES), dtype=np.uint8)
    ends = np.flatnonzero(text[: len(data)] == _NEWLINE)
    if not data.endswith(b"\n"):
        ends = np.append(ends, len(data))
    starts = np.concatenate(([0], ends[:-1] + 1))
    stops = ends - (text[ends - 1] == _RETURN) * (ends > starts)
    starred = (text[stops - 1] == _STAR) & (stops > starts)
    sizes = stops - starts - 1 - starred
    shaped = (text[starts] == _PLUS) & (sizes >= HEAD) & (sizes <= WIDTH)
    value = np.zeros(len(starts), dtype=np.uint64)
    heads = value
    for place in range(WIDTH):
        digit = text[starts + (place + 1)] - np.uint8(_ZERO)
        inside = sizes > place
        shaped &= (digit <= 9) | ~inside
        value = value * np.uint64(10) + digit * inside
        if place == HEAD - 1:
            heads = value.astype(np.intp) * shaped
    taken = shaped & sound(starred, heads, np.where(shaped, sizes, 0))
    low = np.where(taken, sizes, 0).astype(np.uint64) << np.uint64(1) | ~starred
    keys: Numbers = (value << np.uint64(LOW_BITS) | low) * taken
    for place in np.flatnonzero(~taken & (stops > starts)).tolist():
        content = data[starts[place] : stops[place]].decode()
        keys[place] = careful(line + place, content)
    return keys, len(starts)


def sort_vectors(sources: Sequence[Rows], lists: int) -> Mapping[str, Any]:
    """The ``Sorter`` for millions of rows."""
    keys = np.concatenate(
        [_none("Q"), *(np.asarray(source.keys, dtype=np.uint64) for source in sources)]
    )
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    columns: dict[str, Any] = {}
    for name, code in ROW_COLUMNS.items():
        columns[name] = _plain(_column(sources, name, code, order))
    del order
    counts = np.zeros(lists, dtype=np.int64)
    for source in sources:
        counts[source.list_no] += len(source)
    return {
        **columns,
        **_heads(keys),
        "keys": _plain(keys),
        "link": _plain(_links(keys)),
        "counts": counts.tolist(),
    }


def _heads(keys: Numbers) -> Mapping[str, Any]:
    bounds = np.append(np.arange(1, ZONES, dtype=np.uint64) << np.uint64(ZONE), np.uint64(SHORT))
    ends = np.searchsorted(keys, bounds).tolist()
    zones = zones_of(ends)
    heads = []
    for zone, shift in enumerate(zones["zone_shift"]):
        low, high = ends[zone - 1] if zone else 0, ends[zone]
        parts = np.arange(1 << (ZONE - shift), dtype=np.uint64) << np.uint64(shift)
        heads.append(low + np.searchsorted(keys[low:high], parts + np.uint64(zone << ZONE)))
    found = np.append(np.concatenate(heads), ends[-1]).astype(np.uint32)
    return {**zones, "heads": _plain(found)}


def _column(sources: Sequence[Rows], name: str, code: str, order: Numbers) -> Numbers:
    values = [getattr(source, name) for source in sources]
    if all(isinstance(value, int) for value in values) and len(set(values)) <= 1:
        return np.full(len(order), values[0] if values else 0, dtype=code)
    parts = [
        np.full(len(source), value, dtype=code)
        if isinstance(value, int)
        else np.asarray(value, dtype=code)
        for source, value in zip(sources, values, strict=True)
    ]
    return np.concatenate([_none(code), *parts])[order]


def _links(keys: Numbers) -> Numbers:
    """The next row that covers the same digits, -1 for none.

    Prefixes are laid over the rows that they cover in the order of keys, so that a longer one,
    which comes later, is what stays on its own.
    """
    size = len(keys)
    first = np.ones(size, dtype=bool)
    first[1:] = keys[1:] != keys[:-1]
    starts = np.flatnonzero(first & (keys & np.uint64(EXACT) == 0))
    spans = np.array(SPANS, dtype=np.uint64)
    bounds = (keys[starts] & ~np.uint64(LOW)) + spans[
        (keys[starts] & np.uint64(LOW)).astype(np.intp)
    ]
    ends = np.searchsorted(keys, bounds)
    some = ends > starts + 1
    around = np.full(size, -1, dtype=np.int32)
    for start, end in zip(starts[some].tolist(), ends[some].tolist(), strict=True):
        around[start + 1 : end] = start
    runs = np.flatnonzero(first)
    link = around[np.repeat(runs, np.diff(np.append(runs, size)))]
    twins = np.flatnonzero(~first)
    link[twins - 1] = twins
    return link


def _none(code: str) -> Numbers:
    return np.empty(0, dtype=code)


def _plain(column: Numbers) -> memoryview:
    """The column as others read it, which know nothing of numpy."""
    flat: Any = np.ascontiguousarray(column)
    code: Any = {"L": "Q", "l": "q"}.get(flat.dtype.char, flat.dtype.char)
    return memoryview(flat).cast("B").cast(code)
