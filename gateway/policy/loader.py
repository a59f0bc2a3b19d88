"""Loading a policy: its YAML, the list files that it names, the managed entries. All or nothing.

One report has every fault of every file. What is loaded was read whole: a file that changes
under the reader is a fault, not half a list.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType

from gateway.errors import ConfigError, Fault
from gateway.policy.assemble import EMPTY, assemble
from gateway.policy.assembly import Assembly, Confirmed, FileUse
from gateway.policy.document import PolicyDocument
from gateway.policy.expiry import parse_expiry
from gateway.policy.files import FileStamp, Unreadable, is_within, read_stable, revision_of
from gateway.policy.index import build_index
from gateway.policy.listfile import ListFile
from gateway.policy.model import Emergency, Entry, OnError, Policy
from gateway.policy.sorting import sort_plainly
from gateway.yamlfile import KeyPath, read_yaml, shown
from gateway.yamlmodel import capped, validate

LARGE_FILE = 2 * 2**20
"""Bytes of a list file from which on it is read by vectors: about 150,000 lines, half a second."""
LARGE_INDEX = 100_000
"""Rows of an index from which on it is sorted by vectors."""
_STAND_INS = {"action": "block"}
_UNQUOTED = "this cannot be an entry; callgate lint says why"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A policy and what it was made from.

    ``counts`` has the entries of each list that files hold, managed ones not counted.
    ``warnings`` are about managed entries that are kept but have no list to lie in.
    ``confirmed`` are the entries that say ``confirm: true``.
    """

    policy: Policy
    files: tuple[FileStamp, ...]
    counts: Mapping[str, int]
    warnings: tuple[Fault, ...] = ()
    confirmed: frozenset[Confirmed] = frozenset()


@dataclass(slots=True)
class _Reading:
    """The files of a policy while they are read; each is read once.

    What is ``confined`` stays in its folder, and in a process that has to stay small.
    """

    folder: Path
    confined: bool = False
    contents: dict[str, bytes] = field(default_factory=dict)
    stamps: dict[str, FileStamp] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    lists: list[ListFile] = field(default_factory=list)

    def bytes_of(self, file: str) -> bytes:
        """The contents of a file that the policy names. Raises Unreadable."""
        if file in self.unreadable:
            raise Unreadable(self.unreadable[file])
        if file not in self.contents:
            try:
                self.check(file)
                self.contents[file], self.stamps[file] = read_stable(self.folder / file, file)
            except Unreadable as error:
                self.unreadable[file] = str(error)
                raise
        return self.contents[file]

    def check(self, file: str) -> None:
        """Whether the file may be read. Raises Unreadable."""
        if self.confined and not is_within(self.folder / file, self.folder):
            raise Unreadable("lies outside of the folder of the policy")


def load(
    path: Path, *, managed: Iterable[Entry] = (), managed_seq: int = 0, force: bool = False
) -> Loaded:
    """Load the policy at ``path`` with the managed entries of change ``managed_seq``.

    ``force`` accepts a list whose files turn out empty though it may not be. Raises ConfigError
    with every fault that was found.
    """
    try:
        return _load(path, managed, managed_seq, force)
    except ConfigError as error:
        raise ConfigError(_from_here(error.faults, path.parent)) from None


def load_draft(
    data: bytes, folder: Path, name: str, *, managed: Iterable[Entry] = (), managed_seq: int = 0
) -> Loaded:
    """What ``load`` would make of a policy that lay in ``folder``, where somebody sends one.

    Nothing outside of the folder is read, and no fault quotes a file of it, which may be no list
    and hold a secret. Raises ConfigError.
    """
    stamp = FileStamp(name, folder / name, len(data), 0, hashlib.sha256(data).hexdigest())
    try:
        return _made(data, stamp, _Reading(folder, confined=True), managed, managed_seq, False)
    except ConfigError as error:
        raise ConfigError(
            fault if fault.file == name else replace(fault, key="", message=_UNQUOTED)
            for fault in error.faults
        ) from None


def _from_here(faults: Iterable[Fault], folder: Path) -> list[Fault]:
    """Faults that name their file as whoever reads them finds it. Entries keep the short name."""
    return [
        replace(fault, file=shown(folder / fault.file)) if fault.file else fault for fault in faults
    ]


def _load(path: Path, managed: Iterable[Entry], managed_seq: int, force: bool) -> Loaded:
    try:
        data, stamp = read_stable(path, path.name)
    except Unreadable as error:
        raise ConfigError([Fault(path.name, 0, 0, "", str(error))]) from None
    loaded = _made(data, stamp, _Reading(path.parent), managed, managed_seq, force)
    return replace(loaded, warnings=tuple(_from_here(loaded.warnings, path.parent)))


