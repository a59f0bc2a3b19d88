"""The routes of the hosted product that this one follows, so that its clients can be pointed here.

Rule: they ask nothing back. What an entry covers is kept in the audit; one that would cover an
emergency number is refused. Errors have that product's shape: ``errors`` by the name of a field.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter, Body, Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from gateway.control import messages
from gateway.entries import Asked, ManagedEntry
from gateway.entries.search import EntryFilter
from gateway.errors import ControlRefused, EntryError
from gateway.policy.model import MANAGED_LIST
from gateway.tokens import Scope
from gateway.web.api.entries import BATCH, changed
from gateway.web.context import Web, web_of
from gateway.web.masking import masked_text
from gateway.web.problems import Problem
from gateway.web.replies import reply, returns
from gateway.web.security import allowed
from gateway.web.sessions import Principal

router = APIRouter(prefix="/v2/Account/Blacklist", tags=["account"])
Parts = Annotated[Web, Depends(web_of)]
Reader = Annotated[Principal, Depends(allowed(Scope.READ))]
Writer = Annotated[Principal, Depends(allowed(Scope.WRITE))]

LONGEST = 25
MOST = 1000
FIELD = "phoneNumbers"


class Numbers(BaseModel):
    """Full numbers or prefixes, each at most 25 characters, none of them twice."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"phoneNumbers": ["+33123456789", "+41"]}]}
    )

    phoneNumbers: list[str] = Field(description="+33123456789, or a prefix such as +41")


class Search(BaseModel):
    """Which part of the list. Other members that clients of the hosted product send are ignored."""

    skip: int = Field(default=0, ge=0, le=10**6)
    limit: int = Field(default=100, ge=1, le=MOST)
    isAscending: bool = False


class Blacklisted(msgspec.Struct, frozen=True):
    """One number or prefix, and when it was added (ISO 8601, UTC)."""

    phoneNumber: str
    isPrefix: bool
    createdDate: str


class Found(msgspec.Struct, frozen=True):
    """Part of the list, and how many there are in all."""

    count: int
    results: list[Blacklisted]


@router.post("", **returns(bool, 400, 403, example=True))
async def add(web: Parts, who: Writer, wanted: Numbers) -> Response:
    """Add numbers and prefixes, all or none. What is there already stays as it is."""
    asked = [Asked(number=number) for number in _checked(wanted)]
    request = messages.Add(entries=asked, forced=True, who=who.name, source="account")
    await _change(web, request, who)
    return reply(True)


@router.delete("", **returns(bool, 400, 403, example=True))
async def remove(web: Parts, who: Writer, wanted: Numbers) -> Response:
    """Remove numbers and prefixes, all or none. What is not there is no error."""
    asked = [Asked(number=number) for number in _checked(wanted)]
    await _change(web, messages.Remove(entries=asked, who=who.name, source="account"), who)
    return reply(True)


@router.post("/Search", **returns(Found, 400))
async def search(
    web: Parts, who: Reader, wanted: Annotated[Search | None, Body()] = None
) -> Response:
    """The list, newest first unless ``isAscending``."""
    asked = wanted or Search()
    found = await web.run(lambda: _listed(web, asked))
    if not who.may(Scope.NUMBERS):
        found = Found(found.count, [_hidden(item) for item in found.results])
    return reply(found)


def _checked(wanted: Numbers) -> list[str]:
    """The numbers, if they keep the rules of the hosted product. Problem 400."""
    numbers = [number.strip() for number in wanted.phoneNumbers]
    if not all(number.isprintable() for number in numbers):
        raise _invalid("a number has no control characters")
    errors: list[str] = []
    if not numbers:
        errors.append("at least one number or prefix is needed")
    if len(numbers) > BATCH:
        errors.append(f"at most {BATCH} numbers in one request")
    errors += [f"{n[:LONGEST]}… has more than {LONGEST} characters" for n in _long(numbers)]
    if len(set(numbers)) != len(numbers):
        errors.append("no number may stand in it twice")
    if errors:
        raise _invalid(*errors)
    return numbers


def _long(numbers: list[str]) -> list[str]:
    return [number for number in numbers if len(number) > LONGEST]


async def _change(web: Web, request: messages.AnyRequest, who: Principal) -> None:
    try:
        await changed(web, request, who)
    except (EntryError, ControlRefused) as error:
        raise _invalid(str(error)) from error


def _invalid(*errors: str) -> Problem:
    title = "One or more validation errors occurred."
    return Problem(400, "; ".join(errors), title=title, errors={FIELD: list(errors)})


def _listed(web: Web, asked: Search) -> Found:
    wanted = EntryFilter(list=MANAGED_LIST)
    count = web.entries.counts().get(MANAGED_LIST, 0)
    skip = asked.skip
    if asked.isAscending:
        found = web.entries.managed(list_name=MANAGED_LIST, limit=skip + asked.limit)[skip:]
        return Found(count, [_view(item) for item in found])
    items: list[ManagedEntry] = []
    before = 0
    while len(items) < skip + asked.limit:
        page = web.entries.search(wanted, before=before, limit=MOST)
        items += page.items
        before = page.next
        if not before:
            break
    return Found(count, [_view(item) for item in items[skip : skip + asked.limit]])


def _view(item: ManagedEntry) -> Blacklisted:
    created = datetime.fromtimestamp(item.at, UTC).isoformat(timespec="seconds")
    return Blacklisted(item.entry.text, not item.kind.exact, created.replace("+00:00", "Z"))


def _hidden(item: Blacklisted) -> Blacklisted:
    """As somebody without ``numbers:read`` sees it."""
    number = masked_text(item.phoneNumber, exact=not item.isPrefix)
    return Blacklisted(number, item.isPrefix, item.createdDate)
