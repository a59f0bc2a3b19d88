"""Campaigns as they are shown: what they are in the policy, and what their calls came to."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from gateway.attempts.daily import Day, daily
from gateway.policy.model import Campaign, Policy
from gateway.review.contacts import contacts_file
from gateway.tokens import Scope
from gateway.web.context import Web
from gateway.web.masking import masked
from gateway.web.problems import Problem
from gateway.web.sessions import Principal

MOST_DAYS = 400


class Counts(msgspec.Struct, frozen=True):
    """Attempts by their verdict."""

    allow: int = 0
    block: int = 0


class CampaignView(msgspec.Struct, frozen=True, kw_only=True):
    """One campaign.

    ``dids`` are its own numbers. ``lists`` apply to its calls alone, or to those of a few. Its
    ``contacts`` come from the ``policy``, were ``uploaded``, or there are none: empty; ``file`` is
    what the policy calls them. ``today`` began at midnight in the policy's ``timezone``.
    """

    name: str
    dids: list[str]
    trunks: list[str]
    lists: list[str]
    contacts: str
    file: str
    origin: str
    today: Counts
    timezone: str


class DayCount(msgspec.Struct, frozen=True):
    """Attempts of one day (``2026-01-31``) in one direction and with one verdict."""

    date: str
    direction: str
    verdict: str
    count: int


async def campaign_views(web: Web, who: Principal, names: Iterable[str] = ()) -> list[CampaignView]:
    """Campaigns by their names, all without any."""
    policy = await web.policy()
    now = time.time()
    since = midnight(now, policy.timezone, 0)
    zone = policy.timezone
    days = await web.read(lambda store: daily(store, since, now + 60, timezone=zone))
    today: Counter[tuple[str, str]] = Counter()
    for day in days:
        today[day.campaign, day.verdict] += day.count
    wanted = [policy.campaigns[name] for name in sorted(names or policy.campaigns)]
    state = web.options.state_dir
    files = await web.run(lambda: [contacts_file(item, web.policy_path, state) for item in wanted])
    return [
        _view(item, policy, file, Counts(today[item.name, "allow"], today[item.name, "block"]), who)
        for item, file in zip(wanted, files, strict=True)
    ]


async def campaign_named(web: Web, name: str) -> Campaign:
    """A campaign of the policy. Problem 404 when there is none of that name."""
    found = (await web.policy()).campaigns.get(name)
    if found is None:
        raise Problem(404, f"there is no campaign {name!r}: the policy declares them")
    return found


async def days_of(web: Web, campaign: str, days: int) -> list[Day]:
    """The attempts of a campaign in the ``days`` that end with today, in the policy's zone."""
    zone = (await web.policy()).timezone
    now = time.time()
    since = midnight(now, zone, days - 1)
    return await web.read(
        lambda store: daily(store, since, now + 60, campaign=campaign, timezone=zone)
    )


def date_of(at: float, timezone: str) -> date:
    """The day of a moment (UTC seconds) in a zone."""
    return datetime.fromtimestamp(at, ZoneInfo(timezone)).date()


def midnight(at: float, timezone: str, days_before: int) -> float:
    """When the day of ``at``, or one before, began (UTC seconds)."""
    day = date_of(at, timezone) - timedelta(days=days_before)
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(timezone)).timestamp()


def _view(
    item: Campaign, policy: Policy, file: Path | None, today: Counts, who: Principal
) -> CampaignView:
    dids = [f"+{did}" for did in item.dids]
    return CampaignView(
        name=item.name,
        dids=dids if who.may(Scope.NUMBERS) else [masked(did) for did in dids],
        trunks=sorted(item.trunks),
        lists=[found.name for found in policy.lists if item.name in found.campaigns],
        contacts="policy" if item.contacts else "uploaded" if file else "",
        file=item.contacts,
        origin=str(item.origin),
        today=today,
        timezone=policy.timezone,
    )
