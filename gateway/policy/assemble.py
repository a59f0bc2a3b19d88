"""From the policy's document to its values: what needs more than one key to be told.

Every check adds its faults and goes on, so that one report has them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from gateway.errors import BadEntry
from gateway.numbers import read_number_entry, read_prefix_entry, read_short_entry
from gateway.policy.assembly import Assembly, FileUse
from gateway.policy.document import (
    CampaignDocument,
    CampaignListDocument,
    EntryDocument,
    MatchDocument,
    PolicyDocument,
)
from gateway.policy.expiry import parse_expiry
from gateway.policy.model import (
    MANAGED_LIST,
    Action,
    Campaign,
    Entry,
    EntryKind,
    ListDef,
    Match,
    Mode,
    Origin,
    Party,
)
from gateway.policy.plans import make_plans
from gateway.yamlfile import Document, KeyPath
from gateway.yamlmodel import suggestion

_SHORTS = {EntryKind.SHORT: read_short_entry, EntryKind.SHORT_PREFIX: read_short_entry}
_NUMBERS = {EntryKind.NUMBER: read_number_entry, EntryKind.PREFIX: read_prefix_entry}
_ENTRY_KEYS = {
    EntryKind.NUMBER: "numbers",
    EntryKind.PREFIX: "prefixes",
    EntryKind.SHORT: "short",
    EntryKind.SHORT_PREFIX: "short_prefixes",
}
EMPTY = "it has no entries and no match; write may_be_empty: true if that is meant"


def assemble(document: Document, policy: PolicyDocument) -> Assembly:
    """Everything of a policy but what lies in other files; faults are in the result."""
    made = Assembly(document, policy)
    _zone(made)
    make_plans(made)
    for name, item in policy.lists.items():
        _list(made, ("lists", name), name, item, frozenset(item.campaigns))
        _known(made, ("lists", name, "campaigns"), item.campaigns, policy.campaigns, "campaign")
    for name, campaign in policy.campaigns.items():
        _campaign(made, name, campaign)
    if MANAGED_LIST not in made.written:
        origin = Origin("")
        made.lists.append(
            ListDef(
                name=MANAGED_LIST,
                action=Action.BLOCK,
                order=len(made.lists),
                origin=origin,
                may_be_empty=True,
            )
        )
    return made


def _zone(made: Assembly) -> None:
    try:
        made.zone = ZoneInfo(made.policy.timezone)
    except (OSError, ValueError, LookupError):
        unknown = f"'{made.policy.timezone}' is no time zone, such as UTC or Europe/Paris"
        made.fault(("timezone",), unknown)


def _known(
    made: Assembly, path: KeyPath, names: Iterable[str], known: Mapping[str, Any], what: str
) -> None:
    for number, name in enumerate(names):
        if name not in known:
            made.fault((*path, number), f"unknown {what} '{name}'{suggestion(name, known)}")


def _campaign(made: Assembly, name: str, campaign: CampaignDocument) -> None:
    path: KeyPath = ("campaigns", name)
    _known(made, (*path, "trunks"), campaign.trunks, made.trunks, "trunk")
    made.campaigns[name] = Campaign(
        name,
        _dids(made, (*path, "dids"), name, campaign.dids),
        frozenset(campaign.trunks),
        campaign.contacts or "",
        made.origin(path, key=True),
    )
    for list_name, item in campaign.lists.items():
        _list(made, (*path, "lists", list_name), list_name, item, frozenset({name}))


def _dids(made: Assembly, path: KeyPath, name: str, texts: Iterable[str]) -> tuple[str, ...]:
    found = []
    for number, text in enumerate(texts):
        try:
            digits = read_number_entry(text, made.region)
        except BadEntry as error:
            made.fault((*path, number), str(error))
            continue
        owner = made.dids.setdefault(digits, name)
        if owner != name:
            made.fault((*path, number), f"+{digits} is a number of the campaign '{owner}' already")
        found.append(digits)
    return tuple(dict.fromkeys(found))


def _list(
    made: Assembly,
    path: KeyPath,
    name: str,
    item: CampaignListDocument,
    campaigns: frozenset[str],
) -> None:
    if name in made.written:
        line, _ = made.document.place(made.written[name], key=True)
        made.fault(path, f"a list with this name is already on line {line}", key=True)
        return
    made.written[name] = path
    _known(made, (*path, "trunks"), item.trunks, made.trunks, "trunk")
    _check_keys(made, path, name, item)
    made.lists.append(
        ListDef(
            name=name,
            action=item.action,
            order=len(made.lists),
            origin=made.origin(path, key=True),
            direction=item.call_direction,
            party=item.party,
            campaigns=campaigns,
            trunks=frozenset(item.trunks),
            extensions=frozenset(item.extensions),
            region=item.region,
            response=item.response.status if item.response else 0,
            network_blocked=item.response is not None and item.response.network_blocked,
            reason=item.reason,
            mode=_mode(item),
            binding=item.binding,
            match=_match(item.match),
            may_be_empty=item.may_be_empty or name == MANAGED_LIST,
            drop_active=item.drop_active,
        )
    )
    _entries(made, path, name, item)


def _mode(item: CampaignListDocument) -> Mode:
    """Unassigned ranges change, so a list that matches them enforces only when it says so."""
    guess = item.match is not None and item.match.unassigned
    return item.mode or (Mode.SHADOW if guess else Mode.ENFORCE)


def _match(document: MatchDocument | None) -> Match | None:
    if document is None:
        return None
    return Match(
        anonymous=document.anonymous,
        no_number=document.no_number,
        invalid=document.invalid,
        unassigned=document.unassigned,
        regions=frozenset(document.region),
        types=frozenset(document.type),
    )


def _check_keys(made: Assembly, path: KeyPath, name: str, item: CampaignListDocument) -> None:
    allows = item.action is Action.ALLOW
    exclusive = [
        ("binding", item.binding and allows, "only a list with action: block can be binding"),
        ("binding", item.binding and item.match, "a match cannot be binding, only entries can"),
        (
            "drop_active",
            item.drop_active and allows,
            "only a list with action: block can hang up live calls",
        ),
        (
            "drop_active",
            item.drop_active and item.match,
            "a match takes no entries, so nothing is added to it",
        ),
        ("response", item.response and allows, "an allowed call has no response"),
        ("expires", item.expires and item.match, "a match does not expire, only entries do"),
        ("region", item.region and item.match, "a match has no entries to read; use match.region"),
        (
            "party",
            item.match and item.party is not Party.REMOTE,
            "a match looks at the remote party only",
        ),
    ]
    for key, wrong, message in exclusive:
        if wrong:
            made.fault((*path, key), message, key=True)
    if name == MANAGED_LIST:
        _check_managed(made, path, item)
    if item.match is not None:
        for key in (*_ENTRY_KEYS.values(), "files"):
            if getattr(item, key):
                together = "match and entries cannot stand in one list"
                made.fault((*path, key), together, key=True)
    elif not (item.has_entries or item.may_be_empty or name == MANAGED_LIST):
        _check_whole(made, path)


def _check_managed(made: Assembly, path: KeyPath, item: CampaignListDocument) -> None:
    always = f"the list '{MANAGED_LIST}' takes managed entries: it always blocks, both ways"
    wrong = {
        "action": item.action is Action.ALLOW,
        "direction": item.call_direction is not None,
        "match": item.match is not None,
    }
    for key in filter(wrong.__getitem__, wrong):
        made.fault((*path, key), always, key=True)


def _check_whole(made: Assembly, path: KeyPath) -> None:
    """An empty list is a fault, unless it is empty because its entries are at fault."""
    if path not in made.document.damaged:
        made.fault(path, EMPTY, key=True)


def _entries(made: Assembly, path: KeyPath, name: str, item: CampaignListDocument) -> None:
    region = item.region or made.region
    expires = _expires(made, (*path, "expires"), item.expires)
    for kind, key in _ENTRY_KEYS.items():
        for number, entry in enumerate(getattr(item, key)):
            _entry(made, (*path, key, number), Entry(name, kind, "", "", expires), entry, region)
    made.file_uses += [
        FileUse((*path, "files", number), file, name, region, expires)
        for number, file in enumerate(item.files)
    ]


def _entry(
    made: Assembly, path: KeyPath, base: Entry, entry: EntryDocument, region: str | None
) -> None:
    where: KeyPath = (*path, entry.KEY)
    where = where if made.document.has(where) else path
    own = _expires(made, (*path, "expires"), entry.expires)
    kind = base.kind
    try:
        if kind in _SHORTS:
            digits = _SHORTS[kind](entry.text)
        else:
            digits = _NUMBERS[kind](entry.text, region)
    except BadEntry as error:
        made.fault(where, str(error))
        return
    origin = made.origin(path)
    made.entries.append(Entry(base.list, kind, digits, entry.reason, own or base.expires, origin))
    if entry.confirm:
        made.confirmed.add((base.list, kind, digits))


def _expires(made: Assembly, path: KeyPath, text: str) -> int:
    if not text:
        return 0
    try:
        return parse_expiry(text, made.zone)
    except ValueError as error:
        made.fault(path, str(error))
        return 0
