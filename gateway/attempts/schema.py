"""The tables of the attempt store, and the road from every older version to this one.

Rule: a version that was released is never changed; a new one is added to MIGRATIONS, and
``PRAGMA user_version`` says how many of them a file has seen.

``attempts`` has the fields of ``Attempt`` in their order behind ``seq``, the order of arrival.
``shadow`` is its JSON. Every index but the id's ends in ``at``, so that a page, newest first, is
read off the index. ``entry`` is indexed only where there is one. ``deliveries`` holds those whose
attempt is not there yet. ``segments`` says how far each segment was read, in the transaction of
the lines that it covers, and is ``done`` once its end was reached and can no longer move.
``rollups`` counts attempts per minute (its first second).
"""

from __future__ import annotations

import sqlite3

from gateway.errors import StoreError

_V1 = """
CREATE TABLE attempts (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    at REAL NOT NULL,
    direction TEXT NOT NULL,
    verdict TEXT NOT NULL,
    reason TEXT NOT NULL,
    revision TEXT NOT NULL,
    caller TEXT NOT NULL,
    caller_e164 TEXT NOT NULL,
    callee TEXT NOT NULL,
    callee_e164 TEXT NOT NULL,
    presentation TEXT NOT NULL,
    trunk TEXT NOT NULL,
    campaign TEXT NOT NULL,
    extension TEXT NOT NULL,
    pbx TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    linked_id TEXT NOT NULL,
    caller_name TEXT NOT NULL,
    attestation TEXT NOT NULL,
    party TEXT NOT NULL,
    list TEXT NOT NULL,
    entry TEXT NOT NULL,
    kind TEXT NOT NULL,
    origin TEXT NOT NULL,
    note TEXT NOT NULL,
    response INTEGER NOT NULL,
    unknown_scope INTEGER NOT NULL,
    shadow TEXT,
    frontend TEXT NOT NULL,
    elapsed_us REAL NOT NULL,
    delivery TEXT NOT NULL
);
CREATE INDEX attempts_at ON attempts (at);
CREATE INDEX attempts_caller_e164 ON attempts (caller_e164, at);
CREATE INDEX attempts_callee_e164 ON attempts (callee_e164, at);
CREATE INDEX attempts_caller ON attempts (caller, at);
CREATE INDEX attempts_callee ON attempts (callee, at);
CREATE INDEX attempts_campaign ON attempts (campaign, verdict, at);
CREATE INDEX attempts_entry ON attempts (entry, at) WHERE entry != '';
CREATE TABLE deliveries (
    id TEXT PRIMARY KEY,
    delivery TEXT NOT NULL,
    at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE segments (
    file TEXT PRIMARY KEY,
    offset INTEGER NOT NULL,
    bad INTEGER NOT NULL,
    done INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE rollups (
    minute INTEGER NOT NULL,
    direction TEXT NOT NULL,
    campaign TEXT NOT NULL,
    verdict TEXT NOT NULL,
    reason TEXT NOT NULL,
    list TEXT NOT NULL,
    entry TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (minute, direction, campaign, verdict, reason, list, entry)
) WITHOUT ROWID;
"""

MIGRATIONS = (_V1,)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a file to the newest version, all or nothing. StoreError if it is newer than we."""
    if _version(connection) == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        version = _version(connection)
        if version > len(MIGRATIONS):
            raise StoreError(f"the attempt store has version {version}: a newer callgate wrote it")
        for script in MIGRATIONS[version:]:
            for statement in filter(str.strip, script.split(";\n")):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def is_unmade(connection: sqlite3.Connection) -> bool:
    """Whether a file has no tables yet."""
    return _version(connection) == 0


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version
