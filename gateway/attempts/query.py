"""What can be asked of the attempts, and the SQL that answers it off the indexes.

Rule: newest first is ``at`` downwards, ``seq`` (the order of arrival) where it is equal.
Rule: a number may stand in four columns. Each is asked on its own, newest first, and the answers
are merged: one OR over all of them would collect and sort every call of a busy number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.attempts.model import Attempt

FIELDS = Attempt.__struct_fields__
COLUMNS = ", ".join(FIELDS)
NUMBER_COLUMNS = ("caller_e164", "callee_e164", "caller", "callee")
PREFIX_COLUMNS = ("caller_e164", "callee_e164")
EQUAL = ("campaign", "direction", "verdict", "reason", "list", "entry", "trunk", "delivery")
BROAD = 10_000
"""A prefix with more attempts is searched by time, for its own index would be sorted whole."""

_NEWEST = "ORDER BY at DESC, seq DESC"

Value = str | int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFilter:
    """Which attempts; all that is given must hold, empty text and None ask nothing.

    ``number`` is either party, as E.164 (``+33…``) or as the PBX wrote it. ``prefix`` is what the
    E.164 number of either party begins with. ``since`` (inclusive) and ``until`` (exclusive) are
    UTC seconds since the epoch. The rest are the fields of ``Attempt``.
    """

    number: str = ""
    prefix: str = ""
    campaign: str = ""
    direction: str = ""
    verdict: str = ""
    reason: str = ""
    list: str = ""
    entry: str = ""
    trunk: str = ""
    delivery: str = ""
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """Conditions joined by AND, with their values in order."""

    conditions: tuple[str, ...] = ()
    values: tuple[Value, ...] = ()

    def __add__(self, other: Terms) -> Terms:
        return Terms(self.conditions + other.conditions, self.values + other.values)

    def select(self, what: str) -> str:
        where = f" WHERE {' AND '.join(self.conditions)}" if self.conditions else ""
        return f"SELECT {what} FROM attempts{where}"


def term(condition: str, *values: Value) -> Terms:
    return Terms((condition,), values)


def conditions(wanted: AttemptFilter) -> Terms:
    """All that a filter says, kept off every index but that of the time (by a unary plus)."""
    terms = Terms()
    for name in EQUAL:
        if value := getattr(wanted, name):
            terms += term(f"+{name} = ?", value)
    if wanted.since is not None:
        terms += term("at >= ?", wanted.since)
    if wanted.until is not None:
        terms += term("at < ?", wanted.until)
    if wanted.number:
        either = " OR ".join(f"+{name} = ?" for name in NUMBER_COLUMNS)
        terms += term(f"({either})", *[wanted.number] * len(NUMBER_COLUMNS))
    if wanted.prefix:
        either = " OR ".join(f"(+{name} >= ? AND +{name} < ?)" for name in PREFIX_COLUMNS)
        terms += term(f"({either})", *prefix_range(wanted.prefix) * len(PREFIX_COLUMNS))
    return terms


def prefix_arms(wanted: AttemptFilter) -> list[Terms]:
    """One condition for each column whose number may begin with the prefix."""
    bounds = prefix_range(wanted.prefix)
    return [term(f"{name} >= ? AND {name} < ?", *bounds) for name in PREFIX_COLUMNS]


def arms(wanted: AttemptFilter, *, broad: bool) -> list[Terms]:
    """What leads each search of its own into the best index; ``broad``: the prefix is no lead."""
    if wanted.number:
        return [term(f"{name} = ?", wanted.number) for name in NUMBER_COLUMNS]
    if wanted.prefix and not broad:
        return prefix_arms(wanted)
    if wanted.entry:
        return [term("entry = ? AND entry != ''", wanted.entry)]  # as its partial index has it
    if wanted.campaign:
        verdicts = [wanted.verdict] if wanted.verdict else ["allow", "block"]
        return [term("campaign = ? AND verdict = ?", wanted.campaign, one) for one in verdicts]
    return [Terms()]


def page(
    wanted: AttemptFilter, limit: int, before: tuple[float, int] | None, *, broad: bool
) -> tuple[str, list[Value]]:
    """The newest ``limit`` attempts older than ``before`` (its ``at`` and ``seq``)."""
    rest = conditions(wanted)
    if before:
        rest += term("(at, seq) < (?, ?)", *before)
    searches = [arm + rest for arm in arms(wanted, broad=broad)]
    newest = f"{_NEWEST} LIMIT {limit:d}"
    found = " UNION ".join(f"SELECT seq FROM ({s.select('seq')} {newest})" for s in searches)
    sql = f"SELECT {COLUMNS} FROM attempts WHERE seq IN ({found}) {newest}"
    return sql, [value for search in searches for value in search.values]


def count(wanted: AttemptFilter, *, broad: bool) -> tuple[str, list[Value]]:
    """How many attempts there are."""
    searches = [arm + conditions(wanted) for arm in arms(wanted, broad=broad)]
    found = " UNION ".join(search.select("seq") for search in searches)
    return f"SELECT count(*) FROM ({found})", [v for search in searches for v in search.values]


def top_numbers(wanted: AttemptFilter, limit: int) -> tuple[str, list[Value]]:
    """Remote parties by how many attempts they have."""
    number = (
        "CASE direction WHEN 'inbound' THEN CASE caller_e164 WHEN '' THEN caller ELSE caller_e164"
        " END ELSE CASE callee_e164 WHEN '' THEN callee ELSE callee_e164 END END"
    )
    search = conditions(wanted)
    sql = f"SELECT number, count(*) FROM ({search.select(f'{number} AS number')})"
    sql += f" WHERE number != '' GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {limit:d}"
    return sql, list(search.values)


def arrivals(wanted: AttemptFilter, limit: int, after: int) -> tuple[str, list[Value]]:
    """The first ``limit`` attempts that arrived after ``after`` (a ``seq``), oldest first."""
    search = term("seq > ?", after) + conditions(wanted)
    sql = f"{search.select(f'{COLUMNS}, seq')} ORDER BY seq LIMIT {limit:d}"
    return sql, list(search.values)


def any_of(
    searches: Sequence[Terms], since: float, until: float, limit: int, *, broad: bool
) -> tuple[str, list[Value]]:
    """The newest ``limit`` attempts of ``[since, until)`` that one of the searches finds.

    ``broad``: they find so many that the time leads, and their own indexes do not.
    """
    span = term("at >= ? AND at < ?", since, until)
    newest = f"{_NEWEST} LIMIT {limit:d}"
    values = [value for search in searches for value in (*search.values, *span.values)]
    if broad:
        either = " OR ".join(f"({' AND '.join((search + span).conditions)})" for search in searches)
        where = f"at >= ? AND at < ? AND ({either})"
        sql = f"SELECT {COLUMNS} FROM attempts INDEXED BY attempts_at WHERE {where} {newest}"
        return sql, [*span.values, *values]
    found = " UNION ".join(
        f"SELECT seq FROM ({(search + span).select('seq')} {newest})" for search in searches
    )
    return f"SELECT {COLUMNS} FROM attempts WHERE seq IN ({found}) {newest}", values


def walk(place: tuple[float, int], until: float, limit: int) -> tuple[str, list[Value]]:
    """The first ``limit`` attempts behind ``place`` (``at`` and ``seq``), each with its ``seq``."""
    search = term("(at, seq) > (?, ?) AND at < ?", *place, until)
    return f"{search.select(f'{COLUMNS}, seq')} ORDER BY at, seq LIMIT {limit:d}", [*search.values]


def unread(party: str, direction: str, since: float, until: float) -> tuple[str, list[Value]]:
    """Each text, with its trunk, of a party that was no number in E.164."""
    search = term(f"{party}_e164 = '' AND +direction = ?", direction)
    search += term("at >= ? AND at < ?", since, until)
    return search.select(f"DISTINCT {party}, trunk"), [*search.values]


def quarters(since: float, until: float, campaign: str) -> tuple[str, list[Value]]:
    """How many attempts each quarter of an hour had, by campaign, direction and verdict."""
    wanted = term("minute >= ? AND minute < ?", since, until)
    if campaign:
        wanted += term("campaign = ?", campaign)
    sql = (
        "SELECT minute / 900 * 900, campaign, direction, verdict, sum(count) FROM rollups"
        f" WHERE {' AND '.join(wanted.conditions)} GROUP BY 1, 2, 3, 4"
    )
    return sql, list(wanted.values)


def prefix_range(prefix: str) -> tuple[str, str]:
    """The first text that begins with a prefix, and one that is after all of them."""
    return prefix, prefix + "\U0010ffff"
