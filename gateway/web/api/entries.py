"""Entries: what is blocked and allowed, searched, added, edited, removed."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field

from gateway.control import messages
from gateway.entries import Asked, ManagedEntry, export_yaml
from gateway.entries.guard import NeedsConfirmation
from gateway.entries.search import EntryFilter
from gateway.numbers import Kind, read
from gateway.policy.model import MANAGED_LIST, Action, EntryKind, Policy
from gateway.tokens import Scope
from gateway.web.context import Web, web_of
from gateway.web.entryviews import Cursor, EntryView, covering, entry_shown, find, managed_view
from gateway.web.masking import check_sees, masked_entry, masked_text, masked_words
from gateway.web.preview import Preview, covers_shown, preview, preview_shown
from gateway.web.problems import Problem
from gateway.web.replies import Page, reply, returns, returns_text
from gateway.web.security import allowed
from gateway.web.sessions import Principal

router = APIRouter(prefix="/v1/entries", tags=["entries"])
Reader = Annotated[Principal, Depends(allowed(Scope.READ))]
Writer = Annotated[Principal, Depends(allowed(Scope.WRITE))]
Parts = Annotated[Web, Depends(web_of)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
Id = Annotated[int, Path(ge=1, le=2**63 - 1)]

MOST = 200
BATCH = messages.MAX_ENTRIES


class NewEntry(BaseModel):
    """An entry to add. No ``kind``: it is inferred from what the number looks like."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"number": "+33123456789", "reason": "complaint"}]},
    )

    number: str = Field(
        min_length=1, max_length=80, description="+33123456789, +33, 01 23 45 67 89"
    )
    list: Name = MANAGED_LIST
    kind: EntryKind | None = None
    reason: str = Field(default="", max_length=500)
    expires: str = Field(default="", max_length=40, description="2027-01-31, empty for never")
    confirm: bool = Field(default=False, description="Go on, whatever it covers")

    def asked(self) -> Asked:
        return Asked(
            number=self.number,
            list=self.list,
            kind=self.kind,
            reason=self.reason,
            expires=self.expires,
            confirm=self.confirm,
        )


class Edited(BaseModel):
    """What is to be replaced; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    reason: str | None = Field(default=None, max_length=500)
    expires: str | None = Field(default=None, max_length=40)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one change: ``status`` is added, exists, edited, removed or absent.

    ``rev`` is its place in the change log. ``warning`` is what one should know of it.
    """

    status: str
    rev: int
    list: str
    kind: EntryKind
    digits: str
    entry: ManagedEntry | None = None
    warning: str = ""


@router.get("", **returns(Page[EntryView], 422))
async def entries(
    web: Parts,
    who: Reader,
    covers: Annotated[
        str, Query(max_length=80, description="Which entries cover this number?")
    ] = "",
    digits: Annotated[
        str, Query(max_length=15, pattern="^[0-9]*$", description="They begin so")
    ] = "",
    text: Annotated[str, Query(max_length=80, description="In digits, reason or name")] = "",
    list: Annotated[str, Query(max_length=40)] = "",
    origin: Annotated[str, Query(pattern="^(managed|file|)$")] = "",
    after: Annotated[str, Query(max_length=20)] = "",
    limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
) -> Response:
    """Managed entries, newest first, then those of the YAML and its files, by their digits."""
    policy = await web.policy()
    if covers:
        found = await web.run(lambda: covering(*_digits(covers, policy), policy, web.entries))
        kept = [item for item in found if list in ("", item.list) and _of(item, origin)]
        return reply(Page([entry_shown(item, who) for item in kept]))
    check_sees(who, digits, text)
    wanted = EntryFilter(list=list, digits=digits, text=text)
    cursor = Cursor.parse(after)
    page, following = await web.run(
        lambda: find(web.entries, policy, wanted, cursor, limit, origin)
    )
    return reply(Page([entry_shown(item, who) for item in page], following))


@router.post("", **returns(Outcome, 403, 409, 422))
async def add(web: Parts, who: Writer, wanted: NewEntry) -> Response:
    """Add an entry; the next call is decided with it. One that is there already stays as it is.

    409, with what it covers, where it would cover an emergency number, a number of one's own, an
    exception or a country: send it again with ``confirm``.
    """
    await check_admin(web, who, [wanted.list])
    request = messages.Add(entries=[wanted.asked()], who=who.name, source=who.source)
    return reply(outcome_shown((await changed(web, request, who))[0], who))


