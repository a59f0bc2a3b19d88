"""What the parent and a worker say to each other (``channel``)."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.calls import Call
from gateway.metrics import Sample
from gateway.policy.model import Entry


class Message(msgspec.Struct, tag=True, frozen=True):
    """The base of all messages."""


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """A frontend of a worker: the descriptor of its listening socket, its peers and bounds."""

    descriptor: int
    secret: str
    max_connections: int
    deadline: float
    allow: list[str] = []  # msgspec copies it


# What the parent says.


class Begin(Message, frozen=True, kw_only=True):
    """Everything a worker has to know but the policy. ``guarded``: allowed calls are told."""

    boards: dict[str, Board]
    journal: str
    segment_bytes: int
    durability: str
    emergencies: dict[str, float]
    guarded: bool


class Part(Message, frozen=True):
    """Managed entries, by id, of the edition that ``Open`` names next; None where one is gone."""

    entries: dict[int, Entry | None]


class Open(Message, frozen=True, kw_only=True):
    """Make an edition ready: a generation, or the edition ``after``, with the parts before this."""

    number: int
    after: int
    revision: str
    directory: str


class Emergency(Message, frozen=True):
    """An emergency call went out by a trunk. Both sides say this."""

    trunk: str
    at: float


class Ask(Message, frozen=True):
    """Tell the figures."""

    id: int


class Rotate(Message, frozen=True):
    """Close the segment of the journal."""


class Done(Message, frozen=True):
    """What became of a star code."""

    id: int
    status: str


class Stop(Message, frozen=True):
    """Take no more calls, let those that live end within ``bound`` seconds, and end."""

    bound: float


# What a worker says.


class Hello(Message, frozen=True):
    """It is there, and wants to begin."""


class Opened(Message, frozen=True):
    """An edition is ready; or it is not, and ``fault`` says why."""

    number: int
    fault: str = ""


class Serving(Message, frozen=True):
    """It accepts calls."""


class Figures(Message, frozen=True):
    """Its metrics, and how many connections are open. ``id`` is that of the question, or 0."""

    id: int
    samples: list[Sample]
    open: int


class Star(Message, frozen=True, kw_only=True):
    """A star code to carry out."""

    id: int
    op: str
    number: str
    by: str


class Allowed(Message, frozen=True):
    """A call was allowed; the guards want to know."""

    call: Call


class Ended(Message, frozen=True):
    """All calls have ended; ``cut`` had to be cut off. The last that a worker says."""

    cut: int


ToWorker = Begin | Part | Open | Emergency | Ask | Rotate | Done | Stop
ToParent = Hello | Opened | Serving | Figures | Emergency | Star | Allowed | Ended


class Options(msgspec.Struct, kw_only=True, frozen=True):
    """What stands on the command line of a worker, as JSON: nothing that is secret.

    ``channel`` and ``page`` are descriptors, ``lock`` is the file that says that it lives.
    """

    number: int
    channel: int
    page: int
    lock: str
    log: dict[str, Any]
