"""The attempt store: an SQLite index of the journal, for whoever asks about attempts.

Rule 1: the journal is the truth. All that is here can be made again from its segments.
Rule 2: lines and how far their segment was read are one transaction, and an id is stored once:
a line may be read any number of times.
Rule 3: one process writes (it holds ``ingest.lock``), any number read. A connection belongs to
the thread that opened it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec

from gateway.attempts import query
from gateway.attempts.database import connect, translated
from gateway.attempts.ids import time_of
from gateway.attempts.lines import DeliveryLine
from gateway.attempts.model import Attempt, Shadow
from gateway.attempts.query import AttemptFilter
from gateway.attempts.schema import is_unmade, migrate

PURGE_ROWS = 2_000
"""Rows that one transaction of a purge removes: about 0.1 s on a slow disk."""

_INSERT = (
    f"INSERT INTO attempts ({query.COLUMNS})"
    f" VALUES ({', '.join('?' * len(query.FIELDS))}) ON CONFLICT (id) DO NOTHING"
)
_ROLLUP = """
INSERT INTO rollups
SELECT CAST(at / 60 AS INTEGER) * 60, direction, campaign, verdict, reason, list, entry, count(*)
FROM attempts WHERE seq > ? GROUP BY 1, 2, 3, 4, 5, 6, 7
ON CONFLICT DO UPDATE SET count = count + excluded.count
"""
_DELIVER = """
UPDATE attempts SET delivery = deliveries.delivery FROM deliveries
WHERE attempts.id = deliveries.id
"""
_SEQ = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'attempts'"
_DELIVERY = query.FIELDS.index("delivery")
_SHADOW = query.FIELDS.index("shadow")
_UNKNOWN_SCOPE = query.FIELDS.index("unknown_scope")
_values = attrgetter(*query.FIELDS)
_decode_shadow = msgspec.json.Decoder(Shadow).decode


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a segment was read: bytes, lines that were bad, and whether that is all of it."""

    file: str
    offset: int = 0
    bad: int = 0
    done: bool = False


@dataclass(frozen=True, slots=True)
class Rollup:
    """How many attempts of one kind one minute had; ``minute`` is its first second."""

    minute: int
    direction: str
    campaign: str
    verdict: str
    reason: str
    list: str
    entry: str
    count: int