@router.post("/preview", **returns(Preview, 422))
async def look(web: Parts, who: Reader, wanted: NewEntry) -> Response:
    """How an entry would be read, what it would cover, and what it would have done to the calls of
    the past 30 days. Nothing is changed.
    """
    return reply(preview_shown(await preview(web, wanted.asked()), who))


@router.post("/batch", **returns(list[Outcome], 403, 409, 422))
async def add_many(
    web: Parts,
    who: Writer,
    wanted: Annotated[list[NewEntry], Field(min_length=1, max_length=BATCH)],
) -> Response:
    """Add up to 1000 entries, all or none."""
    await check_admin(web, who, [item.list for item in wanted])
    asked = [item.asked() for item in wanted]
    request = messages.Add(entries=asked, who=who.name, source=who.source)
    return reply([outcome_shown(item, who) for item in await changed(web, request, who)])


@router.get("/{entry_id}", **returns(EntryView, 404))
async def entry(web: Parts, who: Reader, entry_id: Id) -> Response:
    """One managed entry."""
    policy, found = await web.policy(), await managed(web, entry_id)
    return reply(entry_shown(managed_view(found, policy), who))


@router.patch("/{entry_id}", **returns(Outcome, 403, 404, 422))
async def edit(web: Parts, who: Writer, entry_id: Id, wanted: Edited) -> Response:
    """Replace reason and expiry."""
    found = await managed(web, entry_id)
    await check_admin(web, who, [found.list])
    asked = Asked(
        number=found.entry.text,
        list=found.list,
        kind=found.kind,
        reason=wanted.reason,
        expires=wanted.expires,
    )
    request = messages.Edit(entries=[asked], who=who.name, source=who.source)
    return reply(outcome_shown((await changed(web, request, who))[0], who))


@router.delete("/{entry_id}", **returns(Outcome, 403, 404))
async def remove(web: Parts, who: Writer, entry_id: Id) -> Response:
    """Remove a managed entry; ``POST /v1/changes/{rev}/undo`` takes that back."""
    found = await managed(web, entry_id)
    await check_admin(web, who, [found.list])
    request = messages.Remove(ids=[entry_id], who=who.name, source=who.source)
    return reply(outcome_shown((await changed(web, request, who))[0], who))


@router.get(
    ".yaml",
    **returns_text("application/yaml", what="A policy of the managed entries", kind="object"),
)
async def export(web: Parts, who: Reader) -> Response:
    """Managed entries as YAML, to be kept in git."""
    if not who.may(Scope.NUMBERS):
        raise Problem(403, f"the token {who.name!r} lacks the scope {Scope.NUMBERS}")
    policy = await web.policy()
    text = await web.run(lambda: export_yaml(web.entries.entries(), policy.lists))
    headers = {"Content-Disposition": 'attachment; filename="managed.yaml"'}
    return PlainTextResponse(text, media_type="application/yaml", headers=headers)


async def managed(web: Web, entry_id: int) -> ManagedEntry:
    """A managed entry by its id. Problem 404."""
    found = await web.run(lambda: web.entries.by_ids([entry_id]))
    if not found:
        raise Problem(404, f"there is no managed entry {entry_id}")
    return found[0]


async def changed(web: Web, request: messages.AnyRequest, who: Principal) -> list[Outcome]:
    """Have the gateway make changes. NeedsConfirmation, or ControlRefused where it will not."""
    try:
        answer: list[dict[str, Any]] = await web.control.request(request)
    except NeedsConfirmation as error:
        raise NeedsConfirmation(covers_shown(error.covers, who)) from None
    return msgspec.convert(answer, list[Outcome])


def outcome_shown(found: Outcome, who: Principal) -> Outcome:
    """What became of a change as somebody may see it: who names an entry by its id learns none."""
    if who.may(Scope.NUMBERS):
        return found
    entry = masked_entry(found.entry) if found.entry else None
    digits = masked_text(found.digits, exact=found.kind.exact)
    warning = masked_words(found.warning)
    return msgspec.structs.replace(found, digits=digits, entry=entry, warning=warning)


async def check_admin(web: Web, who: Principal, names: list[str]) -> None:
    """Whoever opens a hole in the lists must be an admin. Problem 403."""
    if who.may(Scope.ADMIN):
        return
    opening = {item.name for item in (await web.policy()).lists if item.action is Action.ALLOW}
    if found := opening.intersection(names):
        raise Problem(403, f"list {min(found)!r} allows calls: that takes the scope admin")


def _digits(text: str, policy: Policy) -> tuple[str, bool]:
    number = read(text, policy.plan)
    return number.digits, number.kind is not Kind.E164


def _of(view: EntryView, origin: str) -> bool:
    return not origin or (view.origin == "managed") == (origin == "managed")
