"""A worker that cannot do its part ends, so that another is started in its place."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from gateway.frontends.session import Frontend
from gateway.policy.generation import Generation, save_generation
from gateway.workers import messages
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
    async def refuse(_: Frontend, *, sock: socket.socket) -> None:
        sock.close()
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
