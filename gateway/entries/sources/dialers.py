"""Do-not-call lists of dialers, and complaints: VICIdial, the FTC. Both are of North America.

VICIdial: the tables ``vicidial_dnc`` and ``vicidial_campaign_dnc``, with or without a header.
FTC: "Do Not Call Reported Calls Data". A complaint is unverified and the caller's number may be
forged, so that several of them make an entry, and every entry expires.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import chain

from gateway.entries.sources.lines import Line, delimiter_of, records
from gateway.entries.sources.rows import Options, Refused, Row, Skipped, nanp
from gateway.entries.sources.sheets import Cells, Names, Sheet, plain_name
from gateway.policy.model import EntryKind

_AREA = re.compile(r"(\d{3})[Xx]{7}", re.ASCII)
_NOTHING = frozenset({"", "null", "\\n"})


def read_vicidial(lines: Iterator[Line], options: Options) -> Iterator[Row]:
    """Numbers, and area codes, which seven X follow; the list can be told by campaign."""
    first = next((line for line in lines if line.text.strip()), None)
    if first is None:
        return
    delimiter = delimiter_of(first.text)
    cells = [plain_name(cell) for cell in first.text.split(delimiter)]
    whole = chain([first], lines)
    if "phone_number" in cells or options.columns:
        names: Names = {"number": ("phone_number",), "campaign": ("campaign_id",)}
        rows: Iterator[Cells | Row] = iter(Sheet(whole, options, names, ("number",)))
    else:
        rows = _headless(whole, delimiter)
    for row in rows:
        yield row if isinstance(row, Row) else _vicidial(row, options)


def _headless(lines: Iterator[Line], delimiter: str) -> Iterator[Cells | Row]:
    places = {"number": 0, "campaign": 1}
    for record in records(lines, delimiter):
        if record.fault:
            yield Row(record.line, Refused(record.text, record.fault))
        elif any(cell.strip() for cell in record.cells):
            yield Cells(record.line, record.cells, places)


def _vicidial(row: Cells, options: Options) -> Row:
    number, campaign = row["number"], row["campaign"]
    if campaign.lower() in _NOTHING:
        name = options.list_of("")
    else:
        name = options.lists.get(campaign) or options.list
    if not name:
        of = f"campaign {campaign}: --list {campaign}=NAME" if campaign else "it: --list NAME"
        return Row(row.line, Refused(number, f"no list is named for {of}"))
    if area := _AREA.fullmatch(number):
        prefix = area[1] if options.before else f"+1{area[1]}"
        return Row(row.line, options.asked(prefix, kind=EntryKind.PREFIX, list=name))
    number = number if options.before else nanp(number)
    return Row(row.line, options.asked(number, kind=EntryKind.NUMBER, list=name))


def read_ftc(lines: Iterator[Line], options: Options) -> Iterator[Row]:
    """The numbers with enough complaints in the days before the newest complaint of the file."""
    names: Names = {"number": ("company_phone_number",), "created": ("created_date",)}
    days, begins = defaultdict[str, list[int]](list), dict[str, int]()
    for row in Sheet(lines, options, names, ("number",)):
        if isinstance(row, Row):
            yield row
        elif not row["number"]:
            yield Row(row.line, Skipped("a complaint without a number"))
        elif (day := _day(row["created"])) is None:
            yield Row(row.line, Refused(row["number"], f"no date: {row['created'][:40]!r}"))
        else:
            number = row["number"] if options.before else nanp(row["number"])
            days[number].append(day)
            begins.setdefault(number, row.line)
    newest = max((max(found) for found in days.values()), default=0)
    for number, found in days.items():
        recent = [day for day in found if day > newest - options.within]
        yield from _complained(number, found, recent, begins[number], options)


def _complained(
    number: str, days: list[int], recent: list[int], line: int, options: Options
) -> Iterator[Row]:
    if len(recent) < options.min_complaints:
        many = f"{options.min_complaints} complaints in {options.within} days"
        yield from (Row(line, Skipped(f"fewer than {many}")) for _ in days)
        return
    last = date.fromordinal(max(recent))
    reason = f"{len(recent)} complaints to the FTC in {options.within} days, last on {last}"
    yield Row(line, options.asked(number, kind=EntryKind.NUMBER, reason=reason))
    yield from (Row(line, Skipped("another complaint of the same number")) for _ in days[1:])


def _day(text: str) -> int | None:
    """``2026-01-31 10:20:30``, or ``1/31/2026`` as older files have it."""
    try:
        if "/" in text:
            return datetime.strptime(text.split()[0], "%m/%d/%Y").toordinal()
        return date.fromisoformat(text[:10]).toordinal()
    except (ValueError, IndexError):
        return None


def expiry_after(days: int, today: date) -> str:
    """The last day of an entry that is to last so many days."""
    return (today + timedelta(days=days)).isoformat()