class AttemptStore:
    """Every method raises StoreError when SQLite fails, StoreCorrupt when the file is broken."""

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        """Open a store, and make or migrate it unless ``readonly``."""
        self.path = path
        with translated(path):
            self._db = connect(path, readonly=readonly)
            try:
                if readonly and is_unmade(self._db):
                    self._db.close()  # another process is making it: nothing is in it yet
                    self._db = sqlite3.connect(":memory:", isolation_level=None)
                    migrate(self._db)
                elif not readonly:
                    migrate(self._db)
            except BaseException:
                self._db.close()
                raise

    def close(self) -> None:
        self._db.close()

    # Writing: the ingester.

    def add(
        self,
        attempts: Iterable[Attempt],
        deliveries: Sequence[DeliveryLine],
        progress: Progress | None = None,
    ) -> int:
        """Store lines and how far their segment was read; return how many attempts are new."""
        rows = {attempt.id: _row(attempt) for attempt in attempts}
        later = [line for line in deliveries if not _settle(rows, line)]
        with self._transaction():
            before: int = self._db.execute(_SEQ).fetchone()[0]
            new = max(0, self._db.executemany(_INSERT, rows.values()).rowcount)
            if new:
                self._db.execute(_ROLLUP, (before,))
            # A row that was there already did not take what was settled in its copy.
            self._deliver(later if new == len(rows) else deliveries, new)
            if progress:
                self._db.execute(
                    "INSERT OR REPLACE INTO segments VALUES (?, ?, ?, ?)",
                    (progress.file, progress.offset, progress.bad, progress.done),
                )
        return new

    def _deliver(self, deliveries: Sequence[DeliveryLine], new: int) -> None:
        """Deliveries wait in their table until their attempt is there, whichever came first."""
        self._db.executemany(
            "INSERT OR REPLACE INTO deliveries VALUES (?, ?, ?)",
            [(line.id, line.delivery, line.at) for line in deliveries],
        )
        if deliveries or new:
            self._db.execute(_DELIVER)
            self._db.execute("DELETE FROM deliveries WHERE id IN (SELECT id FROM attempts)")

    def progress(self) -> dict[str, Progress]:
        """How far each known segment was read."""
        with self._reading():
            rows = self._db.execute("SELECT file, offset, bad, done FROM segments")
            return {
                file: Progress(file, offset, bad, bool(done)) for file, offset, bad, done in rows
            }

    def forget_segment(self, file: str) -> None:
        """Drop the progress of a segment that no longer exists."""
        with self._transaction():
            self._db.execute("DELETE FROM segments WHERE file = ?", (file,))

    def purge(self, before: float) -> int:
        """Remove a chunk of what is older than ``before`` (UTC seconds); 0: nothing is left."""
        with self._transaction():
            removed = self._db.execute(
                "DELETE FROM attempts WHERE seq IN"
                " (SELECT seq FROM attempts WHERE at < ? ORDER BY at LIMIT ?)",
                (before, PURGE_ROWS),
            ).rowcount
            self._db.execute("DELETE FROM deliveries WHERE at < ?", (before,))
            self._db.execute("DELETE FROM rollups WHERE minute < ?", (before - 60,))
        with self._reading():
            self._db.execute(f"PRAGMA incremental_vacuum({PURGE_ROWS})").fetchall()
        return removed

    def clear(self) -> None:
        """Forget everything, progress included, before it is read again."""
        with self._transaction():
            for table in ("attempts", "deliveries", "rollups", "segments"):
                self._db.execute(f"DELETE FROM {table}")

    # Reading: command line and pages.

    def query(
        self, wanted: AttemptFilter | None = None, *, limit: int = 100, before: str | None = None
    ) -> list[Attempt]:
        """Attempts, newest first. ``before``: the id of the last one of the page before."""
        wanted = wanted or AttemptFilter()
        with self._reading():
            cursor = self._place(before) if before else None
            sql, values = query.page(wanted, limit, cursor, broad=self._is_broad(wanted))
            return [_attempt(row) for row in self._db.execute(sql, values)]

    def get(self, attempt_id: str) -> Attempt | None:
        """One attempt, or None."""
        with self._reading():
            sql = f"SELECT {query.COLUMNS} FROM attempts WHERE id = ?"
            row = self._db.execute(sql, (attempt_id,)).fetchone()
            return _attempt(row) if row else None

    def last_seq(self) -> int:
        """The place in the order of arrival after which ``arrivals`` finds what comes next."""
        with self._reading():
            seq: int = self._db.execute(_SEQ).fetchone()[0]
            return seq

    def arrivals(
        self, wanted: AttemptFilter | None = None, *, after: int, limit: int = 1000
    ) -> tuple[list[Attempt], int]:
        """Attempts that arrived after a place, in order of arrival, and the place to go on from.

        Arrival, not time: an attempt of a slower worker comes later and is not passed over.
        """
        with self._reading():
            end = self.last_seq()
            sql, values = query.arrivals(wanted or AttemptFilter(), limit, after)
            rows = self._db.execute(sql, values).fetchall()
        place = rows[-1][-1] if rows else after
        # Nothing more matched up to ``end``: the next search need not look there again.
        return [_attempt(row[:-1]) for row in rows], place if len(rows) == limit else max(
            place, end
        )

    def count(self, wanted: AttemptFilter | None = None) -> int:
        """How many attempts there are."""
        wanted = wanted or AttemptFilter()
        with self._reading():
            sql, values = query.count(wanted, broad=self._is_broad(wanted))
            found: int = self._db.execute(sql, values).fetchone()[0]
            return found

    def rollups(self, since: float, until: float, *, campaign: str = "") -> list[Rollup]:
        """Counts of the minutes that begin in ``[since, until)``, in order of time."""
        terms = query.term("minute >= ? AND minute < ?", since, until)
        if campaign:
            terms += query.term("campaign = ?", campaign)
        with self._reading():
            where = " AND ".join(terms.conditions)
            sql = f"SELECT * FROM rollups WHERE {where} ORDER BY minute"
            return [Rollup(*row) for row in self._db.execute(sql, terms.values)]

    def _is_broad(self, wanted: AttemptFilter) -> bool:
        if not wanted.prefix or wanted.number:
            return False
        return any(
            self._db.execute(
                f"SELECT count(*) FROM ({arm.select('1')} LIMIT {query.BROAD})", arm.values
            ).fetchone()[0]
            == query.BROAD
            for arm in query.prefix_arms(wanted)
        )

    def _place(self, attempt_id: str) -> tuple[float, int]:
        """``at`` and ``seq`` of an attempt; of one that was purged, what its id says."""
        found: tuple[float, int] | None = self._db.execute(
            "SELECT at, seq FROM attempts WHERE id = ?", (attempt_id,)
        ).fetchone()
        return found or (time_of(attempt_id) or 0.0, 0)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with translated(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            with self._db:
                yield

    def _reading(self) -> AbstractContextManager[None]:
        return translated(self.path)


def _row(attempt: Attempt) -> list[Any]:
    row = list(_values(attempt))
    if attempt.shadow:
        row[_SHADOW] = msgspec.json.encode(attempt.shadow).decode()
    return row


def _settle(rows: dict[str, list[Any]], line: DeliveryLine) -> bool:
    """Put a delivery into the new row that it belongs to, if that is at hand: most are."""
    row = rows.get(line.id)
    if row is not None:
        row[_DELIVERY] = line.delivery
    return row is not None


def _attempt(row: Sequence[Any]) -> Attempt:
    fields: dict[str, Any] = dict(zip(query.FIELDS, row, strict=True))
    fields["unknown_scope"] = bool(row[_UNKNOWN_SCOPE])
    if row[_SHADOW]:
        fields["shadow"] = _decode_shadow(row[_SHADOW])
    return Attempt(**fields)
