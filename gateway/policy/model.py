"""What a policy is made of: immutable values, compiled once, read by every decision.

Times are seconds since the epoch (UTC). Names of lists, campaigns and trunks match ``NAME``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from gateway.calls import Direction
from gateway.numbers import NumberPlan

if TYPE_CHECKING:
    from gateway.policy.index import Index

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
FORBIDDEN_RESPONSES = frozenset({401, 407, 408, 487})
"""SIP statuses that mean something else to a peer: authentication, its own timeout, its cancel."""
MANAGED_LIST = "blacklist"
"""The list that always exists: block, both directions."""


def is_response(status: int) -> bool:
    """Whether a call may be rejected with this SIP status."""
    return 400 <= status <= 699 and status not in FORBIDDEN_RESPONSES


class Action(StrEnum):
    ALLOW = "allow"
    BLOCK = "block"


_BLOCK = Action.BLOCK


class Party(StrEnum):
    """Which party of a call a list looks at; ``remote`` is inbound the caller, else the callee."""

    REMOTE = "remote"
    CALLER = "caller"
    CALLEE = "callee"
    ANY = "any"


class Mode(StrEnum):
    ENFORCE = "enforce"
    SHADOW = "shadow"


class EntryKind(StrEnum):
    """How an entry covers numbers. ``number`` and ``short`` are exact, the others begin-with."""

    NUMBER = "number"
    PREFIX = "prefix"
    SHORT = "short"
    SHORT_PREFIX = "short_prefix"

    @property
    def exact(self) -> bool:
        return self is _NUMBER or self is _SHORT

    @property
    def short(self) -> bool:
        return self is _SHORT or self is _SHORT_PREFIX


_NUMBER, _SHORT, _SHORT_PREFIX = EntryKind.NUMBER, EntryKind.SHORT, EntryKind.SHORT_PREFIX


class Reason(StrEnum):
    """Why a verdict is what it is: the value of ``CALLGATE_REASON``."""

    EMERGENCY = "emergency"
    EMERGENCY_CALLBACK = "emergency_callback"
    BINDING = "binding"
    LIST = "list"
    ANONYMOUS = "anonymous"
    NO_NUMBER = "no_number"
    INVALID = "invalid"
    UNASSIGNED = "unassigned"
    REGION = "region"
    TYPE = "type"
    INTERNAL = "internal"
    DEFAULT = "default"
    CONFIG = "config"
    HOSTILE = "hostile"
    UNAUTHORISED = "unauthorised"
    ERROR = "error"


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Where something was written: a file relative to the policy, its line and column from 1."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


_NOWHERE = Origin("")


@dataclass(frozen=True, slots=True)
class Match:
    """The keys of a category list: ANDed; the values of one key are ORed."""

    anonymous: bool = False
    no_number: bool = False
    invalid: bool = False
    unassigned: bool = False
    regions: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListDef:
    """A named set of entries, or one ``match``, with what is done to the calls it covers.

    An empty ``campaigns``, ``trunks`` or ``extensions`` means everywhere. ``response`` 0 means
    the default of the reason and direction; ``network_blocked`` asks for the 603+ of
    ATIS-1000099. ``order`` is the place in the file.
    """

    name: str
    action: Action
    order: int
    origin: Origin
    direction: Direction | None = None
    party: Party = Party.REMOTE
    campaigns: frozenset[str] = frozenset()
    trunks: frozenset[str] = frozenset()
    extensions: frozenset[str] = frozenset()
    region: str | None = None
    response: int = 0
    network_blocked: bool = False
    reason: str = ""
    mode: Mode = Mode.ENFORCE
    binding: bool = False
    match: Match | None = None
    may_be_empty: bool = False
    drop_active: bool = False
    """Whether a number that is added hangs up its live calls, where a guard watches the PBX."""

    @property
    def scope_rank(self) -> int:
        """Larger is narrower: campaign+trunk, campaign, trunk, global; an extension adds least."""
        return 4 * bool(self.campaigns) + 2 * bool(self.trunks) + bool(self.extensions)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One number or prefix of a list.

    ``digits`` has no plus: E.164 digits, or those of a short code. ``expires`` is the first
    second at which the entry no longer exists, 0 never. ``managed`` is its id in the change log,
    0 for YAML and list files.
    """

    list: str
    kind: EntryKind
    digits: str
    reason: str = ""
    expires: int = 0
    origin: Origin = _NOWHERE
    managed: int = 0

    @property
    def text(self) -> str:
        """As people read it: ``+33162`` or, for short codes, ``3179``."""
        return self.digits if self.kind.short else "+" + self.digits


