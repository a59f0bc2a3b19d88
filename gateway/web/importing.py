"""Imports over HTTP: what may be said about a file, and the job that takes its rows.

Rule: an import is done when the gateway decides by it. What it has written stays written whatever
happens then, and its report says whether it is in force.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable
from datetime import date
from typing import Annotated, Any, BinaryIO, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, field_validator

from gateway.entries import EntryStore, Op
from gateway.entries.importing import ImportReport, Remark, run_import
from gateway.entries.sources import AUTO, FORMATS, INFER, Options, expiry_after, read
from gateway.errors import ControlError, EntryError
from gateway.policy.model import MANAGED_LIST, Action, EntryKind, Policy
from gateway.tokens import Scope
from gateway.web.context import Web
from gateway.web.jobs import Job
from gateway.web.masking import masked
from gateway.web.problems import Problem
from gateway.web.sessions import Principal

KEPT = 1000
"""Refusals and warnings that a report has."""
LONGEST_WAIT = 660.0
"""Seconds for the gateway to compile in what was imported."""
_LOOK = 0.2
_DAYS = re.compile(r"([0-9]{1,5})d")
_BEFORE = re.compile(r"\+[0-9]{0,4}")
_NAME = 100

Text = Annotated[str, Field(max_length=200)]
Pairs = Annotated[list[Text], Field(max_length=20)]


class ImportAsked(BaseModel):
    """What is said about a file, as of ``callgate import``."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    source: Literal[
        "auto", "csv", "text", "freepbx", "fusionpbx", "vicidial", "kamailio", "ftc"
    ] = Field(
        default="auto", alias="from", description="The format; auto tells it by the first line"
    )
    file: Text = Field(default="", description="What the file is called in the audit")
    list: Pairs = Field(
        default=[], description="The list that takes them, or KEY=LIST for a key of the rows"
    )
    allow_list: Text = Field(default="", description="The list of exceptions (kamailio)")
    kind: Literal["", "number", "prefix", "short", "short_prefix", "infer"] = Field(
        default="", description="Of every row; infer: what is too short is a prefix"
    )
    column: Pairs = Field(
        default=[], description="The column of the numbers, or WHAT=COLUMN for reason, expires"
    )
    before: str = Field(
        default="", max_length=5, description="+ or +1, before numbers without + or 0"
    )
    reason: str = Field(default="", max_length=500)
    expires: str = Field(default="", max_length=40, description="2027-01-31, or 90d")
    min_complaints: int = Field(default=3, ge=1, le=1_000_000)
    within: int = Field(default=30, ge=1, le=100_000, description="Days (ftc)")
    remove: bool = Field(default=False, description="Remove what the rows name")
    dry_run: bool = Field(default=False, description="Do all but write")
    confirm: bool = Field(default=False, description="Also rows that ask for a confirmation")

    @field_validator("expires")
    @classmethod
    def _check_expires(cls, text: str) -> str:
        if days := _DAYS.fullmatch(text.strip()):
            try:
                return expiry_after(int(days[1]), date.today())
            except OverflowError:
                raise ValueError("is too late") from None
        return text.strip()

    @field_validator("before")
    @classmethod
    def _check_before(cls, text: str) -> str:
        if text and not _BEFORE.fullmatch(text):
            raise ValueError("is + or + and a country code")
        return text

    def options(self) -> Options:
        """The same for the readers of formats."""
        lists = dict(_pair(text, "") for text in self.list if text)
        return Options(
            file=_printable(self.file)[:_NAME] or "upload",
            list=lists.pop("", ""),
            lists=lists,
            allow_list=self.allow_list,
            kind=INFER if self.kind == "infer" else self.kind and EntryKind(self.kind).value,
            reason=self.reason.strip(),
            expires=self.expires,
            confirm=self.confirm,
            columns=dict(_pair(text, "number") for text in self.column if text),
            before=self.before,
            min_complaints=self.min_complaints,
            within=self.within,
        )


class RowSaid(msgspec.Struct, frozen=True):
    """What is said of one row: its line, its number, why it was refused or is doubtful."""

    line: int
    text: str
    why: str


class SkipCount(msgspec.Struct, frozen=True):
    """Rows that are meant to be no entries, by why."""

    why: str
    rows: int


class ImportResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the rows; in a dry run, what would.

    ``exists`` were there already, ``absent`` ones that were to be removed were not. ``refusals``
    and ``warnings`` are the first thousand of ``refused`` and ``warned``; ``unread`` are columns
    that held something and were not taken. ``rev`` is the last change that was written, 0 for none;
    ``in_force`` whether the next call is decided by it, else ``why`` not yet.
    """

    file: str
    format: str
    dry_run: bool
    rows: int
    added: int
    exists: int
    removed: int
    absent: int
    refused: int
    skipped: int
    warned: int
    rev: int
    in_force: bool
    why: str
    skips: list[SkipCount]
    refusals: list[RowSaid]
    warnings: list[RowSaid]
    unread: list[str]


async def check_import(web: Web, who: Principal, options: Options) -> None:
    """Whether whoever asks may import into these lists. Problem 403, 422."""
    policy = await web.policy()
    named = {*options.lists.values(), options.list or MANAGED_LIST, options.allow_list} - {""}
    lists = {item.name: item for item in policy.lists}
    if missing := sorted(named - lists.keys()):
        raise Problem(422, f"there is no list {missing[0]!r}; the lists are {', '.join(lists)}")
    opening = sorted(name for name in named if lists[name].action is Action.ALLOW)
    if opening and not who.may(Scope.ADMIN):
        raise Problem(403, f"list {opening[0]!r} allows calls: that takes the scope admin")
    if options.allow_list and options.allow_list not in opening:
        raise Problem(422, f"list {options.allow_list!r} does not allow: it takes no exceptions")


async def run(
    web: Web, job: Job, who: Principal, file: BinaryIO, asked: ImportAsked, *, dry_run: bool
) -> ImportResult:
    """Take the rows of a file; done when that is in force. GatewayError."""
    policy = await web.policy()
    options = asked.options()
    report, form = await web.jobs.in_thread(
        lambda: _take(web, job, who, file, asked, options, policy, dry_run)
    )
    why = ""
    if report.rev:
        job.tell(job.total, "written; waiting until the gateway has it in force")
        why = await _in_force(web, report.rev)
    return _result(report, options.file, form, why)


def result_shown(found: ImportResult, who: Principal) -> ImportResult:
    """A report as somebody may see it; of what was refused too, the number is a number."""
    if who.may(Scope.NUMBERS):
        return found
    return msgspec.structs.replace(
        found, refusals=_masked(found.refusals), warnings=_masked(found.warnings)
    )


def _take(
    web: Web,
    job: Job,
    who: Principal,
    file: BinaryIO,
    asked: ImportAsked,
    options: Options,
    policy: Policy,
    dry_run: bool,
) -> tuple[ImportReport, str]:
    """In a thread: read, understand and write. StoreError, ConfigError, EntryError, Stopped."""
    job.total = file.seek(0, 2)
    file.seek(0)

    def progress(report: ImportReport) -> None:
        job.tell(file.tell(), f"{report.rows:,} rows, {report.refused:,} refused")

    form, rows = read(file, asked.source, options, date.today())
    _check_format(form, options, policy)
    store = None if dry_run else EntryStore(web.options.state_dir / "entries.db")
    try:
        report = run_import(
            rows,
            policy,
            store,
            who=who.name,
            source=f"import:{options.file}",
            op=Op.REMOVE if asked.remove else Op.ADD,
            dry_run=dry_run,
            keep=KEPT,
            progress=progress,
        )
    finally:
        if store is not None:
            store.close()
    return report, form


def _check_format(form: str, options: Options, policy: Policy) -> None:
    """What another product blocks is not let through here. EntryError."""
    allowing = {item.name for item in policy.lists if item.action is Action.ALLOW}
    wrong = sorted(allowing & {*options.lists.values(), options.list})
    if wrong and FORMATS[form].blocks:
        raise EntryError(f"list {wrong[0]!r} allows what {FORMATS[form].title} blocks")


async def _in_force(web: Web, rev: int) -> str:
    """Wait until the gateway decides by all changes up to ``rev``; else why it does not."""
    until = time.monotonic() + LONGEST_WAIT
    while True:
        try:
            policy = (await web.status())["policy"]
        except ControlError as error:
            return str(error)
        if int(policy["revision"].partition("+")[2]) >= rev:
            return ""
        if time.monotonic() > until:
            return policy["degraded"] or "the gateway is still compiling it in"
        await asyncio.sleep(_LOOK)


def _result(report: ImportReport, file: str, form: str, why: str) -> ImportResult:
    counts: dict[str, Any] = {
        name: getattr(report, name)
        for name in ("dry_run", "rows", "added", "exists", "removed", "absent")
    }
    counts |= {name: getattr(report, name) for name in ("refused", "skipped", "warned", "rev")}
    return ImportResult(
        file=file,
        format=form,
        in_force=not report.dry_run and not why,
        why=why,
        skips=[SkipCount(text, rows) for text, rows in report.skips.most_common()],
        refusals=_said(report.refusals),
        warnings=_said(report.warnings),
        unread=report.unread,
        **counts,
    )


def _said(remarks: Iterable[Remark]) -> list[RowSaid]:
    return [RowSaid(line, text, why) for line, text, why in remarks]


def _masked(said: list[RowSaid]) -> list[RowSaid]:
    return [RowSaid(one.line, masked(one.text), masked(one.why)) for one in said]


def _pair(text: str, key: str) -> tuple[str, str]:
    before, sign, after = text.rpartition("=")
    return (before if sign else key), after


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text.strip())


def formats() -> list[tuple[str, str]]:
    """Each format by its word and its name, for a form."""
    return [(AUTO, "tell by the first line"), *((key, form.title) for key, form in FORMATS.items())]
