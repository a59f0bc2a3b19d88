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
from pathlib import Path

from gateway.attempts import query
from gateway.attempts.database import connect, translated
from gateway.attempts.ids import time_of
from gateway.attempts.lines import DeliveryLine
from gateway.attempts.model import Attempt
from gateway.attempts.query import AttemptFilter, Terms
from gateway.attempts.rows import attempt_of_row, row_of, settle
from gateway.attempts.schema import is_unmade, migrate

PURGE_ROWS = 2_000
"""Rows that one transaction of a purge removes: about 0.1 s on a slow disk."""
WALK_ROWS = 2_000
"""Rows that a walk has at hand."""

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
UPDATE attempts
SET delivery = (SELECT delivery FROM deliveries WHERE deliveries.id = attempts.id)
WHERE id IN (SELECT id FROM deliveries)
"""
_SEQ = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'attempts'"
_AT = query.FIELDS.index("at")


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
        self.made = True
        """Whether there is a file: one that is not made yet is read as an empty one."""
        with translated(path):
            self._db = connect(path, readonly=readonly)
            try:
                if readonly and is_unmade(self._db):
                    self._db.close()  # another process is making it: nothing is in it yet
                    self.made = False
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
        rows = {attempt.id: row_of(attempt) for attempt in attempts}
        later = [line for line in deliveries if not settle(rows, line)]
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
            return [attempt_of_row(row) for row in self._db.execute(sql, values)]

    def get(self, attempt_id: str) -> Attempt | None:
        """One attempt, or None."""
        with self._reading():
            sql = f"SELECT {query.COLUMNS} FROM attempts WHERE id = ?"
            row = self._db.execute(sql, (attempt_id,)).fetchone()
            return attempt_of_row(row) if row else None

    def last_seq(self) -> int:
        """The place in the order of arrival after which ``arrivals`` finds what comes next."""
        with self._reading():
            seq: int = self._db.execute(_SEQ).fetchone()[0]
            return seq

    def seq_of(self, attempt_id: str) -> int | None:
        """The place of an attempt in the order of arrival; None for one that is not there."""
        with self._reading():
            sql = "SELECT seq FROM attempts WHERE id = ?"
            row = self._db.execute(sql, (attempt_id,)).fetchone()
            return int(row[0]) if row else None

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
        return [attempt_of_row(row[:-1]) for row in rows], place if len(rows) == limit else max(
            place, end
        )

    def walk(self, since: float, until: float) -> Iterator[Attempt]:
        """Attempts of ``[since, until)``, oldest first, chunk by chunk: writers are not held up."""
        place = (since, 0)
        while True:
            with self._reading():
                rows = self._db.execute(*query.walk(place, until, WALK_ROWS)).fetchall()
            yield from (attempt_of_row(row[:-1]) for row in rows)
            if len(rows) < WALK_ROWS:
                return
            place = rows[-1][_AT], rows[-1][-1]

    def any_of(
        self, searches: Sequence[Terms], *, since: float, until: float, limit: int
    ) -> Iterator[Attempt]:
        """The newest attempts that one of the searches finds; each leads into an index."""
        if not searches:
            return
        with self._reading():
            broad = any(map(self._finds_many, searches))
            sql = query.any_of(searches, since, until, limit, broad=broad)
            yield from map(attempt_of_row, self._db.execute(*sql))

    def unread(
        self, party: str, direction: str, *, since: float, until: float
    ) -> list[tuple[str, str]]:
        """Each text, with its trunk, that a ``caller`` or ``callee`` had and that no number was."""
        with self._reading():
            return self._db.execute(*query.unread(party, direction, since, until)).fetchall()

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

    def quarters(
        self, since: float, until: float, *, campaign: str = ""
    ) -> list[tuple[int, str, str, str, int]]:
        """Counts per quarter of an hour (its first second), campaign, direction and verdict.

        Of the minutes that begin in ``[since, until)``; an empty ``campaign`` means all.
        """
        sql, values = query.quarters(since, until, campaign)
        with self._reading():
            return self._db.execute(sql, values).fetchall()

    def top_numbers(self, wanted: AttemptFilter, limit: int) -> list[tuple[str, int]]:
        """The numbers of remote parties that most attempts have, and how many: E.164, else raw."""
        with self._reading():
            sql, values = query.top_numbers(wanted, limit)
            return [(number, count) for number, count in self._db.execute(sql, values)]

    def _is_broad(self, wanted: AttemptFilter) -> bool:
        if not wanted.prefix or wanted.number:
            return False
        return any(map(self._finds_many, query.prefix_arms(wanted)))

    def _finds_many(self, arm: Terms) -> bool:
        sql = f"SELECT count(*) FROM ({arm.select('1')} LIMIT {query.BROAD})"
        found: int = self._db.execute(sql, arm.values).fetchone()[0]
        return found == query.BROAD

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
