"""The guard of FreeSWITCH: a client of its inbound event socket.

Mode ``park``: the dialplan parks a call and we let it go on or end it. Nothing leaves before that.
Mode ``kill``: legs that nobody asked about are killed after the fact: their INVITE has left, nearly
always, and is cancelled.

Rule 1: a call that stands in the application ``park`` is taken when its event comes, or when it is
found there: events of the time without a link never come.
Rule 2: each park of a call is taken once. After a transfer its park is another one, with a verdict
of its own. A park that we could not end is taken again when it is found.
Rule 3: what we send is made of our own words, ids that are one harmless word (``origination_uuid``
is anything) and, where the setting asks for it, a dialled number of harmless signs. A call to any
other number is ended.
"""

from __future__ import annotations

import re
import time
from typing import Final

import msgspec

from gateway.calls import Call
from gateway.errors import LinkError, LinkRefused
from gateway.frontends.esl_link import EslLink
from gateway.frontends.guard import Guard, PolicySource
from gateway.frontends.session import Screened, Screener
from gateway.guardsettings import FreeswitchGuardSettings, GuardMode
from gateway.metrics import Metrics
from gateway.pbx import freeswitch, legs, variables
from gateway.pbx.request import Refused
from gateway.policy.model import Verdict
from gateway.protocols.esl_command import api, is_word, line, setvar_multi
from gateway.protocols.esl_headers import Headers

EVENTS: Final = ("CHANNEL_CREATE", "CHANNEL_ORIGINATE", "CHANNEL_PARK", "CHANNEL_DESTROY")
DIALLED: Final = "*"
"""As the extension of a target: the number that the call is for."""
_UNALLOCATED: Final = "1"
_is_extension = re.compile(r"[+*#A-Za-z0-9_.][-+*#A-Za-z0-9_.]{0,63}").fullmatch


class _Row(msgspec.Struct):
    uuid: str = ""
    direction: str = ""
    application: str = ""


class _Rows(msgspec.Struct):
    rows: list[_Row] = []


