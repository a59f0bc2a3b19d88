"""Flat columns of integers that are built in memory, or mapped from a file that others share.

A file is ``MAGIC``, the length of a JSON header (8 bytes, little endian), the header, then each
column padded to 8 bytes, at the offset that the header names. Nothing is copied on opening: a
worker maps what another process compiled.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.errors import StoreError

MAGIC = b"CALLGATE-INDEX-2"
Column = Sequence[int]


def _padded(size: int) -> int:
    return -size % 8


def write(path: Path, header: Mapping[str, Any], columns: Mapping[str, memoryview]) -> None:
    """Write columns so that ``open_columns`` can map them; synced to disk before it returns."""
    places: dict[str, tuple[str, int, int]] = {}
    offset = 0
    for name, column in columns.items():
        places[name] = (column.format, offset, column.nbytes)
        offset += column.nbytes + _padded(column.nbytes)
    text = json.dumps({**header, "order": sys.byteorder, "columns": places}).encode()
    text += b" " * _padded(len(MAGIC) + 8 + len(text))
    with path.open("wb") as file:
        file.write(MAGIC + len(text).to_bytes(8, "little") + text)
        for column in columns.values():
            file.write(column)
            file.write(b"\0" * _padded(column.nbytes))
        file.flush()
        os.fsync(file.fileno())


def open_columns(path: Path) -> tuple[dict[str, Any], dict[str, memoryview]]:
    """Map a file that ``write`` made. Raises StoreError when it is none, or not whole."""
    try:
        with path.open("rb") as file:
            whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return _read(whole)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path}: not a usable compiled index: {error}") from error


def _read(whole: memoryview) -> tuple[dict[str, Any], dict[str, memoryview]]:
    start = len(MAGIC) + 8
    if bytes(whole[: len(MAGIC)]) != MAGIC:
        raise ValueError("unknown format")
    body = start + int.from_bytes(whole[len(MAGIC) : start], "little")
    header = json.loads(bytes(whole[start:body]))
    if header["order"] != sys.byteorder:
        raise ValueError("written on a machine of the other byte order")
    columns = {}
    for name, (typecode, offset, size) in header["columns"].items():
        part = whole[body + offset : body + offset + size]
        if len(part) != size:
            raise ValueError("the file is cut short")
        columns[name] = part.cast(typecode)
    return header, columns
