"""What a call would get, and why: the decision of live calls, asked without placing one."""

from __future__ import annotations

import time
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.calls import Call, Direction, Presentation
from gateway.policy.decide import decide
from gateway.policy.explain import explain as explained
from gateway.policy.model import Verdict
from gateway.tokens import Scope
from gateway.web.context import Web, web_of
from gateway.web.replies import reply, returns
from gateway.web.security import allowed

router = APIRouter(prefix="/v1", tags=["decisions"], dependencies=[Depends(allowed(Scope.READ))])
Parts = Annotated[Web, Depends(web_of)]
Text = Annotated[str, Field(max_length=255)]


class CallFacts(BaseModel):
    """A call as a PBX would describe it. ``number`` is the remote party: the caller of an inbound
    call, the callee of an outbound one; or say ``caller`` and ``callee``.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"number": "+33123456789", "direction": "outbound"}]},
    )

    number: Text = ""
    direction: Direction = Direction.INBOUND
    caller: Text = ""
    callee: Text = ""
    trunk: Text = ""
    campaign: Text = ""
    extension: Text = ""
    presentation: Presentation = Presentation.ALLOWED
    at: float | None = Field(default=None, ge=0, le=1e11, description="UTC seconds; now")

    @model_validator(mode="after")
    def _check_number(self) -> CallFacts:
        remote = self.caller if self.direction is Direction.INBOUND else self.callee
        if self.number and remote:
            raise ValueError("number is the remote party: leave out one of the two")
        return self

    def call(self) -> Call:
        inbound = self.direction is Direction.INBOUND
        return Call(
            direction=self.direction,
            caller=self.number if inbound and self.number else self.caller,
            callee=self.number if not inbound and self.number else self.callee,
            at=time.time() if self.at is None else self.at,
            trunk=self.trunk,
            campaign=self.campaign,
            extension=self.extension,
            presentation=self.presentation,
        )


class Explained(msgspec.Struct, frozen=True):
    """A verdict, and every step that led to it, in words."""

    verdict: Verdict
    steps: tuple[str, ...]


@router.post("/check", **returns(Verdict, 422))
async def check(web: Parts, facts: CallFacts) -> Response:
    """The verdict of a call. Nothing is recorded."""
    return reply(decide(facts.call(), await web.policy()))


@router.post("/explain", **returns(Explained, 422))
async def explain(web: Parts, facts: CallFacts) -> Response:
    """The verdict of a call, and every step that leads to it."""
    told = explained(facts.call(), await web.policy())
    return reply(Explained(told.verdict, told.steps))
