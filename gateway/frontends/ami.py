"""The guard of Asterisk: a client of its manager interface (AMI).

A leg that goes out to a number for which nobody asked is a call of its own: a blind transfer, a
forward, an ``Originate`` straight to a trunk. It is decided when it is dialled and hung up when it
is blocked, by when its INVITE has left. manager.conf must tell us the marks of the dialplan:
``channelvars=CALLGATE_FOR,CALLGATE_ATTEMPT``.

Rule: an event that is not whole is acted on never: who has it cut would have written it himself.
"""

from __future__ import annotations

import time

from gateway.calls import Call
from gateway.errors import LinkError, LinkRefused
from gateway.frontends.ami_link import AmiLink, Event
from gateway.frontends.guard import Guard, PolicySource
from gateway.frontends.session import Screener
from gateway.guardsettings import AsteriskGuardSettings
from gateway.metrics import Metrics
from gateway.pbx import asterisk, legs, variables
from gateway.policy.model import Verdict


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

    async def connect(self) -> AmiLink:
        settings = self._settings
        assert settings.connect is not None
        link = AmiLink(self.on_event, settings.deadline)
        self._ami = link  # events can come with the reply to the login
        await link.begin(
            settings.connect.host, settings.connect.port, settings.username, settings.secret
        )
        return link

    async def present(self) -> frozenset[str]:
        answer = await self._session().action("Status")
        if not answer[0].success:
            raise LinkRefused(f"channels are not told: {answer[0].message}")
        return frozenset(event.uniqueid for event in answer[1:] if event.uniqueid)

    async def hang_up(self, call: Call, verdict: Verdict) -> bool:
        cause = asterisk.answer(verdict, "").get(variables.CAUSE, str(asterisk.OTHER_CAUSE))
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
        screened = self.decide_leg(leg, self._settings.trunk) if leg else None
        if leg is None or screened is None or not screened.verdict.blocked:
            return
        call, verdict = leg.call, screened.verdict
        self.act(screened, self.carry_out(screened, "kill", lambda: self.hang_up(call, verdict)))

    def _session(self) -> AmiLink:
        if self._ami is None:
            raise LinkError("there is no link yet")
        return self._ami
