"""A listener's sessions without a listener: bytes are handed in, and the answer is read back.

Rule: everything between the socket and the journal is the real thing: parser, mapper, screener,
decision, the journal's lines, the answer. Only the loop and the files are left out, for speed.
"""

from __future__ import annotations

import os
import re
import socket
from types import SimpleNamespace
from typing import Any

from msgspec.structs import replace

from gateway.attempts.lines import MAX_LINE, decode, encode
from gateway.attempts.model import Attempt
from gateway.frontends.session import Frontend, Session
from gateway.metrics import Metrics
from gateway.policy.model import Policy
from gateway.protocols.agi import MAX_AFTER
from gateway.protocols.esl import MAX_BODY
from gateway.screener import Screener
from tests.support.policies import make_list, make_policy, number, prefix

READ = 64 * 1024
"""Bytes that a listener reads at once."""
LISTS = [make_list("nuisance", response=607), make_list("partners", "allow", order=1)]
POLICY: Policy = make_policy(
    LISTS, [prefix("nuisance", "33162"), number("nuisance", "15551234567"), prefix("partners", "1")]
)


class Lines:
    """A journal that keeps its lines to itself, and reads each as whoever comes later will."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []

    def next_id(self, at: float) -> str:
        del at
        return f"019f0c8e2b7a-7f3a-{len(self.attempts):06d}"

    def append(self, attempt: Attempt) -> None:
        line = encode(attempt)
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert len(line) <= MAX_LINE
        assert isinstance(decode(line[:-1]), Attempt)
        self.attempts.append(attempt)

    def delivery(self, attempt_id: str, delivery: object, at: float) -> None:
        pass

    def hold(self) -> None:
        pass

    def flush(self) -> None:
        pass

    def pending_sync(self) -> None:
        pass


class _Owner:
    """Stands for the listener."""

    def watch(self, fd: int, events: int) -> None:
        pass

    def release(self, fd: int) -> None:
        os.close(fd)


class Talk:
    """One connection: what it was told, the attempts it left, and whether it is still open.

    ``size`` is how many bytes come at a time; a turn of the loop ends after each READ of them. So
    many come ``first``, in the same turn as the next.
    """

    def __init__(
        self, kind: type[Frontend], data: bytes, size: int = READ, *, first: int = 0
    ) -> None:
        frontend, journal, metrics = _frontend(kind)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            session: Session = kind.serve(frontend, _Owner(), ours.detach(), "peer", 0.0)
            session.opened()
            for turn in _turns(data, size, first):
                for piece in turn:
                    if session.live:
                        session.received(piece)
                    _check_bounds(session)
                frontend._settle()
            self.live = session.live
            if session.live:
                session.abort()
            self.said = theirs.recv(1 << 20)
        self.attempts = journal.attempts
        for name in ("callgate_decision_errors_total", "callgate_journal_errors_total"):
            assert not metrics.value(name)

    @property
    def outcome(self) -> tuple[Any, ...]:
        """All of it that may not depend on how its bytes were cut."""
        last = self.attempts[-1:]  # that of an honest beginning can be there before it
        facts = [replace(each, id="", at=0.0, elapsed_us=0.0) for each in last]
        said = re.sub(rb"(?<=-7f3a-)\d{6}", b"", self.said)
        return said, facts, self.live or bool(facts)  # how long it stays after that is no promise

    @property
    def hostile(self) -> bool:
        """Whether what was answered last is a hostile request."""
        return bool(self.attempts) and self.attempts[-1].reason == "hostile"


_made: dict[str, tuple[Frontend, Lines, Metrics]] = {}


def _parts(kind: type[Frontend]) -> tuple[Frontend, Lines, Metrics]:
    journal, metrics = Lines(), Metrics()
    policies: Any = SimpleNamespace(current=POLICY)
    screener = Screener(policies, journal, metrics)  # type: ignore[arg-type]
    return kind(screener, counters=metrics), journal, metrics


def _frontend(kind: type[Frontend]) -> tuple[Frontend, Lines, Metrics]:
    if kind.name not in _made:
        _made[kind.name] = _parts(kind)
    frontend, journal, metrics = _made[kind.name]
    journal.attempts = []
    return frontend, journal, metrics


def _turns(data: bytes, size: int, first: int) -> list[list[bytes]]:
    turns = [_cut(turn, size) for turn in _cut(data[first:], READ)] or [[]]
    if first:
        turns[0].insert(0, data[:first])
    return turns


def _check_bounds(session: Any) -> None:
    """What is kept of a peer has a bound, whatever it sends."""
    esl = hasattr(session, "_reader")
    kept = len((session._reader if esl else session._agi)._buffer)
    assert kept <= (MAX_BODY if esl else MAX_AFTER) + READ


def _cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]
