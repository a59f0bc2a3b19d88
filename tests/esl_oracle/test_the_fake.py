"""python-ESL takes the fake FreeSWITCH of the guard's tests for a real one."""

from __future__ import annotations

import json
from pathlib import Path

from tests.esl_oracle.oracle import Step, Told, peer
from tests.fakes.event_socket import PASSWORD, UUID, Session, event_socket, parked
from tests.fakes.freeswitch import captured


def park_one(session: Session, _: str) -> None:
    session.raw(captured("inbound.event-reply"))
    session.event("CHANNEL_PARK", parked())


async def test_its_replies_and_events_are_read(site: Path) -> None:
    steps: list[Step] = [
        ["api", "show", "channels as json"],
        ["api", "uuid_dump", "no-such-channel"],
        ["events", "plain", "CHANNEL_PARK"],
        ["recvEvent"],
    ]
    async with event_socket(event=park_one) as fake:
        fake.channels[UUID] = "park"
        script = {"connect": ["127.0.0.1", fake.port, PASSWORD]}
        async with peer(site, script, steps) as client:
            shown, missing, _, event = await client.results()
    assert json.loads(Told.read(shown).body)["rows"] == [{"uuid": UUID, "application": "park"}]
    assert Told.read(missing).body == "-ERR No such channel!\n"
    assert Told.read(event).headers == [("Event-Name", "CHANNEL_PARK"), *parked().items()]
