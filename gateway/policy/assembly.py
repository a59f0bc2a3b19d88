"""A policy while it is put together: values so far, and every fault with its place."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import tzinfo
from zoneinfo import ZoneInfo

from gateway.errors import Fault
from gateway.numbers import NumberPlan
from gateway.policy.document import PolicyDocument
from gateway.policy.model import Campaign, Entry, EntryKind, ListDef, Origin
from gateway.yamlfile import Document, KeyPath

Confirmed = tuple[str, EntryKind, str]
"""A list's name, kind and digits of an entry that says ``confirm: true``."""


@dataclass(frozen=True, slots=True)
class FileUse:
    """A list file that a list names: where it is named, and how its rows are to be read."""

    path: KeyPath
    file: str
    list: str
    region: str | None
    expires: int


@dataclass(slots=True)
class Assembly:
    """The values of a policy while they are put together."""

    document: Document
    policy: PolicyDocument
    faults: list[Fault] = field(default_factory=list)
    zone: tzinfo = field(default_factory=lambda: ZoneInfo("UTC"))
    plan: NumberPlan = field(default_factory=NumberPlan.build)
    trunks: dict[str, NumberPlan] = field(default_factory=dict)
    lists: list[ListDef] = field(default_factory=list)
    written: dict[str, KeyPath] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    confirmed: set[Confirmed] = field(default_factory=set)
    file_uses: list[FileUse] = field(default_factory=list)
    campaigns: dict[str, Campaign] = field(default_factory=dict)
    dids: dict[str, str] = field(default_factory=dict)

    def fault(self, path: KeyPath, message: str, *, key: bool = False) -> None:
        self.faults.append(self.document.fault(path, message, key=key))

    def origin(self, path: KeyPath, *, key: bool = False) -> Origin:
        return Origin(self.document.file, *self.document.place(path, key=key))

    @property
    def region(self) -> str | None:
        """The region in which entries and DIDs are written."""
        return self.policy.numbering.region
