"""The guard of Asterisk: a client of its manager interface (AMI).

A leg that goes out to a number for which nobody asked is a call of its own: a blind transfer, a
forward, an ``Originate`` straight to a trunk. It is decided when it is dialled and hung up when it
is blocked, by when its INVITE has left. manager.conf must tell us the marks of the dialplan:
``channelvars=CALLGATE_FOR,CALLGATE_ATTEMPT``.

Rule 1: an event that is not whole is acted on never: who has it cut would have written it himself.
Rule 2: a leg is decided once, by its event or, where that was missed (nobody sends those of the
time without a link), when its channel is counted. One that the link was lost over is decided again.
"""

from __future__ import annotations

import logging
import time

from gateway.calls import Call
from gateway.errors import LinkError, LinkRefused
from gateway.frontends.ami_link import AmiLink, Event
from gateway.frontends.guard import Guard, PolicySource
from gateway.frontends.session import Screener
from gateway.guardsettings import AsteriskGuardSettings
from gateway.metrics import Metrics
from gateway.pbx import asterisk, legs, variables
from gateway.pbx.legs import Leg
from gateway.policy.model import Verdict

log = logging.getLogger(__name__)


class AmiGuard(Guard):
    """Watches one Asterisk."""

    name = "ami"
    pbx = asterisk.PBX

    def __init__(
        self,
        settings: AsteriskGuardSettings,
        screener: Screener,
        policies: PolicySource,
        metrics: Metrics,
    ) -> None:
        super().__init__(screener, policies, metrics, audit=settings.audit)
        self._settings = settings
        self._ami: AmiLink | None = None
        self._known: dict[str, str] = {}  # channels by id, with the number that was decided
        self._absent: frozenset[str] = frozenset()
        self._rows: list[Event] = []

    async def connect(self) -> AmiLink:
        settings = self._settings
        assert settings.connect is not None
        link = AmiLink(self.on_event, settings.deadline)
        self._known = {channel: callee for channel, callee in self._known.items() if callee}
        self._ami = link  # events can come with the reply to the login
        await link.begin(
            settings.connect.host, settings.connect.port, settings.username, settings.secret
        )
        return link

    async def present(self) -> frozenset[str]:
        """The ids of all channels; of a list that a caller has ended, what was known besides."""
        answer = await self._session().action("Status", {"Variables": legs.STANDING})
        if not answer[0].success:
            raise LinkRefused(f"channels are not told: {answer[0].message}")
        self._rows = answer[1:]
        present = frozenset(channel for row in self._rows for channel in ids_of(row))
        if is_end(answer[-1]):
            return present
        return present | self._known.keys() | {call.channel_id for call in self.live.calls()}

    async def audited(self, present: frozenset[str]) -> None:
        """Decide the legs that stand there and no event told of."""
        absent = self._known.keys() - present
        for channel in absent & self._absent:  # twice running: its Newchannel may be very new
            del self._known[channel]
        self._absent = frozenset(absent)
        rows, self._rows = self._rows, []
        for row in rows:
            if self._known.keys().isdisjoint(ids_of(row)) and (leg := await self._missed(row)):
                self._decide_once(leg)

    async def _missed(self, row: Event) -> Leg | None:
        """The leg of a channel of which no event told; None for what is none, or not yet."""
        if leg := legs.standing_in_asterisk(row, at=time.time()):
            return leg
        known_way = legs.endpoint_of(row) in self.policies.current.trunks
        if not known_way or not legs.may_be_originated(row):
            return None
        self._known[str(row["Uniqueid"])] = ""  # it is asked about once
        asked = {"Channel": str(row["Channel"]), "Variables": legs.ORIGINATED}
        answer = await self._session().action("Status", asked)
        found = (legs.originated_in_asterisk(event, at=time.time()) for event in answer[1:])
        return next((leg for leg in found if leg and leg.call.channel_id == row["Uniqueid"]), None)

    async def hang_up(self, call: Call, verdict: Verdict) -> bool:
        cause = asterisk.answer(verdict, "").get(variables.CAUSE, str(asterisk.OTHER_CAUSE))
        if call.channel_id.startswith("/"):  # Asterisk takes /…/ for a pattern of many channels
            log.error("%r names no channel: it is not hung up", call.channel_id)
            return False
        values = {"Channel": call.channel_id, "Cause": cause}
        answer = await self._session().action("Hangup", values)
        return bool(answer[0].success)

    def on_event(self, event: Event) -> None:
        """Something happened in Asterisk."""
        match event.get("Event"):
            case "DialBegin":
                self._look_at(event)
            case "Newchannel" if legs.is_whole(event):
                self.census.appeared(str(event["Uniqueid"]))
                self._known.setdefault(str(event["Uniqueid"]), "")
            case "Hangup" if legs.is_whole(event):
                self.live.ended(str(event["Uniqueid"]))
                self.census.gone(str(event["Uniqueid"]))

    def _look_at(self, event: Event) -> None:
        try:
            leg = legs.of_asterisk(event, at=time.time())
        except ValueError as error:
            self.metrics.inc("callgate_hostile_requests_total", frontend=self.name)
            self.seldom.warning("an event of Asterisk is not used: %s", error)
            return
        if leg is not None:
            self._decide_once(leg)

    def _decide_once(self, leg: Leg) -> None:
        """The verdict on a leg, unless it is there, and its end if it is blocked."""
        call = leg.call
        if self._known.get(call.channel_id) == call.callee:
            return
        self._known[call.channel_id] = call.callee
        screened = self.decide_leg(leg, self._settings.trunk)
        if screened is not None and screened.verdict.blocked:
            verdict = screened.verdict
            work = self.carry_out(screened, "kill", lambda: self._kill(call, verdict))
            self.act(screened, work)

    async def _kill(self, call: Call, verdict: Verdict) -> bool:
        """Hang up a leg. If the link is lost over it, it is found and decided again."""
        try:
            return await self.hang_up(call, verdict)
        except LinkError:
            self._known.pop(call.channel_id, None)
            raise

    def _session(self) -> AmiLink:
        if self._ami is None:
            raise LinkError("there is no link yet")
        return self._ami


def is_end(row: Event) -> bool:
    """Whether this ends a list of channels: an end that a caller wrote has a channel's lines."""
    return row.get("Event") == "StatusComplete" and not ids_of(row)


def ids_of(row: Event) -> list[str]:
    """The ids in an event of a channel: several, when a caller has written one into it."""
    told = row.get("Uniqueid")
    return [str(item) for item in (told if isinstance(told, list) else [told]) if item]