class EslInbound(Guard):
    """Watches one FreeSWITCH."""

    name = "esl_inbound"
    pbx = freeswitch.PBX

    def __init__(
        self,
        settings: FreeswitchGuardSettings,
        screener: Screener,
        policies: PolicySource,
        metrics: Metrics,
    ) -> None:
        super().__init__(screener, policies, metrics, audit=settings.audit)
        self._settings = settings
        self._esl: EslLink | None = None
        self._taken: dict[str, str] = {}
        self._parked: frozenset[str] = frozenset()
        self._legs: frozenset[str] = frozenset()
        self._found: dict[str, str] = {}
        self._absent: frozenset[str] = frozenset()

    async def connect(self) -> EslLink:
        settings = self._settings
        assert settings.connect is not None
        link = await EslLink.open(
            settings.connect.host,
            settings.connect.port,
            settings.password,
            on_event=self.on_event,
            deadline=settings.deadline,
        )
        self._esl = link  # events can come with the reply that promises them
        try:
            await subscribe(link)
        except LinkError:
            link.close()
            raise
        return link

    async def present(self) -> frozenset[str]:
        rows = await channels(self._session())
        self._parked = frozenset(row.uuid for row in rows if row.application == "park")
        self._legs = frozenset(row.uuid for row in rows if row.direction == "outbound")
        return frozenset(row.uuid for row in rows)

    async def audited(self, present: frozenset[str]) -> None:
        """Take what is parked, or look at the legs that there are, where no event told of them."""
        absent = self._taken.keys() - present
        for uuid in absent & self._absent:  # twice running: the list lags behind
            del self._taken[uuid]
        self._absent = frozenset(absent)
        if self._settings.mode is GuardMode.PARK:
            await self._find_parked()
            return
        for uuid in filter(is_word, self._legs - self._taken.keys()):
            channel = await self._dump(uuid)
            if is_where_it_went(channel):
                self._look_at(channel)
            self._taken.setdefault(uuid, "")  # asked about once, whatever it is

    async def _find_parked(self) -> None:
        found: dict[str, str] = {}
        for uuid in filter(is_word, self._parked):
            channel = await self._dump(uuid)
            found[uuid] = park_of(channel)
            if not self._is_leaving(uuid, found[uuid]):
                self._take(channel)
        self._found = found

    async def _dump(self, uuid: str) -> Headers:
        """What a channel tells of itself; nothing, if it is gone."""
        return Headers((await self._session().command(api("uuid_dump", uuid))).body)

    async def hang_up(self, call: Call, verdict: Verdict) -> bool:
        cause = freeswitch.answer(verdict, "").get(variables.CAUSE, str(freeswitch.OTHER_CAUSE))
        return await self._kill(call.channel_id, cause)

    def on_event(self, event: Headers) -> None:
        """Something happened in FreeSWITCH. Never raises."""
        uuid, name = event.get("Unique-ID"), event.get("Event-Name")
        if not is_word(uuid):
            self.metrics.inc("callgate_hostile_requests_total", frontend=self.name)
            self.seldom.warning("no command can name this channel: %r", uuid)
            return
        if name == "CHANNEL_DESTROY":
            self.live.ended(uuid)
            self.census.gone(uuid)
            self._taken.pop(uuid, None)
            return
        self.census.appeared(uuid)
        if self._settings.mode is GuardMode.PARK:
            if name == "CHANNEL_PARK":
                self._take(event)
        elif name in ("CHANNEL_CREATE", "CHANNEL_ORIGINATE"):
            self._look_at(event)

    def _take(self, channel: Headers) -> None:
        """A call is parked. One whose dialplan names no direction is not parked for us."""
        uuid, park = channel.get("Unique-ID"), park_of(channel)
        if self._taken.get(uuid) == park or not is_for_us(channel) or not self.has_room():
            return
        self._taken[uuid] = park
        request = freeswitch.read_request(channel, at=time.time())
        hostile = request.why if isinstance(request, Refused) else ""
        screened = self.decide(request.call, hostile=hostile)
        self.act(screened, self._end_park(request.call, screened, park))

    async def _end_park(self, call: Call, screened: Screened, park: str) -> None:
        """Answer a parked call; if that fails it may be found and taken again."""
        action, done = "reject" if screened.verdict.blocked else "release", False
        try:
            done = await self.carry_out(screened, action, lambda: self._answer(call, screened))
        finally:
            if not done and self._taken.get(call.channel_id) == park:
                del self._taken[call.channel_id]

    def _is_leaving(self, uuid: str, park: str) -> bool:
        """Whether a call that was sent on may only look parked: until its next application runs.

        When the count before found it so as well, it is parked.
        """
        return self._taken.get(uuid, park) != park and self._found.get(uuid) != park

    def _look_at(self, event: Headers) -> None:
        """A leg is on its way: if nobody has decided it, it is decided now."""
        leg = legs.of_freeswitch(event, at=time.time())
        if leg is None or leg.call.channel_id in self._taken:
            return
        self._taken[leg.call.channel_id] = ""
        screened = self.decide_leg(leg, self._settings.trunk)
        if screened is not None and screened.verdict.blocked:
            verdict = screened.verdict
            work = self.carry_out(screened, "kill", lambda: self._kill_leg(leg.call, verdict))
            self.act(screened, work)

    async def _kill_leg(self, call: Call, verdict: Verdict) -> bool:
        """End a leg. If the link is lost over it, it is found and decided again."""
        try:
            return await self.hang_up(call, verdict)
        except LinkError:
            self._taken.pop(call.channel_id, None)
            raise

    async def _answer(self, call: Call, screened: Screened) -> bool:
        """Tell a parked call its verdict and send it on its way, or end it."""
        uuid, verdict = call.channel_id, screened.verdict
        values = freeswitch.answer(verdict, screened.attempt_id)
        if not (await self._session().command(setvar_multi(uuid, values))).ok:
            return False
        target = self._settings.blocked if verdict.blocked else self._settings.allowed
        if not target:
            return await self._kill(uuid, values.get(variables.CAUSE, _UNALLOCATED))
        extension, dialplan, context = target.split()
        if extension == DIALLED:
            if not _is_extension(call.callee):
                return await self._kill(uuid, _UNALLOCATED)
            extension = call.callee
        command = api("uuid_transfer", uuid, extension, dialplan, context)
        return (await self._session().command(command)).ok

    async def _kill(self, uuid: str, cause: str) -> bool:
        return (await self._session().command(api("uuid_kill", uuid, cause))).ok

    def _session(self) -> EslLink:
        if self._esl is None:
            raise LinkError("there is no link yet")
        return self._esl


def is_for_us(channel: Headers) -> bool:
    """Whether a dialplan has parked a call for the guard.

    ``socket … async`` parks its call too (switch_ivr_park): that one is asked about elsewhere.
    """
    is_parked = channel.get("variable_current_application") == "park"
    return is_parked and channel.raw("variable_callgate_direction") is not None


def is_where_it_went(channel: Headers) -> bool:
    """Whether the number of a leg is still the one that it dialled: a transfer gives it another."""
    dialled = channel.get("Channel-Name").rpartition("/")[2].partition("@")[0]
    return dialled == channel.get("Caller-Destination-Number")


def park_of(channel: Headers) -> str:
    """Which of its parks a call stands in: every transfer gives it a new profile."""
    return f"{channel.get('Caller-Profile-Index')} {channel.get('Caller-Profile-Created-Time')}"


async def subscribe(link: EslLink) -> None:
    """Ask for the events. LinkRefused when this user may not have them."""
    reply = await link.command(line("event plain " + " ".join(EVENTS)))
    if not reply.ok:
        raise LinkRefused(f"no events: {reply.get('Reply-Text')}")


async def channels(link: EslLink) -> list[_Row]:
    """All channels that there are. LinkError; LinkRefused when what comes is no list of them."""
    told = await link.command(line("api show channels as json"))
    try:
        return msgspec.json.decode(told.body, type=_Rows).rows
    except (ValueError, RecursionError):  # MsgspecError and UnicodeDecodeError are ValueErrors
        said = told.body[:80].decode("utf-8", "replace").strip()
        raise LinkRefused(f"channels are not told: {said or told.get('Reply-Text')}") from None