def _made(
    data: bytes,
    stamp: FileStamp,
    reading: _Reading,
    managed: Iterable[Entry],
    managed_seq: int,
    force: bool,
) -> Loaded:
    """The policy whose YAML is ``data``; of what it names, ``reading`` reads the files."""
    made = _assembled(data, stamp.name)
    for use in made.file_uses:
        _read_list(made, reading, use)
    reading.contents.clear()
    _check_contacts(made, reading)
    counts = _counts(made, reading)
    if not force:
        _check_counts(made, reading, counts)
    if made.faults:
        raise ConfigError(capped(made.faults))
    stamps = (stamp, *reading.stamps.values())
    active, warnings = _managed(made, managed)
    return Loaded(
        policy=_policy(made, reading, active, revision_of(stamps, managed_seq)),
        files=stamps,
        counts=counts,
        warnings=tuple(warnings),
        confirmed=frozenset(made.confirmed),
    )


def _assembled(data: bytes, name: str) -> Assembly:
    document = read_yaml(data, name)
    if document.value is None:
        nothing = "there is nothing in it; write 'lists: {}' if nothing is to be blocked"
        raise ConfigError([*document.faults, Fault(name, 1, 1, "", nothing)])
    model, faults = validate(document, PolicyDocument, _STAND_INS)
    if model is None:
        raise ConfigError(capped([*document.faults, *faults]))
    made = assemble(document, model)
    made.faults += [*document.faults, *faults]
    return made


def _read_list(made: Assembly, reading: _Reading, use: FileUse) -> None:
    try:
        data = reading.bytes_of(use.file)
    except Unreadable as error:
        made.fault(use.path, f"{use.file} {error}")
        return
    zone = made.zone
    found = ListFile(
        use.file, use.list, use.region, lambda text: parse_expiry(text, zone), use.expires
    )
    if len(data) >= LARGE_FILE and not reading.confined:
        found.pack = _vectors().pack_lines
    found.read(data)
    made.faults += found.faults
    reading.lists.append(found)


def _vectors() -> ModuleType:
    """What needs numpy; small policies do without, and so does who checks a draft."""
    from gateway.policy import vectors

    return vectors


def _check_contacts(made: Assembly, reading: _Reading) -> None:
    for name, campaign in made.campaigns.items():
        where: KeyPath = ("campaigns", name, "contacts")
        try:
            if campaign.contacts:
                reading.check(campaign.contacts)
        except Unreadable as error:
            made.fault(where, f"{campaign.contacts} {error}")
        else:
            if campaign.contacts and not _is_file(reading.folder / campaign.contacts):
                made.fault(where, f"{campaign.contacts} is not there or no file")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _counts(made: Assembly, reading: _Reading) -> dict[str, int]:
    counts = Counter({item.name: 0 for item in made.lists})
    counts.update(entry.list for entry in made.entries)
    for found in reading.lists:
        counts[found.name] += len(found)
    return dict(counts)


def _check_counts(made: Assembly, reading: _Reading, counts: Mapping[str, int]) -> None:
    """A list whose files turn out empty is a fault, unless something else is at fault there."""
    faulty = {found.name for found in reading.lists if found.faults}
    faulty |= {use.list for use in made.file_uses if use.file in reading.unreadable}
    for use in made.file_uses:
        path = made.written[use.list]
        whole = use.list not in faulty and path not in made.document.damaged
        allowed = next(item for item in made.lists if item.name == use.list).may_be_empty
        if whole and not allowed and not counts[use.list]:
            faulty.add(use.list)
            made.fault(path, EMPTY, key=True)


def _managed(made: Assembly, managed: Iterable[Entry]) -> tuple[list[Entry], list[Fault]]:
    """The managed entries that are in force, and a warning about each list that is not there."""
    takes = {item.name for item in made.lists if item.match is None}
    active: list[Entry] = []
    lost: Counter[str] = Counter()
    for entry in managed:
        if entry.list in takes:
            active.append(entry)
        else:
            lost[entry.list] += 1
    known = {item.name for item in made.lists}
    warnings = [
        Fault(
            made.document.file,
            0,
            0,
            f"lists.{name}",
            f"{count:,} managed {'entry is' if count == 1 else 'entries are'} inactive: "
            + ("this list is a match" if name in known else "there is no such list"),
        )
        for name, count in sorted(lost.items())
    ]
    return active, warnings


def _policy(made: Assembly, reading: _Reading, managed: list[Entry], revision: str) -> Policy:
    written = made.policy
    entries = [*made.entries, *(entry for found in reading.lists for entry in found.entries)]
    entries += managed
    bulk = [item for found in reading.lists for item in found.bulk]
    large = len(entries) + sum(map(len, bulk)) >= LARGE_INDEX and not reading.confined
    sorter = _vectors().sort_vectors if large else sort_plainly
    return Policy(
        revision=revision,
        lists=tuple(made.lists),
        index=build_index(entries, made.lists, bulk, sorter),
        plan=made.plan,
        trunks=made.trunks,
        campaigns=made.campaigns,
        dids=made.dids,
        emergency=Emergency(frozenset(written.emergency.extra), written.emergency.callback_window),
        default=written.default,
        on_error=OnError(written.on_error.inbound, written.on_error.outbound),
        strict_scope=written.strict_scope,
        timezone=written.timezone,
    )
