"""What is said on the control socket: one JSON object a line, a request and its answer.

A request has an ``op`` and the fields of its class here; others are refused. An answer is
``{"ok": true, "result": …}`` or ``{"ok": false, "error": "…"}``; with ``covers`` beside the error
when the same request goes on once it says ``confirm``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import msgspec

from gateway.calls import Direction, Presentation
from gateway.entries import Asked, Covered
from gateway.errors import ControlError
from gateway.policy.model import Action, Reason, Verdict

MAX_LINE = 4 * 2**20
"""Bytes of one request or answer."""
MAX_ENTRIES = 1000
"""Entries of one request."""
MAX_PAGE = 1000
"""Entries or changes of one answer."""
MAX_PATH = 107
"""``sun_path`` has 108 bytes, the last one a NUL (Linux, unix(7))."""


Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A revision, or the id of an entry: what an INTEGER of SQLite holds."""


class Request(msgspec.Struct, tag_field="op", tag=str.lower, forbid_unknown_fields=True):
    """The base of all requests."""


class Ping(Request):
    """Whether anybody answers."""


class Status(Request):
    """What runs: listeners, policy, managed entries, trouble."""


class Metrics(Request):
    """The metrics, as Prometheus text."""


class Reload(Request):
    """Load the policy anew; ``force`` accepts that entries vanish."""

    force: bool = False


class Rotate(Request):
    """Close the segments of the journal that are written now: the next line begins another."""


class Changing(Request):
    """A request that changes entries, with the person behind it and the way in."""

    who: str = ""
    source: str = "cli"


class Add(Changing, kw_only=True):
    """Add entries, all or none. ``forced``: for ways in that cannot ask for a confirmation."""

    entries: list[Asked]
    forced: bool = False


class Edit(Changing, kw_only=True):
    """Replace reason and expiry of entries, all or none."""

    entries: list[Asked]


class Remove(Changing, kw_only=True):
    """Remove entries, by text or by id, all or none."""

    entries: list[Asked] = []
    ids: list[Id] = []


class Undo(Changing, kw_only=True):
    """Take a change back."""

    rev: Id


class List(Request):
    """Managed entries with an id above ``after``, by id."""

    list: str = ""
    after: Id = 0
    limit: int = MAX_PAGE


class Changes(Request):
    """Lines of the change log after ``since``."""

    since: Id = 0
    limit: int = MAX_PAGE


class Screen(Request, kw_only=True):
    """Screen one call, whose facts are those of ``Call``; its time is that of the request.

    ``hostile``, when not empty, says why it is to be blocked without a decision; ``report`` that
    it has happened already and is only decided and recorded.
    """

    direction: Direction
    caller: str
    callee: str
    trunk: str = ""
    campaign: str = ""
    extension: str = ""
    presentation: Presentation = Presentation.ALLOWED
    channel_id: str = ""
    linked_id: str = ""
    caller_name: str = ""
    attestation: str = ""
    pbx: str = ""
    hostile: str = ""
    report: bool = False


class Screened(msgspec.Struct, frozen=True, kw_only=True):
    """What ``Screen`` is answered: a verdict, in the fields of ``Verdict``, and its attempt."""

    attempt: str
    reported: bool = False
    action: Action
    reason: Reason
    revision: str
    party: str = ""
    list: str = ""
    entry: str = ""
    note: str = ""
    response: int = 0
    network_blocked: bool = False
    number: str = ""
    campaign: str = ""

    def verdict(self) -> Verdict:
        """The verdict, as the mappers of the PBXs take it."""
        return Verdict(**{name: getattr(self, name) for name in VERDICT_FIELDS})


VERDICT_FIELDS = tuple(set(Screened.__struct_fields__) & set(Verdict.__struct_fields__))
"""What a verdict is told in; a PBX has no use for the rest."""


AnyRequest = (
    Ping | Status | Metrics | Reload | Rotate | Add | Edit | Remove | Undo | List | Changes | Screen
)


class Answer(msgspec.Struct, omit_defaults=True):
    ok: bool
    result: Any = None
    error: str = ""
    covers: tuple[Covered, ...] = ()


def check_path(path: Path) -> str:
    """The path as a socket's address. ControlError when the system has no room for it."""
    size = len(os.fsencode(path))
    if size > MAX_PATH:
        raise ControlError(
            f"{path}: the path of a socket has at most {MAX_PATH} bytes, this one {size}; "
            "set 'state' to a directory with a shorter path"
        )
    return str(path)
