"""A worker that cannot do its part ends, so that another is started in its place; no other does."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from gateway.frontends.session import Frontend
from gateway.policy.generation import Generation, save_generation
from gateway.reload.editions import Step
from gateway.workers import messages
from gateway.workers.channel import Channel
from gateway.workers.member import ACK_TIME, Member
from gateway.workers.messages import Begin, Board, Options
from gateway.workers.page import Page
from gateway.workers.worker import Worker
from tests.support.policies import make_list, make_policy

LONG = 60
EDITION = 1


def begin(journal: Path, descriptor: int) -> Begin:
    board = Board(descriptor=descriptor, secret="", max_connections=10, deadline=1.0)
    return Begin(
        boards={"agi": board},
        journal=str(journal),
        segment_bytes=2**20,
        durability="process",
        emergencies={},
        guarded=False,
    )


async def test_a_worker_that_cannot_listen_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(_: Frontend, *, sockets: Sequence[socket.socket]) -> None:
        for each in sockets:
            each.close()
        raise OSError("too many open files")

    monkeypatch.setattr(Frontend, "start", refuse)
    policy = make_policy([make_list("blacklist")])
    save_generation(Generation(policy=policy, written={}, totals={}), tmp_path)
    page = Page.create()
    page.flip(EDITION)
    ours, theirs = socket.socketpair()
    with ours, socket.socket() as listening:
        told = Options(number=1, channel=theirs.detach(), page=page.descriptor, lock="", log={})
        worker = Worker(told)
        worker._heard(begin(tmp_path / "journal", listening.detach()))
        worker._heard(
            messages.Open(
                number=EDITION, after=-1, revision=policy.revision, directory=str(tmp_path)
            )
        )
        async with asyncio.timeout(LONG):
            await worker._ending.wait()
        worker._end.close()
    page.close()
    assert "too many open files" in caplog.text


async def test_a_pause_of_the_parent_is_no_delay_of_a_worker() -> None:
    loop = asyncio.get_running_loop()
    page = Page.create()
    member = Member(1, page, lambda *_: None)

    def answer() -> None:
        time.sleep(ACK_TIME + 0.2)  # the whole machine stands still, say
        # What the worker has said long ago is read after the timers of this process.
        loop.call_soon(loop.call_soon, member._heard, messages.Opened(2))

    class Sending:
        def send(self, message: messages.Message) -> bool:
            if isinstance(message, messages.Open):
                loop.call_soon(answer)
            return True

    member._channel = cast(Channel, Sending())
    await member.open_edition(2, 1, Step("0123456789ab+1"))
    page.close()
    assert member.edition == 2
