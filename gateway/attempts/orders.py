"""Orders to erase a number, and the record of what was erased.

An order is ``STATE_DIR/erase/<id>.json`` (0600); it holds the number and is gone once it is carried
out. Whoever holds ``ingest.lock`` carries it out, so that nobody else writes archive or store.
Rule: ``STATE_DIR/erasures.jsonl`` gets one line for each order that was carried out, before the
order goes: who asked, when, and how much was found. The number is not in it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from gateway.attempts.ids import new_boot
from gateway.attempts.segments import live_segments
from gateway.files import open_own, sync_directory
from gateway.numbers.spellings import Spellings
from gateway.ownership import make_directory

log = logging.getLogger(__name__)


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be erased; ``at`` is when it was asked for, UTC seconds.

    ``segments`` are those that were not archived then: what came before stands in them or in the
    archive, and what comes later is no part of the order.
    """

    id: str
    at: float
    who: str
    source: str
    number: Spellings
    segments: list[str] = []


class Erased(msgspec.Struct, kw_only=True):
    """What an order came to, since the process that ended it began it.

    ``lines`` of ``segments`` and ``attempts`` of the store were changed, ``rollups`` are the
    minutes whose counts named the number as an entry. In ``unreadable`` archived segments and in
    stores that were set ``aside`` the number may still stand.
    """

    id: str
    asked: float
    at: float = 0.0
    who: str = ""
    source: str = ""
    lines: int = 0
    segments: int = 0
    attempts: int = 0
    rollups: int = 0
    unreadable: list[str] = []
    aside: list[str] = []


def place(state: Path, number: Spellings, *, at: float, who: str, source: str) -> Order:
    """Leave an order; it is on the disk when this returns. Raises OSError."""
    live = live_segments(state / "journal")
    order = Order(id=new_boot(), at=at, who=who, source=source, number=number, segments=live)
    folder = _folder(state)
    make_directory(folder)
    fresh = folder / f".{order.id}.new"
    with open(open_own(fresh, os.O_WRONLY | os.O_EXCL), "wb") as file:
        file.write(msgspec.json.encode(order))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(folder / f"{order.id}.json")
    sync_directory(folder)
    return order


def orders(state: Path) -> Iterator[Order]:
    """The orders that are not carried out yet, the first one first."""
    try:
        names = sorted(name for name in os.listdir(_folder(state)) if name.endswith(".json"))
    except FileNotFoundError:
        return
    for name in names:
        try:
            yield msgspec.json.decode((_folder(state) / name).read_bytes(), type=Order)
        except (OSError, msgspec.MsgspecError):
            log.error("the order %s to erase a number cannot be read", name)


def conclude(state: Path, order: Order, erased: Erased) -> None:
    """Record what was done, then remove the order. Raises OSError."""
    path = state / "erasures.jsonl"
    if not any(done.id == order.id for done in erasures(state)):
        with open(open_own(path, os.O_RDWR | os.O_APPEND), "a+b") as file:
            torn = file.seek(0, os.SEEK_END) and not _ends_well(file.fileno())
            file.write(b"\n" * torn + msgspec.json.encode(erased) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        sync_directory(state)
    (_folder(state) / f"{order.id}.json").unlink(missing_ok=True)
    sync_directory(_folder(state))


def erasures(state: Path) -> list[Erased]:
    """What was erased, the first one first. Raises OSError."""
    try:
        lines = (state / "erasures.jsonl").read_bytes().splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in filter(None, lines):
        try:
            found.append(msgspec.json.decode(line, type=Erased))
        except msgspec.MsgspecError:
            log.warning("a line of erasures.jsonl cannot be read")
    return found


def _folder(state: Path) -> Path:
    return state / "erase"


def _ends_well(descriptor: int) -> bool:
    return os.pread(descriptor, 1, os.fstat(descriptor).st_size - 1) == b"\n"
