"""What an entry would be and would do, before it is added: how it is read, what it covers, and
what the past 30 days say.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import msgspec

from gateway.entries import Asked, Op, Understood, understand
from gateway.entries.guard import Covered, covered
from gateway.numbers import display
from gateway.policy.model import Action, Entry, EntryKind, Origin, Policy
from gateway.review.impact import Impact, impact
from gateway.review.overlap import Overlap, Some
from gateway.review.past import Example
from gateway.tokens import Scope
from gateway.web.context import Web
from gateway.web.masking import masked, masked_words
from gateway.web.sessions import Principal

PAST = 30 * 86400.0
"""Seconds of past calls that are looked at."""
MOST = 10_000
"""Attempts that are looked at, the newest first: a second or so."""


class Count(msgspec.Struct, frozen=True):
    """How many calls of one campaign; its name is empty where there was none."""

    name: str
    calls: int


class Shadowed(msgspec.Struct, frozen=True):
    """Entries by their number and, of the first of them, text and list."""

    total: int
    examples: list[str]


class ImpactView(msgspec.Struct, frozen=True, kw_only=True):
    """What would have become of past calls.

    ``action`` block: ``calls`` allowed calls would have been blocked; allow: ``calls`` blocked
    ones allowed. ``complete`` is false where there were more calls than could be looked at.
    ``exceptions`` are entries that still win over the new one, ``redundant`` those that do
    nothing beside it.
    """

    action: Action
    since: float
    until: float
    calls: int
    numbers: int
    campaigns: list[Count]
    examples: list[Example]
    examined: int
    complete: bool
    exceptions: Shadowed
    redundant: Shadowed


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """How an entry is read, what of it is doubtful, what it covers, what it would have done."""

    list: str
    action: Action
    kind: EntryKind
    digits: str
    text: str
    warning: str
    covers: tuple[Covered, ...]
    impact: ImpactView | None


def understood(asked: Asked, policy: Policy) -> Understood:
    """What would be added. EntryError when that makes no sense."""
    confirmed = Asked(
        number=asked.number,
        list=asked.list,
        kind=asked.kind,
        reason=asked.reason,
        expires=asked.expires,
        confirm=True,
    )
    return understand(confirmed, Op.ADD, policy, who="", source="")


async def preview(web: Web, asked: Asked, *, past: bool = True) -> Preview:
    """Look at an entry before it is added; ``past``: at past calls too. EntryError.

    In threads, since a prefix may cover a million entries.
    """
    policy = await web.policy()
    now = time.time()
    seen, entry = await web.run_long(lambda: _looked_at(asked, policy, now))
    if not past:
        return seen
    ask = partial(impact, policy, entry, since=now - PAST, until=now, budget=MOST)
    return msgspec.structs.replace(seen, impact=_view(await web.read_long(ask)))


def _looked_at(asked: Asked, policy: Policy, now: float) -> tuple[Preview, Entry]:
    read = understood(asked, policy)
    change = read.change
    kind, digits, expires = change.kind, change.digits, change.expires or 0
    item = next(one for one in policy.lists if one.name == change.list)
    entry = Entry(change.list, kind, digits, expires=expires, origin=Origin("managed"))
    seen = Preview(
        list=change.list,
        action=item.action,
        kind=kind,
        digits=digits,
        text=entry.text if kind.short or len(digits) < 7 else display(digits),
        warning=read.warning,
        covers=covered(kind, digits, item, policy, now),
        impact=None,
    )
    return seen, entry


def preview_shown(found: Preview, who: Principal) -> Preview:
    """A preview as somebody may see it: whoever typed a number knows it, not those who called, nor
    those that the entry covers.
    """
    if who.may(Scope.NUMBERS):
        return found
    impact = found.impact
    if impact is not None:
        impact = msgspec.structs.replace(
            impact,
            examples=[_masked(item) for item in impact.examples],
            exceptions=_shadows_masked(impact.exceptions),
            redundant=_shadows_masked(impact.redundant),
        )
    return msgspec.structs.replace(found, covers=covers_shown(found.covers, who), impact=impact)


def covers_shown(covers: Iterable[Covered], who: Principal) -> tuple[Covered, ...]:
    """What an entry covers, in words that somebody may see."""
    if who.may(Scope.NUMBERS):
        return tuple(covers)
    return tuple(replace(item, text=masked_words(item.text)) for item in covers)


def _shadows_masked(found: Shadowed) -> Shadowed:
    return Shadowed(found.total, [masked_words(text) for text in found.examples])


def _masked(example: Example) -> Example:
    return replace(example, caller=masked(example.caller), callee=masked(example.callee))


def _view(found: Impact) -> ImpactView:
    overlap: Overlap = found.overlap
    return ImpactView(
        action=found.action,
        since=found.since,
        until=found.until,
        calls=found.calls,
        numbers=found.numbers,
        campaigns=[Count(name, calls) for name, calls in found.campaigns],
        examples=list(found.examples),
        examined=found.examined,
        complete=found.complete,
        exceptions=_shadowed(overlap.exceptions),
        redundant=_shadowed(overlap.redundant),
    )


def _shadowed(some: Some) -> Shadowed:
    return Shadowed(some.total, [f"{entry.text} of {entry.list}" for entry in some.entries])