@dataclass(frozen=True, slots=True)
class Campaign:
    """A named scope: its own numbers (E.164 digits), trunks and contacts file."""

    name: str
    dids: tuple[str, ...] = ()
    trunks: frozenset[str] = frozenset()
    contacts: str = ""
    origin: Origin = _NOWHERE


@dataclass(frozen=True, slots=True)
class OnError:
    """What is answered when a well-formed request cannot be decided."""

    inbound: Action = Action.ALLOW
    outbound: Action = Action.BLOCK

    def action(self, direction: Direction) -> Action:
        return self.inbound if direction is Direction.INBOUND else self.outbound


@dataclass(frozen=True, slots=True)
class Emergency:
    """Numbers beside those of libphonenumber, and how long a call back is let in (seconds)."""

    extra: frozenset[str] = frozenset()
    callback_window: float = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The compiled, immutable snapshot that a decision reads once.

    ``revision`` is ``<12 hex of YAML and list files>+<managed sequence>``. ``lists`` are in file
    order with the managed list last when the YAML does not define it. ``dids`` maps E.164 digits
    to a campaign's name.
    """

    revision: str
    lists: tuple[ListDef, ...]
    index: Index
    plan: NumberPlan
    trunks: Mapping[str, NumberPlan] = field(default_factory=dict)
    campaigns: Mapping[str, Campaign] = field(default_factory=dict)
    dids: Mapping[str, str] = field(default_factory=dict)
    emergency: Emergency = Emergency()
    default: Action = Action.ALLOW
    on_error: OnError = OnError()
    strict_scope: bool = True
    timezone: str = "UTC"
    categories: tuple[ListDef, ...] = field(init=False)
    """Category lists in file order."""
    has_binding: bool = field(init=False)
    has_shadow: bool = field(init=False)
    inbound_parties: tuple[Party, ...] = field(init=False)
    """The parties of an inbound call that any list looks at, the remote one first."""
    outbound_parties: tuple[Party, ...] = field(init=False)

    def __post_init__(self) -> None:
        learn = partial(object.__setattr__, self)
        learn("categories", tuple(item for item in self.lists if item.match is not None))
        learn("has_binding", any(item.binding for item in self.lists))
        learn("has_shadow", any(item.mode is Mode.SHADOW for item in self.lists))
        parties = 2 if any(item.party is not Party.REMOTE for item in self.lists) else 1
        learn("inbound_parties", (Party.CALLER, Party.CALLEE)[:parties])
        learn("outbound_parties", (Party.CALLEE, Party.CALLER)[:parties])


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """Allow or block, and everything needed to say why.

    ``party`` is ``caller``, ``callee`` or empty (no party was matched). ``entry`` is the text of
    the entry that decided and ``kind`` how it covers. ``response`` is the SIP status to send,
    0 when allowed; ``network_blocked`` says that it is a 603+. ``number`` is the remote party in
    E.164, empty when it has none, ``caller`` and ``callee`` both parties likewise. ``note`` is
    the reason text that people wrote on the entry or list. ``shadow`` is the verdict with shadow
    lists enforced, where it differs.
    """

    action: Action
    reason: Reason
    revision: str
    party: str = ""
    list: str = ""
    entry: str = ""
    kind: str = ""
    origin: str = ""
    note: str = ""
    response: int = 0
    network_blocked: bool = False
    number: str = ""
    caller: str = ""
    callee: str = ""
    campaign: str = ""
    unknown_scope: bool = False
    shadow: Verdict | None = None

    @property
    def blocked(self) -> bool:
        return self.action is _BLOCK
