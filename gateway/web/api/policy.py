"""The policy that runs, what its last load said, its lists and campaigns; and a reload."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Body, Depends, Response

from gateway.policy.model import Action, ListDef, Mode, Party
from gateway.reload import ReloadResult
from gateway.tokens import Scope
from gateway.web.context import Web, web_of
from gateway.web.problems import Problem
from gateway.web.replies import reply, returns
from gateway.web.security import allowed

router = APIRouter(tags=["policy"])


class PolicyState(msgspec.Struct, frozen=True):
    """``degraded`` says why what runs is not what is configured; empty when it is.

    ``last_reload`` is what became of the last load, with its faults as file:line:column.
    """

    path: str
    revision: str
    entries: int
    degraded: str
    last_reload: ReloadResult | None


class ListView(msgspec.Struct, frozen=True, kw_only=True):
    """One list: what it does, where it is written, how many entries it has.

    An empty ``direction``, ``campaigns``, ``trunks`` or ``extensions`` means all. ``match`` says
    that it goes by category and takes no entries. ``response`` 0 is the default of its reason.
    """

    name: str
    action: Action
    direction: str
    party: Party
    mode: Mode
    binding: bool
    match: bool
    campaigns: list[str]
    trunks: list[str]
    extensions: list[str]
    response: int
    reason: str
    origin: str
    entries: int


@router.get("/v1/policy", dependencies=[Depends(allowed(Scope.READ))], **returns(PolicyState))
async def policy(web: Annotated[Web, Depends(web_of)]) -> Response:
    """What runs, and the faults of the last load."""
    return reply(policy_state(await web.status()))


@router.post(
    "/v1/policy/reload",
    dependencies=[Depends(allowed(Scope.WRITE))],
    **returns(ReloadResult, 409, 422),
)
async def reload(
    web: Annotated[Web, Depends(web_of)], force: Annotated[bool, Body(embed=True)] = False
) -> Response:
    """Read the YAML anew. A policy with faults, or that drops much, changes nothing: 409."""
    result = await web.reload(force)
    if not result.ok:
        raise Problem(
            409,
            "the policy was not loaded; the one before goes on",
            title="Not loaded",
            result=msgspec.to_builtins(result),
        )
    return reply(result)


@router.get(
    "/v1/lists",
    tags=["entries"],
    dependencies=[Depends(allowed(Scope.READ))],
    **returns(list[ListView]),
)
async def lists(web: Annotated[Web, Depends(web_of)]) -> Response:
    """Every list of the policy, in its order."""
    current, status = await web.policy(), await web.status()
    return reply([list_view(item, status["policy"]["lists"]) for item in current.lists])


def policy_state(status: dict[str, Any]) -> PolicyState:
    """The part of a status that is about the policy."""
    told = status["policy"]
    last = told["last_reload"]
    return PolicyState(
        path=told["path"],
        revision=told["revision"],
        entries=told["entries"],
        degraded=told["degraded"],
        last_reload=msgspec.convert(last, ReloadResult) if last else None,
    )


def list_view(item: ListDef, counts: dict[str, int]) -> ListView:
    return ListView(
        name=item.name,
        action=item.action,
        direction=item.direction.value if item.direction else "",
        party=item.party,
        mode=item.mode,
        binding=item.binding,
        match=item.match is not None,
        campaigns=sorted(item.campaigns),
        trunks=sorted(item.trunks),
        extensions=sorted(item.extensions),
        response=item.response,
        reason=item.reason,
        origin=str(item.origin),
        entries=counts.get(item.name, 0),
    )
