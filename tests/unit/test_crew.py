"""What workers share through their parent: emergency calls, allowed calls, the sum of it all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.app import crew
from gateway.app.calls import Here
from gateway.app.crew import Crew
from gateway.attempts.journal import Journal
from gateway.calls import Call
from gateway.entries import EntryStore
from gateway.frontends.fastagi import REFUSED
from gateway.metrics import Metrics
from gateway.reload import Generations, PolicyStore
from gateway.screener import Screener
from gateway.settings import Address, Settings
from gateway.workers import messages
from gateway.workers.member import Member
from gateway.workers.page import MOST, Page
from gateway.workersettings import MOST_WORKERS
from tests.support.policies import inbound


class Parts:
    """A crew that has not started, and what its members would be told."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (folder / "callgate.yaml").write_text("workers: 2\nstate: state\n")
        settings = Settings.load(folder / "callgate.yaml", {})
        self.metrics = Metrics()
        self.entries = EntryStore(folder / "entries.db")
        policies = PolicyStore(
            settings.policy_path,
            self.entries,
            Generations(folder / "last-good", folder / "entries.db"),
            self.metrics,
        )
        self.screener = Screener(policies, Journal(folder / "journal"), self.metrics)
        self.crew = Crew(settings, self.screener, policies, self.metrics)
        self.told: list[tuple[Any, Member | None]] = []
        monkeypatch.setattr(
            self.crew.pool, "tell", lambda message, but=None: self.told.append((message, but))
        )

    def hear(self, message: messages.Message) -> Member:
        """A worker says something."""
        page = Page.create()
        member = Member(1, page, self.crew._said)
        self.crew._said(member, message)
        page.close()
        return member


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Parts]:
    made = Parts(tmp_path, monkeypatch)
    yield made
    made.crew.close()
    made.entries.close()


def test_an_emergency_call_of_one_worker_is_told_to_all_others(parts: Parts) -> None:
    member = parts.hear(messages.Emergency("carrier", 20.0))
    assert parts.screener.emergencies == {"carrier": 20.0}
    assert parts.told == [(messages.Emergency("carrier", 20.0), member)]
    parts.hear(messages.Emergency("carrier", 10.0))
    assert parts.screener.emergencies == {"carrier": 20.0}, "the later one stands"


def test_an_emergency_call_that_the_parent_let_out_is_told_to_all(parts: Parts) -> None:
    assert parts.screener.on_emergency is not None
    parts.screener.on_emergency("", 5.0)
    assert parts.told == [(messages.Emergency("", 5.0), None)]


def test_guards_hear_of_a_call_that_a_worker_allowed(parts: Parts) -> None:
    call = inbound("+33611111111")
    parts.hear(messages.Allowed(call))  # nobody wants to know
    heard: list[Call] = []
    parts.screener.on_allowed = heard.append
    parts.hear(messages.Allowed(call))
    assert heard == [call]


def test_what_a_worker_begins_with_is_what_the_parent_knows(parts: Parts) -> None:
    parts.hear(messages.Emergency("carrier", 20.0))
    begin = parts.crew._begin(1)
    assert (begin.emergencies, begin.guarded) == ({"carrier": 20.0}, False)
    parts.screener.on_allowed = lambda _: None
    assert parts.crew._begin(2).guarded


async def test_a_status_while_calls_end_still_says_where_they_came_in(
    parts: Parts, tmp_path: Path
) -> None:
    address = Address("127.0.0.1", 0)
    settings = Settings.load(tmp_path / "callgate.yaml", {})
    here = Here(settings, parts.screener, parts.crew._policies, Metrics())
    for calls in (parts.crew, here):
        await calls.listen("agi", address)
        places = calls.places
        await calls.drain(0)
        assert calls.places == places
        assert places["agi"][1] > 0


async def test_a_star_code_that_fails_is_refused_and_not_left_waiting(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> str:
        raise RuntimeError("a bug")

    told: list[messages.Message] = []
    monkeypatch.setattr(crew, "carry_out", fail)
    monkeypatch.setattr(Member, "say", lambda _, message: told.append(message))
    parts.hear(messages.Star(id=3, op="block", number="+33162000000", by="100"))
    await asyncio.gather(*parts.crew._tasks)
    assert told == [messages.Done(3, REFUSED)]


def test_every_worker_that_may_be_set_has_a_heart() -> None:
    assert MOST_WORKERS <= MOST
