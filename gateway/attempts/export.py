"""Attempts as text for other programs: JSON lines and CSV.

Both have every field of the record, in its order, with ``time`` (ISO 8601, UTC, milliseconds)
before them. In CSV the shadow verdict is one cell of JSON, empty where there is none. JSON is
ASCII: no text of a caller reaches a terminal raw, and what is no UTF-8 stays as its escape.

Rule: a CSV cell is never a formula. Text that a spreadsheet could take for one (it begins with
``=``, ``+``, ``-``, ``@``, a tab, a carriage return or a line feed) gets an apostrophe before it.
``+`` and digits only is a phone number and stays as it is: a spreadsheet reads a number there.
A spreadsheet may also split at semicolons or tabs, and does not see our quotes then: what could be
a formula behind one of those gets its apostrophe too.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from gateway.attempts.model import Attempt

FIELDS = ("time", *Attempt.__struct_fields__)

_FORMULA = re.compile(r"[=+\-@\t\r\n＝＋－＠]")
_WITHIN = re.compile(r"([;\t\r\n][\s\"']*)(?=[=+\-@＝＋－＠])")
_PHONE = re.compile(r"\+[0-9]+")


class Writable(Protocol):
    """Where text goes: a file, a response, a terminal."""

    def write(self, text: str, /) -> object: ...


def as_dict(attempt: Attempt) -> dict[str, Any]:
    """Every field by name, defaults too, and ``time``."""
    fields = msgspec.structs.asdict(attempt)
    if attempt.shadow:
        fields["shadow"] = msgspec.structs.asdict(attempt.shadow)
    moment = datetime.fromtimestamp(attempt.at, UTC).isoformat(timespec="milliseconds")
    return {"time": moment.replace("+00:00", "Z"), **fields}


def write_json(attempts: Iterable[Attempt], out: Writable) -> None:
    """One JSON object a line."""
    for attempt in attempts:
        out.write(json.dumps(as_dict(attempt)) + "\n")


def write_csv(
    attempts: Iterable[Attempt],
    out: Writable,
    *,
    header: bool = True,
    clean: Callable[[str], str] = str,
) -> None:
    """RFC 4180, with a header unless told otherwise. Open ``out`` with ``newline=""``.

    ``clean`` is applied to every text, for a reader that needs it cleaner still.
    """
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    if header:
        writer.writerow(FIELDS)
    for attempt in attempts:
        writer.writerow([_cell(value, clean) for value in as_dict(attempt).values()])


def _cell(value: object, clean: Callable[[str], str]) -> object:
    if isinstance(value, dict):
        return json.dumps(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return safe(clean(value)) if isinstance(value, str) else value


def safe(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    text = _WITHIN.sub(r"\1'", text)
    formula = _FORMULA.match(text) and not _PHONE.fullmatch(text)
    return "'" + text if formula else text
