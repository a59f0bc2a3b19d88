"""Carrying out orders to erase a number, a piece at a time, beside the moving of the journal.

Rule 1: first the journal, then the store: the store is made from the journal, never the other way.
Rule 2: a segment that is still written is waited for. Its writer closes it when it is told to, a
day later, or when it ends; then it is archived like any other and rewritten there.
Rule 3: every piece can be done twice. An order stays until all is done, so whatever dies on the
way begins it anew and ends with the same.
"""

from __future__ import annotations

import fcntl
import gzip
import logging
import os
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from gateway.attempts.archive import archive_path, archived_segments
from gateway.attempts.expunge import StoreExpunger, expunge_segment, holding, sweep_archive
from gateway.attempts.move import Mover
from gateway.attempts.orders import Erased, Order, conclude, orders
from gateway.attempts.segments import live_segments
from gateway.attempts.store import AttemptStore
from gateway.errors import StoreError
from gateway.files import open_own
from gateway.numbers.spellings import Spellings

BROKEN = (EOFError, zlib.error, gzip.BadGzipFile)
"""What reading an archive raises that is none; what the disk raises is another matter."""
AGAIN = 30.0
"""Seconds after a failure until an order is begun anew: it writes a lot."""

log = logging.getLogger("callgate.erase")


def _never() -> bool:
    return False


class Erasing:
    """The orders of one state directory. For whoever holds ``ingest.lock``."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._journal = state / "journal"
        self._store = state / "attempts.db"
        self._stop: Callable[[], bool] = _never
        self._work: Iterator[bool] | None = None
        self._after = 0.0

    def step(self, stop: Callable[[], bool] = _never) -> bool:
        """Do a piece of the first order; whether the next one can be done at once.

        Raises StoreError and OSError; the order is begun anew after a while then.
        """
        self._stop = stop
        if self._work is None:
            order = next(orders(self._state), None)
            if order is None or time.monotonic() < self._after:
                return False
            self._work = self._carry_out(order)
        try:
            return next(self._work)
        except StopIteration:
            self._work = None
            return True
        except BaseException:
            self._work = None
            self._after = time.monotonic() + AGAIN
            raise

    def _carry_out(self, order: Order) -> Iterator[bool]:
        """Yields whether it goes on at once, and not only after others had their turn."""
        done = Erased(id=order.id, asked=order.at, who=order.who, source=order.source)
        while set(order.segments) & set(live_segments(self._journal)):
            yield False
        sweep_archive(self._journal)
        for name in archived_segments(self._journal):
            self._expunge(name, order.number, done)
            yield True
        with closing(StoreExpunger(self._store)) as store:
            for rows in store.holding(order.number):
                if rows:
                    store.change(rows)
                    done.attempts += len(rows)
                yield True
            done.rollups = store.merge_counts(store.entries(order.number))
            while not store.vacuum(self._stop):
                yield True
            while not store.cut_wal():
                yield False
        done.aside = aside(self._state)
        done.at = time.time()
        conclude(self._state, order, done)
        log.info("a number was erased from %d lines and %d attempts", done.lines, done.attempts)

    def _expunge(self, name: str, number: Spellings, done: Erased) -> None:
        try:
            found = expunge_segment(self._journal, name, number)
        except FileNotFoundError:
            return  # retention came first
        except BROKEN as error:
            log.error("%s cannot be read: %s", name, error)
            done.unreadable.append(name)
            return
        done.lines += found
        done.segments += bool(found)


def aside(state: Path) -> list[str]:
    """Broken stores that were set aside: they hold numbers, and nobody can take one out."""
    return sorted(path.name for path in state.glob("attempts.db.corrupt-*"))


def count(state: Path, number: Spellings) -> Erased:
    """How much an order would find now; nothing is written. Raises StoreError and OSError."""
    journal, found = state / "journal", Erased(id="", asked=time.time(), aside=aside(state))
    for name in [*archived_segments(journal), *live_segments(journal)]:
        try:
            lines = _count_segment(journal, name, number)
        except FileNotFoundError:
            continue
        except BROKEN:
            found.unreadable.append(name)
            continue
        found.lines += lines
        found.segments += bool(lines)
    if (state / "attempts.db").exists():
        with closing(StoreExpunger(state / "attempts.db", readonly=True)) as store:
            found.attempts = sum(map(len, store.holding(number)))
    return found


def _count_segment(journal: Path, name: str, number: Spellings) -> int:
    path = archive_path(journal, name)
    with gzip.open(path) if path.exists() else (journal / name).open("rb") as file:
        return holding(file, number)


def carry_out(state: Path, patience: float) -> bool:
    """Carry out every order here, where no gateway runs; False when a segment is still written.

    Raises StoreError, also when an ingester goes on for ``patience`` seconds, and OSError.
    """
    with _locked(state, patience), closing(AttemptStore(state / "attempts.db")) as store:
        Mover(state / "journal", store).run()
        erasing = Erasing(state)
        while erasing.step():
            pass
        return next(orders(state), None) is None


@contextmanager
def _locked(state: Path, patience: float) -> Iterator[None]:
    descriptor = open_own(state / "ingest.lock", os.O_RDWR)
    end = time.monotonic() + patience
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise StoreError("another process moves the journal; try again") from None
            time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)
